package game_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
)

var someDay = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func withPairs(uid game.UID, pairs ...game.Pair) game.User {
	u := game.User{UID: uid, Created: someDay}
	for _, p := range pairs {
		u.Identities = append(u.Identities, game.Identity{Pair: p, Linked: someDay})
	}
	return u
}

var (
	aGuest = game.Pair{Provider: game.ProviderGuest, Subject: "x"}
	anMail = game.Pair{Provider: game.ProviderPassword, Subject: "ann@example.org"}
	google = game.Pair{Provider: "google", Subject: "1"}
)

// kindOf names the kind of an error, "" for none.
func kindOf(err error) string {
	if err == nil {
		return ""
	}
	return game.KindOf(err).String()
}

func TestRestriction(t *testing.T) {
	t.Parallel()
	hour := &game.Restriction{Until: someDay.Add(time.Hour)}
	for _, c := range []struct {
		name string
		r    *game.Restriction
		at   time.Duration
		want bool
	}{
		{"none", nil, 0, false},
		{"a moment before its end", hour, time.Hour - 1, true},
		{"at its end", hour, time.Hour, false},
		{"one without end", &game.Restriction{}, 1e6 * time.Hour, true},
	} {
		if got := c.r.InForce(someDay.Add(c.at)); got != c.want {
			t.Errorf("%s: InForce = %v", c.name, got)
		}
	}
	for want, r := range map[string]game.Restriction{"": *hour, "invalid": {Until: someDay}} {
		if got := kindOf(r.Check(someDay)); got != want {
			t.Errorf("Check(%+v) = %q, want %q", r, got, want)
		}
	}
	if got := kindOf(game.Restriction{Reason: strings.Repeat("x", game.ReasonBytesMax+1)}.Check(someDay)); got != "invalid" {
		t.Errorf("a long reason: %q", got)
	}
}

func TestCheckMerge(t *testing.T) {
	t.Parallel()
	account, guest := withPairs(1, anMail), withPairs(2, aGuest)
	change := func(u game.User, fn func(*game.User)) game.User { fn(&u); return u }
	ban := func(u *game.User) { u.Ban = &game.Restriction{} }
	for _, c := range []struct {
		name          string
		winner, loser game.User
		want          string
	}{
		{"a guest into an account", account, guest, ""},
		{"a guest into a guest", withPairs(3, aGuest), guest, ""},
		{"an account into an account", account, withPairs(3, google), "conflict"},
		{"an upgraded guest", account, withPairs(3, aGuest, google), "conflict"},
		{"itself", guest, guest, "invalid"},
		{"a banned guest", account, change(guest, ban), "denied"},
		{"into a banned account", change(account, ban), guest, "denied"},
		{"a banned guest whose ban is over", account, change(guest, func(u *game.User) { u.Ban = &game.Restriction{Until: someDay} }), ""},
		{"a merged guest", account, change(guest, func(u *game.User) { u.MergedInto = 9 }), "conflict"},
		{"into a merged user", change(account, func(u *game.User) { u.MergedInto = 9 }), guest, "conflict"},
		{"a deleted guest", account, change(guest, func(u *game.User) { u.Deleted = someDay }), "conflict"},
		{"into a deleted user", change(account, func(u *game.User) { u.Deleted = someDay }), guest, "conflict"},
	} {
		if got := kindOf(game.CheckMerge(c.winner, c.loser, someDay)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestCheckLinkAndUnlink(t *testing.T) {
	t.Parallel()
	many := withPairs(1)
	for i := range game.IdentitiesMax {
		many.Identities = append(many.Identities, game.Identity{Pair: game.Pair{Provider: "google", Subject: fmt.Sprint("s", i)}})
	}
	gone := withPairs(1, aGuest)
	gone.Deleted = someDay
	for _, c := range []struct {
		name         string
		u            game.User
		p            game.Pair
		link, unlink string
	}{
		{"a guest and Google", withPairs(1, aGuest), google, "", "not found"},
		{"a guest and its own pair", withPairs(1, aGuest), aGuest, "", "conflict"},
		{"two identities", withPairs(1, aGuest, google), google, "", ""},
		{"a second address", withPairs(1, anMail), game.Pair{Provider: game.ProviderPassword, Subject: "b@example.org"}, "conflict", "not found"},
		{"the most", many, google, "conflict", "not found"},
		{"a deleted user", gone, google, "conflict", "not found"},
	} {
		if got := kindOf(game.CheckLink(c.u, c.p)); got != c.link {
			t.Errorf("%s: CheckLink = %q, want %q", c.name, got, c.link)
		}
		if got := kindOf(game.CheckUnlink(c.u, c.p)); got != c.unlink {
			t.Errorf("%s: CheckUnlink = %q, want %q", c.name, got, c.unlink)
		}
	}
}

func TestUserInJSON(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(withPairs(1<<60, google))
	const want = `{"uid":"1152921504606846976","created":"2026-03-01T12:00:00Z","identities":[{"provider":"google","subject":"1","linked":"2026-03-01T12:00:00Z"}]}`
	if err != nil || string(b) != want {
		t.Errorf("Marshal = %s, %v, want %s", b, err, want)
	}
}
