package plazatest

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/kamado/kamado/game/wire"
)

// Player plays the client's side of recordings.
type Player struct {
	// URL is the server's socket: ws://HOST:PORT/v1/socket.
	URL string
	// Token is the access token that is shown in the place of the recorded one; empty: the client signs in as a new guest.
	Token string
	// Pace is how much of the recorded time passes: 1 plays as it was, 0 as fast as the server answers.
	Pace float64
}

// Heard is a frame that the server sent, without its sequence number.
type Heard struct {
	Command wire.Command
	Body    []byte
}

// Outcome is what came of a recording.
type Outcome struct {
	Heard []Heard
	// Welcome is what greeted the client.
	Welcome *wire.Welcome
}

// Count says how many frames of a command were heard.
func (o *Outcome) Count(cmd wire.Command) (n int) {
	for _, h := range o.Heard {
		if h.Command == cmd {
			n++
		}
	}
	return n
}

// step is something that the recorded client sent, and how many milestones it had heard before.
type step struct {
	at     time.Duration
	after  int
	frames []wire.Frame
}

// milestone says whether a frame of the server is one that a client waits for. Others come in an order of their own.
func milestone(cmd wire.Command) bool {
	switch cmd {
	case wire.CmdWelcome, wire.CmdEntered, wire.CmdRefused, wire.CmdAnswer:
		return true
	}
	return false
}

// steps parts a recording into what the client did.
func steps(r *Recording) (list []step, milestones int, err error) {
	for i := range r.Frames {
		m := &r.Frames[i]
		frames, err := m.split()
		if err != nil {
			return nil, 0, err
		}
		if m.From == FromServer {
			for _, f := range frames {
				if milestone(f.Command) {
					milestones++
				}
			}
			continue
		}
		s := step{at: time.Duration(m.At) * time.Millisecond, after: milestones}
		for _, f := range frames {
			switch f.Command {
			case wire.CmdHello, wire.CmdSignIn, wire.CmdRenew, wire.CmdAck, wire.CmdPing, wire.CmdPong: // of that connection
			default:
				s.frames = append(s.frames, f)
			}
		}
		if len(s.frames) > 0 {
			list = append(list, s)
		}
	}
	return list, milestones, nil
}

// Play sends what the recorded client sent, each after the server gave the answers that the recording had before it, and waits until
// there are as many answers as in the recording. What the server closes, refuses to take, or does not answer while the context lasts ends the
// test.
func (p *Player) Play(ctx context.Context, t testing.TB, r *Recording) *Outcome {
	t.Helper()
	list, milestones, err := steps(r)
	if err != nil {
		t.Fatal(err)
	}
	nc, _, _, err := ws.Dial(ctx, p.URL)
	if err != nil {
		t.Fatalf("connect to %s: %v", p.URL, err)
	}
	c := &playing{nc: nc, changed: make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- c.listen() }()
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer func() { stop(); nc.Close(); <-done }()
	if err := c.send(p.hello()); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	for _, s := range list {
		if err := c.reached(ctx, s.after); err != nil {
			t.Fatalf("play the step at %v: %v", s.at, err)
		}
		if wait := time.Duration(float64(s.at)*p.Pace) - time.Since(begun); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				t.Fatal(ctx.Err())
			}
		}
		var b []byte
		for _, f := range s.frames {
			b = wire.AppendFrame(b, f.Command, f.Body) // the body has its recorded sequence number
		}
		if err := c.send(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.reached(ctx, milestones); err != nil {
		t.Fatalf("after the last step: %v", err)
	}
	return c.outcome()
}

// hello is what a client says first.
func (p *Player) hello() []byte {
	hello, _ := wire.Body(&wire.Hello{Protocol: 1, Client: 1 << 20, Token: p.Token, Agent: "recorded client"}) // its texts are UTF-8
	b := wire.AppendFrame([]byte(wire.Magic), wire.CmdHello, hello)
	if p.Token == "" {
		signIn, _ := wire.Body(&wire.SignIn{How: &wire.SignIn_NewGuest{NewGuest: &wire.NewGuest{}}})
		b = wire.AppendFrame(b, wire.CmdSignIn, signIn)
	}
	return b
}

// playing is a connection on which a recording is played.
type playing struct {
	nc net.Conn

	sendMu sync.Mutex // held while a message is written

	mu         sync.Mutex
	out        Outcome       // guarded by mu
	milestones int           // guarded by mu
	seq        uint64        // guarded by mu: of the last reliable frame
	ended      error         // guarded by mu
	changed    chan struct{} // guarded by mu: closed at each change
}

func (c *playing) send(b []byte) error {
	c.sendMu.Lock()
	defer c.sendMu.Unlock()
	return wsutil.WriteClientBinary(c.nc, b)
}

// ackEvery is how many reliable frames are taken before the server is told.
const ackEvery = 32

func (c *playing) listen() error {
	err := c.hear()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = err
	close(c.changed)
	c.changed = make(chan struct{})
	return err
}

func (c *playing) hear() error {
	for {
		data, err := wsutil.ReadServerBinary(c.nc)
		if err != nil {
			return fmt.Errorf("the connection ended: %w", err)
		}
		if len(data) > wire.MessageBytesMax {
			return fmt.Errorf("a message of %d bytes", len(data))
		}
		for len(data) > 0 {
			f, rest, _, err := wire.Cut(data, wire.LimitServer)
			if err != nil {
				return err
			}
			data = rest
			if err := c.frame(f); err != nil {
				return err
			}
		}
	}
}

func (c *playing) frame(f wire.Frame) error {
	body := f.Body
	if f.Command.Reliable() {
		seq, rest, err := wire.SplitSeq(body)
		if err != nil {
			return err
		}
		body = rest
		c.mu.Lock()
		gap := seq != c.seq+1
		c.seq = seq
		c.mu.Unlock()
		if gap {
			return fmt.Errorf("the server's frame %d came out of order", seq)
		}
		if seq%ackEvery == 0 {
			if err := c.send(wire.AppendFrame(nil, wire.CmdAck, wire.AppendAck(nil, seq))); err != nil {
				return err
			}
		}
	}
	switch f.Command {
	case wire.CmdPing:
		return c.send(wire.AppendFrame(nil, wire.CmdPong, body))
	case wire.CmdClosing:
		closing := &wire.Closing{}
		if err := wire.Parse(body, closing); err != nil {
			return err
		}
		return fmt.Errorf("the server closed: %v: %s", closing.Reason, closing.Text)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.Command == wire.CmdWelcome {
		c.out.Welcome = &wire.Welcome{}
		if err := wire.Parse(body, c.out.Welcome); err != nil {
			return err
		}
	}
	c.out.Heard = append(c.out.Heard, Heard{f.Command, append([]byte(nil), body...)})
	if milestone(f.Command) {
		c.milestones++
	}
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}

// reached waits until so many milestones were heard.
func (c *playing) reached(ctx context.Context, n int) error {
	for {
		c.mu.Lock()
		have, ended, changed := c.milestones, c.ended, c.changed
		c.mu.Unlock()
		switch {
		case have >= n:
			return nil
		case ended != nil:
			return ended
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d answers came: %w", have, n, ctx.Err())
		}
	}
}

func (c *playing) outcome() *Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.out
	out.Heard = append([]Heard(nil), c.out.Heard...)
	return &out
}
