package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/kamado/kamado/internal/blob"
)

// keepAlive is how often an idle connection is looked at by the system.
const keepAlive = 15 * time.Second

// idleTime is how long a connection without work is kept.
const idleTime = 30 * time.Second

// locationsMax: an answer that names two places to go to is refused.
const locationsMax = 1

func newTransport(cfg Config, g *guard) *http.Transport {
	d := &net.Dialer{Timeout: cfg.DialTimeout, KeepAlive: keepAlive, Resolver: cfg.Resolver, ControlContext: g.control}
	return &http.Transport{
		Proxy:                  nil, // a proxy would connect behind the guard's back
		DialContext:            d.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs},
		TLSHandshakeTimeout:    cfg.TLSTimeout,
		ResponseHeaderTimeout:  cfg.HeaderTimeout,
		MaxResponseHeaderBytes: cfg.HeaderBytesMax,
		MaxConnsPerHost:        cfg.Connections,
		MaxIdleConns:           cfg.IdleConnections,
		MaxIdleConnsPerHost:    min(cfg.Connections, cfg.IdleConnections),
		IdleConnTimeout:        idleTime,
		DisableCompression:     true, // an object's bytes are its bytes
		Protocols:              http1(),
	}
}

// http1 is HTTP/1.1 alone: one connection is then one answer, and ends with it.
func http1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}

// follow sends a request and goes where redirects lead. The caller closes the
// body of the answer, which is no redirect.
func (s *Store) follow(ctx context.Context, method string, u *url.URL, more http.Header) (*http.Response, error) {
	for hops := 0; ; hops++ {
		header := http.Header{"Accept-Encoding": {"identity"}, "Accept": {"*/*"}, "User-Agent": {s.cfg.UserAgent}}
		for name, values := range more {
			header[name] = values
		}
		req := &http.Request{Method: method, URL: u, Host: u.Host, Header: header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
		resp, err := s.transport.RoundTrip(req.WithContext(ctx))
		if err != nil {
			return nil, networkFault(err)
		}
		if !redirect(resp.StatusCode) {
			return resp, nil
		}
		resp.Body.Close()
		if hops == redirectsMax {
			return nil, &fault{word: blob.ErrDenied, err: fmt.Errorf("%w: more than %d redirects", ErrRefused, redirectsMax)}
		}
		s.redirects.Add(1)
		if u, err = s.next(u, resp.Header.Values("Location")); err != nil {
			return nil, &fault{word: blob.ErrDenied, err: fmt.Errorf("redirect: %w", err)}
		}
	}
}

func redirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// next is where a redirect leads, if that may be asked.
func (s *Store) next(from *url.URL, locations []string) (*url.URL, error) {
	if len(locations) != locationsMax {
		return nil, fmt.Errorf("%w: %d places to go to", ErrRefused, len(locations))
	}
	location, _, _ := strings.Cut(locations[0], "#") // a fragment is for who shows the page
	if len(location) > urlBytesMax {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrRefused, len(location), urlBytesMax)
	}
	if strings.ContainsAny(location, "\\") {
		return nil, fmt.Errorf("%w: a backslash", ErrRefused) // "/\host" is "//host" to a browser
	}
	to, err := from.Parse(location)
	if err != nil {
		return nil, fmt.Errorf("%w: it is no URL", ErrRefused)
	}
	if strings.Contains(to.Host, "%") {
		return nil, fmt.Errorf("%w: escapes in the host", ErrRefused)
	}
	// Servers write host names in any case; the list has them in lower case.
	to.Host = strings.ToLower(to.Host)
	a, err := parseURL(to.String())
	if err != nil {
		return nil, err
	}
	if from.Scheme == "https" && a.url.Scheme != "https" {
		return nil, fmt.Errorf("%w: https leads to http", ErrRefused)
	}
	if err := s.allow.check(from, a); err != nil {
		return nil, err
	}
	return a.url, nil
}

// fault is an attempt that failed: the store's word for it, and whether another
// attempt may end otherwise.
type fault struct {
	word  error
	again bool
	after time.Duration // what the server asked for; 0: nothing
	err   error
}

func (f *fault) Error() string   { return f.word.Error() + ": " + f.err.Error() }
func (f *fault) Unwrap() []error { return []error{f.word, f.err} }

func unavailable(again bool, format string, args ...any) *fault {
	return &fault{word: blob.ErrUnavailable, again: again, err: fmt.Errorf(format, args...)}
}

// networkFault classes an error of the transport. The error itself is only told:
// its timeouts pass for the end of a context, which is the caller's.
func networkFault(err error) error {
	var dns *net.DNSError
	switch {
	case errors.Is(err, ErrRefused):
		return &fault{word: blob.ErrDenied, err: err}
	case errors.As(err, &dns) && dns.IsNotFound:
		return unavailable(false, "%v", err)
	}
	return unavailable(true, "%v", err)
}

// statusFault classes an answer that is no object.
func (s *Store) statusFault(resp *http.Response) error {
	err := fmt.Errorf("status %d", resp.StatusCode)
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound, code == http.StatusGone:
		return &fault{word: blob.ErrNotFound, err: err}
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusProxyAuthRequired, code == http.StatusUnavailableForLegalReasons:
		return &fault{word: blob.ErrDenied, err: err}
	case code == http.StatusBadRequest, code == http.StatusRequestURITooLong, code == http.StatusUnprocessableEntity:
		return &fault{word: blob.ErrInvalidKey, err: err} // it does not speak against the server
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code == http.StatusTooEarly:
		return &fault{word: blob.ErrUnavailable, again: true, after: s.retryAfter(resp.Header.Get("Retry-After")), err: err}
	}
	return &fault{word: blob.ErrUnavailable, err: err}
}

// retryAfter reads the seconds of Retry-After, as far as they are waited for.
func (s *Store) retryAfter(text string) time.Duration {
	d, err := time.ParseDuration(text + "s")
	if err != nil || d < 0 || strings.ContainsAny(text, ".hmsuµn+-") {
		return 0
	}
	return min(d, s.cfg.BackoffMax)
}

// drainMax is how much of an answer that nobody wants is read, so that its
// connection can be used again. Unit: bytes.
const drainMax = 8 << 10

func discard(resp *http.Response) {
	if resp.ContentLength >= 0 && resp.ContentLength <= drainMax {
		_, _ = io.CopyN(io.Discard, resp.Body, drainMax)
	}
	resp.Body.Close()
}
