package operator

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/kamado/kamado/internal/httpserver"
)

// Bounds of sessions and login links.
const (
	// SessionLife is how long a session lasts after its login.
	SessionLife = 12 * time.Hour
	// LinkLife is how long a login link works.
	LinkLife = time.Hour
	// linksMax bounds the links that wait to be used; the oldest gives way.
	linksMax = 64
	// endedMax bounds the sessions remembered as logged out; the oldest gives way.
	// Lost at a restart: a cookie that somebody kept from before its logout works again then, until its SessionLife is over.
	// Where that matters, remove the token's file before the restart: a fresh token ends all sessions.
	endedMax = 1024
)

// LoginPath is where a login link leads; mount Guard.Login there.
const LoginPath = "/login"

// The ways in which a page sends its CSRF token back.
const (
	CSRFHeader = "X-Csrf-Token"
	CSRFField  = "csrf_token"
)

// cookieNames are those of the session cookie: in the clear, and over TLS with the prefix that binds it to one host.
var cookieNames = [2]string{"kamado_session", "__Host-kamado_session"}

// session is what the cookie says: when it ends, and a nonce that tells it from others. 24 bytes, signed.
type session struct {
	expires int64 // Unix seconds
	nonce   [16]byte
}

func (s session) bytes() []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(s.expires)), s.nonce[:]...)
}

// sessions signs and checks cookies, and keeps the links that wait to be used. Sessions outlive a restart, because the key comes from
// the token: a fresh token ends them all.
type sessions struct {
	signKey, csrfKey []byte
	now              func() time.Time

	mu    sync.Mutex
	links []link     // oldest first
	ended [][16]byte // nonces of sessions that logged out, oldest first
}

// link is a login link that waits: the hash of its code, so that a dump of memory is no login.
type link struct {
	hash    [sha256.Size]byte
	expires time.Time
}

func newSessions(t Token) *sessions {
	return &sessions{signKey: t.key("session"), csrfKey: t.key("csrf"), now: time.Now}
}

// LoginLink makes a link under base (scheme, host and port of the console) that opens a session once within LinkLife.
func (g *Guard) LoginLink(base string) string {
	s := g.sessions
	code := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.links) == linksMax {
		s.links = s.links[1:]
	}
	s.links = append(s.links, link{sha256.Sum256([]byte(code)), s.now().Add(LinkLife)})
	return strings.TrimSuffix(base, "/") + LoginPath + "?code=" + url.QueryEscape(code)
}

// redeem uses a code up.
func (s *sessions) redeem(code string) bool {
	hash := sha256.Sum256([]byte(code))
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, l := range s.links {
		if subtle.ConstantTimeCompare(l.hash[:], hash[:]) == 1 {
			s.links = append(s.links[:i:i], s.links[i+1:]...)
			return s.now().Before(l.expires)
		}
	}
	return false
}

// Login is the handler of LoginPath: it turns a link's code into a session cookie and leads to the front page.
func (g *Guard) Login(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet { // HEAD, of a link preview, must not use the code up
		w.Header().Set("Allow", http.MethodGet)
		httpserver.WriteProblem(w, r, httpserver.Problem{Status: http.StatusMethodNotAllowed})
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	if !g.sessions.redeem(r.URL.Query().Get("code")) {
		httpserver.WriteProblem(w, r, httpserver.Problem{Status: http.StatusForbidden,
			Detail: "this login link was used or is too old; get a fresh one where Kamado runs"})
		return
	}
	s := session{expires: g.sessions.now().Add(SessionLife).Unix()}
	rand.Read(s.nonce[:])
	http.SetCookie(w, sessionCookie(r, g.sessions.sign(s), int(SessionLife/time.Second)))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// Logout is a handler to mount behind Require: it ends the session of the request.
func (g *Guard) Logout(w http.ResponseWriter, r *http.Request) {
	if s, ok := r.Context().Value(sessionKey{}).(session); ok {
		g.sessions.end(s)
	}
	http.SetCookie(w, sessionCookie(r, "", -1))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// IssueLink is a handler to mount behind Require: it answers a POST with a fresh login link to the listener that was
// asked, as {"url": …}. That is how the command line gets a link from a running service.
func (g *Guard) IssueLink(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		httpserver.WriteProblem(w, r, httpserver.Problem{Status: http.StatusMethodNotAllowed})
		return
	}
	base := "http://" + r.Host
	if r.TLS != nil {
		base = "https://" + r.Host
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(map[string]string{"url": g.LoginLink(base)}) // the client may be gone
}

// CSRFToken is what the pages of the request's session send back with every unsafe request, in CSRFHeader or CSRFField. It is empty
// for a request without a session, which needs none.
func (g *Guard) CSRFToken(r *http.Request) string {
	s, ok := r.Context().Value(sessionKey{}).(session)
	if !ok {
		return ""
	}
	return g.sessions.csrf(s)
}

func sessionCookie(r *http.Request, value string, maxAge int) *http.Cookie {
	c := &http.Cookie{Name: cookieNames[0], Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteStrictMode}
	if r.TLS != nil {
		c.Name, c.Secure = cookieNames[1], true
	}
	return c
}

// ofRequest gives the session of a request's cookie, if it is signed, not expired and not ended.
func (s *sessions) ofRequest(r *http.Request) (session, bool) {
	name := cookieNames[0]
	if r.TLS != nil {
		name = cookieNames[1]
	}
	c, err := r.Cookie(name)
	if err != nil {
		return session{}, false
	}
	return s.check(c.Value)
}

func (s *sessions) sign(v session) string {
	data := v.bytes()
	return base64.RawURLEncoding.EncodeToString(append(data, sum(s.signKey, data)...))
}

func (s *sessions) check(cookie string) (session, bool) {
	data, err := base64.RawURLEncoding.DecodeString(cookie)
	if err != nil || len(data) != 24+sha256.Size || !hmac.Equal(data[24:], sum(s.signKey, data[:24])) {
		return session{}, false
	}
	v := session{expires: int64(binary.BigEndian.Uint64(data)), nonce: [16]byte(data[8:24])}
	if s.now().Unix() >= v.expires || s.isEnded(v) {
		return session{}, false
	}
	return v, true
}

func (s *sessions) end(v session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ended) == endedMax {
		s.ended = s.ended[1:]
	}
	s.ended = append(s.ended, v.nonce)
}

func (s *sessions) isEnded(v session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.ended {
		if n == v.nonce {
			return true
		}
	}
	return false
}

func (s *sessions) csrf(v session) string {
	return base64.RawURLEncoding.EncodeToString(sum(s.csrfKey, v.bytes()))
}

// csrfMatches looks at the header first; the form is parsed only when there is none, under the listener's bound on bodies.
func (s *sessions) csrfMatches(v session, r *http.Request) bool {
	given := r.Header.Get(CSRFHeader)
	if given == "" {
		given = r.PostFormValue(CSRFField)
	}
	return given != "" && hmac.Equal([]byte(given), []byte(s.csrf(v)))
}

func sum(key, data []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(data)
	return mac.Sum(nil)
}
