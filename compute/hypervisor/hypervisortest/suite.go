// Package hypervisortest holds what every hypervisor engine promises, as tests
// that an engine's own test runs on itself.
//
// The guest of the suite is the engine's to provide, by a Subject: a disk that
// boots to a login prompt within moments, powers off when its power button is
// pressed and does what Subject.Happen makes it do. Each test has an engine on a
// directory of its own, and leaves no domain.
package hypervisortest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/compute/hypervisor"
)

// Subject is the engine under test.
type Subject struct {
	// New gives an engine on a directory, where an earlier one may have been.
	New func(t *testing.T, dir string) hypervisor.Engine
	// Root is a disk from which a guest boots to a line that ends in "login: ".
	Root func(t *testing.T) hypervisor.Disk
	// Happen makes the guest of a domain power off ("shutdown") or restart ("reset") by itself.
	Happen func(t *testing.T, e hypervisor.Engine, id, reason string)
	// Processes says whether domains have processes, whose pids List tells.
	Processes bool
	// NIC gives a card that the engine takes at this place.
	NIC func(port string) hypervisor.NIC
}

// patience bounds how long anything may take here.
const patience = 30 * time.Second

// bench is an engine at work in one test.
type bench struct {
	t      *testing.T
	sub    Subject
	dir    string
	e      hypervisor.Engine
	events chan hypervisor.Event
	stop   func()
}

func newBench(t *testing.T, sub Subject) *bench {
	t.Helper()
	b := &bench{t: t, sub: sub, dir: t.TempDir()}
	b.open()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		list, err := b.e.List(ctx)
		if err != nil {
			t.Errorf("List at the end = %v", err)
		}
		for _, d := range list {
			if err := b.e.Destroy(ctx, d.ID); err != nil {
				t.Errorf("Destroy(%s) at the end = %v", d.ID, err)
			}
		}
		b.stop()
	})
	return b
}

// open makes an engine on the directory and runs it.
func (b *bench) open() {
	b.t.Helper()
	b.e = b.sub.New(b.t, b.dir)
	events := make(chan hypervisor.Event, 1000)
	b.events = events
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.e.Run(ctx, func(ev hypervisor.Event) { events <- ev }) }()
	b.stop = func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("Run = %v", err)
		}
	}
}

// reopen is a restart of the agent: the engine goes, another one comes.
func (b *bench) reopen() {
	b.t.Helper()
	b.stop()
	b.open()
}

func (b *bench) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	b.t.Cleanup(cancel)
	return ctx
}

const domainID = "5f1c0f3e-7f1e-4a86-9d83-0d1f4f2f6c01"

func (b *bench) spec(id string) hypervisor.Spec {
	b.t.Helper()
	root := b.sub.Root(b.t)
	root.Bytes = max(root.Bytes, 8<<20)
	return hypervisor.Spec{ID: id, Name: "guest", VCPUs: 1, MemoryMiB: 64, Root: root}
}

// create makes a domain and waits for its prompt.
func (b *bench) create(s hypervisor.Spec) {
	b.t.Helper()
	b.must(b.e.Create(b.ctx(), s))
	b.prompt(s.ID, 1)
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// prompt waits until the console ends in the login prompt of the guest's nth boot.
func (b *bench) prompt(id string, boot int) {
	b.t.Helper()
	b.until(fmt.Sprintf("login prompt of boot %d", boot), func() bool {
		log, err := b.e.Console(b.ctx(), id, 0)
		b.must(err)
		return strings.HasSuffix(string(log), "login: ") && strings.Count(string(log), "login: ") >= boot
	})
}

func (b *bench) until(what string, ok func() bool) {
	b.t.Helper()
	end := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(end) {
			b.t.Fatalf("no %s within %v", what, patience)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// domain gives what List says of one.
func (b *bench) domain(id string) (hypervisor.Domain, bool) {
	b.t.Helper()
	list, err := b.e.List(b.ctx())
	b.must(err)
	for _, d := range list {
		if d.ID == id {
			return d, true
		}
	}
	return hypervisor.Domain{}, false
}

// is checks a domain's state.
func (b *bench) is(id string, want hypervisor.State) hypervisor.Domain {
	b.t.Helper()
	d, ok := b.domain(id)
	if !ok {
		b.t.Fatalf("List does not have %s, want it %s", id, want)
	}
	if d.State != want {
		b.t.Fatalf("domain is %s, want %s", d.State, want)
	}
	if alive := want == hypervisor.Running || want == hypervisor.Paused; b.sub.Processes && alive != (d.Pid != 0) {
		b.t.Errorf("domain that is %s has pid %d", want, d.Pid)
	}
	return d
}

// event waits for an event.
func (b *bench) event(reason string, state hypervisor.State) {
	b.t.Helper()
	end := time.After(patience)
	for {
		select {
		case ev := <-b.events:
			if ev.Reason != reason {
				continue
			}
			if ev.State != state || ev.ID != domainID {
				b.t.Errorf("event %+v, want %s of %s", ev, state, domainID)
			}
			return
		case <-end:
			b.t.Fatalf("no event %q within %v", reason, patience)
		}
	}
}

// Run checks an engine.
func Run(t *testing.T, sub Subject) {
	for name, test := range map[string]func(*bench){
		"a domain runs once it is created, and creating it again changes nothing": testCreate,
		"each verb does what it says in each state, or says why not":              testStates,
		"a domain that is not there is told apart":                                testNotFound,
		"what cannot be is refused and leaves nothing":                            testRefused,
		"a guest that powers off or restarts is told":                             testEvents,
		"a guest that is asked powers off and restarts":                           testAsked,
		"another engine adopts what it finds, in each state":                      testAdopt,
		"a snapshot is a whole disk, of a guest that runs and of one that is off": testSnapshot,
		"a rebuild starts afresh":                                                 testRebuild,
		"a rescue starts from another disk, and back":                             testRescue,
		"a disk grows at the next start, and never shrinks":                       testGrow,
		"cards come and go": testCards,
		"display, serial console and diagnostics of a guest that is on": testLook,
		"a suspended guest goes on":                                     testSuspend,
		"verbs on many domains at once":                                 testMany,
	} {
		t.Run(name, func(t *testing.T) { test(newBench(t, sub)) })
	}
}

func testCreate(b *bench) {
	s := b.spec(domainID)
	s.ConfigDrive = []byte("not an image, and not looked at")
	s.EphemeralBytes, s.SwapBytes = 1<<20, 1<<20
	b.create(s)
	d := b.is(domainID, hypervisor.Running)
	if d.Started.IsZero() {
		b.t.Error("a running domain has no start")
	}
	b.must(b.e.Create(b.ctx(), s))
	if again := b.is(domainID, hypervisor.Running); again.Pid != d.Pid {
		b.t.Errorf("Create of a running domain made process %d of %d", again.Pid, d.Pid)
	}
	b.must(b.e.Start(b.ctx(), s))
	if again := b.is(domainID, hypervisor.Running); again.Pid != d.Pid {
		b.t.Errorf("Start of a running domain made process %d of %d", again.Pid, d.Pid)
	}
	b.must(b.e.Destroy(b.ctx(), domainID))
	b.must(b.e.Destroy(b.ctx(), domainID))
	if _, there := b.domain(domainID); there {
		b.t.Error("a destroyed domain is listed")
	}
	if _, err := b.e.Console(b.ctx(), domainID, 0); !errors.Is(err, hypervisor.ErrNotFound) {
		b.t.Errorf("Console of a destroyed domain = %v, want ErrNotFound", err)
	}
	info, err := b.e.Info(b.ctx())
	if err != nil || info.Hypervisor == "" || info.VCPUs < 1 || info.MemoryMiB < 1 || info.DiskGiB < 1 || info.Accelerator == "" {
		b.t.Errorf("Info = %+v, %v, want it complete", info, err)
	}
}

// verbs are what is tried in each state.
func (b *bench) verbs(s hypervisor.Spec) map[string]func() error {
	ctx := b.ctx()
	return map[string]func() error{
		"start":       func() error { return b.e.Start(ctx, s) },
		"stop":        func() error { return b.e.Stop(ctx, s.ID, 0) },
		"pause":       func() error { return b.e.Pause(ctx, s.ID) },
		"unpause":     func() error { return b.e.Unpause(ctx, s.ID) },
		"suspend":     func() error { return b.e.Suspend(ctx, s.ID) },
		"hard reboot": func() error { return b.e.Reboot(ctx, s.ID, true) },
		"soft reboot": func() error { return b.e.Reboot(ctx, s.ID, false) },
		"rebuild":     func() error { return b.e.Rebuild(ctx, s) },
		"attach":      func() error { return b.e.AttachNIC(ctx, s.ID, b.sub.NIC("p1")) },
		"detach":      func() error { return b.e.DetachNIC(ctx, s.ID, "p1") },
		"diagnostics": func() error { _, err := b.e.Diagnostics(ctx, s.ID); return err },
		"console":     func() error { _, err := b.e.Console(ctx, s.ID, 1); return err },
		"display":     func() error { c, err := b.e.VNC(ctx, s.ID); return closed(c, err) },
		"serial":      func() error { c, err := b.e.Serial(ctx, s.ID); return closed(c, err) },
	}
}

func closed(c interface{ Close() error }, err error) error {
	if err != nil {
		return err
	}
	return c.Close()
}

func testStates(b *bench) {
	const running, paused, off, suspended = hypervisor.Running, hypervisor.Paused, hypervisor.Off, hypervisor.Suspended
	const refused = hypervisor.State("refused")
	to := map[string]string{string(running): "start", string(paused): "pause", string(off): "stop", string(suspended): "suspend"}
	cases := map[string]map[hypervisor.State]hypervisor.State{
		"start":       {running: running, paused: paused, off: running, suspended: running},
		"stop":        {running: off, paused: off, off: off, suspended: off},
		"pause":       {running: paused, paused: paused, off: refused, suspended: refused},
		"unpause":     {running: running, paused: running, off: refused, suspended: refused},
		"suspend":     {running: suspended, paused: suspended, off: refused, suspended: suspended},
		"hard reboot": {running: running, paused: running, off: refused, suspended: refused},
		"soft reboot": {running: running, paused: refused, off: refused, suspended: refused},
		"rebuild":     {running: running, paused: running, off: running, suspended: running},
		"attach":      {off: refused, suspended: refused},
		"detach":      {off: refused, suspended: refused},
		"diagnostics": {running: running, paused: paused, off: refused, suspended: refused},
		"console":     {running: running, paused: paused, off: off, suspended: suspended},
		"display":     {running: running, paused: paused, off: refused, suspended: refused},
		"serial":      {running: running, paused: paused, off: refused, suspended: refused},
	}
	s := b.spec(domainID)
	b.must(b.e.Create(b.ctx(), s))
	for _, from := range []hypervisor.State{running, paused, off, suspended} {
		for verb, wants := range cases {
			want, tried := wants[from]
			if !tried {
				continue
			}
			verbs := b.verbs(s)
			b.must(verbs["stop"]())
			b.must(verbs["start"]())
			b.must(verbs[to[string(from)]]())
			b.is(domainID, from)
			err := verbs[verb]()
			if want == refused {
				want = from
				if !errors.Is(err, hypervisor.ErrState) {
					b.t.Errorf("%s of a domain that is %s = %v, want ErrState", verb, from, err)
				}
			} else if err != nil {
				b.t.Errorf("%s of a domain that is %s = %v", verb, from, err)
			}
			b.is(domainID, want)
		}
	}
}

func testNotFound(b *bench) {
	s := b.spec(domainID)
	for verb, do := range b.verbs(s) {
		if err := do(); !errors.Is(err, hypervisor.ErrNotFound) {
			b.t.Errorf("%s of no domain = %v, want ErrNotFound", verb, err)
		}
	}
	if err := b.e.Snapshot(b.ctx(), domainID, b.dir+"/snapshot"); !errors.Is(err, hypervisor.ErrNotFound) {
		b.t.Errorf("snapshot of no domain = %v, want ErrNotFound", err)
	}
	b.must(b.e.Destroy(b.ctx(), domainID))
	b.must(b.e.Destroy(b.ctx(), "../"+domainID))
}

func testRefused(b *bench) {
	for name, c := range map[string]struct {
		change func(*hypervisor.Spec)
		want   error
	}{
		"an id that is a path":   {func(s *hypervisor.Spec) { s.ID = "../a" }, hypervisor.ErrSpec},
		"no processor":           {func(s *hypervisor.Spec) { s.VCPUs = 0 }, hypervisor.ErrSpec},
		"a format to be guessed": {func(s *hypervisor.Spec) { s.Root.BaseFormat = "" }, hypervisor.ErrSpec},
		"a card without address": {func(s *hypervisor.Spec) { s.NICs = []hypervisor.NIC{{PortID: "p"}} }, hypervisor.ErrSpec},
		"a base that is missing": {func(s *hypervisor.Spec) { s.Root.Base = b.dir + "/missing" }, hypervisor.ErrNoImage},
		"a kernel that is missing": {func(s *hypervisor.Spec) { s.Kernel = b.dir + "/missing" },
			hypervisor.ErrNoImage},
	} {
		s := b.spec(domainID)
		c.change(&s)
		if err := b.e.Create(b.ctx(), s); !errors.Is(err, c.want) {
			b.t.Errorf("Create with %s = %v, want %v", name, err, c.want)
		}
		if list, err := b.e.List(b.ctx()); err != nil || len(list) > 0 {
			b.t.Errorf("List after a Create with %s = %v, %v, want nothing", name, list, err)
		}
	}
}

func testEvents(b *bench) {
	s := b.spec(domainID)
	b.create(s)
	b.sub.Happen(b.t, b.e, domainID, hypervisor.ReasonReset)
	b.event(hypervisor.ReasonReset, hypervisor.Running)
	b.prompt(domainID, 2)
	b.sub.Happen(b.t, b.e, domainID, hypervisor.ReasonShutdown)
	b.event(hypervisor.ReasonShutdown, hypervisor.Off)
	b.is(domainID, hypervisor.Off)
	b.must(b.e.Start(b.ctx(), s))
	b.prompt(domainID, 3)
	b.is(domainID, hypervisor.Running)
}

func testAsked(b *bench) {
	s := b.spec(domainID)
	b.create(s)
	b.must(b.e.Reboot(b.ctx(), domainID, false))
	b.event(hypervisor.ReasonReset, hypervisor.Running)
	b.is(domainID, hypervisor.Running)
	b.prompt(domainID, 2)
	begun := time.Now()
	b.must(b.e.Stop(b.ctx(), domainID, patience))
	if took := time.Since(begun); took > patience/2 {
		b.t.Errorf("a guest that powers off when it is asked was waited for %v", took)
	}
	b.is(domainID, hypervisor.Off)
}

func testMany(b *bench) {
	const n = 6
	errs := make(chan error, n)
	for i := range n {
		s := b.spec(fmt.Sprintf("many-%d", i))
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			errs <- errors.Join(b.e.Create(ctx, s), b.e.Pause(ctx, s.ID), b.e.Stop(ctx, s.ID, 0), b.e.Destroy(ctx, s.ID))
		}()
	}
	for range n {
		b.must(<-errs)
	}
	if list, err := b.e.List(b.ctx()); err != nil || len(list) > 0 {
		b.t.Errorf("List at the end = %v, %v, want nothing", list, err)
	}
}
