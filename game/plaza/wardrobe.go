package plaza

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/entity"
)

// wardrobeType is the media type of the entity.
const wardrobeType = "application/json"

// turnsMax bounds how often a write is tried again because somebody wrote meanwhile.
const turnsMax = 8

// Wardrobe is the entity "owned.wardrobe".
type Wardrobe struct {
	Items []Owned `json:"items"`
}

// Owned is an item of a user.
type Owned struct {
	ID       string `json:"id"`
	Purchase string `json:"purchase"` // by which it came here
	// Hold is the reservation that will pay it; 0: it is paid.
	Hold uint64 `json:"hold,omitempty"`
}

// EntityName is its name under its user.
func (*Wardrobe) EntityName() string { return game.OwnedPrefix + "wardrobe" }

// MarshalBinary gives its JSON.
func (w *Wardrobe) MarshalBinary() ([]byte, error) { return json.Marshal(w) }

// UnmarshalBinary reads it.
func (w *Wardrobe) UnmarshalBinary(b []byte) error {
	*w = Wardrobe{}
	if err := json.Unmarshal(b, w); err != nil {
		return fmt.Errorf("the wardrobe is no JSON: %w", err)
	}
	return nil
}

// find gives the place of an item; -1: it is not there.
func (w *Wardrobe) find(id string) int {
	return slices.IndexFunc(w.Items, func(o Owned) bool { return o.ID == id })
}

// owns says whether an item is there and paid.
func (w *Wardrobe) owns(id string) bool {
	i := w.find(id)
	return i >= 0 && w.Items[i].Hold == 0
}

// ids are those of all items that are paid.
func (w *Wardrobe) ids() []string {
	list := []string{}
	for _, o := range w.Items {
		if o.Hold == 0 {
			list = append(list, o.ID)
		}
	}
	return list
}

// wardrobe reads that of a user, and finishes purchases that were left in the middle. Of a user who never bought
// anything it is empty, with version 0.
func (p *Plaza) wardrobe(ctx context.Context, uid game.UID) (*Wardrobe, uint64, error) {
	for range turnsMax {
		w, version, err := p.readWardrobe(ctx, uid)
		if err != nil {
			return nil, 0, err
		}
		i := slices.IndexFunc(w.Items, func(o Owned) bool { return o.Hold != 0 })
		if i < 0 {
			return w, version, nil
		}
		if err := p.settle(ctx, uid, w, version, w.Items[i]); err != nil && game.KindOf(err) != game.Conflict {
			return nil, 0, err
		}
	}
	return nil, 0, game.Errorf(game.Unavailable, "the wardrobe is being changed all the time: try again")
}

func (p *Plaza) readWardrobe(ctx context.Context, uid game.UID) (*Wardrobe, uint64, error) {
	w := &Wardrobe{}
	got, err := p.Entities.Get(ctx, uid, w.EntityName())
	switch {
	case game.KindOf(err) == game.NotFound && err != nil:
		return w, 0, nil
	case err != nil:
		return nil, 0, err
	}
	if err := w.UnmarshalBinary(got.Value); err != nil {
		return nil, 0, &game.Error{Op: "read wardrobe", Kind: game.Internal, Err: err}
	}
	return w, got.Version, nil
}

// writeWardrobe replaces one version by the next; Conflict: somebody else did.
func (p *Plaza) writeWardrobe(ctx context.Context, uid game.UID, w *Wardrobe, version uint64) error {
	b, err := w.MarshalBinary()
	if err != nil {
		return &game.Error{Op: "write wardrobe", Kind: game.Internal, Err: err}
	}
	_, err = p.Entities.Put(ctx, entity.Write{UID: uid, Name: w.EntityName(), Value: b, Type: wardrobeType, Base: entity.Base{Version: version}})
	return err
}
