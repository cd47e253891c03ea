package qemu_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/compute/disk"
	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/hypervisor/qemu"
)

func TestTheProcessHasNothingToLose(t *testing.T) {
	needQEMU(t)
	t.Parallel()
	dir := t.TempDir()
	e := open(t, dir)
	defer destroyAll(t, e, dir)
	s := spec(t, "a")
	s.ConfigDrive = make([]byte, 4096)
	if err := e.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	pids := running(t, dir)
	if len(pids) != 1 {
		t.Fatalf("processes %v, want one", pids)
	}
	proc := fmt.Sprintf("/proc/%d/", pids[0])
	status := map[string]string{}
	b, err := os.ReadFile(proc + "status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		status[key] = strings.Join(strings.Fields(value), " ")
	}
	want := map[string]string{"NoNewPrivs": "1", "Seccomp": "2"}
	if os.Geteuid() == 0 {
		want["CapEff"], want["CapPrm"], want["Groups"] = "0000000000000000", "0000000000000000", ""
		if strings.HasPrefix(status["Uid"], "0 ") || strings.HasPrefix(status["Gid"], "0 ") {
			t.Errorf("the process has uid %s and gid %s", status["Uid"], status["Gid"])
		}
		ours, _ := os.Readlink("/proc/self/ns/net")
		if theirs, err := os.Readlink(proc + "ns/net"); err != nil || theirs == ours {
			t.Errorf("the process sees our network: %s, %v", theirs, err)
		}
	}
	for key, v := range want {
		if status[key] != v {
			t.Errorf("the process has %s %q, want %q", key, status[key], v)
		}
	}
	if sid, err := unix.Getsid(pids[0]); err != nil || sid != pids[0] {
		t.Errorf("the process is in session %d, %v, want its own", sid, err)
	}
	if b, err := os.ReadFile(proc + "limits"); err != nil || !regexp.MustCompile(`(?m)^Max core file size +0 +0 `).Match(b) {
		t.Errorf("the process may leave a core: %s, %v", b, err)
	}
	if env, err := os.ReadFile(proc + "environ"); err != nil || string(env) != "LANG=C\x00" {
		t.Errorf("environment %q, %v", env, err)
	}
	for _, name := range []string{"config.iso", "root.qcow2", "domain.json", "console.log"} {
		if st, err := os.Stat(filepath.Join(dir, "a", name)); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want 0600", name, st, err)
		}
	}
}

// hostileImage is a qcow2 file that says that its data lie in another.
func hostileImage(t *testing.T, canary string, kind string) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "image")
	if err := disk.CreateOverlay(name, canary, "raw", 8<<20); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if kind == "data file" {
		binary.BigEndian.PutUint64(b[8:], 0)   // no backing file
		b[79] |= 1 << 2                        // incompatible feature: external data file
		at := binary.BigEndian.Uint32(b[100:]) // extensions follow the header
		binary.BigEndian.PutUint32(b[at:], 0x44415441)
		binary.BigEndian.PutUint32(b[at+4:], uint32(len(canary)))
		end := at + 8 + uint32(copy(b[at+8:], canary)+7)&^7
		clear(b[end : end+16])
	}
	return b
}

// opened gives whether somebody opened a file since watching began.
func opened(t *testing.T, name string) func() bool {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if _, err := unix.InotifyAddWatch(fd, name, unix.IN_OPEN|unix.IN_ACCESS|unix.IN_MODIFY); err != nil {
		t.Fatal(err)
	}
	return func() bool {
		n, _ := unix.Read(fd, make([]byte, 4096))
		return n > 0
	}
}

func TestAHostileBaseOpensNoFileOfTheHost(t *testing.T) {
	needQEMU(t)
	t.Parallel()
	for _, kind := range []string{"backing file", "data file"} {
		canary := filepath.Join(t.TempDir(), "canary")
		if err := os.WriteFile(canary, make([]byte, 8<<20), 0o666); err != nil {
			t.Fatal(err)
		}
		touched := opened(t, canary)
		base := filepath.Join(t.TempDir(), "base")
		if err := os.WriteFile(base, hostileImage(t, canary, kind), 0o600); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		e := open(t, dir)
		for _, format := range []string{"qcow2", "raw"} {
			s := spec(t, "a")
			s.Root = hypervisor.Disk{Base: base, BaseFormat: format, Bytes: 8 << 20}
			if err := e.Create(t.Context(), s); !errors.Is(err, hypervisor.ErrNoImage) {
				t.Errorf("Create from an image with a %s, said to be %s = %v, want ErrNoImage", kind, format, err)
			}
		}
		// A base that becomes hostile after it was looked at.
		good := filepath.Join(t.TempDir(), "good")
		if err := disk.CreateEmpty(good, 8<<20); err != nil {
			t.Fatal(err)
		}
		s := spec(t, "b")
		s.Root = hypervisor.Disk{Base: good, BaseFormat: "qcow2", Bytes: 8 << 20}
		if err := e.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if err := e.Stop(t.Context(), "b", 0); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(good, hostileImage(t, canary, kind), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := e.Start(t.Context(), s); !errors.Is(err, hypervisor.ErrNoImage) {
			t.Errorf("Start over a base that got a %s = %v, want ErrNoImage", kind, err)
		}
		if err := e.Snapshot(t.Context(), "b", filepath.Join(t.TempDir(), "snapshot")); !errors.Is(err, hypervisor.ErrNoImage) {
			t.Errorf("Snapshot over a base that got a %s = %v, want ErrNoImage", kind, err)
		}
		destroyAll(t, e, dir)
		if touched() {
			t.Errorf("a base with a %s made somebody open the file that it names", kind)
		}
	}
}

func TestABaseThatIsALinkIsNotFollowed(t *testing.T) {
	needQEMU(t)
	t.Parallel()
	dir := t.TempDir()
	e := open(t, dir)
	s := spec(t, "a")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(s.Root.Base, link); err != nil {
		t.Fatal(err)
	}
	for _, base := range []string{link, "/dev/zero", t.TempDir()} {
		s.Root.Base = base
		if err := e.Create(t.Context(), s); err == nil {
			t.Errorf("Create from %s = nil", base)
		}
	}
	destroyAll(t, e, dir)
}

func TestAWatchdogIsATraitOfTheSpec(t *testing.T) {
	needQEMU(t)
	t.Parallel()
	dir := t.TempDir()
	e := open(t, dir)
	defer destroyAll(t, e, dir)
	for id, extra := range map[string]map[string]string{
		"watchdog": {"hw_watchdog_action": "reset"}, "q35": {"hw_machine_type": "q35", "hw:watchdog_action": "poweroff"},
		"versioned": {"hw_machine_type": "pc-i440fx-7.0"},
	} {
		s := spec(t, id)
		s.Extra = extra
		s.NICs = []hypervisor.NIC{{PortID: "p0", MAC: "fa:16:3e:00:00:01", MTU: 1450}}
		if err := e.Create(t.Context(), s); err != nil {
			t.Errorf("Create with %v = %v", extra, err)
		}
		if err := e.AttachNIC(t.Context(), id, hypervisor.NIC{PortID: "p1", MAC: "fa:16:3e:00:00:02"}); err != nil {
			t.Errorf("AttachNIC with %v = %v", extra, err)
		}
		if err := e.Suspend(t.Context(), id); err != nil {
			t.Errorf("Suspend with %v = %v", extra, err)
		}
		if err := e.Start(t.Context(), s); err != nil {
			t.Errorf("resume with %v = %v", extra, err)
		}
	}
	for _, extra := range []map[string]string{{"hw_watchdog_action": "explode"}, {"hw_machine_type": "pc,accel=kvm"}, {"hw_machine_type": "none"},
		{"hw_disk_bus": "floppy"}, {"hw_vif_model": "virtio,x=y"}} {
		s := spec(t, "refused")
		s.Extra = extra
		s.NICs = []hypervisor.NIC{{PortID: "p0", MAC: "fa:16:3e:00:00:01"}}
		if err := e.Create(t.Context(), s); !errors.Is(err, hypervisor.ErrUnsupported) {
			t.Errorf("Create with %v = %v, want ErrUnsupported", extra, err)
		}
	}
}

func TestAMachineIsKeptThroughStarts(t *testing.T) {
	needQEMU(t)
	t.Parallel()
	dir := t.TempDir()
	e := open(t, dir)
	defer destroyAll(t, e, dir)
	s := spec(t, "kept")
	s.Extra = map[string]string{"hw_machine_type": "pc"}
	if err := e.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	s.Extra = nil // the image does not say so any more
	for range 2 {
		if err := e.Stop(t.Context(), s.ID, 0); err != nil {
			t.Fatal(err)
		}
		if err := e.Start(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", running(t, dir)[0]))
		if err != nil || !strings.Contains(string(line), "-machine\x00pc,") {
			t.Errorf("started as %q, %v, want the machine that it was made with", line, err)
		}
	}
}

func TestNoQEMUIsToldAtOnce(t *testing.T) {
	t.Parallel()
	if _, err := qemu.New(qemu.Config{Dir: t.TempDir(), Binary: "no-such-qemu"}); err == nil {
		t.Error("New without QEMU = nil")
	}
	if _, err := qemu.New(qemu.Config{Dir: t.TempDir(), Accelerator: "steam"}); err == nil {
		t.Error("New with an accelerator that is none = nil")
	}
}
