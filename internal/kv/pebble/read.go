package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"

	"github.com/cockroachdb/pebble/v2"

	"github.com/kamado/kamado/internal/kv"
)

// settle waits until what a reader has seen is durable: the engine shows a group
// before its sync. A group that begins after this call was not seen.
func (s *Store) settle(ctx context.Context) error {
	if c := s.group.Load(); c != nil {
		select {
		case <-c.done:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.disk.stopped:
		}
	}
	return s.stoppedError()
}

// readError is what a failed read becomes.
func (s *Store) readError(err error) error {
	if stopped := s.stoppedError(); stopped != nil {
		return stopped
	}
	s.met.readErrors.Inc()
	return fmt.Errorf("%w: %w", kv.ErrAway, err)
}

// Get gives a value.
func (s *Store) Get(ctx context.Context, key kv.Key) (kv.Entry, error) {
	if err := key.Check(); err != nil {
		return kv.Entry{}, err
	}
	if err := s.enter(); err != nil {
		return kv.Entry{}, err
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return kv.Entry{}, err
	}
	k := appendKey(make([]byte, 0, 64), key)
	e := kv.Entry{Key: key}
	b, closer, err := s.db.Get(k)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
	case err != nil:
		return kv.Entry{}, s.readError(err)
	default:
		var value []byte
		e.Version, value, err = parseValue(b)
		e.Value = bytes.Clone(value)
		if err = errors.Join(err, closer.Close()); err != nil {
			return kv.Entry{}, s.readError(err)
		}
	}
	// Only a write of this key can have shown what is not durable.
	if len(s.stripeOf(k).held) > 0 {
		if err := s.settle(ctx); err != nil {
			return kv.Entry{}, err
		}
	}
	if err := s.stoppedError(); err != nil {
		return kv.Entry{}, err
	}
	if e.Version == kv.Absent {
		return kv.Entry{}, kv.ErrNotFound
	}
	return e, nil
}

// List gives entries of a group, all as of one moment.
func (s *Store) List(ctx context.Context, group, after string, limit int) ([]kv.Entry, error) {
	if err := kv.CheckList(group, after, limit); err != nil {
		return nil, err
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	from := appendGroup(nil, group)
	to := bytes.Clone(from)
	to[len(to)-1] = 1
	if after != "" {
		from = append(append(from, after...), 0)
	}
	var es []kv.Entry
	err := s.walk(ctx, from, to, func(e kv.Entry) error {
		es = append(es, e)
		if len(es) == limit {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return es, nil
}

var errEnough = errors.New("enough")

// Scan gives every entry, all as of one moment.
func (s *Store) Scan(ctx context.Context, fn func(kv.Entry) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.walk(ctx, []byte("d"), []byte("e"), fn)
}

func (s *Store) walk(ctx context.Context, from, to []byte, fn func(kv.Entry) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	it, err := s.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return s.readError(err)
	}
	defer func() {
		if closing := it.Close(); err == nil && closing != nil {
			err = s.readError(closing)
		}
	}()
	if err := s.settle(ctx); err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ending:
			return kv.ErrClosed
		default:
		}
		e, err := entry(it)
		if err != nil {
			return s.readError(err)
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	if err := it.Error(); err != nil {
		return s.readError(err)
	}
	return s.stoppedError()
}

func entry(it *pebble.Iterator) (kv.Entry, error) {
	k, err := parseKey(it.Key())
	if err != nil {
		return kv.Entry{}, err
	}
	b, err := it.ValueAndErr()
	if err != nil {
		return kv.Entry{}, err
	}
	v, value, err := parseValue(b)
	return kv.Entry{Key: k, Value: bytes.Clone(value), Version: v}, err
}

// Snapshot copies the store into dir: tables by hard links, the log by bytes.
// Writes go on; those acknowledged before the call are in the copy.
func (s *Store) Snapshot(ctx context.Context, dir string) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.disk.space(s.c.FreeBytesMin, s.c.Now()); err != nil {
		return err
	}
	// An acknowledged write is in the log's file already: no flush is needed.
	if err := s.db.Checkpoint(dir); err != nil {
		if stopped := s.stoppedError(); stopped != nil {
			return stopped
		}
		what := kv.ErrInvalid
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			what = kv.ErrFull
		}
		return fmt.Errorf("%w: snapshot into %s: %w", what, filepath.Base(dir), err)
	}
	return nil
}

// Shards gives the one shard that one machine has.
func (s *Store) Shards(ctx context.Context) ([]kv.Shard, error) {
	if err := s.enter(); err != nil {
		if errors.Is(err, kv.ErrStopped) {
			return []kv.Shard{{Name: "0", Keys: -1, Bytes: -1, Warnings: []string{err.Error() + ": start the program anew"}}}, nil
		}
		return nil, err
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m := s.db.Metrics()
	sh := kv.Shard{
		Name: "0", Leader: "here", Keys: -1, Bytes: int64(m.DiskSpaceUsage()),
		Replicas: []kv.Replica{{Node: "here", Leader: true, Ready: true}},
	}
	if err := s.disk.space(s.c.FreeBytesMin, s.c.Now()); err != nil {
		sh.Warnings = append(sh.Warnings, err.Error())
	}
	return []kv.Shard{sh}, nil
}
