package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/kamado/kamado/game"
)

// registrars are two at once. The first is that of the locks, without which nothing runs; the other one may be away: nodes are then
// not told there, and the world goes on.
type registrars struct {
	game.NodeRegistrar
	more game.NodeRegistrar
	log  *slog.Logger

	mu    sync.Mutex
	fails [2]bool // of the other one, when it was told and when it was asked last
}

// What the other registrar is used for: an index of fails.
const (
	telling = iota
	asking
)

// Announce tells both.
func (r *registrars) Announce(ctx context.Context, n game.Node) error {
	err := r.NodeRegistrar.Announce(ctx, n)
	r.said(telling, r.more.Announce(ctx, n))
	return err
}

// Withdraw tells both.
func (r *registrars) Withdraw(ctx context.Context, name string) error {
	return errors.Join(r.NodeRegistrar.Withdraw(ctx, name), r.more.Withdraw(ctx, name))
}

// Nodes gives what both know together, each node as the locks say if they do.
func (r *registrars) Nodes(ctx context.Context) ([]game.Node, error) {
	list, err := r.NodeRegistrar.Nodes(ctx)
	more, moreErr := r.more.Nodes(ctx)
	r.said(asking, moreErr)
	seen := map[string]bool{}
	for _, n := range list {
		seen[n.Name] = true
	}
	for _, n := range more {
		if !seen[n.Name] {
			seen[n.Name] = true
			list = append(list, n)
		}
	}
	if len(list) > 0 {
		err = nil // one of them knows
	}
	return list, err
}

// said notes whether one use of the other registrar fails, and says it when that changes whether any does.
func (r *registrars) said(use int, err error) {
	r.mu.Lock()
	before := r.fails[telling] || r.fails[asking]
	r.fails[use] = err != nil
	now := r.fails[telling] || r.fails[asking]
	r.mu.Unlock()
	switch {
	case now && !before:
		r.log.Warn("nodes of the world are not told by name", "error", err)
	case before && !now:
		r.log.Info("nodes of the world are told by name again")
	}
}
