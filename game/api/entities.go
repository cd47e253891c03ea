package api

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/core"
	"github.com/kamado/kamado/game/entity"
)

// entityRoutes are the rows about entities.
func (a *api) entityRoutes() []route {
	const s = game.ScopeEntities
	return []route{
		{"GET", "entities/{uid}", known, s, "List entities of a user by name, with their values in base64", nil, EntityPage{}, (*call).listEntities},
		{"GET", "entities/{uid}/{name}", known, s, "Get an entity: the body is its bytes, ETag its version", nil, nil, (*call).getEntity},
		{"PUT", "entities/{uid}/{name}", known, s, "Put an entity: the body is its bytes; If-Match names the version it replaces, If-None-Match: * that it is new", nil, EntityVersion{}, (*call).putEntity},
		{"DELETE", "entities/{uid}/{name}", known, s, "Delete an entity; If-Match as for PUT", nil, nil, (*call).deleteEntity},
		{"POST", "entities/batch", known, s, "Read and write several entities at once; each has an outcome of its own", EntityBatch{}, EntityOutcomes{}, (*call).batchEntities},
	}
}

// fenceHeader carries the token of the lock under which an entity is written.
const fenceHeader = "Kamado-Fence"

// Entity is an entity in a list.
type Entity struct {
	Name    string `json:"name"`
	Value   string `json:"value" doc:"base64"`
	Type    string `json:"type,omitempty" doc:"media type"`
	Version string `json:"version"`
	Fence   string `json:"fence,omitempty" doc:"greatest token of a lock under which it was written"`
}

// EntityPage is a page of entities.
type EntityPage struct {
	Entities []Entity `json:"entities"`
	Next     string   `json:"next,omitempty" doc:"after of the next page"`
}

// EntityVersion is the version that a write made.
type EntityVersion struct {
	Version string `json:"version"`
}

// EntityOp is one operation of a batch.
type EntityOp struct {
	Op     string   `json:"op" doc:"get, put or delete"`
	UID    game.UID `json:"uid"`
	Name   string   `json:"name"`
	Value  string   `json:"value,omitempty" doc:"put: base64"`
	Type   string   `json:"type,omitempty"`
	Base   string   `json:"base,omitempty" doc:"the version that is replaced; absent: it must be new; nothing: whatever is there"`
	Fence  uint64   `json:"fence,omitempty"`
	parsed entity.Base
}

// EntityBatch is several operations.
type EntityBatch struct {
	Operations []EntityOp `json:"operations"`
}

// EntityOutcome is what became of an operation.
type EntityOutcome struct {
	Status  int     `json:"status" doc:"as of the single request"`
	Entity  *Entity `json:"entity,omitempty"`
	Version string  `json:"version,omitempty"`
	Detail  string  `json:"detail,omitempty"`
	Kind    string  `json:"kind,omitempty"`
	Doubt   bool    `json:"doubt,omitempty"`
}

// EntityOutcomes are the outcomes of a batch, in its order.
type EntityOutcomes struct {
	Outcomes []EntityOutcome `json:"outcomes"`
}

// holder gives the user of the path, if the caller may touch that user's entities.
func (c *call) holder() (game.UID, error) {
	uid, err := c.uid()
	if err != nil {
		return 0, err
	}
	return core.Whose(c.ctx(), c.Identity, &c.who, uid, game.ScopeEntities)
}

// written gives the user and the name of an entity that is written.
func (c *call) written() (uid game.UID, name string, err error) {
	if uid, err = c.holder(); err != nil {
		return 0, "", err
	}
	name = c.r.PathValue("name")
	return uid, name, c.who.MayWriteEntity(name)
}

func entityOf(e game.StoredEntity) Entity {
	out := Entity{Name: e.Name, Value: base64.StdEncoding.EncodeToString(e.Value), Type: e.Type, Version: strconv.FormatUint(e.Version, 10)}
	if e.Fence != 0 {
		out.Fence = strconv.FormatUint(e.Fence, 10)
	}
	return out
}

func (c *call) listEntities() (any, error) {
	uid, err := c.holder()
	if err != nil {
		return nil, err
	}
	limit, err := c.limit()
	if err != nil {
		return nil, err
	}
	list, next, err := c.Entities.List(c.ctx(), uid, c.r.URL.Query().Get("after"), limit)
	if err != nil {
		return nil, err
	}
	page := EntityPage{Entities: make([]Entity, 0, len(list)), Next: next}
	for _, e := range list {
		page.Entities = append(page.Entities, entityOf(e))
	}
	return page, nil
}

func (c *call) getEntity() (any, error) {
	uid, err := c.holder()
	if err != nil {
		return nil, err
	}
	e, err := c.Entities.Get(c.ctx(), uid, c.r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	h := c.w.Header()
	h["Cache-Control"], h["X-Content-Type-Options"] = noStore, noSniff
	h.Set("Etag", `"`+strconv.FormatUint(e.Version, 10)+`"`)
	if e.Fence != 0 {
		h.Set(fenceHeader, strconv.FormatUint(e.Fence, 10))
	}
	if c.r.Header.Get("If-None-Match") == h.Get("Etag") {
		c.w.WriteHeader(http.StatusNotModified)
		return done{}, nil
	}
	// Bytes of a player are shown to another one's browser as nothing that it would run.
	h.Set("Content-Type", "application/octet-stream")
	if e.Type != "" {
		h.Set("Content-Type", e.Type)
	}
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Content-Length", strconv.Itoa(len(e.Value)))
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(e.Value) // a client that left is nobody to tell
	return done{}, nil
}

// conditions reads what a write replaces and under which lock.
func (c *call) conditions() (base entity.Base, fence uint64, err error) {
	match, none := c.r.Header.Get("If-Match"), c.r.Header.Get("If-None-Match")
	switch {
	case match != "" && none != "":
		return base, 0, game.Errorf(game.Invalid, "If-Match and If-None-Match exclude each other")
	case none == "*":
	case none != "":
		return base, 0, game.Errorf(game.Invalid, "If-None-Match is %.40q: want *, which says that the entity is new", none)
	case match == "" || match == "*":
		base = entity.AnyBase
	default:
		if base, err = parseBase(strings.Trim(match, `"`)); err != nil {
			return base, 0, err
		}
	}
	if text := c.r.Header.Get(fenceHeader); text != "" {
		if fence, err = strconv.ParseUint(text, 10, 64); err != nil || fence == 0 {
			return base, 0, game.Errorf(game.Invalid, "%s is %.40q: want the token of a lock", fenceHeader, text)
		}
	}
	return base, fence, nil
}

func parseBase(text string) (entity.Base, error) {
	v, err := strconv.ParseUint(text, 10, 64)
	if err != nil || v == 0 {
		return entity.Base{}, game.Errorf(game.Invalid, "%.40q is no version: want the digits of one that was answered", text)
	}
	return entity.Base{Version: v}, nil
}

func (c *call) putEntity() (any, error) {
	uid, name, err := c.written()
	if err != nil {
		return nil, err
	}
	base, fence, err := c.conditions()
	if err != nil {
		return nil, err
	}
	value, err := c.bytes(int64(c.Config.Entities.BytesMax))
	if err != nil {
		return nil, err
	}
	version, err := c.Entities.Put(c.ctx(), entity.Write{UID: uid, Name: name, Value: value, Type: c.r.Header.Get("Content-Type"), Base: base, Fence: fence})
	if err != nil {
		return nil, err
	}
	text := strconv.FormatUint(version, 10)
	c.w.Header().Set("Etag", `"`+text+`"`)
	return raw(`{"version":"` + text + "\"}\n"), nil
}

func (c *call) deleteEntity() (any, error) {
	uid, name, err := c.written()
	if err != nil {
		return nil, err
	}
	base, fence, err := c.conditions()
	if err != nil {
		return nil, err
	}
	if _, err := c.Entities.Put(c.ctx(), entity.Write{UID: uid, Name: name, Delete: true, Base: base, Fence: fence}); err != nil {
		return nil, err
	}
	return nothing(), nil
}

// batchBytesMax bounds the body of a batch.
const batchBytesMax = 8 << 20

func (c *call) batchEntities() (any, error) {
	b, err := c.bytes(batchBytesMax)
	if err != nil {
		return nil, err
	}
	var in EntityBatch
	if err := decode(b, &in); err != nil {
		return nil, err
	}
	if len(in.Operations) == 0 || len(in.Operations) > entity.BatchMax {
		return nil, game.Errorf(game.Invalid, "%d operations: want 1 to %d", len(in.Operations), entity.BatchMax)
	}
	for i := range in.Operations { // nothing is done when one is wrong
		if err := c.checkOp(&in.Operations[i]); err != nil {
			return nil, err
		}
	}
	out := EntityOutcomes{Outcomes: make([]EntityOutcome, len(in.Operations))}
	for i := range in.Operations {
		out.Outcomes[i] = c.do(&in.Operations[i])
	}
	return out, nil
}

func (c *call) checkOp(op *EntityOp) (err error) {
	if op.UID, err = core.Whose(c.ctx(), c.Identity, &c.who, op.UID, game.ScopeEntities); err != nil {
		return err
	}
	if op.Op != "get" {
		if err := c.who.MayWriteEntity(op.Name); err != nil {
			return err
		}
	}
	switch op.Base {
	case "":
		op.parsed = entity.AnyBase
	case "absent":
	default:
		op.parsed, err = parseBase(op.Base)
	}
	switch op.Op {
	case "get", "put", "delete":
		return err
	}
	return game.Errorf(game.Invalid, "an operation %.20q: want get, put or delete", op.Op)
}

// do carries one operation out.
func (c *call) do(op *EntityOp) EntityOutcome {
	if op.Op == "get" {
		e, err := c.Entities.Get(c.ctx(), op.UID, op.Name)
		if err != nil {
			return outcomeOf(err)
		}
		got := entityOf(e)
		return EntityOutcome{Status: http.StatusOK, Entity: &got, Version: got.Version}
	}
	value, err := base64.StdEncoding.DecodeString(op.Value)
	if err != nil {
		return outcomeOf(game.Errorf(game.Invalid, "the value of %.140s is not base64", op.Name))
	}
	version, err := c.Entities.Put(c.ctx(), entity.Write{UID: op.UID, Name: op.Name, Delete: op.Op == "delete", Value: value, Type: op.Type, Base: op.parsed, Fence: op.Fence})
	switch {
	case err != nil:
		return outcomeOf(err)
	case op.Op == "delete":
		return EntityOutcome{Status: http.StatusNoContent}
	}
	return EntityOutcome{Status: http.StatusOK, Version: strconv.FormatUint(version, 10)}
}
