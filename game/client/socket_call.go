package client

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// answered is what became of a call.
type answered struct {
	body []byte
	err  error
}

// joined is what became of a join.
type joined struct {
	entered *wire.Entered
	err     error
}

// joining is the join under way.
type joining struct {
	ask    *wire.Join
	answer chan joined // one place
}

// errGap: a reliable frame is missing.
var errGap = errors.New("a frame of the server is missing")

// handle takes a frame after Welcome.
func (s *Socket) handle(f wire.Frame) error {
	s.heard, s.pinged = time.Now(), time.Time{}
	body := f.Body
	if f.Command.Reliable() {
		seq, rest, err := wire.SplitSeq(body)
		switch {
		case err != nil:
			return errors.Join(errNoFrames, err)
		case seq <= s.got: // it was sent again
			return nil
		case seq != s.got+1:
			s.resume = nil // the only way is to begin anew
			return errGap
		}
		s.got, body = seq, rest
		if s.toAck++; s.toAck == 1 {
			s.ackDue = s.heard.Add(ackAfter)
		} else if s.toAck >= ackFrames {
			s.ack()
		}
	}
	if err := s.own(f.Command, body); err != nil {
		return err
	}
	if s.opts.Frame != nil && f.Command != wire.CmdPing && f.Command != wire.CmdPong && f.Command != wire.CmdAck {
		s.opts.Frame(f.Command, body)
	}
	return nil
}

// own does what a frame means to the socket itself.
func (s *Socket) own(cmd wire.Command, body []byte) error {
	switch cmd {
	case wire.CmdPing:
		s.Show(wire.CmdPong, body) //nolint:errcheck // the server's silence ends it
	case wire.CmdAck:
		n, ok := wire.ParseAck(body)
		if !ok {
			return errNoFrames
		}
		s.mu.Lock()
		s.acknowledged(n)
		s.mu.Unlock()
	case wire.CmdClosing:
		return s.closed(body)
	case wire.CmdRenewed:
		s.renewed(nil)
	case wire.CmdAnswer:
		var a wire.Answer
		if err := parse(body, &a); err != nil {
			return err
		}
		s.answer(&a)
	case wire.CmdRefused:
		var r wire.Refused
		if err := parse(body, &r); err != nil {
			return err
		}
		switch wire.Command(r.Command) {
		case wire.CmdJoin:
			s.joined(joined{err: FaultError("join", r.Fault)})
		case wire.CmdRenew:
			s.renewed(FaultError("renew", r.Fault))
		}
	case wire.CmdEntered:
		s.redirects = 0
		return s.entered(body)
	case wire.CmdRedirect:
		return s.redirected(body)
	}
	return nil
}

func (s *Socket) answer(a *wire.Answer) {
	s.mu.Lock()
	c := s.calls[a.Id]
	delete(s.calls, a.Id)
	s.mu.Unlock()
	if c != nil {
		c <- answered{a.Body, FaultError("call", a.Fault)}
	}
}

func (s *Socket) joined(j joined) {
	s.mu.Lock()
	waiting := s.joining
	s.joining = nil
	s.mu.Unlock()
	if waiting != nil {
		waiting.answer <- j
	}
}

func (s *Socket) entered(body []byte) error {
	e := new(wire.Entered)
	if err := parse(body, e); err != nil {
		return err
	}
	if !e.Again {
		s.joined(joined{entered: e})
	}
	return nil
}

// errElsewhere ends a connection whose successor is on another node.
var errElsewhere = errors.New("the area runs on another node")

func (s *Socket) redirected(body []byte) error {
	r := new(wire.Redirect)
	if err := parse(body, r); err != nil {
		return err
	}
	s.mu.Lock()
	if j := s.joining; j != nil && s.opts.Follow {
		ask := proto.Clone(j.ask).(*wire.Join)
		ask.Area, ask.Copy = r.Area, r.Copy
		j.ask = ask
	}
	follow := s.joining != nil && s.opts.Follow && !s.opts.NoResume
	s.mu.Unlock()
	if follow && r.Place != nil && s.follow(r.Place) {
		return errElsewhere
	}
	s.joined(joined{err: &RedirectError{r}})
	return nil
}

func (s *Socket) renewed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.renewal != nil {
		s.renewal <- err
		s.renewal = nil
	}
}

// FaultError is the error that a fault tells; nil for none.
func FaultError(op string, f *wire.Fault) error {
	if f == nil {
		return nil
	}
	e := &game.Error{Op: op, Kind: kinds[f.Kind], Detail: f.Detail, Doubt: f.Doubt}
	if f.RetryMs > 0 {
		e.Err = game.RetryAfter(time.Duration(f.RetryMs) * time.Millisecond)
	}
	return e
}

// Call asks for something by name; in and out may be nil. When the connection is lost before the answer, or the context ends, the
// error has Doubt: the same call with the same key tells.
func (s *Socket) Call(ctx context.Context, method string, in, out proto.Message) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = wire.Body(in); err != nil {
			return &game.Error{Op: method, Kind: game.Invalid, Err: err}
		}
	}
	answer, err := s.CallBytes(ctx, method, body)
	if err != nil || out == nil {
		return err
	}
	if err := wire.Parse(answer, out); err != nil {
		return &game.Error{Op: method, Kind: game.Internal, Err: err}
	}
	return nil
}

// CallBytes is Call with bodies as they are.
func (s *Socket) CallBytes(ctx context.Context, method string, body []byte) ([]byte, error) {
	c := make(chan answered, 1)
	id, err := s.ask(method, body, c)
	if err != nil {
		return nil, err
	}
	select {
	case a := <-c:
		return a.body, a.err
	case <-ctx.Done():
		s.mu.Lock()
		delete(s.calls, id)
		s.mu.Unlock()
		return nil, &game.Error{Op: method, Kind: game.Unavailable, Detail: "the wait for the answer ended", Err: ctx.Err(), Doubt: true}
	}
}

// ask sends a call whose answer goes to c, which has a place for it.
func (s *Socket) ask(method string, body []byte, c chan<- answered) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.calls) >= s.opts.CallsMax {
		return 0, game.Errorf(game.Unavailable, "%d calls are in work, which is the most", s.opts.CallsMax)
	}
	s.callID++
	id := s.callID
	ask, err := wire.Body(&wire.Call{Id: id, Method: method, Body: body})
	if err != nil {
		return 0, &game.Error{Op: method, Kind: game.Invalid, Err: err}
	}
	s.calls[id] = c
	if err := s.tellLocked(wire.CmdCall, ask); err != nil {
		delete(s.calls, id)
		return 0, err
	}
	return id, nil
}

// Join enters an area. The error is that of Refused, or a *RedirectError.
func (s *Socket) Join(ctx context.Context, j *wire.Join) (*wire.Entered, error) {
	body, err := wire.Body(j)
	if err != nil {
		return nil, &game.Error{Op: "join", Kind: game.Invalid, Err: err}
	}
	mine := &joining{ask: j, answer: make(chan joined, 1)}
	s.mu.Lock()
	if s.joining != nil {
		s.mu.Unlock()
		return nil, game.Errorf(game.Conflict, "another join waits for its answer")
	}
	s.joining = mine // before it is sent: the answer may be there before tellLocked returns
	if err = s.tellLocked(wire.CmdJoin, body); err != nil && s.joining == mine {
		s.joining = nil
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case a := <-mine.answer:
		return a.entered, a.err
	case <-ctx.Done():
		s.mu.Lock()
		if s.joining == mine {
			s.joining = nil
		}
		s.mu.Unlock()
		return nil, &game.Error{Op: "join", Kind: game.Unavailable, Detail: "the wait for the area ended", Err: ctx.Err()}
	}
}

// Renew shows the next access token, which later connections use too, and waits until it counts.
func (s *Socket) Renew(ctx context.Context, token string) error {
	body, err := wire.Body(&wire.Renew{Token: token})
	if err != nil {
		return &game.Error{Op: "renew", Kind: game.Invalid, Err: err}
	}
	c := make(chan error, 1)
	s.mu.Lock()
	switch {
	case s.renewal != nil:
		err = game.Errorf(game.Conflict, "another token waits for its answer")
	case s.now == nil:
		err = game.Errorf(game.Unavailable, "there is no connection")
	default:
		s.renewal = c
		err = s.showLocked(wire.CmdRenew, body)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case err := <-c:
		if err == nil {
			s.mu.Lock()
			w := proto.Clone(s.welcome).(*wire.Welcome)
			w.Access = token
			s.welcome = w
			s.mu.Unlock()
		}
		return err
	case <-ctx.Done():
		s.mu.Lock()
		if s.renewal == c {
			s.renewal = nil
		}
		s.mu.Unlock()
		return &game.Error{Op: "renew", Kind: game.Unavailable, Detail: "the wait for the answer ended", Err: ctx.Err()}
	}
}

// Leave leaves the area.
func (s *Socket) Leave() error { return s.Tell(wire.CmdLeave, nil) }

// Say says something to the area.
func (s *Socket) Say(text string) error { return s.TellMessage(wire.CmdSay, &wire.Say{Text: text}) }

// Whisper says something to one user.
func (s *Socket) Whisper(to game.UID, text string) error {
	return s.TellMessage(wire.CmdWhisper, &wire.Whisper{Uid: uint64(to), Text: text})
}

// SetThing changes the state of an object of the area.
func (s *Socket) SetThing(name string, value []byte) error {
	return s.TellMessage(wire.CmdSetThing, &wire.SetThing{Name: name, Value: value})
}

// Move goes somewhere.
func (s *Socket) Move(m wire.Move) error {
	var b [wire.MoveBytes]byte
	return s.Show(wire.CmdMove, wire.AppendMove(b[:0], m))
}
