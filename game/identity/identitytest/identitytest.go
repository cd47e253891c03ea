// Package identitytest holds what the ID server promises on every database, as
// tests. A promise that is not here is not one. Clocks are injected: a World has one
// database, and each Server that it opens has a clock of its own.
package identitytest

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/identity"
	"github.com/kamado/kamado/internal/sqldb"
)

// Place opens the database of a test; each call is another process's connection.
type Place func(t *testing.T) sqldb.DB

// World is a database and the configuration of its servers.
type World struct {
	T      *testing.T
	Config game.IdentityConfig
	Shared bool
	place  Place
}

// Server is one ID server with its clock.
type Server struct {
	*identity.Server
	Clock *Clock
}

// Clock is a wall clock that tests set, and the time that elapses beside it.
type Clock struct {
	mu      sync.Mutex
	wall    time.Time
	elapsed time.Duration
}

// Noon is where clocks begin.
var Noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Wall is the time that the clock shows.
func (c *Clock) Wall() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall
}

// Elapsed never goes back.
func (c *Clock) Elapsed() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.elapsed
}

// Pass lets time go by.
func (c *Clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.elapsed = c.wall.Add(d), c.elapsed+d
}

// Step sets the clock, while no time goes by.
func (c *Clock) Step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(d)
}

// Open starts a server at a time.
func (w *World) Open(at time.Time) *Server {
	w.T.Helper()
	return w.OpenOn(w.place(w.T), at)
}

// OpenOn starts a server on a database that was opened.
func (w *World) OpenOn(db sqldb.DB, at time.Time) *Server {
	w.T.Helper()
	c := &Clock{wall: at, elapsed: time.Second}
	s, err := identity.Open(context.WithoutCancel(w.T.Context()), w.Config, identity.Deps{DB: db, Shared: w.Shared, Log: slog.New(slog.DiscardHandler), Wall: c.Wall, Elapsed: c.Elapsed})
	if err != nil {
		w.T.Fatal(err)
	}
	return &Server{s, c}
}

// Config is for tests: passwords are cheap, and limits far away.
func Config() game.IdentityConfig {
	cfg := game.DefaultIdentity()
	cfg.PasswordMemory, cfg.PasswordRounds = 64, 1
	cfg.LoginAccountBurst, cfg.LoginAddressBurst, cfg.CreateBurst = 10_000, 10_000, 10_000
	cfg.JWTAudiences = []string{"shop"}
	return cfg
}

// Run tests the promises on a database. fresh gives a new, empty place; it may skip the test. shared says that
// several servers can use one place.
func Run(t *testing.T, shared bool, fresh func(t *testing.T) Place) {
	tests := map[string]func(*testing.T, *World){
		"a guest is made once and signs in with its secret":             guests,
		"a password signs in, and a wrong one does not":                 passwords,
		"a weak hash is replaced when its password is shown":            rehash,
		"an unlinked pair is nobody else's":                             pairs,
		"the last identity cannot be unlinked":                          lastIdentity,
		"a guest becomes an account":                                    upgrade,
		"users are listed by page and found by subject":                 listing,
		"a refresh token is exchanged, and used twice ends its session": rotation,
		"the same refresh token within its grace gives the same answer": grace,
		"old refresh tokens and made up ones":                           refreshAttacks,
		"sessions end by themselves":                                    expiry,
		"sessions are listed, bounded and signed out":                   sessions,
		"a new password signs other sessions out":                       changedPassword,
		"a ban stops tokens and sign-ins until it ends":                 bans,
		"a mute is seen at once and ends":                               mutes,
		"a deleted user is gone for ever":                               deletion,
		"tokens that are not to be believed":                            tokenAttacks,
		"a clock that is set back gives nothing back":                   clockBack,
		"what was revoked stays so when a clock is set back":            revokedForLong,
		"keys rotate and nobody is signed out":                          keyRotation,
		"a revoked key ends its tokens":                                 keyRevocation,
		"a JWT is for the audiences of the configuration":               jwts,
		"services have credentials with scopes":                         services,
		"a merge is carried on after a crash":                           merge,
		"merges that are refused":                                       badMerges,
		"UIDs go on after a crash and after a restore":                  uids,
		"what was used is used, and shared keys are shared":             secrets,
		"who is known is believed while the database is away":           databaseAway,
		"notices are read after a restore":                              restored,
		"attempts are limited by account and by address":                limits,
		"passwords wait for their turn, and not for long":               turns,
	}
	if shared {
		for name, test := range map[string]func(*testing.T, *World){
			"two servers give one pair one UID":              racePair,
			"two servers never give one UID twice":           raceUIDs,
			"two servers exchange one refresh token once":    raceRefresh,
			"two servers make one first key and one service": raceStart,
			"a sign-out is seen by the other server":         otherServer,
			"a server whose clock is behind keeps promises":  otherClock,
			"a merge waits for the other servers":            mergeWaits,
		} {
			tests[name] = test
		}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, &World{T: t, Config: Config(), Shared: shared, place: fresh(t)})
		})
	}
}

// here is a client with an address.
func here(last byte) game.Client {
	return game.Client{Address: netip.AddrFrom4([4]byte{192, 0, 2, last}), Agent: "test"}
}

// must stops a test at an error.
func must[V any](t *testing.T) func(v V, err error) V {
	return func(v V, err error) V {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wants wants an error of a kind.
func wants(t *testing.T, err error, kind game.Kind, doing string) {
	t.Helper()
	if err == nil || game.KindOf(err) != kind {
		t.Errorf("%s = %v, want an error of kind %q", doing, err, kind)
	}
}

func guest(t *testing.T, s *Server) game.Login {
	t.Helper()
	return must[game.Login](t)(s.CreateGuest(t.Context(), "", here(1)))
}

func account(t *testing.T, s *Server, email string) game.Login {
	t.Helper()
	return must[game.Login](t)(s.CreatePassword(t.Context(), email, password, here(1)))
}

const password = "correct horse battery"

// believed wants that a token is, or is not.
func believed(t *testing.T, s *Server, l game.Login, want bool, when string) {
	t.Helper()
	p, err := s.Authenticate(t.Context(), l.Access)
	switch {
	case want && (err != nil || p.Kind != game.ByUser || p.UID != l.UID || p.Session != l.Session):
		t.Errorf("%s: Authenticate = %+v, %v, want user %v", when, p, err, l.UID)
	case !want && game.KindOf(err) != game.Unauthenticated:
		t.Errorf("%s: Authenticate = %+v, %v, want Unauthenticated", when, p, err)
	}
}
