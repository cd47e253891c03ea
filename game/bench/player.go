package bench

import (
	"errors"
	"fmt"

	"github.com/kamado/kamado/game/wire"
)

// part is what a player of a crowd is there for.
type part interface {
	// welcomed says that the player is logged in.
	welcomed(c *link, w *wire.Welcome)
	// frame takes a frame behind that; body is without a sequence number, and only good until it returns.
	frame(c *link, cmd wire.Command, body []byte, now int64) error
	// ended says that the connection is over and why.
	ended(c *link, err error)
}

// player speaks the game's own protocol, docs/protocol/game.md, on one connection.
type player struct {
	part  part
	token string // access token; empty: signs in as a new guest, on the connection
	in    bool   // Welcome has come
	sent  uint64 // number of the last reliable frame that was sent
	got   uint64 // and of the last one that came
	acked uint64 // of those that came, up to which the server knows
}

// ackEvery is how many reliable frames come before they are acknowledged, when no beat comes first.
const ackEvery = 32

// clientAgent names the generator to the server.
const clientAgent = "kamado game bench"

func (p *player) opened(c *link) {
	hello := &wire.Hello{Protocol: 1, Token: p.token, Agent: clientAgent}
	b, err := wire.AppendMessage([]byte(wire.Magic), wire.CmdHello, 0, hello)
	if err == nil && p.token == "" {
		b, err = wire.AppendMessage(b, wire.CmdSignIn, 0, &wire.SignIn{How: &wire.SignIn_NewGuest{NewGuest: &wire.NewGuest{}}})
	}
	if err != nil {
		c.end(err) // a token that is no text
		return
	}
	p.token = "" // the server has it
	c.send(b)
}

func (p *player) heard(c *link, b []byte, now int64) (took int, err error) {
	for took < len(b) && c.state == linkOpen {
		f, _, size, err := wire.Cut(b[took:], wire.LimitServer)
		if errors.Is(err, wire.ErrShort) {
			break
		}
		if err != nil {
			return took, fmt.Errorf("read a frame: %w", err)
		}
		took += size
		if f.Command == wire.CmdMoves && p.in { // most frames are
			err = p.part.frame(c, f.Command, f.Body, now)
		} else {
			err = p.frame(c, f, now)
		}
		if err != nil {
			return took, err
		}
	}
	return took, nil
}

// frame takes what a connection itself needs, and gives the rest to the part.
func (p *player) frame(c *link, f wire.Frame, now int64) error {
	body := f.Body
	if f.Command.Reliable() {
		seq, rest, err := wire.SplitSeq(body)
		if err != nil {
			return fmt.Errorf("read a frame of command %d: %w", f.Command, err)
		}
		switch {
		case seq <= p.got:
			return nil
		case seq > p.got+1:
			return fmt.Errorf("reliable frames %d to %d did not come: %w", p.got+1, seq-1, errLost)
		}
		p.got, body = seq, rest
		if p.got-p.acked >= ackEvery {
			p.beat(c)
		}
	}
	switch f.Command {
	case wire.CmdPing:
		c.send(wire.AppendFrame(nil, wire.CmdPong, body))
		return nil
	case wire.CmdPong, wire.CmdAck, wire.CmdExpiring:
		return nil
	case wire.CmdWelcome:
		var w wire.Welcome
		if err := wire.Parse(body, &w); err != nil {
			return err
		}
		p.in = true
		p.part.welcomed(c, &w)
		return nil
	case wire.CmdClosing:
		var m wire.Closing
		if err := wire.Parse(body, &m); err != nil {
			return err
		}
		return fmt.Errorf("%w: %s: %s", errClosed, m.GetReason(), m.GetText())
	}
	return p.part.frame(c, f.Command, body, now)
}

// errLost are frames that a server must not lose.
var errLost = errors.New("the server lost frames")

// beat acknowledges what has come.
func (p *player) beat(c *link) {
	if p.got > p.acked {
		p.acked = p.got
		c.send(wire.AppendFrame(nil, wire.CmdAck, wire.AppendAck(nil, p.got)))
	}
}

func (p *player) ended(c *link, err error) { p.part.ended(c, err) }

// reliable appends a reliable frame with the next number.
func (p *player) reliable(b []byte, cmd wire.Command, body []byte) []byte {
	p.sent++
	return wire.AppendReliable(b, cmd, p.sent, body)
}
