package gateway

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// frame does one frame of a client that is logged in.
func (s *Session) frame(c *conn, f wire.Frame) error {
	now := s.g.now()
	if !s.mayGoOn(f.Command, now) {
		return c.refuse(wire.Reason_REASON_FLOOD, "", spread(retryFlood), nil)
	}
	switch f.Command {
	case wire.CmdPing, wire.CmdPong, wire.CmdAck:
		return s.sign(c, f)
	case wire.CmdRenew:
		c.deep, c.busy = true, true
		return s.renew(c, f.Body)
	case wire.CmdHello, wire.CmdSignIn:
		return c.refuse(wire.Reason_REASON_INVALID, "the client has logged in already", 0, nil)
	}
	body, seq := f.Body, uint64(0)
	if f.Command.Reliable() {
		var err error
		if seq, body, err = wire.SplitSeq(f.Body); err != nil {
			return c.refuse(wire.Reason_REASON_INVALID, err.Error(), 0, nil)
		}
		switch last := s.in.Load(); {
		case seq <= last:
			s.g.metrics.duplicates.Add(1)
			return nil
		case seq > last+1:
			return c.refuse(wire.Reason_REASON_INVALID, "a sequence number is missing", 0, nil)
		}
		s.in.Store(seq)
		if seq-s.told.Load() >= ackEvery {
			s.ack(c)
		}
	}
	c.deep, c.busy = true, true
	if s.node != "" && f.Command >= wire.CmdNodes && f.Command < wire.CmdApp {
		s.g.deps.Host.Handle(s, f.Command, body)
		return nil
	}
	if kind, detail := s.judge(f.Command); detail != "" {
		s.refused(f.Command, seq, kind, detail, 0)
	} else if s.within(f.Command, seq, now) {
		s.g.deps.Host.Handle(s, f.Command, body)
	}
	return nil
}

// mayGoOn says whether the client is not far above what it may send, whatever that is. Services and nodes are of the house: they speak for many. Calls are
// bounded by those in work, as requests over HTTP are: who asks waits for the answer.
func (s *Session) mayGoOn(cmd wire.Command, now int64) bool {
	if s.service() || cmd == wire.CmdCall || cmd == wire.CmdAck {
		return true
	}
	rate := float32(s.g.cfg.CommandsPerSecond)
	_, ok := s.limits.all.take(now, floodTimes*rate, floodTimes*floodSeconds*rate)
	return ok
}

// sign does the frames by which both sides know that the other one lives.
func (s *Session) sign(c *conn, f wire.Frame) error {
	switch f.Command {
	case wire.CmdPing:
		if len(f.Body) == wire.PingBytes {
			return c.say(wire.CmdPong, append([]byte(nil), f.Body...))
		}
	case wire.CmdPong:
		if len(f.Body) == wire.PingBytes {
			sent := int64(binary.LittleEndian.Uint64(f.Body)) // microseconds of ours
			if took := time.Since(s.g.start).Microseconds() - sent; took >= 0 && took < time.Hour.Microseconds() {
				c.rtt.Store(int32(min(took, 1<<31-1)))
			}
			return nil
		}
	default:
		if seq, ok := wire.ParseAck(f.Body); ok && s.acknowledge(seq) {
			return nil
		}
	}
	return c.refuse(wire.Reason_REASON_INVALID, "the body of a command is not as it must be", 0, nil)
}

// judge says why a command is not the client's to send; an empty text: it is.
func (s *Session) judge(cmd wire.Command) (game.Kind, string) {
	info, known := wire.Lookup(cmd)
	switch {
	case known && !info.FromClient, !known && cmd < wire.CmdApp:
		return game.Invalid, "there is no such command of a client"
	case s.service() && cmd != wire.CmdCall:
		return game.Denied, "a service has no avatar: it may only call"
	}
	return 0, ""
}

// within holds a command against the limits. What is above is refused, or dropped if it is a move.
func (s *Session) within(cmd wire.Command, seq uint64, now int64) bool {
	if s.service() || cmd == wire.CmdCall {
		return true
	}
	rate := float32(s.g.cfg.CommandsPerSecond)
	wait, ok := s.limits.commands.take(now, rate, 2*rate)
	if ok && (cmd == wire.CmdSay || cmd == wire.CmdWhisper) {
		says := float32(s.g.cfg.SaysPerTenSeconds)
		wait, ok = s.limits.says.take(now, says/sayWindow, says)
	}
	switch {
	case ok:
		return true
	case cmd == wire.CmdMove || cmd == wire.CmdFace:
		s.g.metrics.movesDropped.Add(1)
	default:
		s.g.metrics.limited.Add(1)
		s.refused(cmd, seq, game.Limited, "too many commands", wait)
	}
	return false
}

// refused tells the client that a command was not done.
func (s *Session) refused(cmd wire.Command, seq uint64, kind game.Kind, detail string, wait time.Duration) {
	if wait > 0 {
		wait += time.Millisecond // it is rounded down
	}
	body, err := wire.Body(&wire.Refused{Command: uint32(cmd), Seq: seq, Fault: &wire.Fault{Kind: kind.String(), Detail: detail, RetryMs: uint32(wait.Milliseconds())}})
	if err == nil {
		s.Tell(wire.CmdRefused, body)
	}
}

// ack tells the client what came. It is called by the reading goroutine and by the sweep.
func (s *Session) ack(c *conn) {
	seq := s.in.Load()
	s.told.Store(seq)
	c.say(wire.CmdAck, wire.AppendAck(nil, seq)) //nolint:errcheck // a connection that ends needs no ack
}

// renew takes the next token.
func (s *Session) renew(c *conn, body []byte) error {
	var m wire.Renew
	if err := wire.Parse(body, &m); err != nil {
		return c.refuse(wire.Reason_REASON_INVALID, err.Error(), 0, nil)
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.g.cfg.HelloTimeout)
	defer cancel()
	var p game.Principal
	err := s.g.inTurn(ctx, func() (err error) {
		p, err = s.g.deps.Identity.Authenticate(ctx, m.Token)
		return err
	})
	was := s.cred.Load()
	switch game.KindOf(err) {
	case game.Unauthenticated, game.Denied:
		reason, text := reasonOf(err)
		return c.refuse(reason, text, 0, nil)
	default:
		if err != nil { // not known now: the client tries again before the old token ends
			s.refused(wire.CmdRenew, 0, game.Unavailable, "who you are cannot be known at the moment", retryInternal)
			return nil
		}
	}
	if p.Kind != was.Kind || p.UID != was.UID || p.Service != was.Service {
		return c.refuse(wire.Reason_REASON_TOKEN, "the token is another one's", 0, nil)
	}
	s.cred.Store(s.g.credential(p, m.Token))
	told, err := wire.Body(&wire.Renewed{ExpiresMs: millis(p.Expires)})
	if err != nil {
		return nil
	}
	return c.say(wire.CmdRenewed, told)
}

// millis is a moment on the wire; 0: none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
