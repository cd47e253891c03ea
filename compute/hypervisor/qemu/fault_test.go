package qemu_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/hypervisor/qemu"
	"github.com/kamado/kamado/internal/pausetest"
)

// childEnv names the directory and the part that this test binary plays when it
// is started as somebody's child.
const childEnv = "KAMADO_TEST_QEMU_CHILD"

func TestMain(m *testing.M) {
	if v := os.Getenv(childEnv); v != "" {
		part, rest, _ := strings.Cut(v, " ")
		base, dir, _ := strings.Cut(rest, " ")
		child(part, base, dir)
		return
	}
	os.Exit(m.Run())
}

// child is an agent that will be killed.
func child(part, base, dir string) {
	ctx := context.Background()
	e, err := qemu.New(qemu.Config{Dir: dir, Accelerator: qemu.TCG})
	check(err)
	s := func(id string) hypervisor.Spec {
		return hypervisor.Spec{ID: id, Name: "guest", VCPUs: 1, MemoryMiB: 32, Root: hypervisor.Disk{Base: base, BaseFormat: "raw", Bytes: 8 << 20}}
	}
	switch part {
	case "hold":
		for _, id := range []string{"a", "b", "c"} {
			check(e.Create(ctx, s(id)))
		}
		check(e.Pause(ctx, "b"))
		fmt.Println("ready")
		select {}
	case "loop":
		fmt.Println("ready")
		for {
			check(e.Create(ctx, s("a")))
			check(e.Snapshot(ctx, "a", filepath.Join(dir, "snapshot")))
			check(e.Suspend(ctx, "a"))
			check(e.Snapshot(ctx, "a", filepath.Join(dir, "snapshot")))
			check(e.Start(ctx, s("a")))
			check(e.Stop(ctx, "a", 0))
			check(e.Destroy(ctx, "a"))
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Println("child:", err)
		os.Exit(1)
	}
}

// startChild starts this binary in a part and returns when it is ready.
func startChild(t *testing.T, part, base, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+part+" "+base+" "+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Fatalf("child said %q, %v", line, err)
	}
	return cmd
}

// running gives the pids of QEMU processes that name dir.
func running(t *testing.T, dir string) []int {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil || !strings.Contains(string(b), dir+"/") || !strings.Contains(string(b), "qemu-system") {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(name, "/proc/%d/cmdline", &pid); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func destroyAll(t *testing.T, e *qemu.Engine, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	list, err := e.List(ctx)
	if err != nil {
		t.Error(err)
	}
	for _, d := range list {
		if err := e.Destroy(ctx, d.ID); err != nil {
			t.Errorf("Destroy(%s) = %v", d.ID, err)
		}
	}
	if left := running(t, dir); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}

func TestGuestsOutliveAKilledAgent(t *testing.T) {
	needQEMU(t)
	t.Parallel()
	dir := t.TempDir()
	cmd := startChild(t, "hold", writeBootSector(t), dir)
	pids := running(t, dir)
	if len(pids) != 3 {
		t.Fatalf("processes %v, want three", pids)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	e := open(t, dir)
	defer destroyAll(t, e, dir)
	list, err := e.List(t.Context())
	if err != nil || len(list) != 3 {
		t.Fatalf("List = %v, %v, want three domains", list, err)
	}
	for i, d := range list {
		want := []hypervisor.State{hypervisor.Running, hypervisor.Paused, hypervisor.Running}[i]
		if d.State != want || !contains(pids, d.Pid) {
			t.Errorf("domain %+v, want it %s with one of the pids %v", d, want, pids)
		}
	}
}

func contains(list []int, n int) bool {
	for _, v := range list {
		if v == n {
			return true
		}
	}
	return false
}

func TestNothingIsLeftOfAnAgentThatIsKilledAnywhere(t *testing.T) {
	needQEMU(t)
	t.Parallel()
	base := writeBootSector(t)
	for range 12 {
		dir := t.TempDir()
		cmd := startChild(t, "loop", base, dir)
		after := time.Duration(rand.IntN(900)) * time.Millisecond
		<-time.After(after)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		e := open(t, dir)
		list, err := e.List(t.Context())
		if err != nil || len(list) > 1 {
			t.Fatalf("killed after %v: List = %v, %v", after, list, err)
		}
		if live := running(t, dir); len(live) > len(list) {
			t.Errorf("killed after %v: processes %v of domains %v", after, live, list)
		}
		s := spec(t, "a")
		s.Root.Base = base
		if err := e.Create(t.Context(), s); err != nil { // whatever it was, it can go on
			t.Errorf("killed after %v: Create = %v", after, err)
		}
		destroyAll(t, e, dir)
	}
}

func TestAProcessThatDiesIsACrash(t *testing.T) {
	needQEMU(t)
	t.Parallel()
	dir := t.TempDir()
	e := open(t, dir)
	events := watch(t, e)
	defer destroyAll(t, e, dir)
	s := spec(t, "a")
	if err := e.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	for _, pid := range running(t, dir) {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	if ev := <-events; ev != (hypervisor.Event{ID: "a", State: hypervisor.Crashed, Reason: hypervisor.ReasonCrashed}) {
		t.Errorf("event %+v, want a crash", ev)
	}
	if list, err := e.List(t.Context()); err != nil || len(list) != 1 || list[0].State != hypervisor.Crashed {
		t.Errorf("List = %v, %v, want it crashed", list, err)
	}
	if err := e.Start(t.Context(), s); err != nil {
		t.Errorf("Start of a crashed domain = %v", err)
	}
}

// watch runs an engine for as long as the test goes.
func watch(t *testing.T, e *qemu.Engine) chan hypervisor.Event {
	t.Helper()
	events := make(chan hypervisor.Event, 100)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := e.Run(ctx, func(ev hypervisor.Event) { events <- ev }); err != nil {
			t.Errorf("Run = %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return events
}

func TestAHungProcessDelaysItsOwnDomainOnly(t *testing.T) {
	needQEMU(t)
	t.Parallel()
	dir := t.TempDir()
	for _, adopted := range []bool{false, true} {
		e, err := qemu.New(qemu.Config{Dir: dir, Accelerator: qemu.TCG, CommandTimeout: 500 * time.Millisecond, AdoptTimeout: 500 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if !adopted {
			for _, id := range []string{"hung", "well"} {
				if err := e.Create(t.Context(), spec(t, id)); err != nil {
					t.Fatal(err)
				}
			}
			list, err := e.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			pausetest.Pause(t, list[0].Pid)
		}
		begun := time.Now()
		if list, err := e.List(t.Context()); err != nil || len(list) != 2 || list[0].Pid == 0 {
			t.Errorf("List = %v, %v, want both", list, err)
		}
		if err := e.Pause(t.Context(), "hung"); err == nil {
			t.Error("Pause of a hung domain = nil")
		}
		if err := e.Pause(t.Context(), "well"); err != nil {
			t.Errorf("Pause beside a hung domain = %v", err)
		}
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("verbs took %v beside a hung domain", took)
		}
		if adopted {
			destroyAll(t, e, dir)
			continue
		}
		letGo(e)
	}
}

// letGo makes an engine let go of its processes, as a killed one would.
func letGo(e *qemu.Engine) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = e.Run(ctx, func(hypervisor.Event) {})
}

func TestAFullDiskIsToldAndNothingIsLost(t *testing.T) {
	needQEMU(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a small file system")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("needs tmpfs: %v", err)
	}
	defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }()
	e := open(t, dir)
	defer destroyAll(t, e, dir)
	if err := e.Create(t.Context(), spec(t, "a")); err != nil {
		t.Fatal(err)
	}
	filler, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer filler.Close()
	for err = nil; err == nil; {
		_, err = filler.Write(make([]byte, 4096))
	}
	if err := e.Suspend(t.Context(), "a"); !errors.Is(err, hypervisor.ErrNoSpace) {
		t.Errorf("Suspend on a full disk = %v, want ErrNoSpace", err)
	}
	if list, err := e.List(t.Context()); err != nil || list[0].State != hypervisor.Running {
		t.Errorf("List after a failed Suspend = %v, %v, want it running", list, err)
	}
	if err := e.Create(t.Context(), spec(t, "b")); !errors.Is(err, hypervisor.ErrNoSpace) {
		t.Errorf("Create on a full disk = %v, want ErrNoSpace", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "b")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Create on a full disk left its directory: %v", err)
	}
	if err := e.Pause(t.Context(), "a"); err != nil {
		t.Errorf("Pause on a full disk = %v", err)
	}
}

func TestASnapshotThatIsNotWantedAnyMoreLeavesNothing(t *testing.T) {
	needQEMU(t)
	t.Parallel()
	dir := t.TempDir()
	e := open(t, dir)
	defer destroyAll(t, e, dir)
	s := spec(t, "a")
	if err := os.WriteFile(s.Root.Base, make([]byte, 256<<20), 0o600); err != nil { // long enough to be cancelled
		t.Fatal(err)
	}
	s.Root.Bytes = 256 << 20
	if err := e.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "snapshot")
	for _, off := range []bool{false, true} {
		if off {
			if err := e.Stop(t.Context(), "a", 0); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
		err := e.Snapshot(ctx, "a", file)
		cancel()
		if err == nil {
			t.Log("the snapshot was done before it was cancelled")
			continue
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Snapshot cancelled = %v, want a deadline", err)
		}
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a cancelled snapshot left its file: %v", err)
		}
		if n := len(running(t, dir)); n > 1 || off && n > 0 {
			t.Errorf("a cancelled snapshot left %d processes", n)
		}
		if err := e.Snapshot(t.Context(), "a", file); err != nil {
			t.Errorf("Snapshot after a cancelled one = %v", err)
		}
	}
}

func TestAGuestThatPoweredOffWhileNobodyWatchedIsOff(t *testing.T) {
	needQEMU(t)
	t.Parallel()
	dir := t.TempDir()
	e := open(t, dir)
	if err := e.Create(t.Context(), spec(t, "a")); err != nil {
		t.Fatal(err)
	}
	prompts(t, e, "a", 1)
	line, err := e.Serial(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer line.Close()
	letGo(e)
	if _, err := line.Write([]byte("p")); err != nil {
		t.Fatal(err)
	}
	e = open(t, dir)
	events := watch(t, e)
	defer destroyAll(t, e, dir)
	if ev := <-events; ev != (hypervisor.Event{ID: "a", State: hypervisor.Off, Reason: hypervisor.ReasonShutdown}) {
		t.Errorf("event %+v, want a shutdown", ev)
	}
	if list, err := e.List(t.Context()); err != nil || len(list) != 1 || list[0].State != hypervisor.Off || list[0].Pid != 0 {
		t.Errorf("List = %v, %v, want it off", list, err)
	}
	if left := running(t, dir); len(left) > 0 {
		t.Errorf("processes %v are left of a guest that is off", left)
	}
}
