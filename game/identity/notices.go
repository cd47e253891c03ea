package identity

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/sqldb"
)

// The kinds of notices.
const (
	noticeSession  = "session"  // subject: a session that ended; value: why
	noticeMute     = "mute"     // subject: UID; value: end of the mute in milliseconds, 0 none, forever
	noticeUser     = "user"     // subject: UID that was merged or deleted
	noticeKeys     = "keys"     // keys are to be read again
	noticeServices = "services" // services are to be read again
)

// reason is why a session ended.
type reason int64

// The reasons. Rows hold the numbers: they do not change.
const (
	signedOut reason = 1 + iota
	banned
	reused
	merged
	deleted
	displaced
	passwordChanged
)

var reasonNames = map[reason]string{
	signedOut: "signed_out", banned: "banned", reused: "reused", merged: "merged", deleted: "deleted", displaced: "displaced", passwordChanged: "password_changed",
}

func (r reason) String() string { return reasonNames[r] }

// notice is a row of the feed.
type notice struct {
	kind    string
	subject string
	value   int64
	seq     int64
	// latest is when the last token that it is about was made, by the clock that made it; zero: not later than now.
	latest time.Time
	ends   time.Time // when no token is left that it is about
}

// Bounds of the feed.
const (
	// noticesMax is how many notices are remembered before a user's own sign-out is refused for the moment. Bans and what else protects others is not.
	noticesMax = 1_000_000
	// noticesPage is how many rows one poll reads at once.
	noticesPage = 5000
	// noticeKeep is how long a notice is remembered at least, by the time that elapses: longer than any token lives. It is
	// remembered longer, until the clock shows its end: a clock that was set back makes tokens of the future good once more.
	noticeKeep = game.AccessLifeMax + 5*time.Minute
	// noticeAheadMax bounds that, for clocks that are far ahead.
	noticeAheadMax = 24 * time.Hour
	// pollAgeMax is how old the notices may be before this server says that it is not ready.
	pollAgeMax = 10 * time.Second
)

// feed is what this server believes of the notices.
type feed struct {
	mu       sync.RWMutex
	sessions map[string]ended // by session
	mutes    map[game.UID]muted
	seq      int64         // of the last notice that was read
	polled   time.Duration // when the last poll succeeded
	marks    []mark        // of the last noticeKeep, the oldest first; at most one each minute
}

type ended struct {
	why reason
	kept
}

type muted struct {
	until int64
	seq   int64
	kept
}

// kept is how long a notice is remembered: until both are over.
type kept struct {
	ends time.Time
	min  time.Duration // elapsed
}

func (k kept) over(now time.Time, at time.Duration) bool { return now.After(k.ends) && at > k.min }

// mark says up to which notice was read when.
type mark struct {
	seq int64
	at  time.Duration
}

func newFeed() *feed { return &feed{sessions: map[string]ended{}, mutes: map[game.UID]muted{}} }

func (f *feed) len() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.sessions) + len(f.mutes)
}

func (f *feed) age(now time.Duration) time.Duration {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return now - f.polled
}

// look says what is known of a session and its user. It is on the path of every request.
func (f *feed) look(session string, uid game.UID) (why reason, mute int64, muteKnown bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	m, ok := f.mutes[uid]
	return f.sessions[session].why, m.until, ok
}

// apply takes a notice in. It may come twice: at once from here, and by the poll.
func (f *feed) apply(n notice, at time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := kept{n.ends, at + noticeKeep}
	switch n.kind {
	case noticeSession:
		f.sessions[n.subject] = ended{reason(n.value), k}
	case noticeMute:
		if uid, err := game.ParseUID(n.subject); err == nil && n.seq >= f.mutes[uid].seq {
			f.mutes[uid] = muted{n.value, n.seq, k}
		}
	}
}

// sweep forgets what no token is left for.
func (f *feed) sweep(now time.Time, at time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s, e := range f.sessions {
		if e.over(now, at) {
			delete(f.sessions, s)
		}
	}
	for u, m := range f.mutes {
		if m.over(now, at) {
			delete(f.mutes, u)
		}
	}
}

// read remembers that all up to seq is known, and gives the notices whose rows may be dropped: those up to what it returns.
func (f *feed) read(seq int64, at time.Duration) (old int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq, f.polled = seq, at
	if len(f.marks) == 0 || at-f.marks[len(f.marks)-1].at >= time.Minute {
		f.marks = append(f.marks, mark{seq, at})
	}
	for len(f.marks) > 1 && at-f.marks[1].at >= noticeKeep {
		f.marks = f.marks[1:]
	}
	if at-f.marks[0].at >= noticeKeep {
		return f.marks[0].seq
	}
	return 0
}

// renumber begins anew with a database whose numbers went back, because it was restored.
func (f *feed) renumber() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq, f.marks = 0, nil
	for u, m := range f.mutes {
		m.seq = 0
		f.mutes[u] = m
	}
}

func (f *feed) last() int64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.seq
}

// tell writes notices inside a write; the caller gives them to s.believe once that is durable. The row of the feed makes
// writes with notices wait for each other, so that numbers become visible in their order.
func (s *Server) tell(w sqldb.Writer, now time.Time, notices []notice) error {
	if len(notices) == 0 {
		return nil
	}
	if _, err := w.Exec("UPDATE identity_feed SET seq = seq + ? WHERE id = 1", int64(len(notices))); err != nil {
		return err
	}
	var seq int64
	if err := w.QueryRow("SELECT seq FROM identity_feed WHERE id = 1").Scan(&seq); err != nil {
		return err
	}
	for i := range notices {
		n := &notices[i]
		n.seq = seq - int64(len(notices)-1-i)
		n.ends = s.noticeEnd(now, n.latest)
		if _, err := w.Exec("INSERT INTO identity_notices (seq, kind, subject, value, ends) VALUES (?, ?, ?, ?, ?)", n.seq, n.kind, n.subject, n.value, millis(n.ends)); err != nil {
			return err
		}
	}
	return nil
}

// noticeEnd is when the last token is over that was made until now, or until latest by a clock that is ahead. A refresh
// token that is shown again within its grace, and a moment between a row and its token, are added.
func (s *Server) noticeEnd(now, latest time.Time) time.Time {
	if latest.After(now) {
		now = now.Add(min(latest.Sub(now), noticeAheadMax))
	}
	return now.Add(game.AccessLifeMax + s.cfg.RefreshGrace + 2*s.cfg.ClockLeeway + time.Minute)
}

// believe takes notices in that this server has made durable.
func (s *Server) believe(notices []notice) {
	at := s.clock.elapsed()
	for _, n := range notices {
		s.feed.apply(n, at)
		if n.kind == noticeSession {
			s.metrics.ended.WithLabelValues(reason(n.value).String()).Inc()
		}
		if uid, err := game.ParseUID(n.subject); err == nil && n.kind == noticeUser {
			s.known.drop(uid)
		}
	}
}

// sessionNotice tells of a session that ended, which was used last at a time.
func sessionNotice(id string, why reason, used int64) notice {
	return notice{kind: noticeSession, subject: id, value: int64(why), latest: fromMillis(used)}
}

func userNotice(uid game.UID) notice { return notice{kind: noticeUser, subject: uid.String()} }

// poll reads the notices that came since the last one. One poll runs at a time.
func (s *Server) poll(ctx context.Context) error {
	select {
	case s.polling <- struct{}{}:
		defer func() { <-s.polling }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		asked := s.clock.elapsed()
		after := s.feed.last()
		list, top, err := s.noticesAfter(ctx, after)
		if err != nil {
			return fmt.Errorf("read notices: %w", err)
		}
		if top < after { // the database was restored: it numbers anew
			s.feed.renumber()
			s.dueKeys, s.dueServices = true, true
			continue
		}
		for _, n := range list {
			s.feed.apply(n, asked)
			s.dueKeys, s.dueServices = s.dueKeys || n.kind == noticeKeys, s.dueServices || n.kind == noticeServices
			if uid, err := strconv.ParseUint(n.subject, 10, 64); err == nil && n.kind == noticeUser {
				s.known.drop(game.UID(uid))
			}
			top = n.seq
		}
		if len(list) < noticesPage {
			if err := s.reread(ctx); err != nil {
				return err
			}
			s.old.Store(s.feed.read(top, asked))
			return nil
		}
		s.feed.read(top, asked)
	}
}

// reread reads what a notice said has changed. Preconditions: the caller has s.polling.
func (s *Server) reread(ctx context.Context) error {
	if s.dueKeys {
		if err := s.readKeys(ctx); err != nil {
			return err
		}
		s.dueKeys = false
	}
	if s.dueServices {
		if err := s.readServices(ctx); err != nil {
			return err
		}
		s.dueServices = false
	}
	return nil
}

func (s *Server) noticesAfter(ctx context.Context, after int64) (list []notice, top int64, err error) {
	err = s.db.Read(ctx, func(r sqldb.Reader) error {
		list = list[:0]
		if err := r.QueryRow("SELECT seq FROM identity_feed WHERE id = 1").Scan(&top); err != nil || top <= after {
			return err
		}
		rows, err := r.Query("SELECT seq, kind, subject, value, ends FROM identity_notices WHERE seq > ? ORDER BY seq LIMIT ?", after, int64(noticesPage))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var n notice
			var ends int64
			if err := rows.Scan(&n.seq, &n.kind, &n.subject, &n.value, &ends); err != nil {
				return err
			}
			n.ends = fromMillis(ends)
			list = append(list, n)
		}
		return rows.Err()
	})
	return list, top, err
}

// freshenEvery is how often somebody who shows what is not known here makes this server ask the database.
const freshenEvery = 100 * time.Millisecond

// freshen polls out of turn, because a key or a service may be new. Those who come
// too soon after the last one wait for a poll that runs, and no more.
func (s *Server) freshen(ctx context.Context) {
	now := int64(s.clock.elapsed())
	last := s.freshened.Load()
	if (last == 0 || now-last >= int64(freshenEvery)) && s.freshened.CompareAndSwap(last, max(now, 1)) {
		s.poll(ctx) //nolint:errcheck // then it is still not known, and Run tells of it
		return
	}
	select {
	case s.polling <- struct{}{}:
		<-s.polling
	case <-ctx.Done():
	}
}
