package message_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/message"
)

func TestKeyFilesAreRead(t *testing.T) {
	t.Parallel()
	keys, err := message.ParseKeys(`
# made by tsig-keygen
key "Update.Example" {
	algorithm hmac-sha256;
	secret "c2VjcmV0Li9zZWNyZXQrLy9zZWNyZXQ=";
};
// another
key bare. { algorithm "HMAC-SHA512."; secret YWJj/w==; names "*.dyn.svc.test" www.svc.test; }; /* and
more */ key x { algorithm hmac-sha1; secret "YQ=="; };
line:hmac-sha384:YWJj//==
hmac-sha224:dig:YWJj
`, "keys")
	if err != nil {
		t.Fatal(err)
	}
	for name, algorithm := range map[dns.Name]dns.Name{
		"update.example": "hmac-sha256", "bare": "hmac-sha512", "x": "hmac-sha1", "line": "hmac-sha384", "dig": "hmac-sha224",
	} {
		if k := keys[name]; k.Algorithm != algorithm || len(k.Secret) == 0 {
			t.Errorf("key %s = %v, want %s", name, k, algorithm)
		}
	}
	if len(keys) != 5 {
		t.Errorf("keys = %v", keys)
	}
	bare := keys["bare"]
	if !bare.May("a.dyn.svc.test") || !bare.May("www.svc.test") || bare.May("svc.test") || !keys["x"].May("svc.test") {
		t.Error("the names of a key do not decide")
	}
	for _, text := range []string{fmt.Sprint(bare), fmt.Sprintf("%+v %#v", bare, keys), bare.LogValue().String()} {
		if strings.Contains(text, "97 98 99") || strings.Contains(text, "abc") || strings.Contains(text, "0x61") {
			t.Errorf("the secret is shown: %s", text)
		}
	}
}

func TestBadKeyFilesAreRefusedWithTheirLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"\nkey a { algorithm hmac-md5; secret YQ==; };":                "keys:2: key a: algorithm \"hmac-md5\" is none of",
		"key a { algorithm hmac-sha256; };":                            "keys:1: key a: no secret",
		"key a { secret YQ==; };":                                      "algorithm \"\" is none of",
		"key a { algorithm hmac-sha256; secret %%; };":                 "base64",
		"key a { algorithm hmac-sha256 secret YQ==; };":                `want ";"`,
		"key a { algorithm hmac-sha256; secret YQ==; }":                `want ";"`,
		"key { algorithm hmac-sha256; secret YQ==; };":                 "without a name",
		"key a { frob x; };":                                           "want algorithm, secret or names",
		"key a..b { algorithm hmac-sha256; secret YQ==; };":            "empty label",
		"key a { algorithm hmac-sha256; names a*b.x; };":               "asterisk",
		"a:hmac-sha256:YQ==\na:hmac-sha1:YQ==":                         "keys:2: a second key a",
		"options { };":                                                 "want key",
		"a:b:YQ==":                                                     "algorithm \"b\"",
		"key a { algorithm hmac-sha256; secret \"YQ==\n\"; };":         "base64",
		"key a { algorithm hmac-sha256; secret \"aaaaaaaaaaaaaaaaaaaa": `want ";"`,
	} {
		keys, err := message.ParseKeys(text, "keys")
		if err == nil || !strings.Contains(err.Error(), want) || dns.KindOf(err) != dns.Invalid {
			t.Errorf("ParseKeys(%q) = %v, %v, want %q", text, keys, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "aaaaaaaaaa") {
			t.Errorf("a secret is shown: %v", err)
		}
	}
	if _, err := message.ParseKeys(strings.Repeat(" ", 2<<20), "keys"); dns.KindOf(err) != dns.TooLarge {
		t.Errorf("two megabytes = %v", err)
	}
	var many strings.Builder
	for i := range 10_002 {
		fmt.Fprintf(&many, "k%d:hmac-sha256:YQ==\n", i)
	}
	if _, err := message.ParseKeys(many.String(), "keys"); dns.KindOf(err) != dns.TooLarge {
		t.Errorf("ten thousand keys = %v", err)
	}
}

func FuzzKeys(f *testing.F) {
	f.Add("key \"a\" { algorithm hmac-sha256; secret \"YQ==\"; names \"*.x\"; };\n# c\nb:hmac-sha1:YQ==\n")
	f.Add("/* x */ key a{secret b")
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := message.ParseKeys(text, "keys")
		for name, k := range keys {
			if err == nil && (k.Name != name || len(k.Secret) == 0) {
				t.Fatalf("%v at %s", k, name)
			}
		}
	})
}
