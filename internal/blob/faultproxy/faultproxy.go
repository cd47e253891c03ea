// Package faultproxy is an HTTP proxy for tests that spoils answers on demand:
// it stands between a client and a real server and makes the faults that a
// network and an overloaded server make. Requests pass unchanged, Host header
// included, so that signatures stay good.
//
// A fault is one way to spoil one answer. Inject queues it for the next
// requests; requests without a queued fault pass clean. Not for production code.
package faultproxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"
)

// Forever, as a count for Inject, means until Heal.
const Forever = -1

// Proxy is a running proxy.
type Proxy struct {
	URL    string // http://127.0.0.1:port
	target *url.URL
	client *http.Transport
	closed chan struct{} // ends requests that a fault holds

	mu       sync.Mutex
	fault    Fault
	method   string // of the requests that fault is for; empty: all
	left     int    // requests that fault is still for; Forever: no end
	requests int
}

// Fault answers one request in place of the proxy. forward asks the real
// server; the caller closes its body.
type Fault func(w http.ResponseWriter, r *http.Request, forward func() (*http.Response, error))

// Start runs a proxy before the server at target until the end of the test.
func Start(t testing.TB, target string) *Proxy {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatalf("fault proxy: %v", err)
	}
	p := &Proxy{target: u, client: &http.Transport{DisableCompression: true}, closed: make(chan struct{})}
	srv := httptest.NewServer(http.HandlerFunc(p.serve))
	p.URL = srv.URL
	t.Cleanup(func() {
		close(p.closed)
		srv.CloseClientConnections()
		srv.Close()
		p.client.CloseIdleConnections()
	})
	return p
}

// Inject spoils the answers to the next n requests with f, in place of what was
// queued before; Forever spoils all until Heal.
func (p *Proxy) Inject(n int, f Fault) { p.InjectOn("", n, f) }

// InjectOn is Inject for requests of one method; others pass clean.
func (p *Proxy) InjectOn(method string, n int, f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.method, p.left = f, method, n
}

// Heal lets requests pass again.
func (p *Proxy) Heal() { p.Inject(0, nil) }

// Requests is how many requests have come since the start.
func (p *Proxy) Requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests
}

// take counts a request and gives its fault, if it has one.
func (p *Proxy) take(method string) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests++
	if p.left == 0 || p.method != "" && p.method != method {
		return nil
	}
	if p.left > 0 {
		p.left--
	}
	return p.fault
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	forward := func() (*http.Response, error) { return p.forward(r) }
	if f := p.take(r.Method); f != nil {
		f(w, r, forward)
		return
	}
	resp, err := forward()
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	copyHead(w, resp)
	_, _ = io.Copy(w, resp.Body)
}

func copyHead(w http.ResponseWriter, resp *http.Response) {
	for k, v := range resp.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(resp.StatusCode)
}

func (p *Proxy) forward(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host = p.target.Scheme, p.target.Host
	out.RequestURI = ""
	out.Host = r.Host
	return p.client.RoundTrip(out)
}

// Status answers with code and no body of the server's.
func Status(code int) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ func() (*http.Response, error)) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(code)
	}
}

// Silent never answers: the request hangs until the client goes or the test ends.
func (p *Proxy) Silent() Fault {
	return func(w http.ResponseWriter, r *http.Request, _ func() (*http.Response, error)) {
		_, _ = io.Copy(io.Discard, r.Body) // or the server does not see the client go
		p.hold(r)
		panic(http.ErrAbortHandler)
	}
}

func (p *Proxy) hold(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-p.closed:
	}
}

// Stall gives the head and the first n bytes of the body, and then hangs.
func (p *Proxy) Stall(n int64) Fault {
	return func(w http.ResponseWriter, r *http.Request, forward func() (*http.Response, error)) {
		resp, err := forward()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer resp.Body.Close()
		copyHead(w, resp)
		_, _ = io.CopyN(w, resp.Body, n)
		_ = http.NewResponseController(w).Flush()
		p.hold(r)
		panic(http.ErrAbortHandler)
	}
}

// Drip gives the head and then the body in pieces of n bytes, with a pause after
// each.
func (p *Proxy) Drip(n int64, pause time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, forward func() (*http.Response, error)) {
		resp, err := forward()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer resp.Body.Close()
		copyHead(w, resp)
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for {
			if _, err := io.CopyN(w, resp.Body, n); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			case <-p.closed:
				return
			}
		}
	}
}

// Slow answers after a wait, and then well.
func (p *Proxy) Slow(wait time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, forward func() (*http.Response, error)) {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		case <-p.closed:
			panic(http.ErrAbortHandler)
		}
		resp, err := forward()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer resp.Body.Close()
		copyHead(w, resp)
		_, _ = io.Copy(w, resp.Body)
	}
}

// Truncate gives the head and the first n bytes of the body, and closes the
// connection in good order.
func Truncate(n int64) Fault {
	return raw(func(c net.Conn, resp *http.Response) {
		writeHead(c, resp, resp.ContentLength)
		_, _ = io.CopyN(c, resp.Body, n)
	})
}

// Length announces delta bytes more (or, negative, fewer) than the body has,
// gives the whole body and closes the connection.
func Length(delta int64) Fault {
	return raw(func(c net.Conn, resp *http.Response) {
		writeHead(c, resp, resp.ContentLength+delta)
		_, _ = io.Copy(c, resp.Body)
	})
}

// Reset gives the first n bytes of the body and resets the connection; n < 0
// resets it before the head.
func Reset(n int64) Fault {
	return raw(func(c net.Conn, resp *http.Response) {
		if n >= 0 {
			writeHead(c, resp, resp.ContentLength)
			_, _ = io.CopyN(c, resp.Body, n)
		}
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // close sends RST
		}
	})
}

// raw gives answer the connection itself, and closes it after.
func raw(answer func(net.Conn, *http.Response)) Fault {
	return func(w http.ResponseWriter, r *http.Request, forward func() (*http.Response, error)) {
		resp, err := forward()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer resp.Body.Close()
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer c.Close()
		answer(c, resp)
	}
}

func writeHead(w io.Writer, resp *http.Response, length int64) {
	_, _ = fmt.Fprintf(w, "HTTP/1.1 %03d %s\r\n", resp.StatusCode, http.StatusText(resp.StatusCode))
	h := resp.Header.Clone()
	h.Set("Content-Length", fmt.Sprint(length))
	_ = h.Write(w)
	_, _ = io.WriteString(w, "\r\n")
}
