package listen

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/dns/answer"
)

// pool bounds the slow packets that are served at once.
type pool struct {
	places chan struct{}
	wg     sync.WaitGroup
	// ctx ends when the server is asked to end.
	ctx    context.Context
	cancel context.CancelFunc
}

func newPool(n int) *pool {
	p := &pool{places: make(chan struct{}, n)}
	p.ctx, p.cancel = context.WithCancel(context.Background()) // of the server's life, which New begins
	return p
}

// try takes a place when one is free.
func (p *pool) try() bool {
	select {
	case p.places <- struct{}{}:
		return true
	default:
		return false
	}
}

func (p *pool) done() { <-p.places }

// handler is who serves a verdict, and the rcode that says that nobody does.
func (m Mux) handler(v answer.Verdict) (h Handler, rcode uint16) {
	const notImplemented, refused, notAuth = 4, 5, 9
	switch v {
	case answer.Forward:
		return m.Forward, refused
	case answer.Alias:
		return completer{m.Forward}, refused
	case answer.Update:
		return m.Update, notImplemented
	case answer.Notify:
		return m.Notify, notImplemented
	case answer.Transfer:
		return m.Transfer, refused
	case answer.Signed:
		return m.Signed, notAuth // no key is known here (RFC 8945 5.2.1)
	}
	return nil, refused
}

// serve lets a handler answer a slow packet, and answers an error for it when it did not.
func (s *Server) serve(ctx context.Context, r Request, v answer.Verdict, write func([]byte) error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.slow.ctx, cancel)()
	if v != answer.Transfer {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, s.config.SlowTimeout)
		defer stop()
	}
	wrote := false
	began := s.now()
	send := func(b []byte) error {
		if len(b) < headerBytes {
			return fmt.Errorf("a response of %d bytes", len(b))
		}
		wrote = true
		if s.config.Tap != nil {
			s.config.Tap.Tap(r, b, began, s.now())
		}
		return write(b)
	}
	h, rcode := s.mux.handler(v)
	if h == nil {
		if b := s.table.Fail(r.Packet, nil, rcode, 0); len(b) > 0 {
			_ = send(b) // the client is gone, then
		}
		return
	}
	err := h.Serve(ctx, r, send)
	if err == nil {
		return
	}
	if !errors.Is(err, context.Canceled) {
		s.config.Log.Debug("slow packet was not served", "verdict", v.String(), "client", r.Client.String(), "transport", r.Transport.String(), "error", err)
	}
	if wrote {
		return
	}
	const serverFailure = 2
	if b := s.table.Fail(r.Packet, nil, serverFailure, 0); len(b) > 0 {
		_ = send(b) // the client is gone, then
	}
}

func (s *Server) now() time.Time { return time.Now() }

// sendTo sends one packet from a goroutine that is no worker.
func sendTo(fd int, b []byte, to *unix.RawSockaddrInet6, length uint32, control []byte) error {
	vec := unix.Iovec{Base: &b[0]}
	vec.SetLen(len(b))
	h := unix.Msghdr{Name: (*byte)(unsafe.Pointer(to)), Namelen: length, Iov: &vec}
	h.SetIovlen(1)
	if len(control) > 0 {
		h.Control = &control[0]
		h.SetControllen(len(control))
	}
	if errno := sendMessage(fd, &h); errno != 0 {
		return errno
	}
	return nil
}
