package server

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/kamado/kamado/game"
)

// registrars are two at once. The first is that of the locks, without which nothing runs; the other one may be away: nodes are then
// not told there, and the world goes on.
type registrars struct {
	game.NodeRegistrar
	more game.NodeRegistrar
	log  *slog.Logger
	away atomic.Bool // the other one is, and that was said
}

// Announce tells both.
func (r *registrars) Announce(ctx context.Context, n game.Node) error {
	err := r.NodeRegistrar.Announce(ctx, n)
	r.said(r.more.Announce(ctx, n))
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
	r.said(moreErr)
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

// said notes whether the other registrar is away, and says it when that changes.
func (r *registrars) said(err error) {
	switch {
	case err != nil && !r.away.Swap(true):
		r.log.Warn("nodes of the world are not told by name", "error", err)
	case err == nil && r.away.Swap(false):
		r.log.Info("nodes of the world are told by name again")
	}
}
