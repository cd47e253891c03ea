package worldtest

import (
	"context"
	"sync"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/entity"
)

// Entities keeps entities in memory, with versions and fences as entity.Store has them.
type Entities struct {
	mu   sync.Mutex
	kept map[string]game.StoredEntity
	puts int
	// Fail, if set, is asked before each operation.
	Fail func(op string) error
}

func (e *Entities) fail(op string) error {
	e.mu.Lock()
	f := e.Fail
	e.mu.Unlock()
	if f != nil {
		return f(op)
	}
	return nil
}

// FailWith changes Fail while others work.
func (e *Entities) FailWith(f func(op string) error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.Fail = f
}

// Puts counts writes that succeeded.
func (e *Entities) Puts() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.puts
}

// Get gives one.
func (e *Entities) Get(_ context.Context, uid game.UID, name string) (game.StoredEntity, error) {
	if err := e.fail("get"); err != nil {
		return game.StoredEntity{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	v, ok := e.kept[uid.String()+"/"+name]
	if !ok {
		return v, game.Errorf(game.NotFound, "user %v has no entity %s", uid, name)
	}
	return v, nil
}

// Put writes one.
func (e *Entities) Put(_ context.Context, w entity.Write) (uint64, error) {
	if err := e.fail("put"); err != nil {
		return 0, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	key := w.UID.String() + "/" + w.Name
	before := e.kept[key]
	if w.Fence < before.Fence || !w.Base.Any && w.Base.Version != before.Version {
		return 0, game.Errorf(game.Conflict, "entity %s of user %v was written by somebody else", w.Name, w.UID)
	}
	if e.kept == nil {
		e.kept = map[string]game.StoredEntity{}
	}
	e.kept[key] = game.StoredEntity{UID: w.UID, Name: w.Name, Value: w.Value, Type: w.Type, Version: before.Version + 1, Fence: w.Fence}
	e.puts++
	return before.Version + 1, nil
}
