package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/images/server"
	"github.com/kamado/kamado/internal/config"
	"github.com/kamado/kamado/internal/operator"
	"github.com/kamado/kamado/internal/unit"
)

// What a machine should have at least.
const (
	memoryLeast = 512 * unit.MiB
	diskLeast   = 1 * unit.GiB
	filesLeast  = 4096 // descriptors: a connection is one
)

func lookCPU(context.Context, *doctor) finding {
	if !cpu.X86.HasAVX2 {
		return warn("pictures are resized by slower code; a processor from 2014 on has AVX2, a virtual machine may have to be told to show it",
			"no AVX2")
	}
	features := []string{"AVX2"}
	if cpu.X86.HasAVX512F {
		features = append(features, "AVX-512")
	}
	return ok("%s", strings.Join(features, ", "))
}

func lookMemory(context.Context, *doctor) finding {
	available, err := memoryAvailable()
	if err != nil {
		return warn("mount /proc", "available memory is not known: %v", err)
	}
	if available < memoryLeast {
		return warn(fmt.Sprintf("free some memory, or lower images.result_cache.memory and images.codec.workers; %v is comfortable", memoryLeast),
			"%s available", human(available))
	}
	return ok("%s available", human(available))
}

// memoryAvailable is what the kernel could give now, or what is left of the cgroup's limit if that is less.
func memoryAvailable() (unit.Bytes, error) {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	var available unit.Bytes
	for line := range strings.Lines(string(data)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "MemAvailable: %d kB", &kib); err == nil {
			available = unit.Bytes(kib) * unit.KiB
		}
	}
	limit, err1 := readSize("/sys/fs/cgroup/memory.max")
	used, err2 := readSize("/sys/fs/cgroup/memory.current")
	if err1 == nil && err2 == nil { // in a container with a limit
		available = min(available, max(0, limit-used))
	}
	return available, nil
}

func readSize(name string) (unit.Bytes, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	return unit.ParseBytes(strings.TrimSpace(string(data)))
}

func lookDisk(_ context.Context, d *doctor) finding {
	dir := existing(d.cfg.Data)
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return fail("name another directory with --data", "%s: %v", dir, err)
	}
	free := unit.Bytes(fs.Bavail) * unit.Bytes(fs.Bsize)
	if err := unix.Access(dir, unix.W_OK); err != nil {
		return fail("name a directory that you may write with --data", "%s cannot be written: %v", dir, err)
	}
	if free < diskLeast {
		return warn("free some space, or name a directory on another disk with --data", "%s free for %s", human(free), d.cfg.Data)
	}
	return ok("%s free for %s", human(free), d.cfg.Data)
}

func lookTmpfs(context.Context, *doctor) finding {
	var fs unix.Statfs_t
	if err := unix.Statfs("/dev/shm", &fs); err != nil || fs.Type != unix.TMPFS_MAGIC {
		return warn("results can be cached on disk only; mount a tmpfs to keep them in memory beyond the process: mount -t tmpfs tmpfs /dev/shm",
			"no tmpfs on /dev/shm")
	}
	return ok("%s free on /dev/shm", human(unit.Bytes(fs.Bavail)*unit.Bytes(fs.Bsize)))
}

func lookFiles(context.Context, *doctor) finding {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return warn("", "the limit of open files is not known: %v", err)
	}
	if limit.Max < filesLeast {
		return warn("raise it: ulimit -n 65536, or LimitNOFILE=65536 in the service's unit", "at most %d open files", limit.Max)
	}
	return ok("at most %d open files", limit.Max)
}

func lookConfiguration(_ context.Context, d *doctor) finding {
	if d.load != nil {
		return fail("kamado config check", "%s", strings.ReplaceAll(d.load.Error(), "\n", "; "))
	}
	if d.cfg.file == "" {
		return ok("defaults and environment (no file)")
	}
	return ok("%s", d.cfg.file)
}

func lookOperator(_ context.Context, d *doctor) finding {
	name := filepath.Join(d.cfg.Data, operator.TokenFile)
	switch _, err := operator.Read(d.cfg.Data); {
	case err == nil:
		return ok("%s is there and yours alone", name)
	case errors.Is(err, operator.ErrNoToken):
		return ok("%s is made by the first start", name)
	case errors.Is(err, operator.ErrExposed):
		return fail("chmod 600 "+name, "others can read %s", name)
	default:
		return fail("run as the user whose data it is", "%v", err)
	}
}

func lookPorts(ctx context.Context, d *doctor) finding {
	admin := d.cfg.Admin
	if d.cfg.set.Origin("admin") == config.OriginDefault {
		admin = adminDefault
	}
	var free, taken []string
	for _, addr := range []string{d.cfg.Console.HTTP, d.cfg.Images.HTTP, d.cfg.Compute.HTTP, d.cfg.DNS.HTTP, admin} {
		if addr == "" {
			continue
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
		if err != nil {
			taken = append(taken, addr)
			continue
		}
		l.Close()
		free = append(free, addr)
	}
	if len(taken) > 0 {
		return warn(`another program has them, perhaps a running Kamado (ss -ltnp shows it); other addresses: kamado up --console-http … --images-http … --compute-http … --dns-http … --admin …`,
			"not free: %s", strings.Join(taken, ", "))
	}
	return ok("free: %s", strings.Join(free, ", "))
}

func lookPort53(ctx context.Context, _ *doctor) finding {
	c, err := new(net.ListenConfig).ListenPacket(ctx, "udp", "127.0.0.1:53")
	switch {
	case err == nil:
		c.Close()
		return ok("free, and this user may open it")
	case errors.Is(err, syscall.EACCES):
		return warn("a name server on port 53 needs root, or: setcap cap_net_bind_service=+ep on bin/kamado; other ports need nothing",
			"this user may not open it")
	case errors.Is(err, syscall.EADDRINUSE):
		return warn("another name server has it (ss -lunp shows which, often systemd-resolved); a name server can use another port", "not free")
	default:
		return warn("", "cannot be opened: %v", err)
	}
}

// codecTimeout bounds the start of one worker.
const codecTimeout = 20 * time.Second

func lookCodec(ctx context.Context, d *doctor) finding {
	ctx, cancel := context.WithTimeout(ctx, codecTimeout)
	defer cancel()
	s, err := server.ProbeCodec(ctx, d.cfg.Images.Codec)
	if err != nil {
		bad := warn
		if d.cfg.Images.Codec.Path != "" {
			bad = fail
		}
		return bad("put kamado-codec beside kamado (./setup build makes it) and its libraries on the machine: apt-get install libvips42; without it JPEG is served as always, AVIF and HEIC are not",
			"no worker can be started: %v", err)
	}
	if len(s.Missing) > 0 {
		return warn("decoders of other formats run with fewer walls than they could; the checks namespaces and seccomp say which the machine lacks",
			"%s (%s), without: %s", s.Library, s.Level, strings.Join(s.Missing, ", "))
	}
	return ok("%s, shut in by all walls (%s)", s.Library, s.Level)
}

// lookNamespaces starts this program in a user namespace: what the kernel's switches say is not always what happens.
func lookNamespaces(ctx context.Context, _ *doctor) finding {
	self, err := os.Executable()
	if err != nil {
		return warn("", "not tried: %v", err)
	}
	cmd := exec.CommandContext(ctx, self, "version")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}}
	if err := cmd.Run(); err != nil {
		return warn(`workers are shut in by fewer walls; allow user namespaces: sysctl -w user.max_user_namespaces=10000 kernel.unprivileged_userns_clone=1 (Ubuntu: kernel.apparmor_restrict_unprivileged_userns=0; in a container: allow unshare)`,
			"user namespaces are refused: %v", err)
	}
	return ok("user and network namespaces can be made")
}

func lookSeccomp(context.Context, *doctor) finding {
	actions, err := os.ReadFile("/proc/sys/kernel/seccomp/actions_avail")
	if err != nil || !bytes.Contains(actions, []byte("kill_process")) {
		return fail("decoders of other formats are not started without it; use a kernel with CONFIG_SECCOMP_FILTER (4.14 or later)", "this kernel filters no system calls")
	}
	return ok("system calls can be filtered")
}

func lookVLAN(context.Context, *doctor) finding {
	if _, err := os.Stat("/proc/net/vlan/config"); err == nil {
		return ok("802.1Q is loaded")
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return warn("", "the kernel's release is not known: %v", err)
	}
	release := unix.ByteSliceToString(name.Release[:])
	for _, list := range []string{"modules.builtin", "modules.dep"} {
		if mentions(filepath.Join("/lib/modules", release, list), "/8021q.ko") {
			return ok("802.1Q is in kernel %s", release)
		}
	}
	return warn("networks with VLAN tags need it: modprobe 8021q, or a kernel that has it; the flat kinds of network do not", "802.1Q is not in kernel %s", release)
}

// mentions says whether a file has a line that contains text.
func mentions(name, text string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.Contains(s.Text(), text) {
			return true
		}
	}
	return false
}

// human is a size with one decimal, for people.
func human(b unit.Bytes) string {
	if b >= unit.GiB {
		return fmt.Sprintf("%.1f GiB", float64(b)/float64(unit.GiB))
	}
	return fmt.Sprintf("%d MiB", b/unit.MiB)
}
