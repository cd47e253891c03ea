package probe

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"
)

// TextMax bounds what a result says, in bytes.
const TextMax = 200

// ErrUndecided: the attempt could not tell, and does not count. A program says
// so with the exit status StatusUndecided.
var ErrUndecided = errors.New("undecided")

// Result is what one attempt, or one event of a held check, found.
type Result struct {
	// Err is nil when the thing lives; ErrUndecided (wrapped) when nobody knows.
	Err error
	// Text is for people: why it failed, or what it answered. See Clip.
	Text string
	// Final means that no threshold is waited for: what a held check saw is certain.
	Final bool
	At    time.Time     // its end
	Took  time.Duration // of the attempt
}

// result makes a Result of what an attempt returned.
func result(text string, err error) Result {
	if err != nil {
		return Result{Err: err, Text: Clip(explain(err))}
	}
	return Result{Text: Clip(text)}
}

// explain says an error in the words of the person who reads it.
func explain(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.Is(err, syscall.EHOSTUNREACH):
		return "no route to host"
	case errors.Is(err, syscall.ENETUNREACH):
		return "network is unreachable"
	case errors.As(err, &dns):
		if dns.IsTimeout {
			return "resolve " + dns.Name + ": timeout"
		}
		return "resolve " + dns.Name + ": " + dns.Err
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return "timeout"
	case errors.As(err, &op) && op.Timeout():
		return "timeout"
	}
	return err.Error()
}

// Clip makes one line of at most TextMax bytes of whatever somebody said: what
// cannot be printed becomes spaces, runs of spaces become one.
func Clip(text string) string {
	var b strings.Builder
	space := false
	for _, r := range text {
		if r == utf8.RuneError || unicode.IsSpace(r) || !unicode.IsPrint(r) {
			space = b.Len() > 0
			continue
		}
		width := utf8.RuneLen(r)
		if space {
			width++
		}
		if b.Len()+width > TextMax {
			return b.String()
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	return b.String()
}
