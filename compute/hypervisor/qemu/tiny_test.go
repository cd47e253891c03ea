package qemu_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/compute/guest"
	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/hypervisor/qemu"
)

// TestTinyLivesUnderEveryVerb takes a real system through what the boot sector
// of the suite is too simple for.
func TestTinyLivesUnderEveryVerb(t *testing.T) {
	needQEMU(t)
	parts, err := guest.Parts("../../../bin/guest")
	if err != nil {
		t.Skipf("needs the parts of the guest (./setup build gathers them): %v", err)
	}
	files, err := guest.Build(t.Context(), parts, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	e := open(t, dir)
	events := watch(t, e)
	defer destroyAll(t, e, dir)
	nic := func(port, mac string) hypervisor.NIC {
		return hypervisor.NIC{PortID: port, MAC: mac, MTU: 1450, User: &hypervisor.UserNet{CIDR: "10.9.0.0/24"}}
	}
	s := hypervisor.Spec{ID: "tiny", Name: "tiny", VCPUs: 1, MemoryMiB: 128, Kernel: files.Kernel, Ramdisk: files.Ramdisk, Append: files.CommandLine,
		Root: hypervisor.Disk{Base: files.Disk, BaseFormat: "raw", Bytes: 64 << 20}, NICs: []hypervisor.NIC{nic("p0", "fa:16:3e:00:00:01")}}
	step := func(what string, f func() error) {
		t.Helper()
		begun := time.Now()
		if err := f(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		t.Logf("%s: %v", what, time.Since(begun).Round(time.Millisecond))
	}
	step("create", func() error { return e.Create(t.Context(), s) })
	begun := time.Now()
	prompts(t, e, "tiny", 1)
	t.Logf("prompt: %v", time.Since(begun).Round(time.Millisecond))
	step("attach", func() error { return e.AttachNIC(t.Context(), "tiny", nic("p1", "fa:16:3e:00:00:02")) })
	step("detach", func() error { return e.DetachNIC(t.Context(), "tiny", "p1") })
	step("attach again, once the guest let go of the card", func() (err error) {
		for range 5 { // a host with much to do is slow
			if err = e.AttachNIC(t.Context(), "tiny", nic("p1", "fa:16:3e:00:00:02")); !errors.Is(err, hypervisor.ErrState) {
				break
			}
		}
		return err
	})
	step("suspend", func() error { return e.Suspend(t.Context(), "tiny") })
	s.NICs = append(s.NICs, nic("p1", "fa:16:3e:00:00:02"))
	step("resume", func() error { return e.Start(t.Context(), s) })
	file := t.TempDir() + "/snapshot"
	step("snapshot", func() error { return e.Snapshot(t.Context(), "tiny", file) })
	step("soft reboot", func() error { return e.Reboot(t.Context(), "tiny", false) })
	if ev := <-events; ev.Reason != hypervisor.ReasonReset {
		t.Errorf("event %+v, want a reset", ev)
	}
	prompts(t, e, "tiny", 2)
	if len(events) > 0 {
		t.Errorf("a soft reboot was told again: %+v", <-events)
	}
	step("stop", func() error { return e.Stop(t.Context(), "tiny", 30*time.Second) })
	s.ID, s.Root = "copy", hypervisor.Disk{Base: file, BaseFormat: "qcow2"}
	step("create from the snapshot", func() error { return e.Create(t.Context(), s) })
	prompts(t, e, "copy", 1)
	d, err := e.Diagnostics(t.Context(), "copy")
	if err != nil || d.CPU[0] < 100*time.Millisecond || d.Disks[0].ReadBytes == 0 {
		t.Errorf("Diagnostics = %+v, %v, want what a boot takes", d, err)
	}
	t.Logf("resident: %d MiB", d.RSSBytes>>20)
}

// prompts waits until a guest asked for a login that often.
func prompts(t *testing.T, e *qemu.Engine, id string, n int) {
	t.Helper()
	var log []byte
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-time.After(10 * time.Millisecond) {
		var err error
		if log, err = e.Console(t.Context(), id, 0); err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(log), "login: ") >= n {
			return
		}
	}
	t.Fatalf("no login prompt %d: %s", n, log)
}
