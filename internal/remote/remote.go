// Package remote asks an HTTP interface of this program, as its verbs and other
// programs do: JSON in, JSON out, and problem documents (RFC 9457) as errors.
//
// Vocabulary. A Client is the address of a server, a path under which its
// interface lies, and a credential. A Refusal is what the server said instead of
// an answer. Every request has a time limit and every answer a bound. Not for
// listeners of somebody else: what is read here is believed to be ours.
package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Bounds of one request.
const (
	Timeout        = 60 * time.Second
	AnswerBytesMax = 256 << 20
	problemMax     = 1 << 20
)

// Client asks one server.
type Client struct {
	base  string // scheme, host and prefix
	token string
	http  *http.Client
}

// New makes a client of the server at base, scheme and host; prefix begins and ends
// with a slash. token may be empty. h may be nil.
func New(base, prefix, token string, h *http.Client) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("%q is no address of a server: want one like http://127.0.0.1:7700", base)
	}
	if h == nil {
		h = http.DefaultClient
	}
	return &Client{base: u.Scheme + "://" + u.Host + prefix, token: token, http: h}, nil
}

// Base is scheme, host and prefix of the server.
func (c *Client) Base() string { return c.base }

// Refusal is an answer that is no success.
type Refusal struct {
	Status     int    // 0: no server answered
	Said       string // the status in words
	Kind       string
	Detail     string
	RequestID  string
	Doubt      bool
	RetryAfter time.Duration // 0: it was not said
	Err        error         // why no server answered
}

// Error is the detail, or, where the server gave none, what is known without it.
func (r *Refusal) Error() string {
	switch {
	case r.Detail != "":
		return r.Detail
	case r.RequestID != "":
		return fmt.Sprintf("the server answers %s; its log has more under the request id %s", r.Said, r.RequestID)
	}
	return "the server answers " + r.Said
}

func (r *Refusal) Unwrap() error { return r.Err }

// refusal reads what a server said.
func refusal(res *http.Response) *Refusal {
	r := &Refusal{Status: res.StatusCode, Said: res.Status}
	var p struct {
		Detail, Kind string
		RequestID    string `json:"request_id"`
		Doubt        bool
	}
	b, _ := io.ReadAll(io.LimitReader(res.Body, problemMax))
	_ = json.Unmarshal(b, &p) // what is no problem document has its status at least
	r.Kind, r.Detail, r.RequestID, r.Doubt = p.Kind, p.Detail, p.RequestID, p.Doubt
	if n, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && n > 0 {
		r.RetryAfter = time.Duration(n) * time.Second
	}
	return r
}

// Request is one request. Body is sent as it is; JSON goes through Do.
type Request struct {
	Method, Path string // path below the prefix, with its query
	Header       http.Header
	Body         io.Reader
}

// Send makes a request and gives its answer, whose body the caller closes. The error is a *Refusal.
func (c *Client) Send(ctx context.Context, r Request) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, c.base+r.Path, r.Body)
	if err != nil {
		return nil, &Refusal{Status: http.StatusBadRequest, Detail: err.Error(), Err: err}
	}
	for name, values := range r.Header {
		req.Header[name] = values
	}
	if c.token != "" && req.Header.Get("Authorization") == "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, &Refusal{Detail: "no server answers at " + c.base, Err: err}
	}
	if res.StatusCode >= 300 {
		defer res.Body.Close()
		return nil, refusal(res)
	}
	return res, nil
}

// Do makes one request with JSON on both sides; in and out may be nil.
func (c *Client) Do(ctx context.Context, method, path string, header http.Header, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	r := Request{Method: method, Path: path, Header: http.Header{}}
	for name, values := range header {
		r.Header[name] = values
	}
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		r.Body = bytes.NewReader(b)
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := c.Send(ctx, r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(res.Body, AnswerBytesMax))
		return err
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, AnswerBytesMax)).Decode(out); err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.base, err)
	}
	return nil
}
