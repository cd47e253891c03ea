package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kamado/kamado/internal/kv"
)

// nothingWritten are the errors of a store after which it is as it was.
var nothingWritten = []error{kv.ErrNotFound, kv.ErrConflict, kv.ErrExhausted, kv.ErrAway, kv.ErrFull, kv.ErrInvalid, kv.ErrClosed, kv.ErrStopped}

// Unwritten says of an error that a store function gives that nothing was written, which
// Write cannot know of errors that are not kv's. errors.Is and errors.As see through it.
func Unwritten(err error) error {
	if err == nil {
		return nil
	}
	return &unwrittenError{err}
}

type unwrittenError struct{ err error }

func (e *unwrittenError) Error() string { return e.err.Error() }
func (e *unwrittenError) Unwrap() error { return e.err }

// unwritten says whether the store is as it was. A doubt goes before whatever else an error is.
func unwritten(err error) bool {
	if errors.Is(err, kv.ErrDoubt) {
		return false
	}
	var sure *unwrittenError
	return errors.As(err, &sure) || slices.ContainsFunc(nothingWritten, func(e error) bool { return errors.Is(err, e) })
}

// errForeign is why a process with other parts turns the cache off.
var errForeign = errors.New("another list of parts uses the cache")

// ticket is what a writer has put before it writes the store.
type ticket struct {
	at  place // of the marked cell; nowhere: nobody uses cells
	era uint64
}

// Write lets store write the store, and give what is there now (without Bytes
// the copy is removed, and the next reader loads). Its ctx ends after half of MarkLife, or of Rest. Three things might happen:
//  1. nil: it is written, and nobody will read an older value any more;
//  2. an error of store, or ErrAway, or that of ctx before store was called: as store's error says, which with ErrAway is "nothing was written";
//  3. UnsettledError: it is written.
//
// An error of store that is kv's and says that nothing was written, or is Unwritten, lets the cache go on at once; any other one is a
// doubt, and readers load for MarkLife.
func (t *Through) Write(ctx context.Context, key string, store func(context.Context) (Value, error)) (Value, error) {
	if len(key) > keyBytesMax {
		return store(ctx)
	}
	mine, err := t.begin(ctx, key)
	if err != nil {
		t.metrics.writes.WithLabelValues("failed").Inc()
		return Value{}, err
	}
	v, err := t.store(ctx, store)
	if err != nil && !unwritten(err) {
		t.metrics.writes.WithLabelValues("doubt").Inc()
		return v, err
	}
	c, _, ok := t.copyOf(v)
	if !ok || v.Bytes == nil {
		c = cell{}
	}
	// The settling outlives its request: until it is done, the key is not cached.
	ctx = context.WithoutCancel(ctx)
	if err != nil {
		t.metrics.writes.WithLabelValues("failed").Inc()
		if mine.at != (place{}) {
			_ = t.lift(ctx, mine.at, mine.era, cell{}) // else the mark ends with its life
		}
		return v, err
	}
	how, err := t.finish(ctx, key, mine, c)
	if err != nil {
		t.metrics.writes.WithLabelValues("unsettled").Inc()
		return v, &UnsettledError{Key: key, Version: v.Version, Err: err}
	}
	t.metrics.writes.WithLabelValues(how).Inc()
	return v, nil
}

// store runs fn in the time that the mark covers.
func (t *Through) store(ctx context.Context, fn func(context.Context) (Value, error)) (Value, error) {
	ctx, cancel := context.WithTimeout(ctx, t.cfg.writeMax())
	defer cancel()
	return fn(ctx)
}

// limit is until when a writer tries to come to terms with the cache: two parts
// may have to be turned off, and the board to be asked.
func (t *Through) limit() time.Time { return t.now().Add(4*t.cfg.Term + 2*t.cfg.Patience) }

// sights are the trusted notices that decide over a key.
type sights struct {
	part, list sight
	off        bool   // nobody uses cells
	foreign    *guard // others use other parts, until this one is off
}

func (s sights) place(t *Through, key string) place {
	return place{t.Engine.Part(key), cellKey(key, s.list.notice, s.part.notice)}
}

func (t *Through) sights(ctx context.Context, key string) (s sights, err error) {
	part, list := t.guardOf(key)
	if s.list, err = t.sure(ctx, list); err != nil {
		return s, err
	}
	if s.part, err = t.sure(ctx, part); err != nil {
		return s, err
	}
	// Of another list this part says nothing: there the key belongs to another one.
	s.off = s.list.notice.place() == placeOff || s.list.notice.Owner == t.owner && s.part.notice.place() == placeOff
	switch {
	case s.list.notice.Owner != t.owner:
		s.foreign = list
	case s.part.notice.Owner != t.owner:
		s.foreign = part
	}
	return s, nil
}

// still says whether the notices are trusted and as they were.
func (t *Through) still(key string, s sights) bool {
	part, list := t.guardOf(key)
	now := t.now()
	p, pok := part.look(now)
	l, lok := list.look(now)
	return pok && lok && p.notice == s.part.notice && l.notice == s.list.notice
}

// begin marks a key, or finds, or makes, that nobody uses cells.
func (t *Through) begin(ctx context.Context, key string) (ticket, error) {
	part, _ := t.guardOf(key)
	limit := t.limit()
	for {
		s, err := t.sights(ctx, key)
		if err != nil {
			return ticket{}, fmt.Errorf("%w: %w", ErrAway, err)
		}
		switch {
		case s.off:
			return ticket{}, nil
		case s.foreign != nil:
			err = t.turnOff(ctx, s.foreign, limit, errForeign)
		default:
			mine := ticket{at: s.place(t, key), era: random() | 1}
			first := mine.era
			err = t.change(ctx, mine.at, func(c cell, _ bool) cell {
				c = c.begin(first, t.now(), t.cfg.MarkLife)
				mine.era = c.era
				return c
			})
			if err == nil && t.still(key, s) {
				return mine, nil
			}
			if err != nil && ctx.Err() == nil {
				err = t.turnOff(ctx, part, limit, err)
			}
		}
		if err != nil {
			return ticket{}, err
		}
		if t.now().After(limit) {
			return ticket{}, fmt.Errorf("%w: the board changes all the time", ErrAway)
		}
	}
}

// finish takes the mark away, or finds, or makes, that nobody uses cells.
func (t *Through) finish(ctx context.Context, key string, mine ticket, c cell) (how string, err error) {
	part, _ := t.guardOf(key)
	limit := t.limit()
	for {
		s, err := t.sights(ctx, key)
		at := s.place(t, key)
		switch {
		case err != nil: // the board does not answer
			_ = t.sleep(ctx, t.cfg.Term/8)
		case s.off:
			return "unmarked", nil
		case s.foreign != nil:
			err = t.turnOff(ctx, s.foreign, limit, errForeign)
		default:
			era := mine.era
			if at != mine.at {
				era = 0 // what it marked is of an older generation
			}
			if err = t.lift(ctx, at, era, c); err == nil && t.still(key, s) {
				return "settled", nil
			}
			mine = ticket{} // it may be taken away already
			if err != nil {
				err = t.turnOff(ctx, part, limit, err)
			}
		}
		if t.now().After(limit) {
			return "", errors.Join(err, errors.New("it took too long"))
		}
	}
}

// lift takes a writer's part of a mark away. What may be done already is not done
// again: it would be another writer's part.
func (t *Through) lift(ctx context.Context, at place, era uint64, c cell) error {
	return t.change(ctx, at, func(there cell, again bool) cell {
		if again {
			return there.end(0, c)
		}
		return there.end(era, c)
	})
}

// change makes a cell what fn makes of it, by compare-and-set, as long as Patience
// allows. fn may run more than once, and is told whether what it made before may be there.
func (t *Through) change(ctx context.Context, at place, fn func(c cell, again bool) cell) error {
	start := t.now()
	again := false
	for try := 1; ; try++ {
		err := t.changeOnce(ctx, at, func(c cell) cell { return fn(c, again) })
		if err == nil {
			return nil
		}
		again = again || errors.Is(err, ErrAway)
		if passed := t.now().Sub(start); passed > t.cfg.Patience && (try >= changeTries || !errors.Is(err, ErrRefused)) || ctx.Err() != nil {
			return err
		}
		if !errors.Is(err, ErrRefused) {
			if err := t.sleep(ctx, t.cfg.Patience/8+time.Millisecond); err != nil {
				return err
			}
		}
	}
}

// changeTries is how often at least a writer tries against other writers.
const changeTries = 64

func (t *Through) changeOnce(ctx context.Context, at place, fn func(cell) cell) error {
	raw, stamp, err := t.Engine.Load(ctx, at.part, at.full)
	if err != nil {
		return err
	}
	old, ok := decode(at.full, raw)
	next := fn(old)
	switch {
	case next.kind == kindNone && raw == nil, ok && next.same(old):
		return nil
	case next.kind == kindNone:
		return t.Engine.Remove(ctx, at.part, at.full, stamp)
	}
	life := t.cfg.MarkLife
	if next.kind == kindValue {
		life = t.cfg.ValueLife
	}
	_, err = t.Engine.Swap(ctx, at.part, at.full, stamp, next.encode(at.full), life)
	if errors.Is(err, ErrLarge) && next.kind == kindValue {
		return t.Engine.Remove(ctx, at.part, at.full, stamp)
	}
	return err
}
