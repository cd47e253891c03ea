package upload

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/signature"
	"github.com/kamado/kamado/images/store/shelf"
	"github.com/kamado/kamado/internal/blob"
)

func keys(t testing.TB) *signature.Keys {
	t.Helper()
	k, err := signature.Parse(strings.NewReader(hex.EncodeToString([]byte("a key of the tests"))))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var now = time.Unix(1_800_000_000, 0)

// FuzzUploadURL: no URL passes that allows anything but what was signed.
func FuzzUploadURL(f *testing.F) {
	k := keys(f)
	grant := Grant{Method: "PUT", Key: "a b/c.jpg", MaxBytes: 1000, Type: "image/jpeg", New: true, Expires: now.Add(time.Hour)}
	good, err := grant.Sign(k)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("PUT", good)
	f.Add("PUT", strings.Replace(good, "1000", "01000", 1))
	f.Add("GET", good+"&s=")
	f.Add("PUT", Prefix+"x?max_bytes=9223372036854775808&expires=-1&s=%00")
	f.Fuzz(func(t *testing.T, method, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		key, err := keyOf(&http.Request{URL: u})
		if err != nil {
			return
		}
		g, sig, err := parseGrant(method, key, u)
		if err != nil {
			if images.KindOf(err) == images.Internal {
				t.Fatalf("%q: %v has no kind", target, err)
			}
			return
		}
		if verify(k, &g, sig, now) == nil && g.canonical() != grant.canonical() {
			t.Fatalf("%s %q passes as %+v; only %q was signed", method, target, g, good)
		}
	})
}

func TestEveryErrorHasARow(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		blob.ErrNotFound, blob.ErrInvalidKey, blob.ErrRange, blob.ErrDenied, blob.ErrUnavailable, context.Canceled, errMethod,
		shelf.ErrTooLarge, shelf.ErrChecksum, shelf.ErrIncomplete, shelf.ErrStalled, shelf.ErrPrecondition, shelf.ErrConflict, shelf.ErrFull, shelf.ErrBusy,
	} {
		if p := problem(errors.Join(errors.New("doing"), err)); p.Status < 400 || p.Status == 500 || p.Detail == "" {
			t.Errorf("%v is %+v", err, p)
		}
	}
	if p := problem(errors.New("/var/lib/secret")); p.Status != 500 || p.Detail != "" {
		t.Errorf("an unknown error is %+v", p)
	}
}
