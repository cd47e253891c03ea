package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/qmp"
)

// Files of a domain.
const (
	fileRecord  = "domain.json"
	fileRoot    = "root.qcow2"
	fileRescue  = "rescue.qcow2"
	fileConfig  = "config.iso"
	fileConsole = "console.log"
	fileLog     = "qemu.log"
	fileMemory  = "memory"
	sockQMP     = "qmp.sock"
	sockSerial  = "serial.sock"
	sockAgent   = "agent.sock"
)

// record is what domain.json holds.
type record struct {
	Spec hypervisor.Spec
	// Wanted is running, off or suspended: with no process, it tells off from crashed.
	Wanted  hypervisor.State
	Started time.Time
	// Slots are the PCI slots of the cards, by port: a suspended guest must find them where they were. A port that is no longer
	// in Spec has been detached, and the guest has not let go of the card yet.
	Slots map[string]int
	// Taps are the names of the host's ends of the cards that are taps, by port.
	Taps map[string]string
	// Forwards are those that the process has, by port; while they are changed, all that it may have.
	Forwards map[string][]hypervisor.Forward
	// Accel and Version are what the saved memory of a suspended domain was saved by.
	Accel, Version string
}

// domain is one domain, with its process when it has one.
type domain struct {
	engine *Engine
	id     string
	dir    string
	log    *slog.Logger
	verb   chan struct{} // holds one token while nobody works on the domain

	mu   sync.Mutex
	rec  *record  // nil until it was created and after it was destroyed
	proc *process // nil when it is off
	link *qmp.Client
	// state is what QEMU said last, while there is a process.
	state hypervisor.State
	// Flags of the process of now.
	down      bool          // the guest powered off; QEMU still waits
	expected  bool          // its end is our doing
	rebooting bool          // when it powers off, it is to be reset instead
	hung      bool          // it did not answer in time
	resetAt   time.Time     // when we reset the guest last
	changed   chan struct{} // closed and replaced when one of the above changes
	serial    net.Conn      // who watches the serial console
	counter   int           // for names of descriptors
}

func (e *Engine) newDomain(id string) *domain {
	d := &domain{engine: e, id: id, dir: filepath.Join(e.dir, id), log: e.cfg.Log.With("instance", id),
		verb: make(chan struct{}, 1), changed: make(chan struct{})}
	d.verb <- struct{}{}
	return d
}

// lock waits until nobody works on the domain.
func (d *domain) lock(ctx context.Context) (release func(), err error) {
	select {
	case <-d.verb:
		return func() { d.verb <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for domain %s: %w", d.id, ctx.Err())
	}
}

func (d *domain) path(name string) string { return filepath.Join(d.dir, name) }

// gone says whether there is nothing of the domain but its lock.
func (d *domain) gone() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rec == nil
}

// notify wakes who waits for a change. Preconditions: mu is held.
func (d *domain) notify() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// now gives the state. Preconditions: mu is held.
func (d *domain) now() hypervisor.State {
	switch {
	case d.proc != nil && !d.down:
		return d.state
	case d.down, d.rec == nil:
		return hypervisor.Off
	case d.rec.Wanted == hypervisor.Running:
		return hypervisor.Crashed
	}
	return d.rec.Wanted
}

// current gives the state.
func (d *domain) current() hypervisor.State {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now()
}

// describe gives what List tells.
func (d *domain) describe() (hypervisor.Domain, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rec == nil {
		return hypervisor.Domain{}, false
	}
	out := hypervisor.Domain{ID: d.id, State: d.now(), Started: d.rec.Started}
	if d.proc != nil && !d.down {
		out.Pid = d.proc.pid
	}
	return out, true
}

// spec gives the spec that is kept.
func (d *domain) spec() hypervisor.Spec {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rec.Spec
}

// lost says whether there is a process that we do not speak to.
func (d *domain) lost() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.proc != nil && d.link == nil && !d.expected
}

// keep changes the record and writes it. With sync it survives the host's loss
// of power.
func (d *domain) keep(sync bool, change func(*record)) error {
	d.mu.Lock()
	next := record{}
	if d.rec != nil {
		next = *d.rec
	}
	change(&next)
	d.rec = &next
	d.mu.Unlock()
	b, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := writeFile(d.path(fileRecord), b, sync); err != nil {
		return hostError(fmt.Errorf("write the record of %s: %w", d.id, err))
	}
	return nil
}

// writeFile replaces a file as a whole.
func writeFile(name string, b []byte, sync bool) (err error) {
	f, err := os.OpenFile(name+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil && sync {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	if err != nil {
		_ = os.Remove(name + ".new")
		return err
	}
	if !sync {
		return nil
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// readRecord reads what an earlier engine kept; nil when there is nothing.
func (d *domain) readRecord() (*record, error) {
	b, err := os.ReadFile(d.path(fileRecord))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r := &record{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("record of %s: %w", d.id, err)
	}
	if r.Spec.ID != d.id {
		return nil, fmt.Errorf("record of %s: it is of %q", d.id, r.Spec.ID)
	}
	r.Spec = onMachine(r.Spec, "pc") // the default when records did not name it
	return r, nil
}

// logBytesMax is how far a log may grow before its beginning is dropped: twice
// what is kept, so that this is seldom. While no engine runs nobody drops
// anything; a guest's serial port writes some 100 KB a second at most.
const logBytesMax = 2 * hypervisor.ConsoleBytesMax

// boundLogs drops the beginning of logs that grew too far.
func (d *domain) boundLogs() error {
	return errors.Join(keepTail(d.path(fileConsole), hypervisor.ConsoleBytesMax, logBytesMax),
		keepTail(d.path(fileLog), hypervisor.ConsoleBytesMax/16, logBytesMax/16))
}

// keepTail shortens a file that others append to from over limit to about keep
// bytes. Where the file system can, its beginning is cut off without a gap in
// what is appended; else what is written in that moment may be lost.
func keepTail(name string, keep, limit int64) error {
	info, err := os.Stat(name)
	if err != nil || info.Size() <= limit {
		return ignoreMissing(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return ignoreMissing(err)
	}
	defer f.Close()
	const block = 64 << 10 // a multiple of any file system's block
	cut := (info.Size() - keep) / block * block
	if unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_COLLAPSE_RANGE, 0, cut) == nil {
		return nil
	}
	tail := make([]byte, keep)
	n, err := f.ReadAt(tail, info.Size()-keep)
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.Write(tail[:n])
	return err
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
