package plaza_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/core/coretest"
	"github.com/kamado/kamado/game/entity"
	"github.com/kamado/kamado/game/plaza"
	"github.com/kamado/kamado/game/points"
)

// faulty stands in front of the servers, and fails what a test wants to fail.
type faulty struct {
	plaza.Points
	plaza.Entities
	post, posted func(o *game.Order) error   // before and after an order
	put, wrote   func(w *entity.Write) error // before and after a write
}

func (f *faulty) Post(ctx context.Context, o *game.Order) (points.Answer, error) {
	if f.post != nil {
		if err := f.post(o); err != nil {
			return points.Answer{}, err
		}
	}
	a, err := f.Points.Post(ctx, o)
	if err == nil && f.posted != nil {
		err = f.posted(o)
	}
	return a, err
}

func (f *faulty) Put(ctx context.Context, w entity.Write) (uint64, error) {
	if f.put != nil {
		if err := f.put(&w); err != nil {
			return 0, err
		}
	}
	v, err := f.Entities.Put(ctx, w)
	if err == nil && f.wrote != nil {
		err = f.wrote(&w)
	}
	return v, err
}

// shop is the plaza's rules on real servers.
type shop struct {
	*testing.T
	*faulty
	servers  *coretest.Servers
	plaza    *plaza.Plaza
	handlers *game.Handlers
	moved    atomic.Int64
}

func openShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{T: t, servers: coretest.Open(t, nil), handlers: &game.Handlers{}}
	s.faulty = &faulty{Points: s.servers.Points, Entities: s.servers.Entities}
	s.plaza = plaza.New(plaza.Deps{
		Points: s.faulty, Entities: s.faulty, Identity: s.servers.Identity, Log: slog.New(slog.DiscardHandler),
		Moved: func(*game.Posting) { s.moved.Add(1) },
	})
	s.plaza.Rules(s.handlers)
	return s
}

func user(uid game.UID) game.Principal { return game.Principal{Kind: game.ByUser, UID: uid} }

func (s *shop) ask(uid game.UID, method string, in any) ([]byte, error) {
	s.Helper()
	b, err := json.Marshal(in)
	if err != nil {
		s.Fatal(err)
	}
	return s.handlers.Method(method)(s.Context(), &game.Act{Who: user(uid), Method: method, Body: b})
}

// purse calls what must succeed.
func (s *shop) purse(uid game.UID, method string, in any) plaza.Purse {
	s.Helper()
	b, err := s.ask(uid, method, in)
	var p plaza.Purse
	if err != nil || json.Unmarshal(b, &p) != nil {
		s.Fatalf("%s: %v (%s)", method, err, b)
	}
	return p
}

// refused calls what must fail with a kind.
func (s *shop) refused(kind game.Kind, uid game.UID, method string, in any) error {
	s.Helper()
	b, err := s.ask(uid, method, in)
	if err == nil || game.KindOf(err) != kind {
		s.Errorf("%s %v = %s, %v; want kind %v", method, in, b, err, kind)
	}
	return err
}

// sums demands that all entries add up to zero, and that an account holds and owns what it should.
func (s *shop) sums(uid game.UID, balance, held game.Amount) {
	s.Helper()
	t, err := s.servers.Points.TotalsAt(s.Context(), s.servers.Points.Now())
	if err != nil {
		s.Fatal(err)
	}
	if sum := t.Classes.Sum(); sum != 0 {
		s.Errorf("all entries add up to %d", sum)
	}
	a, err := s.servers.Points.Account(s.Context(), uid)
	if err != nil {
		s.Fatal(err)
	}
	var holds game.Amount
	for i := range a.Holds {
		holds += a.Holds[i].Amount()
	}
	if got := a.Balance(s.servers.Points.Now()); got != balance || holds != held {
		s.Errorf("user %v has %d points and %d held, want %d and %d", uid, got, holds, balance, held)
	}
}

func buy(item, purchase string) plaza.Purchase { return plaza.Purchase{Item: item, Purchase: purchase} }

func TestShop(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	ann := s.servers.Guest(t).UID
	if l := s.purse(ann, "shop.list", nil); len(l.Items) != len(plaza.Items()) || l.Balance != 0 || len(l.Owned) != 0 {
		t.Errorf("at first the shop shows %+v", l)
	}
	if w := s.purse(ann, "shop.welcome", nil); w.Granted != 500 || w.Balance != 500 {
		t.Errorf("the welcome is %+v", w)
	}
	if w := s.purse(ann, "shop.welcome", nil); w.Granted != 0 || w.Balance != 500 {
		t.Errorf("the second welcome is %+v", w)
	}
	if p := s.purse(ann, "shop.buy", buy("straw", "purchase-1")); p.Balance != 380 || fmt.Sprint(p.Owned) != "[straw]" {
		t.Errorf("after the first purchase %+v", p)
	}
	if p := s.purse(ann, "shop.buy", buy("straw", "purchase-1")); p.Balance != 380 || fmt.Sprint(p.Owned) != "[straw]" {
		t.Errorf("asked again with the same id %+v", p)
	}
	if n := s.moved.Load(); n != 3 {
		t.Errorf("%d postings were told, want grant, reserve and confirm", n)
	}
	s.refused(game.Conflict, ann, "shop.buy", buy("straw", "purchase-2"))
	s.refused(game.Insufficient, ann, "shop.buy", buy("crown", "purchase-3"))
	s.refused(game.Conflict, ann, "shop.buy", buy("beret", "purchase-1")) // an id buys one thing
	s.refused(game.NotFound, ann, "shop.buy", buy("moon", "purchase-4"))
	s.refused(game.Invalid, ann, "shop.buy", buy("beret", "short"))
	s.refused(game.Invalid, ann, "shop.buy", "no purchase")
	s.sums(ann, 380, 0)
	if _, err := s.handlers.Method("shop.buy")(t.Context(), &game.Act{Who: game.OperatorPrincipal()}); game.KindOf(err) != game.Denied {
		t.Errorf("a service buys: %v", err)
	}
}

// TestPurchasesAtOnce has one purchase asked for by many, and many purchases of one item.
func TestPurchasesAtOnce(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	ann := s.servers.Guest(t).UID
	s.purse(ann, "shop.welcome", nil)
	var done sync.WaitGroup
	for i := range 8 {
		done.Go(func() { _, _ = s.ask(ann, "shop.buy", buy("straw", fmt.Sprintf("purchase-%d", i%2))) })
	}
	done.Wait()
	if p := s.purse(ann, "shop.list", nil); fmt.Sprint(p.Owned) != "[straw]" || p.Balance != 380 {
		t.Errorf("after eight at once: %+v", p)
	}
	s.sums(ann, 380, 0)
}

// TestPurchaseIsCutAnywhere fails each step of a purchase in turn, before and after it took effect, then asks again: the item was
// bought once for its price, or nothing happened.
func TestPurchaseIsCutAnywhere(t *testing.T) {
	t.Parallel()
	lost := &game.Error{Kind: game.Unavailable, Detail: "cut", Doubt: true}
	gone := &game.Error{Kind: game.Unavailable, Detail: "cut"}
	s := openShop(t)
	for _, c := range []struct {
		name string
		set  func(cut *bool)
	}{
		{"reserve is not made", func(cut *bool) { s.post = cutOrder(game.OpReserve, cut, gone) }},
		{"the answer of reserve is lost", func(cut *bool) { s.posted = cutOrder(game.OpReserve, cut, lost) }},
		{"the wardrobe is not written", func(cut *bool) { s.put = cutWrite(cut, lost) }},
		{"the answer of the wardrobe is lost", func(cut *bool) { s.wrote = cutWrite(cut, lost) }},
		{"confirm is not made", func(cut *bool) { s.post = cutOrder(game.OpConfirm, cut, gone) }},
		{"the answer of confirm is lost", func(cut *bool) { s.posted = cutOrder(game.OpConfirm, cut, lost) }},
	} {
		uid := s.servers.Guest(t).UID
		s.purse(uid, "shop.welcome", nil)
		cut := false
		c.set(&cut)
		if _, err := s.ask(uid, "shop.buy", buy("straw", "purchase-1")); err == nil || !cut {
			t.Errorf("%s: the first answer is %v", c.name, err)
		}
		*s.faulty = faulty{Points: s.Points, Entities: s.Entities}
		p := s.purse(uid, "shop.buy", buy("straw", "purchase-1"))
		if p.Balance != 380 || fmt.Sprint(p.Owned) != "[straw]" {
			t.Errorf("%s: asked again %+v", c.name, p)
		}
		s.sums(uid, 380, 0)
	}
	// A write that surely failed gives the points back at once.
	uid := s.servers.Guest(t).UID
	s.purse(uid, "shop.welcome", nil)
	cut := false
	s.put = cutWrite(&cut, gone)
	s.refused(game.Unavailable, uid, "shop.buy", buy("straw", "purchase-1"))
	*s.faulty = faulty{Points: s.Points, Entities: s.Entities}
	s.sums(uid, 500, 0)
	s.refused(game.Conflict, uid, "shop.buy", buy("straw", "purchase-1")) // that purchase is over
	if p := s.purse(uid, "shop.buy", buy("straw", "purchase-2")); p.Balance != 380 {
		t.Errorf("a new purchase: %+v", p)
	}
}

func cutOrder(op game.Op, cut *bool, err error) func(*game.Order) error {
	return func(o *game.Order) error {
		if o.Op != op || *cut {
			return nil
		}
		*cut = true
		return err
	}
}

func cutWrite(cut *bool, err error) func(*entity.Write) error {
	return func(*entity.Write) error {
		if *cut {
			return nil
		}
		*cut = true
		return err
	}
}

// scene is an area with nobody but who dresses.
type scene struct {
	game.Scene
	name string
	look []byte
}

func (s *scene) Dress(_ game.AvatarID, name string, look []byte) bool {
	s.name, s.look = name, look
	return true
}
func (s *scene) Avatars() iter.Seq[game.Avatar] { return func(func(game.Avatar) bool) {} }

func TestDressing(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	ann := s.servers.Guest(t).UID
	dressed := func(method string, in any) (d plaza.Dressed) {
		t.Helper()
		b, err := s.ask(ann, method, in)
		if err != nil || json.Unmarshal(b, &d) != nil {
			t.Fatalf("%s: %v", method, err)
		}
		return d
	}
	first := dressed("avatar.get", nil)
	if first.Saved || first.Name != "" || first.Look != plaza.LookOf(ann) {
		t.Errorf("before anything was chosen: %+v", first)
	}
	wear := s.handlers.InArea("avatar.wear")
	act := &game.Act{Who: user(ann), Avatar: game.Avatar{ID: 7}}
	if _, err := wear(&scene{}, act); game.KindOf(err) != game.NotFound {
		t.Errorf("nothing was saved, and wearing it is %v", err)
	}
	hat := plaza.Look{Colour: 3, Hat: "straw"}
	s.refused(game.Denied, ann, "avatar.save", plaza.Avatar{Name: "Ann", Look: hat})
	s.refused(game.Invalid, ann, "avatar.save", plaza.Avatar{Name: "\u202e", Look: plaza.Look{}})
	s.refused(game.Invalid, ann, "avatar.save", plaza.Avatar{Name: "Ann", Look: plaza.Look{Colour: 99}})
	s.purse(ann, "shop.welcome", nil)
	s.purse(ann, "shop.buy", buy("straw", "purchase-1"))
	if d := dressed("avatar.save", plaza.Avatar{Name: " Ann  B ", Look: hat}); d.Name != "Ann B" || d.Look != hat || !d.Saved {
		t.Errorf("saved %+v", d)
	}
	if d := dressed("avatar.get", nil); d.Name != "Ann B" || d.Look != hat || !d.Saved {
		t.Errorf("got back %+v", d)
	}
	sc := &scene{}
	if _, err := wear(sc, act); err != nil || sc.name != "Ann B" || string(sc.look) != string(hat.Bytes()) {
		t.Errorf("wearing it: %v, %q, %s", err, sc.name, sc.look)
	}
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	ann, bob := s.servers.Guest(t).UID, s.servers.Guest(t).UID
	s.purse(ann, "shop.welcome", nil)
	s.purse(ann, "shop.buy", buy("straw", "purchase-1"))
	if _, err := s.ask(ann, "avatar.save", plaza.Avatar{Name: "Ann", Look: plaza.Look{Hat: "straw"}}); err != nil {
		t.Fatal(err)
	}
	admit := func(uid game.UID, name, look string) game.Avatar {
		t.Helper()
		a := game.Avatar{UID: uid, Name: name, Look: []byte(look)}
		if err := s.plaza.Admit(t.Context(), &game.Act{Who: user(uid)}, &a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	look := func(l plaza.Look) string { return string(l.Bytes()) }
	for _, c := range []struct {
		what             string
		uid              game.UID
		name, look       string
		wantName, wantIn string
	}{
		{"who says nothing comes as kept", ann, "", "", "Ann", look(plaza.Look{Hat: "straw"})},
		{"who says something comes so", ann, "Annie", look(plaza.Look{Colour: 2, Hat: "straw"}), "Annie", look(plaza.Look{Colour: 2, Hat: "straw"})},
		{"a hat that is not owned is taken off", bob, "Bob", look(plaza.Look{Colour: 2, Hat: "straw", Coat: "gold"}), "Bob", look(plaza.Look{Colour: 2})},
		{"who never chose gets a look", bob, "", "", "", look(plaza.LookOf(bob))},
		{"JSON that is no look is replaced", bob, "Bob", `{"colour":-1}`, "Bob", look(plaza.LookOf(bob))},
		{"another application's look stays", bob, "Bob", "\x01\x02", "Bob", "\x01\x02"},
	} {
		if a := admit(c.uid, c.name, c.look); a.Name != c.wantName || string(a.Look) != c.wantIn {
			t.Errorf("%s: %q %s, want %q %s", c.what, a.Name, a.Look, c.wantName, c.wantIn)
		}
	}
	// Whatever somebody writes under the name of his own entity is no look that is not owned.
	for _, value := range []string{`{"name":"Bob","look":{"hat":"crown"}}`, `{"name":7}`, "\xff", `{"name":"` + strings.Repeat("x", 100) + `"}`} {
		if _, err := s.servers.Entities.Put(t.Context(), entity.Write{UID: bob, Name: "avatar", Value: []byte(value), Base: entity.AnyBase}); err != nil {
			t.Fatal(err)
		}
		if a := admit(bob, "", ""); strings.Contains(string(a.Look), "crown") || len(a.Name) > 24 {
			t.Errorf("with %q in the entity: %+v", value, a)
		}
	}
	// Nobody is kept out because the entities are away.
	broken := plaza.New(plaza.Deps{Points: s.faulty, Entities: away{}, Log: slog.New(slog.DiscardHandler)})
	a := game.Avatar{Look: plaza.Look{Hat: "straw"}.Bytes()}
	if err := broken.Admit(t.Context(), &game.Act{Who: user(ann)}, &a); err != nil || string(a.Look) != look(plaza.Look{}) {
		t.Errorf("without entities: %v, %s", err, a.Look)
	}
}

type away struct{}

var errAway = &game.Error{Kind: game.Unavailable, Err: errors.New("away")}

func (away) Get(context.Context, game.UID, string) (game.StoredEntity, error) {
	return game.StoredEntity{}, errAway
}
func (away) Put(context.Context, entity.Write) (uint64, error) { return 0, errAway }

// TestFittingsAreBounded saves more looks than are kept until they are worn.
func TestFittingsAreBounded(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	memory := map[game.UID]bool{}
	broken := plaza.New(plaza.Deps{Points: s.faulty, Entities: blank{}, Log: slog.New(slog.DiscardHandler)})
	h := &game.Handlers{}
	broken.Rules(h)
	save := func(uid game.UID) {
		b, _ := json.Marshal(plaza.Avatar{Name: "x"})
		if _, err := h.Method("avatar.save")(t.Context(), &game.Act{Who: user(uid), Body: b}); err != nil {
			t.Fatal(err)
		}
		memory[uid] = true
	}
	for uid := game.UID(2000); uid < 2000+4097; uid++ {
		save(uid)
	}
	for uid, want := range map[game.UID]bool{2000: false, 2001: true, 2000 + 4096: true} {
		_, err := h.InArea("avatar.wear")(&scene{}, &game.Act{Who: user(uid)})
		if (err == nil) != want {
			t.Errorf("user %v can wear what was saved: %v, want %v", uid, err, want)
		}
	}
}

type blank struct{}

func (blank) Get(context.Context, game.UID, string) (game.StoredEntity, error) {
	return game.StoredEntity{}, game.Errorf(game.NotFound, "nothing is here")
}
func (blank) Put(context.Context, entity.Write) (uint64, error) { return 1, nil }

func FuzzParseLook(f *testing.F) {
	f.Add([]byte(`{"colour":1,"skin":2,"hair":3,"hairColour":4,"hat":"straw","coat":"gold","picture":"00112233445566778899aabbccddeeff.jpg"}`))
	f.Add([]byte(`{"colour":1e9}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := plaza.ParseLook(b)
		if err != nil {
			return
		}
		again, err := plaza.ParseLook(l.Bytes())
		if err != nil || again != l {
			t.Errorf("ParseLook(%s) = %+v, %v; want %+v", l.Bytes(), again, err, l)
		}
	})
}
