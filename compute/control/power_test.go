package control_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/control"
	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/network"
)

func TestGuestPowersOff(t *testing.T) {
	w := newWorld(t, nil)
	id := w.create().ID
	w.must(w.engine.Happen(id, hypervisor.ReasonShutdown))
	w.until("it is said to be off", func() bool { return w.get(id).Status() == "SHUTOFF" })
	w.must(w.c.Start(t.Context(), w.who, id))
	w.become(id, "ACTIVE")
}

func TestCrashedStaysOffWithoutPolicy(t *testing.T) {
	w := newWorld(t, nil)
	id := w.create().ID
	w.must(w.engine.Happen(id, hypervisor.ReasonCrashed))
	w.until("it is said to be off", func() bool {
		row := w.get(id)
		return row.Status() == "SHUTOFF" && row.Power == compute.PowerCrashed
	})
}

func TestCrashedIsStartedAgainByPolicy(t *testing.T) {
	var mu sync.Mutex
	var audit []compute.AuditEvent
	w := newWorld(t, func(w *world) {
		w.deps = func(d *control.Deps) {
			d.Audit = func(e compute.AuditEvent) {
				mu.Lock()
				defer mu.Unlock()
				audit = append(audit, e)
			}
		}
	})
	q := w.request()
	q.Metadata = map[string]string{"auto_recovery": "true"}
	made, err := w.c.Create(t.Context(), w.who, q)
	w.must(err)
	row := w.become(made[0].ID, "ACTIVE")
	for range 2 {
		before := w.get(row.ID).Generation
		w.must(w.engine.Happen(row.ID, hypervisor.ReasonCrashed))
		w.until("it runs again", func() bool {
			now := w.get(row.ID)
			return now.Status() == "ACTIVE" && now.Generation > before && now.Task == compute.TaskNone && w.domain(row.ID) == hypervisor.Running
		})
	}
	mu.Lock()
	defer mu.Unlock()
	if len(audit) != 2 || audit[0].TargetID != row.ID || audit[0].Outcome != compute.AuditSuccess {
		t.Errorf("audit = %+v", audit)
	}
}

// TestMissedEvents: what happened while no controller ran is seen by the next.
func TestMissedEvents(t *testing.T) {
	w := newWorld(t, nil)
	id := w.create().ID
	w.stop()
	w.must(w.engine.Stop(t.Context(), id, 0))
	w.start()
	w.until("it is said to be off", func() bool { return w.get(id).Status() == "SHUTOFF" })
}

// sickEngine is an engine whose host does not answer.
type sickEngine struct {
	hypervisor.Engine
	mu   sync.Mutex
	sick bool
}

func (e *sickEngine) Info(ctx context.Context) (hypervisor.Info, error) {
	e.mu.Lock()
	sick := e.sick
	e.mu.Unlock()
	if sick {
		return hypervisor.Info{}, context.DeadlineExceeded
	}
	return e.Engine.Info(ctx)
}

func TestHostGoesDownAndComesBack(t *testing.T) {
	var mu sync.Mutex
	skew := time.Duration(0)
	engine := &sickEngine{}
	w := newWorld(t, func(w *world) {
		w.cfg.Heartbeat = 10 * time.Millisecond
		w.deps = func(d *control.Deps) {
			engine.Engine, d.Engine = d.Engine, engine
			d.Now = func() time.Time {
				mu.Lock()
				defer mu.Unlock()
				return time.Now().Add(skew)
			}
		}
	})
	if up, _ := w.c.HostUp("host-a"); !up {
		t.Fatal("the host is down")
	}
	engine.mu.Lock()
	engine.sick = true
	engine.mu.Unlock()
	w.until("no heartbeat is on its way", func() bool {
		_, last := w.c.HostUp("host-a")
		return time.Since(last) > 100*time.Millisecond
	})
	mu.Lock()
	skew = compute.HeartbeatMax
	mu.Unlock()
	if up, _ := w.c.HostUp("host-a"); up || w.c.Ready(t.Context()) == nil {
		t.Error("the host is up")
	}
	w.until("no place is given on it", func() bool {
		made, err := w.c.Create(t.Context(), w.who, w.request())
		w.must(err)
		w.must(w.c.Delete(t.Context(), w.who, made[0].ID))
		return made[0].VM == compute.VMError
	})
	engine.mu.Lock()
	engine.sick = false
	engine.mu.Unlock()
	w.until("it is back", func() bool { up, _ := w.c.HostUp("host-a"); return up })
	w.create()
}

// names is a registrar that remembers what it was told.
type names struct {
	mu   sync.Mutex
	list []compute.InstanceName
}

func (n *names) SetNames(_ context.Context, list []compute.InstanceName) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = list
	return nil
}

// are says whether exactly these hostnames have an address.
func (n *names) are(want ...string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	var got []string
	for _, i := range n.list {
		if len(i.Addrs) > 0 && i.ID != "" {
			got = append(got, i.Hostname)
		}
	}
	return slices.Equal(got, want)
}

// TestNames: an instance has its name while it is on, under the hostname of the moment.
func TestNames(t *testing.T) {
	n := &names{}
	w := newWorld(t, func(w *world) { w.deps = func(d *control.Deps) { d.Names = n } })
	id := w.create().ID
	w.until("the name is there", func() bool { return n.are("web") })
	other := "other"
	_, err := w.c.Update(t.Context(), w.who, id, control.UpdateRequest{Hostname: &other})
	w.must(err)
	w.until("the name is the new one", func() bool { return n.are("other") })
	w.must(w.c.Stop(t.Context(), w.who, id))
	w.until("a stopped instance has no name", func() bool { return n.are() })
	w.must(w.c.Start(t.Context(), w.who, id))
	w.until("a started instance has it again", func() bool { return n.are("other") })
	w.must(w.c.Delete(t.Context(), w.who, id))
	w.until("the name is gone", func() bool { return n.are() })
}

func TestUsage(t *testing.T) {
	w := newWorld(t, nil)
	id := w.create().ID
	launched := w.get(id).Launched
	w.write(func(tx *compute.Tx) error { // it has been there for two days
		row, err := tx.Instances.Get(id)
		if err != nil {
			return err
		}
		row.Launched = launched.Add(-48 * time.Hour)
		return tx.Instances.Update(row)
	})
	list, err := w.c.Usage(t.Context(), "p1", launched.Add(-24*time.Hour), launched.Add(-12*time.Hour))
	w.must(err)
	if len(list) != 1 || list[0].Hours != 12 || list[0].MemoryMiBHours != 12*512 || len(list[0].Instances) != 1 {
		t.Errorf("usage = %+v", list)
	}
	list, err = w.c.Usage(t.Context(), "", launched.Add(-96*time.Hour), launched.Add(-72*time.Hour))
	w.must(err)
	if len(list) != 0 {
		t.Errorf("usage before it was there = %+v", list)
	}
	_, err = w.c.Usage(t.Context(), "", launched, launched)
	wantKind(t, err, compute.Invalid)
}

func TestMetadataAndTags(t *testing.T) {
	w := newWorld(t, nil)
	ctx := t.Context()
	id := w.create().ID
	_, err := w.c.SetMetadata(ctx, w.who, id, map[string]string{"a": "1"}, false)
	w.must(err)
	got, err := w.c.SetMetadata(ctx, w.who, id, map[string]string{"b": "2"}, false)
	w.must(err)
	if len(got) != 2 {
		t.Errorf("metadata = %v", got)
	}
	w.must(w.c.DeleteMetadata(ctx, w.who, id, "a"))
	wantKind(t, w.c.DeleteMetadata(ctx, w.who, id, "a"), compute.NotFound)
	many := map[string]string{}
	for i := range 200 {
		many[string(rune('a'+i))] = "x"
	}
	_, err = w.c.SetMetadata(ctx, w.who, id, many, true)
	wantKind(t, err, compute.OverQuota)
	tags, err := w.c.SetTags(ctx, w.who, id, func(t []string) ([]string, error) { return append(t, "x"), nil })
	w.must(err)
	if len(tags) != 1 {
		t.Errorf("tags = %v", tags)
	}
}

// TestQueueIsBounded: more jobs than QueueMax are refused, not kept.
func TestQueueIsBounded(t *testing.T) {
	reg := prometheus.NewRegistry()
	block := make(chan struct{})
	w := newWorld(t, func(w *world) {
		w.cfg.QueueMax = 2
		w.deps = func(d *control.Deps) { d.Registerer = reg }
		w.fail = func(ctx context.Context, verb, _ string) error {
			if verb == "create" {
				select {
				case <-block:
				case <-ctx.Done():
				}
			}
			return nil
		}
	})
	for range 2 {
		_, err := w.c.Create(t.Context(), w.who, w.request())
		w.must(err)
	}
	_, err := w.c.Create(t.Context(), w.who, w.request())
	wantKind(t, err, compute.Exhausted)
	families, err := reg.Gather()
	w.must(err)
	jobs := -1.0
	for _, f := range families {
		if f.GetName() == "kamado_compute_jobs" {
			jobs = f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	if jobs != 2 {
		t.Errorf("kamado_compute_jobs = %v, want 2", jobs)
	}
	close(block)
	w.until("the jobs are done", func() bool {
		_, err := w.c.Create(t.Context(), w.who, w.request())
		return err == nil
	})
}

func TestCreateRefuses(t *testing.T) {
	w := newWorld(t, nil)
	for name, change := range map[string]func(*control.CreateRequest){
		"no such flavor":              func(q *control.CreateRequest) { q.FlavorID = "9" },
		"a flavor of others":          func(q *control.CreateRequest) { q.FlavorID = "secret" },
		"no such image":               func(q *control.CreateRequest) { q.ImageID = compute.NewID() },
		"no image":                    func(q *control.CreateRequest) { q.ImageID = "" },
		"no such keypair":             func(q *control.CreateRequest) { q.KeyName = "nobody's" },
		"no such zone":                func(q *control.CreateRequest) { q.Zone = "moon" },
		"no such host":                func(q *control.CreateRequest) { q.Host = "moon" },
		"no such group":               func(q *control.CreateRequest) { q.GroupID = "none" },
		"too many":                    func(q *control.CreateRequest) { q.Min = w.cfg.BatchMax + 1 },
		"another's keypair of a name": func(q *control.CreateRequest) { q.KeyName = "mallory/key" },
	} {
		q := w.request()
		change(&q)
		_, err := w.c.Create(t.Context(), w.who, q)
		if !compute.IsKind(err, compute.Invalid) {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	if n := w.used("p1", compute.QuotaInstances); n != 0 {
		t.Errorf("%d instances are charged", n)
	}
	w.checkHosts()
}

// lateNetwork is an engine that guests wait for, and that needs a word before it
// applies anything.
type lateNetwork struct {
	network.Engine
	word chan struct{}
	mu   sync.Mutex
	told map[string]bool // ports
}

func (e *lateNetwork) Apply(ctx context.Context, s network.State) error {
	select {
	case <-e.word:
	case <-ctx.Done():
		return ctx.Err()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range s.Ports {
		e.told[p.ID] = true
	}
	return e.Engine.Apply(ctx, s)
}

// TestGuestsWaitForTheirNetwork: no domain is made before the network engine was
// told of its port.
func TestGuestsWaitForTheirNetwork(t *testing.T) {
	late := &lateNetwork{word: make(chan struct{}, 1), told: map[string]bool{}}
	late.word <- struct{}{} // for the start
	w := newWorld(t, func(w *world) {
		w.deps = func(d *control.Deps) { late.Engine, d.Network = d.Network, late }
		w.fail = func(_ context.Context, verb, id string) error {
			late.mu.Lock()
			defer late.mu.Unlock()
			if verb == "create" && !late.told[w.get(id).Ports[0]] {
				t.Error("a domain is made before its network")
			}
			return nil
		}
	})
	made, err := w.c.Create(t.Context(), w.who, w.request())
	w.must(err)
	close(late.word)
	w.become(made[0].ID, "ACTIVE")
}

// TestWatchdog: a guest that hangs is restarted by policy, unless the hypervisor
// does so itself.
func TestWatchdog(t *testing.T) {
	w := newWorld(t, nil)
	for action, again := range map[string]bool{"none": true, "reset": false} {
		w.write(func(tx *compute.Tx) error {
			return tx.Flavors.Insert(&compute.Flavor{ID: action, Name: action, VCPUs: 1, MemoryMiB: 128, DiskGiB: 1, Public: true,
				Extra: map[string]string{"hw:watchdog_action": action, "kamado:auto_recovery": "true"}})
		})
		q := w.request()
		q.FlavorID = action
		made, err := w.c.Create(t.Context(), w.who, q)
		w.must(err)
		row := w.become(made[0].ID, "ACTIVE")
		w.must(w.engine.Happen(row.ID, hypervisor.ReasonWatchdog))
		if again {
			w.until("it is restarted", func() bool { return w.get(row.ID).Generation > row.Generation })
			w.become(row.ID, "ACTIVE")
			continue
		}
		// A later event of the same guest comes after it in the same line.
		w.must(w.engine.Happen(row.ID, hypervisor.ReasonShutdown))
		w.until("it is said to be off", func() bool { return w.get(row.ID).Status() == "SHUTOFF" })
		if now := w.get(row.ID); now.Generation != row.Generation {
			t.Errorf("it was restarted: generation %d, was %d", now.Generation, row.Generation)
		}
	}
}

// TestNotReadyBeforeItsNetworks: clients that come at the first moment find the
// floating addresses reachable.
func TestNotReadyBeforeItsNetworks(t *testing.T) {
	w := newWorld(t, nil)
	w.stop()
	w.net.Fail(errors.New("no permission"))
	applied := w.net.Applied()
	c := control.New(control.Deps{Store: w.store, Engine: w.engine, Network: w.net, Fabric: w.fabric, Images: w.images, HostID: "host-a",
		Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}, w.cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	w.until("a round failed and the host is up", func() bool {
		up, _ := c.HostUp("host-a")
		return up && w.net.Applied() > applied
	})
	if err := c.Ready(ctx); !compute.IsKind(err, compute.Unavailable) {
		t.Errorf("Ready = %v with networks that are not made", err)
	}
	w.net.Fail(nil)
	w.until("it is ready", func() bool { return c.Ready(ctx) == nil })
	cancel()
	w.must(<-done)
}
