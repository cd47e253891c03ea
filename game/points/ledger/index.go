package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kamado/kamado/game"
)

// Keys of the index. Numbers in keys are big endian, so that they sort.
const (
	keyPosition = 'p' // to the end up to which the index is complete
	keyTx       = 't' // txKey, to a place
	keyHold     = 'h' // reservation, to the place of the posting that ended it
	keySeq      = 's' // first seq of a batch, to the place of the batch
	keyUser     = 'a' // user, to nothing
)

// indexMemBytes is what the index keeps in memory before it writes a table: about
// 80,000 postings. Up to four of them may wait.
const indexMemBytes = 8 << 20

// index finds places. It is written without a log of its own: after a crash it is
// as it was at some earlier batch, which its position tells.
type index struct {
	db *pebble.DB
}

// indexed is what the index keeps of one batch.
type indexed struct {
	end   end
	start place // of the batch
	first uint64
	txs   []indexedTx
	holds []indexedHold
	users []game.UID // those that are new
}

type indexedTx struct {
	key txKey
	at  place
}

type indexedHold struct {
	id uint64
	at place
}

// note adds a posting.
func (x *indexed) note(p *game.Posting, k txKey, before, beforeTo, at place) {
	x.txs = append(x.txs, indexedTx{k, at})
	if before == 0 {
		x.users = append(x.users, p.UID)
	}
	if p.To != 0 && beforeTo == 0 {
		x.users = append(x.users, p.To)
	}
	eachEnd(p, func(id uint64) { x.holds = append(x.holds, indexedHold{id, at}) })
}

// indexLog hands to the ledger's log what the engine has to say that matters.
type indexLog struct{ log *slog.Logger }

func (indexLog) Infof(string, ...any) {}

func (l indexLog) Errorf(format string, args ...any) {
	l.log.Warn("ledger index complains; it is tried again", "error", fmt.Sprintf(format, args...))
}

// Fatalf is called where the engine cannot go on. Its caller must not either.
func (l indexLog) Fatalf(format string, args ...any) {
	panic("ledger index: " + fmt.Sprintf(format, args...))
}

func openIndex(fs vfs.FS, dir string, cacheBytes int64, log *slog.Logger) (*index, error) {
	cache := pebble.NewCache(cacheBytes)
	defer cache.Unref()
	o := &pebble.Options{
		FS: fs, Cache: cache, MemTableSize: indexMemBytes, MemTableStopWritesThreshold: 4, DisableWAL: true, MaxOpenFiles: 200,
		FormatMajorVersion: pebble.FormatNewest, L0CompactionThreshold: 4, L0StopWritesThreshold: 24, Logger: indexLog{log},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	o.EnsureDefaults()
	db, err := pebble.Open(dir, o)
	if err != nil {
		return nil, err
	}
	return &index{db}, nil
}

const positionBytes = 16 + 8 + 8 + 8 + 32 + 8

func appendPosition(dst []byte, id *ledgerID, e *end) []byte {
	dst = append(dst, id[:]...)
	dst = le.AppendUint64(dst, e.batch)
	dst = le.AppendUint64(dst, e.seq)
	dst = le.AppendUint64(dst, uint64(e.now))
	dst = append(dst, e.chain[:]...)
	return le.AppendUint64(dst, uint64(e.next))
}

func parsePosition(b []byte) (id ledgerID, e end, err error) {
	if len(b) != positionBytes {
		return id, e, errFormat
	}
	copy(id[:], b)
	e = end{batch: le.Uint64(b[16:]), seq: le.Uint64(b[24:]), now: game.Instant(le.Uint64(b[32:])), next: place(le.Uint64(b[72:]))}
	copy(e.chain[:], b[40:])
	return id, e, nil
}

// position is the end up to which the index is complete; the zero end when it is empty.
func (x *index) position() (id ledgerID, e end, err error) {
	err = x.get([]byte{keyPosition}, func(v []byte) error {
		id, e, err = parsePosition(v)
		return err
	})
	return id, e, err
}

// get hands the value of a key to read, when there is one.
func (x *index) get(key []byte, read func([]byte) error) error {
	v, closer, err := x.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	return errors.Join(read(v), closer.Close())
}

// placeOf is the place that a key leads to; 0: there is none.
func (x *index) placeOf(key []byte) (p place, err error) {
	err = x.get(key, func(v []byte) error {
		if len(v) != 8 {
			return fmt.Errorf("index: a place of %d bytes", len(v))
		}
		p = place(le.Uint64(v))
		return nil
	})
	return p, err
}

func (x *index) tx(k *txKey) (place, error) {
	var key [17]byte
	key[0] = keyTx
	copy(key[1:], k[:])
	return x.placeOf(key[:])
}

func numberKey(kind byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kind}, n)
}

func (x *index) holdEnd(id uint64) (place, error) { return x.placeOf(numberKey(keyHold, id)) }

// batchOf is the place of the batch that a posting is in, if it is in any.
func (x *index) batchOf(seq uint64) (p place, err error) {
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keySeq}, UpperBound: []byte{keySeq + 1}})
	if err != nil {
		return 0, fmt.Errorf("index: %w", err)
	}
	if it.SeekLT(numberKey(keySeq, seq+1)) {
		if v := it.Value(); len(v) == 8 {
			p = place(le.Uint64(v))
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return 0, fmt.Errorf("index: %w", err)
	}
	return p, nil
}

// users gives users from behind one, by number.
func (x *index) users(after game.UID, limit int) (list []game.UID, err error) {
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: numberKey(keyUser, uint64(after)+1), UpperBound: []byte{keyUser + 1}})
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	for ok := it.First(); ok && len(list) < limit; ok = it.Next() {
		list = append(list, game.UID(binary.BigEndian.Uint64(it.Key()[1:])))
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	return list, nil
}

// eachTx visits all transaction ids.
func (x *index) eachTx(visit func(*txKey)) error {
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyTx}, UpperBound: []byte{keyTx + 1}})
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	var k txKey
	for ok := it.First(); ok; ok = it.Next() {
		copy(k[:], it.Key()[1:])
		visit(&k)
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	return nil
}

// write adds durable batches, which follow the position. They are in the index together or not at all.
func (x *index) write(id *ledgerID, list []*indexed) error {
	b := x.db.NewBatch()
	defer b.Close()
	var key [17]byte
	var v []byte
	for _, in := range list {
		for i := range in.txs {
			key[0] = keyTx
			copy(key[1:], in.txs[i].key[:])
			v = le.AppendUint64(v[:0], uint64(in.txs[i].at))
			if err := b.Set(key[:], v, nil); err != nil {
				return err
			}
		}
		if err := in.rare(b); err != nil {
			return err
		}
	}
	if err := b.Set([]byte{keyPosition}, appendPosition(nil, id, &list[len(list)-1].end), nil); err != nil {
		return err
	}
	return b.Commit(pebble.NoSync)
}

// rare adds what not each posting has.
func (in *indexed) rare(b *pebble.Batch) error {
	var err error
	set := func(kind byte, n uint64, v []byte) {
		if err == nil {
			err = b.Set(numberKey(kind, n), v, nil)
		}
	}
	if len(in.txs) > 0 {
		set(keySeq, in.first, le.AppendUint64(nil, uint64(in.start)))
	}
	for _, h := range in.holds {
		set(keyHold, h.id, le.AppendUint64(nil, uint64(h.at)))
	}
	for _, u := range in.users {
		set(keyUser, uint64(u), nil)
	}
	return err
}

// flush makes durable what was written.
func (x *index) flush() error { return x.db.Flush() }

func (x *index) close() error { return x.db.Close() }
