package fabric

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/kamado/kamado/compute"
)

// Config is what an installation chooses.
type Config struct {
	// FixedRange is the subnet of the network "default", such as 10.20.0.0/20.
	FixedRange string
	// DHCP says whether "default-subnet" gives addresses by DHCP (flatdhcp) or not (flat).
	DHCP bool
	// DNS are the resolvers that guests of "default-subnet" are told; may be empty.
	DNS []string
	// MTU of networks that say none.
	MTU int
	// Zone is the availability zone in which networks and routers are.
	Zone string
}

// DefaultConfig suits one machine.
func DefaultConfig() Config {
	return Config{FixedRange: compute.Default().FixedRange, DHCP: true, MTU: mtuDefault, Zone: compute.Default().Zone}
}

// mtuDefault is Ethernet's.
const mtuDefault = 1500

// Service is the rules over one Store. Its methods may be called concurrently.
// Those that take a *compute.Tx work inside the caller's Read or Write.
type Service struct {
	store compute.Store
	cfg   Config
	log   *slog.Logger
	now   func() time.Time

	mu        sync.Mutex
	listeners []func() // guarded by mu
}

// New gives the rules over a store.
func New(store compute.Store, cfg Config, log *slog.Logger, now func() time.Time) *Service {
	if cfg.MTU == 0 {
		cfg.MTU = mtuDefault
	}
	if cfg.Zone == "" {
		cfg.Zone = compute.Default().Zone
	}
	return &Service{store: store, cfg: cfg, log: log, now: now}
}

// OnChange has f called after each commit of this service's own that may change
// what a host must build. f must not wait; several changes may be one call to
// whoever listens. Changes inside a caller's Write (Plug, Unplug, PlugOne,
// UnplugOne, Bind, AddGroup, RemoveGroup) are the caller's to tell.
func (s *Service) OnChange(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = append(s.listeners, f)
}

// changed tells the listeners.
func (s *Service) changed() {
	s.mu.Lock()
	listeners := s.listeners
	s.mu.Unlock()
	for _, f := range listeners {
		f()
	}
}

// work is one change: a write's tables, who asks, and when.
type work struct {
	*Service
	tx  *compute.Tx
	who compute.Caller
	at  time.Time
	// inst is the instance whose ports the caller changes and which the caller
	// stores; nil outside of Plug and its like.
	inst *compute.Instance
	// known are rows that plug read and that nothing in the same work changes: a
	// plug is the most frequent write of all.
	known struct {
		networks map[string]*compute.Network
		subnets  map[string][]*compute.Subnet // by network
		ports    map[string]*compute.Port     // that were made
	}
}

// write runs fn in one write and tells the listeners when it was committed.
func (s *Service) write(ctx context.Context, who compute.Caller, op string, fn func(*work) error) error {
	at := s.now().UTC().Truncate(time.Second)
	err := s.store.Write(ctx, func(tx *compute.Tx) error { return fn(&work{Service: s, tx: tx, who: who, at: at}) })
	if err != nil {
		return named(op, err)
	}
	s.changed()
	return nil
}

// within is the work of a caller's own write.
func (s *Service) within(tx *compute.Tx, who compute.Caller) *work {
	return &work{Service: s, tx: tx, who: who, at: s.now().UTC().Truncate(time.Second)}
}

// named says what was being done, for the operator.
func named(op string, err error) error {
	var e *compute.Error
	if errors.As(err, &e) && e.Op == "" {
		e.Op = op
	}
	return err
}

// System is who acts when nobody asked: everything is its own.
func System() compute.Caller {
	return compute.Caller{UserName: "system", System: true, Roles: []string{compute.RoleAdmin}}
}

// createAll makes a thing for each request in one write: all or none.
func createAll[A, T any](ctx context.Context, s *Service, who compute.Caller, op string, list []A, create func(*work, A) (*T, error)) ([]*T, error) {
	var made []*T
	err := s.write(ctx, who, op, func(w *work) error {
		made = nil
		for _, a := range list {
			one, err := create(w, a)
			if err != nil {
				return err
			}
			made = append(made, one)
		}
		return nil
	})
	return made, err
}
