package client

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// Options say who a Socket is, and what hears its frames. The zero value has no Token, and cannot come in.
type Options struct {
	// Token is an access token, or the credential of a service.
	Token string
	// SignIn proves who it is when there is no Token. Afterwards Welcome has the tokens, and a resume uses the one from there.
	SignIn *wire.SignIn
	// Client is the version of the program; 0: 1.0.0.
	Client   game.ClientVersion
	Agent    string // what the program is, for people
	Language string // of texts for people
	Node     string // of another node of the world: its name
	TLS      *tls.Config
	// Frame hears each frame of the server but pings and acks, answers of calls among them, in order and one at a time; nil: nobody does. The body
	// has no sequence number and is valid during the call. It must not wait for the socket: no Call, Join, Renew or Close within it.
	Frame func(cmd wire.Command, body []byte)
	// Turned hears how the connection stands, in the same turn as Frame; nil: nobody does.
	Turned func(Turn)
	// NoResume ends the socket with its first connection.
	NoResume bool
	// Follow goes where Redirect and Closing send it, and joins there again; without it Join ends with a *RedirectError.
	Follow bool
	// KeptBytesMax bounds what was told and is not acknowledged; with more Tell is refused. 0: 4 MiB.
	KeptBytesMax int
	// CallsMax bounds the calls in work; further ones are refused. 0: 4096.
	CallsMax int
	// Timeout bounds one attempt to connect, with Welcome. 0: 10 s.
	Timeout time.Duration
}

// Turn is how a connection changed.
type Turn uint8

// The turns.
const (
	TurnCut     Turn = iota + 1 // it is lost, and is tried again
	TurnResumed                 // it goes on: nothing reliable was lost
	TurnAnew                    // it begins anew: the user is in no area, and what was in work is in doubt
)

// Bounds and times of a Socket.
const (
	keptBytesDefault = 4 << 20
	callsDefault     = 4096
	dialDefault      = 10 * time.Second
	redirectsMax     = 5           // in a row
	redirectsTerm    = time.Minute // in which they are
	ackFrames        = 32          // reliable frames that came, until Ack
	ackAfter         = 5 * time.Second
	retryMin         = 200 * time.Millisecond
	retryMax         = 5 * time.Second
	keepAliveMin     = 10 * time.Millisecond // what a server may ask for at least
)

// ClosedError is how the server ended a connection. It is Unavailable when it makes sense to come again, else Denied.
type ClosedError struct {
	Reason wire.Reason
	Text   string
	Retry  time.Duration // 0: not with these means
	Place  *wire.Place   // where to come again; nil: anywhere
}

func (e *ClosedError) Error() string {
	return fmt.Sprintf("the server closed the connection: %s (%s)", e.Text, e.Reason)
}

// RedirectError says that an area runs on another node.
type RedirectError struct{ *wire.Redirect }

func (e *RedirectError) Error() string {
	return fmt.Sprintf("area %s.%d runs on node %s", e.Area, e.Copy, e.Place.GetNode())
}

// ErrLeft is the end of a Socket that was closed here.
var ErrLeft = errors.New("the socket was closed")

// Socket is a client of the world. Its methods may be called concurrently. One goroutine of its own reads, until Close.
type Socket struct {
	opts   Options
	ctx    context.Context // of the goroutine that reads; ended by Close
	cancel context.CancelFunc
	done   chan struct{} // closed at the end, with err
	err    error

	// What follows is of the goroutine that reads.
	url       string
	resume    []byte // of the last Welcome; nil: the next connection begins anew
	got       uint64 // last reliable frame that came
	toAck     int    // that came since the last Ack
	ackDue    time.Time
	heard     time.Time    // when anything came
	pinged    time.Time    // since then; zero: not
	in        bool         // this connection is logged in, or was
	redirects int          // in a row
	moved     time.Time    // the last of them
	nodes     int          // of Welcome that were tried in place of the last one
	ended     *ClosedError // Closing that came on this connection

	mu      sync.Mutex // guards what follows
	now     *link      // nil: there is no connection that is logged in
	out     []byte     // frames that wait to be written
	spare   []byte
	writing bool
	seq     uint64 // of the last reliable frame told
	kept    []kept // told and not acknowledged, the oldest first
	keptLen int    // bytes of kept
	welcome *wire.Welcome
	calls   map[uint64]chan<- answered
	callID  uint64
	joining *joining
	renewal chan error // of the Renew under way
	over    bool
}

// kept is a reliable frame that may have to be sent again.
type kept struct {
	seq   uint64
	frame []byte
}

// Dial connects and comes in: it returns when Welcome is there. The context bounds that, not the socket. The error is a
// *ClosedError when the server said why not.
func Dial(ctx context.Context, address string, o Options) (*Socket, error) {
	if o.Token == "" && o.SignIn == nil {
		return nil, game.Errorf(game.Invalid, "neither a token nor a way to sign in")
	}
	o.KeptBytesMax, o.CallsMax = orDefault(o.KeptBytesMax, keptBytesDefault), orDefault(o.CallsMax, callsDefault)
	o.Timeout, o.Client = orDefault(o.Timeout, dialDefault), orDefault(o.Client, 1<<20)
	s := &Socket{opts: o, url: address, done: make(chan struct{}), calls: map[uint64]chan<- answered{}}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, s.cancel)
	ready := make(chan struct{})
	go s.run(sync.OnceFunc(func() { close(ready) }))
	select {
	case <-ready:
		if stop() {
			return s, nil
		}
	case <-s.done:
	}
	s.cancel()
	<-s.done
	if err := ctx.Err(); err != nil && errors.Is(s.err, ErrLeft) {
		return nil, &game.Error{Op: "connect", Kind: game.Unavailable, Detail: "the server did not answer in time", Err: err}
	}
	return nil, s.err
}

func orDefault[N int | time.Duration | game.ClientVersion](n, otherwise N) N {
	if n == 0 {
		return otherwise
	}
	return n
}

// Welcome is the last one that came. Nobody changes it.
func (s *Socket) Welcome() *wire.Welcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.welcome
}

// UID is the user's; 0: a service.
func (s *Socket) UID() game.UID { return game.UID(s.Welcome().GetUid()) }

// Done is closed when the socket has ended.
func (s *Socket) Done() <-chan struct{} { return s.done }

// Err is why it has ended: a *ClosedError, ErrLeft, or what happened to the connection. nil: it has not.
func (s *Socket) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Close leaves the world, and ends the socket. What was told just before has been written when there was a connection.
func (s *Socket) Close() error {
	s.mu.Lock()
	if !s.over && s.now != nil && !s.now.ws {
		s.tellLocked(wire.CmdLeave, nil) //nolint:errcheck // without it the server waits for a resume
	}
	s.mu.Unlock()
	s.cancel()
	<-s.done
	return nil
}

// Cut drops the connection as a network that fails would do, for tests of what follows.
func (s *Socket) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now != nil {
		_ = s.now.conn.Close() // the reader notices
	}
}

// run keeps the socket until its end.
func (s *Socket) run(ready func()) {
	defer close(s.done)
	var began time.Time // of the first failed attempt in a row
	for wait := time.Duration(0); ; {
		err := s.once(ready)
		came := s.in
		s.settle()
		if s.err = s.verdict(err, came); s.err != nil {
			s.finish()
			return
		}
		if came {
			began, wait = time.Now(), 0
			if s.opts.Turned != nil {
				s.opts.Turned(TurnCut)
			}
		} else if time.Since(began) > max(time.Duration(s.Welcome().GetResumeMs())*time.Millisecond, s.opts.Timeout) {
			s.err = err
			s.finish()
			return
		} else if time.Since(began) > game.NodeTerm {
			s.otherNode()
		}
		wait = s.nextWait(wait)
		select {
		case <-time.After(wait):
		case <-s.ctx.Done():
		}
	}
}

// nextWait is how long to wait before the next attempt: 0.2 s, then twice as long each time up to 5 s, each time by a
// random part shorter; where the server sends the client elsewhere, not at all.
func (s *Socket) nextWait(last time.Duration) time.Duration {
	if s.redirects > 0 && last == 0 {
		return 0
	}
	next := min(max(2*last, retryMin), retryMax)
	if s.ended != nil {
		next = max(next, s.ended.Retry)
	}
	return next - time.Duration(rand.Int64N(int64(next)/2))
}

// settle takes the connection away from those who write.
func (s *Socket) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now, s.out = nil, s.out[:0]
	if s.renewal != nil {
		s.renewal <- &game.Error{Op: "renew", Kind: game.Unavailable, Detail: "the connection is lost"}
		s.renewal = nil
	}
}

// verdict says how the socket ends after a connection, or nil when it goes on.
func (s *Socket) verdict(err error, came bool) error {
	ended := s.ended
	switch {
	case s.ctx.Err() != nil:
		return ErrLeft
	case s.opts.Follow && !s.opts.NoResume && ended != nil && ended.Place != nil && s.follow(ended.Place):
		return nil
	case s.Welcome() == nil, s.opts.NoResume, errors.Is(err, errNoFrames): // the first one decides
		if ended != nil {
			return ended
		}
		return err
	case ended == nil:
		return nil
	}
	switch ended.Reason {
	case wire.Reason_REASON_SLOW, wire.Reason_REASON_SILENT:
		return nil
	case wire.Reason_REASON_FULL, wire.Reason_REASON_MAINTENANCE, wire.Reason_REASON_INTERNAL:
		if ended.Retry > 0 && !came {
			return nil
		}
	}
	return ended
}

// follow has the next connection go to another place; false: there have been too many, or it cannot be reached in the same way.
func (s *Socket) follow(p *wire.Place) bool {
	if now := time.Now(); now.Sub(s.moved) > redirectsTerm {
		s.redirects, s.moved = 0, now
	}
	s.redirects++
	return s.redirects <= redirectsMax && s.turnTo(p)
}

// turnTo has the next connection go to another node, where nothing is resumed.
func (s *Socket) turnTo(p *wire.Place) bool {
	next := p.Websocket
	if scheme, _, _ := strings.Cut(s.url, "://"); scheme == "tcp" || scheme == "tls" {
		if next = ""; p.Tcp != "" {
			next = scheme + "://" + p.Tcp
		}
	}
	if next == "" {
		return false
	}
	s.url, s.resume = next, nil
	return true
}

// otherNode goes to another node of the world than the one that does not answer.
func (s *Socket) otherNode() {
	if list := s.Welcome().GetNodes(); s.opts.Follow && len(list) > 0 {
		s.turnTo(list[s.nodes%len(list)])
		s.nodes++
	}
}

// finish tells everybody who waits that it is over.
func (s *Socket) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.drop(s.err)
	s.kept, s.out, s.spare = nil, nil, nil
}

// drop ends all that waits for an answer.
// Preconditions: mu is held.
func (s *Socket) drop(err error) {
	for id, c := range s.calls {
		delete(s.calls, id)
		c <- answered{err: &game.Error{Op: "call", Kind: game.Unavailable, Detail: "the connection is lost, and with it the answer", Err: err, Doubt: true}}
	}
	if s.joining != nil {
		s.joining.answer <- joined{err: &game.Error{Op: "join", Kind: game.Unavailable, Detail: "the connection is lost", Err: err}}
		s.joining = nil
	}
}

// once is one connection, from its beginning to its end.
func (s *Socket) once(ready func()) error {
	s.ended, s.in = nil, false
	ctx, cancel := context.WithTimeout(s.ctx, s.opts.Timeout)
	defer cancel()
	l, err := dial(ctx, s.url, s.opts.TLS)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(s.ctx, l.leave)
	defer func() {
		stop()
		_ = l.conn.Close() // what is read is read
	}()
	hello, err := s.hello()
	if err != nil {
		return err
	}
	if err := l.write(hello); err != nil {
		return err
	}
	s.heard, s.pinged, s.toAck = time.Now(), time.Time{}, 0
	limit := time.Now().Add(s.opts.Timeout)
	return l.read(func(f wire.Frame) error {
		if s.in {
			return s.handle(f)
		}
		return s.enter(l, f, ready)
	}, func() (time.Time, error) {
		if s.in {
			return s.wake()
		}
		if !time.Now().Before(limit) {
			return limit, &game.Error{Op: "connect", Kind: game.Unavailable, Detail: "the server did not answer in time"}
		}
		return limit, nil
	})
}

// hello is the first message of a connection.
func (s *Socket) hello() ([]byte, error) {
	token := s.Welcome().GetAccess() // the newest
	if token == "" {
		token = s.opts.Token
	}
	h := &wire.Hello{Protocol: 1, Client: uint32(s.opts.Client), Token: token, Agent: s.opts.Agent, Language: s.opts.Language, Node: s.opts.Node}
	if s.resume != nil {
		h.Resume, h.Received = s.resume, s.got
	}
	b, err := wire.AppendMessage([]byte(wire.Magic), wire.CmdHello, 0, h)
	if err == nil && token == "" {
		b, err = wire.AppendMessage(b, wire.CmdSignIn, 0, s.opts.SignIn)
	}
	return b, err
}

// enter takes a frame before Welcome, or that.
func (s *Socket) enter(l *link, f wire.Frame, ready func()) error {
	switch f.Command {
	case wire.CmdClosing:
		return s.closed(f.Body)
	case wire.CmdPing:
		return l.write(wire.AppendFrame(nil, wire.CmdPong, f.Body))
	case wire.CmdWelcome:
	default:
		return nil
	}
	w := new(wire.Welcome)
	if err := wire.Parse(f.Body, w); err != nil {
		return errors.Join(errNoFrames, err)
	}
	s.in = true
	turn := s.welcomed(l, w)
	ready()
	if s.opts.Turned != nil && turn != 0 {
		s.opts.Turned(turn)
	}
	if s.opts.Frame != nil {
		s.opts.Frame(f.Command, f.Body)
	}
	return nil
}

// welcomed gives the connection to those who write, with what the server has not got.
func (s *Socket) welcomed(l *link, w *wire.Welcome) (turn Turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.welcome == nil
	if !w.Resumed && s.resume != nil || !first && s.resume == nil {
		turn = TurnAnew
	}
	if w.Resumed {
		turn = TurnResumed
		s.acknowledged(w.Received)
	} else {
		s.got = 0
		s.anew()
	}
	if w.Access == "" { // a resume by token tells none
		w.Access, w.Refresh, w.GuestSecret = s.welcome.GetAccess(), s.welcome.GetRefresh(), s.welcome.GetGuestSecret()
	}
	s.welcome, s.resume, s.now = w, w.Resume, l
	if s.opts.NoResume || len(w.Resume) == 0 {
		s.resume = nil
	}
	s.out = s.out[:0]
	for _, k := range s.kept {
		s.out = append(s.out, k.frame...)
	}
	s.flush()
	return turn
}

// anew begins to count from 1. A join that waits for its answer is sent again, since it means the same.
// Preconditions: mu is held.
func (s *Socket) anew() {
	j := s.joining
	s.joining = nil
	s.drop(nil)
	s.seq, s.kept, s.keptLen = 0, nil, 0
	if j == nil {
		return
	}
	if body, err := wire.Body(j.ask); err == nil {
		s.joining = j
		s.keep(wire.CmdJoin, body)
	}
}

// closed notes why the server ends the connection.
func (s *Socket) closed(body []byte) error {
	var c wire.Closing
	if err := wire.Parse(body, &c); err != nil {
		return errors.Join(errNoFrames, err)
	}
	if s.ended = (&ClosedError{Reason: c.Reason, Text: c.Text, Retry: time.Duration(c.RetryMs) * time.Millisecond, Place: c.Place}); c.Text == "" {
		s.ended.Text = wire.ReasonText(c.Reason)
	}
	return s.ended
}

// errSilent: the server gave no sign of life.
var errSilent = errors.New("the server gave no sign of life")

// wake does what is due while nothing comes, and says when something is due again.
func (s *Socket) wake() (time.Time, error) {
	now, keepAlive := time.Now(), max(time.Duration(s.Welcome().GetKeepAliveMs())*time.Millisecond, keepAliveMin)
	if s.toAck > 0 && !now.Before(s.ackDue) {
		s.ack()
	}
	next := s.heard.Add(keepAlive)
	switch {
	case !s.pinged.IsZero(): // its answer has as long again, also when this process stood still meanwhile
		if next = s.pinged.Add(keepAlive); !now.Before(next) {
			return now, errSilent
		}
	case !now.Before(next):
		s.pinged, next = now, now.Add(keepAlive)
		s.Show(wire.CmdPing, binary.LittleEndian.AppendUint64(nil, uint64(now.UnixNano()))) //nolint:errcheck // the silence ends it
	}
	if s.toAck > 0 && s.ackDue.Before(next) {
		next = s.ackDue
	}
	return next, nil
}

// ack tells which reliable frames have come.
func (s *Socket) ack() {
	s.toAck = 0
	s.Show(wire.CmdAck, wire.AppendAck(nil, s.got)) //nolint:errcheck // a later one says the same
}

// parse reads a message of the server.
func parse(body []byte, m proto.Message) error {
	if err := wire.Parse(body, m); err != nil {
		return errors.Join(errNoFrames, err)
	}
	return nil
}
