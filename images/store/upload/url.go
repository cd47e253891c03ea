package upload

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/signature"
)

// Prefix begins every path; what follows is the key.
const Prefix = "/originals/"

// LifeMax is how far ahead the expiry of an upload URL may lie: whoever sees the
// URL can use it that long.
const LifeMax = 7 * 24 * time.Hour

// Grant is what an upload URL allows.
type Grant struct {
	Method   string // PUT, GET, HEAD or DELETE
	Key      string
	MaxBytes int64     // of the body; PUT only
	Type     string    // Content-Type that the request must have; empty: any
	New      bool      // the key must be free
	Expires  time.Time // whole seconds
}

// canonical is what is signed. The first line is of no URL of a rendition, so
// that a signature for one cannot be used for the other.
func (g *Grant) canonical() string {
	created := "0"
	if g.New {
		created = "1"
	}
	return strings.Join([]string{
		"kamado upload 1", g.Method, images.EscapeKey(g.Key), strconv.FormatInt(g.MaxBytes, 10), images.Escape(g.Type), created,
		strconv.FormatInt(g.Expires.Unix(), 10),
	}, "\n")
}

// Sign gives path and query of the URL. The error says what of the grant is wrong.
func (g *Grant) Sign(keys *signature.Keys) (string, error) {
	if err := g.check(); err != nil {
		return "", err
	}
	q := make([]string, 0, 5)
	if g.Method == http.MethodPut {
		q = append(q, "max_bytes="+strconv.FormatInt(g.MaxBytes, 10))
	}
	if g.Type != "" {
		q = append(q, "type="+images.Escape(g.Type))
	}
	if g.New {
		q = append(q, "new=1")
	}
	q = append(q, "expires="+strconv.FormatInt(g.Expires.Unix(), 10), "s="+keys.Sign(g.canonical()))
	return Prefix + images.EscapeKey(g.Key) + "?" + strings.Join(q, "&"), nil
}

// check is what holds for every grant, also for one that is read from a URL.
func (g *Grant) check() error {
	if err := images.CheckKey(g.Key); err != nil {
		return err
	}
	put := g.Method == http.MethodPut
	switch {
	case !put && g.Method != http.MethodGet && g.Method != http.MethodHead && g.Method != http.MethodDelete:
		return images.Invalidf("method", "%q cannot be signed", g.Method)
	case put && g.MaxBytes < 1:
		return images.Invalidf("max_bytes", "a signed PUT says how many bytes it allows at most")
	case !put && (g.MaxBytes != 0 || g.Type != "" || g.New):
		return images.Invalidf("query", "max_bytes, type and new are of PUT only")
	case len(g.Type) > 128:
		return images.Invalidf("type", "it is longer than 128 bytes")
	case g.Expires.Unix() < 1:
		return images.Invalidf("expires", "an upload URL has an end")
	}
	return nil
}

// signed says whether a request claims to come by an upload URL.
func signed(u *url.URL) bool {
	return strings.HasPrefix(u.RawQuery, "s=") || strings.Contains(u.RawQuery, "&s=")
}

// parseGrant reads what a URL claims, in its one spelling, and its signature.
func parseGrant(method, key string, u *url.URL) (Grant, string, error) {
	q, err := images.Query(u, "max_bytes", "type", "new", "expires", "s")
	if err != nil {
		return Grant{}, "", err
	}
	g := Grant{Method: method, Key: key, Type: q["type"]}
	if s, there := q["max_bytes"]; there {
		if g.MaxBytes, err = strconv.ParseInt(s, 10, 64); err != nil || strconv.FormatInt(g.MaxBytes, 10) != s {
			return Grant{}, "", images.Invalidf("max_bytes", "it is not a number of bytes")
		}
	}
	if s, there := q["new"]; there {
		if g.New = s == "1"; !g.New {
			return Grant{}, "", images.Invalidf("new", "it is 1 or left out")
		}
	}
	if g.Expires, err = images.ParseExpiry("expires", q["expires"]); err != nil {
		return Grant{}, "", err
	}
	if err := g.check(); err != nil {
		return Grant{}, "", err
	}
	return g, q["s"], nil
}

// verify says whether the room signed the grant and it still holds.
func verify(keys *signature.Keys, g *Grant, sig string, now time.Time) error {
	if keys == nil {
		return images.Errorf(images.Denied, "URLs are not signed here: the service runs with --insecure-unsigned")
	}
	if err := keys.Verify(&images.Request{Canonical: g.canonical(), Signature: sig, Expires: g.Expires}, now); err != nil {
		return err
	}
	if g.Expires.Sub(now) > LifeMax {
		return &images.Error{Op: "verify", Kind: images.Denied, Part: "expires", Detail: fmt.Sprintf("an upload URL is good for at most %v", LifeMax)}
	}
	return nil
}
