package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/disk"
)

// found is what lies in the directory.
type found struct {
	heads     []segmentHead // by number, from 1
	snapshots []uint64      // by seq, the newest first
}

// look lists the directory and removes what was not finished.
func (l *Ledger) look() (found, error) {
	var f found
	names, err := l.deps.disk.Names(l.dir)
	if err != nil {
		return f, err
	}
	var numbers []uint32
	for _, name := range names {
		if n, ok := numberOf(name, ".log", 10); ok && n > 0 && n < 1<<32 {
			numbers = append(numbers, uint32(n))
		}
		if n, ok := numberOf(name, ".snap", 20); ok {
			f.snapshots = append(f.snapshots, n)
		}
		if name == spareName || name == snapshotTemp || name == filterTemp {
			if err := l.deps.disk.Remove(filepath.Join(l.dir, name)); err != nil {
				return f, err
			}
		}
	}
	slices.Sort(numbers)
	slices.Sort(f.snapshots)
	slices.Reverse(f.snapshots)
	for i, n := range numbers {
		if n != uint32(i)+1 {
			return f, &damage{at(uint32(i)+1, 0), 0, "the file is missing"}
		}
		h, err := l.readHead(n)
		if err != nil {
			return f, err
		}
		if i > 0 && h.id != f.heads[0].id {
			return f, &damage{at(n, 0), 0, "the file is of another ledger"}
		}
		f.heads = append(f.heads, h)
	}
	return f, nil
}

func numberOf(name, suffix string, digits int) (uint64, bool) {
	text, ok := strings.CutSuffix(name, suffix)
	n, err := strconv.ParseUint(text, 10, 64)
	return n, ok && err == nil && len(text) == digits
}

func (l *Ledger) readHead(number uint32) (h segmentHead, err error) {
	f, done, err := l.segs.use(number)
	if err != nil {
		return h, err
	}
	defer done()
	b := make([]byte, segmentHeadBytes)
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return h, err
	}
	h, err = parseSegmentHead(b)
	if err == nil && h.number != number {
		err = fmt.Errorf("it says that it is segment %d", h.number)
	}
	if err != nil {
		return h, &damage{at(number, 0), 0, "the header: " + err.Error()}
	}
	return h, nil
}

// recovery is the state of reading a ledger back.
type recovery struct {
	l      *Ledger
	heads  []segmentHead
	core   *core
	snap   end // of the snapshot; the beginning when there is none
	index  end // position of the index
	ids    end // position of the filter
	end    end // reached so far
	torn   bool
	ended  bool // the last batch is a mark or a seal
	queue  []*indexed
	queued int
}

func beginning() end { return end{next: at(1, segmentHeadBytes)} }

// recover reads a ledger back that has segments.
func (l *Ledger) recover(ctx context.Context, f found) error {
	r := &recovery{l: l, heads: f.heads}
	l.id = f.heads[0].id
	l.segs.id = l.id
	if err := r.readSnapshot(f.snapshots); err != nil {
		return err
	}
	if err := r.openIndex(); err != nil {
		return err
	}
	if err := r.openFilter(); err != nil {
		return err
	}
	if err := r.readLog(ctx); err != nil {
		return err
	}
	for what, e := range map[string]end{"index": r.index, "snapshot": r.snap} {
		if e.batch > r.end.batch {
			return &damage{r.end.next, r.end.seq + 1, fmt.Sprintf("the log ends with posting %d, and the %s knows of posting %d, which was durable", r.end.seq, what, e.seq)}
		}
	}
	if err := r.core.check(); err != nil {
		return fmt.Errorf("the ledger is not in balance after posting %d: %w", r.end.seq, err)
	}
	l.core, l.w.end = r.core, r.end
	return r.finish()
}

// readSnapshot takes the newest snapshot that is whole.
func (r *recovery) readSnapshot(list []uint64) error {
	for _, seq := range list {
		c := newCore(r.l.cfg.Rules)
		h, err := r.l.loadSnapshot(seq, c)
		if err == nil {
			r.core, r.snap, r.l.snapshotSeq = c, h.end, h.end.seq
			r.l.metrics.snapshotSeq.Set(float64(h.end.seq))
			return nil
		}
		r.l.metrics.badSnapshots.Inc()
		r.l.deps.Log.Warn("ledger snapshot cannot be used; an older one or the whole log is read", "file", filepath.Join(r.l.dir, snapshotName(seq)), "error", err)
	}
	r.core, r.snap = newCore(r.l.cfg.Rules), beginning()
	return nil
}

func (l *Ledger) loadSnapshot(seq uint64, c *core) (snapshotHead, error) {
	f, err := l.deps.disk.Open(filepath.Join(l.dir, snapshotName(seq)))
	if err != nil {
		return snapshotHead{}, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return snapshotHead{}, err
	}
	h, err := readSnapshot(io.NewSectionReader(f, 0, size), &l.id, c.restore)
	if err != nil {
		return h, err
	}
	if h.end.seq != seq {
		return h, fmt.Errorf("it is of posting %d", h.end.seq)
	}
	c.totals, c.seq, c.now = h.totals, h.end.seq, h.end.now
	return h, c.check()
}

// openIndex opens the index, or makes it anew.
func (r *recovery) openIndex() error {
	l := r.l
	r.index = beginning()
	path, bad := filepath.Join(l.dir, indexName), filepath.Join(l.dir, indexBadName)
	names, err := l.deps.disk.Names(l.dir)
	if err != nil {
		return err
	}
	why := ""
	if slices.Contains(names, indexBadName) {
		why = "it was found damaged"
	} else if l.index, err = openIndex(l.deps.indexFS, path, int64(l.cfg.IndexCacheBytes), l.deps.Log); err != nil {
		if disk.Full(err) {
			return err
		}
		why = err.Error()
	} else if id, e, err := l.index.position(); err != nil {
		why = err.Error()
	} else if e.batch > 0 && id != l.id {
		why = "it is of another ledger"
	} else if e.batch > 0 {
		r.index = e
	}
	if why == "" {
		return nil
	}
	l.deps.Log.Warn("ledger index is made anew from the log", "dir", path, "reason", why)
	if l.index != nil {
		if err := l.index.close(); err != nil {
			l.deps.Log.Debug("ledger index was closed with an error", "error", err)
		}
	}
	if err := l.deps.indexFS.RemoveAll(path); err != nil {
		return err
	}
	if err := l.deps.disk.Remove(bad); err != nil && !disk.Missing(err) {
		return err
	}
	l.index, err = openIndex(l.deps.indexFS, path, int64(l.cfg.IndexCacheBytes), l.deps.Log)
	return err
}

// openFilter reads the filter, or makes it anew from the index.
func (r *recovery) openFilter() error {
	l := r.l
	l.filter = newFilter(int64(l.cfg.FilterBytes))
	r.ids = r.index
	if r.index.batch == 0 {
		return nil
	}
	e, err := l.loadFilter()
	if err == nil && e.batch > 0 {
		r.ids = e
		return nil
	}
	if err != nil && !disk.Missing(err) {
		l.deps.Log.Info("filter of transaction ids is made anew from the index", "reason", err)
	}
	l.filter = newFilter(int64(l.cfg.FilterBytes))
	return l.index.eachTx(l.filter.add)
}

// earliest is where the log is read from: the beginning of the segment that has
// what somebody lacks, so that what lies before it in the file is there too.
func (r *recovery) earliest() (end, error) {
	e := r.snap
	for _, other := range []end{r.index, r.ids} {
		if other.batch < e.batch {
			e = other
		}
	}
	number := e.next.segment()
	if number > uint32(len(r.heads)) {
		return e, &damage{at(uint32(len(r.heads))+1, 0), e.seq + 1, fmt.Sprintf("the file is missing: postings up to %d were durable", e.seq)}
	}
	return r.heads[number-1].before, nil
}

// known checks that what others know of a batch is what the log has.
func (r *recovery) known(b *wholeBatch, e *end) error {
	for what, other := range map[string]*end{"index": &r.index, "snapshot": &r.snap, "filter of transaction ids": &r.ids} {
		if other.batch == e.batch && (other.seq != e.seq || other.chain != e.chain) {
			return &damage{b.start, e.seq, "the " + what + " knows another batch there: its files are of another history than the log"}
		}
	}
	return nil
}

// readLog reads from the earliest place on to the end. One goroutine reads and
// checks the chain while this one does what the postings say.
func (r *recovery) readLog(ctx context.Context) error {
	var err error
	if r.end, err = r.earliest(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	const ahead = 4 // batches that wait
	batches, free := make(chan *wholeBatch, ahead), make(chan []byte, ahead+1)
	s := &logScan{l: r.l, heads: r.heads, end: r.end}
	var scanErr error
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(batches)
		scanErr = s.run(ctx, func(b *wholeBatch) error {
			var buf []byte
			select {
			case buf = <-free:
			default:
			}
			own := *b
			own.raw = append(buf[:0], b.raw...)
			select {
			case batches <- &own:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	for b := range batches {
		if err == nil {
			if err = r.take(b); err != nil {
				cancel()
			}
		}
		select {
		case free <- b.raw:
		default:
		}
	}
	wg.Wait()
	if err != nil {
		return err
	}
	if scanErr != nil {
		return scanErr
	}
	r.torn = s.torn
	r.end.batch, r.end.next, r.end.chain = s.end.batch, s.end.next, s.end.chain
	return r.writeIndex(0)
}

// take does what a batch says, each part for what does not have it yet.
func (r *recovery) take(b *wholeBatch) error {
	l := r.l
	h := &b.head
	r.ended = h.kind != kindPostings
	e := end{h.number, r.end.seq + uint64(h.count), r.end.now, h.chain, at(b.start.segment(), b.start.offset()+int64(h.size))}
	if err := r.known(b, &e); err != nil {
		return err
	}
	toIndex := &indexed{start: b.start, first: h.seq}
	var entries []game.Entry
	err := b.records(&l.id, func(rec *record, here place) error {
		p := &rec.posting
		if p.Time < e.now {
			return &damage{here, p.Seq, "its time is before that of the posting before it"}
		}
		e.now = p.Time
		entries = rec.appendEntries(entries[:0])
		p.Entries = entries
		if h.number > r.snap.batch {
			if err := r.core.replay(p, rec.before, rec.beforeTo, here); err != nil {
				return &damage{here, p.Seq, err.Error()}
			}
		}
		if h.number > r.index.batch || h.number > r.ids.batch {
			k := keyOf(string(rec.tx))
			l.filter.add(&k)
			if h.number > r.index.batch {
				toIndex.note(p, k, rec.before, rec.beforeTo, here)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.end, toIndex.end = e, e
	if h.number > r.index.batch {
		r.queue = append(r.queue, toIndex)
		r.queued += int(h.count)
		return r.writeIndex(10_000)
	}
	return nil
}

// writeIndex writes what waits for the index, when it is more than some postings.
func (r *recovery) writeIndex(atLeast int) error {
	if len(r.queue) == 0 || r.queued < atLeast && len(r.queue) < 1000 {
		return nil
	}
	err := r.l.index.write(&r.l.id, r.queue)
	r.queue, r.queued = r.queue[:0], 0
	return err
}

// finish makes the ledger ready to be written: it cuts a torn end, and marks what was not closed in order.
func (r *recovery) finish() error {
	l := r.l
	number := uint32(len(r.heads))
	f, err := l.deps.disk.Open(l.segs.path(number))
	if err != nil {
		return err
	}
	l.w.active, l.w.number, l.w.size = f, number, r.heads[number-1].size
	if r.end.next.segment() != number { // the last segment has no batch yet
		l.w.end.next = at(number, segmentHeadBytes)
	}
	if err := f.Allocate(l.w.size); err != nil {
		return err
	}
	if r.torn {
		if err := l.cutTorn(f, l.w.end.next.offset()); err != nil {
			return err
		}
	}
	if r.torn || !r.ended && l.w.end.batch > 0 {
		return l.w.control(kindMark)
	}
	return nil
}

// cutTorn keeps what stands behind an offset beside the segment, and makes it zeros.
func (l *Ledger) cutTorn(f disk.File, from int64) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	length, err := l.keepTorn(f, from, size)
	if err != nil {
		l.deps.Log.Warn("torn end of the ledger could not be kept beside it", "error", err)
	}
	for off := from; off < size; off += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-off)], off); err != nil {
			return err
		}
	}
	l.metrics.torn.Inc()
	l.deps.Log.Warn("ledger had a torn end, which was never acknowledged; it is cut", "file", l.segs.path(l.w.number), "offset", from, "bytes", length, "after_posting", l.w.end.seq)
	return f.Sync()
}

// keepTorn copies what is not zero of a torn end.
func (l *Ledger) keepTorn(f disk.File, from, size int64) (int64, error) {
	b := make([]byte, min(size-from, batchBytesMax))
	n, err := f.ReadAt(b, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	for b = b[:n]; len(b) > 0 && b[len(b)-1] == 0; {
		b = b[:len(b)-1]
	}
	out, err := l.deps.disk.Create(l.segs.path(l.w.number) + ".torn")
	if err != nil {
		return int64(len(b)), err
	}
	_, err = out.WriteAt(b, 0)
	return int64(len(b)), errors.Join(err, out.Sync(), out.Close())
}
