package purge

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/purge/journal"
	"github.com/kamado/kamado/internal/disk"
)

// Defaults of Config. An order takes about 300 bytes of memory and 100 on disk:
// 30 MB for the purges, 300 MB for a million takedowns.
const (
	DefaultPurges    = 100_000
	DefaultTakedowns = 1_000_000
)

// foldTo is which part of the bound stays when purges are folded: 1/2. A fold
// costs everything that was kept once, so folds must be rare.
const foldTo = 2

// peerSlack is how many times the bound of takedowns what other nodes send may
// reach: several nodes may accept the last one at the same time, and a takedown
// that one node has accepted must hold everywhere.
const peerSlack = 2

// Names of the files in the directory.
const (
	journalName = "orders"
	damagedName = "orders.damaged"
	lockName    = "lock"
)

// Config says where a table lies and how large it may become.
type Config struct {
	Dir  string // is made when missing; required
	Node string // name of this node; required, see ValidNodeName
	// Purges is how many purges are held; of more, the oldest are folded:
	// everything older is purged once. Default 100,000.
	Purges int
	// Takedowns is how many takedowns and restores are held; one more is
	// refused with images.Exhausted. Default 1,000,000.
	Takedowns int
	// KindOf gives the kind that an original is asked for with, "" for none, so
	// that a takedown of a kind holds for URLs that name the key. nil: none.
	KindOf func(source, key string) string
	Now    func() time.Time // default time.Now
	Disk   disk.Disk        // default disk.OS
	Log    *slog.Logger     // required
}

// Table is all orders that hold, durable. Safe for concurrent use.
type Table struct {
	cfg   Config
	lock  *disk.Lock // nil with a disk of tests
	index *index
	base  atomic.Pointer[base]

	mu      sync.Mutex // one writer; Revision does not take it
	journal *journal.Journal
	self    string // name with the suffix of this start; "" until the first order
	counter uint64 // of self
	last    int64  // latest time seen, microseconds
	vector  Vector
	floor   ID
	salt    uint64
	digest  uint64 // of all registers: the exclusive or of their marks
	seq     uint64 // of the latest takedown or restore
	unswept uint64 // of the latest takedown
	swept   uint64 // takedowns up to here were swept
	nodes   map[string]*nodeOrders
	all     *entry // of ScopeAll: not in the index
	purges  int    // registers; Invariant: ≤ cfg.Purges
	holds   int
	down    int // takedowns in force
	changed chan struct{}

	folds, absorbed, issued, merged, damaged, failures atomic.Uint64
}

// nodeOrders are the orders of one node in the order of their counters.
type nodeOrders struct {
	list []*held
	dead int // of list
}

// Open opens or makes a table. Of a damaged file all whole orders are kept, the
// file is put aside, and until Healed everything counts as purged, because
// nobody knows which purges were lost.
func Open(cfg Config) (*Table, error) {
	if !ValidNodeName(cfg.Node) {
		return nil, fmt.Errorf("open orders: %q is not the name of a node", cfg.Node)
	}
	if cfg.Purges <= 0 {
		cfg.Purges = DefaultPurges
	}
	if cfg.Takedowns <= 0 {
		cfg.Takedowns = DefaultTakedowns
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	t := &Table{
		cfg: cfg, index: newIndex(), vector: Vector{}, nodes: map[string]*nodeOrders{}, all: &entry{target: All()},
		changed: make(chan struct{}),
	}
	t.base.Store(&base{})
	if cfg.Disk == nil {
		t.cfg.Disk = disk.OS{}
		var err error
		if t.lock, err = disk.TakeLock(filepath.Join(cfg.Dir, lockName)); err != nil {
			return nil, fmt.Errorf("open orders: %w", err)
		}
	}
	if err := t.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open orders: %w", err), t.Close())
	}
	return t, nil
}

// load reads the journal.
func (t *Table) load() error {
	unknown := 0
	path := filepath.Join(t.cfg.Dir, journalName)
	j, found, err := journal.Open(t.cfg.Disk, path, func(b []byte) error {
		rec, err := parseRecord(b)
		if err != nil {
			unknown++ // whole, but of a later form or a broken program
			return nil
		}
		t.replay(&rec)
		return nil
	})
	if err != nil {
		return err
	}
	t.journal = j
	t.bound() // it may be lower than it was
	if found.Damaged == 0 && unknown == 0 {
		if found.TornBytes > 0 {
			t.cfg.Log.Info("end of the file of orders cut off", "dir", t.cfg.Dir, "bytes", found.TornBytes)
			return t.rewrite()
		}
		return nil
	}
	return t.salvage(path, found, unknown)
}

// salvage goes on with what could be read of a damaged file.
func (t *Table) salvage(path string, found journal.Found, unknown int) error {
	t.damaged.Add(uint64(found.Damaged + unknown))
	t.cfg.Log.Error("file of orders is damaged", "dir", t.cfg.Dir, "places", found.Damaged, "unknown", unknown, "orders", found.Records, "kept", damagedName)
	t.vector = Vector{} // ask other nodes for everything
	var salt [8]byte
	rand.Read(salt[:]) // never fails
	t.salt = binary.LittleEndian.Uint64(salt[:]) | 1
	t.rebase()
	if err := t.setAside(path); err != nil {
		return err
	}
	return t.rewrite()
}

// setAside copies the damaged file for whoever wants to look at it.
func (t *Table) setAside(path string) error {
	from, err := t.cfg.Disk.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := t.cfg.Disk.Create(filepath.Join(t.cfg.Dir, damagedName))
	if err != nil {
		return err
	}
	defer to.Close()
	buf := make([]byte, 1<<20)
	for at := int64(0); ; {
		n, err := from.ReadAt(buf, at)
		if n == 0 {
			break
		}
		if _, werr := to.WriteAt(buf[:n], at); werr != nil {
			return werr
		}
		at += int64(n)
		if err != nil {
			break
		}
	}
	return to.Sync()
}

// replay applies a record of the journal.
func (t *Table) replay(rec *record) {
	switch rec.kind {
	case recordOrder:
		t.apply(rec.order, rec.seq)
		t.note(rec.order.ID)
	case recordVector:
		for node, n := range rec.vector {
			t.vector[node] = max(t.vector[node], n)
		}
	case recordFloor:
		t.raise(rec.floor)
	case recordSwept:
		t.swept = max(t.swept, rec.seq)
	case recordSalt:
		t.salt = rec.salt
	}
}

// Close closes the file.
func (t *Table) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	if t.journal != nil {
		errs = append(errs, t.journal.Close())
		t.journal = nil
	}
	if t.lock != nil {
		errs = append(errs, t.lock.Release())
		t.lock = nil
	}
	return errors.Join(errs...)
}

// ErrClosed says that the table was closed.
var ErrClosed = errors.New("table of orders is closed")

// Issue gives orders, all or none. When it returns nil they are on disk and
// hold on this node. Errors are images.Invalid, images.Exhausted when the bound
// of takedowns is reached, and images.Unavailable when they could not be
// written; of the latter nobody knows whether they come back with a restart,
// so they may be given again.
func (t *Table) Issue(drafts ...Draft) ([]Order, error) {
	for _, d := range drafts {
		if err := d.Validate(); err != nil {
			return nil, err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.journal == nil {
		return nil, ErrClosed
	}
	orders := make([]Order, len(drafts))
	if t.self == "" {
		var suffix [suffixBytes]byte
		rand.Read(suffix[:]) // never fails
		t.self = t.cfg.Node + "." + hex.EncodeToString(suffix[:])
	}
	counter, last := t.counter, t.last
	for i, d := range drafts {
		counter++
		last = max(last+1, t.cfg.Now().UnixMicro())
		if last > timeMax {
			return nil, images.Errorf(images.Unavailable, "the clock of this node, or of one before, is wrong")
		}
		orders[i] = Order{ID{last, t.self, counter}, d.Action, d.Target, d.Reason}
	}
	if t.holdsAfter(orders) > t.cfg.Takedowns {
		return nil, images.Errorf(images.Exhausted, "%d takedowns and restores are held, which is the bound", t.holds)
	}
	// A counter is not used twice, also when the write fails half-way.
	t.counter, t.last = counter, last
	if err := t.commit(orders, Vector{t.self: counter}, ID{}); err != nil {
		return nil, images.Wrap(images.Unavailable, "order", "the order could not be written to disk", err)
	}
	t.issued.Add(uint64(len(orders)))
	return orders, nil
}

// holdsAfter is how many registers of takedowns there would be.
func (t *Table) holdsAfter(orders []Order) int {
	added := map[Target]bool{}
	for _, o := range orders {
		if o.Action == Purge || added[o.Target] {
			continue
		}
		e := t.entryOf(o.Target)
		if e == nil || e.regs.Load() == nil || e.regs.Load().hold == nil {
			added[o.Target] = true
		}
	}
	return t.holds + len(added)
}

func (t *Table) entryOf(target Target) *entry {
	if target.Scope == ScopeAll {
		return t.all
	}
	return t.index.find(t.index.hash(target), target.Scope, target.Source, target.Name)
}

// commit writes orders, what of the vector they make seen, and a floor, and
// applies them. Preconditions: mu is held.
func (t *Table) commit(orders []Order, seen Vector, floor ID) error {
	var records [][]byte
	seq := t.seq
	seqs := make([]uint64, len(orders))
	for i, o := range orders {
		if o.Action != Purge {
			seq++
			seqs[i] = seq
		}
		records = append(records, (&record{kind: recordOrder, order: o, seq: seqs[i]}).append(nil))
	}
	if floor.Compare(t.floor) > 0 {
		records = append(records, (&record{kind: recordFloor, floor: floor}).append(nil))
	}
	news := Vector{}
	for node, n := range seen {
		if n > t.vector[node] {
			news[node] = n
		}
	}
	records = appendVector(records, news)
	if err := t.write(records); err != nil {
		return err
	}
	t.seq = seq
	for i, o := range orders {
		t.apply(o, seqs[i])
	}
	t.raise(floor)
	for node, n := range news {
		t.vector[node] = n
	}
	t.bound()
	close(t.changed)
	t.changed = make(chan struct{})
	if t.journal.Bloated() {
		// What was just written is safe; a rewrite that fails is tried again.
		if err := t.rewrite(); err != nil {
			t.failures.Add(1)
			t.cfg.Log.Warn("file of orders cannot be written afresh", "dir", t.cfg.Dir, "err", err)
		}
	}
	return nil
}

// write appends records, after writing the file afresh where an earlier write
// failed. Preconditions: mu is held.
func (t *Table) write(records [][]byte) error {
	if t.journal.Broken() {
		if err := t.rewrite(); err != nil {
			t.failures.Add(1)
			return err
		}
	}
	err := t.journal.Append(records...)
	if err != nil {
		t.failures.Add(1)
	}
	return err
}

func appendVector(records [][]byte, v Vector) [][]byte {
	for part := range slices.Chunk(v.nodes(), vectorRecordMax) {
		rec := record{kind: recordVector, vector: Vector{}}
		for _, node := range part {
			rec.vector[node] = v[node]
		}
		records = append(records, rec.append(nil))
	}
	return records
}

// rewrite writes the file afresh. Preconditions: mu is held, or nobody else
// knows the table.
func (t *Table) rewrite() error {
	return t.journal.Rewrite(func(put func([]byte) error) error {
		records := [][]byte{(&record{kind: recordSalt, salt: t.salt}).append(nil), (&record{kind: recordSwept, seq: t.swept}).append(nil)}
		if !t.floor.IsZero() {
			records = append(records, (&record{kind: recordFloor, floor: t.floor}).append(nil))
		}
		for _, rec := range appendVector(records, t.vector) {
			if err := put(rec); err != nil {
				return err
			}
		}
		for _, n := range t.nodes {
			for _, h := range n.list {
				if h.dead {
					continue
				}
				if err := put((&record{kind: recordOrder, order: h.Order, seq: h.seq}).append(nil)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// secretFileMax bounds a file of a secret. Unit: bytes.
const secretFileMax = 64 << 10

// ReadSecret is the first line of a file, without space around it.
func ReadSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, secretFileMax))
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimSpace(line); line == "" {
		return "", fmt.Errorf("read secret: the first line of %s is empty", path)
	}
	return line, nil
}
