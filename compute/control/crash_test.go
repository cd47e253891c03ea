package control_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/control"
	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/hypervisor"
)

// cutter is an engine on which a verb stops, before or after it did anything,
// until its controller is killed.
type cutter struct {
	hypervisor.Engine
	verb  string
	after bool
	once  sync.Once
	hit   chan struct{}
}

func (e *cutter) cut(ctx context.Context, verb string, do func() error) error {
	if verb != e.verb {
		return do()
	}
	if e.after {
		if err := do(); err != nil {
			return err
		}
	}
	e.once.Do(func() { close(e.hit) })
	<-ctx.Done()
	return ctx.Err()
}

func (e *cutter) Create(ctx context.Context, s hypervisor.Spec) error {
	return e.cut(ctx, "create", func() error { return e.Engine.Create(ctx, s) })
}
func (e *cutter) Start(ctx context.Context, s hypervisor.Spec) error {
	return e.cut(ctx, "start", func() error { return e.Engine.Start(ctx, s) })
}
func (e *cutter) Stop(ctx context.Context, id string, grace time.Duration) error {
	return e.cut(ctx, "stop", func() error { return e.Engine.Stop(ctx, id, grace) })
}
func (e *cutter) Reboot(ctx context.Context, id string, hard bool) error {
	return e.cut(ctx, "reboot", func() error { return e.Engine.Reboot(ctx, id, hard) })
}
func (e *cutter) Pause(ctx context.Context, id string) error {
	return e.cut(ctx, "pause", func() error { return e.Engine.Pause(ctx, id) })
}
func (e *cutter) Suspend(ctx context.Context, id string) error {
	return e.cut(ctx, "suspend", func() error { return e.Engine.Suspend(ctx, id) })
}
func (e *cutter) Rebuild(ctx context.Context, s hypervisor.Spec) error {
	return e.cut(ctx, "rebuild", func() error { return e.Engine.Rebuild(ctx, s) })
}
func (e *cutter) Snapshot(ctx context.Context, id, file string) error {
	return e.cut(ctx, "snapshot", func() error { return e.Engine.Snapshot(ctx, id, file) })
}
func (e *cutter) Destroy(ctx context.Context, id string) error {
	return e.cut(ctx, "destroy", func() error { return e.Engine.Destroy(ctx, id) })
}

// TestKilledWithin kills the controller within each verb of the hypervisor, and
// looks at what the next one makes of it.
func TestKilledWithin(t *testing.T) {
	var image string
	for _, c := range []struct {
		verb   string
		begin  func(w *world, id string) error // "" for create: id is empty
		before string                          // status that the instance has when it begins
		want   string
		domain hypervisor.State
	}{
		{"create", nil, "", "ACTIVE", hypervisor.Running},
		{"destroy", func(w *world, id string) error { return w.c.Delete(w.t.Context(), w.who, id) }, "ACTIVE", "DELETED", ""},
		{"stop", func(w *world, id string) error { return w.c.Stop(w.t.Context(), w.who, id) }, "ACTIVE", "SHUTOFF", hypervisor.Off},
		{"start", func(w *world, id string) error { return w.c.Start(w.t.Context(), w.who, id) }, "SHUTOFF", "ACTIVE", hypervisor.Running},
		{"reboot", func(w *world, id string) error { return w.c.Reboot(w.t.Context(), w.who, id, false) }, "ACTIVE", "ACTIVE", hypervisor.Running},
		{"stop", func(w *world, id string) error { return w.c.Reboot(w.t.Context(), w.who, id, true) }, "ACTIVE", "ACTIVE", hypervisor.Running},
		{"start", func(w *world, id string) error { return w.c.Reboot(w.t.Context(), w.who, id, true) }, "ACTIVE", "ACTIVE", hypervisor.Running},
		{"pause", func(w *world, id string) error { return w.c.Pause(w.t.Context(), w.who, id) }, "ACTIVE", "PAUSED", hypervisor.Paused},
		{"suspend", func(w *world, id string) error { return w.c.Suspend(w.t.Context(), w.who, id) }, "ACTIVE", "SUSPENDED", hypervisor.Suspended},
		{"rebuild", func(w *world, id string) error {
			_, err := w.c.Rebuild(w.t.Context(), w.who, id, control.RebuildRequest{})
			return err
		}, "ACTIVE", "ACTIVE", hypervisor.Running},
		{"stop", func(w *world, id string) error { return w.c.Resize(w.t.Context(), w.who, id, "2", "") }, "ACTIVE", "VERIFY_RESIZE", hypervisor.Running},
		{"start", func(w *world, id string) error { return w.c.Resize(w.t.Context(), w.who, id, "2", "") }, "ACTIVE", "VERIFY_RESIZE", hypervisor.Running},
		{"start", func(w *world, id string) error {
			_, err := w.c.Rescue(w.t.Context(), w.who, id, "", "")
			return err
		}, "ACTIVE", "RESCUE", hypervisor.Running},
		{"snapshot", func(w *world, id string) (err error) {
			image, err = w.c.Snapshot(w.t.Context(), w.who, id, "copy", nil)
			return err
		}, "ACTIVE", "ACTIVE", hypervisor.Running},
		{"destroy", func(w *world, id string) error { return w.c.Shelve(w.t.Context(), w.who, id) }, "ACTIVE", "SHELVED_OFFLOADED", ""},
	} {
		for _, after := range []bool{false, true} {
			name := c.verb + " to " + c.want + map[bool]string{false: ", before", true: ", after"}[after]
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, nil)
				id := ""
				if c.before != "" {
					id = w.create().ID
				}
				if c.before == "SHUTOFF" {
					w.must(w.c.Stop(t.Context(), w.who, id))
					w.become(id, "SHUTOFF")
				}
				cut := &cutter{verb: c.verb, after: after, hit: make(chan struct{})}
				w.deps = func(d *control.Deps) { cut.Engine, d.Engine = d.Engine, cut }
				w.restart()
				if c.begin == nil {
					made, err := w.c.Create(t.Context(), w.who, w.request())
					w.must(err)
					id = made[0].ID
				} else {
					w.must(c.begin(w, id))
				}
				<-cut.hit
				w.deps = nil
				w.restart()
				w.become(id, c.want)
				if d := w.domain(id); d != c.domain {
					t.Errorf("domain is %q, want %q", d, c.domain)
				}
				list, err := w.engine.List(t.Context())
				w.must(err)
				if n := w.used("p1", compute.QuotaInstances); len(list) > 1 || n > 1 || (c.want == "DELETED") != (n == 0) {
					t.Errorf("%d domains, %d instances are charged", len(list), n)
				}
				w.checkHosts()
				if c.verb == "snapshot" {
					_, err := w.images.Get(t.Context(), w.who, image)
					wantKind(t, err, compute.NotFound)
				}
				if left, _ := filepath.Glob(filepath.Join(w.dir, "scratch", "*")); len(left) > 0 {
					t.Errorf("files are left: %v", left)
				}
			})
		}
	}
}

// TestDeleteCutsWhatRuns: a delete does not wait for a build or a snapshot.
func TestDeleteCutsWhatRuns(t *testing.T) {
	for _, verb := range []string{"create", "snapshot"} {
		t.Run(verb, func(t *testing.T) {
			cut := &cutter{verb: verb, hit: make(chan struct{})}
			w := newWorld(t, func(w *world) {
				w.deps = func(d *control.Deps) { cut.Engine, d.Engine = d.Engine, cut }
			})
			made, err := w.c.Create(t.Context(), w.who, w.request())
			w.must(err)
			id, image := made[0].ID, ""
			if verb == "snapshot" {
				w.become(id, "ACTIVE")
				image, err = w.c.Snapshot(t.Context(), w.who, id, "copy", nil)
				w.must(err)
			}
			<-cut.hit
			w.must(w.c.Delete(t.Context(), w.who, id))
			w.become(id, "DELETED")
			if image != "" {
				w.until("the image is gone", func() bool {
					_, err := w.images.Get(t.Context(), w.who, image)
					return compute.IsKind(err, compute.NotFound)
				})
			}
			w.checkHosts()
		})
	}
}

// TestFailures: what a hypervisor that cannot do a thing leaves.
func TestFailures(t *testing.T) {
	broken := errors.New("broken in /secret/path")
	for _, c := range []struct {
		verb string
		do   func(w *world, id string) error
		want string
	}{
		{"stop", func(w *world, id string) error { return w.c.Stop(w.t.Context(), w.who, id) }, "ACTIVE"},
		{"pause", func(w *world, id string) error { return w.c.Pause(w.t.Context(), w.who, id) }, "ACTIVE"},
		{"suspend", func(w *world, id string) error { return w.c.Suspend(w.t.Context(), w.who, id) }, "ACTIVE"},
		{"rebuild", func(w *world, id string) error {
			_, err := w.c.Rebuild(w.t.Context(), w.who, id, control.RebuildRequest{})
			return err
		}, "ERROR"},
		{"start", func(w *world, id string) error { return w.c.Resize(w.t.Context(), w.who, id, "2", "") }, "ERROR"},
		{"start", func(w *world, id string) error { return w.c.Reboot(w.t.Context(), w.who, id, true) }, "ERROR"},
		{"snapshot", func(w *world, id string) error {
			_, err := w.c.Snapshot(w.t.Context(), w.who, id, "copy", nil)
			return err
		}, "ACTIVE"},
	} {
		t.Run(c.verb+" to "+c.want, func(t *testing.T) {
			var mu sync.Mutex
			on := false
			w := newWorld(t, func(w *world) {
				w.fail = func(_ context.Context, verb, _ string) error {
					mu.Lock()
					defer mu.Unlock()
					if on && verb == c.verb {
						return broken
					}
					return nil
				}
			})
			id := w.create().ID
			mu.Lock()
			on = true
			mu.Unlock()
			w.must(c.do(w, id))
			row := w.become(id, c.want)
			if row.Fault == nil || strings.Contains(row.Fault.Message, "secret") || !strings.Contains(row.Fault.Details, "secret") {
				t.Errorf("fault = %+v", row.Fault)
			}
			if row.Flavor.ID != "1" || row.OldFlavor != nil {
				t.Errorf("flavor %s, old %v", row.Flavor.ID, row.OldFlavor)
			}
			w.checkHosts()
			mu.Lock()
			on = false
			mu.Unlock()
			w.must(w.c.Reboot(t.Context(), w.who, id, true))
			if row := w.become(id, "ACTIVE"); row.Fault != nil {
				t.Errorf("fault = %+v", row.Fault)
			}
		})
	}
}

// TestBuildFails: the place and the networks are free, the quota is held until it
// is deleted.
func TestBuildFails(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.fail = func(_ context.Context, verb, _ string) error {
			if verb == "create" {
				return hypervisor.ErrNoSpace
			}
			return nil
		}
	})
	made, err := w.c.Create(t.Context(), w.who, w.request())
	w.must(err)
	row := w.become(made[0].ID, "ERROR")
	if row.Fault == nil || row.Fault.Message != "No space left on the host." || row.HostID != "" || len(row.Ports) != 0 {
		t.Errorf("fault %+v, host %q, ports %v", row.Fault, row.HostID, row.Ports)
	}
	if h := w.host("host-a"); h.Instances != 0 || w.used("p1", compute.QuotaInstances) != 1 || w.domain(row.ID) != "" {
		t.Errorf("host %+v", h)
	}
	w.must(w.c.Delete(t.Context(), w.who, row.ID))
	w.become(row.ID, "DELETED")
}

// TestOrphans: a domain without a row, and one whose row is deleted, are destroyed
// at start; a store without any instance destroys nothing.
func TestOrphans(t *testing.T) {
	w := newWorld(t, nil)
	stray := hypervisor.Spec{ID: compute.NewID(), Name: "stray", VCPUs: 1, MemoryMiB: 64, Root: hypervisor.Disk{Bytes: 1 << 20}}
	w.must(w.engine.Create(t.Context(), stray))
	w.restart()
	if d := w.domain(stray.ID); d != hypervisor.Running {
		t.Fatalf("a store without instances destroyed a domain: it is %q", d)
	}
	keep := w.create()
	w.restart()
	w.until("the stray domain is destroyed", func() bool { return w.domain(stray.ID) == "" })
	if d := w.domain(keep.ID); d != hypervisor.Running {
		t.Errorf("the instance's own domain is %q", d)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "instances", keep.ID+".json")); err != nil {
		t.Error(err)
	}
}

// TestGuestsOutliveControllers: nothing happens to a guest when its controller
// is killed and another starts.
func TestGuestsOutliveControllers(t *testing.T) {
	w := newWorld(t, nil)
	row := w.create()
	list, err := w.engine.List(t.Context())
	w.must(err)
	w.restart()
	again, err := w.engine.List(t.Context())
	w.must(err)
	if len(again) != 1 || !again[0].Started.Equal(list[0].Started) {
		t.Errorf("domains = %+v, were %+v", again, list)
	}
	if got := w.become(row.ID, "ACTIVE"); got.Generation != row.Generation {
		t.Errorf("something was done to it: generation %d, was %d", got.Generation, row.Generation)
	}
}

// fullStore is a store that takes nothing while it is full.
type fullStore struct {
	compute.Store
	mu   sync.Mutex
	full bool
}

func (s *fullStore) set(full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = full
}

func (s *fullStore) Write(ctx context.Context, fn func(*compute.Tx) error) error {
	s.mu.Lock()
	full := s.full
	s.mu.Unlock()
	if full {
		return errors.New("database or disk is full")
	}
	return s.Store.Write(ctx, fn)
}

// TestFullDisk: a task whose end cannot be stored is neither lost nor an error of
// the instance.
func TestFullDisk(t *testing.T) {
	full := &fullStore{}
	var healed atomic.Bool
	built := make(chan struct{}, 8)
	w := newWorld(t, func(w *world) {
		w.cfg.StallDelay = 10 * time.Millisecond
		w.deps = func(d *control.Deps) { full.Store, d.Store = d.Store, full }
		w.fail = func(_ context.Context, verb, _ string) error {
			if verb == "create" && !healed.Load() {
				full.set(true)
				select {
				case built <- struct{}{}:
				default:
				}
			}
			return nil
		}
	})
	made, err := w.c.Create(t.Context(), w.who, w.request())
	w.must(err)
	<-built
	<-built // it was tried again
	if _, err := w.c.Create(t.Context(), w.who, w.request()); err == nil {
		t.Error("an instance was promised that could not be stored")
	}
	healed.Store(true)
	full.set(false)
	w.become(made[0].ID, "ACTIVE")
	w.checkHosts()
}

// TestVerbsDoNotCutOtherJobs: a stop that comes while a card is attached waits.
func TestVerbsDoNotCutOtherJobs(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	w := newWorld(t, func(w *world) {
		w.fail = func(ctx context.Context, verb, _ string) error {
			if verb != "attach" {
				return nil
			}
			close(entered)
			select {
			case <-leave:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	row := w.create()
	network := ""
	w.read(func(tx *compute.Tx) error {
		p, err := tx.Ports.Get(row.Ports[0])
		network = p.NetworkID
		return err
	})
	done := make(chan error, 1)
	go func() {
		_, err := w.c.AttachInterface(context.Background(), w.who, row.ID, fabric.Want{NetworkID: network})
		done <- err
	}()
	<-entered
	w.must(w.c.Stop(t.Context(), w.who, row.ID))
	close(leave)
	w.must(<-done)
	if row := w.become(row.ID, "SHUTOFF"); len(row.Ports) != 2 {
		t.Errorf("ports = %v", row.Ports)
	}
}
