// Package entity keeps the entities of users: bytes under a name of a user, over
// any engine of kv, with copies in a cache.
//
// Vocabulary. A write has a base, the version that it replaces: a number, none
// (the entity must be absent), or any. A fence is the greatest token of a lock under
// which an entity was written; a write under an older token is refused, also after the
// entity was deleted. An envelope is an entity as the engine keeps it.
//
// Invariants. Of writes with one base at most one succeeds. Every write is a
// compare-and-set with an id inside, also one with base any: so who does not know
// whether its write happened finds out, and a write that comes late is refused. A
// reader never gets an older value than one that somebody got an answer about,
// except where the engine says so itself (kv.Stale). Not for points: those are a
// ledger's.
package entity

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/cache"
	"github.com/kamado/kamado/internal/kv"
	"github.com/kamado/kamado/internal/lock"
)

// Bounds of the store.
const (
	turnsMax = 16 // attempts of a write with base any against others, or in doubt
	BatchMax = 100
)

// Config bounds entities.
type Config struct {
	BytesMax int // of one entity
}

// Store keeps entities. Its methods may be called concurrently.
type Store struct {
	kv    kv.Store
	cache *cache.Through // nil: no copies
	cfg   Config
}

// New makes a store over an engine; c may be nil.
func New(engine kv.Store, c *cache.Through, cfg Config) *Store {
	return &Store{kv: engine, cache: c, cfg: cfg}
}

// Base is what a write replaces.
type Base struct {
	Any     bool   // whatever is there
	Version uint64 // 0: nothing may be there
}

// AnyBase replaces whatever is there.
var AnyBase = Base{Any: true}

// Write is a value for an entity, or its deletion.
type Write struct {
	UID    game.UID
	Name   string
	Delete bool
	Value  []byte
	Type   string
	Base   Base
	Fence  uint64 // token of the lock under which it is written; 0: none
}

// key is where an entity lies: all of a user's on one shard.
func key(uid game.UID, name string) kv.Key { return kv.Key{Group: "u" + uid.String(), Name: name} }

// CheckName judges the name of an entity.
func CheckName(name string) error {
	if err := (kv.Key{Group: "u", Name: name}).Check(); err != nil {
		return game.Errorf(game.Invalid, "%.140q is no name of an entity: want 1 to %d letters, digits, \"_\", \"-\", and single \".\" between them", name, kv.NameBytesMax)
	}
	return nil
}

// Get gives an entity; game.NotFound when there is none.
func (s *Store) Get(ctx context.Context, uid game.UID, name string) (game.StoredEntity, error) {
	if err := CheckName(name); err != nil {
		return game.StoredEntity{}, err
	}
	k := key(uid, name)
	v, err := s.load(ctx, k)
	if err != nil {
		return game.StoredEntity{}, told(err, "read")
	}
	if v.Absent {
		return game.StoredEntity{}, game.Errorf(game.NotFound, "user %v has no entity %s", uid, name)
	}
	return stored(uid, name, kv.Version(v.Version), v.Bytes)
}

// load reads through the cache.
func (s *Store) load(ctx context.Context, k kv.Key) (cache.Value, error) {
	read := func(ctx context.Context) (cache.Value, error) {
		e, err := s.kv.Get(ctx, k)
		if errors.Is(err, kv.ErrNotFound) {
			return cache.Value{Absent: true}, nil
		}
		return cache.Value{Version: uint64(e.Version), Bytes: e.Value}, err
	}
	if s.cache == nil {
		return read(ctx)
	}
	return s.cache.Read(ctx, k.String(), read)
}

// stored makes an entity of its envelope; game.NotFound when that says that it was deleted.
func stored(uid game.UID, name string, version kv.Version, b []byte) (game.StoredEntity, error) {
	e, err := decode(b)
	if err != nil {
		return game.StoredEntity{}, &game.Error{Op: "read entity", Kind: game.Internal, Detail: fmt.Sprintf("entity %s of user %v", name, uid), Err: err}
	}
	if e.deleted {
		return game.StoredEntity{}, game.Errorf(game.NotFound, "user %v has no entity %s", uid, name)
	}
	return game.StoredEntity{UID: uid, Name: name, Value: e.value, Type: e.kind, Version: uint64(version), Fence: e.fence}, nil
}

func (s *Store) check(w *Write) error {
	if err := CheckName(w.Name); err != nil {
		return err
	}
	if len(w.Value) > s.cfg.BytesMax {
		return game.Errorf(game.TooLarge, "an entity of %d bytes: at most %d are kept", len(w.Value), s.cfg.BytesMax)
	}
	if len(w.Type) > game.EntityTypeBytesMax || strings.ContainsFunc(w.Type, func(r rune) bool { return r < ' ' || r > '~' }) {
		return game.Errorf(game.Invalid, "a media type of %d bytes: want at most %d of printable ASCII", len(w.Type), game.EntityTypeBytesMax)
	}
	return nil
}

// Put writes or deletes an entity and gives its version. Errors are of kind
// Conflict (another version is there, or a newer token of a lock), NotFound (there is
// nothing to delete), Exhausted, Unavailable (Doubt tells whether it may have
// happened) and those of a wrong request.
func (s *Store) Put(ctx context.Context, w Write) (uint64, error) {
	if err := s.check(&w); err != nil {
		return 0, err
	}
	if s.cache == nil {
		v, err := s.put(ctx, &w)
		return v.Version, told(err, "write")
	}
	v, err := s.cache.Write(ctx, key(w.UID, w.Name).String(), func(ctx context.Context) (cache.Value, error) { return s.put(ctx, &w) })
	var unsettled *cache.UnsettledError
	if errors.As(err, &unsettled) {
		return v.Version, &game.Error{Op: "write", Kind: game.Unavailable, Detail: "the entity is written, and for some minutes others may read what was there before: the cache and its board do not answer", Err: err, Doubt: true}
	}
	return v.Version, told(err, "write")
}

// put tries a write until it is known what became of it. Its result is what is there now.
func (s *Store) put(ctx context.Context, w *Write) (cache.Value, error) {
	k := key(w.UID, w.Name)
	next := envelope{deleted: w.Delete, kind: w.Type, value: w.Value}
	if w.Delete {
		next.kind, next.value = "", nil
	}
	rand.Read(next.id[:]) //nolint:errcheck // never fails (crypto/rand)
	doubt, tried := false, kv.Absent
	for range turnsMax {
		at, before, err := s.current(ctx, k)
		if err != nil {
			return cache.Value{}, inDoubt(err, doubt)
		}
		if doubt {
			if v, happened := outcome(w, &next, at, &before); happened {
				return v, nil
			}
			if at != tried { // somebody wrote since: perhaps on what we wrote
				return cache.Value{}, kv.ErrDoubt
			}
		}
		if err := admit(w, at, &before, &next); err != nil {
			return cache.Value{}, cache.Unwritten(err)
		}
		v, err := s.write(ctx, k, &next, at)
		switch {
		case err == nil:
			return v, nil
		case errors.Is(err, kv.ErrDoubt):
			doubt, tried = true, at
		case !errors.Is(err, kv.ErrConflict):
			return cache.Value{}, inDoubt(err, doubt)
		}
	}
	return cache.Value{}, inDoubt(fmt.Errorf("%w: others write it all the time", kv.ErrConflict), doubt)
}

// outcome says whether a write in doubt is what is there now.
func outcome(w *Write, next *envelope, at kv.Version, before *envelope) (cache.Value, bool) {
	switch {
	case before.id == next.id:
		return cache.Value{Version: uint64(at), Bytes: next.encode()}, true
	case w.Delete && at == kv.Absent:
		return cache.Value{Absent: true}, true
	}
	return cache.Value{}, false
}

// inDoubt says of an error that an earlier attempt may have happened.
func inDoubt(err error, doubt bool) error {
	if doubt {
		return fmt.Errorf("%w: %w", kv.ErrDoubt, err)
	}
	return err
}

// current gives what is there: the zero envelope for nothing.
func (s *Store) current(ctx context.Context, k kv.Key) (kv.Version, envelope, error) {
	e, err := s.kv.Get(ctx, k)
	if errors.Is(err, kv.ErrNotFound) {
		return kv.Absent, envelope{deleted: true}, nil
	}
	if err != nil {
		return 0, envelope{}, err
	}
	before, err := decode(e.Value)
	return e.Version, before, err
}

// admit judges a write by what is there, and carries the fence on.
func admit(w *Write, at kv.Version, before, next *envelope) error {
	fence, err := lock.Fence(before.fence).Admit(w.Fence)
	switch {
	case err != nil && w.Fence == 0:
		return game.Errorf(game.Conflict, "entity %s of user %v is written under a lock: give the token of its grant, at least %d", w.Name, w.UID, before.fence)
	case err != nil:
		return game.Errorf(game.Conflict, "entity %s of user %v was written under a newer grant of its lock: token %d is over", w.Name, w.UID, w.Fence)
	}
	next.fence = uint64(fence)
	there := uint64(at)
	if before.deleted {
		there = 0
	}
	if !w.Base.Any && w.Base.Version != there {
		if there == 0 {
			return game.Errorf(game.Conflict, "entity %s of user %v is not there, want version %d", w.Name, w.UID, w.Base.Version)
		}
		return game.Errorf(game.Conflict, "entity %s of user %v has version %d, want %d", w.Name, w.UID, there, w.Base.Version)
	}
	if w.Delete && before.deleted {
		return game.Errorf(game.NotFound, "user %v has no entity %s", w.UID, w.Name)
	}
	return nil
}

// write does one attempt. What has no fence is deleted for good.
func (s *Store) write(ctx context.Context, k kv.Key, next *envelope, at kv.Version) (cache.Value, error) {
	if next.deleted && next.fence == 0 {
		err := s.kv.Delete(ctx, k, at)
		if errors.Is(err, kv.ErrNotFound) {
			err = kv.ErrConflict
		}
		return cache.Value{Absent: true}, err
	}
	b := next.encode()
	v, err := s.kv.Put(ctx, k, b, at)
	return cache.Value{Version: uint64(v), Bytes: b}, err
}

// List gives entities of a user by name, from behind a name.
func (s *Store) List(ctx context.Context, uid game.UID, after string, limit int) (list []game.StoredEntity, next string, err error) {
	for len(list) < limit {
		page, err := s.kv.List(ctx, key(uid, "x").Group, after, limit)
		if err != nil {
			return nil, "", told(err, "list")
		}
		for _, e := range page {
			after = e.Key.Name
			got, err := stored(uid, e.Key.Name, e.Version, e.Value)
			if game.KindOf(err) == game.NotFound {
				continue
			}
			if err != nil {
				return nil, "", err
			}
			if list = append(list, got); len(list) == limit {
				return list, after, nil
			}
		}
		if len(page) < limit {
			return list, "", nil
		}
	}
	return list, after, nil
}

// Move gives all entities of one user to another, who keeps what both have. It may
// be done again after it was interrupted.
func (s *Store) Move(ctx context.Context, from, to game.UID) error {
	for after := ""; ; {
		list, next, err := s.List(ctx, from, after, BatchMax)
		if err != nil {
			return err
		}
		for _, e := range list {
			_, err := s.Put(ctx, Write{UID: to, Name: e.Name, Value: e.Value, Type: e.Type, Fence: e.Fence})
			if err != nil && game.KindOf(err) != game.Conflict {
				return err
			}
			if _, err := s.Put(ctx, Write{UID: from, Name: e.Name, Delete: true, Base: AnyBase, Fence: e.Fence}); err != nil && game.KindOf(err) != game.NotFound {
				return err
			}
		}
		if next == "" {
			return nil
		}
		after = next
	}
}

// Load reads an entity into what it is.
func Load(ctx context.Context, s *Store, uid game.UID, e game.Entity) (version uint64, err error) {
	got, err := s.Get(ctx, uid, e.EntityName())
	if err != nil {
		return 0, err
	}
	return got.Version, e.UnmarshalBinary(got.Value)
}

// Save writes an entity.
func Save(ctx context.Context, s *Store, uid game.UID, e game.Entity, base Base, fence uint64) (version uint64, err error) {
	b, err := e.MarshalBinary()
	if err != nil {
		return 0, err
	}
	return s.Put(ctx, Write{UID: uid, Name: e.EntityName(), Value: b, Base: base, Fence: fence})
}

// told turns an error of the engine into one that a client may see.
func told(err error, doing string) error {
	var known *game.Error
	var full *kv.ExhaustedError
	switch doubt := errors.Is(err, kv.ErrDoubt); {
	case err == nil:
		return nil
	case errors.As(err, &known) && !doubt:
		return err
	case errors.As(err, &full):
		return &game.Error{Op: doing, Kind: game.Unavailable, Detail: "too many requests for entities are in work: " + full.Error(), Err: err, Doubt: doubt}
	case doubt:
		return &game.Error{Op: doing, Kind: game.Unavailable, Detail: "it is not known whether the entity was written: read it, then try again", Err: err, Doubt: true}
	case errors.Is(err, kv.ErrConflict):
		return &game.Error{Op: doing, Kind: game.Conflict, Detail: "others write the entity all the time: try again", Err: err}
	case errors.Is(err, kv.ErrFull):
		return &game.Error{Op: doing, Kind: game.Exhausted, Detail: "no space is left where entities are kept", Err: err}
	case errors.Is(err, kv.ErrInvalid):
		return &game.Error{Op: doing, Kind: game.Invalid, Detail: err.Error()}
	case errors.Is(err, kv.ErrAway), errors.Is(err, kv.ErrClosed), errors.Is(err, kv.ErrStopped), errors.Is(err, cache.ErrAway), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &game.Error{Op: doing, Kind: game.Unavailable, Detail: "the place of the entities does not answer", Err: err}
	}
	return &game.Error{Op: doing, Kind: game.Internal, Err: err}
}
