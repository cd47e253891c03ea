package core_test

import (
	"slices"
	"testing"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/core"
	"github.com/kamado/kamado/game/core/coretest"
	"github.com/kamado/kamado/game/entity"
	"github.com/kamado/kamado/game/identity"
	"github.com/kamado/kamado/game/points"
	"github.com/kamado/kamado/internal/lock"
)

// The servers of this process are a core as they are.
var (
	_ core.Identity = (*identity.Server)(nil)
	_ core.Points   = points.Ledger(nil)
	_ core.Entities = (*entity.Store)(nil)
	_ core.Locks    = (*lock.Registry)(nil)
)

// TestLocal: the servers of one process keep what a core promises.
func TestLocal(t *testing.T) {
	t.Parallel()
	coretest.Run(t, func(_ *testing.T, s *coretest.Servers) coretest.Through { return coretest.Through{Core: s.Core()} })
}

// TestSignInsAreTold: each sign-in is told once, with what the event log of the HTTP interface says; what failed is not.
func TestSignInsAreTold(t *testing.T) {
	t.Parallel()
	s := coretest.Open(t, nil)
	var told []string
	id := core.TellSignIns(s.Identity, func(l game.Login, p game.Provider) {
		kind, subject, attributes := l.Event(p)
		if subject != l.UID.String() || attributes["session"] != l.Session {
			t.Errorf("event %s, %s, %v", kind, subject, attributes)
		}
		told = append(told, kind+" "+attributes["provider"])
	})
	ctx, here := t.Context(), game.Client{}
	guest, err := id.CreateGuest(ctx, "", here)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Identity.CreatePassword(ctx, "ann@example.com", "a long password", here); err != nil {
		t.Fatal(err)
	}
	for _, do := range []func() (game.Login, error){
		func() (game.Login, error) { return id.LoginGuest(ctx, guest.DeviceSecret, here) },
		func() (game.Login, error) { return id.LoginGuest(ctx, "short", here) },
		func() (game.Login, error) { return id.LoginPassword(ctx, "ann@example.com", "a long password", here) },
		func() (game.Login, error) { return id.LoginPassword(ctx, "ann@example.com", "another one", here) },
		func() (game.Login, error) { return id.Refresh(ctx, guest.Refresh, here) },
	} {
		do() //nolint:errcheck // two of them fail, and are not told
	}
	if want := []string{"user.created guest", "user.signed_in guest", "user.signed_in password"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
