package dns

import (
	"fmt"
	"strings"
)

// Name is a domain name in canonical text: lower case, labels joined by dots,
// no dot at the end, and "." for the root. Bytes that are no letter, digit,
// hyphen, underscore, slash or asterisk are written \DDD (RFC 1035 5.1), so that
// equal names have equal text and a dot in the text always ends a label.
type Name string

// Root is the name of the root.
const Root Name = "."

// Bounds of a name (RFC 1035 2.3.4).
const (
	LabelBytesMax = 63
	NameBytesMax  = 255 // in wire form, with all length bytes
)

// ParseName reads absolute text, with or without the last dot.
func ParseName(text string) (Name, error) {
	if text == "." {
		return Root, nil
	}
	if text == "" {
		return "", fmt.Errorf("an empty name; the root is %q", ".")
	}
	bare, absolute := strings.CutSuffix(text, ".")
	escaped := absolute && (len(bare)-len(strings.TrimRight(bare, `\`)))%2 == 1
	wire, err := wireOfText(bare, escaped)
	if err != nil {
		return "", fmt.Errorf("name %q: %w", shorten(text), err)
	}
	name, _, err := NameFromWire(wire)
	return name, err
}

// MustName is ParseName of text that the program itself wrote.
func MustName(text string) Name {
	n, err := ParseName(text)
	if err != nil {
		panic(err)
	}
	return n
}

// ResolveName reads text that a person wrote: with a dot at the end, or ending in
// the domain, it is absolute; else it lies under the domain.
func ResolveName(text string, domain Name) (Name, error) {
	if text == "@" {
		return domain, nil
	}
	n, err := ParseName(text)
	if err != nil || strings.HasSuffix(text, ".") || n.Under(domain) {
		return n, err
	}
	return n.Join(domain)
}

// wireOfText packs labels; dotted says that the last dot is part of a label.
func wireOfText(text string, dotted bool) ([]byte, error) {
	if dotted {
		text += "."
	}
	out := make([]byte, 1, len(text)+2)
	at := 0 // of the length byte of the label in work
	end := func() error {
		n := len(out) - at - 1
		if n == 0 {
			return fmt.Errorf("has an empty label")
		}
		if n > LabelBytesMax {
			return fmt.Errorf("has a label of %d bytes, at most %d", n, LabelBytesMax)
		}
		out[at] = byte(n)
		return nil
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '.':
			if err := end(); err != nil {
				return nil, err
			}
			at = len(out)
			out = append(out, 0)
		case '\\':
			b, used, err := unescape(text[i+1:])
			if err != nil {
				return nil, err
			}
			out = append(out, b)
			i += used
		default:
			out = append(out, c)
		}
	}
	if err := end(); err != nil {
		return nil, err
	}
	out = append(out, 0)
	if len(out) > NameBytesMax {
		return nil, fmt.Errorf("has %d bytes, at most %d", len(out), NameBytesMax)
	}
	return out, nil
}

// unescape reads what stands after a backslash: three digits, or one byte.
func unescape(rest string) (b byte, used int, err error) {
	if rest == "" {
		return 0, 0, fmt.Errorf("ends in a backslash")
	}
	if rest[0] < '0' || rest[0] > '9' {
		return rest[0], 1, nil
	}
	if len(rest) < 3 {
		return 0, 0, fmt.Errorf("has an unfinished \\DDD")
	}
	v := 0
	for _, d := range []byte(rest[:3]) {
		if d < '0' || d > '9' {
			return 0, 0, fmt.Errorf("has a bad \\DDD")
		}
		v = v*10 + int(d-'0')
	}
	if v > 255 {
		return 0, 0, fmt.Errorf("has \\%s, above 255", rest[:3])
	}
	return byte(v), 3, nil
}

func shorten(text string) string {
	if len(text) > 80 {
		return text[:80] + "…"
	}
	return text
}

// NameFromWire reads an uncompressed name and gives the bytes behind it.
func NameFromWire(b []byte) (Name, []byte, error) {
	var text strings.Builder
	used := 0
	for {
		if used >= len(b) {
			return "", nil, fmt.Errorf("a name that does not end")
		}
		n := int(b[used])
		if n == 0 {
			break
		}
		if n > LabelBytesMax {
			return "", nil, fmt.Errorf("a name with a label of %d bytes", n)
		}
		if used+1+n >= NameBytesMax {
			return "", nil, fmt.Errorf("a name of more than %d bytes", NameBytesMax)
		}
		if used+1+n > len(b) {
			return "", nil, fmt.Errorf("a name that does not end")
		}
		if used > 0 {
			text.WriteByte('.')
		}
		for _, c := range b[used+1 : used+1+n] {
			writeByte(&text, c)
		}
		used += 1 + n
	}
	if used == 0 {
		return Root, b[1:], nil
	}
	return Name(text.String()), b[used+1:], nil
}

func writeByte(text *strings.Builder, c byte) {
	switch {
	case c >= 'A' && c <= 'Z':
		text.WriteByte(c + 'a' - 'A')
	case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_', c == '/', c == '*':
		text.WriteByte(c)
	default:
		fmt.Fprintf(text, `\%03d`, c)
	}
}

// AppendWire appends the uncompressed wire form.
func (n Name) AppendWire(b []byte) []byte {
	if n == Root || n == "" {
		return append(b, 0)
	}
	at := len(b)
	b = append(b, 0)
	for i := 0; i < len(n); i++ {
		switch c := n[i]; c {
		case '.':
			b[at] = byte(len(b) - at - 1)
			at = len(b)
			b = append(b, 0)
		case '\\':
			v, used, _ := unescape(string(n[i+1:])) // canonical text has whole escapes
			b = append(b, v)
			i += used
		default:
			b = append(b, c)
		}
	}
	b[at] = byte(len(b) - at - 1)
	return append(b, 0)
}

// WireLen is the length of the wire form in bytes.
func (n Name) WireLen() int {
	if n == Root {
		return 1
	}
	return len(n) + 2 - 3*strings.Count(string(n), `\`)
}

// String is the text without the last dot.
func (n Name) String() string { return string(n) }

// Absolute is the text with the last dot, as master files have it.
func (n Name) Absolute() string {
	if n == Root {
		return "."
	}
	return string(n) + "."
}

// Parent is the name without its first label; of the root, the root.
func (n Name) Parent() Name {
	_, rest, ok := strings.Cut(string(n), ".")
	if !ok || rest == "" {
		return Root
	}
	return Name(rest)
}

// First is the first label; empty for the root.
func (n Name) First() string {
	if n == Root {
		return ""
	}
	label, _, _ := strings.Cut(string(n), ".")
	return label
}

// Under says whether n is zone or lies below it.
func (n Name) Under(zone Name) bool {
	if zone == Root || n == zone {
		return true
	}
	cut := len(n) - len(zone)
	return cut > 0 && n[cut-1] == '.' && n[cut:] == zone
}

// Join puts n under a domain.
func (n Name) Join(domain Name) (Name, error) {
	if domain == Root || n == Root {
		return max(n, domain), nil
	}
	joined := n + "." + domain
	if joined.WireLen() > NameBytesMax {
		return "", fmt.Errorf("name %q has %d bytes, at most %d", shorten(string(joined)), joined.WireLen(), NameBytesMax)
	}
	return joined, nil
}

// Labels counts the labels; 0 for the root.
func (n Name) Labels() int {
	if n == Root {
		return 0
	}
	return strings.Count(string(n), ".") + 1
}

// Wildcard says whether the first label is an asterisk.
func (n Name) Wildcard() bool { return n == "*" || strings.HasPrefix(string(n), "*.") }

// CompareCanonical orders names as RFC 4034 6.1 does: by labels from the root.
func CompareCanonical(a, b Name) int {
	la, lb := a.reversed(), b.reversed()
	for i := 0; i < len(la) && i < len(lb); i++ {
		if c := strings.Compare(la[i], lb[i]); c != 0 {
			return c
		}
	}
	return len(la) - len(lb)
}

// reversed gives the labels' bytes, the one next to the root first.
func (n Name) reversed() []string {
	wire := n.AppendWire(nil)
	var labels []string
	for wire[0] != 0 {
		labels = append(labels, string(wire[1:1+wire[0]]))
		wire = wire[1+wire[0]:]
	}
	for i, j := 0, len(labels)-1; i < j; i, j = i+1, j-1 {
		labels[i], labels[j] = labels[j], labels[i]
	}
	return labels
}
