package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kamado/kamado/internal/blob"
)

// body is the body of an object on its way from the server. A timer ends the
// request when the answer does not begin, and later when no byte arrives.
type body struct {
	ctx    context.Context // of the request; it lives as long as the body
	cancel context.CancelCauseFunc
	timer  *time.Timer
	stall  time.Duration
	r      io.ReadCloser
	size   int64
	left   int64 // bytes that the server still owes
}

func newBody(ctx context.Context, timeout, stall time.Duration) *body {
	ctx, cancel := context.WithCancelCause(ctx)
	b := &body{ctx: ctx, cancel: cancel, stall: stall}
	b.timer = time.AfterFunc(timeout, func() { cancel(fmt.Errorf("%w: no answer within %v", errSlow, timeout)) })
	return b
}

// fail ends a request whose answer was no object.
func (b *body) fail(err error) error {
	err = b.why(err)
	b.timer.Stop()
	b.cancel(nil)
	return err
}

// begin hands over the answer's body of size bytes.
func (b *body) begin(r io.ReadCloser, size int64) {
	b.r, b.size, b.left = r, size, size
	b.timer.Stop()
	b.timer = time.AfterFunc(b.stall, func() { b.cancel(fmt.Errorf("%w: no byte for %v", errSlow, b.stall)) })
}

// Read gives the bytes that the server announced, and then compares length and
// checksum before io.EOF.
func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b.timer.Reset(b.stall)
	defer b.timer.Stop() // the reader's own pauses are not the server's
	if b.left == 0 {
		return 0, b.end()
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	switch {
	case n > 0:
		return n, nil // an error comes back with the next call
	case err == nil:
		return 0, nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return 0, fmt.Errorf("%w: %d of %d bytes: %w", blob.ErrShort, b.size-b.left, b.size, io.ErrUnexpectedEOF)
	}
	return 0, b.broken(err)
}

// end reads past the last byte, where the checksum is compared.
func (b *body) end() error {
	var more [1]byte
	n, err := io.ReadFull(b.r, more[:])
	switch {
	case n > 0:
		return fmt.Errorf("%w: more than %d bytes", blob.ErrShort, b.size)
	case err == io.EOF:
		return io.EOF
	case context.Cause(b.ctx) != nil:
		return b.broken(err)
	}
	// minio-go has no exported error for a checksum that differs; nothing else
	// can go wrong once every byte has come.
	return fmt.Errorf("%w: after %d bytes: %w", blob.ErrShort, b.size, err)
}

// broken translates an error in the middle of the body.
func (b *body) broken(err error) error {
	why := b.why(err)
	if errors.Is(why, context.Canceled) || errors.Is(why, context.DeadlineExceeded) {
		return why
	}
	return fmt.Errorf("%w: body broke off after %d of %d bytes: %w", blob.ErrUnavailable, b.size-b.left, b.size, why)
}

// why is what ended the context if that is what ended the request, else err.
func (b *body) why(err error) error {
	if cause := context.Cause(b.ctx); cause != nil {
		return cause
	}
	return err
}

// Close may be called again.
func (b *body) Close() error {
	b.timer.Stop()
	err := b.r.Close()
	b.cancel(nil)
	return err
}
