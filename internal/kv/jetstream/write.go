package jetstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/kamado/kamado/internal/kv"
)

// Headers of a record. An operation's number tells the writer whether a record is
// its own, when the answer was lost.
const (
	headerBase      = "Nats-Expected-Last-Subject-Sequence"
	headerTTL       = "Nats-TTL"
	headerOperation = "KV-Operation" // DEL: a tombstone
	headerNumber    = "Op"
	deleted         = "DEL"
)

// write is one that is to be done.
type write struct {
	shard   int
	subject string
	value   []byte
	remove  bool
	base    kv.Version
	number  string
	// expect is the number of the last record of the key on which it builds: base, or
	// that of a tombstone where base is Absent.
	expect uint64
	// doubt: it was sent once, and no answer came.
	doubt bool
}

// Put writes a value.
func (s *Store) Put(ctx context.Context, key kv.Key, value []byte, base kv.Version) (kv.Version, error) {
	if err := errors.Join(key.Check(), kv.CheckValue(value)); err != nil {
		return 0, err
	}
	w := &write{value: value, base: base}
	w.shard, w.subject = s.subject(key)
	return s.write(ctx, w)
}

// Delete removes a value.
func (s *Store) Delete(ctx context.Context, key kv.Key, base kv.Version) error {
	if err := key.Check(); err != nil {
		return err
	}
	if base == kv.Absent {
		return fmt.Errorf("%w: a delete of what must be absent", kv.ErrInvalid)
	}
	w := &write{remove: true, base: base}
	w.shard, w.subject = s.subject(key)
	_, err := s.write(ctx, w)
	return err
}

func (s *Store) write(ctx context.Context, w *write) (kv.Version, error) {
	if err := s.enter(ctx, len(w.value)); err != nil {
		return 0, err
	}
	defer s.leave(len(w.value))
	w.number = rand.Text()[:16]
	if w.base != kv.Any {
		w.expect = uint64(w.base)
	}
	patience := patienceFirst + time.Duration(len(w.value)/4096)*time.Millisecond // 4 MB/s at least
	if w.base == kv.Any {
		patience = s.c.Timeout // it cannot be sent twice
	}
	var version kv.Version
	err := s.again(ctx, patience, func(ctx context.Context) (err error) {
		version, err = s.try(ctx, w)
		return err
	})
	return version, s.writeError(ctx, w, err)
}

// try is one step of a write: it is sent, or, where it is in doubt or the key has
// another record than expected, the key is looked at.
func (s *Store) try(ctx context.Context, w *write) (kv.Version, error) {
	if w.doubt {
		if v, err := s.settle(ctx, w); v != 0 || err != nil {
			return v, err
		}
	}
	v, err := s.send(ctx, w)
	switch {
	case errors.Is(err, errNoAnswer):
		w.doubt = true
		if w.base == kv.Any {
			return 0, kv.ErrDoubt // a second one might overwrite what came between
		}
	case isCode(err, codeWrongSequence) && w.doubt:
		// The first one was taken after it was looked for, or another one came.
		if v, err := s.settle(ctx, w); v != 0 || err != nil {
			return v, err
		}
		return 0, kv.ErrDoubt
	case isCode(err, codeWrongSequence) && w.base == kv.Absent:
		return s.overTombstone(ctx, w)
	}
	return v, err
}

// settle looks at the key of a write in doubt. It gives a version when the record
// is the write's own, nothing when the write can be tried again, and else an error.
func (s *Store) settle(ctx context.Context, w *write) (kv.Version, error) {
	r, err := s.record(ctx, w.shard, w.subject)
	var last uint64
	switch {
	case isCode(err, codeNoMessage):
	case err != nil:
		return 0, err
	case r.number == w.number:
		s.met.settled.Inc()
		return kv.Version(r.seq), nil
	default:
		last = r.seq
	}
	if last == w.expect {
		return 0, nil // not taken until now; if it comes later, one of the two is refused
	}
	return 0, kv.ErrDoubt // it may have been taken and replaced by what is there
}

// overTombstone tries a create again on top of a tombstone.
func (s *Store) overTombstone(ctx context.Context, w *write) (kv.Version, error) {
	r, err := s.record(ctx, w.shard, w.subject)
	switch {
	case isCode(err, codeNoMessage): // its tombstone has just gone
		if w.expect == 0 {
			return 0, errNoLeader
		}
		w.expect = 0
	case err != nil:
		return 0, err
	case !r.deleted || r.seq == w.expect:
		return 0, kv.ErrConflict
	default:
		w.expect = r.seq
	}
	v, err := s.send(ctx, w)
	if errors.Is(err, errNoAnswer) {
		w.doubt = true
	}
	return v, err
}

// send publishes a write once.
func (s *Store) send(ctx context.Context, w *write) (kv.Version, error) {
	m := &nats.Msg{Subject: w.subject, Data: w.value, Header: nats.Header{headerNumber: {w.number}}}
	if w.base != kv.Any {
		m.Header[headerBase] = []string{strconv.FormatUint(w.expect, 10)}
	}
	if w.remove {
		m.Header[headerOperation] = []string{deleted}
		m.Header[headerTTL] = []string{s.c.TombstoneTTL.String()}
	}
	nc := s.conn()
	if s.c.early {
		return 1, nc.PublishMsg(m)
	}
	r, err := s.request(ctx, nc, m)
	if err != nil {
		return 0, err
	}
	var ack server.PubAck
	if err := parseAnswer(r.Data, &ack); err != nil {
		return 0, err
	}
	if ack.Sequence == 0 || ack.Stream != s.stream(w.shard) {
		return 0, fmt.Errorf("%w: the engine acknowledged %s %d", errNoAnswer, ack.Stream, ack.Sequence)
	}
	return kv.Version(ack.Sequence), nil
}

// writeError is what a caller gets of a write that failed.
func (s *Store) writeError(ctx context.Context, w *write, err error) error {
	switch {
	case err == nil || errors.Is(err, kv.ErrConflict):
		return err
	case w.doubt || errors.Is(err, kv.ErrDoubt) || errors.Is(err, errNoAnswer):
		s.met.doubts.Inc()
		if errors.Is(err, kv.ErrDoubt) {
			return err
		}
		return fmt.Errorf("%w: %w", kv.ErrDoubt, err)
	case isCode(err, codeWrongSequence):
		return kv.ErrConflict
	case isCode(err, codeNoResources, codeStorageFull, codeStoreFailed):
		s.met.full.Inc()
		return fmt.Errorf("%w: %w", kv.ErrFull, err)
	case ctx.Err() != nil: // it was not taken
		return ctx.Err()
	}
	s.met.away.Inc()
	return fmt.Errorf("%w: %w", kv.ErrAway, err)
}
