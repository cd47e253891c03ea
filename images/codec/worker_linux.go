package codec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/kamado/kamado/images/codec/sandbox"
	"github.com/kamado/kamado/images/codec/wire"
	"golang.org/x/sys/unix"
)

// worker is one process and the talk with it. One request uses it at a time.
type worker struct {
	cmd   *exec.Cmd
	conn  *net.UnixConn
	hello wire.Hello
	words *lastWords

	out, in []byte // a message each
	id      uint32 // of the request
	served  int    // requests
	used    time.Time

	// ended is closed when the process has been waited for; killed and
	// expected are guarded by the pool's mu.
	ended    chan struct{}
	killed   bool // by the pool
	expected bool // the pool asked it to end
}

// environment of a worker: nothing of ours. GOMAXPROCS and containermaxprocs
// keep the Go runtime from reading the processor limit of the control group
// again and again, which the filter would refuse. One thread for OpenMP, which
// the GIF encoder uses: its threads spin while they wait, 2.5 times the
// processor time of one.
var environment = []string{"OMP_NUM_THREADS=1", "GOMAXPROCS=1", "GODEBUG=containermaxprocs=0,updatemaxprocs=0", "GOTRACEBACK=single", "LC_ALL=C", "PATH=/"}

// startWorker starts a process at a level and waits for its Hello.
func startWorker(ctx context.Context, c Config, level sandbox.Level) (*worker, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket pair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "codec"), os.NewFile(uintptr(pair[1]), "codec")
	defer ours.Close()
	defer theirs.Close()
	// Started by descriptor: nobody, who the worker may be, need not be able
	// to walk to where it lies.
	program, err := os.Open(c.Path)
	if err != nil {
		return nil, err
	}
	defer program.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, fmt.Errorf("socket pair: %w", err)
	}
	w := &worker{conn: conn.(*net.UnixConn), words: &lastWords{log: c.Log}, in: make([]byte, wire.MaxMessage+1), ended: make(chan struct{})}
	args := []string{"-worker", "-data-bytes", strconv.FormatUint(c.Memory, 10)}
	if c.SVG {
		args = append(args, "-svg")
	}
	if c.Kill {
		args = append(args, "-kill")
	}
	w.cmd = sandbox.Command(level, "/proc/self/fd/4", args, environment, theirs, program)
	w.cmd.Args[0] = "kamado-codec"
	w.cmd.Stderr = w.words
	w.cmd.WaitDelay = time.Second
	if err := sandbox.Start(w.cmd); err != nil {
		conn.Close()
		return nil, fmt.Errorf("start worker: %w", err)
	}
	theirs.Close()
	go w.wait()
	if err := w.greet(ctx); err != nil {
		w.cmd.Process.Kill()
		conn.Close()
		<-w.ended
		return nil, fmt.Errorf("start worker: %w (%v; %s)", err, w.cmd.ProcessState, w.words)
	}
	return w, nil
}

func (w *worker) wait() {
	w.cmd.Wait() // how it ended is in ProcessState
	close(w.ended)
}

func (w *worker) greet(ctx context.Context) error {
	_, m, err := w.receive(ctx)
	if err != nil {
		return err
	}
	hello, ok := m.(wire.Hello)
	if !ok {
		return fmt.Errorf("first word is %T", m)
	}
	if layers := sandbox.Layers(hello.Layers); layers&sandbox.Seccomp == 0 {
		return errors.New("worker is not shut in")
	}
	w.hello = hello
	return nil
}

// send passes a message and descriptors.
func (w *worker) send(m wire.Message, files ...memfd) error {
	w.out = wire.Append(w.out[:0], w.id, m)
	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = f.fd
		}
		rights = unix.UnixRights(fds...)
	}
	w.conn.SetWriteDeadline(time.Now().Add(time.Second)) // a worker that does not read is broken
	_, _, err := w.conn.WriteMsgUnix(w.out, rights, nil)
	return err
}

// receive waits for a message until the context ends, whose error it then
// returns. Descriptors that a worker might send are dropped by the kernel.
func (w *worker) receive(ctx context.Context) (uint32, wire.Message, error) {
	if err := ctx.Err(); err != nil {
		return 0, nil, err
	}
	deadline, _ := ctx.Deadline()
	w.conn.SetReadDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { w.conn.SetReadDeadline(time.Unix(1, 0)) })
	n, _, _, _, err := w.conn.ReadMsgUnix(w.in, nil)
	if !stop() && err == nil {
		// The context ended while the message came; it counts.
		err = nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		<-ctx.Done() // the socket's clock may be a moment early
		return 0, nil, ctx.Err()
	}
	if err != nil {
		return 0, nil, err
	}
	return wire.Parse(w.in[:n])
}

// lastWords keeps the beginning and the end of what a worker writes to
// stderr, and logs its first lines. Memory is bounded however much comes.
type lastWords struct {
	log *slog.Logger

	mu         sync.Mutex
	head, tail []byte // at most wordsBytes each
	logged     int    // lines
}

const (
	wordsBytes = 1024 // kept of the beginning and of the end
	wordsLines = 20   // logged of one worker's stderr
	wordsLine  = 400  // bytes of one line in the log
)

func (l *lastWords) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(b)
	for line := range bytes.Lines(b) {
		if l.logged++; l.logged <= wordsLines {
			line = bytes.TrimRight(line, "\n")
			l.log.Debug("codec worker says", "line", string(line[:min(len(line), wordsLine)]))
		}
	}
	room := min(wordsBytes-len(l.head), len(b))
	l.head = append(l.head, b[:room]...)
	b = b[room:]
	l.tail = append(l.tail, b[max(0, len(b)-wordsBytes):]...)
	if over := len(l.tail) - wordsBytes; over > 0 {
		l.tail = append(l.tail[:0], l.tail[over:]...)
	}
	return n, nil
}

func (l *lastWords) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.head) + string(l.tail)
}
