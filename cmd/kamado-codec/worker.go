package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec/sandbox"
	"github.com/kamado/kamado/images/codec/wire"
	"golang.org/x/sys/unix"
)

// graceAfterDeadline is how much longer than its deadline a worker works
// before it ends itself. The parent kills it at the deadline; this is for the
// case that the parent is gone.
const graceAfterDeadline = 2 * time.Second

// settleBytes is how many bytes of memfds and pixels a request may move before
// freed memory is given back to the system after it: doing so takes about 50 us.
const settleBytes = 1 << 20

// errClosed says that the parent closed the socket: the way to end.
var errClosed = errors.New("socket closed")

// serve shuts the process in and answers requests until the parent closes the
// socket.
func serve(c sandbox.Config, svg bool) error {
	if err := start(svg); err != nil {
		return fmt.Errorf("load library: %w", err)
	}
	loads, saves, err := warm()
	if err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	layers, err := sandbox.Enter(c)
	if err != nil {
		return err
	}
	w := &worker{in: make([]byte, wire.MaxMessage+1), control: make([]byte, unix.CmsgSpace(2*4))}
	if err := w.send(0, wire.Hello{Layers: uint32(layers), Loads: loads, Saves: saves, Library: library()}); err != nil {
		return err
	}
	for {
		if err := w.request(); errors.Is(err, errClosed) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// worker is the state of the one conversation.
type worker struct {
	in, out []byte // a message each
	control []byte // room for two descriptors
	moved   uint64 // bytes of memfds and pixels of this request
}

// receive waits for a message and the descriptors that came with it. It reads
// by a plain blocking call: there is nothing else to do meanwhile.
func (w *worker) receive() (id uint32, m wire.Message, fds []int, err error) {
	var n, oobn int
	for {
		n, oobn, _, _, err = unix.Recvmsg(socket, w.in, w.control, unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return 0, nil, nil, fmt.Errorf("receive: %w", err)
	}
	if n == 0 {
		return 0, nil, nil, errClosed
	}
	if oobn > 0 {
		list, err := unix.ParseSocketControlMessage(w.control[:oobn])
		if err != nil {
			return 0, nil, nil, fmt.Errorf("receive descriptors: %w", err)
		}
		for i := range list {
			if more, err := unix.ParseUnixRights(&list[i]); err == nil {
				fds = append(fds, more...)
			}
		}
	}
	id, m, err = wire.Parse(w.in[:n])
	return id, m, fds, err
}

func (w *worker) send(id uint32, m wire.Message) error {
	w.out = wire.Append(w.out[:0], id, m)
	for {
		_, err := unix.Write(socket, w.out)
		if err == unix.EPIPE {
			return errClosed
		}
		if err != unix.EINTR {
			return err
		}
	}
}

// answer sends m, or what err says instead.
func (w *worker) answer(id uint32, m wire.Message, err error) error {
	if err == nil {
		return w.send(id, m)
	}
	var refused *codecError
	if errors.As(err, &refused) {
		return w.send(id, wire.Fail{Code: refused.code, Text: refused.text})
	}
	return w.send(id, wire.Fail{Code: wire.CodeInternal, Text: err.Error()})
}

// request serves one request. An error means that the conversation is over.
func (w *worker) request() error {
	id, m, fds, err := w.receive()
	if err != nil {
		return err
	}
	w.moved = 0
	switch m := m.(type) {
	case wire.Open:
		defer watchdog(m.Deadline)()
		err = w.open(id, m, fds)
	case wire.Save:
		defer watchdog(m.Deadline)()
		err = w.save(id, m, fds)
	default:
		return fmt.Errorf("a request cannot begin with %T", m)
	}
	if w.moved > settleBytes {
		settle()
	}
	return err
}

// watchdog ends the process when the work takes far longer than its deadline.
func watchdog(milliseconds uint32) (stop func() bool) {
	if milliseconds == 0 {
		return func() bool { return true }
	}
	limit := time.Duration(milliseconds)*time.Millisecond + graceAfterDeadline
	return time.AfterFunc(limit, func() { os.Exit(3) }).Stop
}

// mapped maps a memfd that came with a message, closes the descriptor and
// returns how to unmap it.
func (w *worker) mapped(fd int, length uint64, protection int) ([]byte, func(), error) {
	defer unix.Close(fd)
	if length == 0 {
		return nil, func() {}, nil
	}
	w.moved += length
	b, err := unix.Mmap(fd, 0, int(length), protection, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, fmt.Errorf("map %d bytes: %w", length, err)
	}
	return b, func() { unix.Munmap(b) }, nil
}

func (w *worker) open(id uint32, m wire.Open, fds []int) error {
	if len(fds) != 1 {
		return fmt.Errorf("open came with %d descriptors", len(fds))
	}
	if err := fault(id, fds, m.Length); err != nil {
		return w.answer(id, nil, err)
	}
	data, unmap, err := w.mapped(fds[0], m.Length, unix.PROT_READ)
	if err != nil {
		return w.answer(id, nil, err)
	}
	defer unmap()
	j, info, err := open(data, m)
	if err != nil {
		return w.answer(id, nil, err)
	}
	defer j.close()
	w.moved += uint64(info.Width) * uint64(info.Height) // a small file may be a large picture
	if err := w.send(id, info); err != nil || m.Probe {
		return err
	}
	again, next, fds, err := w.receive()
	if err != nil {
		return err
	}
	switch next := next.(type) {
	case wire.Drop:
		return nil
	case wire.Target:
		if again != id || len(fds) != 1 {
			return fmt.Errorf("target of request %d with %d descriptors after open of %d", again, len(fds), id)
		}
		out, unmapOut, err := w.mapped(fds[0], next.Capacity, unix.PROT_READ|unix.PROT_WRITE)
		if err != nil {
			return w.answer(id, nil, err)
		}
		defer unmapOut()
		done, err := j.load(next, out, info.Loop)
		done.Truncated = done.Truncated || m.Format == images.GIF && !gifComplete(data)
		return w.answer(id, done, err)
	default:
		return fmt.Errorf("after open cannot come %T", next)
	}
}

func (w *worker) save(id uint32, m wire.Save, fds []int) error {
	if len(fds) != 2 {
		return fmt.Errorf("save came with %d descriptors", len(fds))
	}
	if err := fault(id, fds, m.Length); err != nil {
		return w.answer(id, nil, err)
	}
	in, unmapIn, err := w.mapped(fds[0], m.Length, unix.PROT_READ)
	if err != nil {
		unix.Close(fds[1])
		return w.answer(id, nil, err)
	}
	defer unmapIn()
	out, unmapOut, err := w.mapped(fds[1], m.Capacity, unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return w.answer(id, nil, err)
	}
	defer unmapOut()
	saved, err := save(in, m, out)
	return w.answer(id, saved, err)
}
