package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// bodyMax bounds what is read of a body in search of a text, in bytes.
const bodyMax = 256 << 10

// headMax bounds the head of an answer, in bytes.
const headMax = 64 << 10

// httpCheck lives when a request is answered as expected. Redirections are not
// followed: they are answers.
type httpCheck struct {
	url      string
	method   string
	host     string // of the header; empty: that of url
	status   []statusRange
	body     []byte // that the answer must contain; nil: anything
	authFile string
	client   *http.Client
}

// statusRange is a range of statuses, with both ends.
type statusRange struct{ from, to int }

func parseHTTP(target string, o *options) (Spec, error) {
	u, err := url.Parse(target)
	if err != nil || u.Hostname() == "" {
		return Spec{}, errors.New("not a URL with a host")
	}
	if u.User != nil {
		return Spec{}, errors.New("a password in a check is seen by everybody: put \"Basic …\" or \"Bearer …\" into a file and name it with auth-file=")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return Spec{}, fmt.Errorf("port %q is no number from 1 to 65535", shorten(p))
		}
	}
	if err := checkHost(u.Hostname()); err != nil {
		return Spec{}, err
	}
	c := &httpCheck{url: u.String(), method: o.value("method"), host: o.value("host")}
	if c.method == "" {
		c.method = http.MethodGet
	}
	if len(c.method) > 16 || strings.ContainsFunc(c.method, func(r rune) bool { return r < 'A' || r > 'Z' }) {
		return Spec{}, fmt.Errorf("method=%s: want one like GET", shorten(c.method))
	}
	if c.status, err = parseStatus(o.value("status")); err != nil {
		return Spec{}, err
	}
	if body := o.value("body"); body != "" {
		c.body = []byte(body)
	}
	if c.authFile, err = o.path("auth-file"); err != nil {
		return Spec{}, err
	}
	insecure, err := o.flag("insecure")
	if err != nil {
		return Spec{}, err
	}
	if c.host != "" {
		if _, err := parseAddress(c.host, "80"); err != nil {
			return Spec{}, fmt.Errorf("host=: %w", err)
		}
	}
	c.client = newClient(c.host, insecure)
	return Spec{polled: c}, nil
}

// newClient makes a client that connects anew each time, without a proxy: what
// is asked is the server.
func newClient(host string, insecure bool) *http.Client {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	return &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: headMax,
			DialContext:     (&net.Dialer{KeepAlive: -1}).DialContext,
			TLSClientConfig: &tls.Config{ServerName: name, InsecureSkipVerify: insecure}, // the operator asked for it
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// parseStatus reads "200-299,304"; empty is 200-299.
func parseStatus(text string) ([]statusRange, error) {
	if text == "" {
		return []statusRange{{200, 299}}, nil
	}
	var list []statusRange
	for part := range strings.SplitSeq(text, ",") {
		from, to, ok := strings.Cut(part, "-")
		if !ok {
			to = from
		}
		a, err1 := strconv.Atoi(from)
		b, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || a < 100 || b > 599 || a > b {
			return nil, fmt.Errorf("status=%s: want statuses from 100 to 599, as in 200-299,304", shorten(text))
		}
		list = append(list, statusRange{a, b})
	}
	return list, nil
}

func (c *httpCheck) attempt(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, c.method, c.url, nil)
	if err != nil {
		return "", err
	}
	req.Host = c.host
	req.Header.Set("User-Agent", "kamado-probe")
	if c.authFile != "" {
		secret, err := readSecret(c.authFile)
		if err != nil {
			return "", err
		}
		req.Header.Set("Authorization", secret)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // the URL is known
		}
		return "", err
	}
	defer resp.Body.Close()
	return c.judge(resp)
}

func (c *httpCheck) judge(resp *http.Response) (string, error) {
	text := fmt.Sprintf("status %d", resp.StatusCode)
	ok := false
	for _, r := range c.status {
		ok = ok || r.from <= resp.StatusCode && resp.StatusCode <= r.to
	}
	if !ok {
		return "", errors.New(text)
	}
	if c.body == nil {
		return text, nil
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, bodyMax))
	if err != nil {
		return "", err
	}
	if !bytes.Contains(b, c.body) {
		return "", fmt.Errorf("%s, but the body does not contain %q", text, shorten(string(c.body)))
	}
	return text, nil
}
