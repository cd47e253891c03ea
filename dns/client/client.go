// Package client speaks the HTTP interface of names for programs and for the
// verbs of the command line. A Client is one member's address and the operator's
// token; every method is one request with a time limit, and an error carries what
// the member said.
package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/api"
	"github.com/kamado/kamado/internal/remote"
)

// Bounds of what a member sends.
const (
	pageRecords   = 5000
	eventBytesMax = 64 << 10
)

// Client asks one member.
type Client struct {
	base   string // scheme and host
	remote *remote.Client
}

// New makes a client of the member at base, scheme and host; token may be empty
// for reads on the member's own machine.
func New(base, token string, h *http.Client) (*Client, error) {
	c, err := remote.New(base, api.Prefix, token, h)
	if err != nil {
		return nil, &dns.Error{Kind: dns.Invalid, Detail: fmt.Sprintf("%q is no address of a member: want one like http://127.0.0.1:7702", base)}
	}
	return &Client{strings.TrimSuffix(c.Base(), api.Prefix), c}, nil
}

// kinds are the kinds of error by what the interface calls them.
var kinds = func() map[string]dns.Kind {
	m := map[string]dns.Kind{}
	for _, k := range dns.Kinds() {
		m[k.String()] = k
	}
	return m
}()

// told turns a refusal into the room's error.
func (c *Client) told(err error) error {
	var r *remote.Refusal
	if !errors.As(err, &r) {
		return err
	}
	if r.Status == 0 {
		return &dns.Error{Kind: dns.Unavailable, Detail: "no member answers at " + c.base, Err: r.Err}
	}
	kind, known := kinds[r.Kind]
	if !known {
		switch {
		case r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden:
			kind = dns.Denied
		case r.Status == http.StatusNotFound:
			kind = dns.NotFound
		case r.Status == http.StatusServiceUnavailable:
			kind = dns.Unavailable
		case r.Status < 500:
			kind = dns.Invalid
		}
	}
	detail := r.Detail
	if detail == "" {
		detail = "the member answers " + r.Said
	}
	return &dns.Error{Kind: kind, Detail: detail}
}

// send makes one request and gives its answer, whose body the caller closes.
func (c *Client) send(ctx context.Context, method, path string, body io.Reader, kind string) (*http.Response, error) {
	r := remote.Request{Method: method, Path: path, Header: http.Header{}, Body: body}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	res, err := c.remote.Send(ctx, r)
	return res, c.told(err)
}

// Do makes one request with JSON on both sides; in and out may be nil.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	return c.told(c.remote.Do(ctx, method, path, nil, in, out))
}

// Records gives all owned records that a query takes: name, owner, type, state.
// With checked only those that have a health check.
func (c *Client) Records(ctx context.Context, query url.Values, checked bool) ([]api.Record, error) {
	path := "records"
	if checked {
		path = "health"
	}
	q := url.Values{"limit": {strconv.Itoa(pageRecords)}}
	for k, v := range query {
		q[k] = v
	}
	all := []api.Record{}
	for {
		var page api.Records
		if err := c.Do(ctx, "GET", path+"?"+q.Encode(), nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Records...)
		if page.Next == "" {
			return all, nil
		}
		q.Set("after", page.Next)
	}
}

// Add makes an owned record of the member.
func (c *Client) Add(ctx context.Context, rec api.Record) (api.Record, error) {
	var out api.Record
	return out, c.Do(ctx, "POST", "records", rec, &out)
}

// Remove removes the member's records of a name; type and data narrow it.
func (c *Client) Remove(ctx context.Context, name, typ, data string) (int, error) {
	q := url.Values{"name": {name}}
	if typ != "" {
		q.Set("type", typ)
	}
	if data != "" {
		q.Set("data", data)
	}
	var out api.Removed
	err := c.Do(ctx, "DELETE", "records?"+q.Encode(), nil, &out)
	return out.Removed, err
}

// Members lists the cluster.
func (c *Client) Members(ctx context.Context) ([]api.Member, error) {
	var out struct{ Members []api.Member }
	return out.Members, c.Do(ctx, "GET", "members", nil, &out)
}

// Zones lists the zones.
func (c *Client) Zones(ctx context.Context) ([]api.Zone, error) {
	var out struct{ Zones []api.Zone }
	return out.Zones, c.Do(ctx, "GET", "zones", nil, &out)
}

// Change changes zone records in one write.
func (c *Client) Change(ctx context.Context, zone string, changes []api.Change) (serial uint32, err error) {
	var out api.Changed
	err = c.Do(ctx, "POST", "zones/"+url.PathEscape(zone)+"/changes", map[string]any{"changes": changes}, &out)
	return out.Serial, err
}

// Import makes a zone what a master file says.
func (c *Client) Import(ctx context.Context, zone string, file io.Reader) (serial uint32, err error) {
	res, err := c.send(ctx, "PUT", "zones/"+url.PathEscape(zone)+"/file", file, "text/dns")
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	var out api.Changed
	err = json.NewDecoder(io.LimitReader(res.Body, remote.AnswerBytesMax)).Decode(&out)
	return out.Serial, err
}

// Export writes a zone as a master file.
func (c *Client) Export(ctx context.Context, zone string, to io.Writer) error {
	res, err := c.send(ctx, "GET", "zones/"+url.PathEscape(zone)+"/file", nil, "")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(to, io.LimitReader(res.Body, remote.AnswerBytesMax))
	return err
}

// Explain asks how a question would be answered; client may be empty.
func (c *Client) Explain(ctx context.Context, name, typ, client string) (out api.Explanation, err error) {
	q := url.Values{"name": {name}, "type": {typ}}
	if client != "" {
		q.Set("client", client)
	}
	return out, c.Do(ctx, "GET", "explain?"+q.Encode(), nil, &out)
}

// Watch calls fn with each event behind the number after, until ctx ends, fn
// gives an error, or the member ends the stream (io.EOF).
func (c *Client) Watch(ctx context.Context, after uint64, fn func(api.Event) error) error {
	path := "watch"
	if after > 0 {
		path += "?after=" + strconv.FormatUint(after, 10)
	}
	res, err := c.send(ctx, "GET", path, nil, "")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, eventBytesMax)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var e api.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fmt.Errorf("read an event: %w", err)
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return io.EOF
}
