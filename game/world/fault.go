package world

import (
	"context"
	"errors"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// faults is how each kind of error goes over the wire: its own name, and when a further try makes sense if the error
// does not say so itself; 0: not known, or never.
var faults = map[game.Kind]struct {
	retry  time.Duration
	silent bool // what happened stays with the operator
}{
	game.Internal:        {silent: true},
	game.Invalid:         {},
	game.Unauthenticated: {},
	game.Denied:          {},
	game.NotFound:        {},
	game.Conflict:        {},
	game.Insufficient:    {},
	game.TooLarge:        {},
	game.Limited:         {retry: time.Second},
	game.Exhausted:       {},
	game.Unavailable:     {retry: time.Second},
}

// FaultOf is what a client is told of an error. A wait that ended by itself is Unavailable, and in doubt.
func FaultOf(err error) *wire.Fault {
	var e *game.Error
	if !errors.As(err, &e) {
		e = &game.Error{Kind: game.Internal}
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			e = &game.Error{Kind: game.Unavailable, Detail: "it took too long", Doubt: true}
		}
	}
	row := faults[e.Kind]
	f := &wire.Fault{Kind: e.Kind.String(), Detail: e.Detail, Doubt: e.Doubt, RetryMs: uint32(row.retry.Milliseconds())}
	if row.silent {
		f.Detail = "something went wrong in the server"
	}
	var after game.RetryAfter
	if errors.As(err, &after) {
		f.RetryMs = uint32(min(time.Duration(after).Milliseconds(), int64(24*time.Hour/time.Millisecond)))
	}
	return f
}
