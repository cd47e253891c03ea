package web

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/blobtest"
)

func TestKeysAreEscapedBehindTheBase(t *testing.T) {
	t.Parallel()
	l, err := newAllowList(Config{Bases: []string{"https://img.example.com/a%20b"}})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"k/1.jpg":        "https://img.example.com/a%20b/k/1.jpg",
		"a b?c=d#e":      "https://img.example.com/a%20b/a%20b%3Fc%3Dd%23e",
		"%2e%2e/x":       "https://img.example.com/a%20b/%252e%252e/x",
		"a%2fb":          "https://img.example.com/a%20b/a%252fb",
		"写真/1":           "https://img.example.com/a%20b/%E5%86%99%E7%9C%9F/1",
		"a\\..\\b":       "https://img.example.com/a%20b/a%5C..%5Cb",
		"@evil.com":      "https://img.example.com/a%20b/%40evil.com",
		"x:80/;a=b&c":    "https://img.example.com/a%20b/x%3A80/%3Ba%3Db%26c",
		".../..a/a..":    "https://img.example.com/a%20b/.../..a/a..",
		"http:/evil.com": "https://img.example.com/a%20b/http%3A/evil.com",
	} {
		got, err := l.targets(key, true)
		if err != nil || got[0].String() != want {
			t.Errorf("targets(%q) = %v, %v, want %s", key, got, err, want)
		}
	}
	for _, key := range append(blobtest.BadKeys(), "http://img.example.com/x", "HTTP://img.example.com/x") {
		if got, err := l.targets(key, false); !errors.Is(err, blob.ErrInvalidKey) {
			t.Errorf("targets(%.40q) = %v, %v, want ErrInvalidKey", key, got, err)
		}
	}
}

// spellings are URLs that would lead inside, or somewhere that is not listed,
// if any of the programs on the way read them kindly. list is what Hosts holds;
// %PORT% is the port of the server inside.
var spellings = []struct{ name, url string }{
	{"loopback", "http://127.0.0.1:%PORT%/"},
	{"loopback, another", "http://127.1.2.3:%PORT%/"},
	{"decimal", "http://2130706433:%PORT%/"},
	{"decimal, overflowing", "http://6425673729:%PORT%/"},
	{"octal", "http://0177.0.0.1:%PORT%/"},
	{"octal, long", "http://0000177.0000.0000.0001:%PORT%/"},
	{"octal, one number", "http://017700000001:%PORT%/"},
	{"hexadecimal", "http://0x7f000001:%PORT%/"},
	{"hexadecimal, dotted", "http://0x7f.0x0.0x0.0x1:%PORT%/"},
	{"hexadecimal, upper case", "http://0X7F000001:%PORT%/"},
	{"mixed bases", "http://0x7f.0.0.01:%PORT%/"},
	{"short, two parts", "http://127.1:%PORT%/"},
	{"short, three parts", "http://127.0.1:%PORT%/"},
	{"short, zero", "http://0:%PORT%/"},
	{"unspecified", "http://0.0.0.0:%PORT%/"},
	{"too many parts", "http://127.0.0.0.1:%PORT%/"},
	{"trailing dot", "http://127.0.0.1.:%PORT%/"},
	{"name with a trailing dot", "http://localhost.:%PORT%/"},
	{"name", "http://localhost:%PORT%/"},
	{"name in upper case", "http://LOCALHOST:%PORT%/"},
	{"listed name in upper case", "http://Allowed.Example:%PORT%/"},
	{"listed name with a trailing dot", "http://allowed.example.:%PORT%/"},
	{"listed name as a label of another", "http://allowed.example.evil.test:%PORT%/"},
	{"listed name as the end of another", "http://notallowed.example:%PORT%/"},
	{"below a listed name", "http://x.allowed.example:%PORT%/"},
	{"the bare name of a wildcard", "http://wild.example:%PORT%/"},
	{"the end of a wildcard without its dot", "http://evilwild.example:%PORT%/"},
	{"an empty label below a wildcard", "http://.wild.example:%PORT%/"},
	{"IPv6 loopback", "http://[::1]:%PORT%/"},
	{"IPv6 loopback, long", "http://[0:0:0:0:0:0:0:1]:%PORT%/"},
	{"IPv6 loopback, zeros", "http://[0000::0001]:%PORT%/"},
	{"IPv6 unspecified", "http://[::]:%PORT%/"},
	{"IPv6, mapped IPv4", "http://[::ffff:127.0.0.1]:%PORT%/"},
	{"IPv6, mapped IPv4 in hexadecimal", "http://[::ffff:7f00:1]:%PORT%/"},
	{"IPv6, compatible IPv4", "http://[::127.0.0.1]:%PORT%/"},
	{"IPv6, NAT64", "http://[64:ff9b::7f00:1]:%PORT%/"},
	{"IPv6, 6to4", "http://[2002:7f00:1::]:%PORT%/"},
	{"IPv6, Teredo", "http://[2001:0:7f00:1::]:%PORT%/"},
	{"IPv6, link-local with a zone", "http://[fe80::1%25lo]:%PORT%/"},
	{"IPv6, link-local", "http://[fe80::1]:%PORT%/"},
	{"IPv6, zone of loopback", "http://[::1%25lo]:%PORT%/"},
	{"IPv6 without brackets", "http://::1:%PORT%/"},
	{"brackets around a name", "http://[localhost]:%PORT%/"},
	{"brackets around IPv4", "http://[127.0.0.1]:%PORT%/"},
	{"metadata", "http://169.254.169.254/latest/meta-data/"},
	{"metadata, decimal", "http://2852039166/"},
	{"metadata, hexadecimal", "http://0xA9FEA9FE/"},
	{"metadata, mapped", "http://[::ffff:a9fe:a9fe]/"},
	{"metadata, IPv6", "http://[fd00:ec2::254]/"},
	{"metadata, a cloud's other", "http://100.100.100.200/"},
	{"private", "http://10.0.0.1:%PORT%/"},
	{"full-width digits", "http://１２７.０.０.１:%PORT%/"},
	{"full-width dots", "http://127。0。0。1:%PORT%/"},
	{"circled digits", "http://①②⑦.⓪.⓪.①:%PORT%/"},
	{"full-width name", "http://ｌｏｃａｌｈｏｓｔ:%PORT%/"},
	{"letters that look alike", "http://аllowed.example:%PORT%/"},
	{"punycode of those", "http://xn--llowed-3fg.example:%PORT%/"},
	{"soft hyphen", "http://local\u00adhost:%PORT%/"},
	{"escaped host", "http://%31%32%37.0.0.1:%PORT%/"},
	{"escaped dot in a host", "http://allowed%2eexample:%PORT%/"},
	{"escaped slash in a host", "http://127.0.0.1%2f.allowed.example:%PORT%/"},
	{"credentials", "http://allowed.example@127.0.0.1:%PORT%/"},
	{"credentials with a password", "http://allowed.example:80@127.0.0.1:%PORT%/"},
	{"credentials before a listed host", "http://user:secret@allowed.example:%PORT%/"},
	{"empty credentials", "http://@127.0.0.1:%PORT%/"},
	{"two at signs", "http://a@b@127.0.0.1:%PORT%/"},
	{"backslash before an at sign", "http://allowed.example\\@127.0.0.1:%PORT%/"},
	{"backslash for a slash", "http:\\\\127.0.0.1:%PORT%\\"},
	{"backslash behind a host", "http://127.0.0.1:%PORT%\\.allowed.example/"},
	{"fragment before an at sign", "http://allowed.example#@127.0.0.1:%PORT%/"},
	{"question mark before an at sign", "http://127.0.0.1:%PORT%?@allowed.example/"},
	{"line break in a host", "http://127.0.0.1\r\n.allowed.example:%PORT%/"},
	{"line break in a path", "http://allowed.example:%PORT%/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"},
	{"escaped line break in a path", "http://allowed.example:%PORT%/%0d%0aHost:%20127.0.0.1"},
	{"tab in a scheme", "ht\ttp://127.0.0.1:%PORT%/"},
	{"tab in a host", "http://127.0\t.0.1:%PORT%/"},
	{"space in a host", "http://127.0.0.1 :%PORT%/"},
	{"space before", " http://127.0.0.1:%PORT%/"},
	{"NUL in a host", "http://127.0.0.1\x00.allowed.example:%PORT%/"},
	{"escaped NUL in a path", "http://allowed.example:%PORT%/%00"},
	{"three slashes", "http:///127.0.0.1:%PORT%/"},
	{"one slash", "http:/127.0.0.1:%PORT%/"},
	{"no slash", "http:127.0.0.1:%PORT%/"},
	{"no scheme", "//127.0.0.1:%PORT%/"},
	{"no host", "http://:%PORT%/"},
	{"a URL in a URL", "http://http://127.0.0.1:%PORT%/"},
	{"file", "file:///etc/passwd"},
	{"gopher", "gopher://127.0.0.1:%PORT%/_x"},
	{"dict", "dict://127.0.0.1:%PORT%/x"},
	{"ftp", "ftp://127.0.0.1:%PORT%/"},
	{"jar", "jar:http://127.0.0.1:%PORT%/!/"},
	{"upper-case scheme", "HTTP://127.0.0.1:%PORT%/"},
	{"port of another service", "http://allowed.example:22/"},
	{"port with zeros", "http://allowed.example:0080/"},
	{"port out of range", "http://allowed.example:65616/"},
	{"port zero", "http://allowed.example:0/"},
	{"port with a sign", "http://allowed.example:+80/"},
	{"port that is none", "http://allowed.example:80:80/"},
	{"empty port", "http://allowed.example:/"},
	{"dots in a path", "http://allowed.example:%PORT%/a/../../x"},
	{"escaped dots in a path", "http://allowed.example:%PORT%/a/%2e%2E/x"},
	{"an escape that is none", "http://allowed.example:%PORT%/%zz"},
}

// TestSpellingsThatAreRefused asks the parser and the list alone; what gets past
// them is left to the guard (TestNothingInsideIsReached).
func TestSpellingsThatAreRefused(t *testing.T) {
	t.Parallel()
	l, err := newAllowList(Config{Hosts: []string{"allowed.example", "*.wild.example"}, Ports: []int{80, 443, 8080}, Schemes: []string{"http", "https"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(spellings) < 60 {
		t.Errorf("%d spellings, want at least 60", len(spellings))
	}
	for _, c := range spellings {
		text := strings.ReplaceAll(c.url, "%PORT%", "8080")
		if got, err := l.targets(text, true); !errors.Is(err, blob.ErrInvalidKey) {
			t.Errorf("%s: targets(%q) = %v, %v, want ErrInvalidKey", c.name, text, got, err)
		}
	}
	for _, good := range []string{
		"http://allowed.example/", "https://allowed.example", "http://allowed.example:8080/a/b.jpg?v=1&w=%20x", "http://a.wild.example/", "http://a.b.wild.example/x",
		"http://allowed.example:80/", "http://allowed.example/写真.jpg", "http://allowed.example/a b", "http://allowed.example?x",
	} {
		if _, err := l.targets(good, true); err != nil {
			t.Errorf("targets(%q) = %v", good, err)
		}
	}
}

func TestHostsThatAreListed(t *testing.T) {
	t.Parallel()
	l, err := newAllowList(Config{
		Bases: []string{"http://base.example:8000/x/"}, Hosts: []string{"*", "192.0.2.1", "one.example:99"}, Ports: []int{443}, Schemes: []string{"https"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"https://any.example/": true, "http://any.example/": false, "https://any.example:444/": false, "https://192.0.2.1/": true, "https://192.0.2.2/": false,
		"https://one.example:99/": true, "http://base.example:8000/x/y": true, "http://base.example:8000/y": false, "http://base.example:8000/x/..%2Fy": false, "http://base.example:8000/xy": false, "http://base.example:8001/x/y": false, "https://base.example:8000/": false,
		"https://[2001:db8::1]/": false,
	} {
		if _, err := l.targets(text, true); (err == nil) != want {
			t.Errorf("targets(%q) = %v, want allowed: %v", text, err, want)
		}
	}
}

// FuzzJoin holds that a key cannot leave the base, whatever it is.
func FuzzJoin(f *testing.F) {
	for _, key := range append(blobtest.BadKeys(), "a/b.jpg", "a?b#c", "%2e%2e/x", "a\\b", "//evil.test/x", "@evil.test", "é/ü") {
		f.Add(key)
	}
	base, err := parseBase("https://img.example.com:444/o/%41%2F/")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if blob.CheckKey(key) != nil {
			return
		}
		text := join(base.url, key).String()
		u, err := url.Parse(text)
		if err != nil {
			t.Fatalf("join(%q) = %q: %v", key, text, err)
		}
		if u.Scheme != "https" || u.Host != "img.example.com:444" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "" {
			t.Errorf("join(%q) = %q leaves its base", key, text)
		}
		rest, ok := strings.CutPrefix(u.EscapedPath(), "/o/%41%2F/")
		if plain, err := url.PathUnescape(rest); !ok || err != nil || plain != key {
			t.Errorf("join(%q) = %q, which means %q", key, text, plain)
		}
		if strings.Count(rest, "/") != strings.Count(key, "/") || strings.ContainsAny(text, "\r\n\\ ") {
			t.Errorf("join(%q) = %q", key, text)
		}
		if clean := u.JoinPath(); clean.Path != u.Path {
			t.Errorf("join(%q) = %q, which a server may read as %q", key, text, clean)
		}
	})
}

// FuzzParseURL holds that what the parser accepts means one thing only.
func FuzzParseURL(f *testing.F) {
	for _, c := range spellings {
		f.Add(strings.ReplaceAll(c.url, "%PORT%", "8080"))
	}
	f.Add("http://allowed.example/a b?c=d%20é")
	f.Add("https://[2606:4700::1111]:8443/x")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := parseURL(text)
		if err != nil {
			if !errors.Is(err, ErrRefused) {
				t.Errorf("parseURL(%q) = %v, want ErrRefused", text, err)
			}
			return
		}
		sent := a.url.String()
		u, err := url.Parse(sent)
		if err != nil {
			t.Fatalf("parseURL(%q) gives %q, which is none: %v", text, sent, err)
		}
		if u.Hostname() != a.host || u.User != nil || u.Fragment != "" || checkHost(a.host) != nil || a.port == 0 {
			t.Errorf("parseURL(%q) = host %q, port %d, but %q says host %q", text, a.host, a.port, sent, u.Hostname())
		}
		for i := range len(sent) {
			if sent[i] <= 0x20 || sent[i] >= 0x7f || sent[i] == '\\' {
				t.Errorf("parseURL(%q) sends %q", text, sent)
			}
		}
		again, err := parseURL(sent)
		if err != nil || again.url.String() != sent || again.host != a.host || again.port != a.port {
			t.Errorf("parseURL(%q) = %v, %v, want itself", sent, again, err)
		}
	})
}
