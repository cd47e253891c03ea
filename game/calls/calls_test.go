package calls_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/game/calls"
	"github.com/kamado/kamado/game/core/coretest"
	"github.com/kamado/kamado/game/points"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/internal/unit"
)

// room is calls on real servers.
type room struct {
	*testing.T
	*calls.Calls
	servers *coretest.Servers
	posted  atomic.Int64
	cfg     calls.Config
}

func open(t *testing.T, change func(*game.Config, *calls.Config)) *room {
	t.Helper()
	r := &room{T: t, cfg: calls.Default()}
	r.servers = coretest.Open(t, func(c *game.Config) {
		if change != nil {
			change(c, &r.cfg)
		}
		r.cfg.Points = c.Points
	})
	r.cfg.Posted = func(game.Principal, *game.Posting) { r.posted.Add(1) }
	r.Calls = calls.New(r.servers.Core(), r.cfg)
	return r
}

func user(uid game.UID) game.Principal { return game.Principal{Kind: game.ByUser, UID: uid} }

func service(scopes game.Scope) game.Principal {
	return game.Principal{Kind: game.ByService, Service: "shop", Scopes: scopes}
}

// call does one that must succeed.
func call[A any, P interface {
	*A
	proto.Message
}](r *room, who game.Principal, method string, in proto.Message) P {
	r.Helper()
	answer, found, err := r.Do(r.Context(), who, method, body(r, in))
	out := P(new(A))
	if err != nil || !found || wire.Parse(answer, out) != nil {
		r.Fatalf("%s of %s: %v, %v", method, who.Name(), found, err)
	}
	return out
}

// refused does one that must end with an error of a kind, whose detail has a part.
func (r *room) refused(kind game.Kind, part string, who game.Principal, method string, in proto.Message) {
	r.Helper()
	_, found, err := r.Do(r.Context(), who, method, body(r, in))
	if !found || err == nil || game.KindOf(err) != kind || !strings.Contains(err.Error(), part) {
		r.Errorf("%s of %s = %v, %v; want kind %v, and %q", method, who.Name(), found, err, kind, part)
	}
}

func TestPoints(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	ann, bob := r.servers.Guest(t).UID, r.servers.Guest(t).UID
	shop := service(game.ScopePoints)
	g := call[wire.PointsPosting](r, shop, "points.grant", &wire.PointsGrant{Key: "g", Uid: uint64(ann), Amount: 100, Paid: true, Reason: "bought"})
	if g.Op != "grant" || g.Balance != 100 || g.Again || g.Seq == 0 || time.Since(time.UnixMilli(g.AtMs)).Abs() > time.Minute {
		t.Errorf("grant %v", g)
	}
	again := call[wire.PointsPosting](r, shop, "points.grant", &wire.PointsGrant{Key: "g", Uid: uint64(ann), Amount: 100, Paid: true, Reason: "bought"})
	if !again.Again || again.Seq != g.Seq {
		t.Errorf("again %v", again)
	}
	r.refused(game.Conflict, "", shop, "points.grant", &wire.PointsGrant{Key: "g", Uid: uint64(ann), Amount: 101, Paid: true, Reason: "bought"})
	if s := call[wire.PointsPosting](r, user(ann), "points.spend", &wire.PointsSpend{Key: "g", Amount: 30}); s.Again || s.Balance != 70 { // another caller's key
		t.Errorf("spend %v", s)
	}
	r.refused(game.Insufficient, "", user(ann), "points.spend", &wire.PointsSpend{Key: "s2", Amount: 71})
	if m := call[wire.PointsPosting](r, user(ann), "points.transfer", &wire.PointsTransfer{Key: "t", To: uint64(bob), Amount: 20}); m.Balance != 50 {
		t.Errorf("transfer %v", m)
	}
	h := call[wire.PointsPosting](r, user(ann), "points.reserve", &wire.PointsReserve{Key: "h", Amount: 40, Seconds: 60})
	a := call[wire.PointsAccount](r, user(ann), "points.account", &wire.PointsAccountRequest{})
	if h.Reservation == 0 || a.Balance != 10 || a.Held != 40 || a.Paid != 10 || a.Free != 0 || a.Uid != uint64(ann) {
		t.Errorf("reservation %v, account %v", h, a)
	}
	r.refused(game.Denied, "another user", user(bob), "points.confirm", &wire.PointsEnd{Reservation: h.Reservation})
	r.refused(game.NotFound, "", user(ann), "points.confirm", &wire.PointsEnd{Reservation: 987_654})
	r.refused(game.NotFound, "", shop, "points.confirm", &wire.PointsEnd{Reservation: h.Reservation, Uid: uint64(bob)})
	c := call[wire.PointsPosting](r, user(ann), "points.confirm", &wire.PointsEnd{Reservation: h.Reservation, Amount: 15})
	c2 := call[wire.PointsPosting](r, user(ann), "points.confirm", &wire.PointsEnd{Reservation: h.Reservation, Amount: 15})
	if c.Amount != 15 || c.Balance != 35 || c.Again || !c2.Again || c2.Seq != c.Seq {
		t.Errorf("confirm %v, then %v", c, c2)
	}
	r.refused(game.Conflict, "", user(ann), "points.cancel", &wire.PointsEnd{Reservation: h.Reservation})
	h = call[wire.PointsPosting](r, user(ann), "points.reserve", &wire.PointsReserve{Amount: 5})
	if c := call[wire.PointsPosting](r, shop, "points.cancel", &wire.PointsEnd{Reservation: h.Reservation, Uid: uint64(ann)}); c.Balance != 35 {
		t.Errorf("cancel %v", c)
	}
	if n := r.posted.Load(); n != 7 {
		t.Errorf("the hook heard of %d postings, want 7: each once", n)
	}
}

// TestRights: a caller does what it may over HTTP, and no more.
func TestRights(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	ann, bob := r.servers.Guest(t).UID, r.servers.Guest(t).UID
	other := uint64(bob)
	points, narrow := service(game.ScopePoints), service(game.ScopeIdentity)
	for _, c := range []struct {
		method string
		in     proto.Message
	}{
		{"points.account", &wire.PointsAccountRequest{Uid: other}}, {"points.spend", &wire.PointsSpend{Uid: other, Amount: 1}}, {"points.transfer", &wire.PointsTransfer{From: other, To: uint64(ann), Amount: 1}},
		{"points.reserve", &wire.PointsReserve{Uid: other, Amount: 1}}, {"points.confirm", &wire.PointsEnd{Uid: other, Reservation: 1}}, {"points.cancel", &wire.PointsEnd{Uid: other, Reservation: 1}},
		{"points.grant", &wire.PointsGrant{Uid: uint64(ann), Amount: 1}}, {"entities.get", &wire.EntityGet{Uid: other, Name: "a"}}, {"entities.put", &wire.EntityPut{Uid: other, Name: "a", Any: true}},
		{"entities.list", &wire.EntityList{Uid: other}}, {"locks.acquire", &wire.LockAcquire{Name: game.LockPrefix(bob) + "x", TermMs: 1000}},
		{"locks.renew", &wire.LockProof{Name: "x", Token: 1, Session: "s"}}, {"locks.release", &wire.LockProof{Name: "x", Token: 1, Session: "s"}},
	} {
		r.refused(game.Denied, "", user(ann), c.method, c.in)
		r.refused(game.Denied, "scope", narrow, c.method, c.in)
		r.refused(game.Unauthenticated, "", game.Principal{}, c.method, c.in)
	}
	r.refused(game.Invalid, "uid is missing", points, "points.spend", &wire.PointsSpend{Amount: 1})
	r.refused(game.Invalid, "uid is missing", service(game.ScopeEntities), "entities.put", &wire.EntityPut{Name: "a", Any: true})
	r.refused(game.Denied, "scope", points, "entities.get", &wire.EntityGet{Uid: other, Name: "a"})
	r.refused(game.NotFound, "no user", points, "points.spend", &wire.PointsSpend{Uid: 987_654, Amount: 1})
	r.refused(game.NotFound, "no user", user(ann), "points.transfer", &wire.PointsTransfer{To: 987_654, Amount: 1})
	r.refused(game.Denied, "", user(ann), "entities.get", &wire.EntityGet{Uid: uint64(game.WorldUID), Name: "area.plaza.1"})
	if r.posted.Load() != 0 {
		t.Error("something was posted")
	}
	if _, found, err := r.Do(t.Context(), user(ann), "points.burn", nil); found || err != nil {
		t.Errorf("a method that is none: %v, %v", found, err)
	}
}

// TestMergedUsers: what is asked about a merged user is about its winner.
func TestMergedUsers(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	loser, winner, shop := r.servers.Guest(t).UID, r.servers.Guest(t).UID, service(game.ScopePoints|game.ScopeEntities)
	if _, err := r.servers.Identity.Merge(t.Context(), winner, loser, func(context.Context, game.Merge) error { return nil }); err != nil {
		t.Fatal(err)
	}
	call[wire.PointsPosting](r, shop, "points.grant", &wire.PointsGrant{Uid: uint64(loser), Amount: 9})
	call[wire.EntityVersion](r, shop, "entities.put", &wire.EntityPut{Uid: uint64(loser), Name: "a", Value: []byte("x")})
	if a := call[wire.PointsAccount](r, user(winner), "points.account", &wire.PointsAccountRequest{}); a.Balance != 9 {
		t.Errorf("account %v", a)
	}
	if e := call[wire.EntityValue](r, user(winner), "entities.get", &wire.EntityGet{Name: "a"}); string(e.Value) != "x" {
		t.Errorf("entity %v", e)
	}
}

// TestSameKeyOverHTTP: a key that was used over HTTP is answered over the wire, and the other way round.
func TestSameKeyOverHTTP(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	ann := r.servers.Guest(t)
	r.servers.Grant(t, ann.UID, 100)
	h := httptest.NewServer(api.New(api.Deps{
		Guard: nobodysGuard{}, Audit: func(*http.Request, string, string, string, error) {}, Identity: r.servers.Identity, Points: r.servers.Points,
		Config: r.servers.Config, Log: slog.New(slog.DiscardHandler),
	}))
	t.Cleanup(h.Close)
	post := func(path, key, text string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.URL+"/v1/points/"+path, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+ann.Access)
		if key != "" {
			req.Header.Set("Idempotency-Key", key)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode > 201 {
			t.Fatalf("%s: %s", path, res.Status)
		}
	}
	who := user(ann.UID)
	post("spends", "one", `{"amount":5}`)
	if p := call[wire.PointsPosting](r, who, "points.spend", &wire.PointsSpend{Key: "one", Amount: 5}); !p.Again || p.Balance != 95 {
		t.Errorf("spend %v", p)
	}
	held := call[wire.PointsPosting](r, who, "points.reserve", &wire.PointsReserve{Key: "two", Amount: 5, Seconds: 3600})
	post("reservations", "two", `{"amount":5,"expires_in":3600}`)
	post(fmt.Sprintf("reservations/%d/confirm", held.Reservation), "", "")
	if p := call[wire.PointsPosting](r, who, "points.confirm", &wire.PointsEnd{Reservation: held.Reservation}); !p.Again {
		t.Errorf("confirm %v", p)
	}
	if a := call[wire.PointsAccount](r, who, "points.account", nil); a.Balance != 90 {
		t.Errorf("account %v", a)
	}
}

type nobodysGuard struct{}

func (nobodysGuard) Allowed(*http.Request) bool { return false }

// TestGrantLimit: a grant that needs an approval is not made over the wire, and the caller hears where to ask.
func TestGrantLimit(t *testing.T) {
	t.Parallel()
	r := open(t, func(c *game.Config, _ *calls.Config) { c.Points.GrantLimit = 50 })
	ann := uint64(r.servers.Guest(t).UID)
	shop := service(game.ScopePoints)
	call[wire.PointsPosting](r, shop, "points.grant", &wire.PointsGrant{Uid: ann, Amount: 50})
	r.refused(game.Denied, "approval", shop, "points.grant", &wire.PointsGrant{Uid: ann, Amount: 51})
}

func TestEntities(t *testing.T) {
	t.Parallel()
	r := open(t, func(_ *game.Config, c *calls.Config) { c.AnswerBytesMax = 10 * unit.KiB })
	ann := r.servers.Guest(t).UID
	who := user(ann)
	v := call[wire.EntityVersion](r, who, "entities.put", &wire.EntityPut{Name: "avatar", Value: []byte("hat"), Type: "text/x"})
	r.refused(game.Conflict, "", who, "entities.put", &wire.EntityPut{Name: "avatar", Value: []byte("cap")})
	v2 := call[wire.EntityVersion](r, who, "entities.put", &wire.EntityPut{Name: "avatar", Value: []byte("cap"), Version: v.Version, Fence: 3})
	r.refused(game.Conflict, "", who, "entities.put", &wire.EntityPut{Name: "avatar", Value: []byte("late"), Any: true, Fence: 2})
	if e := call[wire.EntityValue](r, who, "entities.get", &wire.EntityGet{Name: "avatar"}); string(e.Value) != "cap" || e.Version != v2.Version || e.Type != "" || e.Name != "avatar" {
		t.Errorf("entity %v", e)
	}
	call[wire.EntityVersion](r, who, "entities.put", &wire.EntityPut{Name: "avatar", Delete: true, Any: true, Version: 1, Fence: 3})
	r.refused(game.NotFound, "", who, "entities.get", &wire.EntityGet{Name: "avatar"})
	r.refused(game.TooLarge, "", who, "entities.put", &wire.EntityPut{Name: "big", Value: make([]byte, coretest.EntityBytesMax+1)})

	for _, in := range []*wire.EntityPut{{Name: "owned.hats", Value: []byte("crown"), Any: true}, {Name: "owned.hats", Delete: true, Any: true}} {
		r.refused(game.Denied, "only a service", who, "entities.put", in)
		in.Uid = uint64(ann)
		call[wire.EntityVersion](r, service(game.ScopeEntities), "entities.put", in)
	}

	for i := range 40 {
		call[wire.EntityVersion](r, who, "entities.put", &wire.EntityPut{Name: fmt.Sprintf("e%02d", i), Value: make([]byte, 1000)})
	}
	call[wire.EntityVersion](r, who, "entities.put", &wire.EntityPut{Name: "e40", Value: make([]byte, 15<<10)}) // more than a page: it goes alone
	var names []string
	for after, pages := "", 1; ; pages++ {
		p := call[wire.EntityPage](r, who, "entities.list", &wire.EntityList{After: after, Limit: 30})
		if size := proto.Size(p); size > 16<<10 || len(p.Entities) == 0 {
			t.Errorf("a page of %d bytes, %d entities", size, len(p.Entities))
		}
		for _, e := range p.Entities {
			names = append(names, e.Name)
		}
		if after = p.Next; after == "" {
			break
		}
		if pages > 20 {
			t.Fatal("pages without end")
		}
	}
	if len(names) != 41 || !slices.IsSorted(names) {
		t.Errorf("%d entities, want 41: %v", len(names), names)
	}
	if p := call[wire.EntityPage](r, who, "entities.list", &wire.EntityList{Limit: 3}); len(p.Entities) != 3 || p.Next != "e02" {
		t.Errorf("a page of three: %d entities, next %q", len(p.Entities), p.Next)
	}
	r.refused(game.Invalid, "limit", who, "entities.list", &wire.EntityList{Limit: 1001})
}

func TestLocks(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	ann := r.servers.Guest(t).UID
	who, shop := user(ann), service(game.ScopeLocks)
	room := game.LockPrefix(ann) + "room"
	g := call[wire.LockGrant](r, who, "locks.acquire", &wire.LockAcquire{Name: room, TermMs: 60_000})
	if g.Token == 0 || g.Session == "" || g.TermMs != 60_000 || g.Name != room {
		t.Errorf("grant %v", g)
	}
	r.refused(game.Conflict, "held by user "+ann.String(), shop, "locks.acquire", &wire.LockAcquire{Name: room, TermMs: 1000, Holder: "shop"})
	if n := call[wire.LockGrant](r, who, "locks.renew", &wire.LockProof{Name: room, Token: g.Token, Session: g.Session}); n.Token != g.Token {
		t.Errorf("renewed %v", n)
	}
	r.refused(game.Conflict, "over", who, "locks.renew", &wire.LockProof{Name: room, Token: g.Token, Session: "other"})
	r.refused(game.Invalid, "token and session", who, "locks.release", &wire.LockProof{Name: room})
	r.refused(game.Invalid, "term", who, "locks.acquire", &wire.LockAcquire{Name: room, TermMs: 1})
	if _, _, err := r.Do(t.Context(), who, "locks.release", body(t, &wire.LockProof{Name: room, Token: g.Token, Session: g.Session})); err != nil {
		t.Error(err)
	}
	for i := range 64 - 1 {
		call[wire.LockGrant](r, who, "locks.acquire", &wire.LockAcquire{Name: fmt.Sprint(game.LockPrefix(ann), i), TermMs: 60_000})
	}
	r.refused(game.TooLarge, "64 different names", who, "locks.acquire", &wire.LockAcquire{Name: game.LockPrefix(ann) + "more", TermMs: 1000})
	call[wire.LockGrant](r, who, "locks.acquire", &wire.LockAcquire{Name: room, TermMs: 1000}) // one that it has locked before
}

// TestBadBodies: what is no message, or breaks a bound, is refused and changes nothing.
func TestBadBodies(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	ann := r.servers.Guest(t).UID
	r.servers.Grant(t, ann, 10)
	admin := service(game.ScopeAdmin)
	for _, method := range r.Methods() {
		for _, b := range [][]byte{{0xff}, {0x0a, 0x05, 'x'}, {0x0a, 0x01, 0xff}} { // cut short, or a text that is none
			if _, found, err := r.Do(t.Context(), admin, method, b); !found || game.KindOf(err) != game.Invalid {
				if method == "points.account" && b[0] == 0x0a { // its field 1 is a number, and others are passed over
					continue
				}
				t.Errorf("%s of %x = %v, %v", method, b, found, err)
			}
		}
	}
	who := user(ann)
	r.refused(game.Invalid, "amount", who, "points.spend", &wire.PointsSpend{Amount: -1})
	r.refused(game.Invalid, "amount", who, "points.spend", &wire.PointsSpend{})
	r.refused(game.Invalid, "transaction id", who, "points.spend", &wire.PointsSpend{Key: strings.Repeat("k", game.KeyBytesMax+1), Amount: 1})
	r.refused(game.Invalid, "amount", who, "points.confirm", &wire.PointsEnd{Reservation: 1, Amount: -1})
	r.refused(game.Invalid, "reservation", who, "points.reserve", &wire.PointsReserve{Amount: 1, Seconds: 1 << 31})
	for _, ms := range []int64{-1, 1 << 62, 1} {
		r.refused(game.Invalid, "", admin, "points.grant", &wire.PointsGrant{Uid: uint64(ann), Amount: 1, ExpiresMs: ms})
	}
	if a := call[wire.PointsAccount](r, who, "points.account", nil); a.Balance != 10 {
		t.Errorf("account %v", a)
	}
}

// TestErrorsHaveKinds: a wait that ended is in doubt, and what nobody classified is internal.
func TestErrorsHaveKinds(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]game.Error{
		context.DeadlineExceeded: {Kind: game.Unavailable, Doubt: true},
		fmt.Errorf("secret"):     {Kind: game.Internal},
	} {
		co := null().Core
		co.Points = failing{err: err}
		registry := prometheus.NewRegistry()
		cfg := calls.Default()
		cfg.Registerer = registry
		_, _, got := calls.New(co, cfg).Do(t.Context(), user(1001), "points.spend", body(t, &wire.PointsSpend{Amount: 1}))
		e, ok := got.(*game.Error)
		if !ok || e.Kind != want.Kind || e.Doubt != want.Doubt {
			t.Errorf("%v became %+v, want %+v", err, got, want)
		}
		all, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		counted := 0.0
		for _, f := range all {
			for _, m := range f.GetMetric() {
				if f.GetName() == "kamado_game_calls_total" && m.GetLabel()[0].GetValue() == want.Kind.String() && m.GetLabel()[1].GetValue() == "points.spend" {
					counted = m.GetCounter().GetValue()
				}
			}
		}
		if counted != 1 {
			t.Errorf("%v calls of kind %v were counted, want 1", counted, want.Kind)
		}
	}
}

type failing struct {
	nullPoints
	err error
}

func (f failing) Post(context.Context, *game.Order) (points.Answer, error) {
	return points.Answer{}, f.err
}

// TestPostingByHand: the answer that is written by hand is the message of the schema.
func TestPostingByHand(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} {
		for _, p := range []*game.Posting{
			{Seq: 1, Op: game.OpSpend, Amount: 5, Balance: 95, Time: 1_795_897_654_123_456}, {Seq: 1 << 62, Op: game.OpConfirm, Amount: game.AmountMax, Hold: 77, Time: 1}, {Op: game.OpCancel, Time: 1000},
		} {
			co := null().Core
			co.Points = &nullPoints{answer: points.Answer{Posting: p, Again: again}}
			got, _, err := calls.New(co, calls.Default()).Do(t.Context(), user(1001), "points.spend", body(t, &wire.PointsSpend{Amount: 5}))
			if err != nil {
				t.Fatal(err)
			}
			want, err := proto.MarshalOptions{Deterministic: true}.Marshal(&wire.PointsPosting{
				Seq: p.Seq, Again: again, Op: p.Op.String(), Amount: int64(p.Amount), Balance: int64(p.Balance), Reservation: p.Hold, AtMs: p.Time.Time().UnixMilli(),
			})
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("by hand %x\nby schema %x, %v", got, want, err)
			}
		}
	}
}

// FuzzDo: no body breaks a method, what it answers is bounded, and points are never made out of nothing.
func FuzzDo(f *testing.F) {
	s := coretest.Open(f, nil)
	c := calls.New(s.Core(), calls.Default())
	ann := s.Guest(f)
	s.Grant(f, ann.UID, 1000)
	for _, m := range c.Methods() {
		f.Add(m, []byte{}, false)
	}
	for m, b := range hot(f) {
		f.Add(m, b, false)
	}
	f.Add("points.grant", body(f, &wire.PointsGrant{Key: "k", Uid: uint64(ann.UID), Amount: 5, ExpiresMs: 1_900_000_000_000, Reason: "x"}), true)
	f.Add("entities.put", body(f, &wire.EntityPut{Name: "a", Value: []byte("v"), Any: true, Fence: 1}), false)
	f.Add("entities.list", body(f, &wire.EntityList{After: "a", Limit: 2}), false)
	f.Add("locks.acquire", body(f, &wire.LockAcquire{Name: "n", TermMs: 1000}), true)
	f.Fuzz(func(t *testing.T, method string, b []byte, admin bool) {
		who := user(ann.UID)
		if admin {
			who = service(game.ScopeAdmin)
		}
		before := bytes.Clone(b)
		answer, found, err := c.Do(t.Context(), who, method, b)
		if !bytes.Equal(b, before) {
			t.Errorf("%s changed the body", method)
		}
		if game.KindOf(err) == game.Internal && err != nil {
			t.Errorf("%s of %x: %v", method, b, err)
		}
		if !found && (answer != nil || err != nil) || len(answer) > wire.LimitServer-1024 {
			t.Errorf("%s: %d bytes, %v, %v", method, len(answer), found, err)
		}
		totals, err := s.Points.Totals(t.Context())
		if err != nil || totals.Classes.Sum() != 0 {
			t.Errorf("sum %v, %v", totals.Classes.Sum(), err)
		}
	})
}
