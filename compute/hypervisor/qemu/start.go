package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/qmp"
)

// powerOn starts the process of a domain that has none, and the guest in it. A
// suspended one goes on where it was. Preconditions: the verb lock is held, no
// process is there.
func (d *domain) powerOn(ctx context.Context, s hypervisor.Spec) error {
	begun := time.Now()
	accel, err := d.engine.accelerator(ctx)
	if err != nil {
		return err
	}
	resume := d.current() == hypervisor.Suspended
	if resume {
		if s, err = d.resumable(s, accel); err != nil {
			return err
		}
	}
	s = onMachine(s, extra(d.spec(), extraMachine))
	slots, err := placeCards(s, d.slots(resume))
	if err != nil {
		return err
	}
	drive, err := d.configDrive(s.ConfigDrive)
	if err != nil {
		return err
	}
	err = d.keep(true, func(r *record) {
		r.Spec, r.Slots, r.Accel, r.Version = s, slots, accel, d.engine.version
		r.Forwards = nil
		if !resume {
			r.Wanted = hypervisor.Running
		}
		r.Started = time.Now()
	})
	if err != nil {
		return err
	}
	in, err := d.arguments(ctx, s, accel, slots, drive, resume)
	defer in.close()
	if err == nil {
		err = d.spawn(in, s)
	}
	if err != nil {
		return d.notStarted(hostError(err))
	}
	err = d.bringUp(ctx, s, resume)
	if err == nil && in.taps != nil {
		err = d.keep(false, func(r *record) { r.Taps = in.taps })
	}
	if err != nil {
		_ = d.endProcess() // adoption finds one that stays
		return d.notStarted(fmt.Errorf("%w%s", err, d.complaint()))
	}
	d.engine.metrics.starts.Observe(time.Since(begun).Seconds())
	return nil
}

// notStarted keeps that the domain is off after a start that failed; a suspended
// one is still suspended.
func (d *domain) notStarted(err error) error {
	kept := d.keep(false, func(r *record) {
		if r.Wanted == hypervisor.Running {
			r.Wanted = hypervisor.Off
		}
	})
	return errors.Join(fmt.Errorf("start domain %s: %w", d.id, err), kept)
}

// resumable gives the spec with which a suspended domain goes on: the hardware
// that it had, with the ends of the cards that s brings.
func (d *domain) resumable(s hypervisor.Spec, accel string) (hypervisor.Spec, error) {
	d.mu.Lock()
	r := *d.rec
	d.mu.Unlock()
	if r.Accel != accel || r.Version != d.engine.version {
		return s, fmt.Errorf("domain %s was suspended by QEMU %s with %s, which is not what runs now: %w", d.id, r.Version, r.Accel, hypervisor.ErrUnsupported)
	}
	was := r.Spec
	was.ConfigDrive = s.ConfigDrive
	was.NICs = slices.Clone(was.NICs)
	for i, n := range was.NICs {
		for _, now := range s.NICs {
			if now.PortID == n.PortID {
				was.NICs[i].Open, was.NICs[i].User = now.Open, now.User
			}
		}
	}
	return was, nil
}

// slots gives the slots that cards have had, which matter to one that resumes.
func (d *domain) slots(resume bool) map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !resume || d.rec == nil {
		return nil
	}
	return d.rec.Slots
}

// placeCards gives each card a slot; those that had one keep it.
func placeCards(s hypervisor.Spec, had map[string]int) (map[string]int, error) {
	slots, used := map[string]int{}, map[int]bool{}
	for _, n := range s.NICs {
		if slot := had[n.PortID]; slot != 0 {
			slots[n.PortID], used[slot] = slot, true
		}
	}
	for _, n := range s.NICs {
		if slots[n.PortID] != 0 {
			continue
		}
		slot, err := freeSlot(used)
		if err != nil {
			return nil, err
		}
		slots[n.PortID], used[slot] = slot, true
	}
	return slots, nil
}

// freeSlot gives the first slot for a card that is not used.
func freeSlot(used map[int]bool) (int, error) {
	for i := range slotNICs {
		if !used[slotNIC+i] {
			return slotNIC + i, nil
		}
	}
	return 0, fmt.Errorf("%w: more than %d address cards", hypervisor.ErrUnsupported, slotNICs)
}

// arguments makes the command line, with everything that it names opened. The
// caller closes what it gives, also beside an error.
func (d *domain) arguments(ctx context.Context, s hypervisor.Spec, accel string, slots map[string]int, drive []attached, resume bool) (*inherit, error) {
	in := &inherit{}
	kind, err := machineOf(s)
	if err != nil {
		return in, err
	}
	in.base(d.id, d.dir)
	if err := d.sockets(in); err != nil {
		return in, err
	}
	if err := in.machine(s, accel); err != nil {
		return in, err
	}
	list := append(disks(s), drive...)
	if err := d.blockdevs(in, list); err != nil {
		return in, err
	}
	in.diskDevices(list, kind)
	in.bridge(kind)
	for _, n := range s.NICs {
		if err := in.card(ctx, s, n, kind, slots[n.PortID]); err != nil {
			return in, err
		}
	}
	if s.Kernel != "" {
		if err := d.engine.directBoot(in, s); err != nil {
			return in, err
		}
	}
	if resume {
		in.add("-incoming", "defer")
	}
	return in, nil
}

// sockets adds what the process listens on, and the console's log.
func (d *domain) sockets(in *inherit) error {
	for _, c := range []struct{ id, file string }{{"qmp", sockQMP}, {"agent", sockAgent}, {"serial", sockSerial}} {
		l, err := listen(d.dir, c.file)
		if err != nil {
			return err
		}
		more := ""
		if c.id == "serial" {
			log, err := openLog(d.path(fileConsole))
			if err != nil {
				_ = l.Close()
				return err
			}
			more = ",logappend=on,logfile=" + in.set(log)
		}
		in.chardev(c.id, l, more)
	}
	in.add("-mon", "chardev=qmp,mode=control")
	return nil
}

func openLog(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

// card adds a card that is there from the start.
func (in *inherit) card(ctx context.Context, s hypervisor.Spec, n hypervisor.NIC, kind string, slot int) error {
	fd := ""
	if n.Open != nil {
		tap, err := n.Open(ctx)
		if err != nil {
			return fmt.Errorf("open the tap of port %s: %w", n.PortID, err)
		}
		fd = fmt.Sprint(in.fd(tap))
		if in.taps == nil {
			in.taps = map[string]string{}
		}
		in.taps[n.PortID] = tapName(tap)
	}
	dev, err := cardDevice(s, n, kind, slot)
	if err != nil {
		return err
	}
	for _, part := range []struct {
		option string
		value  node
	}{{"-netdev", netdev(n, fd)}, {"-device", dev}} {
		b, err := json.Marshal(part.value)
		if err != nil {
			return err
		}
		in.add(part.option, string(b))
	}
	return nil
}

// directBoot adds a kernel, opened.
func (e *Engine) directBoot(in *inherit, s hypervisor.Spec) error {
	for _, f := range []struct{ option, file string }{{"-kernel", s.Kernel}, {"-initrd", s.Ramdisk}} {
		if f.file == "" {
			continue
		}
		opened, err := e.bootFile(f.file)
		if err != nil {
			return fmt.Errorf("%s: %w", f.option, err)
		}
		in.addf(f.option, "/proc/self/fd/%d", in.fd(opened))
	}
	if s.Append != "" {
		in.add("-append", s.Append)
	}
	return nil
}

// spawn starts the process of the guest.
func (d *domain) spawn(in *inherit, s hypervisor.Spec) error {
	netns := !slices.ContainsFunc(s.NICs, func(n hypervisor.NIC) bool { return n.Open == nil && n.User != nil })
	p, err := d.launch(in, netns)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.proc, d.state = p, hypervisor.Paused
	d.down, d.expected, d.rebooting, d.hung = false, false, false, false
	return nil
}

// launch starts a process with what in holds. With netns it sees no network but
// the taps that it inherits.
func (d *domain) launch(in *inherit, netns bool) (*process, error) {
	log, err := os.OpenFile(d.path(fileLog), os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	l := launch{binary: d.engine.cfg.Binary, args: in.args, files: in.files, log: log, cgroup: d.engine.cgroup(d.id)}
	if os.Geteuid() == 0 {
		l.uid, l.groups = d.engine.uid(d.id), d.engine.groups()
		l.netns = netns
	}
	p, err := l.start()
	if err != nil && l.cgroup != "" {
		l.cgroup = "" // a host whose groups take no processes
		p, err = l.start()
	}
	if err != nil {
		return nil, err
	}
	for _, f := range in.files {
		_ = f.Close() // the process has its own; a socket must end with it
	}
	in.files = nil
	return p, nil
}

// uid gives the user id under which a domain's process runs.
func (e *Engine) uid(id string) uint32 { return e.cfg.UIDFirst + e.hash(id)%e.cfg.UIDCount }

// groups gives the group that may open /dev/kvm, which QEMU opens itself. Root's
// is none for guests, whatever it may open.
func (e *Engine) groups() []uint32 {
	var st unix.Stat_t
	if e.cfg.Accelerator == TCG || unix.Stat("/dev/kvm", &st) != nil || st.Gid == 0 {
		return nil
	}
	return []uint32{st.Gid}
}

// bringUp takes a fresh process to a running guest.
func (d *domain) bringUp(ctx context.Context, s hypervisor.Spec, resume bool) error {
	ctx, cancel := context.WithTimeout(ctx, d.engine.cfg.StartTimeout)
	defer cancel()
	if err := d.connect(ctx); err != nil {
		return err
	}
	if err := d.grow(ctx, s); err != nil {
		return err
	}
	if resume {
		if err := d.loadMemory(ctx); err != nil {
			return err
		}
	}
	if err := d.forwardAll(ctx, s); err != nil {
		return err
	}
	return d.command(ctx, "cont", nil, nil)
}

// grow makes the root disk as large as the spec says, when it is smaller.
func (d *domain) grow(ctx context.Context, s hypervisor.Spec) error {
	want := (s.Root.Bytes + sector - 1) &^ (sector - 1)
	size, err := nodeSize(ctx, d.command, "root")
	if err != nil || size >= want {
		return err
	}
	return d.command(ctx, "block_resize", node{"node-name": "root", "size": want}, nil)
}

// complaint gives what QEMU said on its standard error, for the operator.
func (d *domain) complaint() string {
	b, err := os.ReadFile(d.path(fileLog))
	if err != nil || len(b) == 0 {
		return ""
	}
	const most = 1000
	return ": " + strings.TrimSpace(string(b[max(0, len(b)-most):]))
}

// command asks QEMU something, within the time that a command may take.
func (d *domain) command(ctx context.Context, name string, args, out any, files ...*os.File) error {
	d.mu.Lock()
	link := d.link
	d.mu.Unlock()
	if link == nil {
		return fmt.Errorf("QEMU of domain %s does not answer: %w", d.id, qmp.ErrClosed)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d.engine.cfg.CommandTimeout, errHung)
	defer cancel()
	err := link.Execute(ctx, name, args, out, files...)
	if errors.Is(err, errHung) {
		d.setHung(true)
	}
	return err
}

// errHung: QEMU did not answer in time. Callers know it by context.DeadlineExceeded.
var errHung = fmt.Errorf("QEMU did not answer: %w", context.DeadlineExceeded)
