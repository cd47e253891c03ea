package remote

import (
	"context"
	"encoding/base64"
	"net/http"
	"strconv"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/game/client"
	"github.com/kamado/kamado/game/entity"
)

// entities is the entity store of the core.
type entities struct{ *asker }

// one carries one operation out. It goes as a batch, whose outcome has all of the entity (type and fence) and says what is wrong with
// the operation apart from what is wrong with the request.
func (e entities) one(ctx context.Context, op api.EntityOp) (*api.EntityOutcome, error) {
	if err := entity.CheckName(op.Name); err != nil {
		return nil, err
	}
	var out api.EntityOutcomes
	err := e.do(ctx, &request{op: "entity", method: http.MethodPost, path: "entities/batch", in: api.EntityBatch{Operations: []api.EntityOp{op}}, out: &out, change: op.Op != "get"})
	if err != nil {
		return nil, err
	}
	if len(out.Outcomes) != 1 {
		return nil, &game.Error{Op: "entity", Kind: game.Unavailable, Detail: "the core answers something else than was asked", Doubt: op.Op != "get"}
	}
	o := &out.Outcomes[0]
	if o.Status >= http.StatusMultipleChoices {
		return nil, &game.Error{Op: "entity", Kind: kinds[o.Kind], Detail: o.Detail, Doubt: o.Doubt}
	}
	return o, nil
}

func (e entities) Get(ctx context.Context, uid game.UID, name string) (game.StoredEntity, error) {
	o, err := e.one(ctx, api.EntityOp{Op: "get", UID: uid, Name: name})
	if err != nil {
		return game.StoredEntity{}, err
	}
	if o.Entity == nil {
		return game.StoredEntity{}, game.Errorf(game.Unavailable, "the core answers something else than was asked")
	}
	return stored(uid, o.Entity)
}

func stored(uid game.UID, in *api.Entity) (out game.StoredEntity, err error) {
	out = game.StoredEntity{UID: uid, Name: in.Name, Type: in.Type}
	if out.Value, err = base64.StdEncoding.DecodeString(in.Value); err == nil {
		out.Version, err = strconv.ParseUint(in.Version, 10, 64)
	}
	if err == nil && in.Fence != "" {
		out.Fence, err = strconv.ParseUint(in.Fence, 10, 64)
	}
	if err != nil {
		return out, &game.Error{Op: "entity", Kind: game.Unavailable, Detail: "the core answers something else than was asked", Err: err}
	}
	return out, nil
}

func (e entities) Put(ctx context.Context, w entity.Write) (uint64, error) {
	op := api.EntityOp{Op: "put", UID: w.UID, Name: w.Name, Value: base64.StdEncoding.EncodeToString(w.Value), Type: w.Type, Fence: w.Fence}
	if w.Delete {
		op.Op, op.Value, op.Type = "delete", "", ""
	}
	switch {
	case w.Base.Any:
	case w.Base.Version == 0:
		op.Base = "absent"
	default:
		op.Base = strconv.FormatUint(w.Base.Version, 10)
	}
	o, err := e.one(ctx, op)
	if err != nil || o.Version == "" { // a deletion has none
		return 0, err
	}
	version, err := strconv.ParseUint(o.Version, 10, 64)
	if err != nil {
		return 0, &game.Error{Op: "entity", Kind: game.Unavailable, Detail: "the core answers something else than was asked", Err: err, Doubt: true}
	}
	return version, nil
}

func (e entities) List(ctx context.Context, uid game.UID, after string, limit int) (list []game.StoredEntity, next string, err error) {
	path := client.Page("entities/"+uid.String(), map[string]string{"after": after, "limit": strconv.Itoa(limit)})
	var page api.EntityPage
	if err := e.do(ctx, &request{op: "entities", method: http.MethodGet, path: path, out: &page}); err != nil {
		return nil, "", err
	}
	for i := range page.Entities {
		got, err := stored(uid, &page.Entities[i])
		if err != nil {
			return nil, "", err
		}
		list = append(list, got)
	}
	return list, page.Next, nil
}
