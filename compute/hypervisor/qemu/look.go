package qemu

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/compute/hypervisor"
)

// Console gives the end of what the guest wrote.
func (e *Engine) Console(ctx context.Context, id string, lines int) ([]byte, error) {
	d, err := e.find(ctx, id)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(d.path(fileConsole))
	if err != nil {
		return nil, ignoreMissing(err) // nothing was written yet
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	from := max(0, st.Size()-hypervisor.ConsoleBytesMax)
	b, err := io.ReadAll(io.NewSectionReader(f, from, hypervisor.ConsoleBytesMax))
	if err != nil {
		return nil, fmt.Errorf("read the console of %s: %w", id, err)
	}
	return hypervisor.Tail(b, lines), nil
}

// looked gives a domain that is on.
func (e *Engine) looked(ctx context.Context, id string) (*domain, error) {
	d, err := e.find(ctx, id)
	if err != nil {
		return nil, err
	}
	if !on(d.current()) {
		return nil, d.stateError()
	}
	return d, nil
}

// VNC connects to the guest's display: QEMU gets one end of a socket pair. It
// listens nowhere.
func (e *Engine) VNC(ctx context.Context, id string) (net.Conn, error) {
	d, err := e.looked(ctx, id)
	if err != nil {
		return nil, err
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, hostError(fmt.Errorf("display of %s: %w", id, err))
	}
	near, far := os.NewFile(uintptr(fds[0]), "display"), os.NewFile(uintptr(fds[1]), "display")
	defer near.Close() // net.FileConn has its own
	defer far.Close()
	conn, err := net.FileConn(near)
	if err != nil {
		return nil, err
	}
	name := d.freshName("display")
	err = d.command(ctx, "getfd", node{"fdname": name}, nil, far)
	if err == nil {
		err = d.command(ctx, "add_client", node{"protocol": "vnc", "fdname": name, "skipauth": true}, nil)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("display of %s: %w", id, err)
	}
	return conn, nil
}

// Serial connects to the guest's serial console. There is one place: who comes
// later takes it.
func (e *Engine) Serial(ctx context.Context, id string) (io.ReadWriteCloser, error) {
	d, err := e.looked(ctx, id)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	if d.serial != nil {
		_ = d.serial.Close()
	}
	d.mu.Unlock()
	conn, err := dial(ctx, d.dir, sockSerial)
	if err != nil {
		return nil, fmt.Errorf("serial console of %s: %w", id, err)
	}
	d.mu.Lock()
	d.serial = conn
	d.mu.Unlock()
	return conn, nil
}

// Diagnostics tells what a domain used so far.
func (e *Engine) Diagnostics(ctx context.Context, id string) (hypervisor.Diagnostics, error) {
	var out hypervisor.Diagnostics
	d, err := e.looked(ctx, id)
	if err != nil {
		return out, err
	}
	d.mu.Lock()
	s, p, begun, taps := d.rec.Spec, d.proc, d.rec.Started, d.rec.Taps
	out.State = d.now()
	d.mu.Unlock()
	if p == nil {
		return out, d.stateError()
	}
	out.Uptime, out.MemoryMiB = time.Since(begun), s.MemoryMiB
	out.RSSBytes = residentBytes(p.pid)
	out.NICs = p.cardStats(s, taps)
	if out.CPU, err = d.processorTime(ctx, p.pid); err != nil {
		return out, fmt.Errorf("diagnostics of %s: %w", id, err)
	}
	if out.Disks, err = d.diskStats(ctx); err != nil {
		return out, fmt.Errorf("diagnostics of %s: %w", id, err)
	}
	return out, nil
}

// processorTime gives what each virtual CPU's thread has used.
func (d *domain) processorTime(ctx context.Context, pid int) ([]time.Duration, error) {
	var cpus []struct {
		Thread int `json:"thread-id"`
	}
	if err := d.command(ctx, "query-cpus-fast", nil, &cpus); err != nil {
		return nil, err
	}
	list := make([]time.Duration, len(cpus))
	for i, c := range cpus {
		list[i] = threadTime(pid, c.Thread)
	}
	return list, nil
}

// threadTime reads a thread's user and system time; 0 when it is gone.
func threadTime(pid, tid int) time.Duration {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "task", strconv.Itoa(tid), "stat"))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(b[max(0, bytes.LastIndexByte(b, ')')):], []byte(" ")) // the name before may hold anything
	fields := strings.Fields(string(rest))
	const utime, stime = 14 - 3, 15 - 3 // fields of proc_pid_stat(5), counted from the third
	if len(fields) <= stime {
		return 0
	}
	u, _ := strconv.ParseInt(fields[utime], 10, 64)
	s, _ := strconv.ParseInt(fields[stime], 10, 64)
	const tick = time.Second / 100 // USER_HZ
	return time.Duration(u+s) * tick
}

// residentBytes is what a process takes of the host's memory; 0 when it is gone.
func residentBytes(pid int) int64 {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	n, _ := strconv.ParseInt(fields[1], 10, 64)
	return n * int64(os.Getpagesize())
}

// diskStats asks for the traffic of the disks.
func (d *domain) diskStats(ctx context.Context) ([]hypervisor.DiskStats, error) {
	var devices []struct {
		QDev  string
		Stats struct {
			ReadBytes     int64 `json:"rd_bytes"`
			ReadRequests  int64 `json:"rd_operations"`
			WriteBytes    int64 `json:"wr_bytes"`
			WriteRequests int64 `json:"wr_operations"`
			ReadFailed    int64 `json:"failed_rd_operations"`
			WriteFailed   int64 `json:"failed_wr_operations"`
		}
	}
	if err := d.command(ctx, "query-blockstats", nil, &devices); err != nil {
		return nil, err
	}
	var list []hypervisor.DiskStats
	for _, dev := range devices {
		if dev.QDev == "" {
			continue
		}
		s := dev.Stats
		list = append(list, hypervisor.DiskStats{ReadBytes: s.ReadBytes, ReadRequests: s.ReadRequests,
			WriteBytes: s.WriteBytes, WriteRequests: s.WriteRequests, Errors: s.ReadFailed + s.WriteFailed})
	}
	return list, nil
}
