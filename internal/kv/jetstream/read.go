package jetstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/kamado/kamado/internal/kv"
)

// record is what a shard has of a key.
type record struct {
	seq     uint64
	deleted bool
	number  string
	value   []byte
}

// record asks the leader for the last record of a key.
func (s *Store) record(ctx context.Context, shard int, subject string) (record, error) {
	var a server.JSApiMsgGetResponse
	err := s.ask(ctx, s.conn(), "$JS.API.STREAM.MSG.GET."+s.stream(shard), server.JSApiMsgGetRequest{LastFor: subject}, &a)
	if err != nil {
		return record{}, err
	}
	if a.Message == nil || a.Message.Subject != subject || a.Message.Sequence == 0 {
		return record{}, errors.New("answer of the engine: it is not the record that was asked for")
	}
	h := a.Message.Header
	return record{seq: a.Message.Sequence, deleted: header(h, headerOperation) == deleted, number: header(h, headerNumber), value: a.Message.Data}, nil
}

// header gives a field of a record's headers: "NATS/1.0", then "Name: value", each
// ended by CR LF.
func header(h []byte, name string) string {
	for line := range bytes.SplitSeq(h, []byte("\r\n")) {
		if k, v, ok := bytes.Cut(line, []byte(":")); ok && string(k) == name {
			return string(bytes.TrimSpace(v))
		}
	}
	return ""
}

// Get gives a value, as the shard's leader has it.
func (s *Store) Get(ctx context.Context, key kv.Key) (kv.Entry, error) {
	if err := key.Check(); err != nil {
		return kv.Entry{}, err
	}
	if err := s.enter(ctx, 0); err != nil {
		return kv.Entry{}, err
	}
	defer s.leave(0)
	return s.get(ctx, key)
}

func (s *Store) get(ctx context.Context, key kv.Key) (kv.Entry, error) {
	shard, subject := s.subject(key)
	var r record
	err := s.again(ctx, patienceFirst, func(ctx context.Context) (err error) {
		r, err = s.record(ctx, shard, subject)
		return err
	})
	if err == nil && r.deleted {
		err = kv.ErrNotFound
	}
	if err != nil {
		return kv.Entry{}, s.readError(ctx, err)
	}
	return kv.Entry{Key: key, Value: r.value, Version: kv.Version(r.seq)}, nil
}

// names gives the keys that a filter matches, tombstones included, in no order.
func (s *Store) names(ctx context.Context, shard int, filter string) ([]kv.Key, error) {
	var keys []kv.Key
	for offset := 0; ; {
		var info *server.JSApiStreamInfoResponse
		err := s.again(ctx, patienceFirst, func(ctx context.Context) (err error) {
			info, err = s.info(ctx, shard, &server.JSApiStreamInfoRequest{SubjectsFilter: filter, ApiPagedRequest: server.ApiPagedRequest{Offset: offset}})
			return err
		})
		if err != nil {
			return nil, s.readError(ctx, err)
		}
		for subject := range info.State.Subjects {
			k, err := s.parseSubject(shard, subject)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", kv.ErrAway, err)
			}
			keys = append(keys, k)
		}
		offset += len(info.State.Subjects)
		if len(info.State.Subjects) == 0 || offset >= info.Total {
			return keys, nil
		}
	}
}

// readers is how many values List and Scan ask for at a time: few, since each may be
// of kv.ValueBytesMax, and a leader answers one after the other.
const readers = 4

// values reads keys, at most readers at a time, and gives those that have a value, in order.
func (s *Store) values(ctx context.Context, keys []kv.Key) ([]kv.Entry, error) {
	es, errs := make([]kv.Entry, len(keys)), make([]error, len(keys))
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(readers, len(keys)) {
		wg.Go(func() {
			for i := range next {
				es[i], errs[i] = s.get(ctx, keys[i])
			}
		})
	}
	for i := range keys {
		next <- i
	}
	close(next)
	wg.Wait()
	have := es[:0]
	for i := range keys {
		switch {
		case errs[i] == nil:
			have = append(have, es[i])
		case !errors.Is(errs[i], kv.ErrNotFound):
			return nil, errs[i]
		}
	}
	return have, nil
}

func byName(a, b kv.Key) int { return strings.Compare(a.Name, b.Name) }

// List gives entries of a group. Its cost is that of all names of the group, and
// of the values that it gives.
func (s *Store) List(ctx context.Context, group, after string, limit int) ([]kv.Entry, error) {
	if err := kv.CheckList(group, after, limit); err != nil {
		return nil, err
	}
	if err := s.enter(ctx, 0); err != nil {
		return nil, err
	}
	defer s.leave(0)
	shard, prefix := s.groupSubject(group)
	keys, err := s.names(ctx, shard, prefix+">")
	if err != nil {
		return nil, err
	}
	slices.SortFunc(keys, byName)
	if after != "" {
		at, found := slices.BinarySearchFunc(keys, kv.Key{Name: after}, byName)
		if found {
			at++
		}
		keys = keys[at:]
	}
	var all []kv.Entry
	for len(keys) > 0 && len(all) < limit {
		n := min(len(keys), limit-len(all)) // fewer come where some are tombstones
		es, err := s.values(ctx, keys[:n])
		if err != nil {
			return nil, err
		}
		all, keys = append(all, es...), keys[n:]
	}
	return all, nil
}

// Scan gives every entry: the names of one part of a shard are listed, then their
// values are read. It needs memory for the names of a part and some values.
func (s *Store) Scan(ctx context.Context, fn func(kv.Entry) error) error {
	if err := s.enter(ctx, 0); err != nil {
		return err
	}
	defer s.leave(0)
	for shard := range s.c.Shards {
		for part := range parts {
			keys, err := s.names(ctx, shard, fmt.Sprintf("%s%02x.>", s.prefix(shard), part))
			if err != nil {
				return err
			}
			for chunk := range slices.Chunk(keys, 4*readers) {
				if err := s.scanChunk(ctx, chunk, fn); err != nil {
					return err
				}
			}
		}
	}
	return ctx.Err()
}

func (s *Store) scanChunk(ctx context.Context, keys []kv.Key, fn func(kv.Entry) error) error {
	es, err := s.values(ctx, keys)
	if err != nil {
		return err
	}
	for _, e := range es {
		if err := ctx.Err(); err != nil {
			return err
		}
		select {
		case <-s.ending:
			return kv.ErrClosed
		default:
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}
