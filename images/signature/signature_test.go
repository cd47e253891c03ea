package signature_test

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/signature"
)

const (
	key1 = "00112233445566778899aabbccddeeff"
	key2 = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"
)

func keys(t *testing.T, file string) *signature.Keys {
	t.Helper()
	k, err := signature.Parse(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestVerify(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	const canonical = "/recipes/1/480x360cq70/.jpg"
	older, newer := keys(t, key1), keys(t, "# the new one first\n"+key2+"\n\n"+key1+"\n")
	for _, c := range []struct {
		name string
		keys *signature.Keys
		req  images.Request
		part string // empty: it is valid
	}{
		{"a signature by the only key", older, images.Request{Canonical: canonical, Signature: older.Sign(canonical)}, ""},
		{"a signature by the first of two keys", newer, images.Request{Canonical: canonical, Signature: newer.Sign(canonical)}, ""},
		{"a signature by the key on its way out", newer, images.Request{Canonical: canonical, Signature: older.Sign(canonical)}, ""},
		{"a signature by a key that is not known yet", older, images.Request{Canonical: canonical, Signature: newer.Sign(canonical)}, "signature"},
		{"no signature", older, images.Request{Canonical: canonical}, "signature"},
		{"a signature of another size", older, images.Request{Canonical: canonical, Signature: older.Sign("/recipes/1/481x360cq70/.jpg")}, "signature"},
		{"half a signature", older, images.Request{Canonical: canonical, Signature: older.Sign(canonical)[:16]}, "signature"},
		{"a signature in capitals", older, images.Request{Canonical: canonical, Signature: strings.ToUpper(older.Sign(canonical))}, "signature"},
		{"a signature that has not expired", older, images.Request{Canonical: canonical, Signature: older.Sign(canonical), Expires: now.Add(time.Second)}, ""},
		{"a signature that expires now", older, images.Request{Canonical: canonical, Signature: older.Sign(canonical), Expires: now}, "expiry"},
		{"a wrong signature that has expired", older, images.Request{Canonical: canonical, Signature: "0", Expires: now}, "signature"},
	} {
		err := c.keys.Verify(&c.req, now)
		switch e, _ := err.(*images.Error); {
		case c.part == "" && err != nil:
			t.Errorf("%s: %v, want it valid", c.name, err)
		case c.part != "" && (e == nil || e.Kind != images.Denied || e.Part != c.part):
			t.Errorf("%s: %v, want it denied for its %s", c.name, err, c.part)
		}
	}
}

func TestParseRefusesWeakAndBrokenFiles(t *testing.T) {
	for file, want := range map[string]string{
		"":                            "no key",
		"# nothing\n":                 "no key",
		"secret\n":                    "line 1",
		key1 + "\n00112233\n":         "line 2: a key has 16",
		key1 + "0\n":                  "line 1",
		strings.Repeat(key1+"\n", 65): "more than 64",
		strings.Repeat("00", 2000):    "1024",
		strings.Repeat("0", 100_000):  "too long",
	} {
		_, err := signature.Parse(strings.NewReader(file))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse of %.20q...: %v, want an error that says %q", file, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error repeats the line: %v", err)
		}
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	k := keys(t, key1)
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("loaded", "keys", k)
	for _, text := range []string{fmt.Sprint(k), fmt.Sprintf("%+v %#v %s", k, k, k), log.String()} {
		if strings.Contains(text, key1[:8]) || strings.Contains(text, "0x11") || strings.Contains(text, "17 34") {
			t.Errorf("a key is in %q", text)
		}
	}
}

// TestOtherLanguagesSignTheSame runs the reference page's snippets.
func TestOtherLanguagesSignTheSame(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/images-urls.md")
	if err != nil {
		t.Fatal(err)
	}
	const canonical = "/recipes/1/480x360cq70/.jpg?p=1366300000"
	want := keys(t, key2).Sign(canonical)
	for _, c := range []struct{ language, needs, interpreter, file string }{
		{"python", "python3", "python3", "sign.py"},
		{"sh", "openssl", "sh", "sign.sh"},
	} {
		t.Run(c.language, func(t *testing.T) {
			if _, err := exec.LookPath(c.needs); err != nil {
				t.Skipf("needs %s (./setup test installs it)", c.needs)
			}
			block := regexp.MustCompile("(?s)<!-- sign -->\n```" + c.language + "\n(.*?)```").FindSubmatch(page)
			if block == nil {
				t.Fatalf("the page has no %s snippet", c.language)
			}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "keys.txt"), []byte("# first signs\n"+key2+"\n"+key1+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, c.file), block[1], 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), c.interpreter, c.file, "keys.txt", canonical)
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != want {
				t.Errorf("%s signs %q, %v, want %q", c.language, out, err, want)
			}
		})
	}
}

// FuzzParse: whatever is in a file of keys, it is refused or it signs what it verifies, and no error repeats it.
func FuzzParse(f *testing.F) {
	f.Add("# a comment\n" + key1 + "\n\n" + key2 + "\n")
	f.Add("00")
	f.Add(strings.ToUpper(key2) + "\r\n")
	f.Fuzz(func(t *testing.T, file string) {
		k, err := signature.Parse(strings.NewReader(file))
		if err != nil {
			if long := longestWord(file); len(long) >= 16 && strings.Contains(err.Error(), long) {
				t.Fatalf("the error repeats the file: %v", err)
			}
			return
		}
		req := images.Request{Canonical: file, Signature: k.Sign(file)}
		if err := k.Verify(&req, time.Unix(0, 0)); err != nil {
			t.Fatalf("what was signed is not valid: %v", err)
		}
	})
}

func longestWord(s string) (long string) {
	for word := range strings.FieldsSeq(s) {
		if len(word) > len(long) {
			long = word
		}
	}
	return long
}
