package codec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec/wire"
)

// Conditions that callers branch on; each comes wrapped in an *images.Error.
var (
	// ErrNoWorker: the executable is missing or does not start here. Pure Go
	// can be tried instead.
	ErrNoWorker = errors.New("no codec worker can be started")
	// ErrFormat: this codec does not read or write that format.
	ErrFormat = errors.New("format is not supported by this codec")
	// ErrCrashed: the worker died of this picture.
	ErrCrashed = errors.New("codec worker crashed")
	// ErrKilled: the worker was killed from outside; trying again may help.
	ErrKilled = errors.New("codec worker was killed")
	// ErrMemory: the picture needs more memory than a worker may have.
	ErrMemory = errors.New("codec worker ran out of memory")
	// ErrBusy: too many requests wait for a worker, or one waited too long.
	ErrBusy = errors.New("codec workers are busy")
	// ErrClosed: the pool was closed.
	ErrClosed = errors.New("codec pool is closed")
)

// refusal turns a worker's Fail into an error.
func refusal(op string, f images.Format, m wire.Fail) error {
	cause := errors.New(m.Text)
	switch m.Code {
	case wire.CodeInvalid:
		return images.Wrap(images.Unprocessable, op, fmt.Sprintf("the original is not %s that can be read", aFile(f)), cause)
	case wire.CodeUnsupported:
		return images.Wrap(images.Unprocessable, op, aFile(f)+" of this kind is not supported", cause)
	case wire.CodeMemory:
		return images.Wrap(images.TooLarge, op, "the picture needs more memory than is allowed", fmt.Errorf("%w: %w", ErrMemory, cause))
	case wire.CodeTooLarge:
		return images.Wrap(images.TooLarge, op, fmt.Sprintf("a side of the original is longer than the %d pixels that can be read", wire.MaxSide), cause)
	}
	return images.Wrap(images.Internal, op, "", cause)
}

// aFile names a file of a format as one says it: "a PNG file", "an AVIF file".
func aFile(f images.Format) string {
	if f == images.AVIF {
		return "an AVIF file"
	}
	return "a " + strings.ToUpper(f.String()) + " file"
}

// outOfMemory are the last words of processes that got no memory.
var outOfMemory = []string{"failed to allocate", "out of memory", "cannot allocate memory", "bad_alloc"}

// death turns the end of a worker during a request into an error: how it
// ended, and its last words.
func death(op string, state *os.ProcessState, words string) error {
	lower := strings.ToLower(words)
	for _, s := range outOfMemory {
		if strings.Contains(lower, s) {
			return images.Wrap(images.TooLarge, op, "the picture needs more memory than is allowed", fmt.Errorf("%w: %v", ErrMemory, state))
		}
	}
	if state != nil {
		if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
			return images.Wrap(images.Unavailable, op, "the decoder was stopped; try again", fmt.Errorf("%w: %v", ErrKilled, state))
		}
	}
	return images.Wrap(images.Unprocessable, op, "the decoder crashed on this picture", fmt.Errorf("%w: %v", ErrCrashed, state))
}

// interrupted turns the end of a context into an error.
func interrupted(op string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return images.Wrap(images.Timeout, op, "the picture took too long", err)
	}
	return images.Wrap(images.Timeout, op, "the request was given up", err)
}
