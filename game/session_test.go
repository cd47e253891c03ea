package game_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
)

func TestPrincipals(t *testing.T) {
	t.Parallel()
	user := game.Principal{Kind: game.ByUser, UID: 7}
	points := game.Principal{Kind: game.ByService, Service: "shop", Scopes: game.ScopePoints}
	admin := game.Principal{Kind: game.ByService, Service: "root", Scopes: game.ScopeAdmin}
	// A user has no scopes, whatever the fields say: they are another kind's.
	odd := game.Principal{Kind: game.ByUser, UID: 7, Scopes: game.ScopeAdmin}
	for _, c := range []struct {
		name                string
		p                   game.Principal
		own, other, require string // For(7, points), For(8, points), Wants(points)
	}{
		{"nobody", game.Principal{}, "unauthenticated", "unauthenticated", "unauthenticated"},
		{"nobody with a UID", game.Principal{UID: 7, Scopes: game.ScopeAdmin}, "unauthenticated", "unauthenticated", "unauthenticated"},
		{"user 7", user, "", "denied", "denied"},
		{"user 7 with scopes", odd, "", "denied", "denied"},
		{"a service with the scope", points, "", "", ""},
		{"a service with another scope", game.Principal{Kind: game.ByService, Scopes: game.ScopeLocks}, "denied", "denied", "denied"},
		{"a service with admin", admin, "", "", ""},
		{"the operator", game.OperatorPrincipal(), "", "", ""},
	} {
		got := []string{kindOf(c.p.For(7, game.ScopePoints)), kindOf(c.p.For(8, game.ScopePoints)), kindOf(c.p.Wants(game.ScopePoints))}
		if want := []string{c.own, c.other, c.require}; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", c.name, got, want)
		}
	}
	if points.Has(game.ScopeAdmin) || points.Has(game.ScopeIdentity) {
		t.Error("a scope gives another one")
	}
	if err := (game.Principal{Kind: game.ByUser}).For(0, game.ScopePoints); err == nil {
		t.Error("user 0 acts for user 0")
	}
	for want, p := range map[string]game.Principal{"user 7": user, "service shop": points, "operator": game.OperatorPrincipal(), "nobody": {}} {
		if p.Name() != want {
			t.Errorf("Name = %q, want %q", p.Name(), want)
		}
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	s, err := game.ParseScopes([]string{"locks", "points", "locks"})
	if err != nil || s != game.ScopePoints|game.ScopeLocks || s.String() != "points,locks" {
		t.Errorf("ParseScopes = %v, %v", s, err)
	}
	for _, bad := range [][]string{nil, {}, {"all"}, {"points", "Locks"}} {
		if _, err := game.ParseScopes(bad); game.KindOf(err) != game.Invalid {
			t.Errorf("ParseScopes(%q) = %v", bad, err)
		}
	}
	all := game.OperatorPrincipal().Scopes
	if again, err := game.ParseScopes(all.Names()); err != nil || again != all || len(all.Names()) != 5 {
		t.Errorf("all scopes: %v, %v", all, err)
	}
	if b, err := json.Marshal(s); err != nil || string(b) != `"points,locks"` {
		t.Errorf("Marshal = %s, %v", b, err)
	}
}

func TestCheckServiceName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"shop": true, "shop.eu-1_a": true, "1": true, strings.Repeat("a", 64): true,
		"": false, strings.Repeat("a", 65): false, "Shop": false, "a b": false, ".a": false, "a.": false, "-a": false, "a/b": false, "日": false,
	} {
		if err := game.CheckServiceName(name); (err == nil) != want {
			t.Errorf("CheckServiceName(%q) = %v", name, err)
		}
	}
}

func TestRetryAfterIsFound(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("sign in: %w", &game.Error{Kind: game.Limited, Err: game.RetryAfter(3 * time.Second)})
	var after game.RetryAfter
	if !errors.As(err, &after) || time.Duration(after) != 3*time.Second {
		t.Errorf("RetryAfter = %v", after)
	}
}
