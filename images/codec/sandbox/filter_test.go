package sandbox

import (
	"encoding/binary"
	"math/bits"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// machine runs the filter as the kernel would. It loads words in network
// order, so the data is laid out in that order.
func machine(t *testing.T, p program) *bpf.VM {
	t.Helper()
	var list []bpf.Instruction
	for _, i := range p {
		list = append(list, bpf.RawInstruction{Op: i.Code, Jt: i.Jt, Jf: i.Jf, K: i.K}.Disassemble())
	}
	vm, err := bpf.NewVM(list)
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

// ask is the filter's answer to a call.
func ask(t *testing.T, vm *bpf.VM, arch, number uint32, args ...uint64) uint32 {
	t.Helper()
	data := make([]byte, 64)
	binary.BigEndian.PutUint32(data[offNumber:], number)
	binary.BigEndian.PutUint32(data[offArch:], arch)
	for i, a := range args {
		// Low word first, as in memory of a little endian machine.
		binary.BigEndian.PutUint64(data[offArgs+8*i:], bits.RotateLeft64(a, 32))
	}
	answer, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(answer)
}

func TestFilter(t *testing.T) {
	const (
		socket = 3
		pid    = 1
		wake   = 7
		high   = 1 << 40
	)
	errno := func(e unix.Errno) uint32 { return retErrno | uint32(e) }
	p := assemble(auditArch, rules(socket, pid, []int{wake}), retKill)
	vm := machine(t, p)
	if len(p) > 512 {
		t.Errorf("%d instructions", len(p))
	}
	thread := uint64(unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD | unix.CLONE_SYSVSEM | unix.CLONE_SETTLS)
	for _, c := range []struct {
		name   string
		number uint32
		args   []uint64
		want   uint32
	}{
		{"futex", unix.SYS_FUTEX, nil, retAllow},
		{"map memory", unix.SYS_MMAP, []uint64{0, 4096, unix.PROT_READ | unix.PROT_WRITE}, retAllow},
		{"map code", unix.SYS_MMAP, []uint64{0, 4096, unix.PROT_READ | unix.PROT_EXEC}, retKill},
		{"map code, high bits", unix.SYS_MMAP, []uint64{0, 4096, high | unix.PROT_EXEC}, retKill},
		{"make code", unix.SYS_MPROTECT, []uint64{0, 4096, unix.PROT_EXEC}, retKill},
		{"thread", unix.SYS_CLONE, []uint64{thread}, retAllow},
		{"process", unix.SYS_CLONE, []uint64{uint64(unix.SIGCHLD)}, retKill},
		{"thread in a user namespace", unix.SYS_CLONE, []uint64{thread | unix.CLONE_NEWUSER}, retKill},
		{"thread in a mount namespace", unix.SYS_CLONE, []uint64{thread | unix.CLONE_NEWNS}, retKill},
		{"clone3", unix.SYS_CLONE3, nil, errno(unix.ENOSYS)},
		{"write to the socket", unix.SYS_WRITE, []uint64{socket}, retAllow},
		{"write words", unix.SYS_WRITE, []uint64{2}, retAllow},
		{"wake the poller", unix.SYS_WRITE, []uint64{wake}, retAllow},
		{"write elsewhere", unix.SYS_WRITE, []uint64{4}, retKill},
		{"send", unix.SYS_SENDTO, []uint64{socket, 0, 0, 0, 0}, retAllow},
		{"send to an address", unix.SYS_SENDTO, []uint64{socket, 0, 0, 0, 4096}, retKill},
		{"send to a high address", unix.SYS_SENDTO, []uint64{socket, 0, 0, 0, high}, retKill},
		{"receive", unix.SYS_RECVMSG, []uint64{socket}, retAllow},
		{"signal itself", unix.SYS_TGKILL, []uint64{pid, 5, 23}, retAllow},
		{"signal another", unix.SYS_TGKILL, []uint64{2, 2, 9}, retKill},
		{"signal all", unix.SYS_KILL, []uint64{0xFFFFFFFF, 9}, retKill},
		{"name a thread", unix.SYS_PRCTL, []uint64{unix.PR_SET_NAME}, retAllow},
		{"other prctl", unix.SYS_PRCTL, []uint64{unix.PR_SET_DUMPABLE}, errno(unix.EINVAL)},
		{"open", unix.SYS_OPENAT, nil, errno(unix.EACCES)},
		{"socket", unix.SYS_SOCKET, nil, retKill},
		{"execve", unix.SYS_EXECVE, nil, retKill},
		{"sendmsg", unix.SYS_SENDMSG, []uint64{socket}, retKill},
		{"raise a limit", unix.SYS_PRLIMIT64, nil, errno(unix.EPERM)},
		{"read the processor limit", unix.SYS_PREAD64, nil, errno(unix.EPERM)},
		{"calls of the x32 form", 1<<30 | unix.SYS_FUTEX, nil, retKill},
		{"a call that does not exist", 999, nil, retKill},
	} {
		if got := ask(t, vm, auditArch, c.number, c.args...); got != c.want {
			t.Errorf("%s: answer %#x, want %#x", c.name, got, c.want)
		}
	}
	if got := ask(t, vm, unix.AUDIT_ARCH_I386, unix.SYS_FUTEX); got != retKill {
		t.Errorf("a call by the numbers of another machine: %#x", got)
	}
	soft := machine(t, assemble(auditArch, rules(socket, pid, nil), errno(unix.EPERM)))
	if got := ask(t, soft, auditArch, unix.SYS_SOCKET); got != errno(unix.EPERM) {
		t.Errorf("production's default answer: %#x", got)
	}
}

func TestLayers(t *testing.T) {
	if len(layerNames) != bits.OnesCount32(uint32(All)) {
		t.Errorf("%d names for %d layers", len(layerNames), bits.OnesCount32(uint32(All)))
	}
	if got := (Seccomp | EmptyRoot).String(); got != "seccomp, empty root" {
		t.Error(got)
	}
	if m := (All &^ NetNS).Missing(); m != NetNS {
		t.Error(m)
	}
	for l := range levelEnd {
		if l.String() == "" {
			t.Errorf("level %d has no name", int(l))
		}
	}
}
