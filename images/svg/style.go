package svg

import (
	"strconv"
	"strings"
)

// bounds of styles, in bytes and rules. Illustrator writes a rule for each
// kind of paint, some hundred.
const (
	sheetBytesMax = 256 << 10
	rulesMax      = 2000
	sheetRefsMax  = 20_000 // references, once for each selector of their rule
	valueBytesMax = 4096
)

// dashLeast is the least length of a period of dashes in user units: finer
// ones look like a grey line and cost a stroke for each dash.
const dashLeast = 0.05

// reference is a name that a value points to, under a property.
type reference struct {
	property string
	name     string
}

// value says whether a value may stand, and what it refers to. It may hold
// colours, numbers, keywords and url(#name).
func value(property, v string) (refs []reference, ok bool) {
	if len(v) > valueBytesMax || strings.ContainsAny(v, "\\<>@{};") || strings.Contains(v, "/*") || strings.Contains(v, "!") {
		return nil, false
	}
	for rest := v; ; {
		i := strings.IndexByte(rest, '(')
		if i < 0 {
			break
		}
		name := strings.ToLower(lastWord(rest[:i]))
		if !functions[name] {
			return nil, false
		}
		rest = rest[i+1:]
		if name != "url" {
			continue
		}
		end := strings.IndexByte(rest, ')')
		if end < 0 {
			return nil, false
		}
		target := strings.TrimSpace(rest[:end])
		if n := len(target); n >= 2 && (target[0] == '"' || target[0] == '\'') && target[n-1] == target[0] {
			target = target[1 : n-1]
		}
		id, fragment := strings.CutPrefix(target, "#")
		if !fragment || !validName(id) {
			return nil, false
		}
		refs = append(refs, reference{property, id})
		rest = rest[end+1:]
	}
	if property == "stroke-dasharray" && !dashes(v) {
		return nil, false
	}
	return refs, true
}

func lastWord(s string) string {
	i := strings.LastIndexFunc(s, func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') })
	return s[i+1:]
}

// validName: no quotes, brackets or spaces.
func validName(s string) bool {
	return s != "" && len(s) <= 256 && !strings.ContainsAny(s, "\"'()<>#&;{}\\ \t\r\n")
}

// dashes says whether a list of dashes is long enough; what is no list of
// plain numbers is a keyword or has units, which are longer than these.
func dashes(v string) bool {
	sum := 0.0
	for _, f := range strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r' }) {
		number := strings.TrimRight(f, "pxtcminrh%Q")
		if f == "none" || f == "inherit" {
			return true
		}
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || n < 0 {
			return false
		}
		sum += n
	}
	return sum >= dashLeast
}

// declarations keeps what may stand of "property: value; ...", written the
// same way each time.
func declarations(s string) (kept string, refs []reference) {
	var b strings.Builder
	for _, part := range strings.Split(s, ";") {
		name, v, found := strings.Cut(part, ":")
		name, v = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(v)
		if !found || v == "" || !properties[name] {
			continue
		}
		v, _ = strings.CutSuffix(v, "!important")
		v = strings.TrimSpace(v)
		more, ok := value(name, v)
		if !ok || v == "" {
			continue
		}
		refs = append(refs, more...)
		if b.Len() > 0 {
			b.WriteByte(';')
		}
		b.WriteString(name + ":" + inPixels(name, v))
	}
	return b.String(), refs
}

// sheet is what is left of the style sheets of a drawing: rules in order, and
// what they refer to by the last simple selector, so that the cost of elements
// can be told without matching selectors.
type sheet struct {
	rules []string
	refs  map[string][]reference // ".class", "#id", "tag" or "*"
	named int                    // references in refs
}

// add takes in the text of a style element. Rules that begin with @ are left
// out, and so are selectors of other than names, classes and identities.
func (s *sheet) add(text string) error {
	if len(text) > sheetBytesMax {
		return tooMuch("style sheets have more than %d bytes", sheetBytesMax)
	}
	text = withoutComments(text)
	for {
		text = strings.TrimSpace(text)
		open, end := strings.IndexByte(text, '{'), strings.IndexByte(text, '}')
		if semicolon := strings.IndexByte(text, ';'); strings.HasPrefix(text, "@") && semicolon >= 0 && (open < 0 || semicolon < open) {
			text = text[semicolon+1:]
			continue
		}
		if open < 0 || end < 0 {
			return nil
		}
		if end < open {
			text = text[end+1:]
			continue
		}
		if strings.HasPrefix(text, "@") {
			text = text[blockEnd(text, open):]
			continue
		}
		if len(s.rules) >= rulesMax {
			return tooMuch("style sheets have more than %d rules", rulesMax)
		}
		if err := s.rule(text[:open], text[open+1:end]); err != nil {
			return err
		}
		text = text[end+1:]
	}
}

func (s *sheet) rule(selectors, body string) error {
	kept, refs := declarations(body)
	if kept == "" {
		return nil
	}
	var list []string
	for _, selector := range strings.Split(selectors, ",") {
		selector = strings.Join(strings.Fields(selector), " ")
		key, ok := lastSimple(selector)
		if !ok {
			continue
		}
		list = append(list, selector)
		if s.refs == nil {
			s.refs = map[string][]reference{}
		}
		if s.named += len(refs); s.named > sheetRefsMax {
			return tooMuch("style sheets refer to other elements more than %d times", sheetRefsMax)
		}
		if len(refs) > 0 {
			s.refs[key] = append(s.refs[key], refs...)
		}
	}
	if len(list) > 0 {
		s.rules = append(s.rules, strings.Join(list, ",")+"{"+kept+"}")
	}
	return nil
}

// lastSimple is what the last part of a selector asks for at least: a class,
// an identity, an element, or anything.
func lastSimple(selector string) (string, bool) {
	if selector == "" || len(selector) > 256 {
		return "", false
	}
	for i := range len(selector) {
		c := selector[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == '#' || c == '*' || c == ' ' || c == '>') {
			return "", false
		}
	}
	last := selector[strings.LastIndexAny(selector, " >")+1:]
	if last == "" {
		return "", false
	}
	if i := strings.LastIndexAny(last, ".#"); i >= 0 {
		return last[i:], len(last) > i+1
	}
	return last, true
}

// withoutComments cuts comments out of a style sheet; an open one is the rest.
func withoutComments(s string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "/*")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		if _, s, found = strings.Cut(rest, "*/"); !found {
			return b.String()
		}
		b.WriteByte(' ')
	}
}

// blockEnd is just behind the block that opens at i.
func blockEnd(s string, i int) int {
	for depth := 0; i < len(s); i++ {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}
