package gateway

import (
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/internal/httpserver"
)

// wsGUID is what a server adds to the key of a client (RFC 6455, 1.3).
const wsGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// ServeHTTP makes a WebSocket of GET /v1/socket. It returns at once; the connection goes on without net/http, whose
// buffers and goroutine are free then.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if problem, ok := g.checkUpgrade(r); !ok {
		if problem.Status == http.StatusUpgradeRequired {
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Sec-WebSocket-Version", "13")
		}
		httpserver.WriteProblem(w, r, problem)
		return
	}
	if g.stopped.Load() || g.refusals.Load() >= refusalsMax {
		w.Header().Set("Retry-After", "5")
		httpserver.WriteProblem(w, r, httpserver.Problem{Status: http.StatusServiceUnavailable, Detail: "there is no room for another connection"})
		return
	}
	accept := acceptOf(r.Header.Get("Sec-Websocket-Key"))
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		httpserver.WriteProblem(w, r, httpserver.Problem{Status: http.StatusInternalServerError, Detail: "this listener does not give connections away"})
		return
	}
	nc.SetDeadline(time.Time{}) //nolint:errcheck // those of net/http; a connection that has none is as it should be
	var before []byte
	if n := rw.Reader.Buffered(); n > 0 { // the client did not wait for the answer
		before = make([]byte, n)
		if _, err := rw.Reader.Read(before); err != nil {
			nc.Close()
			return
		}
	}
	c := &conn{nc: nc, transport: overWebSocket}
	greeting := []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + "\r\n\r\n")
	g.enter(c, greeting, before)
}

// acceptOf proves to the client that the server speaks WebSocket.
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + wsGUID))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// checkUpgrade looks whether a request asks for a WebSocket as RFC 6455, 4.2.1 says, and may.
func (g *Gateway) checkUpgrade(r *http.Request) (httpserver.Problem, bool) {
	no := func(status int, detail string) (httpserver.Problem, bool) {
		return httpserver.Problem{Status: status, Detail: detail}, false
	}
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-Websocket-Key"))
	switch {
	case r.ProtoMajor != 1 || r.ProtoMinor == 0:
		return no(http.StatusUpgradeRequired, "a WebSocket is opened over HTTP/1.1 here, and this request came over "+r.Proto)
	case r.Method != http.MethodGet:
		return no(http.StatusMethodNotAllowed, "a WebSocket is opened with GET")
	case !hasWord(r.Header, "Connection", "upgrade") || !hasWord(r.Header, "Upgrade", "websocket"):
		return no(http.StatusUpgradeRequired, "here is a WebSocket: ask for it with Connection: Upgrade and Upgrade: websocket")
	case r.Header.Get("Sec-Websocket-Version") != "13":
		return no(http.StatusUpgradeRequired, "want version 13 of WebSocket")
	case err != nil || len(key) != 16:
		return no(http.StatusBadRequest, "Sec-WebSocket-Key: want 16 bytes of base64")
	case !g.originAllowed(r):
		return no(http.StatusForbidden, "pages of that origin may not open a socket here (game.gateway.origins)")
	}
	return httpserver.Problem{}, true
}

// hasWord says whether a header has a word in one of its lists, in any case.
func hasWord(h http.Header, name, word string) bool {
	for _, line := range h.Values(name) {
		for w := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(w), word) {
				return true
			}
		}
	}
	return false
}

// originAllowed keeps pages of other hosts from using the sockets of who looks at them. A page of another node may: its client is sent here when that one
// is full or dies. What is no browser sends no Origin.
func (g *Gateway) originAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(g.cfg.Origins, "*") {
		return true
	}
	if u, err := url.Parse(origin); err == nil && u.Host != "" && (strings.EqualFold(u.Host, r.Host) || g.isNode(u)) {
		return true
	}
	return slices.ContainsFunc(g.cfg.Origins, func(o string) bool { return strings.EqualFold(o, origin) })
}

// isNode says whether an origin is that of another node of the world.
func (g *Gateway) isNode(origin *url.URL) bool {
	if g.deps.Nodes == nil {
		return false
	}
	return slices.ContainsFunc(g.deps.Nodes(), func(p *wire.Place) bool {
		at, err := url.Parse(p.GetWebsocket())
		return err == nil && strings.EqualFold(at.Host, origin.Host) && (at.Scheme == "wss") == (origin.Scheme == "https")
	})
}
