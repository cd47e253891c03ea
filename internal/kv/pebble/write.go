package pebble

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/kamado/kamado/internal/kv"
)

// stripe is a lock for the keys of one hash.
type stripe struct {
	held chan struct{} // cap 1: full while somebody holds it
}

// write is one that waits for the committer, or is with it.
type write struct {
	key    []byte
	value  []byte // the caller's; not looked at once the group is in the engine
	remove bool
	held   *stripe
	// out is closed when the outcome is known. The committer has given back the stripe then.
	out     chan struct{}
	version kv.Version
	err     error
}

// commit is a group of writes.
type commit struct {
	writes []*write
	began  time.Time
	batch  *pebble.Batch
	done   chan struct{} // closed when it is durable, or never will be
}

// Bounds of a group.
const (
	groupMax      = 512
	groupBytesMax = 1 << 20
	groupsMax     = 64 // applied, and not yet durable
)

var seed = maphash.MakeSeed()

func (s *Store) stripeOf(k []byte) *stripe { return &s.stripes[maphash.Bytes(seed, k)%stripes] }

// Put writes a value.
func (s *Store) Put(ctx context.Context, key kv.Key, value []byte, base kv.Version) (kv.Version, error) {
	if err := errors.Join(key.Check(), kv.CheckValue(value)); err != nil {
		return 0, err
	}
	return s.write(ctx, &write{key: appendKey(nil, key), value: value}, base)
}

// Delete removes a value.
func (s *Store) Delete(ctx context.Context, key kv.Key, base kv.Version) error {
	if err := key.Check(); err != nil {
		return err
	}
	if base == kv.Absent {
		return fmt.Errorf("%w: a delete of what must be absent", kv.ErrInvalid)
	}
	_, err := s.write(ctx, &write{key: appendKey(nil, key), remove: true}, base)
	return err
}

func (s *Store) write(ctx context.Context, w *write, base kv.Version) (kv.Version, error) {
	if err := s.enter(); err != nil {
		return 0, err
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := s.room(len(w.value)); err != nil {
		s.met.refused(err)
		return 0, err
	}
	defer s.free(len(w.value))
	w.held, w.out = s.stripeOf(w.key), make(chan struct{})
	select {
	case w.held.held <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-s.disk.stopped:
		return 0, s.stoppedError()
	}
	if nothing, err := s.begin(w, base); nothing || err != nil {
		<-w.held.held
		return 0, err
	}
	return s.await(ctx, w)
}

// room books a place for a write of n bytes until free, or says what is full.
func (s *Store) room(n int) error {
	if err := s.disk.space(s.c.FreeBytesMin, s.c.Now()); err != nil {
		return err
	}
	if s.writes.Add(1) > int64(s.c.Queue) {
		s.writes.Add(-1)
		return errQueue(s.c.Queue)
	}
	if s.bytes.Add(int64(n)) > s.c.QueueBytes {
		s.free(n)
		return &kv.ExhaustedError{What: "bytes of values under way to the disk", Limit: int(s.c.QueueBytes), Setting: "queue_bytes"}
	}
	return nil
}

func (s *Store) free(n int) {
	s.bytes.Add(-int64(n))
	s.writes.Add(-1)
}

func errQueue(limit int) error {
	return &kv.ExhaustedError{What: "writes under way to the disk", Limit: limit, Setting: "queue"}
}

// begin hands a write to the committer, if its base is right. It says whether
// there is nothing to do. Preconditions: the stripe is held.
func (s *Store) begin(w *write, base kv.Version) (nothing bool, err error) {
	if base != kv.Any || w.remove {
		version := s.versionOf
		if base == kv.Absent {
			version = s.versionOfNew
		}
		now, err := version(w.key)
		if err != nil {
			return false, err
		}
		if base == kv.Any && now == kv.Absent {
			return true, nil
		}
		if base != kv.Any && base != now {
			return false, kv.ErrConflict
		}
	}
	if w.value != nil {
		w.value = append([]byte(nil), w.value...) // the caller may leave before the engine has it
	}
	select {
	case s.queue <- w:
		return false, nil
	default:
		// Of those whose callers have left, too many wait.
		err := errQueue(s.c.Queue)
		s.met.refused(err)
		return false, err
	}
}

func (s *Store) versionOf(key []byte) (kv.Version, error) {
	b, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return kv.Absent, nil
	}
	if err != nil {
		return 0, s.readError(err)
	}
	v, _, err := parseValue(b)
	return v, errors.Join(err, closer.Close())
}

// versionOfNew is versionOf of a key that most likely is not there: it asks the
// filters of all tables first, which a get does not do for the biggest ones.
func (s *Store) versionOfNew(key []byte) (v kv.Version, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: key, UseL6Filters: true})
	if err != nil {
		return 0, s.readError(err)
	}
	defer func() {
		if closing := it.Close(); err == nil && closing != nil {
			err = s.readError(closing)
		}
	}()
	if !it.SeekPrefixGE(key) || !bytes.Equal(it.Key(), key) {
		return kv.Absent, nil // an error is that of Close too
	}
	b, err := it.ValueAndErr()
	if err != nil {
		return 0, s.readError(err)
	}
	v, _, err = parseValue(b)
	return v, err
}

// await gives the outcome of a write that the committer has. The stripe is the committer's.
func (s *Store) await(ctx context.Context, w *write) (kv.Version, error) {
	select {
	case <-w.out:
		return w.version, w.err
	default:
	}
	select {
	case <-w.out:
		return w.version, w.err
	case <-ctx.Done():
		s.met.doubts.Inc()
		return 0, fmt.Errorf("%w: %w", kv.ErrDoubt, ctx.Err())
	case <-s.disk.stopped:
		s.met.doubts.Inc()
		return 0, fmt.Errorf("%w: %w", kv.ErrDoubt, s.stoppedError())
	}
}

// committer gives what waits to the engine, until the queue is closed or the disk
// fails. It does not wait for the disk: while one group is synced the next are
// applied, and the engine syncs them together.
func (s *Store) committer() {
	applied := make(chan *commit, groupsMax)
	defer func() {
		if r := recover(); r != nil { // the engine gave up its log
			s.disk.stop(fmt.Errorf("the engine gave up: %v", r))
		}
		close(applied)
	}()
	go s.acknowledge(applied)
	for {
		select {
		case <-s.disk.stopped:
			return
		case w, ok := <-s.queue:
			if !ok {
				return
			}
			c := s.collect(w)
			if err := s.apply(c); err != nil {
				s.disk.stop(fmt.Errorf("write to the log: %w", err))
				return
			}
			applied <- c // acknowledge takes all, also after a fault
		}
	}
}

// collect makes a group of all that waits.
func (s *Store) collect(first *write) *commit {
	c := &commit{writes: append(make([]*write, 0, 8), first), began: time.Now(), done: make(chan struct{})}
	for n := len(first.value); n < groupBytesMax && len(c.writes) < groupMax; {
		select {
		case w, ok := <-s.queue:
			if !ok {
				return c
			}
			c.writes = append(c.writes, w)
			n += len(w.value)
		default:
			return c
		}
	}
	return c
}

// apply gives a group to the engine, which shows it from then on.
func (s *Store) apply(c *commit) error {
	s.version = max(s.version, kv.Version(max(0, s.c.Now().UnixMicro())))
	c.batch = s.db.NewBatch()
	for _, w := range c.writes {
		s.version++
		w.version = s.version
		if w.remove {
			if err := c.batch.Delete(w.key, nil); err != nil {
				return err
			}
			continue
		}
		op := c.batch.SetDeferred(len(w.key), 8+len(w.value))
		copy(op.Key, w.key)
		binary.BigEndian.PutUint64(op.Value, uint64(w.version))
		copy(op.Value[8:], w.value)
		if err := op.Finish(); err != nil {
			return err
		}
	}
	var greatest [8]byte
	binary.BigEndian.PutUint64(greatest[:], uint64(s.version))
	if err := c.batch.Set(versionKey, greatest[:], nil); err != nil {
		return err
	}
	s.group.Store(c)
	// With ApplyNoSyncWait a failing sync is an error of SyncWait; with Apply it
	// would end the process.
	return s.db.ApplyNoSyncWait(c.batch, pebble.Sync)
}

// acknowledge waits for the disk and tells the writers, in the order of the groups.
// After a fault nobody is told, and the stripes stay held: all see the fault.
func (s *Store) acknowledge(applied <-chan *commit) {
	defer close(s.done)
	for c := range applied {
		if err := c.batch.SyncWait(); err != nil {
			s.disk.stop(fmt.Errorf("sync of the log: %w", err))
		}
		if s.disk.fault() != nil {
			continue
		}
		s.met.observe(len(c.writes), time.Since(c.began)) // before anybody knows, who may look at it
		close(c.done)
		for _, w := range c.writes {
			<-w.held.held
			close(w.out)
		}
		if err := c.batch.Close(); err != nil {
			s.disk.stop(err)
		}
	}
}
