package health

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/kamado/kamado/internal/program"
)

// webhook posts each note as JSON. Its URL may hold a secret: it is never logged.
type webhook struct {
	url    string
	host   string
	client *http.Client
}

func newWebhook(text string, client *http.Client) (*webhook, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("want a URL like https://hooks.example.com/kamado")
	}
	if client == nil {
		client = &http.Client{
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return &webhook{url: text, host: u.Host, client: client}, nil
}

// answerMax bounds what is read of an answer, so that its connection can be used again.
const answerMax = 4096

func (w *webhook) send(ctx context.Context, notes []Note) error {
	body, err := json.Marshal(notes[0])
	if err != nil {
		return fmt.Errorf("%w: %w", errFinal, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: request to %s", errFinal, w.host)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "kamado")
	resp, err := w.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL
		}
		return fmt.Errorf("post to %s: %w", w.host, err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, answerMax)) //nolint:errcheck // its status counts
	switch {
	case resp.StatusCode < 300:
		return nil
	case resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusRequestTimeout:
		return fmt.Errorf("post to %s: status %d: %w", w.host, resp.StatusCode, errFinal)
	}
	return fmt.Errorf("post to %s: status %d", w.host, resp.StatusCode)
}

// command runs a program with each note: the facts are in its environment, and
// as JSON in its input.
type command struct {
	cmd     program.Command
	timeout time.Duration
}

func (c *command) send(ctx context.Context, notes []Note) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	n := notes[0]
	body, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("%w: %w", errFinal, err)
	}
	cmd := c.cmd
	cmd.Input = body
	cmd.Env = []string{
		"KAMADO_DNS_EVENT=" + n.Event, "KAMADO_DNS_NODE=" + n.Node, "KAMADO_DNS_NAME=" + n.Name, "KAMADO_DNS_TYPE=" + n.Type, "KAMADO_DNS_ADDRESS=" + n.Data,
		"KAMADO_DNS_MEMBER=" + n.About, "KAMADO_DNS_STATUS=" + n.State, "KAMADO_DNS_BEFORE=" + n.Before, "KAMADO_DNS_WHY=" + n.Text,
		"KAMADO_DNS_TIME=" + n.Time.UTC().Format(time.RFC3339Nano), "KAMADO_DNS_TOKEN=" + strconv.FormatUint(n.Token, 10),
	}
	if _, err := program.Run(ctx, cmd); err != nil {
		return fmt.Errorf("%s: %w: %w", c.cmd.Path, err, errFinal) // it ran: again would be twice
	}
	return nil
}
