// Package fake is the hypervisor that runs nothing: it keeps the definition and
// the state of each domain, answers every verb of the interface by its rules,
// and stands in where ten thousand instances or a host without QEMU are wanted.
//
// A domain is one small JSON file in Config.Dir, written by rename, so a fake on
// the same directory finds what an earlier one left. It is not synchronised to
// the disk: what it pretends to run would not survive the host either. Consoles
// are made up from the spec and the number of starts, and end in a login prompt;
// the display is a grey rectangle. What it writes as a snapshot is an empty
// disk of the right size.
package fake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kamado/kamado/compute/hypervisor"
)

// Config is what a fake pretends to be. The zero value of a field is replaced by
// what Default says, except Dir and Fail.
type Config struct {
	Dir       string // where domains are kept
	VCPUs     int    // of the host
	MemoryMiB int
	DiskGiB   int
	Now       func() time.Time
	// Fail, when set, is asked before each verb ("create", "start", "stop", "reboot", "pause", "unpause", "suspend", "rebuild",
	// "snapshot", "destroy", "attach", "detach", "password"): its error is the verb's. It may wait, for as long as ctx allows.
	Fail func(ctx context.Context, verb, id string) error
}

// Default is a host on which 10,000 small instances find room.
func Default(dir string) Config {
	return Config{Dir: dir, VCPUs: 65536, MemoryMiB: 64 << 20, DiskGiB: 1 << 20, Now: time.Now}
}

// Engine is the fake. Its methods may be called concurrently.
type Engine struct {
	cfg    Config
	events chan hypervisor.Event

	mu      sync.Mutex
	domains map[string]*domain // nil until they were read
}

var _ hypervisor.Engine = (*Engine)(nil)

// domain is what the fake keeps of one.
type domain struct {
	Spec      hypervisor.Spec
	State     hypervisor.State
	Started   time.Time
	Boots     int // how often it started or was reset; the console shows the last few
	Passwords int // how often a password was set
	Snapshots int
}

// eventsMax bounds the events that wait for Run: more are made only by tests.
const eventsMax = 1024

// New gives a fake on cfg.Dir.
func New(cfg Config) *Engine {
	d := Default(cfg.Dir)
	if cfg.VCPUs > 0 {
		d.VCPUs = cfg.VCPUs
	}
	if cfg.MemoryMiB > 0 {
		d.MemoryMiB = cfg.MemoryMiB
	}
	if cfg.DiskGiB > 0 {
		d.DiskGiB = cfg.DiskGiB
	}
	if cfg.Now != nil {
		d.Now = cfg.Now
	}
	d.Fail = cfg.Fail
	return &Engine{cfg: d, events: make(chan hypervisor.Event, eventsMax)}
}

// Info says what the fake pretends to be.
func (e *Engine) Info(context.Context) (hypervisor.Info, error) {
	return hypervisor.Info{
		Hypervisor: "fake", Version: "1.0", Accelerator: "none", CPUModel: "fake",
		VCPUs: e.cfg.VCPUs, MemoryMiB: e.cfg.MemoryMiB, DiskGiB: e.cfg.DiskGiB,
		Notes: []string{"the fake hypervisor runs no guests"},
	}, nil
}

// Run hands on the events that Happen makes, until ctx ends.
func (e *Engine) Run(ctx context.Context, on func(hypervisor.Event)) error {
	if _, err := e.List(ctx); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case ev := <-e.events:
			on(ev)
		}
	}
}

// Happen makes a guest do something by itself, for tests: reason is one of the
// interface's.
func (e *Engine) Happen(id, reason string) error {
	return e.change(id, func(d *domain) error {
		if !on(d.State) {
			return hypervisor.ErrState
		}
		switch reason {
		case hypervisor.ReasonShutdown:
			d.State = hypervisor.Off
		case hypervisor.ReasonCrashed:
			d.State = hypervisor.Crashed
		case hypervisor.ReasonReset, hypervisor.ReasonWatchdog:
			d.Boots++
		}
		select {
		case e.events <- hypervisor.Event{ID: id, State: d.State, Reason: reason}:
			return nil
		default:
			return errors.New("too many events wait")
		}
	})
}

// List gives every domain.
func (e *Engine) List(context.Context) ([]hypervisor.Domain, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.load(); err != nil {
		return nil, err
	}
	list := make([]hypervisor.Domain, 0, len(e.domains))
	for id, d := range e.domains {
		list = append(list, hypervisor.Domain{ID: id, State: d.State, Started: d.Started})
	}
	slices.SortFunc(list, func(a, b hypervisor.Domain) int { return strings.Compare(a.ID, b.ID) })
	return list, nil
}

// load reads the directory once. Preconditions: mu is held.
func (e *Engine) load() error {
	if e.domains != nil {
		return nil
	}
	if err := os.MkdirAll(e.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("make the fake's directory: %w", err)
	}
	entries, err := os.ReadDir(e.cfg.Dir)
	if err != nil {
		return fmt.Errorf("read the fake's directory: %w", err)
	}
	domains := map[string]*domain{}
	for _, entry := range entries {
		if id, ok := strings.CutSuffix(entry.Name(), ".json.new"); ok && hypervisor.ValidID(id) { // a crash cut its writing
			if err := os.Remove(filepath.Join(e.cfg.Dir, entry.Name())); err != nil {
				return fmt.Errorf("remove a half domain: %w", err)
			}
			continue
		}
		id, ok := strings.CutSuffix(entry.Name(), ".json")
		if !ok || !hypervisor.ValidID(id) {
			continue
		}
		b, err := os.ReadFile(e.file(id))
		if err != nil {
			return fmt.Errorf("read domain %s: %w", id, err)
		}
		d := &domain{}
		if err := json.Unmarshal(b, d); err != nil || d.Spec.ID != id {
			continue // of a host that lost power while it was written: it was never acknowledged
		}
		domains[id] = d
	}
	e.domains = domains
	return nil
}

func (e *Engine) file(id string) string { return filepath.Join(e.cfg.Dir, id+".json") }

// save writes a domain's file. Preconditions: mu is held.
func (e *Engine) save(d *domain) error {
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	name := e.file(d.Spec.ID)
	if err := os.WriteFile(name+".new", b, 0o600); err != nil {
		return fmt.Errorf("write domain %s: %w", d.Spec.ID, err)
	}
	return os.Rename(name+".new", name)
}

// change does f to a copy of a domain and keeps the copy when f agrees and
// changed it.
func (e *Engine) change(id string, f func(*domain) error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.load(); err != nil {
		return err
	}
	d := e.domains[id]
	if d == nil {
		return fmt.Errorf("domain %s: %w", id, hypervisor.ErrNotFound)
	}
	next := *d
	if err := f(&next); err != nil {
		return fmt.Errorf("domain %s: %w", id, err)
	}
	if err := e.save(&next); err != nil {
		return err
	}
	e.domains[id] = &next
	return nil
}

// fail asks Config.Fail.
func (e *Engine) fail(ctx context.Context, verb, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if e.cfg.Fail == nil {
		return nil
	}
	return e.cfg.Fail(ctx, verb, id)
}

// Destroy removes a domain.
func (e *Engine) Destroy(ctx context.Context, id string) error {
	if err := e.fail(ctx, "destroy", id); err != nil {
		return err
	}
	if !hypervisor.ValidID(id) {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.load(); err != nil {
		return err
	}
	if err := os.Remove(e.file(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove domain %s: %w", id, err)
	}
	delete(e.domains, id)
	return nil
}

// on says whether a domain in that state has a process, if it had one.
func on(s hypervisor.State) bool { return s == hypervisor.Running || s == hypervisor.Paused }
