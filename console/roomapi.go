package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Bounds of talking to a service below /v1/.
const (
	roomTime     = 20 * time.Second
	roomBytesMax = 17 << 20 // a page of entities is the largest
	roomPrefix   = "/v1/"
)

// roomAPI is a client of one service of this process: of names, or of players.
type roomAPI struct {
	room   string // for errors
	base   string // scheme and host
	token  string
	client *http.Client
}

func (a *roomAPI) get(ctx context.Context, path string, into any) error {
	return a.do(ctx, http.MethodGet, path, nil, into)
}

// do asks the service; into may be nil.
func (a *roomAPI) do(ctx context.Context, method, path string, body, into any) error {
	_, err := a.ask(ctx, method, path, "", body, into)
	return err
}

// ask is do with a transaction id, which may be empty, and gives the status of the answer.
func (a *roomAPI) ask(ctx context.Context, method, path, key string, body, into any) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, roomTime)
	defer cancel()
	res, err := a.send(ctx, method, path, key, body)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, roomBytesMax))
	if err != nil {
		return 0, fmt.Errorf("ask %s for %s: %w", a.room, path, err)
	}
	if res.StatusCode >= 300 {
		return res.StatusCode, fmt.Errorf("ask %s for %s: %w", a.room, path, problemOf(res.StatusCode, data))
	}
	if into == nil {
		return res.StatusCode, nil
	}
	if err := json.Unmarshal(data, into); err != nil {
		return res.StatusCode, fmt.Errorf("read the answer of %s to %s: %w", a.room, path, err)
	}
	return res.StatusCode, nil
}

func (a *roomAPI) send(ctx context.Context, method, path, key string, body any) (*http.Response, error) {
	var r io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+roomPrefix+path, r)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", a.room, err)
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := a.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", a.room, err)
	}
	return res, nil
}

// problemOf reads a refusal.
func problemOf(status int, data []byte) *errStatus {
	var p struct {
		Detail string `json:"detail"`
	}
	_ = json.Unmarshal(data, &p) // a body of another kind leaves the status alone
	return &errStatus{status, p.Detail}
}

// roomFlags are the flags that lead a shell to the service.
func (c *Console) roomFlags(base string) string {
	flags := " --api " + base
	if c.cfg.TokenFile != "" {
		flags += " --token-file " + shellQuote(c.cfg.TokenFile)
	}
	return flags
}

// roomCurl is a request to a service for a program; body may be nil, and key empty.
func (c *Console) roomCurl(base, method, path, key string, body any) string {
	token := "$TOKEN"
	if c.cfg.TokenFile != "" {
		token = "$(cat " + shellQuote(c.cfg.TokenFile) + ")"
	}
	line := "curl "
	if method != http.MethodGet {
		line += "-X " + method + " "
	}
	line += shellQuote(base+roomPrefix+path) + " \\\n  -H \"Authorization: Bearer " + token + "\""
	if key != "" {
		line += " -H " + shellQuote("Idempotency-Key: "+key)
	}
	if body == nil {
		return line
	}
	data, err := json.Marshal(body)
	if err != nil {
		return ""
	}
	return line + " -H 'Content-Type: application/json' \\\n  -d " + shellQuote(string(data))
}
