package operator

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/kamado/kamado/internal/httpserver"
)

// Guard decides which requests may administer. It is safe for concurrent use.
type Guard struct {
	token    Token
	sessions *sessions
}

// NewGuard makes the guard of one token.
func NewGuard(token Token) *Guard {
	return &Guard{token: token, sessions: newSessions(token)}
}

// Require lets a request through to h when it carries the credential: the Bearer token, or a session cookie together with,
// for anything but a read, its CSRF token.
func (g *Guard) Require(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r, refusal := g.credential(r); refusal != nil {
			refusal.write(w, r)
		} else {
			h.ServeHTTP(w, r)
		}
	})
}

// Reads is Require, but lets reads (GET, HEAD) from this machine through without a credential. A session that is over counts as
// none there; a wrong Bearer token is refused.
func (g *Guard) Reads(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		known, refusal := g.credential(r)
		if refusal != nil && (r.Header.Get("Authorization") != "" || !localRead(r)) {
			refusal.write(w, r)
			return
		}
		h.ServeHTTP(w, known)
	})
}

// Allowed says whether the credential of a request passes Require; for handlers that show more to an operator.
func (g *Guard) Allowed(r *http.Request) bool {
	_, refusal := g.credential(r)
	return refusal == nil
}

// refusal is why a request did not pass.
type refusal struct {
	status int
	detail string
}

func (f *refusal) write(w http.ResponseWriter, r *http.Request) {
	if f.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="kamado"`)
	}
	httpserver.WriteProblem(w, r, httpserver.Problem{Status: f.status, Detail: f.detail})
}

// sessionKey finds the session of a request that passed by its cookie.
type sessionKey struct{}

// credential checks what the request carries. The request it gives knows its session; it is r where there is none.
func (g *Guard) credential(r *http.Request) (*http.Request, *refusal) {
	if given, ok := bearer(r); ok {
		if g.token.matches(given) {
			return r, nil
		}
		return r, &refusal{http.StatusUnauthorized, "the Bearer token is not this operator's token; it is in DATA/" + TokenFile}
	}
	s, ok := g.sessions.ofRequest(r)
	if !ok {
		return r, &refusal{http.StatusUnauthorized, "administration needs the operator's token: Authorization: Bearer <the text of DATA/" + TokenFile + ">"}
	}
	if !isRead(r) {
		if crossSite(r) {
			return r, &refusal{http.StatusForbidden, "the request was caused by another site"}
		}
		if !g.sessions.csrfMatches(s, r) {
			return r, &refusal{http.StatusForbidden, "the CSRF token is missing or not of this session; load the page again"}
		}
	}
	return r.WithContext(context.WithValue(r.Context(), sessionKey{}, s)), nil
}

func bearer(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(token), true
}

func isRead(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// localRead says whether a request without a credential is a read by a person or program on this machine.
func localRead(r *http.Request) bool {
	return isRead(r) && fromLoopback(r) && !forwarded(r) && localHost(r.Host) && !crossSite(r)
}

func fromLoopback(r *http.Request) bool {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// forwarded says that a proxy speaks for somebody else: behind one on the same machine every client looks like loopback.
func forwarded(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(name) != "" {
			return true
		}
	}
	return false
}

// localHost says whether a Host header names this machine itself. Any other name, though it leads here, may belong to a
// page of somebody else (DNS rebinding).
func localHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	switch strings.ToLower(host) {
	case "localhost", "127.0.0.1", "::1":
		return true
	}
	return false
}

// crossSite says whether a browser tells that another origin caused the request. Sec-Fetch-Site is sent by all current
// browsers to loopback and https; Origin by older ones on unsafe methods. A request with neither is no browser's.
func crossSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return false
	case "":
	default:
		return true
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	_, host, ok := strings.Cut(origin, "://")
	return !ok || !strings.EqualFold(host, r.Host)
}
