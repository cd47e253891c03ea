package mongodb

import (
	"context"
	"errors"
	"fmt"
	"math"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/kamado/kamado/internal/kv"
)

// with runs fn with a slot, after it was seen that something can be begun.
func (s *Store) with(ctx context.Context, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed.Load() {
		return fmt.Errorf("%w: mongodb", kv.ErrClosed)
	}
	if err := s.pool.take(ctx); err != nil {
		return err
	}
	defer s.pool.give()
	return fn()
}

// Get implements kv.Store.
func (s *Store) Get(ctx context.Context, key kv.Key) (e kv.Entry, err error) {
	if err := key.Check(); err != nil {
		return kv.Entry{}, err
	}
	err = s.with(ctx, func() error {
		d, found, err := s.look(ctx, s.read, key)
		if err == nil && (!found || d.Gone != nil) {
			err = fmt.Errorf("%w: %s", kv.ErrNotFound, key)
		}
		e = d.entry()
		return err
	})
	if err != nil {
		return kv.Entry{}, err
	}
	return e, nil
}

// look gives the document of a key, which may be a tombstone.
func (s *Store) look(ctx context.Context, from *mongo.Collection, key kv.Key) (d document, found bool, err error) {
	err = s.request(ctx, false, func(ctx context.Context) error {
		return from.FindOne(ctx, bson.D{{Key: "_id", Value: idOf(key)}, {Key: "g", Value: key.Group}}).Decode(&d)
	})
	if errors.Is(err, mongo.ErrNoDocuments) {
		return document{}, false, nil
	}
	return d, err == nil, err
}

// changeTries is how often a write that needs no certain base looks and tries again, when others are at it too.
const changeTries = 1000

// Put implements kv.Store.
func (s *Store) Put(ctx context.Context, key kv.Key, value []byte, base kv.Version) (v kv.Version, err error) {
	if err := errors.Join(key.Check(), kv.CheckValue(value)); err != nil {
		return 0, err
	}
	err = s.with(ctx, func() (err error) {
		switch base {
		case kv.Absent:
			v, err = s.create(ctx, key, value)
		case kv.Any:
			v, err = s.replace(ctx, key, value)
		default:
			v, err = s.change(ctx, key, base, false, s.state(value))
		}
		return err
	})
	return v, err
}

// state is the change that gives a document bytes.
func (s *Store) state(value []byte) change {
	if value == nil {
		value = []byte{}
	}
	return change{set: bson.E{Key: "b", Value: value}, unset: "gone"}
}

// death is the change that makes a tombstone of it.
func (s *Store) death() change {
	return change{set: bson.E{Key: "gone", Value: s.now().UTC()}, unset: "b"}
}

// change is what a write does besides the version.
type change struct {
	set   bson.E
	unset string
}

// change makes the state of a key that follows base, if it has that: a value, or if gone a
// tombstone.
func (s *Store) change(ctx context.Context, key kv.Key, base kv.Version, gone bool, c change) (kv.Version, error) {
	conflict := fmt.Errorf("%w: %s is not at %d", kv.ErrConflict, key, base)
	if base > math.MaxInt64-1 {
		return 0, conflict // no version is so great
	}
	next := s.next(int64(base))
	filter := bson.D{{Key: "_id", Value: idOf(key)}, {Key: "g", Value: key.Group}, {Key: "v", Value: int64(base)}, {Key: "gone", Value: bson.D{{Key: "$exists", Value: gone}}}}
	update := bson.D{
		{Key: "$set", Value: bson.D{{Key: "v", Value: next}, c.set}},
		{Key: "$unset", Value: bson.D{{Key: c.unset, Value: ""}}},
	}
	err := s.request(ctx, true, func(ctx context.Context) error {
		done, err := s.sure.UpdateOne(ctx, filter, update)
		if err == nil && done.MatchedCount == 0 {
			err = conflict
		}
		return err
	})
	return kv.Version(next), err
}

// create makes a value where none is; a tombstone is one more state to build on.
func (s *Store) create(ctx context.Context, key kv.Key, value []byte) (kv.Version, error) {
	for range changeTries {
		v, err := s.insert(ctx, key, value)
		if !errors.Is(err, kv.ErrConflict) {
			return v, err
		}
		d, found, err := s.look(ctx, s.newest, key)
		switch {
		case err != nil:
			return 0, err
		case !found: // swept meanwhile
			continue
		case d.Gone == nil:
			return 0, fmt.Errorf("%w: %s has a value", kv.ErrConflict, key)
		}
		if v, err = s.change(ctx, key, kv.Version(d.Version), true, s.state(value)); !errors.Is(err, kv.ErrConflict) {
			return v, err
		}
	}
	return 0, fmt.Errorf("%w: %s is made and deleted all the time", kv.ErrConflict, key)
}

// insert makes the document of a key that has none.
func (s *Store) insert(ctx context.Context, key kv.Key, value []byte) (kv.Version, error) {
	if value == nil {
		value = []byte{}
	}
	next := s.next(0)
	err := s.request(ctx, true, func(ctx context.Context) error {
		_, err := s.sure.InsertOne(ctx, bson.D{{Key: "_id", Value: idOf(key)}, {Key: "g", Value: key.Group}, {Key: "v", Value: next}, {Key: "b", Value: value}})
		return err
	})
	return kv.Version(next), err
}

// replace makes a value whatever is there: it looks, and builds on that.
func (s *Store) replace(ctx context.Context, key kv.Key, value []byte) (kv.Version, error) {
	for range changeTries {
		d, found, err := s.look(ctx, s.newest, key)
		if err != nil {
			return 0, err
		}
		var v kv.Version
		if found {
			v, err = s.change(ctx, key, kv.Version(d.Version), d.Gone != nil, s.state(value))
		} else {
			v, err = s.insert(ctx, key, value)
		}
		if !errors.Is(err, kv.ErrConflict) {
			return v, err
		}
	}
	return 0, fmt.Errorf("%w: mongodb: %s is changed by others all the time", kv.ErrAway, key)
}

// Delete implements kv.Store.
func (s *Store) Delete(ctx context.Context, key kv.Key, base kv.Version) error {
	if err := key.Check(); err != nil {
		return err
	}
	if base == kv.Absent {
		return fmt.Errorf("%w: delete %s: want a base", kv.ErrInvalid, key)
	}
	return s.with(ctx, func() error {
		if base != kv.Any {
			_, err := s.change(ctx, key, base, false, s.death())
			return err
		}
		for range changeTries {
			d, found, err := s.look(ctx, s.newest, key)
			if err != nil || !found || d.Gone != nil {
				return err
			}
			if _, err = s.change(ctx, key, kv.Version(d.Version), false, s.death()); !errors.Is(err, kv.ErrConflict) {
				return err
			}
		}
		return fmt.Errorf("%w: mongodb: %s is changed by others all the time", kv.ErrAway, key)
	})
}

// List implements kv.Store.
func (s *Store) List(ctx context.Context, group, after string, limit int) ([]kv.Entry, error) {
	if err := kv.CheckGroup(group); err != nil {
		return nil, err
	}
	if after != "" {
		if err := (kv.Key{Group: group, Name: after}).Check(); err != nil {
			return nil, err
		}
	}
	if limit < 1 || limit > kv.ListMax {
		return nil, fmt.Errorf("%w: a limit of %d: want 1 to %d", kv.ErrInvalid, limit, kv.ListMax)
	}
	return s.page(ctx, bson.D{
		{Key: "g", Value: group},
		{Key: "_id", Value: bson.D{{Key: "$gt", Value: group + separator + after}, {Key: "$lt", Value: group + afterSeparator}}},
		alive,
	}, limit)
}

// alive is the condition that a document is no tombstone.
var alive = bson.E{Key: "gone", Value: bson.D{{Key: "$exists", Value: false}}}

// page gives values in the order of their _id.
func (s *Store) page(ctx context.Context, filter bson.D, limit int) (es []kv.Entry, err error) {
	err = s.with(ctx, func() error {
		var all []document
		err := s.request(ctx, false, func(ctx context.Context) error {
			cursor, err := s.recent.Find(ctx, filter, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(int64(limit)))
			if err != nil {
				return err
			}
			return cursor.All(ctx, &all)
		})
		for _, d := range all {
			es = append(es, d.entry())
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return es, nil
}

// scanPage is how many values Scan holds in memory: 32 MiB if all are of kv.ValueBytesMax.
const scanPage = 64

// Scan implements kv.Store. It holds no slot while fn runs.
func (s *Store) Scan(ctx context.Context, fn func(kv.Entry) error) error {
	after := ""
	for {
		es, err := s.page(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: after}}}, alive}, scanPage)
		if err != nil {
			return err
		}
		for _, e := range es {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := fn(e); err != nil {
				return err
			}
			after = idOf(e.Key)
		}
		if len(es) < scanPage {
			return ctx.Err()
		}
	}
}
