package calls

import (
	"context"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/core"
	"github.com/kamado/kamado/game/entity"
	"github.com/kamado/kamado/game/wire"
)

func (c *Calls) holder(ctx context.Context, who game.Principal, uid uint64) (game.UID, error) {
	return core.Whose(ctx, c.Identity, &who, game.UID(uid), game.ScopeEntities)
}

func entityValue(e *game.StoredEntity) *wire.EntityValue {
	return &wire.EntityValue{Name: e.Name, Value: e.Value, Type: e.Type, Version: e.Version}
}

func (c *Calls) getEntity(ctx context.Context, who game.Principal, body []byte) ([]byte, error) {
	in, err := entityGets.read(body)
	if err != nil {
		return nil, err
	}
	defer entityGets.put(in)
	uid, err := c.holder(ctx, who, in.Uid)
	if err != nil {
		return nil, err
	}
	e, err := c.Entities.Get(ctx, uid, in.Name)
	if err != nil {
		return nil, err
	}
	return wire.Body(entityValue(&e))
}

func (c *Calls) putEntity(ctx context.Context, who game.Principal, body []byte) ([]byte, error) {
	in, err := entityPuts.read(body)
	if err != nil {
		return nil, err
	}
	defer entityPuts.put(in)
	uid, err := c.holder(ctx, who, in.Uid)
	if err != nil {
		return nil, err
	}
	if err := who.MayWriteEntity(in.Name); err != nil {
		return nil, err
	}
	w := entity.Write{UID: uid, Name: in.Name, Delete: in.Delete, Base: entity.Base{Any: in.Any, Version: in.Version}, Fence: in.Fence}
	if !w.Delete {
		w.Value, w.Type = in.Value, in.Type
	}
	if w.Base.Any {
		w.Base.Version = 0
	}
	version, err := c.Entities.Put(ctx, w)
	if err != nil {
		return nil, err
	}
	return wire.Body(&wire.EntityVersion{Version: version})
}

// Bounds of a page of entities. They are read a few at a time, so that a page of great ones takes no more memory than it
// and so many.
const (
	pageDefault = 100
	pageMax     = 1000
	pageStep    = 16
)

func (c *Calls) listEntities(ctx context.Context, who game.Principal, body []byte) ([]byte, error) {
	in, err := entityLists.read(body)
	if err != nil {
		return nil, err
	}
	defer entityLists.put(in)
	uid, err := c.holder(ctx, who, in.Uid)
	if err != nil {
		return nil, err
	}
	limit := int(in.Limit)
	switch {
	case limit == 0:
		limit = pageDefault
	case in.Limit > pageMax:
		return nil, game.Errorf(game.Invalid, "limit is %d: want a number from 1 to %d", in.Limit, pageMax)
	}
	page, err := c.page(ctx, uid, in.After, limit)
	if err != nil {
		return nil, err
	}
	return wire.Body(page)
}

// page collects at most limit entities, and no more bytes than an answer may have.
func (c *Calls) page(ctx context.Context, uid game.UID, after string, limit int) (*wire.EntityPage, error) {
	page := &wire.EntityPage{}
	for size := 0; len(page.Entities) < limit; {
		list, next, err := c.Entities.List(ctx, uid, after, min(pageStep, limit-len(page.Entities)))
		if err != nil {
			return nil, err
		}
		for i := range list {
			size += len(list[i].Value) + len(list[i].Type) + len(list[i].Name)
			if len(page.Entities) > 0 && size > int(c.cfg.AnswerBytesMax) {
				page.Next = page.Entities[len(page.Entities)-1].Name
				return page, nil
			}
			page.Entities = append(page.Entities, entityValue(&list[i]))
		}
		if page.Next, after = next, next; next == "" {
			break
		}
	}
	return page, nil
}
