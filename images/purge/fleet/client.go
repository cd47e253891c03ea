package fleet

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

	"github.com/kamado/kamado/images/purge"
)

// clientMax bounds what a Client reads: a page of orders. Unit: bytes.
const clientMax = messageMax

// Client gives orders to a node and asks about them, for command lines and
// programs.
type Client struct {
	URL   string       // base URL of any node of the fleet
	Token string       // the operator's; empty for reads on the node's own machine
	HTTP  *http.Client // default http.DefaultClient; ctx bounds the time
}

// ProblemError is an answer that says no.
type ProblemError struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Part   string `json:"part"`
}

func (e *ProblemError) Error() string {
	text := e.Detail
	if text == "" {
		text = e.Title
	}
	if e.Part != "" {
		text = e.Part + ": " + text
	}
	return fmt.Sprintf("%s (HTTP %d)", text, e.Status)
}

// Purge has what was kept made afresh.
func (c *Client) Purge(ctx context.Context, r Request) (*Answer, error) {
	return c.order(ctx, purge.Purge, r)
}

// Takedown has originals answered with 410, and their cached bytes deleted.
func (c *Client) Takedown(ctx context.Context, r Request) (*Answer, error) {
	return c.order(ctx, purge.Takedown, r)
}

// Restore ends a takedown of exactly the same.
func (c *Client) Restore(ctx context.Context, r Request) (*Answer, error) {
	return c.order(ctx, purge.Restore, r)
}

func (c *Client) order(ctx context.Context, action purge.Action, r Request) (*Answer, error) {
	var a Answer
	return &a, c.do(ctx, http.MethodPost, action.String(), r, &a)
}

// Orders gives orders that hold, in the order of time after an ID, or the newest
// first before one.
func (c *Client) Orders(ctx context.Context, after string, newest bool, limit int) (*Orders, error) {
	q := url.Values{"limit": {strconv.Itoa(limit)}, "after": {after}, "newest": {strconv.FormatBool(newest)}}
	var list Orders
	return &list, c.do(ctx, http.MethodGet, "orders?"+q.Encode(), nil, &list)
}

// Progress says how far an order is on every node.
func (c *Client) Progress(ctx context.Context, id string) (*Answer, error) {
	var a Answer
	return &a, c.do(ctx, http.MethodGet, "orders/"+url.PathEscape(id), nil, &a)
}

// Status is the state of the node.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	var s Status
	return &s, c.do(ctx, http.MethodGet, "purge/status", nil, &s)
}

func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+Prefix+path, body)
	if err != nil {
		return err
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, clientMax))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		p := &ProblemError{Status: resp.StatusCode, Title: http.StatusText(resp.StatusCode)}
		_ = json.Unmarshal(text, p) // what is no problem has a status all the same
		return p
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.URL, err)
	}
	return nil
}
