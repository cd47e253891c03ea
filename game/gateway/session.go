package gateway

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// Bounds of a session.
const (
	// ackEvery is after how many reliable frames of the client it is told that they came; ackTerm after which time, in milliseconds.
	ackEvery = 32
	ackTerm  = 5000
	// replayItemsMax is how many frames a client may have missed, whatever their size.
	replayItemsMax = 4096
)

// Session is what a client has here once it is logged in. Its methods may be called from any goroutine, and none waits for the client.
type Session struct {
	// Client is where it came from when it logged in. It does not change.
	Client game.Client

	g      *Gateway
	number uint64 // in the order of logins
	since  int64  // when it logged in; milliseconds of Gateway.now
	node   string
	cred   atomic.Pointer[credential]
	conn   atomic.Pointer[conn] // nil: it is cut

	in       atomic.Uint64 // sequence number of the last reliable frame that came
	told     atomic.Uint64 // of it, what the client was told by an ack
	checking atomic.Bool   // its token is looked at
	limits   limits        // of the reading goroutine

	mu     sync.Mutex
	resume [16]byte // of the token's digest
	out    uint64   // sequence number of the last reliable frame that was told
	// replay has the frames that the client has not acknowledged: numbers out-len(replay)+1 to out.
	replay      []item
	replayBytes int
	ended       bool // nothing is told any more; Closed was or will be called
	busy        bool // Cut is being called, or it has not begun yet
	why         wire.Reason
	cutAt       int64         // when it was cut; 0: it is not
	wait        chan struct{} // closed when the connection is let go, and when the session is over; nil: nobody waits
	gone        bool          // Closed has returned
	value       any
}

// credential is who a session is, and how that was proved. It does not change.
type credential struct {
	game.Principal
	token string
	// asks is when the client is asked for the next token; ends is when this one ends; 0: it does not.
	asks, ends int64
	asked      atomic.Bool // it was
}

// ID names the session among those of this node, for people.
func (s *Session) ID() string { return strconv.FormatUint(s.number, 36) }

// UID is the user; 0: a service.
func (s *Session) UID() game.UID { return s.cred.Load().UID }

// Principal is who it is at the moment, with the mute that is in force.
func (s *Session) Principal() game.Principal { return s.cred.Load().Principal }

// Token is the credential that was shown last.
func (s *Session) Token() string { return s.cred.Load().token }

// Node is the name of the other node that this is; empty: it is none.
func (s *Session) Node() string { return s.node }

// service says that no user is behind the session.
func (s *Session) service() bool { return s.cred.Load().Kind != game.ByUser }

// Tell queues a reliable frame. The body is without its sequence number, shared, and never changed afterwards. A client whose queue is full is
// closed as slow; so is one that is cut and has missed too much.
func (s *Session) Tell(cmd wire.Command, body []byte) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	s.out++
	i := item{cmd, s.out, body}
	ok := true
	c := s.conn.Load()
	if c != nil {
		c.mu.Lock()
		ok = c.push(i, s.g.limit()) || c.dead || c.closing
		c.mu.Unlock()
	}
	if !s.service() {
		s.replay = append(s.replay, i)
		s.keep(len(body) + itemBytes)
		over := s.replayBytes > s.g.replayLimit() || len(s.replay) > replayItemsMax
		if c != nil && over {
			s.forgetReplay()
		} else if over {
			ok = false
		}
	}
	s.mu.Unlock()
	s.g.metrics.shards[s.number&shardMask].out(cmd)
	if !ok {
		s.end(wire.Reason_REASON_SLOW, "", retrySlow, nil)
	}
}

// keep counts bytes of the replay. Preconditions: s.mu is held.
func (s *Session) keep(n int) {
	s.replayBytes += n
	s.g.replayed.Add(int64(n))
}

// forgetReplay drops the oldest frames, so that the bound holds: after a cut now the client would have to enter anew. Preconditions: s.mu is held.
func (s *Session) forgetReplay() {
	n := 0
	for n < len(s.replay) && (s.replayBytes > s.g.replayLimit() || len(s.replay)-n > replayItemsMax) {
		s.keep(-len(s.replay[n].body) - itemBytes)
		n++
	}
	s.dropReplay(n)
	s.g.metrics.forgotten.Add(uint64(n))
}

// dropReplay takes n frames, whose bytes are counted already, off the replay. Preconditions: s.mu is held.
func (s *Session) dropReplay(n int) {
	if s.replay = slices.Delete(s.replay, 0, n); len(s.replay) == 0 {
		s.replay = nil
	}
}

// acknowledge forgets what the client has; false: it cannot have that.
func (s *Session) acknowledge(seq uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got(seq)
}

// got is acknowledge. Preconditions: s.mu is held.
func (s *Session) got(seq uint64) bool {
	if seq > s.out {
		return false
	}
	first := s.out - uint64(len(s.replay)) + 1
	if seq < first {
		return true
	}
	n := int(seq - first + 1)
	for _, i := range s.replay[:n] {
		s.keep(-len(i.body) - itemBytes)
	}
	s.dropReplay(n)
	return true
}

// Show queues whole frames of state that a later state supersedes. They are shared, and never changed afterwards. False: the client is behind
// or cut, and nothing was taken; newer state may be offered later.
func (s *Session) Show(frames []byte) bool {
	c := s.conn.Load()
	ok := c != nil && !s.g.over()
	if ok {
		c.mu.Lock()
		ok = c.push(item{body: frames}, s.g.showLimit)
		c.mu.Unlock()
	}
	m := &s.g.metrics.shards[s.number&shardMask]
	if ok {
		m.outAll(frames)
	} else {
		m.refused.Add(1)
	}
	return ok
}

// Flush has what is queued written: once at once, as far as the socket takes it; what is left goes on in a goroutine of its own.
func (s *Session) Flush() {
	if c := s.conn.Load(); c != nil {
		c.mu.Lock()
		c.flush()
		c.mu.Unlock()
	}
}

// Close ends the session for good. The client is told the reason, the text for people, and the place where to go, if there is one. Only the
// first call counts.
func (s *Session) Close(reason wire.Reason, text string, place *wire.Place) {
	s.end(reason, text, retryOf(reason), place)
}

func (s *Session) end(reason wire.Reason, text string, retry time.Duration, place *wire.Place) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	s.ended, s.why = true, reason
	c := s.conn.Load()
	cut := c == nil && !s.busy
	s.mu.Unlock()
	s.g.metrics.closed(reason)
	if c != nil {
		c.close(reason, closing(reason, text, retry, place))
	}
	if cut && !s.g.spawn(s.finish) {
		s.finish()
	}
}

// Value is what SetValue got last; nil at first.
func (s *Session) Value() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.value
}

// SetValue keeps what the host knows of the session.
func (s *Session) SetValue(v any) {
	s.mu.Lock()
	s.value = v
	s.mu.Unlock()
}

// lost takes the connection from the session: it is cut, or closed when it was to end. Its goroutine calls it, after the last Handle.
func (s *Session) lost(c *conn) {
	s.mu.Lock()
	s.conn.Store(nil)
	if !s.ended && (c.left || s.service() || s.g.cfg.ResumeTerm == 0 || s.g.stopped.Load()) {
		s.ended = true
	}
	if s.ended {
		s.mu.Unlock()
		s.finish()
		return
	}
	s.busy, s.cutAt = true, max(s.g.now(), 1)
	s.g.cut.Add(1)
	s.mu.Unlock()
	s.g.deps.Host.Cut(s)
	s.mu.Lock()
	s.busy = false
	over := s.ended
	s.wake()
	s.mu.Unlock()
	if over {
		s.finish()
		return
	}
	s.g.awaitReturn(s)
}

// finish tells the host that the session is over, and forgets it. It runs once.
func (s *Session) finish() {
	g := s.g
	s.mu.Lock()
	why := s.why
	if s.cutAt != 0 {
		g.cut.Add(-1)
	}
	s.keep(-s.replayBytes)
	s.replay = nil
	s.mu.Unlock()
	g.deps.Host.Closed(s, why)
	g.remove(s)
	s.mu.Lock()
	s.gone = true
	s.wake()
	s.mu.Unlock()
	g.event("session.close", s, "reason", reasonName(why), "seconds", strconv.FormatInt((g.now()-s.since)/1000, 10))
}

// wake has those look again who wait for the connection or the end. Preconditions: s.mu is held.
func (s *Session) wake() {
	if s.wait != nil {
		close(s.wait)
		s.wait = nil
	}
}

// changed gives a channel that is closed at the next change. Preconditions: s.mu is held.
func (s *Session) changed() <-chan struct{} {
	if s.wait == nil {
		s.wait = make(chan struct{})
	}
	return s.wait
}

// Received is the sequence number of the last reliable frame that was taken from the client: during Handle, that of the frame itself.
func (s *Session) Received() uint64 { return s.in.Load() }
