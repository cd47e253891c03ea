package qemu

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/compute/hypervisor"
)

// probeTimeout is how long the probe's guest may take under KVM. It takes some
// 80 ms even in software; hosts on which KVM exists and hardly runs take for ever.
const probeTimeout = 2 * time.Second

// probeGuest is a boot sector that does what any system does when it starts, and
// answers on an I/O port: 16-bit code, at 0x7c00.
//
//	cli; cld; segments = 0; sp = 0x7c00
//	cpuid 0x80000001: long mode, else no
//	cpuid 1: FPU, MSR, CX8, CMOV, FXSR, SSE and SSE2, else no
//	page tables at 0x1000, 0x2000, 0x3000 that map the first 2 MiB onto themselves
//	cr4 |= PAE, OSFXSR, OSXMMEXCPT; cr3 = 0x1000; EFER.LME; lgdt; cr0 |= PG, MP, PE
//	far jump into 64-bit code; there:
//	add and decrement 4,000,000 times, which no trap for each instruction allows
//	16 * 16 in double precision is 256, else 0x12 to port 0xf4
//	0x2a to port 0xf4; halt
//	no: 0x11 to port 0xf4; halt
const probeGuest = "fafc31c08ed88ec08ed0bc007c66b8010000800fa2660fbae21d0f83820066b8010000000fa26681e2218100076681fa2181" +
	"0007756abf00106631c0b9000c66f3ab66c70600100320000066c70600200330000066c7060030830000000f20e0660d2006" +
	"00000f22e066b8001000000f22d866b9800000c00f32660d000100000f30660f0116f87c0f20c06683e0fb660d030000800f" +
	"22c066eaa57c00000800b011e6f4f4b8100000008ed88ec08ed0b900093d004801cbffc975f9f20f2ac0f20f59c0f20f2cc8" +
	"b01281f9000100007502b02ae6f4f4ebfd0f1f8000000000000000000000000000000000009a200000000000009200001700" +
	"e07c"

// probeSuccess is QEMU's status when the guest wrote 0x2a to isa-debug-exit.
const probeSuccess = 0x2a<<1 | 1

// accelerator gives what guests run with, deciding it the first time.
func (e *Engine) accelerator(ctx context.Context) (string, error) {
	e.probing.Lock()
	defer e.probing.Unlock()
	if e.accel != "" {
		return e.accel, nil
	}
	if e.cfg.Accelerator == TCG {
		e.accel, e.accelWhy = TCG, "the configuration says tcg"
		return e.accel, nil
	}
	why, err := e.probeOnce(ctx)
	switch {
	case err != nil:
		return "", err
	case why == "":
		e.accel = KVM
	case e.cfg.Accelerator == KVM:
		return "", fmt.Errorf("KVM is asked for and cannot be used: %s: %w", why, hypervisor.ErrUnsupported)
	default:
		e.accel, e.accelWhy = TCG, why
	}
	return e.accel, nil
}

// fileProbe keeps the probe's outcome: the boot's id and QEMU's version, and on the
// next line why KVM is of no use, empty when it is.
const fileProbe = ".kvm"

// probeOnce probes once a boot.
func (e *Engine) probeOnce(ctx context.Context) (why string, err error) {
	if _, err := os.Stat("/dev/kvm"); err != nil {
		return "there is no /dev/kvm", nil
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	key := strings.TrimSpace(string(boot)) + " " + e.version + "\n"
	name := filepath.Join(e.dir, fileProbe)
	if kept, err := os.ReadFile(name); err == nil && strings.HasPrefix(string(kept), key) {
		return strings.TrimPrefix(string(kept), key), nil
	}
	why, err = e.probe(ctx, KVM)
	if err != nil {
		return "", err
	}
	if err := writeFile(name, []byte(key+why), false); err != nil {
		e.cfg.Log.Debug("the outcome of the KVM probe is not kept", "error", err)
	}
	return why, nil
}

// probe boots the probe's guest with an accelerator and says why that is of no
// use, empty when it is.
func (e *Engine) probe(ctx context.Context, accel string) (why string, err error) {
	disk, err := probeDisk()
	if err != nil {
		return "", err
	}
	defer disk.Close()
	limited, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cpu := "max"
	if accel == KVM {
		cpu = "host"
	}
	cmd := exec.CommandContext(limited, e.cfg.Binary, "-name", "guest=probe", "-no-user-config", "-nodefaults", "-display", "none",
		"-machine", "pc,usb=off", "-accel", accel, "-cpu", cpu, "-m", "16", "-vga", "none",
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-add-fd", "fd=3,set=1",
		"-blockdev", `{"driver":"file","node-name":"f","filename":"/dev/fdset/1"}`,
		"-blockdev", `{"driver":"raw","node-name":"d","file":"f"}`,
		"-device", "virtio-blk-pci,drive=d,bootindex=0")
	cmd.ExtraFiles = []*os.File{disk}
	cmd.Dir, cmd.Env = "/", []string{"LANG=C"}
	// A guest that hangs under KVM takes a processor: it must not outlive us. The signal comes when the thread ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 {
		uid := e.uid("probe")
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: uid, Groups: e.groups()}
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case limited.Err() != nil:
		return fmt.Sprintf("a guest did not start with %s within %v", accel, probeTimeout), nil
	case errors.As(err, &exit) && exit.ExitCode() == probeSuccess:
		return "", nil
	}
	if strings.Contains(string(out), "Permission denied") {
		if os.Geteuid() == 0 { // QEMU runs as users of its own, in the group of the device
			return "the users that QEMU runs as may not open /dev/kvm (chgrp kvm /dev/kvm; chmod g+rw /dev/kvm)", nil
		}
		return "this user may not open /dev/kvm (usermod -aG kvm USER)", nil
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return fmt.Sprintf("a guest does not run with %s: %s", accel, line), nil
}

// probeDisk gives a disk with the probe's guest, in memory: 1 MiB, less than
// which the firmware takes for no disk.
func probeDisk() (*os.File, error) {
	fd, err := unix.MemfdCreate("kamado-probe", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("disk of the KVM probe: %w", err)
	}
	f := os.NewFile(uintptr(fd), "kamado-probe")
	code, err := hex.DecodeString(probeGuest)
	if err != nil {
		panic("the probe's guest is hexadecimal: " + err.Error())
	}
	sectors := make([]byte, sector)
	copy(sectors, code)
	sectors[510], sectors[511] = 0x55, 0xaa
	if _, err = f.Write(sectors); err == nil {
		err = f.Truncate(1 << 20)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// Info says what this host offers.
func (e *Engine) Info(ctx context.Context) (hypervisor.Info, error) {
	accel, err := e.accelerator(ctx)
	if err != nil {
		return hypervisor.Info{}, err
	}
	info := hypervisor.Info{Hypervisor: "QEMU", Version: e.version, Accelerator: accel, CPUModel: cpuModel(), VCPUs: runtime.NumCPU()}
	if accel == TCG {
		info.Notes = append(info.Notes, "instances are emulated (TCG), 10 to 20 times slower than with KVM: "+e.accelWhy)
	}
	info.Notes = append(info.Notes, e.notes...)
	var memory unix.Sysinfo_t
	if err := unix.Sysinfo(&memory); err != nil {
		return info, fmt.Errorf("memory of this host: %w", err)
	}
	info.MemoryMiB = int(memory.Totalram * uint64(memory.Unit) >> 20)
	var fs unix.Statfs_t
	if err := unix.Statfs(e.dir, &fs); err != nil {
		return info, fmt.Errorf("disk of this host: %w", err)
	}
	info.DiskGiB = int(fs.Blocks * uint64(fs.Bsize) >> 30)
	return info, nil
}

// cpuModel is what the host's processor calls itself.
func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
