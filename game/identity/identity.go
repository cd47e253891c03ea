package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/sqldb"
	"github.com/kamado/kamado/internal/token"
)

// PollEvery is how often a server asks for notices of the others.
const PollEvery = 500 * time.Millisecond

// sweepEvery is how often rows that are over are dropped, and keys looked after.
const sweepEvery = 30 * time.Second

// Deps is what a Server works with.
type Deps struct {
	DB sqldb.DB // its tables begin with identity_
	// Shared: other servers use the same database at the same time. Then what must be seen everywhere first is waited for.
	Shared  bool
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: none
	// Wall is the clock, and Elapsed the time since some moment, which never jumps. Nil: those of the system.
	Wall    func() time.Time
	Elapsed func() time.Duration
}

// Server is the ID server. Its methods may be called concurrently.
type Server struct {
	cfg      game.IdentityConfig
	db       sqldb.DB
	shared   bool
	log      *slog.Logger
	clock    *steady
	metrics  *metrics
	verifier *token.Verifier
	blocks   *blocks
	hasher   *hasher
	limits   struct{ account, address, create *limit }
	known    *lru[game.UID, game.UID] // UID to its canonical one
	services atomic.Pointer[map[string]service]

	feed        *feed
	old         atomic.Int64  // notices up to it may be dropped
	freshened   atomic.Int64  // when the last poll out of turn was, in elapsed nanoseconds; 0: never
	polling     chan struct{} // has one place: who has it polls
	dueKeys     bool          // guarded by polling
	dueServices bool          // guarded by polling
}

// Open prepares the tables, and reads keys, services and notices.
func Open(ctx context.Context, cfg game.IdentityConfig, deps Deps) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuration of identity: %w", err)
	}
	if err := deps.DB.Migrate(ctx, "identity", migrations); err != nil {
		return nil, fmt.Errorf("prepare the tables of users: %w", err)
	}
	s := &Server{
		cfg: cfg, db: deps.DB, shared: deps.Shared, log: deps.Log, clock: newSteady(deps.Wall, deps.Elapsed), metrics: newMetrics(),
		blocks: newBlocks(), known: newLRU[game.UID, game.UID](knownMax), feed: newFeed(), polling: make(chan struct{}, 1),
	}
	s.hasher = newHasher(cfg, s.metrics)
	s.limits.account = newLimit("account", cfg.LoginAccountBurst, cfg.LoginAccountEvery)
	s.limits.address = newLimit("address", cfg.LoginAddressBurst, cfg.LoginAddressEvery)
	s.limits.create = newLimit("create", cfg.CreateBurst, cfg.CreateEvery)
	empty, err := token.NewRing(nil)
	if err != nil {
		return nil, err
	}
	s.verifier = token.NewVerifier(token.Config{
		Issuer: cfg.Issuer, Audience: game.TokenAudience, Leeway: cfg.ClockLeeway, LifeMax: game.AccessLifeMax,
		CacheMax: cfg.TokenCache, Metrics: deps.Metrics, Namespace: "kamado_game",
	}, empty)
	s.dueKeys, s.dueServices = true, true
	if err := s.poll(ctx); err != nil {
		return nil, err
	}
	if err := s.tendKeys(ctx); err != nil {
		return nil, fmt.Errorf("look after keys: %w", err)
	}
	s.metrics.register(deps.Metrics, s)
	return s, nil
}

// Run polls notices, rotates keys and drops old rows until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	poll, sweep := time.NewTicker(PollEvery), time.NewTicker(sweepEvery)
	defer poll.Stop()
	defer sweep.Stop()
	failing, ahead := false, false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-poll.C:
			err := s.pollWithin(ctx)
			if err != nil && ctx.Err() == nil {
				s.metrics.pollFails.Inc()
			}
			if ctx.Err() == nil && failing != (err != nil) {
				failing = err != nil
				s.sayPoll(err)
			}
		case <-sweep.C:
			if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("old rows of users were not dropped, or keys not looked after", "err", err)
			}
			if behind := s.clock.ahead() > s.cfg.ClockLeeway; behind != ahead {
				ahead = behind
				if ahead {
					s.log.Warn("the clock was set back: time goes on without it until it catches up", "by", s.clock.ahead())
				}
			}
		}
	}
}

func (s *Server) sayPoll(err error) {
	if err != nil {
		s.log.Warn("sign-outs on other servers are not seen", "err", err)
		return
	}
	s.log.Info("sign-outs on other servers are seen again")
}

// pollWithin bounds a poll, so that one that hangs is told of.
func (s *Server) pollWithin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pollAgeMax)
	defer cancel()
	return s.poll(ctx)
}

// Ready says whether notices of other servers were seen lately; its error is for /readyz.
func (s *Server) Ready() error {
	if age := s.feed.age(s.clock.elapsed()); age > pollAgeMax {
		return fmt.Errorf("notices of other servers were last read %v ago", age.Round(time.Second))
	}
	return nil
}

// sweepRows is how many rows of a kind one sweep drops.
const sweepRows = 2000

// sweep drops what is over. It may run on several servers at once.
func (s *Server) sweep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sweepEvery)
	defer cancel()
	now := s.clock.now()
	s.feed.sweep(now, s.clock.elapsed())
	err := s.tendKeys(ctx)
	hourAgo := millis(now.Add(-time.Hour))
	return errors.Join(err, s.db.Write(ctx, func(w sqldb.Writer) error {
		for _, statement := range []struct {
			text string
			args []any
		}{
			{"DELETE FROM identity_notices WHERE seq IN (SELECT seq FROM identity_notices WHERE seq <= ? AND ends < ? ORDER BY seq LIMIT ?)", []any{s.old.Load(), millis(now)}},
			{"DELETE FROM identity_sessions WHERE id IN (SELECT id FROM identity_sessions WHERE expires < ? LIMIT ?)", []any{hourAgo}},
			{"DELETE FROM identity_spent WHERE digest IN (SELECT digest FROM identity_spent WHERE until < ? LIMIT ?)", []any{hourAgo}},
		} {
			if _, err := w.Exec(statement.text, append(statement.args, int64(sweepRows))...); err != nil {
				return err
			}
		}
		return nil
	}))
}

// failed gives an error of the database its kind. doubt says that the change may have been made.
func failed(op string, err error, doubt bool) error {
	var known *game.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	}
	e := &game.Error{Op: op, Kind: game.Internal, Err: err}
	switch {
	case errors.Is(err, sqldb.ErrFull):
		e.Kind, e.Detail = game.Exhausted, "no space left for users"
	case errors.Is(err, sqldb.ErrBusy):
		e.Kind, e.Detail = game.Unavailable, "too many changes of users wait"
	case errors.Is(err, sqldb.ErrAway), errors.Is(err, sqldb.ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e.Kind, e.Detail, e.Doubt = game.Unavailable, "the database of users does not answer", doubt
	}
	return e
}

// write is a write whose notices are believed here once it is durable.
func (s *Server) write(ctx context.Context, op string, fn func(w sqldb.Writer, now time.Time) ([]notice, error)) error {
	var notices []notice
	err := s.db.Write(ctx, func(w sqldb.Writer) error {
		now := s.clock.now()
		var err error
		if notices, err = fn(w, now); err != nil {
			return err
		}
		return s.tell(w, now, notices)
	})
	if err != nil {
		return failed(op, err, true)
	}
	s.believe(notices)
	return nil
}

func (s *Server) read(ctx context.Context, op string, fn func(r sqldb.Reader) error) error {
	return failed(op, s.db.Read(ctx, fn), false)
}

// digestOf is what is kept of a secret or a name: its SHA-256. Secrets have 256 random bits, so that no salt is needed.
func digestOf(parts ...string) string {
	var stack [512]byte
	b := stack[:0]
	for _, p := range parts { // each with its length, so that no two lists are one text
		b = strconv.AppendInt(b, int64(len(p)), 10)
		b = append(append(b, ':'), p...)
	}
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// sameDigest compares in constant time.
func sameDigest(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// random gives n random bytes in base64url.
func random(n int) string {
	b := make([]byte, n)
	rand.Read(b) //nolint:errcheck // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

func noRows(err error) bool { return errors.Is(err, sql.ErrNoRows) }

// Tend is one turn of what Run does: it reads notices, looks after keys and drops old rows.
func (s *Server) Tend(ctx context.Context) error {
	return errors.Join(s.poll(ctx), s.sweep(ctx))
}
