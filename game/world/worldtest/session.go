// Package worldtest has sessions without a connection, and what a client makes of their frames, for tests of the
// world and of its areas. A Session is a queue as the gateway keeps one: what was shown is lost with the connection, what was
// told is not. A View is a client that has read docs/protocol/game.md: it knows the area by the frames alone, and notes frames that
// make no sense.
package worldtest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// Session is a member without a connection. Its methods may be called from any goroutine.
type Session struct {
	mu      sync.Mutex
	id      string
	who     game.Principal
	value   any
	queue   []entry // not read yet
	told    int     // reliable frames, since the beginning
	shown   int     // bytes
	flushes int
	closed  *wire.Closing
	view    *View
	hear    func()
	seq     atomic.Uint64

	// QueueMax is how many frames may wait before Show is refused; 0: any number.
	QueueMax int
	// FlushTakes is the time of a write, in tests with virtual time.
	FlushTakes time.Duration
	// Forgetful has Show say that it took what it drops: a control that tests must catch.
	Forgetful bool
	refuse    bool
	cut       bool
}

type entry struct {
	cmd      wire.Command // 0: volatile frames
	body     []byte
	volatile bool
}

// User makes a session of a user.
func User(uid game.UID) *Session {
	return &Session{id: "s" + uid.String(), who: game.Principal{Kind: game.ByUser, UID: uid}, view: NewView()}
}

// As makes a session of a principal.
func As(p game.Principal) *Session {
	s := User(p.UID)
	s.who = p
	return s
}

// ID names it.
func (s *Session) ID() string { return s.id }

// UID is the user.
func (s *Session) UID() game.UID { return s.Principal().UID }

// Principal is who it is.
func (s *Session) Principal() game.Principal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.who
}

// SetPrincipal changes who it is: a mute begins.
func (s *Session) SetPrincipal(p game.Principal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.who = p
}

// Tell queues a reliable frame; also while the connection is cut.
func (s *Session) Tell(cmd wire.Command, body []byte) {
	s.mu.Lock()
	if s.closed == nil {
		s.told++
		s.queue = append(s.queue, entry{cmd: cmd, body: body})
	}
	hear := s.hear
	s.mu.Unlock()
	if hear != nil {
		hear()
	}
}

// Show queues volatile frames, if nothing speaks against it.
func (s *Session) Show(frames []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil || s.cut || s.refuse || s.QueueMax > 0 && len(s.queue) >= s.QueueMax {
		return s.Forgetful
	}
	s.shown += len(frames)
	s.queue = append(s.queue, entry{body: frames, volatile: true})
	return true
}

// Flush counts.
func (s *Session) Flush() {
	time.Sleep(s.FlushTakes)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushes++
}

// Close ends it; the first call counts.
func (s *Session) Close(reason wire.Reason, text string, place *wire.Place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed == nil {
		s.closed = &wire.Closing{Reason: reason, Text: text, Place: place}
	}
}

// Value is what SetValue got.
func (s *Session) Value() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.value
}

// SetValue keeps v.
func (s *Session) SetValue(v any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.value = v
}

// Closing is how it was closed; nil: it was not.
func (s *Session) Closing() *wire.Closing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Refuse has Show refused, or taken again.
func (s *Session) Refuse(refuse bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = refuse
}

// Received is the sequence number of what is handled: the test says so.
func (s *Session) Received() uint64 { return s.seq.Load() }

// Receive sets it.
func (s *Session) Receive(seq uint64) { s.seq.Store(seq) }

// Cut loses the connection: what is volatile and was not read is gone.
func (s *Session) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = true
	kept := s.queue[:0]
	for _, e := range s.queue {
		if !e.volatile {
			kept = append(kept, e)
		}
	}
	s.queue = kept
}

// Resume has the connection back.
func (s *Session) Resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = false
}

// OnTell has f called after each reliable frame.
func (s *Session) OnTell(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hear = f
}

// Counts are reliable frames, bytes of volatile ones, and flushes so far.
func (s *Session) Counts() (told, shownBytes, flushes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told, s.shown, s.flushes
}

// Waiting is how many frames were not read.
func (s *Session) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue)
}

// Read has the client read all that waits, and gives what it knows then. Use it from one goroutine.
func (s *Session) Read() *View {
	s.mu.Lock()
	queue := s.queue
	s.queue = nil
	cut := s.cut
	s.mu.Unlock()
	if cut {
		panic("a client reads from a connection that is cut")
	}
	for _, e := range queue {
		if !e.volatile {
			s.view.Told(e.cmd, e.body)
			continue
		}
		for rest := e.body; len(rest) > 0; {
			f, after, _, err := wire.Cut(rest, wire.LimitServer)
			if err != nil {
				s.view.fault("volatile bytes that are no frames: %v", err)
				break
			}
			s.view.Shown(f.Command, f.Body)
			rest = after
		}
	}
	return s.view
}

func (s *Session) String() string { return fmt.Sprintf("session %s", s.id) }
