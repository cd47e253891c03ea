package identitytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/identity"
)

func guests(t *testing.T, w *World) {
	s := w.Open(Noon)
	a := guest(t, s)
	if !a.Created || a.UID == 0 || a.DeviceSecret == "" || a.AccessExpires.Sub(Noon) != w.Config.AccessLife {
		t.Errorf("CreateGuest = %+v", a)
	}
	believed(t, s, a, true, "a new guest")
	b := must[game.Login](t)(s.LoginGuest(t.Context(), a.DeviceSecret, here(2)))
	if b.UID != a.UID || b.Created || b.DeviceSecret != "" || b.Session == a.Session {
		t.Errorf("LoginGuest = %+v, want user %v again", b, a.UID)
	}
	mine := strings.Repeat("A", 43)
	c := must[game.Login](t)(s.CreateGuest(t.Context(), mine, here(1)))
	if d := must[game.Login](t)(s.CreateGuest(t.Context(), mine, here(1))); d.UID != c.UID || !c.Created || d.Created {
		t.Errorf("the same secret gives users %v and %v", c.UID, d.UID)
	}
	_, err := s.LoginGuest(t.Context(), strings.Repeat("B", 42)+"A", here(1))
	wants(t, err, game.Unauthenticated, "sign-in with a secret that nobody has")
	for _, bad := range []string{"short", strings.Repeat("A", 44), strings.Repeat("!", 43), strings.Repeat("A", 42) + "\n"} {
		_, err = s.CreateGuest(t.Context(), bad, here(1))
		wants(t, err, game.Invalid, "a guest with a bad secret")
	}
	u := must[game.User](t)(s.User(t.Context(), a.UID))
	if !u.Guest() || !u.Live() || len(u.Identities) != 1 || strings.Contains(fmt.Sprint(u), a.DeviceSecret) || !u.Created.Equal(Noon) {
		t.Errorf("User = %+v", u)
	}
	_, err = s.User(t.Context(), 99999)
	wants(t, err, game.NotFound, "an unknown user")
	if c := must[game.UID](t)(s.Canonical(t.Context(), a.UID)); c != a.UID {
		t.Errorf("Canonical(%v) = %v", a.UID, c)
	}
	_, err = s.Canonical(t.Context(), 99999)
	wants(t, err, game.NotFound, "an unknown user")
}

func passwords(t *testing.T, w *World) {
	s := w.Open(Noon)
	a := account(t, s, " Ann@Example.ORG ")
	for _, email := range []string{"ann@example.org", "ANN@EXAMPLE.ORG"} {
		if l := must[game.Login](t)(s.LoginPassword(t.Context(), email, password, here(1))); l.UID != a.UID || l.Created {
			t.Errorf("LoginPassword(%s) = %+v, want user %v", email, l, a.UID)
		}
	}
	_, wrong := s.LoginPassword(t.Context(), "ann@example.org", "wrong horse battery", here(1))
	wants(t, wrong, game.Unauthenticated, "a wrong password")
	_, unknown := s.LoginPassword(t.Context(), "bob@example.org", password, here(1))
	wants(t, unknown, game.Unauthenticated, "an unknown address")
	if wrong.Error() != unknown.Error() {
		t.Errorf("a wrong password says %q, an unknown address %q", wrong, unknown)
	}
	_, err := s.CreatePassword(t.Context(), "ann@example.org", "another password", here(1))
	wants(t, err, game.Conflict, "a second user of an address")
	must[game.Login](t)(s.LoginPassword(t.Context(), "ann@example.org", password, here(1))) // it did not change
	_, err = s.CreatePassword(t.Context(), "eve@example.org", "short", here(1))
	wants(t, err, game.Invalid, "a short password")
	_, err = s.CreatePassword(t.Context(), "no address", password, here(1))
	wants(t, err, game.Invalid, "no address")
}

func rehash(t *testing.T, w *World) {
	db := w.place(t)
	old := w.OpenOn(db, Noon)
	a := account(t, old, "ann@example.org")
	before := hashOf(t, db, a.UID)
	w.Config.PasswordMemory = 128
	s := w.OpenOn(db, Noon)
	_, err := s.LoginPassword(t.Context(), "ann@example.org", "wrong horse battery", here(1))
	wants(t, err, game.Unauthenticated, "a wrong password")
	if hashOf(t, db, a.UID) != before {
		t.Error("a wrong password changed the hash")
	}
	for range 2 {
		must[game.Login](t)(s.LoginPassword(t.Context(), "ann@example.org", password, here(1)))
	}
	if after := hashOf(t, db, a.UID); !strings.Contains(before, "m=64,") || !strings.Contains(after, "m=128,") {
		t.Errorf("the hash was %.40s and is %.40s", before, after)
	}
}

func google(subject string) game.Pair { return game.Pair{Provider: "google", Subject: subject} }

func pairs(t *testing.T, w *World) {
	s := w.Open(Noon)
	a := must[game.Login](t)(s.LoginPair(t.Context(), google("a"), here(1)))
	b := guest(t, s)
	_, err := s.Link(t.Context(), b.UID, google("a"))
	wants(t, err, game.Conflict, "to link another user's pair")
	must[game.User](t)(s.Link(t.Context(), a.UID, google("a2")))
	must[game.User](t)(s.Link(t.Context(), a.UID, google("a2"))) // twice is once
	u := must[game.User](t)(s.Unlink(t.Context(), a.UID, google("a")))
	if len(u.Identities) != 1 || u.Identities[0].Pair != google("a2") {
		t.Errorf("after Unlink: %+v", u.Identities)
	}
	_, err = s.LoginPair(t.Context(), google("a"), here(1))
	wants(t, err, game.Denied, "a sign-in with an unlinked pair")
	_, err = s.Link(t.Context(), b.UID, google("a"))
	wants(t, err, game.Conflict, "to link a pair that was another user's")
	must[game.User](t)(s.Link(t.Context(), a.UID, google("a")))
	if l := must[game.Login](t)(s.LoginPair(t.Context(), google("a"), here(1))); l.UID != a.UID || l.Created {
		t.Errorf("the pair signs in %+v, want user %v", l, a.UID)
	}
	// The parts of a pair are kept apart.
	if l := must[game.Login](t)(s.LoginPair(t.Context(), game.Pair{Provider: "googlea", Subject: "2"}, here(1))); !l.Created {
		t.Errorf("another pair is user %v", l.UID)
	}
	for _, bad := range []game.Pair{{Provider: "guest", Subject: "x"}, {Provider: "password", Subject: "x@example.org"}, {Provider: "Google", Subject: "x"}, google(""), google("a\x00b")} {
		_, err := s.LoginPair(t.Context(), bad, here(1))
		wants(t, err, game.Invalid, fmt.Sprintf("a sign-in with %q", bad))
		_, err = s.Link(t.Context(), b.UID, bad)
		wants(t, err, game.Invalid, fmt.Sprintf("to link %q", bad))
	}
	for i := range game.IdentitiesMax - 1 {
		must[game.User](t)(s.Link(t.Context(), b.UID, google(fmt.Sprint("many", i))))
	}
	_, err = s.Link(t.Context(), b.UID, google("too many"))
	wants(t, err, game.Conflict, "one identity too many")
}

func lastIdentity(t *testing.T, w *World) {
	s := w.Open(Noon)
	a := account(t, s, "ann@example.org")
	email := game.Pair{Provider: game.ProviderPassword, Subject: "Ann@example.org"}
	_, err := s.Unlink(t.Context(), a.UID, email)
	wants(t, err, game.Conflict, "to unlink the last identity")
	_, err = s.Unlink(t.Context(), a.UID, google("x"))
	wants(t, err, game.NotFound, "to unlink what is not linked")
	must[game.User](t)(s.Link(t.Context(), a.UID, google("a")))
	must[game.User](t)(s.Unlink(t.Context(), a.UID, email))
	_, err = s.LoginPassword(t.Context(), "ann@example.org", password, here(1))
	wants(t, err, game.Unauthenticated, "an unlinked password")
	_, err = s.CreatePassword(t.Context(), "ann@example.org", password, here(1))
	if k := game.KindOf(err); k != game.Denied {
		t.Errorf("an unlinked address makes a user: %v", err)
	}
	must[game.User](t)(s.LinkPassword(t.Context(), a.UID, "ann@example.org", "a new password"))
	must[game.Login](t)(s.LoginPassword(t.Context(), "ann@example.org", "a new password", here(1)))
}

func upgrade(t *testing.T, w *World) {
	s := w.Open(Noon)
	g := guest(t, s)
	u := must[game.User](t)(s.LinkPassword(t.Context(), g.UID, "ann@example.org", password))
	if u.Guest() || u.UID != g.UID || len(u.Identities) != 2 {
		t.Errorf("after an upgrade: %+v", u)
	}
	if l := must[game.Login](t)(s.LoginPassword(t.Context(), "ann@example.org", password, here(1))); l.UID != g.UID {
		t.Errorf("the password signs in user %v, want %v", l.UID, g.UID)
	}
	believed(t, s, g, true, "after an upgrade")
	_, err := s.LinkPassword(t.Context(), g.UID, "ann2@example.org", password)
	wants(t, err, game.Conflict, "a second address")
	_, err = s.LinkPassword(t.Context(), g.UID, "ann@example.org", "another password")
	wants(t, err, game.Conflict, "the same address again")
	_, err = s.LinkPassword(t.Context(), guest(t, s).UID, "ann@example.org", password)
	wants(t, err, game.Conflict, "another user's address")
}

func listing(t *testing.T, w *World) {
	s := w.Open(Noon)
	var all []game.UID
	for i := range 7 {
		all = append(all, must[game.Login](t)(s.LoginPair(t.Context(), google(fmt.Sprintf("sub-%d", i)), here(1))).UID)
	}
	g := guest(t, s)
	var got []game.UID
	pages := 0
	for after := game.UID(0); ; pages++ {
		users, next, err := s.Users(t.Context(), identity.Page{After: after, Limit: 3})
		ok(t, err)
		for _, u := range users {
			got = append(got, u.UID)
		}
		if next == 0 {
			break
		}
		after = next
	}
	if !slices.Equal(got, append(slices.Clone(all), g.UID)) || pages != 2 {
		t.Errorf("pages give %v, want %v", got, all)
	}
	for _, c := range []struct {
		page identity.Page
		want int
	}{
		{identity.Page{Provider: "google"}, 7},
		{identity.Page{Provider: "guest"}, 1},
		{identity.Page{Subject: "sub-3"}, 1},
		{identity.Page{Subject: "sub-"}, 0},
		{identity.Page{Subject: "sub-", Prefix: true}, 7},
		{identity.Page{Provider: "guest", Subject: "sub-3"}, 0},
		{identity.Page{Subject: "%", Prefix: true}, 0},
	} {
		users, _, err := s.Users(t.Context(), c.page)
		if err != nil || len(users) != c.want {
			t.Errorf("Users(%+v) = %d users, %v, want %d", c.page, len(users), err, c.want)
		}
	}
	_, _, err := s.Users(t.Context(), identity.Page{Limit: 501})
	wants(t, err, game.Invalid, "a large page")
	_, _, err = s.Users(t.Context(), identity.Page{Subject: "a\x00"})
	wants(t, err, game.Invalid, "a subject that cannot be")
}

func bans(t *testing.T, w *World) {
	s := w.Open(Noon)
	a := account(t, s, "ann@example.org")
	ok(t, s.Ban(t.Context(), a.UID, game.Restriction{Until: Noon.Add(time.Hour), Reason: "spam"}))
	believed(t, s, a, false, "banned")
	if _, err := s.Authenticate(t.Context(), a.Access); err == nil || !strings.Contains(err.Error(), "banned") {
		t.Errorf("Authenticate of a banned user = %v", err)
	}
	_, err := s.Refresh(t.Context(), a.Refresh, here(1))
	wants(t, err, game.Unauthenticated, "to refresh when banned")
	_, err = s.LoginPassword(t.Context(), "ann@example.org", password, here(1))
	wants(t, err, game.Denied, "a sign-in when banned")
	if !strings.Contains(err.Error(), "spam") {
		t.Errorf("the reason is not told: %v", err)
	}
	s.Clock.Pass(time.Hour)
	b := must[game.Login](t)(s.LoginPassword(t.Context(), "ann@example.org", password, here(1)))
	believed(t, s, b, true, "after the ban")
	believed(t, s, a, false, "a token of before the ban")
	ok(t, s.Ban(t.Context(), a.UID, game.Restriction{Reason: "again"}))
	s.Clock.Pass(10000 * time.Hour)
	_, err = s.LoginPassword(t.Context(), "ann@example.org", password, here(1))
	wants(t, err, game.Denied, "a sign-in when banned without end")
	ok(t, s.Unban(t.Context(), a.UID))
	must[game.Login](t)(s.LoginPassword(t.Context(), "ann@example.org", password, here(1)))
	wants(t, s.Ban(t.Context(), 9999, game.Restriction{}), game.NotFound, "to ban nobody")
	wants(t, s.Ban(t.Context(), a.UID, game.Restriction{Until: Noon}), game.Invalid, "a ban that is over")
}

func mutes(t *testing.T, w *World) {
	s := w.Open(Noon)
	a := guest(t, s)
	muted := func(l game.Login) time.Time {
		t.Helper()
		return must[game.Principal](t)(s.Authenticate(t.Context(), l.Access)).MutedUntil
	}
	if !muted(a).IsZero() {
		t.Error("a new user is muted")
	}
	until := Noon.Add(5 * time.Minute)
	ok(t, s.Mute(t.Context(), a.UID, game.Restriction{Until: until}))
	if got := muted(a); !got.Equal(until) {
		t.Errorf("muted until %v, want %v", got, until)
	}
	b := must[game.Login](t)(s.LoginGuest(t.Context(), a.DeviceSecret, here(1)))
	fresh := w.Open(Noon) // it has read the token only, not the mute, when the notices are gone
	if got := must[game.Principal](t)(fresh.Authenticate(t.Context(), b.Access)).MutedUntil; !got.Equal(until) {
		t.Errorf("a new token says muted until %v, want %v", got, until)
	}
	s.Clock.Pass(5 * time.Minute)
	if !muted(a).IsZero() {
		t.Error("the mute does not end")
	}
	ok(t, s.Mute(t.Context(), a.UID, game.Restriction{}))
	if got := muted(a); !got.Equal(game.MutedForever) {
		t.Errorf("muted until %v, want for ever", got)
	}
	c := must[game.Login](t)(s.LoginGuest(t.Context(), a.DeviceSecret, here(1)))
	ok(t, s.Unmute(t.Context(), a.UID))
	if !muted(c).IsZero() {
		t.Error("a token of the mute outlives it")
	}
}

func deletion(t *testing.T, w *World) {
	db := w.place(t)
	s := w.OpenOn(db, Noon)
	a := account(t, s, "ann@example.org")
	must[game.User](t)(s.Link(t.Context(), a.UID, google("a")))
	must[game.UID](t)(s.Canonical(t.Context(), a.UID)) // it is remembered
	ok(t, s.Delete(t.Context(), a.UID))
	ok(t, s.Delete(t.Context(), a.UID))
	believed(t, s, a, false, "deleted")
	_, err := s.Canonical(t.Context(), a.UID)
	wants(t, err, game.Conflict, "the UID of a deleted user")
	_, err = s.LoginPassword(t.Context(), "ann@example.org", password, here(1))
	wants(t, err, game.Unauthenticated, "a deleted user's password")
	_, err = s.LoginPair(t.Context(), google("a"), here(1))
	wants(t, err, game.Denied, "a deleted user's pair")
	_, err = s.Link(t.Context(), guest(t, s).UID, google("a"))
	wants(t, err, game.Conflict, "to link a deleted user's pair")
	wants(t, s.Ban(t.Context(), a.UID, game.Restriction{}), game.Conflict, "to ban a deleted user")
	u := must[game.User](t)(s.User(t.Context(), a.UID))
	if u.Live() || len(u.Identities) != 0 {
		t.Errorf("User = %+v", u)
	}
	if n := countRows(t, db, "SELECT COUNT(*) FROM identity_pairs WHERE subject LIKE '%ann@%'"); n != 0 {
		t.Errorf("%d rows still say who it was", n)
	}
}

func merge(t *testing.T, w *World) {
	s := w.Open(Noon)
	a, g := account(t, s, "ann@example.org"), guest(t, s)
	must[game.UID](t)(s.Canonical(t.Context(), g.UID))
	crash := errors.New("crash")
	ctx := t.Context()
	calls := 0
	_, err := s.Merge(ctx, a.UID, g.UID, func(context.Context, game.Merge) error { calls++; return crash })
	if !errors.Is(err, crash) || calls != 1 {
		t.Fatalf("Merge = %v after %d calls", err, calls)
	}
	believed(t, s, g, false, "a merged guest")
	if c := must[game.UID](t)(s.Canonical(ctx, g.UID)); c != a.UID {
		t.Errorf("Canonical = %v, want %v", c, a.UID)
	}
	if l := must[game.Login](t)(s.LoginGuest(ctx, g.DeviceSecret, here(1))); l.UID != a.UID {
		t.Errorf("the guest's secret signs in user %v, want %v", l.UID, a.UID)
	}
	wants(t, s.Delete(ctx, a.UID), game.Conflict, "to delete the winner meanwhile")
	// Another process, after a crash.
	after := w.Open(Noon.Add(time.Minute))
	open := must[[]game.Merge](t)(after.MergesOpen(ctx))
	if len(open) != 1 || open[0].Loser != g.UID || open[0].Winner != a.UID || open[0].State != game.MergeBegun {
		t.Fatalf("open merges = %+v", open)
	}
	var moved []game.Merge
	mover := func(_ context.Context, m game.Merge) error { moved = append(moved, m); return nil }
	ok(t, after.ResumeMerges(ctx, mover))
	ok(t, after.ResumeMerges(ctx, mover))
	if len(moved) != 1 || moved[0].Loser != g.UID || len(must[[]game.Merge](t)(after.MergesOpen(ctx))) != 0 {
		t.Errorf("moved %+v", moved)
	}
	m := must[game.Merge](t)(after.Merge(ctx, a.UID, g.UID, mover))
	if m.State != game.MergeDone || len(moved) != 1 {
		t.Errorf("the same merge again = %+v, moved %d times", m, len(moved))
	}
	// A chain: the winner is a guest that becomes the past of another user.
	x, y := guest(t, after), guest(t, after)
	must[game.Merge](t)(after.Merge(ctx, y.UID, x.UID, mover))
	must[game.Merge](t)(after.Merge(ctx, a.UID, y.UID, mover))
	if c := must[game.UID](t)(after.Canonical(ctx, x.UID)); c != a.UID {
		t.Errorf("Canonical of a chain = %v, want %v", c, a.UID)
	}
}

func badMerges(t *testing.T, w *World) {
	s := w.Open(Noon)
	a, b, g, h := account(t, s, "ann@example.org"), account(t, s, "bob@example.org"), guest(t, s), guest(t, s)
	mover := func(context.Context, game.Merge) error { return nil }
	try := func(winner, loser game.UID, kind game.Kind, doing string) {
		t.Helper()
		_, err := s.Merge(t.Context(), winner, loser, mover)
		wants(t, err, kind, doing)
	}
	try(a.UID, a.UID, game.Invalid, "to merge a user into itself")
	try(a.UID, b.UID, game.Conflict, "to merge an account")
	try(a.UID, 9999, game.NotFound, "to merge nobody")
	try(9999, g.UID, game.NotFound, "to merge into nobody")
	ok(t, s.Ban(t.Context(), g.UID, game.Restriction{}))
	try(a.UID, g.UID, game.Denied, "to merge a banned guest")
	ok(t, s.Unban(t.Context(), g.UID))
	must[game.Merge](t)(s.Merge(t.Context(), a.UID, g.UID, mover))
	try(b.UID, g.UID, game.Conflict, "to merge a guest twice")
	try(g.UID, h.UID, game.Conflict, "to merge into a merged user")
	must[game.Login](t)(s.LoginGuest(t.Context(), h.DeviceSecret, here(1))) // nothing happened to it
}

func uids(t *testing.T, w *World) {
	seen := map[game.UID]bool{}
	take := func(s *Server, n int) (last game.UID) {
		for range n {
			l := guest(t, s)
			if seen[l.UID] {
				t.Fatalf("user id %v was given twice", l.UID)
			}
			seen[l.UID], last = true, l.UID
		}
		return last
	}
	first := w.Open(Noon)
	take(first, 3)
	second := w.Open(Noon.Add(-time.Hour)) // the first one crashed, the clock went back an hour, the name is the same
	last := take(second, 150)              // more than one block
	most := must[game.UID](t)(second.AdvanceUIDs(t.Context(), last+1000))
	if most != last+1000 {
		t.Errorf("AdvanceUIDs = %v, want %v", most, last+1000)
	}
	if got := take(second, 1); got <= most {
		t.Errorf("after AdvanceUIDs the next one is %v, want more than %v", got, most)
	}
	if got := take(first, 1); got <= most {
		t.Errorf("a server with an old block gives %v, want more than %v", got, most)
	}
	most = must[game.UID](t)(second.AdvanceUIDs(t.Context(), 0))
	if got := take(first, 1); got <= most || most < identity.RestoreMargin {
		t.Errorf("after AdvanceUIDs(0) = %v the next one is %v", most, got)
	}
	most = must[game.UID](t)(second.AdvanceUIDs(t.Context(), 1)) // never back
	if got := take(second, 1); got <= most || most < identity.RestoreMargin {
		t.Errorf("after AdvanceUIDs(1) = %v the next one is %v", most, got)
	}
	_, err := second.AdvanceUIDs(t.Context(), game.UIDMax)
	wants(t, err, game.Invalid, "to leave no UID")
}
