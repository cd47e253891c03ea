// Package client speaks the HTTP interface of players for programs and for the
// verbs of the command line. A Client is one server's address and a credential;
// every method is one request with a time limit, and an error is a *game.Error with
// what the server said.
package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/internal/remote"
)

// Client asks one server.
type Client struct{ remote *remote.Client }

// New makes a client of the server at base, scheme and host.
func New(base, token string, h *http.Client) (*Client, error) {
	c, err := remote.New(base, api.Prefix, token, h)
	if err != nil {
		return nil, game.Errorf(game.Invalid, "%v", err)
	}
	return &Client{c}, nil
}

// kinds are the kinds of error by what the interface calls them.
var kinds = func() map[string]game.Kind {
	m := map[string]game.Kind{}
	for _, k := range game.Kinds() {
		m[k.String()] = k
	}
	return m
}()

// told turns a refusal into the room's error.
func told(err error) error {
	var r *remote.Refusal
	if !errors.As(err, &r) {
		return err
	}
	kind, known := kinds[r.Kind]
	switch {
	case known:
	case r.Status == 0, r.Status == http.StatusServiceUnavailable:
		kind = game.Unavailable
	case r.Status == http.StatusUnauthorized:
		kind = game.Unauthenticated
	case r.Status == http.StatusNotFound:
		kind = game.NotFound
	case r.Status < 500:
		kind = game.Invalid
	}
	e := &game.Error{Kind: kind, Detail: r.Error(), Err: r.Err, Doubt: r.Doubt}
	if r.RetryAfter > 0 && r.Err == nil {
		e.Err = game.RetryAfter(r.RetryAfter)
	}
	return e
}

// Do makes one request with JSON on both sides; in and out may be nil.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	return told(c.remote.Do(ctx, method, path, nil, in, out))
}

// DoWith is Do with headers.
func (c *Client) DoWith(ctx context.Context, method, path string, header http.Header, in, out any) error {
	return told(c.remote.Do(ctx, method, path, header, in, out))
}

// Order is Do for an order of points under a transaction id; empty: the server chooses one.
func (c *Client) Order(ctx context.Context, path, key string, in, out any) error {
	h := http.Header{}
	if key != "" {
		h.Set("Idempotency-Key", key)
	}
	return told(c.remote.Do(ctx, http.MethodPost, "points/"+path, h, in, out))
}

// Copy writes an answer that is no JSON to w. It has no time limit: ctx has.
func (c *Client) Copy(ctx context.Context, path string, w io.Writer) error {
	res, err := c.remote.Send(ctx, remote.Request{Method: http.MethodGet, Path: path})
	if err != nil {
		return told(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(w, res.Body); err != nil {
		return &game.Error{Kind: game.Unavailable, Detail: "the answer ended early", Err: err}
	}
	return nil
}

// Page adds the parts of a query to a path; empty values are left out.
func Page(path string, query map[string]string) string {
	q := url.Values{}
	for k, v := range query {
		if v != "" {
			q.Set(k, v)
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

func entityPath(uid, name string) string {
	return "entities/" + url.PathEscape(uid) + "/" + url.PathEscape(name)
}

// GetEntity gives the bytes of an entity, its media type and version.
func (c *Client) GetEntity(ctx context.Context, uid, name string) (value []byte, kind, version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, remote.Timeout)
	defer cancel()
	res, err := c.remote.Send(ctx, remote.Request{Method: http.MethodGet, Path: entityPath(uid, name)})
	if err != nil {
		return nil, "", "", told(err)
	}
	defer res.Body.Close()
	value, err = io.ReadAll(io.LimitReader(res.Body, game.EntityBytesMax+1))
	return value, res.Header.Get("Content-Type"), strings.Trim(res.Header.Get("Etag"), `"`), err
}

// Condition is what a write of an entity builds on.
type Condition struct {
	Version string // that is replaced; empty: whatever is there
	New     bool   // nothing may be there
	Fence   string // token of the lock under which it is written; empty: none
}

func (w Condition) header() http.Header {
	h := http.Header{}
	if w.Version != "" {
		h.Set("If-Match", `"`+w.Version+`"`)
	}
	if w.New {
		h.Set("If-None-Match", "*")
	}
	if w.Fence != "" {
		h.Set("Kamado-Fence", w.Fence)
	}
	return h
}

// PutEntity writes an entity and gives its version.
func (c *Client) PutEntity(ctx context.Context, uid, name string, value io.Reader, kind string, w Condition) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, remote.Timeout)
	defer cancel()
	h := w.header()
	if kind != "" {
		h.Set("Content-Type", kind)
	}
	res, err := c.remote.Send(ctx, remote.Request{Method: http.MethodPut, Path: entityPath(uid, name), Header: h, Body: value})
	if err != nil {
		return "", told(err)
	}
	defer res.Body.Close()
	return strings.Trim(res.Header.Get("Etag"), `"`), nil
}

// DeleteEntity deletes an entity.
func (c *Client) DeleteEntity(ctx context.Context, uid, name string, w Condition) error {
	return told(c.remote.Do(ctx, http.MethodDelete, entityPath(uid, name), w.header(), nil, nil))
}
