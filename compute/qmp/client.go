package qmp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// ErrClosed: the connection is gone. Whether the process is too, its keeper must
// look at itself.
var ErrClosed = errors.New("connection to QEMU closed")

// Client is one connection to a QEMU process. Its methods may be called
// concurrently.
type Client struct {
	conn     *net.UnixConn
	greeting Greeting
	on       func(Event)
	done     chan struct{} // closed when the connection is gone

	mu      sync.Mutex
	next    uint64                 // id of the next command; ids begin at 1
	waiting map[uint64]chan Answer // commands on their way
	err     error                  // why the connection is gone
}

// writeMax bounds the sending of one command: a peer that reads nothing for so
// long is hung, whatever the caller's context allows.
const writeMax = 5 * time.Second

// Open takes over conn: it waits for the greeting, leaves negotiation, and then
// calls on for each event, from one goroutine, until the connection ends. on must
// not execute commands itself: the answers come through the same goroutine.
// conn is closed when Open fails.
func Open(ctx context.Context, conn *net.UnixConn, on func(Event)) (*Client, error) {
	c := &Client{conn: conn, on: on, done: make(chan struct{}), next: 1, waiting: map[uint64]chan Answer{}}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	lines := bufio.NewScanner(conn)
	lines.Buffer(make([]byte, 0, 4096), LineBytesMax)
	err := c.greet(lines)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("wait for the greeting of QEMU: %w", err)
	}
	go c.read(lines)
	if err := c.Execute(ctx, "qmp_capabilities", nil, nil); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Client) greet(lines *bufio.Scanner) error {
	if !lines.Scan() {
		if err := lines.Err(); err != nil {
			return err
		}
		return ErrClosed
	}
	m, err := Parse(lines.Bytes())
	if err != nil {
		return err
	}
	if m.Greeting == nil {
		return errors.New("the first message is no greeting")
	}
	c.greeting = *m.Greeting
	return nil
}

// Version is what the greeting said, such as "7.2.22".
func (c *Client) Version() string {
	v := c.greeting.Version.QEMU
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Micro)
}

// Done is closed when the connection is gone.
func (c *Client) Done() <-chan struct{} { return c.done }

// Close ends the connection; the process goes on. Commands on their way fail
// with ErrClosed.
func (c *Client) Close() { _ = c.conn.Close() }

// read hands on lines until the connection ends.
func (c *Client) read(lines *bufio.Scanner) {
	err := error(ErrClosed)
	for lines.Scan() {
		m, perr := Parse(lines.Bytes())
		if perr != nil {
			err = fmt.Errorf("%w: %w", ErrClosed, perr)
			break
		}
		if m.Event != nil {
			c.on(*m.Event)
		}
		if m.Answer != nil {
			c.answer(*m.Answer)
		}
	}
	if lerr := lines.Err(); lerr != nil {
		err = fmt.Errorf("%w: %w", ErrClosed, lerr)
	}
	_ = c.conn.Close()
	c.mu.Lock()
	c.err = err
	c.mu.Unlock()
	close(c.done)
}

func (c *Client) answer(a Answer) {
	c.mu.Lock()
	to := c.waiting[a.ID]
	delete(c.waiting, a.ID)
	c.mu.Unlock()
	if to != nil {
		to <- a // has room for one
	}
}

// command is one line to the server.
type command struct {
	Execute   string `json:"execute"`
	Arguments any    `json:"arguments,omitempty"`
	ID        uint64 `json:"id"`
}

// Execute runs a command and reads its answer into out, which may be nil. The
// files go along with it as descriptors and stay the caller's. Three things might
// happen: it was done (nil); QEMU says that it cannot (*Error); or nobody knows,
// because ctx or the connection ended (ErrClosed).
func (c *Client) Execute(ctx context.Context, name string, args, out any, files ...*os.File) error {
	to := make(chan Answer, 1)
	c.mu.Lock()
	id := c.next
	c.next++
	c.waiting[id] = to
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.waiting, id)
		c.mu.Unlock()
	}()
	line, err := json.Marshal(command{Execute: name, Arguments: args, ID: id})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := c.send(append(line, '\n'), files); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	select {
	case a := <-to:
		return a.into(name, out)
	case <-c.done:
		c.mu.Lock()
		defer c.mu.Unlock()
		return fmt.Errorf("%s: %w", name, c.err)
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", name, context.Cause(ctx))
	}
}

func (a Answer) into(name string, out any) error {
	if a.Err != nil {
		return fmt.Errorf("%s: %w", name, a.Err)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(a.Return, out); err != nil {
		return fmt.Errorf("answer to %s: %w", name, err)
	}
	return nil
}

// send writes one line with descriptors beside it; lines of several callers do
// not mix because the connection's writes are serial and a line is one write.
func (c *Client) send(line []byte, files []*os.File) error {
	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = int(f.Fd())
		}
		rights = syscall.UnixRights(fds...)
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(writeMax))
	n, _, err := c.conn.WriteMsgUnix(line, rights, nil)
	if err == nil && n < len(line) {
		err = errors.New("message sent in part")
	}
	if err != nil {
		_ = c.conn.Close() // what was sent in part cannot be taken back
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return nil
}
