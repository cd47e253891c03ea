package message_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/message"
)

const head = "$TTL 1h\n@ IN SOA ns hostmaster 1 2 3 4 5\n@ NS ns\n"

func readZone(text string) (message.ZoneFile, error) {
	return message.ReadZone(strings.NewReader(text), "static.test", "")
}

// rows are the records of a zone as lines.
func rows(t *testing.T, z message.ZoneFile) []string {
	t.Helper()
	var b bytes.Buffer
	if err := message.WriteZone(&b, z); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(strings.ReplaceAll(b.String(), "\t", " ")), "\n")
}

func TestZoneFileIsRead(t *testing.T) {
	t.Parallel()
	z, err := readZone(`; a comment
$ORIGIN static.test.
@	3600	IN	SOA	NS hostmaster (
		2026112801 ; serial
		1h 15m 1w
		60 )
	NS ns
	IN NS ns2.other.
$TTL 300
ns	A	192.0.2.1 ; with a comment
	60 IN AAAA 2001:db8::1
WWW	IN 60 CNAME ns
txt	TXT	"a;b (c)" "d\"e" f\;g
*.wild	A 192.0.2.2
	A 192.0.2.2
$ORIGIN sub
a\.b	A 192.0.2.3
@	1d TXT (
 "one"
 "two" )
$ORIGIN static.test.
$GENERATE 1-3 host$ A 192.0.2.${100,0,d}
$GENERATE 10-14/2 ${0,4,x} CNAME host1
u	TYPE65280 \# 2 0A0B
`)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(`
static.test. 3600 IN SOA ns.static.test. hostmaster.static.test. 2026112801 3600 900 604800 60
static.test. 3600 IN NS ns.static.test.
static.test. 3600 IN NS ns2.other.
000a.static.test. 300 IN CNAME host1.static.test.
000c.static.test. 300 IN CNAME host1.static.test.
000e.static.test. 300 IN CNAME host1.static.test.
host1.static.test. 300 IN A 192.0.2.101
host2.static.test. 300 IN A 192.0.2.102
host3.static.test. 300 IN A 192.0.2.103
ns.static.test. 300 IN A 192.0.2.1
ns.static.test. 60 IN AAAA 2001:db8::1
sub.static.test. 86400 IN TXT "one" "two"
a\046b.sub.static.test. 300 IN A 192.0.2.3
txt.static.test. 300 IN TXT "a;b (c)" "d\"e" "f;g"
u.static.test. 300 IN TYPE65280 \# 2 0A0B
*.wild.static.test. 300 IN A 192.0.2.2
www.static.test. 60 IN CNAME ns.static.test.
`), "\n")
	if got := rows(t, z); !slices.Equal(got, want) {
		t.Errorf("zone:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestWhatIsWrongWithAZoneIsSaidWithItsLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"no SOA":                       {"$TTL 1\n@ NS ns\n", "zone static.test:1: no SOA at static.test"},
		"no NS":                        {"$TTL 1\n@ SOA a b 1 2 3 4 5\n", ":1: no NS at static.test"},
		"a second SOA":                 {head + "@ SOA ns x 1 2 3 4 5\n", ":4: a second SOA"},
		"an SOA below":                 {head + "a SOA ns x 1 2 3 4 5\n", ":4: an SOA at a.static.test"},
		"a name outside":               {head + "a.other. A 1.2.3.4\n", ":4: a.other does not lie in the zone static.test"},
		"bad data":                     {head + "a A 1.2.3\n", `:4: A: "1.2.3" is no address`},
		"a bad type":                   {head + "a AX 1.2.3.4\n", `:4: "AX" is no record type`},
		"a class of others":            {head + "a CH TXT x\n", ":4: class CH"},
		"no TTL anywhere":              {"a A 1.2.3.4\n", ":1: a record without a TTL"},
		"a TTL out of range":           {head + "a 2147483648 A 1.2.3.4\n", ":4: a TTL of 2147483648"},
		"different TTLs":               {head + "a 1 A 1.2.3.4\na 2 A 1.2.3.5\n", ":5: a.static.test A has the TTL 2 here and 1 at zone static.test:4"},
		"a CNAME and others":           {head + "a CNAME b\nb A 1.2.3.4\na A 1.2.3.4\n", ":6: a.static.test has A here and a CNAME at zone static.test:4"},
		"two CNAMEs":                   {head + "a CNAME b\na CNAME c\n", ":5: a second CNAME"},
		"data below a DNAME":           {head + "a DNAME b.\nx.a A 1.2.3.4\n", ":5: x.a.static.test lies below the DNAME"},
		"no owner":                     {" A 1.2.3.4\n", ":1: a record without an owner"},
		"an open parenthesis":          {head + "a A (\n1.2.3.4\n", ":4: an opening parenthesis"},
		"a closing one":                {head + "a A 1.2.3.4 )\n", ":4: a closing parenthesis"},
		"an open quote":                {head + "a TXT \"x\n\"\n", ":4: a quoted string that does not end"},
		"a control character":          {head + "a TXT x\x01\n", ":4: the control character 0x01"},
		"an unknown directive":         {head + "$FOO x\n", `:4: "$FOO" is none of`},
		"a bad origin":                 {head + "$ORIGIN a..b\n", ":4: name"},
		"a bad $TTL":                   {"$TTL x\n", ":1: $TTL wants a time"},
		"an include of text":           {head + "$INCLUDE x\n", ":4: $INCLUDE: this text is no file"},
		"a generator that is too long": {head + "$GENERATE 0-65536 a$ A 1.2.3.4\n", ":4: $GENERATE of 65537 records, at most 65536"},
		"a generator without a range":  {head + "$GENERATE x a$ A 1.2.3.4\n", ":4: $GENERATE wants a range"},
		"a generator of bad records":   {head + "$GENERATE 250-260 a$ A 1.2.3.$\n", ":4: $GENERATE at 256: A:"},
		"a generator below zero":       {head + "$GENERATE 0-1 a${-1} A 1.2.3.4\n", ":4: $GENERATE: ${-1}"},
		"a long entry":                 {head + "a TXT " + strings.Repeat("a", 70_000) + "\n", ":4: an entry of more than"},
		"many lines of one entry":      {head + "a TXT (" + strings.Repeat("a\n", 70_000) + ")\n", "an entry of more than"},
		"a type without data":          {head + "a A\n", ":4: A:"},
		"nothing but a name":           {head + "a\n", ":4: a record without a type"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := readZone(c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) || dns.KindOf(err) != dns.Invalid {
				t.Errorf("ReadZone = %v (%v)\nwant %q", err, dns.KindOf(err), c.want)
			}
		})
	}
}

func TestComplaintsOfAZoneComeAtOnceAndAreBounded(t *testing.T) {
	t.Parallel()
	_, err := readZone(head + "a A x\nb A 1.2.3.4\nc A y\n")
	if err == nil || strings.Count(err.Error(), "\n") != 1 || !strings.Contains(err.Error(), ":4:") || !strings.Contains(err.Error(), ":6:") {
		t.Errorf("two complaints = %v", err)
	}
	_, err = readZone(head + strings.Repeat("a A x\n", 1000))
	if err == nil || strings.Count(err.Error(), "\n") != 20 || !strings.HasSuffix(err.Error(), "and more: the first 20 are listed") {
		t.Errorf("a thousand complaints = %v", err)
	}
}

func TestZoneIsBounded(t *testing.T) {
	t.Parallel()
	text := head + "$GENERATE 1-98 a$ A 192.0.2.1\n"
	if _, err := message.ReadZoneWithin(strings.NewReader(text), "static.test", "", message.ZoneBytesMax, 100); err != nil {
		t.Errorf("as many records as may be = %v", err)
	}
	if _, err := message.ReadZoneWithin(strings.NewReader(text+"b A 192.0.2.1\n"), "static.test", "", message.ZoneBytesMax, 100); dns.KindOf(err) != dns.TooLarge {
		t.Errorf("a record more = %v", err)
	}
	endless := io.MultiReader(strings.NewReader(head), zeros{})
	if _, err := message.ReadZoneWithin(endless, "static.test", "", 1<<20, 100); dns.KindOf(err) != dns.TooLarge {
		t.Errorf("an endless file = %v", err)
	}
}

// zeros is a file of comments without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ';'
		if i%80 == 79 {
			p[i] = '\n'
		}
	}
	return len(p), nil
}

func TestIncludeStaysInItsDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("secret", "s A 192.0.2.66\n")
	write("zones/sub/more", "b A 192.0.2.2\n$INCLUDE deep\n")
	write("zones/sub/deep", "c A 192.0.2.3\n")
	write("zones/bad", "\nx A y\n")
	write("zones/loop", "$INCLUDE loop\n")
	if err := os.Symlink("../secret", filepath.Join(dir, "zones", "link")); err != nil {
		t.Fatal(err)
	}
	read := func(text string) (message.ZoneFile, error) {
		return message.ReadZone(strings.NewReader(text), "static.test", filepath.Join(dir, "zones", "zone"))
	}
	z, err := read(head + "a A 192.0.2.1\n$INCLUDE sub/more below\n TXT after\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"a.static.test. 3600 IN A 192.0.2.1", `a.static.test. 3600 IN TXT "after"`, "b.below.static.test. 3600 IN A 192.0.2.2", "c.below.static.test. 3600 IN A 192.0.2.3"}
	if got := rows(t, z)[2:]; !slices.Equal(got, want) {
		t.Errorf("zone with included files:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for file, why := range map[string]string{
		"../secret": "only files in the directory", filepath.Join(dir, "secret"): "only files in the directory", "link": "escapes",
		"sub": "no regular file", "none": "no such file", "loop": "files within files", "bad": "zones/bad:2: A:",
	} {
		if _, err := read(head + "$INCLUDE " + file + "\n"); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("$INCLUDE %s = %v, want %q", file, err, why)
		}
	}
}

func FuzzZone(f *testing.F) {
	f.Add(head + "a A 1.2.3.4\n\tTXT (\"x\"\n y) ; z\n")
	f.Add(head + "$ORIGIN a\n$GENERATE 1-4/2 ${1,2,n} CNAME b$\n")
	f.Add(head + "a\\.b 1h IN TYPE1 \\# 4 01020304\n")
	f.Add(head + "* DNAME x.\n@ CAA 0 issue \"a;b\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(strings.ToUpper(text), "$GENERATE") && len(text) > 200 {
			return // many generators are slow, not wrong
		}
		z, err := readZone(text)
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := message.WriteZone(&b, z); err != nil {
			t.Fatal(err)
		}
		again, err := readZone(b.String())
		if err != nil || len(again.RRs) != len(z.RRs) {
			t.Fatalf("%d records, and %d of what was written: %v\n%s", len(z.RRs), len(again.RRs), err, b.String())
		}
	})
}
