package coretest

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/core"
	"github.com/kamado/kamado/game/entity"
	"github.com/kamado/kamado/internal/lock"
)

// Through is a core under test.
type Through struct {
	core.Core
	// Lose makes the answers to what is asked from now on get lost, after it was done; false ends that. nil: nothing can get lost.
	Lose func(lost bool)
}

// suite is one core under test, with the servers behind it.
type suite struct {
	*testing.T
	Through
	servers *Servers
}

// Run tests the promises. through gives the core of some servers.
func Run(t *testing.T, through func(t *testing.T, s *Servers) Through) {
	t.Helper()
	tests := map[string]struct {
		change func(*game.Config)
		do     func(*suite)
	}{
		"who has a credential, and why nobody has":          {nil, (*suite).credentials},
		"guests, passwords and refresh tokens sign in":      {nil, (*suite).signIns},
		"attempts are limited by the client's address":      {func(c *game.Config) { c.Identity.CreateBurst, c.Identity.CreateEvery = 2, time.Minute }, (*suite).limits},
		"a merged user stands for its winner":               {nil, (*suite).merges},
		"the same key gives the same posting":               {nil, (*suite).postings},
		"a reservation is shown as the ledger has it":       {nil, (*suite).reservations},
		"an account is shown as the ledger has it":          {nil, (*suite).accounts},
		"an order whose answer is lost is in doubt":         {nil, (*suite).doubt},
		"entities have versions, types and fences":          {nil, (*suite).entities},
		"entities are listed by page":                       {nil, (*suite).pages},
		"a lock is held by one, renewed and given back":     {nil, (*suite).locks},
		"the end of a context ends the wait":                {nil, (*suite).contexts},
		"what is nobody's and nothing's is said in one way": {nil, (*suite).nothing},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Open(t, test.change)
			test.do(&suite{t, through(t, s), s})
		})
	}
}

// wants checks the kind of an error, and that it is the one that the servers themselves give, where that is known.
func (s *suite) wants(err error, kind game.Kind, parts ...string) {
	s.Helper()
	var e *game.Error
	if !errors.As(err, &e) || e.Kind != kind {
		s.Errorf("error %v, want kind %v", err, kind)
		return
	}
	for _, p := range parts {
		if !strings.Contains(e.Detail, p) {
			s.Errorf("detail %q, want %q in it", e.Detail, p)
		}
	}
}

func (s *suite) ok(err error) {
	s.Helper()
	fine(s.T, err)
}

func (s *suite) credentials() {
	ctx, l := s.Context(), s.servers.Guest(s.T)
	p, err := s.Identity.Authenticate(ctx, l.Access)
	want, _ := s.servers.Identity.Authenticate(ctx, l.Access)
	if err != nil || p.Kind != game.ByUser || p.UID != l.UID || p.Session != l.Session || !p.Expires.Equal(want.Expires) || !p.MutedUntil.IsZero() {
		s.Errorf("Authenticate = %+v, %v; want %+v", p, err, want)
	}
	secret, err := s.servers.Identity.CreateService(ctx, "shop", game.ScopePoints|game.ScopeLocks)
	s.ok(err)
	if p, err := s.Identity.Authenticate(ctx, secret); err != nil || p.Kind != game.ByService || p.Service != "shop" || p.Scopes != game.ScopePoints|game.ScopeLocks {
		s.Errorf("service %+v, %v", p, err)
	}
	for _, bearer := range []string{"", "x", strings.Repeat("x", 10_000), secret + "x", l.Access[:len(l.Access)-3], "\xff\x00"} {
		_, want := s.servers.Identity.Authenticate(ctx, bearer)
		p, err := s.Identity.Authenticate(ctx, bearer)
		s.wants(err, game.Unauthenticated, want.Error())
		if p.Kind != game.Nobody {
			s.Errorf("%.20q is %+v", bearer, p)
		}
	}

	muted := s.servers.Guest(s.T)
	s.ok(s.servers.Identity.Mute(ctx, muted.UID, game.Restriction{Reason: "noise"}))
	if p, err := s.Identity.Authenticate(ctx, muted.Access); err != nil || !p.MutedUntil.Equal(game.MutedForever) {
		s.Errorf("muted %+v, %v", p, err)
	}
	banned := s.servers.Guest(s.T)
	s.ok(s.servers.Identity.Ban(ctx, banned.UID, game.Restriction{Reason: "cheats"}))
	_, err = s.Identity.Authenticate(ctx, banned.Access)
	s.wants(err, game.Unauthenticated, "banned")
	_, err = s.Identity.LoginGuest(ctx, banned.DeviceSecret, game.Client{})
	s.wants(err, game.Denied, "cheats")
	out := s.servers.Guest(s.T)
	s.ok(s.servers.Identity.SignOut(ctx, out.UID, out.Session))
	_, err = s.Identity.Authenticate(ctx, out.Access)
	s.wants(err, game.Unauthenticated, "ended")
	s.servers.Clock.Pass(time.Hour)
	_, err = s.Identity.Authenticate(ctx, l.Access)
	s.wants(err, game.Unauthenticated, "expired")
}

func (s *suite) signIns() {
	ctx, here := s.Context(), game.Client{Address: netip.MustParseAddr("192.0.2.7"), Agent: "test \xff agent"}
	made, err := s.Identity.CreateGuest(ctx, "", here)
	s.ok(err)
	if !made.Created || made.DeviceSecret == "" || made.Access == "" || made.Refresh == "" || made.AccessExpires.IsZero() {
		s.Errorf("made %+v", made)
	}
	again, err := s.Identity.LoginGuest(ctx, made.DeviceSecret, here)
	s.ok(err)
	if again.UID != made.UID || again.Created || again.DeviceSecret != "" || again.Session == made.Session {
		s.Errorf("again %+v", again)
	}
	next, err := s.Identity.Refresh(ctx, again.Refresh, here)
	s.ok(err)
	if next.Session != again.Session || next.Refresh == again.Refresh {
		s.Errorf("next %+v", next)
	}
	if _, err := s.Identity.Authenticate(ctx, next.Access); err != nil {
		s.Error(err)
	}
	_, err = s.Identity.Refresh(ctx, "made up", here)
	s.wants(err, game.Unauthenticated)
	_, err = s.Identity.LoginGuest(ctx, "short", here)
	s.wants(err, game.Invalid, "43 letters")
	if _, err := s.servers.Identity.CreatePassword(ctx, "ann@example.com", "a long password", here); err != nil {
		s.Fatal(err)
	}
	if _, err := s.Identity.LoginPassword(ctx, "ann@example.com", "a long password", here); err != nil {
		s.Error(err)
	}
	_, err = s.Identity.LoginPassword(ctx, "ann@example.com", "another password", here)
	s.wants(err, game.Unauthenticated)
	sessions, err := s.servers.Identity.Sessions(ctx, made.UID)
	if err != nil || len(sessions) != 2 || sessions[0].Client.Address != here.Address {
		s.Errorf("sessions %+v, %v", sessions, err)
	}
}

func (s *suite) limits() {
	here, there := game.Client{Address: netip.MustParseAddr("192.0.2.7")}, game.Client{Address: netip.MustParseAddr("2001:db8::1")}
	for range 2 {
		_, err := s.Identity.CreateGuest(s.Context(), "", here)
		s.ok(err)
	}
	_, err := s.Identity.CreateGuest(s.Context(), "", here)
	s.wants(err, game.Limited, "too many")
	var after game.RetryAfter
	if !errors.As(err, &after) || time.Duration(after) < time.Second || time.Duration(after) > time.Minute {
		s.Errorf("try again in %v", time.Duration(after))
	}
	for range 4 {
		_, err = s.Identity.CreateGuest(s.Context(), "", game.Client{}) // of no known address
		s.ok(err)
	}
	_, err = s.Identity.CreateGuest(s.Context(), "", there)
	s.ok(err)
}

func (s *suite) merges() {
	ctx, loser, winner, deleted := s.Context(), s.servers.Guest(s.T), s.servers.Guest(s.T), s.servers.Guest(s.T)
	uid, err := s.Identity.Canonical(ctx, winner.UID)
	if err != nil || uid != winner.UID {
		s.Errorf("Canonical = %v, %v", uid, err)
	}
	_, err = s.servers.Identity.Merge(ctx, winner.UID, loser.UID, func(context.Context, game.Merge) error { return nil })
	s.ok(err)
	if uid, err := s.Identity.Canonical(ctx, loser.UID); err != nil || uid != winner.UID {
		s.Errorf("Canonical of the loser = %v, %v; want %v", uid, err, winner.UID)
	}
	s.ok(s.servers.Identity.Delete(ctx, deleted.UID))
	_, err = s.Identity.Canonical(ctx, deleted.UID)
	s.wants(err, game.Conflict, "deleted")
	for _, uid := range []game.UID{0, 987_654, game.WorldUID, game.UIDMax + 1} {
		_, err = s.Identity.Canonical(ctx, uid)
		s.wants(err, game.NotFound, "no user")
	}
}

func (s *suite) postings() {
	ctx, a, b := s.Context(), s.servers.Guest(s.T).UID, s.servers.Guest(s.T).UID
	grant := game.Order{Op: game.OpGrant, Tx: "sshop:k ü/1?&", UID: a, Amount: 100, Kind: game.Paid, Expires: s.Points.Now().Add(time.Hour), Reason: "wörds <&> \"", By: "service shop"}
	first, err := s.Points.Post(ctx, &grant)
	s.ok(err)
	again, err := s.Points.Post(ctx, &grant)
	s.ok(err)
	there, err := s.servers.Points.Posting(ctx, grant.Tx)
	s.ok(err)
	if first.Again || !again.Again || !reflect.DeepEqual(first.Posting, again.Posting) || !reflect.DeepEqual(first.Posting, there) {
		s.Errorf("posting %+v, then %+v; the ledger has %+v", first.Posting, again.Posting, there)
	}
	if p, err := s.Points.Posting(ctx, grant.Tx); err != nil || !reflect.DeepEqual(p, there) {
		s.Errorf("Posting = %+v, %v", p, err)
	}
	other := grant
	other.Amount++
	_, err = s.Points.Post(ctx, &other)
	s.wants(err, game.Conflict)
	_, err = s.Points.Post(ctx, &game.Order{Op: game.OpSpend, Tx: "k2", UID: a, Amount: 101})
	s.wants(err, game.Insufficient)
	_, err = s.Points.Posting(ctx, "k2")
	s.wants(err, game.NotFound)
	moved, err := s.Points.Post(ctx, &game.Order{Op: game.OpTransfer, Tx: "k2", UID: a, To: b, Amount: 40})
	if err != nil || moved.Posting.Balance != 60 || moved.Posting.BalanceTo != 40 || moved.Posting.To != b {
		s.Errorf("transfer %+v, %v", moved.Posting, err)
	}
	for _, o := range []game.Order{
		{Op: game.OpSpend, Tx: "", UID: a, Amount: 1}, {Op: game.OpSpend, Tx: "\xff", UID: a, Amount: 1}, {Op: game.OpSpend, Tx: "k3", UID: a, Amount: -1},
		{Op: game.OpSpend, Tx: "k3", UID: 0, Amount: 1}, {Op: 77, Tx: "k3", UID: a, Amount: 1}, {Op: game.OpSpend, Tx: "k3", UID: a, Amount: 1, Reason: "\xff"},
		{Op: game.OpExpire, Tx: "k3", UID: a}, {Op: game.OpReserve, Tx: "k3", UID: a, Amount: 1},
	} {
		_, err = s.Points.Post(ctx, &o)
		s.wants(err, game.Invalid)
	}
	now, ledger := s.Points.Now(), s.servers.Points.Now()
	if d := ledger - now; d < -int64AsInstant(time.Minute) || d > int64AsInstant(time.Minute) {
		s.Errorf("the ledger's time is %v here, and %v there", now.Time(), ledger.Time())
	}
}

func int64AsInstant(d time.Duration) game.Instant { return game.Instant(d.Microseconds()) }

func (s *suite) reservations() {
	ctx, a := s.Context(), s.servers.Guest(s.T).UID
	s.servers.Grant(s.T, a, 50)
	held, err := s.Points.Post(ctx, &game.Order{Op: game.OpReserve, Tx: "h", UID: a, Amount: 30, Term: time.Minute})
	s.ok(err)
	id := held.Posting.Hold
	same := func(state game.HoldState) {
		s.Helper()
		got, err := s.Points.Reservation(ctx, id)
		s.ok(err)
		want, err := s.servers.Points.Reservation(ctx, id)
		s.ok(err)
		if !reflect.DeepEqual(got, want) || got.State != state {
			s.Errorf("reservation %+v, the ledger has %+v, want %v", got, want, state)
		}
	}
	same(game.HoldOpen)
	_, err = s.Points.Post(ctx, &game.Order{Op: game.OpConfirm, Tx: "c", Hold: id, UID: a + 1})
	s.wants(err, game.NotFound)
	done, err := s.Points.Post(ctx, &game.Order{Op: game.OpConfirm, Tx: "c", Hold: id, UID: a, Amount: 10})
	if err != nil || done.Posting.Amount != 10 || done.Posting.Balance != 40 {
		s.Errorf("confirm %+v, %v", done.Posting, err)
	}
	same(game.HoldConfirmed)
	_, err = s.Points.Post(ctx, &game.Order{Op: game.OpCancel, Tx: "d", Hold: id})
	s.wants(err, game.Conflict)
	for _, id := range []uint64{0, 987_654, 1 << 63} {
		_, err = s.Points.Reservation(ctx, id)
		s.wants(err, game.NotFound)
	}
}

func (s *suite) accounts() {
	ctx, a := s.Context(), s.servers.Guest(s.T).UID
	for i, o := range []game.Order{
		{Op: game.OpGrant, UID: a, Amount: 50, Kind: game.Paid}, {Op: game.OpGrant, UID: a, Amount: 30, Expires: s.servers.Points.Now().Add(time.Hour)},
		{Op: game.OpReserve, UID: a, Amount: 40, Term: time.Hour},
	} {
		o.Tx = string(rune('a' + i))
		_, err := s.Points.Post(ctx, &o)
		s.ok(err)
	}
	got, err := s.Points.Account(ctx, a)
	s.ok(err)
	want, err := s.servers.Points.Account(ctx, a)
	s.ok(err)
	now := s.servers.Points.Now()
	if got.UID != want.UID || got.Seq != want.Seq || got.Debt != want.Debt || !reflect.DeepEqual(got.Lots, want.Lots) || !reflect.DeepEqual(got.Holds, want.Holds) {
		s.Errorf("account %+v, the ledger has %+v", got, want)
	}
	if got.Balance(now) != 40 || got.Held(now) != 40 || got.At(now).Balance(now) != 40 {
		s.Errorf("balance %v, held %v", got.Balance(now), got.Held(now))
	}
	none, err := s.Points.Account(ctx, 987_654)
	if err != nil || none.Balance(now) != 0 || none.UID != 987_654 {
		s.Errorf("of nobody %+v, %v", none, err)
	}
}

func (s *suite) doubt() {
	if s.Lose == nil {
		s.Skip("no answer can get lost within one process")
	}
	ctx, a := s.Context(), s.servers.Guest(s.T).UID
	s.servers.Grant(s.T, a, 50)
	order := game.Order{Op: game.OpSpend, Tx: "lost", UID: a, Amount: 5}
	s.Lose(true)
	_, err := s.Points.Post(ctx, &order)
	s.wants(err, game.Unavailable)
	inDoubt := func(what string, err error, want bool) {
		s.Helper()
		var e *game.Error
		if !errors.As(err, &e) || e.Doubt != want {
			s.Errorf("%s: error %+v, want doubt %v", what, err, want)
		}
	}
	inDoubt("spend", err, true)
	_, err = s.Entities.Put(ctx, entity.Write{UID: a, Name: "x", Value: []byte("v"), Base: entity.AnyBase})
	inDoubt("put", err, true)
	_, err = s.Identity.CreateGuest(ctx, "", game.Client{})
	inDoubt("guest", err, true)
	_, err = s.Entities.Get(ctx, a, "x")
	inDoubt("get", err, false)
	if _, err := s.Locks.Acquire(ctx, "lost", "me", time.Second); !errors.Is(err, lock.ErrAway) {
		s.Errorf("a lock whose answer is lost: %v, want ErrAway", err)
	}
	s.wants(core.LockTold(err), game.Unavailable)
	s.Lose(false)
	if got, err := s.Points.Post(ctx, &order); err != nil || !got.Again || got.Posting.Balance != 45 {
		s.Errorf("the same order again: %+v, %v", got, err)
	}
	if e, err := s.Entities.Get(ctx, a, "x"); err != nil || string(e.Value) != "v" {
		s.Errorf("entity %+v, %v", e, err)
	}
}

func (s *suite) entities() {
	ctx, a := s.Context(), s.servers.Guest(s.T).UID
	value := []byte("\x00\xff bytes\n")
	v1, err := s.Entities.Put(ctx, entity.Write{UID: a, Name: "avatar", Value: value, Type: "application/octet-stream", Fence: 7})
	s.ok(err)
	got, err := s.Entities.Get(ctx, a, "avatar")
	want := game.StoredEntity{UID: a, Name: "avatar", Value: value, Type: "application/octet-stream", Version: v1, Fence: 7}
	if err != nil || !reflect.DeepEqual(got, want) {
		s.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for _, w := range []entity.Write{
		{Base: entity.Base{}, Fence: 7},                // it is there
		{Base: entity.Base{Version: v1 + 5}, Fence: 7}, // another version
		{Base: entity.AnyBase, Fence: 6},               // an older grant of the lock
		{Base: entity.AnyBase},                         // no lock at all
	} {
		w.UID, w.Name, w.Value = a, "avatar", []byte("late")
		_, err = s.Entities.Put(ctx, w)
		s.wants(err, game.Conflict)
	}
	v2, err := s.Entities.Put(ctx, entity.Write{UID: a, Name: "avatar", Value: nil, Base: entity.Base{Version: v1}, Fence: 8})
	if err != nil || v2 <= v1 {
		s.Errorf("version %d after %d, %v", v2, v1, err)
	}
	if got, err = s.Entities.Get(ctx, a, "avatar"); err != nil || len(got.Value) != 0 || got.Type != "" || got.Fence != 8 {
		s.Errorf("got %+v, %v", got, err)
	}
	_, err = s.Entities.Put(ctx, entity.Write{UID: a, Name: "avatar", Delete: true, Base: entity.Base{Version: v2}, Fence: 8})
	s.ok(err)
	_, err = s.Entities.Get(ctx, a, "avatar")
	s.wants(err, game.NotFound, "no entity avatar")
	_, err = s.Entities.Put(ctx, entity.Write{UID: a, Name: "avatar", Delete: true, Base: entity.AnyBase, Fence: 8})
	s.wants(err, game.NotFound)
	_, err = s.Entities.Put(ctx, entity.Write{UID: a, Name: "avatar", Value: []byte("late"), Base: entity.AnyBase, Fence: 7}) // the fence outlives it
	s.wants(err, game.Conflict)
	_, err = s.Entities.Put(ctx, entity.Write{UID: a, Name: "big", Value: make([]byte, EntityBytesMax+1), Base: entity.AnyBase})
	s.wants(err, game.TooLarge)
	for _, name := range []string{"", "a/b", ".", "ü", strings.Repeat("n", 200)} {
		_, err = s.Entities.Put(ctx, entity.Write{UID: a, Name: name, Base: entity.AnyBase})
		s.wants(err, game.Invalid)
	}
	if _, err := s.Entities.Put(ctx, entity.Write{UID: game.WorldUID, Name: "area.plaza.1", Value: value, Base: entity.AnyBase}); err != nil {
		s.Errorf("an entity of the world: %v", err)
	}
	if _, err := s.Entities.Put(ctx, entity.Write{UID: a, Name: game.OwnedPrefix + "hats", Value: value}); err != nil {
		s.Errorf("what a user owns: %v", err)
	}
}

func (s *suite) pages() {
	ctx, a := s.Context(), s.servers.Guest(s.T).UID
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		_, err := s.Entities.Put(ctx, entity.Write{UID: a, Name: name, Value: []byte(name), Type: "t/" + name})
		s.ok(err)
	}
	var names []string
	for after, pages := "", 0; ; pages++ {
		list, next, err := s.Entities.List(ctx, a, after, 2)
		s.ok(err)
		for _, e := range list {
			if string(e.Value) != e.Name || e.Type != "t/"+e.Name || e.UID != a || e.Version == 0 {
				s.Errorf("entity %+v", e)
			}
			names = append(names, e.Name)
		}
		if after = next; next == "" {
			break
		}
		if pages > 5 {
			s.Fatal("pages without end")
		}
	}
	if strings.Join(names, "") != "abcde" {
		s.Errorf("names %v", names)
	}
}

func (s *suite) locks() {
	ctx := s.Context()
	const name = "area/plaza 1 ü%2f"
	first, err := s.Locks.Acquire(ctx, name, "node a", 2345*time.Millisecond)
	s.ok(err)
	if first.Token == 0 || first.Session == "" || first.Term != 2345*time.Millisecond || first.Name != name || first.Holder != "node a" {
		s.Errorf("grant %+v", first)
	}
	_, err = s.Locks.Acquire(ctx, name, "node b", time.Second)
	var held *lock.HeldError
	if !errors.Is(err, lock.ErrHeld) || !errors.As(err, &held) || held.Holder != "node a" || held.Name != name {
		s.Errorf("a held lock: %v", err)
	}
	s.wants(core.LockTold(err), game.Conflict, "held by node a")
	renewed, err := s.Locks.Renew(ctx, name, first.Token, first.Session)
	if err != nil || renewed.Token != first.Token || renewed.Term != first.Term || renewed.Session != first.Session {
		s.Errorf("renewed %+v, %v", renewed, err)
	}
	_, err = s.Locks.Renew(ctx, name, first.Token, "not it")
	if !errors.Is(err, lock.ErrLost) {
		s.Errorf("another session: %v, want ErrLost", err)
	}
	s.wants(core.LockTold(err), game.Conflict, "over")
	if st, err := s.Locks.Look(ctx, name); err != nil || !st.Held || st.Holder != "node a" || st.Token != first.Token || st.Name != name || st.Term != first.Term {
		s.Errorf("status %+v, %v", st, err)
	}
	if list, err := s.Locks.List(ctx, "area/", "", 10); err != nil || len(list) != 1 || list[0].Name != name || list[0].Token != first.Token {
		s.Errorf("locks %+v, %v", list, err)
	}
	s.ok(s.Locks.Release(ctx, name, first.Token, first.Session))
	second, err := s.Locks.Acquire(ctx, name, "node b", time.Second)
	if err != nil || second.Token <= first.Token {
		s.Errorf("token %d after %d, %v", second.Token, first.Token, err)
	}
	if err := s.Locks.Release(ctx, name, second.Token, first.Session); !errors.Is(err, lock.ErrLost) {
		s.Errorf("a release with another session: %v", err)
	}
	for _, bad := range []struct {
		name, holder string
		term         time.Duration
	}{{"", "h", time.Second}, {"n", "", time.Second}, {"n", "h", time.Millisecond}, {"n", "h", 48 * time.Hour}, {"\xff", "h", time.Second}, {strings.Repeat("n", 300), "h", time.Second}} {
		if _, err := s.Locks.Acquire(ctx, bad.name, bad.holder, bad.term); !errors.Is(err, lock.ErrInvalid) {
			s.Errorf("%.20q, %q, %v: %v, want ErrInvalid", bad.name, bad.holder, bad.term, err)
		}
	}
	if _, err := s.Locks.List(ctx, "", "", 0); !errors.Is(err, lock.ErrInvalid) {
		s.Errorf("a page of nothing: %v", err)
	}
}

func (s *suite) contexts() {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	a := s.servers.Guest(s.T).UID
	_, err := s.Points.Post(ctx, &game.Order{Op: game.OpGrant, Tx: "k", UID: a, Amount: 1})
	s.wants(err, game.Unavailable)
	again, err := s.Points.Post(s.Context(), &game.Order{Op: game.OpGrant, Tx: "k", UID: a, Amount: 1})
	if err != nil || again.Posting.Balance != 1 { // whether or not the first one happened
		s.Errorf("again %+v, %v", again, err)
	}
}

func (s *suite) nothing() {
	ctx := s.Context()
	if st, err := s.Locks.Look(ctx, "never locked"); err != nil || st.Held || st.Token != 0 {
		s.Errorf("status %+v, %v", st, err)
	}
	a := s.servers.Guest(s.T).UID
	_, err := s.Entities.Get(ctx, a, "none")
	s.wants(err, game.NotFound)
	list, next, err := s.Entities.List(ctx, a, "", 10)
	if err != nil || len(list) != 0 || next != "" {
		s.Errorf("entities %+v, %q, %v", list, next, err)
	}
	_, err = s.Points.Posting(ctx, "none")
	s.wants(err, game.NotFound)
	_, err = s.Identity.LoginGuest(ctx, strings.Repeat("A", 43), game.Client{})
	s.wants(err, game.Unauthenticated, "no user has that secret")
}
