package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"strings"
	"time"
	"unicode/utf8"
	"unique"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// Bounds of logging in.
const (
	// loginsMax is how many logins are in work at once; loginsWaitingMax is how many wait for their turn. Further ones come later.
	loginsMax        = 64
	loginsWaitingMax = 8192
	// resumeBytes is the length of a resume token: 128 random bits.
	resumeBytes = 16
	// expiringLead is how long before its token's end a client is asked for the next one; less for a token that lives less than twice that.
	expiringLead = 60 * time.Second
	// protocolVersion is the newest that this side speaks.
	protocolVersion = 1
)

// errBusy is a login that had no turn in time.
var errBusy = errors.New("no turn")

// inTurn does a login when it is its turn.
func (g *Gateway) inTurn(ctx context.Context, f func() error) error {
	select {
	case g.logins <- struct{}{}:
	default:
		if g.loginsWaiting.Add(1) > loginsWaitingMax {
			g.loginsWaiting.Add(-1)
			return errBusy
		}
		defer g.loginsWaiting.Add(-1)
		select {
		case g.logins <- struct{}{}:
		case <-ctx.Done():
			return errBusy
		}
	}
	defer func() { <-g.logins }()
	return f()
}

// credential makes what a session keeps of a token that counts.
func (g *Gateway) credential(p game.Principal, token string) *credential {
	c := &credential{Principal: p, token: strings.Clone(token)}
	if !p.Expires.IsZero() {
		left := time.Until(p.Expires)
		now := g.now()
		c.ends = now + max(left.Milliseconds(), 0)
		c.asks = now + max(left-min(expiringLead, left/2), 0).Milliseconds()
	}
	return c
}

// greet does hello.
func (c *conn) greet(body []byte) error {
	h := new(wire.Hello)
	if err := wire.Parse(body, h); err != nil {
		return c.refuse(wire.Reason_REASON_INVALID, err.Error(), 0, nil)
	}
	for len(h.Agent) > game.AgentBytesMax {
		_, n := utf8.DecodeLastRuneInString(h.Agent)
		h.Agent = h.Agent[:len(h.Agent)-n]
	}
	c.hello = h
	switch {
	case h.Protocol < protocolVersion, h.Node == "" && game.ClientVersion(h.Client) < c.g.minClient:
		c.g.metrics.login(loginVersion)
		return c.refuse(wire.Reason_REASON_VERSION, "", 0, nil)
	case len(h.Node) > nodeBytesMax:
		return c.refuse(wire.Reason_REASON_INVALID, "the name of the node is too long", 0, nil)
	case h.Token == "":
		if door := c.g.door.Load(); door != nil {
			return c.turnAway(door)
		}
		return nil // sign_in follows
	}
	return c.logIn(func(ctx context.Context, _ game.Client) (game.Login, error) { return game.Login{Access: h.Token}, nil })
}

// nodeBytesMax bounds the name of a node in hello.
const nodeBytesMax = 200

// signIn does sign_in.
func (c *conn) signIn(body []byte) error {
	var m wire.SignIn
	if err := wire.Parse(body, &m); err != nil {
		return c.refuse(wire.Reason_REASON_INVALID, err.Error(), 0, nil)
	}
	id := c.g.deps.Identity
	var f func(ctx context.Context, from game.Client) (game.Login, error)
	switch how := m.How.(type) {
	case *wire.SignIn_NewGuest:
		f = func(ctx context.Context, from game.Client) (game.Login, error) { return id.CreateGuest(ctx, "", from) }
	case *wire.SignIn_GuestSecret:
		f = func(ctx context.Context, from game.Client) (game.Login, error) {
			return id.LoginGuest(ctx, how.GuestSecret, from)
		}
	case *wire.SignIn_Password:
		f = func(ctx context.Context, from game.Client) (game.Login, error) {
			return id.LoginPassword(ctx, how.Password.GetEmail(), how.Password.GetPassword(), from)
		}
	case *wire.SignIn_Refresh:
		f = func(ctx context.Context, from game.Client) (game.Login, error) {
			return id.Refresh(ctx, how.Refresh, from)
		}
	default:
		return c.refuse(wire.Reason_REASON_INVALID, "sign_in does not say how", 0, nil)
	}
	return c.logIn(f)
}

// logIn proves who the client is by prove, and gives it a session.
func (c *conn) logIn(prove func(context.Context, game.Client) (game.Login, error)) error {
	g, h := c.g, c.hello
	c.flags.Or(flagLogin)
	defer c.flags.And(^uint32(flagLogin))
	c.deep = true // and not busy: it may be idle from now on
	ctx, cancel := context.WithTimeout(context.Background(), g.cfg.HelloTimeout)
	defer cancel()
	from := game.Client{Address: addressOf(c.nc.RemoteAddr()), Agent: unique.Make(h.Agent).Value()}
	var l game.Login
	var p game.Principal
	err := g.inTurn(ctx, func() (err error) {
		if l, err = prove(ctx, from); err == nil {
			p, err = g.deps.Identity.Authenticate(ctx, l.Access)
		}
		return err
	})
	if err != nil {
		return c.deny(err)
	}
	service := p.Kind != game.ByUser
	if door := g.door.Load(); door != nil && !service {
		return c.turnAway(door)
	}
	if h.Node != "" && !service {
		g.metrics.login(loginRefused)
		return c.refuse(wire.Reason_REASON_TOKEN, "only a service speaks for a node", 0, nil)
	}
	c.split.Limit = wire.LimitClient
	w := g.welcome(&p, &l)
	cred := g.credential(p, l.Access)
	if len(h.Resume) > 0 && !service {
		if done, err := c.resume(ctx, cred, w); done {
			return err
		}
	}
	return c.open(ctx, from, cred, w)
}

// deny tells why a login failed.
func (c *conn) deny(err error) error {
	if errors.Is(err, errBusy) {
		c.g.metrics.login(loginBusy)
		return c.refuse(wire.Reason_REASON_FULL, "too many log in at the moment", spread(retryFull), nil)
	}
	reason, text := reasonOf(err)
	retry := time.Duration(0)
	var after game.RetryAfter
	switch {
	case errors.As(err, &after):
		retry = max(time.Duration(after), time.Millisecond)
	case reason == wire.Reason_REASON_INTERNAL:
		retry = spread(retryInternal)
	case reason == wire.Reason_REASON_FLOOD:
		retry = spread(retryFlood)
	}
	if reason == wire.Reason_REASON_INTERNAL {
		c.g.metrics.login(loginError)
		c.g.log.Debug("a login failed", "address", addressOf(c.nc.RemoteAddr()), "error", err)
	} else {
		c.g.metrics.login(loginRefused)
	}
	return c.refuse(reason, text, retry, nil)
}

// reasonOf says why an error of the identity ends a connection, and what people are told.
func reasonOf(err error) (wire.Reason, string) {
	var e *game.Error
	detail := ""
	if errors.As(err, &e) {
		detail = e.Detail
	}
	switch game.KindOf(err) {
	case game.Denied:
		return wire.Reason_REASON_BANNED, detail
	case game.Unauthenticated:
		if strings.Contains(detail, "banned") {
			return wire.Reason_REASON_BANNED, detail
		}
		return wire.Reason_REASON_TOKEN, detail
	case game.Limited:
		return wire.Reason_REASON_FLOOD, detail
	case game.Internal, game.Unavailable, game.Exhausted:
		return wire.Reason_REASON_INTERNAL, ""
	}
	return wire.Reason_REASON_TOKEN, detail
}

// welcome fills in what every client is told.
func (g *Gateway) welcome(p *game.Principal, l *game.Login) *wire.Welcome {
	w := &wire.Welcome{
		Protocol: protocolVersion, Uid: uint64(p.UID), ExpiresMs: millis(p.Expires), KeepAliveMs: uint32(g.cfg.KeepAlive.Milliseconds()),
		TickMs: uint32(g.deps.Tick.Milliseconds()), NowMs: time.Now().UnixMilli(), Node: g.deps.Node, MutedUntilMs: millis(p.MutedUntil),
	}
	if g.deps.Nodes != nil {
		w.Nodes = g.deps.Nodes()
	}
	if l.Session != "" { // it signed in here
		w.Access, w.Refresh, w.GuestSecret = l.Access, l.Refresh, l.DeviceSecret
	}
	return w
}

// digest is what is kept of a resume token.
func digest(token []byte) (d [16]byte) {
	sum := sha256.Sum256(token)
	copy(d[:], sum[:])
	return d
}

// open starts a session. An older one of the same user is ended first.
func (c *conn) open(ctx context.Context, from game.Client, cred *credential, w *wire.Welcome) error {
	g := c.g
	s := &Session{Client: from, g: g, since: g.now(), node: c.hello.Node, busy: true}
	s.cred.Store(cred)
	if !s.service() && g.cfg.ResumeTerm > 0 {
		w.Resume = make([]byte, resumeBytes)
		rand.Read(w.Resume) //nolint:errcheck // it does not fail
		w.ResumeMs = uint32(g.cfg.ResumeTerm.Milliseconds())
		s.resume = digest(w.Resume)
	}
	body, err := wire.Body(w)
	if err == nil {
		err = g.add(ctx, s)
	}
	if err != nil {
		g.metrics.login(loginBusy)
		return c.refuse(wire.Reason_REASON_INTERNAL, "", spread(retryInternal), nil)
	}
	s.begin(c, body)
	g.metrics.login(loginOK)
	g.event("session.open", s, "transport", c.transport.String(), "agent", from.Agent)
	g.deps.Host.Opened(s)
	return nil
}

// begin gives a fresh session its connection: welcome first, and then what it was told meanwhile.
func (s *Session) begin(c *conn, welcome []byte) {
	s.mu.Lock()
	c.mu.Lock()
	c.push(item{cmd: wire.CmdWelcome, body: welcome}, s.g.limit())
	s.g.metrics.shard(c).out(wire.CmdWelcome)
	for _, i := range s.replay {
		c.push(i, s.g.limit())
	}
	c.mu.Unlock()
	c.hello = nil
	c.session.Store(s)
	s.conn.Store(c)
	s.busy = false
	ended, why := s.ended, s.why
	s.mu.Unlock()
	if ended {
		c.close(why, closing(why, "", retryOf(why), nil))
	}
}

// add takes a session in once no other one of the user is there.
func (g *Gateway) add(ctx context.Context, s *Session) error {
	for {
		g.mu.Lock()
		var old *Session
		if !s.service() {
			old = g.users[s.UID()]
		}
		if old == nil {
			g.last++
			s.number = g.last
			if s.service() {
				g.services[s.number] = s
			} else {
				g.users[s.UID()] = s
			}
			g.mu.Unlock()
			return nil
		}
		g.mu.Unlock()
		old.end(wire.Reason_REASON_REPLACED, "", 0, nil)
		if err := old.waitFor(ctx, func() bool { return old.gone }); err != nil {
			return err
		}
	}
}

// waitFor waits until ok, which is asked under s.mu.
func (s *Session) waitFor(ctx context.Context, ok func() bool) error {
	for {
		s.mu.Lock()
		if ok() {
			s.mu.Unlock()
			return nil
		}
		change := s.changed()
		s.mu.Unlock()
		select {
		case <-change:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// resume goes on with a lost session. done is false when there is none that the client can take up: it gets another one then.
func (c *conn) resume(ctx context.Context, cred *credential, w *wire.Welcome) (done bool, err error) {
	g, h := c.g, c.hello
	s := g.Session(cred.UID)
	if s == nil || !s.proves(h.Resume) {
		g.metrics.resume(resumeUnknown)
		return false, nil
	}
	// The connection that the server still believes alive gives way: the client knows better.
	err = s.waitFor(ctx, func() bool {
		old := s.conn.Load()
		if old != nil && !s.ended {
			old.mu.Lock()
			old.kill()
			old.mu.Unlock()
		}
		return s.ended || old == nil && !s.busy
	})
	if err != nil {
		g.metrics.resume(resumeBusy)
		return true, c.refuse(wire.Reason_REASON_INTERNAL, "", spread(retryInternal), nil)
	}
	outcome := s.attach(c, cred, w)
	g.metrics.resume(outcome)
	switch outcome {
	case resumeOK:
	case resumeInvalid:
		return true, c.refuse(wire.Reason_REASON_INVALID, "the client has received what was never sent", 0, nil)
	case resumeLost: // what it missed is not here any more
		s.end(wire.Reason_REASON_SLOW, "", 0, nil)
		return false, nil
	default:
		return false, nil
	}
	g.metrics.login(loginOK)
	g.deps.Host.Resumed(s)
	return true, nil
}

// proves says whether a resume token is that of the session.
func (s *Session) proves(token []byte) bool {
	d := digest(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.ended && len(token) == resumeBytes && subtle.ConstantTimeCompare(d[:], s.resume[:]) == 1
}

// attach gives the session its next connection: welcome, and what the client has missed, in this order, before anything else.
func (s *Session) attach(c *conn, cred *credential, w *wire.Welcome) resumeOutcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	received := c.hello.Received
	switch {
	case s.ended:
		return resumeUnknown
	case s.conn.Load() != nil || s.busy:
		return resumeBusy // another connection was quicker: with the same token, so by the same client
	case received > s.out:
		return resumeInvalid
	case received < s.out-uint64(len(s.replay)):
		return resumeLost
	}
	s.got(received)
	w.Resumed, w.Received, w.Resume, w.ResumeMs = true, s.in.Load(), c.hello.Resume, uint32(s.g.cfg.ResumeTerm.Milliseconds())
	body, err := wire.Body(w)
	if err != nil {
		return resumeBusy
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	ok := c.push(item{cmd: wire.CmdWelcome, body: body}, s.g.limit())
	for _, i := range s.replay {
		ok = c.push(i, s.g.limit()+2*int(s.g.cfg.ReplayBytes)) && ok
	}
	if !ok {
		return resumeBusy
	}
	s.g.metrics.shard(c).out(wire.CmdWelcome)
	s.told.Store(s.in.Load()) // welcome says it
	s.cred.Store(cred)
	c.hello = nil
	c.session.Store(s)
	s.conn.Store(c)
	s.cutAt = 0
	s.g.cut.Add(-1)
	return resumeOK
}
