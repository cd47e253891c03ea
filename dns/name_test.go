package dns_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/kamado/kamado/dns"
)

func TestParseName(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 63)
	for _, c := range []struct {
		text string
		want dns.Name // empty: refused
	}{
		{"web.svc.test", "web.svc.test"},
		{"WEB.Svc.Test.", "web.svc.test"},
		{".", "."},
		{`a\.b.test`, `a\046b.test`},
		{`a\046b.test`, `a\046b.test`},
		{`\065bc.test`, "abc.test"},
		{`a\.`, `a\046`},
		{`a\\.`, `a\092`},
		{"*.svc.test", "*.svc.test"},
		{long + ".test", dns.Name(long + ".test")},
		{"", ""}, {"a..b", ""}, {".a", ""}, {long + "a.test", ""}, {`a\25`, ""}, {`a\256`, ""}, {`a\`, ""},
		{strings.Repeat(long+".", 4), ""},
	} {
		got, err := dns.ParseName(c.text)
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("ParseName(%q) = %q, %v, want %q", c.text, got, err, c.want)
		}
	}
}

func TestResolveName(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]dns.Name{
		"web": "web.svc.test", "web.svc.test": "web.svc.test", "web.": "web", "svc.test": "svc.test", "@": "svc.test", "a.other.test": "a.other.test.svc.test", "a.other.test.": "a.other.test",
	} {
		if got, err := dns.ResolveName(text, "svc.test"); err != nil || got != want {
			t.Errorf("ResolveName(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
}

func TestUnder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, zone dns.Name
		want       bool
	}{{"a.b", "b", true}, {"b", "b", true}, {"ab", "b", false}, {"b", "a.b", false}, {"a.b", ".", true}} {
		if got := c.name.Under(c.zone); got != c.want {
			t.Errorf("%q.Under(%q) = %v, want %v", c.name, c.zone, got, c.want)
		}
	}
}

// FuzzName: what is a name has one text and one wire form, and each gives the other.
func FuzzName(f *testing.F) {
	for _, seed := range []string{"web.svc.test", ".", `a\046b\000.test`, "*.x", "A.B"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := dns.ParseName(text)
		if err != nil {
			return
		}
		wire := n.AppendWire(nil)
		if len(wire) != n.WireLen() || len(wire) > dns.NameBytesMax {
			t.Fatalf("%q has %d bytes, WireLen says %d", n, len(wire), n.WireLen())
		}
		back, rest, err := dns.NameFromWire(append(bytes.Clone(wire), 7))
		if err != nil || back != n || len(rest) != 1 {
			t.Fatalf("NameFromWire(%q) = %q, %v, %v", wire, back, rest, err)
		}
		again, err := dns.ParseName(n.Absolute())
		if err != nil || again != n {
			t.Fatalf("ParseName(%q) = %q, %v", n.Absolute(), again, err)
		}
	})
}
