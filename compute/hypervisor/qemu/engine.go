package qemu

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/compute/hypervisor"
)

// The choices of Config.Accelerator.
const (
	Auto = "auto"
	KVM  = "kvm"
	TCG  = "tcg"
)

// Config is what the engine is told. New fills fields that are zero with what is
// said here.
type Config struct {
	Dir string // of all domains; one engine at a time
	// Binary is QEMU's: a path, or a name that is looked for in PATH. Default qemu-system-x86_64.
	Binary string
	// Accelerator is kvm, tcg, or auto (default): kvm when a guest really runs with it.
	Accelerator string
	// UIDFirst and UIDCount are the user ids from which, as root, each domain's process gets one. They should be no account's.
	// Default: 65,536 ids from 2,046,820,352 (0x7a000000).
	UIDFirst, UIDCount uint32
	// CommandTimeout is how long QEMU may take to answer a command before it counts as hung. Default 10 s.
	CommandTimeout time.Duration
	// StartTimeout is how long it may take from its start to its answer. Default 60 s: a host that swaps is slow.
	StartTimeout time.Duration
	// AdoptTimeout is how long a process that was found may take to answer before the next is served. Default 2 s.
	AdoptTimeout time.Duration
	// Log takes what an operator should know; nil: nothing is logged.
	Log *slog.Logger
	// Registerer takes metrics; nil: none.
	Registerer prometheus.Registerer
}

// fill gives zero fields their defaults.
func (c *Config) fill() {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&c.CommandTimeout, 10*time.Second)
	def(&c.StartTimeout, time.Minute)
	def(&c.AdoptTimeout, 2*time.Second)
	if c.Binary == "" {
		c.Binary = "qemu-system-x86_64"
	}
	if c.Accelerator == "" {
		c.Accelerator = Auto
	}
	if c.UIDCount == 0 {
		c.UIDFirst, c.UIDCount = 0x7a000000, 1<<16
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// Engine runs domains. Its methods may be called concurrently.
type Engine struct {
	cfg     Config
	dir     string // absolute
	version string
	cgroups string // directory in which domains get theirs; empty: they have none
	notes   []string
	metrics *metrics
	events  chan hypervisor.Event

	probing  sync.Mutex // held while the accelerator is chosen
	accel    string
	accelWhy string // why it is not kvm

	adopting sync.Mutex // held while the directory is read
	adopted  bool       // guarded by adopting

	mu      sync.Mutex
	domains map[string]*domain
}

var _ hypervisor.Engine = (*Engine)(nil)

// eventsMax bounds the events that wait for Run. One more than that is dropped
// and counted; the state is in List anyway.
const eventsMax = 4096

// New gives an engine on cfg.Dir. It starts nothing and adopts nothing: the
// first method that is called does.
func New(cfg Config) (*Engine, error) {
	cfg.fill()
	if !slices.Contains([]string{Auto, KVM, TCG}, cfg.Accelerator) {
		return nil, fmt.Errorf("accelerator %q: not one of auto, kvm and tcg", cfg.Accelerator)
	}
	binary, err := exec.LookPath(cfg.Binary)
	if err != nil {
		return nil, fmt.Errorf("QEMU is not installed: %w", err)
	}
	cfg.Binary = binary
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("directory of the domains: %w", err)
	}
	e := &Engine{cfg: cfg, dir: dir, domains: map[string]*domain{}, events: make(chan hypervisor.Event, eventsMax)}
	if e.version, err = version(binary); err != nil {
		return nil, err
	}
	e.metrics = newMetrics(e, cfg.Registerer)
	e.cgroups, err = cgroupParent(e.hash("cgroup"))
	if err != nil {
		e.notes = append(e.notes, "a service manager that ends the whole cgroup of this program ends instances too: they have none of their own ("+err.Error()+")")
	}
	if os.Geteuid() != 0 {
		e.notes = append(e.notes, "instances run under this user's id: what breaks out of one can do what this user can")
	}
	return e, nil
}

// hash gives a number that is this directory's and the name's.
func (e *Engine) hash(name string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(e.dir + "\x00" + name)) // never fails
	return h.Sum32()
}

// version asks QEMU what it is.
func version(binary string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, "-version").Output()
	if err != nil {
		return "", fmt.Errorf("%s -version: %w", binary, err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	if _, v, ok := strings.Cut(line, "version "); ok {
		v, _, _ = strings.Cut(v, " ")
		return v, nil
	}
	return "", fmt.Errorf("%s -version said %q", binary, line)
}

// housekeeping is how often Run looks after consoles and processes that do not answer.
const housekeeping = 2 * time.Second

// Run adopts what runs and watches it until ctx ends. Then it lets go of every
// process, so that another engine can adopt it.
func (e *Engine) Run(ctx context.Context, on func(hypervisor.Event)) error {
	if err := e.adopt(ctx); err != nil {
		return err
	}
	defer e.letGo()
	tick := time.NewTicker(housekeeping)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case ev := <-e.events:
			e.metrics.events.WithLabelValues(ev.Reason).Inc()
			on(ev)
		case <-tick.C:
			e.tend(ctx)
		}
	}
}

// tend bounds logs, and connects again to processes that did not answer.
func (e *Engine) tend(ctx context.Context) {
	for _, d := range e.all() {
		if err := d.boundLogs(); err != nil {
			e.cfg.Log.Debug("bound a console", "instance", d.id, "error", err)
		}
		if d.lost() {
			go e.reconnect(ctx, d)
		}
	}
}

// emit hands an event to Run.
func (e *Engine) emit(ev hypervisor.Event) {
	select {
	case e.events <- ev:
	default:
		e.metrics.dropped.Inc()
	}
}

// all gives the domains, by id.
func (e *Engine) all() []*domain {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]*domain, 0, len(e.domains))
	for _, d := range e.domains {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b *domain) int { return strings.Compare(a.id, b.id) })
	return list
}

// List gives every domain.
func (e *Engine) List(ctx context.Context) ([]hypervisor.Domain, error) {
	if err := e.adopt(ctx); err != nil {
		return nil, err
	}
	var list []hypervisor.Domain
	for _, d := range e.all() {
		if got, ok := d.describe(); ok {
			list = append(list, got)
		}
	}
	return list, nil
}

// take gives a domain for a verb, which nobody else works on until release is
// called. ErrNotFound when there is none.
func (e *Engine) take(ctx context.Context, id string) (d *domain, release func(), err error) {
	for {
		last := d
		if d, err = e.lookup(ctx, id); err != nil {
			return nil, nil, err
		}
		if d == nil || d == last {
			return nil, nil, notFound(id)
		}
		if release, err = d.lock(ctx); err != nil {
			return nil, nil, err
		}
		if !d.gone() {
			return d, release, nil
		}
		release() // destroyed while we waited, or let go of: then it is found again
	}
}

func notFound(id string) error { return fmt.Errorf("domain %s: %w", id, hypervisor.ErrNotFound) }

// lookup gives a domain, which may be on its way in or out; nil when there is none.
func (e *Engine) lookup(ctx context.Context, id string) (*domain, error) {
	if err := e.adopt(ctx); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.domains[id], nil
}

// find gives a domain without waiting for verbs.
func (e *Engine) find(ctx context.Context, id string) (*domain, error) {
	d, err := e.lookup(ctx, id)
	if err != nil {
		return nil, err
	}
	if d == nil || d.gone() {
		return nil, notFound(id)
	}
	return d, nil
}

// define gives a domain, a fresh one when there is none.
func (e *Engine) define(ctx context.Context, id string) (*domain, func(), error) {
	if err := e.adopt(ctx); err != nil {
		return nil, nil, err
	}
	for {
		e.mu.Lock()
		d := e.domains[id]
		if d == nil {
			d = e.newDomain(id)
			e.domains[id] = d
		}
		e.mu.Unlock()
		release, err := d.lock(ctx)
		if err != nil {
			return nil, nil, err
		}
		e.mu.Lock()
		same := e.domains[id] == d
		e.mu.Unlock()
		if same {
			return d, release, nil
		}
		release() // destroyed while we waited
	}
}

// forget takes a domain off the list. Preconditions: its verb lock is held.
func (e *Engine) forget(d *domain) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.domains[d.id] == d {
		delete(e.domains, d.id)
	}
}

// hostError names what of the host is used up, when that is why err happened.
func hostError(err error) error {
	if err == nil || !exhausted(err) || errors.Is(err, hypervisor.ErrNoSpace) {
		return err
	}
	return fmt.Errorf("%w: %w", hypervisor.ErrNoSpace, err)
}
