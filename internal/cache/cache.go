// Package cache keeps copies of versioned values in front of a store, so that an
// old value never comes back. An engine is a package one level below; cachetest
// holds what all of them promise. Whoever has values reads and writes them through
// Through, which is the only user of an engine.
//
// Vocabulary. A cell is what an engine keeps under a key: some bytes, a life, and
// a stamp that no other cell ever has. A lease is the right of one reader to fill a cell:
// it was put before the store was read. A mark says that writers are at work: it
// was put before the store is written. To settle is to take the own part of a
// mark away, after the store was written. A part is what can be away by itself: one server. A board is
// a small place in the store that tells all processes whether a part is used.
//
// A cell has one of these states; every step is one compare-and-set of the cell,
// and an engine may lose any cell at any time (that is the state absent):
//
//	state    reader                      writer begins        writer ends (its mark)
//	absent   puts a lease, loads, fills  mark of 1            nothing to do
//	leased   loads, does not fill        mark of 1            removed: its mark was lost
//	value    uses it                     mark of 1, floor     removed: its mark was lost
//	mark n   loads, does not fill        mark of n+1, mixed   mark of n-1; the last one
//	                                                          puts its value, or removes
//
// A fill replaces exactly the lease that its reader put, by stamp, so whatever a
// writer did meanwhile refuses it. The last writer puts its value only if it was
// alone during the whole life of the mark: of several the cache cannot know who
// was last in the store. A mark of another era than the writer's, which means that
// its own was lost, becomes mixed. A write in doubt leaves its part of the mark there, so that nobody fills until
// the mark's life ends.
//
// The promise. When Write has returned a version, no Read that begins later, in
// any process, gives an older one. As long as no mark is lost before its writer
// ends, that holds too for what any Read has returned (reads are linearizable if those
// of the store are). What can lose a mark is an engine that was started again, a mark that was evicted
// among newer cells, a writer that stood still for longer than MarkLife.
//
// A part that is away. A writer that cannot mark, or cannot settle, turns the part
// off on the board, and waits until every process knows (Term, and a tenth of
// it), before it writes the store or says that it wrote. Then reads and writes go to the
// store alone. A process whose notice of the board is older than Term reads no
// cell. When the part answers again and has rested, it is turned on under
// a new generation, which is a part of every key, so that what it held before is
// never seen. If the board cannot be reached either, a write that is done in the store
// returns UnsettledError. The cost is one wait of a little more than Term, for
// the writers of that moment, each time that a part goes away.
//
// Positions of the board, in their order; each step is taken by whoever comes
// first, after it has waited for longer than Term since it saw the position:
//
//	on        cells are read, filled, marked
//	closing   cells are marked and settled where that works; nobody reads them
//	off       nobody uses cells
//	warming   the next generation: cells are marked and settled; nobody reads them
//
// Not for values without versions, nor for what must be counted. A cache is no
// better than its store: where loads may be stale, so are copies, for ValueLife.
// After a store was set back to an earlier time its engines must be emptied.
package cache

import (
	"context"
	"errors"
	"time"
)

// The conditions on which a caller branches.
var (
	// ErrAway: the part does not answer. A change may have happened, or may happen later.
	ErrAway = errors.New("cache away")
	// ErrRefused: the cell has another stamp. Nothing was changed.
	ErrRefused = errors.New("the cell was changed")
	// ErrLarge: the cell is larger than the engine takes. Nothing was changed.
	ErrLarge = errors.New("too large for the cache")
	// ErrUnsettled: see UnsettledError.
	ErrUnsettled = errors.New("written, but the cache may give an older value")
)

// Bounds that every engine keeps.
const (
	KeyBytesMax = 512 // of keys that engines are asked for; they hash what their server does not take
	LifeMin     = time.Second
	LifeMax     = 24 * time.Hour
)

// Stamp names one state of one cell: it is only given back to the engine that gave
// it. nil stands for no cell. An engine forgets what it cannot be sure of, so
// that a stamp from before a loss of cells is always refused.
type Stamp any

// Engine is a place of cells. Its methods may be called concurrently, never block for longer than a
// short time of the engine's own, and return ErrAway when that is over.
type Engine interface {
	// Parts are the names of what can be away by itself, the same in every process,
	// and as long as the engine lives.
	Parts() []string
	// Part is the index of the part that a key of Through's user belongs to: the same in every process with
	// the same Parts. The other methods get it together with the key of the cell, which is another one.
	Part(key string) int
	// Load gives a cell and its stamp; nil and nil when there is none. Nobody changes the cell.
	Load(ctx context.Context, part int, key string) (cell []byte, at Stamp, err error)
	// Swap puts a cell of at least one byte where the stamp is still at (nil: where no
	// cell is), for at most life and a second, and gives its stamp. The cell is the engine's then. Three things might happen:
	//  1. nil: it is there, unless it is lost later;
	//  2. ErrRefused, ErrLarge: nothing was changed;
	//  3. ErrAway: it may be there, or may come later, if nothing else changed the cell.
	Swap(ctx context.Context, part int, key string, at Stamp, cell []byte, life time.Duration) (Stamp, error)
	// Remove takes the cell away whose stamp is at; outcomes as of Swap. A cell that is not there is no error.
	Remove(ctx context.Context, part int, key string, at Stamp) error
	// Probe asks whether a part answers.
	Probe(ctx context.Context, part int) error
	Close() error
}

// Value is what a store has under a key.
type Value struct {
	// Version is greater for each later state of the key; of an absent one 0 if the store does not know.
	Version uint64
	// Bytes are shared with other readers: nobody changes them.
	Bytes []byte
	// Absent says that the store has no value. It is kept for AbsentLife.
	Absent bool
}

// UnsettledError is a write that is durable, and of which the cache could not be
// told, nor turned off: for ValueLife at most other readers may get an older
// value. It is ErrUnsettled.
type UnsettledError struct {
	Key     string
	Version uint64 // of the write
	Err     error
}

func (e *UnsettledError) Error() string {
	return "key " + e.Key + ": " + ErrUnsettled.Error() + ": " + e.Err.Error()
}

// Is makes it ErrUnsettled.
func (e *UnsettledError) Is(target error) bool { return target == ErrUnsettled }

// Unwrap gives the reason.
func (e *UnsettledError) Unwrap() error { return e.Err }
