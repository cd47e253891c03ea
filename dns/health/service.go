package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/internal/lock"
)

// Node is what is asked of the member. Its methods may be called concurrently.
type Node interface {
	// Self is the member's node name.
	Self() string
	// Own gives the member's own records, and a channel that is closed when they change.
	Own() ([]dns.Owned, <-chan struct{})
	// SetHealth tells news of own records. Records that are gone are passed over.
	SetHealth(changes []dns.HealthChange)
	Members() []dns.Member
	Set(name dns.Name) dns.Set
	// Watch gives events behind the number after; the channel ends with ctx, or
	// when the watcher is too slow.
	Watch(ctx context.Context, after uint64) <-chan dns.Event
}

// Lease is what is asked of the locks that Fencing = "lock" needs; lock.Locker is the whole of it.
type Lease interface {
	Acquire(ctx context.Context, name string, term time.Duration) (lock.Grant, error)
	Renew(ctx context.Context, g lock.Grant) (lock.Grant, error)
	Release(ctx context.Context, g lock.Grant) error
	Look(ctx context.Context, name string) (lock.Status, error)
}

// Config is what an operator chose.
type Config struct {
	Health dns.HealthConfig
	Hooks  dns.HooksConfig
	Domain dns.Name // under which Hooks.Names lie

	// The times below are for tests; zero values are the defaults.

	// LockTerm is how long a lock outlives its holder's last renewal.
	LockTerm time.Duration
	// MajorityDelay is how long a member must have been the first, with a majority,
	// before it is active: the other side of a cut needs that time to stop.
	MajorityDelay time.Duration
	// JoinPatience is how long activity waits for Deps.Joined.
	JoinPatience time.Duration
	// NoteRetry is the first wait before a notification is tried again; it doubles.
	NoteRetry time.Duration
}

// The defaults of those times. A machine's death is known after at most 1.5 s;
// then a lock of 2.5 s that was renewed just before ends at most 2.5 x 1.1 - 1.5 =
// 1.25 s later, and whoever waits looks every fifth of a second.
const (
	lockTermDefault      = 2500 * time.Millisecond
	majorityDelayDefault = 300 * time.Millisecond
	joinPatienceDefault  = 5 * time.Second
	noteRetryDefault     = 500 * time.Millisecond
)

// seatsMax bounds Hooks.Names.
const seatsMax = 256

// Deps are what it uses. Node and Log are needed.
type Deps struct {
	Node Node
	// OpenLease opens the locks; it is tried again until it succeeds, and needed
	// with Fencing = "lock" alone. close may be nil.
	OpenLease func(ctx context.Context) (lease Lease, close func() error, err error)
	// Joined is closed when this member knows what others know; nil: it does.
	// Before that nobody becomes active, for JoinPatience at most.
	Joined <-chan struct{}
	Log    *slog.Logger
	// Registerer gets the metrics; nil: nobody does.
	Registerer prometheus.Registerer
	// HTTP sends webhooks; nil: a client of its own.
	HTTP *http.Client
}

// Service is all of it. Its methods may be called concurrently.
type Service struct {
	cfg     Config
	deps    Deps
	metrics *metrics
	checks  *checks
	hooks   *hooks
	notes   *notifier
	seats   map[dns.Name]*seat

	leave   sync.Once // runs the hook of leaving
	leaving sync.WaitGroup
}

// New builds it. Run must follow.
func New(cfg Config, deps Deps) (*Service, error) {
	fill := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	fill(&cfg.LockTerm, lockTermDefault)
	fill(&cfg.MajorityDelay, majorityDelayDefault)
	fill(&cfg.JoinPatience, joinPatienceDefault)
	fill(&cfg.NoteRetry, noteRetryDefault)
	if cfg.Hooks.Timeout <= 0 {
		cfg.Hooks.Timeout = dns.Default().Hooks.Timeout
	}
	s := &Service{cfg: cfg, deps: deps, metrics: newMetrics(), seats: map[dns.Name]*seat{}}
	s.checks = newChecks(cfg.Health, deps)
	var errs []error
	var err error
	if s.hooks, err = newHooks(cfg.Hooks, deps, s.metrics); err != nil {
		errs = append(errs, err)
	}
	if s.notes, err = newNotifier(cfg, deps, s.metrics); err != nil {
		errs = append(errs, err)
	}
	if err := s.openSeats(); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &dns.Error{Op: "configure hooks", Kind: dns.Invalid, Detail: err.Error()}
	}
	s.metrics.service = s
	if deps.Registerer != nil {
		own := prometheus.WrapRegistererWith(prometheus.Labels{"room": "dns"}, deps.Registerer)
		if err := errors.Join(deps.Registerer.Register(s.metrics), own.Register(s.checks.group)); err != nil {
			return nil, fmt.Errorf("register metrics of health: %w", err)
		}
	}
	return s, nil
}

func (s *Service) openSeats() error {
	hooks := s.cfg.Hooks
	if len(hooks.Names) > seatsMax {
		return fmt.Errorf("names has %d names, at most %d", len(hooks.Names), seatsMax)
	}
	if len(hooks.Names) == 0 && (hooks.Activate != "" || hooks.Inactivate != "") {
		return errors.New("activate and inactivate need names: those that are watched")
	}
	if hooks.Fencing == dns.FenceLock && s.deps.OpenLease == nil {
		return errors.New("fencing \"lock\" needs lock: the database that holds it")
	}
	for _, text := range hooks.Names {
		name, err := dns.ResolveName(text, s.cfg.Domain)
		if err != nil {
			return fmt.Errorf("names: %w", err)
		}
		if s.seats[name] == nil {
			s.seats[name] = newSeat(name, s)
		}
	}
	return nil
}

// Run works until ctx ends. Then the hooks that end activities run, and the one
// of leaving; it returns when all is quiet.
func (s *Service) Run(ctx context.Context) error {
	// Notifications tell of the end too, so they end last.
	notes := spawn(context.WithoutCancel(ctx), s.notes.run)
	defer notes.end()
	checks := spawn(context.WithoutCancel(ctx), s.checks.run)
	defer checks.end()
	events := spawn(ctx, s.follow)
	defer events.end()
	s.activity(ctx)
	s.goodbye(ctx)
	s.leaving.Wait()
	return ctx.Err()
}

// goodbye runs the hook of leaving, once in a life: at the end, or when the
// member left the others before that.
func (s *Service) goodbye(ctx context.Context) {
	s.leave.Do(func() {
		s.leaving.Go(func() { s.hooks.member(context.WithoutCancel(ctx), eventLeave) })
	})
}

// task is a goroutine that is waited for.
type task struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func spawn(ctx context.Context, f func(context.Context)) task {
	ctx, cancel := context.WithCancel(ctx)
	t := task{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		f(ctx)
	}()
	return t
}

func (t task) end() {
	t.cancel()
	<-t.done
}

// follow hears what happens, wakes the seats that it concerns and tells people.
func (s *Service) follow(ctx context.Context) {
	after := uint64(0)
	for ctx.Err() == nil {
		events := s.deps.Node.Watch(ctx, after)
		s.wake("")
		for e := range events {
			after = max(after, e.Seq)
			switch e.Kind {
			case dns.EventMember, dns.EventLost:
				s.wake("")
			default:
				s.wake(e.Name)
			}
			if e.Kind == dns.EventMember && e.Owner == s.deps.Node.Self() && e.State == dns.MemberLeft.String() {
				s.goodbye(ctx)
			}
			s.notes.event(e)
		}
	}
}

// wake makes the seat of a name look again; empty: all of them.
func (s *Service) wake(name dns.Name) {
	if name == "" {
		for _, seat := range s.seats {
			seat.wake()
		}
	} else if seat := s.seats[name]; seat != nil {
		seat.wake()
	}
}
