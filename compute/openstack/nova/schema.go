package nova

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kamado/kamado/compute"
)

// check says what is wrong with a value at a path; nil when nothing is. The texts
// are those that Nova's clients and tests know.
type check func(path string, v any) error

// mismatch says that the value of an attribute is wrong.
func mismatch(path string, v any, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if path == "" {
		return invalid("%s", text)
	}
	return invalid("Invalid input for field/attribute %s. Value: %s. %s", path, short(repr(v)), text)
}

// short bounds how much of a value an error says back.
func short(s string) string {
	const most = 512
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}

// repr writes a value as Python does: what clients know of Nova's errors.
func repr(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case string:
		return "'" + strings.ReplaceAll(v, "'", "\\'") + "'"
	case json.Number:
		return v.String()
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = repr(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		keys := sortedKeys(v)
		for i, k := range keys {
			keys[i] = repr(k) + ": " + repr(v[k])
		}
		return "{" + strings.Join(keys, ", ") + "}"
	}
	return fmt.Sprint(v)
}

func sortedKeys[T any](m map[string]T) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// fields are the attributes of an object.
type fields map[string]check

// objectOf takes an object with these attributes and no others.
func objectOf(f fields, required ...string) check { return objectLike(f, false, required) }

// openObject takes an object that may have attributes beside these.
func openObject(f fields, required ...string) check { return objectLike(f, true, required) }

func objectLike(f fields, open bool, required []string) check {
	return func(path string, v any) error {
		m, ok := v.(map[string]any)
		if !ok {
			return mismatch(path, v, "%s is not of type 'object'", repr(v))
		}
		for _, name := range required {
			if _, has := m[name]; !has {
				return mismatch(path, v, "'%s' is a required property", name)
			}
		}
		for _, name := range sortedKeys(m) {
			sub, known := f[name]
			if !known {
				if open {
					continue
				}
				return mismatch(path, v, "Additional properties are not allowed (%s was unexpected)", repr(name))
			}
			if sub == nil {
				continue
			}
			if err := sub(name, m[name]); err != nil {
				return err
			}
		}
		return nil
	}
}

// text takes a string of min to max characters.
func text(minLen, maxLen int) check {
	return func(path string, v any) error {
		s, ok := v.(string)
		if !ok {
			return mismatch(path, v, "%s is not of type 'string'", repr(v))
		}
		if n := utf8.RuneCountInString(s); n < minLen {
			return mismatch(path, v, "%s is too short", repr(v))
		} else if n > maxLen {
			return mismatch(path, v, "%s is too long", short(repr(v)))
		}
		return nil
	}
}

// name takes what Nova takes as a name: 1 to 255 printable characters, without
// white space at its ends from microversion 2.1 on.
func name(path string, v any) error {
	if err := text(1, 255)(path, v); err != nil {
		return err
	}
	s := v.(string)
	if strings.TrimSpace(s) != s || !printable(s) {
		return mismatch(path, v, "%s does not match any of the regexes: names may have printable characters only, and no white space at their ends", repr(v))
	}
	return nil
}

func printable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) && r != ' ' && !unicode.Is(unicode.Zs, r) {
			return false
		}
	}
	return utf8.ValidString(s)
}

// matching takes a string that a pattern matches.
func matching(pattern string, maxLen int) check {
	re := regexp.MustCompile(pattern)
	return func(path string, v any) error {
		if err := text(0, maxLen)(path, v); err != nil {
			return err
		}
		if !re.MatchString(v.(string)) {
			return mismatch(path, v, "%s does not match %s", repr(v), repr(pattern))
		}
		return nil
	}
}

// wholeNumber takes an integer, also as a string, from lo to hi.
func wholeNumber(lo, hi int) check {
	return func(path string, v any) error {
		n, ok := asInt(v)
		if !ok {
			if _, str := v.(string); str {
				return mismatch(path, v, "%s does not match '^-?[0-9]*$'", repr(v))
			}
			return mismatch(path, v, "%s is not of type 'integer', 'string'", repr(v))
		}
		if n < lo {
			return mismatch(path, v, "%d is less than the minimum of %d", n, lo)
		}
		if n > hi {
			return mismatch(path, v, "%d is greater than the maximum of %d", n, hi)
		}
		return nil
	}
}

// asInt reads an integer, also out of a string.
func asInt(v any) (int, bool) {
	var s string
	switch v := v.(type) {
	case json.Number:
		s = v.String()
		if f, err := v.Float64(); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 && strings.ContainsAny(s, ".eE") {
			return int(f), true
		}
	case string:
		s = v
	default:
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

// number takes a number, also as a string, above 0.
func number(path string, v any) error {
	var s string
	switch v := v.(type) {
	case json.Number:
		s = v.String()
	case string:
		s = v
	}
	if f, err := strconv.ParseFloat(s, 64); err != nil || f <= 0 || f > math.MaxFloat32 || math.IsNaN(f) {
		return mismatch(path, v, "%s is not a number above 0", repr(v))
	}
	return nil
}

var truths = map[string]bool{"true": true, "1": true, "on": true, "yes": true, "y": true, "t": true}
var untruths = map[string]bool{"false": true, "0": true, "off": true, "no": true, "n": true, "f": true}

// truth takes a boolean, also as one of the words that Nova takes.
func truth(path string, v any) error {
	if _, ok := asBool(v); !ok {
		return mismatch(path, v, "%s is not one of [True, 'True', 'TRUE', 'true', '1', 'ON', 'On', 'on', 'YES', 'Yes', 'yes', 'y', 't', False, 'False', 'FALSE', 'false', '0', 'OFF', 'Off', 'off', 'NO', 'No', 'no', 'n', 'f']", repr(v))
	}
	return nil
}

func asBool(v any) (value, ok bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case string:
		s := strings.ToLower(v)
		return truths[s], truths[s] || untruths[s]
	case json.Number:
		return v.String() == "1", v.String() == "1" || v.String() == "0"
	}
	return false, false
}

// oneOf takes one of some strings.
func oneOf(words ...string) check {
	return func(path string, v any) error {
		if s, ok := v.(string); ok && slices.Contains(words, s) {
			return nil
		}
		return mismatch(path, v, "%s is not one of ['%s']", repr(v), strings.Join(words, "', '"))
	}
}

// id takes a UUID.
func id(path string, v any) error {
	if s, ok := v.(string); !ok || !compute.IsID(s) {
		return mismatch(path, v, "%s is not a 'uuid'", repr(v))
	}
	return nil
}

// either takes what one of some checks takes; the last one's complaint is told.
func either(checks ...check) check {
	return func(path string, v any) error {
		var err error
		for _, c := range checks {
			if err = c(path, v); err == nil {
				return nil
			}
		}
		return err
	}
}

// orNull takes null as well.
func orNull(c check) check {
	return func(path string, v any) error {
		if v == nil {
			return nil
		}
		return c(path, v)
	}
}

// null takes null only: the body of most actions.
func null(path string, v any) error {
	if v != nil {
		return mismatch(path, v, "%s is not of type 'null'", repr(v))
	}
	return nil
}

// anything takes any value.
func anything(string, any) error { return nil }

// listOf takes a list of min to max values.
func listOf(each check, minLen, maxLen int) check {
	return func(path string, v any) error {
		l, ok := v.([]any)
		if !ok {
			return mismatch(path, v, "%s is not of type 'array'", repr(v))
		}
		if len(l) < minLen {
			return mismatch(path, v, "%s is too short", repr(v))
		}
		if len(l) > maxLen {
			return mismatch(path, v, "%s is too long", short(repr(v)))
		}
		for i, e := range l {
			if err := each(strconv.Itoa(i), e); err != nil {
				return err
			}
		}
		return nil
	}
}

// unique takes a list without doubles.
func unique(c check) check {
	return func(path string, v any) error {
		if err := c(path, v); err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, e := range v.([]any) {
			if seen[repr(e)] {
				return mismatch(path, v, "%s has non-unique elements", repr(v))
			}
			seen[repr(e)] = true
		}
		return nil
	}
}

// address takes an IP address of a version (0: of any).
func address(version int) check {
	return func(path string, v any) error {
		s, _ := v.(string)
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" || version == 4 && !a.Is4() || version == 6 && !a.Is6() {
			kind := map[int]string{4: "ipv4", 6: "ipv6"}[version]
			if kind == "" {
				kind = "ip"
			}
			return mismatch(path, v, "%s is not a '%s'", repr(v), kind)
		}
		return nil
	}
}

// emptyText takes the empty string.
func emptyText(path string, v any) error { return text(0, 0)(path, v) }

// base64Text takes base64 of at most maxLen characters.
func base64Text(maxLen int) check {
	return func(path string, v any) error {
		if err := text(0, maxLen)(path, v); err != nil {
			return err
		}
		if _, err := decodeBase64(v.(string)); err != nil {
			return mismatch(path, v, "%s is not a 'base64'", repr(v))
		}
		return nil
	}
}

// decodeBase64 reads base64 with line breaks, as clients send it.
func decodeBase64(s string) ([]byte, error) {
	return base64.StdEncoding.DecodeString(strings.NewReplacer("\n", "", "\r", "", " ", "").Replace(s))
}

var metadataKey = regexp.MustCompile(`^[a-zA-Z0-9-_:. ]{1,255}$`)

// metadata takes names with values of at most 255 characters each.
func metadata(path string, v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return mismatch(path, v, "%s is not of type 'object'", repr(v))
	}
	for _, k := range sortedKeys(m) {
		if !metadataKey.MatchString(k) {
			return mismatch(path, v, "%s does not match any of the regexes: '^[a-zA-Z0-9-_:. ]{1,255}$'", repr(k))
		}
		if err := text(0, 255)(k, m[k]); err != nil {
			return err
		}
	}
	return nil
}

// body reads the request's body and checks it; its numbers are json.Number.
func (c *call) body(check check) (map[string]any, error) {
	b, err := c.ReadBody()
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, invalid("Malformed request body")
	}
	if _, err := d.Token(); err == nil {
		return nil, invalid("Malformed request body")
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, invalid("%s is not of type 'object'", short(repr(v)))
	}
	if check != nil {
		if err := check("", m); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// The readers of a checked body: zero values for what is not there.

func sub(m map[string]any, key string) map[string]any { v, _ := m[key].(map[string]any); return v }

func str(m map[string]any, key string) string { v, _ := m[key].(string); return v }

func num(m map[string]any, key string) int { n, _ := asInt(m[key]); return n }

func yes(m map[string]any, key string) bool { b, _ := asBool(m[key]); return b }

// stringsOf gives the strings of a list.
func stringsOf(m map[string]any, key string) []string {
	var out []string
	l, _ := m[key].([]any)
	for _, e := range l {
		if s, ok := e.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// textMap gives the strings of an object.
func textMap(m map[string]any, key string) map[string]string {
	o, ok := m[key].(map[string]any)
	if !ok {
		return nil
	}
	out := make(map[string]string, len(o))
	for k, v := range o {
		if s, ok := v.(string); ok {
			out[k] = s
		}
	}
	return out
}
