package credential_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/credential"
	"github.com/kamado/kamado/dns/field"
)

var (
	key   = credential.Key{1, 2, 3}
	other = credential.Key{4, 5, 6}
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

func text(k credential.Key) string { return base64.StdEncoding.EncodeToString(k[:]) }

func TestParseKeys(t *testing.T) {
	t.Parallel()
	long := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{9}, 33))
	url := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 32))
	for _, c := range []struct {
		name, text string
		want       int
		err        string
	}{
		{"one key", text(key), 1, ""},
		{"two keys with words around them", "# ring\n\n" + text(key) + " # in use\n" + text(other) + "\n", 2, ""},
		{"the other alphabet, without padding", url, 1, ""},
		{"windows line ends", text(key) + "\r\n", 1, ""},
		{"nothing", "\n# none\n", 0, "no key in it"},
		{"no base64", "hello world", 0, "line 1: not base64"},
		{"too short", text(key) + "\n" + base64.StdEncoding.EncodeToString([]byte("short")), 0, "line 2: base64 of 5 bytes, want 32"},
		{"too long", long, 0, "base64 of 33 bytes, want 32"},
		{"the same key twice", text(key) + "\n" + text(key), 0, "line 2: the same key twice"},
		{"zeros", text(credential.Key{}), 0, "a key of zeros"},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys, err := credential.ParseKeys(c.text)
			if c.err == "" && (err != nil || len(keys) != c.want) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("ParseKeys(%q) = %d keys, %v, want %d, %q", c.text, len(keys), err, c.want, c.err)
			}
			if err != nil && strings.Contains(err.Error(), text(key)) {
				t.Errorf("the error tells a key: %v", err)
			}
		})
	}
	var many strings.Builder
	for i := range credential.KeysMax + 1 {
		many.WriteString(text(credential.Key{1, byte(i)}) + "\n")
	}
	if _, err := credential.ParseKeys(many.String()); err == nil {
		t.Error("one key too many is read")
	}
	if got, err := credential.ParseKeys(credential.FormatKeys([]credential.Key{key, other})); err != nil || !slices.Equal(got, []credential.Key{key, other}) {
		t.Errorf("what FormatKeys wrote is read as %d keys, %v", len(got), err)
	}
}

// What is derived from key; the first one is also what Python's hmac makes of RFC 5869.
const (
	wantGossip = "7401c91463d17b26b1aa0abc52e944e53fce624569ca4e00ae9ad4d6013407fb"
	wantPublic = "3789f35345e20462378004105282d441f9bd221d986bbcc87fa2e68e239bf557"
)

// TestDerived holds what is derived from a key: members of all releases must derive the same.
func TestDerived(t *testing.T) {
	t.Parallel()
	if got := fmt.Sprintf("%x", key.Gossip()); got != wantGossip {
		t.Errorf("Gossip = %s", got)
	}
	if got := fmt.Sprintf("%x", key.Public()); got != wantPublic {
		t.Errorf("Public = %s", got)
	}
	if a, b := credential.NewKey(), credential.NewKey(); a == b || bytes.Equal(key.Gossip(), other.Gossip()) {
		t.Error("two keys are one")
	}
}

func issued(t testing.TB, c dns.Certificate) dns.Certificate {
	t.Helper()
	c.Key = bytes.Repeat([]byte{7}, 32)
	c, err := key.Issue(c)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func narrow() dns.Certificate {
	return dns.Certificate{
		Node: "n1", Names: []string{"web.svc.test", "*.db.svc.test"}, Ranges: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")},
		Issued: noon, Expires: noon.Add(time.Hour),
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	ring := [][]byte{other.Public(), key.Public()}
	good := issued(t, narrow())
	for _, c := range []struct {
		name   string
		change func(*dns.Certificate)
		ring   [][]byte
		at     time.Time
		want   string // in the error; empty: none
	}{
		{"good", func(*dns.Certificate) {}, ring, noon, ""},
		{"a little before it was issued, by another clock", func(*dns.Certificate) {}, ring, noon.Add(-time.Minute), ""},
		{"expired", func(*dns.Certificate) {}, ring, noon.Add(time.Hour), "expired at 2026-03-01T13:00:00Z"},
		{"to come", func(*dns.Certificate) {}, ring, noon.Add(-2 * time.Hour), "is a clock wrong?"},
		{"an issuer that is not trusted", func(*dns.Certificate) {}, ring[:1], noon, "not in the ring"},
		{"no ring", func(*dns.Certificate) {}, nil, noon, "not in the ring"},
		{"another issuer named", func(c *dns.Certificate) { c.Issuer = other.Public() }, ring, noon, "wrong signature"},
		{"another node", func(c *dns.Certificate) { c.Node = "n2" }, ring, noon, "wrong signature"},
		{"more names", func(c *dns.Certificate) { c.Names = []string{"*"} }, ring, noon, "wrong signature"},
		{"more addresses", func(c *dns.Certificate) { c.Ranges = c.Ranges[:1] }, ring, noon, "wrong signature"},
		{"zones", func(c *dns.Certificate) { c.Zones = true }, ring, noon, "wrong signature"},
		{"administration", func(c *dns.Certificate) { c.Admin = true }, ring, noon, "wrong signature"},
		{"another key", func(c *dns.Certificate) { c.Key = bytes.Repeat([]byte{8}, 32) }, ring, noon, "wrong signature"},
		{"a longer life", func(c *dns.Certificate) { c.Expires = time.Time{} }, ring, noon, "wrong signature"},
		{"a younger age", func(c *dns.Certificate) { c.Issued = noon.Add(time.Second) }, ring, noon, "wrong signature"},
		{"no signature", func(c *dns.Certificate) { c.Sig = nil }, ring, noon, "wrong signature"},
		{"a short key", func(c *dns.Certificate) { c.Key = c.Key[:31] }, ring, noon, "nonsense"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cert := good
			c.change(&cert)
			err := credential.Verify(cert, c.ring, c.at)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || dns.KindOf(err) != dns.Denied) {
				t.Errorf("Verify = %v, want %q", err, c.want)
			}
		})
	}
}

func TestIssueRefusesNonsense(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*dns.Certificate){
		"no node":                 func(c *dns.Certificate) { c.Node = "" },
		"a pattern of two lines":  func(c *dns.Certificate) { c.Names = []string{"a\nprivate"} },
		"a bad pattern":           func(c *dns.Certificate) { c.Names = []string{"a.*.b"} },
		"too many names":          func(c *dns.Certificate) { c.Names = slices.Repeat([]string{"x"}, dns.PatternsMax+1) },
		"a range that is none":    func(c *dns.Certificate) { c.Ranges = []netip.Prefix{{}} },
		"no date":                 func(c *dns.Certificate) { c.Issued = time.Time{} },
		"an end before the start": func(c *dns.Certificate) { c.Expires = c.Issued },
		"no key":                  func(c *dns.Certificate) { c.Key = nil },
	} {
		c := narrow()
		c.Key = bytes.Repeat([]byte{7}, 32)
		change(&c)
		if _, err := key.Issue(c); dns.KindOf(err) != dns.Invalid {
			t.Errorf("%s: Issue = %v", name, err)
		}
	}
	big := narrow()
	big.Key = bytes.Repeat([]byte{7}, 32)
	big.Names = slices.Repeat([]string{strings.Repeat("a.", 100) + "test"}, dns.PatternsMax)
	if _, err := key.Issue(big); dns.KindOf(err) != dns.TooLarge {
		t.Errorf("a large certificate: %v", err)
	}
}

// TestFieldsOfLaterReleases wants that a certificate with more in it is believed as a whole.
func TestFieldsOfLaterReleases(t *testing.T) {
	t.Parallel()
	b := credential.Encode(issued(t, narrow()))
	c, err := credential.Decode(append(field.AppendString(nil, 99, "later"), b...))
	if err != nil || c.Node != "n1" {
		t.Errorf("Decode = %+v, %v", c, err)
	}
	if _, err := credential.VerifyEncoded(append(field.AppendString(nil, 99, "later"), b...), [][]byte{key.Public()}); err == nil {
		t.Error("bytes that were not signed are believed")
	}
}

func TestFull(t *testing.T) {
	t.Parallel()
	c := issued(t, credential.Full("n1", noon))
	for _, rr := range []dns.RR{
		dns.AddrRR("web.svc.test", netip.MustParseAddr("127.0.0.1"), 5),
		dns.AddrRR("svc.test", netip.MustParseAddr("2001:db8::1"), 5),
		{Name: "1.0.0.10.in-addr.arpa", Type: dns.TypePTR, Data: []byte{0}},
	} {
		if err := errors.Join(c.Allows(rr), c.AllowsZone(rr.Name)); err != nil {
			t.Errorf("Allows(%v) = %v", rr, err)
		}
	}
	if !c.Admin || credential.Verify(c, [][]byte{key.Public()}, noon.AddDate(50, 0, 0)) != nil {
		t.Errorf("Full = %+v", c)
	}
}

func TestIdentityOnDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "member.key")
	if _, err := credential.LoadIdentity(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LoadIdentity of nothing = %v", err)
	}
	id, err := credential.NewIdentity(narrow(), key.Issue)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // over what is there, too
		if err := id.Save(path); err != nil {
			t.Fatal(err)
		}
	}
	if st, err := os.Stat(path); err != nil || st.Mode() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Errorf("%v lie about", names)
	}
	got, err := credential.LoadIdentity(path)
	if err != nil || !bytes.Equal(got.Sign([]byte("x")), id.Sign([]byte("x"))) || credential.Verify(got.Cert, [][]byte{key.Public()}, noon) != nil {
		t.Errorf("LoadIdentity = %v, %v", got, err)
	}
	if err := id.Save(filepath.Join(dir, "none", "member.key")); err == nil {
		t.Error("saved into a folder that is not there")
	}
	again, err := id.Recertify(credential.Full("n1", noon), other.Issue)
	if err != nil || !bytes.Equal(again.Public(), id.Public()) || bytes.Equal(again.Cert.Sig, id.Cert.Sig) {
		t.Errorf("Recertify = %v, %v", again, err)
	}
}

func TestMemberFile(t *testing.T) {
	t.Parallel()
	m, err := credential.NewMemberFile([]credential.Key{key, other}, narrow())
	if err != nil {
		t.Fatal(err)
	}
	written := m.Format()
	got, err := credential.ParseMemberFile(written)
	if err != nil || len(got.Gossip) != 2 || !bytes.Equal(got.Gossip[0], key.Gossip()) || !bytes.Equal(got.Issuers[1], other.Public()) {
		t.Fatalf("ParseMemberFile = %v, %v", got, err)
	}
	if strings.Contains(written, text(key)) {
		t.Error("the cluster's key is in a member file")
	}
	stranger, err := credential.NewMemberFile([]credential.Key{other}, narrow())
	if err != nil {
		t.Fatal(err)
	}
	lineOf := func(text, word string) string {
		for l := range strings.Lines(text) {
			if strings.HasPrefix(l, word+" ") {
				return l
			}
		}
		return ""
	}
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "no line \"private\""},
		{"a member.key", m.Identity.Format(), "is this a member.key"},
		{"another private key", strings.Replace(written, lineOf(written, "private"), lineOf(stranger.Format(), "private"), 1), "of another private key"},
		{"an unknown word", written + "color blue\n", "line "},
		{"a short key", written + "gossip AAAA\n", "followed by 3 bytes, want 32"},
		{"no base64", written + "gossip ***\n", "not followed by base64"},
		{"a certificate of a key that is not in it", strings.ReplaceAll(written, lineOf(written, "issuer"), lineOf(stranger.Format(), "issuer")), "not in the ring"},
		{"too large", strings.Repeat("#\n", 40<<10), "at most"},
	} {
		if _, err := credential.ParseMemberFile(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestSealedKey(t *testing.T) {
	t.Parallel()
	sealed := key.Seal(other)
	if got, err := key.Open(sealed); err != nil || got != other {
		t.Errorf("Open = %v", err)
	}
	gossip, issuer, err := credential.OpenGossip(key.Gossip(), sealed)
	if err != nil || !bytes.Equal(gossip, other.Gossip()) || !bytes.Equal(issuer, other.Public()) {
		t.Errorf("OpenGossip = %v", err)
	}
	if _, err := other.Open(sealed); dns.KindOf(err) != dns.Denied {
		t.Errorf("Open with another key = %v", err)
	}
	if _, err := credential.Key(key.Gossip()).Open(sealed); err == nil {
		t.Error("who holds the gossip key alone can open the cluster's key")
	}
	for n := range sealed {
		bad := bytes.Clone(sealed)
		bad[n] ^= 1
		_, errKey := key.Open(bad)
		_, _, errGossip := credential.OpenGossip(key.Gossip(), bad)
		if errKey == nil && errGossip == nil {
			t.Fatalf("byte %d changed, and nobody saw", n)
		}
	}
	if _, err := key.Open(nil); err == nil {
		t.Error("nothing is opened")
	}
}

func TestNothingSecretInLogs(t *testing.T) {
	t.Parallel()
	m, err := credential.NewMemberFile([]credential.Key{key}, narrow())
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, nil))
	log.Info("x", "key", key, "id", m.Identity, "file", m)
	fmt.Fprintf(&out, "%v %s %+v %v %v", key, key, m.Identity, m, []any{key, m.Identity})
	for l := range strings.Lines(m.Format()) {
		if _, secret, ok := strings.Cut(strings.TrimSpace(l), " "); ok && (strings.HasPrefix(l, "private") || strings.HasPrefix(l, "gossip")) && strings.Contains(out.String(), secret) {
			t.Errorf("the log has %s", l)
		}
	}
	if strings.Contains(out.String(), text(key)) || strings.Contains(out.String(), "[1 2 3") {
		t.Errorf("the log has the cluster's key: %s", &out)
	}
}

func FuzzCertificate(f *testing.F) {
	full, small := credential.Full("n1", noon), narrow()
	for _, c := range []dns.Certificate{full, small} {
		f.Add(credential.Encode(issued(f, c)))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := credential.Decode(b)
		if err != nil {
			return
		}
		again, err := credential.Decode(credential.Encode(c))
		if err != nil || again.Node != c.Node || !slices.Equal(again.Names, c.Names) || !slices.Equal(again.Ranges, c.Ranges) || !again.Issued.Equal(c.Issued) {
			t.Errorf("%+v was written as %+v, %v", c, again, err)
		}
		if v, err := credential.VerifyEncoded(b, [][]byte{key.Public()}); err == nil && v.Node != "n1" {
			t.Errorf("believed: %+v", v)
		}
	})
}

func FuzzFiles(f *testing.F) {
	m, err := credential.NewMemberFile([]credential.Key{key}, narrow())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m.Format())
	f.Add(m.Identity.Format())
	f.Add(credential.FormatKeys([]credential.Key{key}))
	f.Fuzz(func(t *testing.T, text string) {
		if keys, err := credential.ParseKeys(text); err == nil {
			if again, err := credential.ParseKeys(credential.FormatKeys(keys)); err != nil || !slices.Equal(keys, again) {
				t.Errorf("keys of %q: %v", text, err)
			}
		}
		if m, err := credential.ParseMemberFile(text); err == nil {
			if _, err := credential.ParseMemberFile(m.Format()); err != nil {
				t.Errorf("a member file that was read and written: %v", err)
			}
		}
		if id, err := credential.ParseIdentity(text); err == nil {
			if _, err := credential.ParseIdentity(id.Format()); err != nil {
				t.Errorf("an identity that was read and written: %v", err)
			}
		}
	})
}
