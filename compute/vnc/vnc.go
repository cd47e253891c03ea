// Package vnc shows the display and the serial console of an instance in a
// browser: a page with noVNC in it, and a WebSocket that is joined to the
// hypervisor's end.
//
// Vocabulary. A ticket is the right to open one instance's display, or its
// serial console, until it expires; whoever asked the compute API for a console
// has it in the address that they got. Invariants. Without a ticket nothing of
// an instance is reached. Tickets live in memory alone, are bounded, and end
// with the process. A page of another site cannot use a ticket's WebSocket: the
// Origin must be our own. The guest's bytes are passed on as they are.
package vnc

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

//go:embed static
var static embed.FS

// Kind is what a ticket opens.
type Kind string

// The kinds, as the compute API names them.
const (
	Display Kind = "novnc"
	Serial  Kind = "serial"
)

// Bounds.
const (
	ticketLife  = 10 * time.Minute // Nova's default of a console token
	ticketsMax  = 10000
	sessionsMax = 200
	frameBytes  = 32 << 10 // what is read of the guest at once

	browserFrameMax = 1 << 20 // a pasted text is the largest
)

// ErrFull says that too many tickets are valid at once.
var ErrFull = errors.New("too many console addresses are valid at once")

// Opener connects to an instance on its host.
type Opener interface {
	OpenConsole(ctx context.Context, instanceID string, kind Kind) (io.ReadWriteCloser, error)
}

// Gate gives tickets and joins browsers to instances. Make it with New.
type Gate struct {
	open Opener
	log  *slog.Logger
	now  func() time.Time

	mu       sync.Mutex
	tickets  map[string]ticket // guarded by mu
	sessions int               // guarded by mu
}

type ticket struct {
	instance string
	kind     Kind
	expires  time.Time
}

// New makes a gate.
func New(open Opener, log *slog.Logger, now func() time.Time) *Gate {
	return &Gate{open: open, log: log, now: now, tickets: map[string]ticket{}}
}

// Address makes a ticket and gives the path and query of the page that uses it,
// behind where Handler is mounted, such as "/console".
func (g *Gate) Address(mount, instanceID string, kind Kind) (string, error) {
	var secret [24]byte
	_, _ = rand.Read(secret[:]) // never fails (crypto/rand)
	token := base64.RawURLEncoding.EncodeToString(secret[:])
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if len(g.tickets) >= ticketsMax {
		for t, k := range g.tickets {
			if !k.expires.After(now) {
				delete(g.tickets, t)
			}
		}
		if len(g.tickets) >= ticketsMax {
			return "", ErrFull
		}
	}
	g.tickets[token] = ticket{instanceID, kind, now.Add(ticketLife)}
	page := "/vnc_lite.html"
	if kind == Serial {
		page = "/serial.html"
	}
	socket := mount[1:] + "/websockify?token=" + token // without the first slash, as noVNC's pages have it
	return mount + page + "?" + url.Values{"path": {socket}}.Encode(), nil
}

// Handler serves the pages and the WebSocket, mounted behind http.StripPrefix.
func (g *Gate) Handler() http.Handler {
	mux := http.NewServeMux()
	for path, file := range map[string]string{
		"GET /vnc_lite.html":           "static/vnc.html",
		"GET /serial.html":             "static/serial.html",
		"GET /console.css":             "static/console.css",
		"GET /vnc.js":                  "static/vnc.js",
		"GET /serial.js":               "static/serial.js",
		"GET /novnc-1.7.0.min.js":      "static/novnc-1.7.0.min.js",
		"GET /novnc-1.7.0.LICENSE.txt": "static/novnc-1.7.0.LICENSE",
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; frame-ancestors 'self'; base-uri 'none'")
			w.Header().Set("Referrer-Policy", "no-referrer") // the ticket is in the address
			w.Header().Set("X-Content-Type-Options", "nosniff")
			http.ServeFileFS(w, r, static, file)
		})
	}
	mux.HandleFunc("GET /websockify", g.serveSocket)
	return mux
}

// serveSocket joins a WebSocket to the instance of its ticket.
func (g *Gate) serveSocket(w http.ResponseWriter, r *http.Request) {
	t, ok := g.take(r.URL.Query().Get("token"))
	if !ok || !sameOrigin(r) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if !g.enter() {
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	defer g.leave()
	guest, err := g.open.OpenConsole(r.Context(), t.instance, t.kind)
	if err != nil {
		g.log.Info("console of instance not reached", "instance", t.instance, "kind", string(t.kind), "error", err)
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer guest.Close()
	up := ws.HTTPUpgrader{Protocol: func(p string) bool { return p == "binary" }}
	conn, buffered, _, err := up.Upgrade(r, w)
	if err != nil {
		return // the upgrader answered
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Time{}) // the server's limits are for requests
	go func() {
		defer conn.Close()
		toBrowser(conn, guest)
	}()
	toGuest(guest, conn, buffered.Reader)
}

// toBrowser passes on what the guest sends until one of them ends.
func toBrowser(conn net.Conn, guest io.Reader) {
	buf := make([]byte, frameBytes)
	for {
		n, err := guest.Read(buf)
		if n > 0 && wsutil.WriteServerBinary(conn, buf[:n]) != nil || err != nil {
			return
		}
	}
}

// toGuest passes on the frames of the browser, answering its pings, until one
// of them ends.
func toGuest(guest io.Writer, conn net.Conn, r io.Reader) {
	control := wsutil.ControlFrameHandler(conn, ws.StateServerSide)
	in := &wsutil.Reader{Source: r, State: ws.StateServerSide, MaxFrameSize: browserFrameMax, OnIntermediate: control}
	for {
		head, err := in.NextFrame()
		if err != nil {
			return
		}
		if head.OpCode.IsControl() {
			if control(head, in) != nil {
				return
			}
			continue
		}
		if _, err := io.Copy(guest, in); err != nil {
			return
		}
	}
}

// take gives the ticket of a token. A ticket can be used again until it
// expires: a page that is loaded again connects again.
func (g *Gate) take(token string) (ticket, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t, ok := g.tickets[token]
	if ok && !t.expires.After(g.now()) {
		delete(g.tickets, token)
		ok = false
	}
	return t, ok
}

func (g *Gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sessions >= sessionsMax {
		return false
	}
	g.sessions++
	return true
}

func (g *Gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sessions--
}

// sameOrigin says whether the page that opens the socket is ours. Programs send
// no Origin.
func sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host == r.Host
}
