package cache

import (
	"context"
	"sync"
)

// Notice is what the board says of a part. The zero Notice is that of a new board:
// on, in generation 0, owned by nobody.
type Notice struct {
	// Position grows by one with each step: 4 times the generation, and on, closing, off, warming in this order.
	Position uint64
	// Owner names the list of parts of those who may use it; empty: it is not taken yet.
	Owner string
}

// The positions of a part, as Position%4. The generation grows with the step to warming.
const (
	placeOn = iota
	placeClosing
	placeOff
	placeWarming
	places
)

func (n Notice) place() uint64 { return n.Position % places }

// generation is that of the cells: warming belongs to the one that it begins.
func (n Notice) generation() uint64 { return (n.Position + 1) / places }

// Board is a place in the store, shared by all processes that use the same parts.
type Board interface {
	// Read gives the notice of a part as of a moment after it was called: never an older one.
	Read(ctx context.Context, part string) (Notice, error)
	// Replace changes the notice from old to next, and fails when it is not old any
	// more, or when it is not known; the caller reads then.
	Replace(ctx context.Context, part string, old, next Notice) error
}

// NewSole is the board for a store that only this process uses.
func NewSole() Board { return &sole{notices: map[string]Notice{}} }

type sole struct {
	mu      sync.Mutex
	notices map[string]Notice // by part
}

func (s *sole) Read(_ context.Context, part string) (Notice, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.notices[part], nil
}

func (s *sole) Replace(_ context.Context, part string, old, next Notice) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.notices[part] != old {
		return ErrRefused
	}
	s.notices[part] = next
	return nil
}
