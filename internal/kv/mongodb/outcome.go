package mongodb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/kamado/kamado/internal/kv"
)

// sentKey is the context's key of the flag that a command was given to a connection.
type sentKey struct{}

// started is called by the driver just before a command is written to its connection.
func started(ctx context.Context, _ *event.CommandStartedEvent) {
	if sent, ok := ctx.Value(sentKey{}).(*atomic.Bool); ok {
		sent.Store(true)
	}
}

// Codes of the server's errors (its error_codes.yml).
const (
	codeNotImplemented      = 238
	codeCommandNotFound     = 59
	codeAlreadyInitialized  = 23
	codeUnknownField        = 40415
	codeOutOfDiskSpace      = 14031
	codeNoReplicationActive = 76
)

// refusals are codes of commands that the server did not begin: it understood but
// did not want them, or was no primary when they came. What interrupts a command that runs
// (189, 11600, 11602, 91, 50) is not among them.
var refusals = []int32{
	2, 9, 13, 18, 20, 26, 72, // bad value, failed to parse, unauthorized, authentication failed, illegal operation, namespace not found, invalid options
	codeCommandNotFound, codeNotImplemented, codeUnknownField,
	10107, 13435, 13436, // not writable primary, not primary and no secondary ok, not primary or secondary
}

// request runs fn, which sends one command, with a slot, and gives its error in the words of kv. What
// it wrote is said to be in doubt if it may be there.
func (s *Store) request(ctx context.Context, writes bool, fn func(context.Context) error) error {
	var sent atomic.Bool
	ctx = context.WithValue(ctx, sentKey{}, &sent)
	inTime, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	start := time.Now()
	err := fn(inTime)
	s.metrics.seconds.Observe(time.Since(start).Seconds())
	err = s.outcome(err, writes && sent.Load())
	s.metrics.requests.WithLabelValues(resultOf(err)).Inc()
	return err
}

func resultOf(err error) string {
	switch {
	case err == nil, errors.Is(err, mongo.ErrNoDocuments):
		return "ok"
	case errors.Is(err, kv.ErrConflict):
		return "conflict"
	case errors.Is(err, kv.ErrDoubt):
		return "doubt"
	case errors.Is(err, kv.ErrAway):
		return "away"
	}
	return "other"
}

// outcome gives an error in the words of kv; mongo.ErrNoDocuments, and what is in them already, stay.
func (s *Store) outcome(err error, written bool) error {
	var command mongo.CommandError
	var write mongo.WriteException
	switch {
	case err == nil, errors.Is(err, mongo.ErrNoDocuments), errors.Is(err, kv.ErrConflict):
		return err
	case errors.As(err, &write):
		return writeOutcome(write)
	case errors.As(err, &command) && command.Code == codeOutOfDiskSpace:
		return fmt.Errorf("%w: mongodb: %w", kv.ErrFull, err)
	case errors.As(err, &command) && slices.Contains(refusals, command.Code):
		return fmt.Errorf("%w: mongodb: %w", kv.ErrAway, err)
	case written:
		return fmt.Errorf("%w: mongodb: %w", kv.ErrDoubt, err)
	case s.closed.Load() || errors.Is(err, mongo.ErrClientDisconnected):
		return fmt.Errorf("%w: mongodb: %w", kv.ErrClosed, err)
	}
	return fmt.Errorf("%w: mongodb: %w", kv.ErrAway, err)
}

// writeOutcome judges the answer of a server that tried to write. A write concern that failed
// says that the primary has it, and perhaps no majority.
func writeOutcome(e mongo.WriteException) error {
	if e.WriteConcernError != nil {
		return fmt.Errorf("%w: mongodb: %w", kv.ErrDoubt, e)
	}
	for _, w := range e.WriteErrors {
		switch {
		case mongo.IsDuplicateKeyError(w):
			return fmt.Errorf("%w: mongodb: %w", kv.ErrConflict, e)
		case w.Code == codeOutOfDiskSpace:
			return fmt.Errorf("%w: mongodb: %w", kv.ErrFull, e)
		case slices.Contains(refusals, int32(w.Code)):
			return fmt.Errorf("%w: mongodb: %w", kv.ErrAway, e)
		}
	}
	return fmt.Errorf("%w: mongodb: %w", kv.ErrDoubt, e)
}

// serverCode is the code of a server's error; 0: it is none.
func serverCode(err error) int32 {
	var command mongo.CommandError
	if errors.As(err, &command) {
		return command.Code
	}
	return 0
}
