package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kamado/kamado/internal/blob"
)

// body is the body of an object on its way from the server. A timer ends the
// request when no byte arrives.
type body struct {
	*flight
	r     io.ReadCloser
	stall time.Duration
	timer *time.Timer
	sum   digest
	size  int64
	left  int64 // bytes that the server still owes; size < 0: unknown
	read  int64
}

// newBody hands over an answer's body of size bytes; size < 0: until its end.
func (s *Store) newBody(f *flight, r io.ReadCloser, size int64, sum digest) *body {
	b := &body{flight: f, r: r, stall: s.cfg.Stall, sum: sum, size: size, left: size}
	b.timer = time.AfterFunc(b.stall, func() { f.cancel(fmt.Errorf("%w: no byte for %v", errSlow, b.stall)) })
	b.timer.Stop() // nobody reads yet
	return b
}

// Read gives the bytes that the server announced, and then compares length and
// digest before io.EOF.
func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if b.size >= 0 && b.left == 0 {
		return 0, b.finish()
	}
	if b.size >= 0 && int64(len(p)) > b.left {
		p = p[:b.left]
	}
	b.timer.Reset(b.stall)
	n, err := b.r.Read(p)
	b.timer.Stop() // the reader's own pauses are not the server's
	b.left -= int64(n)
	b.read += int64(n)
	b.sum.write(p[:n])
	switch {
	case n > 0:
		return n, nil // an error comes back with the next call
	case err == nil:
		return 0, nil
	case errors.Is(err, io.EOF) && b.size < 0:
		return 0, b.finish()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return 0, &fault{word: blob.ErrShort, again: true, err: fmt.Errorf("%d of %d bytes: %w", b.read, b.size, io.ErrUnexpectedEOF)}
	}
	return 0, b.broken(err)
}

// finish is reached behind the last byte.
func (b *body) finish() error {
	if !b.sum.matches() {
		return &fault{word: blob.ErrShort, again: true, err: fmt.Errorf("%d bytes with another digest than %s announces", b.read, b.sum.name)}
	}
	return io.EOF
}

// broken translates an error in the middle of the body.
func (b *body) broken(err error) error {
	if cerr := b.caller.Err(); cerr != nil {
		return cerr
	}
	if cause := context.Cause(b.ctx); cause != nil {
		err = cause
	}
	return unavailable(true, "body broke off after %d bytes: %v", b.read, err)
}

// Close may be called again.
func (b *body) Close() error {
	b.timer.Stop()
	err := b.r.Close()
	b.end()
	return err
}

// held is the body of an object that is in memory.
type held struct{ bytes.Reader }

func (*held) Close() error { return nil }

func newHeld(data []byte) *held {
	h := new(held)
	h.Reset(data)
	return h
}
