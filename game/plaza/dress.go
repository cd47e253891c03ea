package plaza

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/entity"
)

// fittings keep what users have saved until they wear it: a rule of an area must not wait for the entities.
type fittings struct {
	max int

	mu    sync.Mutex
	saved map[game.UID]Avatar // guarded by mu
	order []game.UID          // guarded by mu: the oldest first; each once
}

func newFittings(max int) *fittings { return &fittings{max: max, saved: map[game.UID]Avatar{}} }

func (f *fittings) put(uid game.UID, a Avatar) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.saved[uid]; !ok {
		if len(f.order) == f.max {
			delete(f.saved, f.order[0])
			f.order = append(f.order[:0], f.order[1:]...)
		}
		f.order = append(f.order, uid)
	}
	f.saved[uid] = a
}

func (f *fittings) get(uid game.UID) (Avatar, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a, ok := f.saved[uid]
	return a, ok
}

// Dressed is the answer of avatar.get and avatar.save.
type Dressed struct {
	Avatar
	Owned []string `json:"owned"`
	Saved bool     `json:"saved"` // false: the user has never chosen
}

// readAvatar gives how a user is called and looks; false: nothing was chosen yet.
func (p *Plaza) readAvatar(ctx context.Context, uid game.UID) (Avatar, bool, error) {
	a := Avatar{}
	got, err := p.Entities.Get(ctx, uid, a.EntityName())
	if err != nil {
		if game.KindOf(err) == game.NotFound {
			return Avatar{Look: LookOf(uid)}, false, nil
		}
		return Avatar{}, false, err
	}
	if err := a.UnmarshalBinary(got.Value); err != nil {
		return Avatar{Look: LookOf(uid)}, false, nil // the user's own bytes: as if there were none
	}
	return a, true, nil
}

func (p *Plaza) getAvatar(ctx context.Context, a *game.Act) ([]byte, error) {
	uid, err := buyer(a)
	if err != nil {
		return nil, err
	}
	av, saved, err := p.readAvatar(ctx, uid)
	if err != nil {
		return nil, err
	}
	return p.dressed(ctx, uid, av, saved)
}

func (p *Plaza) dressed(ctx context.Context, uid game.UID, av Avatar, saved bool) ([]byte, error) {
	w, _, err := p.wardrobe(ctx, uid)
	if err != nil {
		return nil, err
	}
	av.Look = av.Look.without(w.owns)
	return json.Marshal(Dressed{Avatar: av, Owned: w.ids(), Saved: saved})
}

// saveAvatar keeps how the caller wants to be called and look. An unowned hat is refused, so that the page can say why.
func (p *Plaza) saveAvatar(ctx context.Context, a *game.Act) ([]byte, error) {
	uid, err := buyer(a)
	if err != nil {
		return nil, err
	}
	var in struct {
		Name string          `json:"name"`
		Look json.RawMessage `json:"look"`
	}
	if err := read(a.Body, &in); err != nil {
		return nil, err
	}
	av := Avatar{}
	if av.Name, err = game.CheckAvatarName(in.Name); err != nil {
		return nil, err
	}
	if av.Look, err = ParseLook(in.Look); err != nil {
		return nil, err
	}
	w, _, err := p.wardrobe(ctx, uid)
	if err != nil {
		return nil, err
	}
	if av.Look.without(w.owns) != av.Look {
		return nil, game.Errorf(game.Denied, "only what is in the wardrobe can be worn")
	}
	b, err := av.MarshalBinary()
	if err != nil {
		return nil, &game.Error{Op: "save avatar", Kind: game.Internal, Err: err}
	}
	if _, err := p.Entities.Put(ctx, entity.Write{UID: uid, Name: av.EntityName(), Value: b, Type: "application/json", Base: entity.AnyBase}); err != nil {
		return nil, err
	}
	p.fittings.put(uid, av)
	return json.Marshal(Dressed{Avatar: av, Owned: w.ids(), Saved: true})
}

// wear shows everybody in the area what the caller has saved.
func (p *Plaza) wear(s game.Scene, a *game.Act) ([]byte, error) {
	av, ok := p.fittings.get(a.Who.UID)
	if !ok {
		return nil, game.Errorf(game.NotFound, "nothing was saved here to be worn: call avatar.save first")
	}
	if !s.Dress(a.Avatar.ID, av.Name, av.Look.Bytes()) {
		return nil, game.Errorf(game.NotFound, "the avatar is not here any more")
	}
	return []byte("{}"), nil
}

// Admit dresses who enters an area: what the entity "avatar" says, where the client says nothing else, and nothing
// that is not owned. A look that is none of the plaza's is left as it is: other applications have their own.
// When the entities do not answer, nobody is kept out: who comes wears nothing that could be unowned.
func (p *Plaza) Admit(ctx context.Context, a *game.Act, av *game.Avatar) error {
	if a.Who.Kind != game.ByUser {
		return nil
	}
	asked, err := ParseLook(av.Look)
	own := err == nil && len(av.Look) > 0
	if !own && len(av.Look) > 0 && av.Look[0] != '{' {
		return nil
	}
	if av.Name == "" || !own {
		kept, _, err := p.readAvatar(ctx, a.Who.UID)
		if err != nil {
			p.Log.Warn("an avatar could not be read", "user", a.Who.UID, "error", err)
			kept = Avatar{Look: LookOf(a.Who.UID)}
		}
		if av.Name == "" {
			av.Name = kept.Name
		}
		if !own {
			asked = kept.Look
		}
	}
	if asked.Hat != "" || asked.Coat != "" {
		w, _, err := p.wardrobe(ctx, a.Who.UID)
		if err != nil {
			p.Log.Warn("a wardrobe could not be read", "user", a.Who.UID, "error", err)
			w = &Wardrobe{}
		}
		asked = asked.without(w.owns)
	}
	av.Look = asked.Bytes()
	return nil
}
