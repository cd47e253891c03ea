// Package identity holds the rules of users, projects, roles, tokens and
// application credentials. A dialect (Keystone's) speaks for it; the other
// dialects ask it who holds a token.
//
// Vocabulary. A login shows a password, a token or an application credential,
// and asks for a scope: a project, a domain, the system or none. A session is a
// valid token with everything that it stands for right now.
//
// Invariants. What a client holds (tokens, passwords, secrets of application
// credentials) is never in the store, only hashes of it. The roles of a token
// are looked up when it is used, so that what an administrator takes away is
// gone at once; the memory of looked-up sessions is emptied by every change
// made here. An unknown user and a wrong password have one answer and cost the
// same work.
package identity

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/kamado/kamado/compute"
)

// Config is the bounds of identity.
type Config struct {
	// TokenLifetime is how long a token is valid. Keystone's default is 1 h.
	TokenLifetime time.Duration
	// PasswordCost is bcrypt's: 12 is about 0.25 s of one core.
	PasswordCost int
	// PasswordsAtOnce is how many passwords are hashed at the same time; more wait.
	PasswordsAtOnce int
	// PasswordsWaitingMax is how many logins may wait for that; more are told to
	// come again.
	PasswordsWaitingMax int
	// FailuresMax is how many wrong passwords for one user from one address are
	// looked at within FailuresWindow; after that, all are wrong.
	FailuresMax    int
	FailuresWindow time.Duration
	// SessionsMax is how many looked-up tokens are remembered.
	SessionsMax int
	// SessionAge is after how long a looked-up token is looked up again, for
	// changes that another server made.
	SessionAge time.Duration
	// PurgeEvery is how often tokens that are over are removed from the store.
	PurgeEvery time.Duration
	// PasswordMin is the least number of characters of a password.
	PasswordMin int
	// FirstPasswords are those of the users that Bootstrap makes, by name; one
	// that is not here is made up. Who keeps them elsewhere keeps them first, so
	// that they need not wait for their hashes, which Run makes: until then a
	// process that is given them again answers for them.
	FirstPasswords map[string]string
}

// Default gives Keystone's values, and bounds for a small machine.
func Default() Config {
	return Config{
		TokenLifetime: time.Hour, PasswordCost: 12, PasswordsAtOnce: max(1, runtime.GOMAXPROCS(0)-1), PasswordsWaitingMax: 256,
		FailuresMax: 20, FailuresWindow: 5 * time.Minute, SessionsMax: 10_000, SessionAge: 5 * time.Second, PurgeEvery: 10 * time.Minute,
		PasswordMin: 1,
	}
}

// Validate says everything that is wrong with the values.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, text string) {
		if !ok {
			errs = append(errs, errors.New(text))
		}
	}
	check(c.TokenLifetime >= time.Minute, "token_lifetime must be at least 1m")
	check(c.PasswordCost >= bcrypt.MinCost && c.PasswordCost <= 20, "password_cost must be from 4 to 20")
	check(c.PasswordsAtOnce > 0, "passwords_at_once must be at least 1")
	check(c.PasswordsWaitingMax > 0, "passwords_waiting_max must be at least 1")
	check(c.FailuresMax > 0 && c.FailuresWindow > 0, "failures_max and failures_window must be over 0")
	check(c.SessionsMax > 0 && c.SessionAge > 0, "sessions_max and session_age must be over 0")
	check(c.PurgeEvery > 0, "purge_every must be over 0")
	check(c.PasswordMin > 0, "password_min must be at least 1")
	return errors.Join(errs...)
}

// Service is the rules over a store. Its methods may be called concurrently.
type Service struct {
	store compute.Store
	cfg   Config
	log   *slog.Logger
	now   func() time.Time
	audit func(context.Context, compute.AuditEvent)

	passwords *passwords

	mu sync.Mutex
	// sessions are looked-up tokens, by the id of the token. changed counts the
	// changes: a session that was looked up before the last one is not kept.
	sessions map[string]remembered
	changed  uint64
	failures map[string]failure
}

// New makes the service. now gives the time.
func New(store compute.Store, cfg Config, log *slog.Logger, now func() time.Time) *Service {
	return &Service{
		store: store, cfg: cfg, log: log, now: now, audit: func(context.Context, compute.AuditEvent) {},
		passwords: newPasswords(cfg, now), sessions: map[string]remembered{}, failures: map[string]failure{},
	}
}

// OnAudit says who is told of logins. It is called before the service is used.
func (s *Service) OnAudit(f func(context.Context, compute.AuditEvent)) { s.audit = f }

// write is store.Write for changes that tokens feel: what is remembered of them
// is forgotten.
func (s *Service) write(ctx context.Context, fn func(*compute.Tx) error) error {
	err := s.store.Write(ctx, fn)
	s.Forget()
	return err
}

// Forget empties the memory of looked-up tokens.
func (s *Service) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed++
	clear(s.sessions)
}

// Run hashes the first passwords, and removes what is over until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(s.cfg.PurgeEvery)
	defer tick.Stop()
	for {
		if err := s.hashFirst(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("first passwords not hashed yet", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := s.Purge(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("expired tokens not removed", "error", err)
			}
		}
	}
}
