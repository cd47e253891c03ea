package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/lock"
)

// Locks are what nodes share. *lock.Registry and core.Locks satisfy it.
type Locks interface {
	Acquire(ctx context.Context, name, holder string, term time.Duration) (lock.Held, error)
	Renew(ctx context.Context, name string, token uint64, session string) (lock.Held, error)
	Release(ctx context.Context, name string, token uint64, session string) error
	Look(ctx context.Context, name string) (lock.Status, error)
	List(ctx context.Context, prefix, after string, limit int) ([]lock.Status, error)
}

// Names of locks begin so.
const (
	nodePrefix  = "world.node."
	claimPrefix = "world.area."
)

// NameBytesMax bounds the name of a node.
const NameBytesMax = 64

// checkName judges the name of a node: letters, digits and ".", "-", "_", so that it stands in logs and locks as it is.
func checkName(name string) error {
	ok := name != "" && len(name) <= NameBytesMax
	for _, c := range []byte(name) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_')
	}
	if !ok {
		return game.Errorf(game.Invalid, "%.80q is no name of a node: want 1 to %d letters, digits, and . - _", name, NameBytesMax)
	}
	return nil
}

// ErrNameTaken: another node of this name lives.
var ErrNameTaken = errors.New("another node has this name")

// pagesMax bounds the names of nodes that are looked through, a thousand each: names that ever were stay among the locks.
const pagesMax = 10

// LockRegistrar lets nodes find each other by locks: a node is the lock "world.node.NAME" with term game.NodeTerm, whose holder is
// the node as JSON. It satisfies game.NodeRegistrar for one node and may be used concurrently. A lock that was left alone is given back by whoever finds it
// so, so that the dead are not listed.
type LockRegistrar struct {
	locks Locks

	mu   sync.Mutex
	held lock.Held // of this node; without token: none
	text string    // its holder
}

// NewLockRegistrar makes a registrar for one node.
func NewLockRegistrar(locks Locks) *LockRegistrar { return &LockRegistrar{locks: locks} }

var _ game.NodeRegistrar = (*LockRegistrar)(nil)

// Announce takes the lock of the node, or renews it. ErrNameTaken: another node, or an earlier run of this one that ended less
// than a term ago, has it.
func (r *LockRegistrar) Announce(ctx context.Context, n game.Node) error {
	if err := checkName(n.Name); err != nil {
		return err
	}
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if len(b) > lock.HolderBytesMax {
		return game.Errorf(game.Invalid, "node %s: its name and addresses take %d bytes: at most %d", n.Name, len(b), lock.HolderBytesMax)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	name := nodePrefix + n.Name
	if r.held.Token != 0 && (r.held.Name != name || r.text != string(b)) { // a lease keeps the holder it was made with
		if err := r.giveBack(ctx); err != nil {
			return err
		}
	}
	if r.held.Token != 0 {
		switch _, err := r.locks.Renew(ctx, name, r.held.Token, r.held.Session); {
		case err == nil:
			return nil
		case !errors.Is(err, lock.ErrLost):
			return fmt.Errorf("announce node %s: %w", n.Name, err)
		}
		r.held = lock.Held{}
	}
	held, err := r.locks.Acquire(ctx, name, string(b), game.NodeTerm)
	var other *lock.HeldError
	switch {
	case errors.As(err, &other):
		return fmt.Errorf("announce node %s: %w: %.255s", n.Name, ErrNameTaken, other.Holder)
	case err != nil:
		return fmt.Errorf("announce node %s: %w", n.Name, err)
	}
	r.held, r.text = held, string(b)
	return nil
}

// giveBack ends what this node holds.
// Preconditions: r.mu is held.
func (r *LockRegistrar) giveBack(ctx context.Context) error {
	if r.held.Token == 0 {
		return nil
	}
	if err := r.locks.Release(ctx, r.held.Name, r.held.Token, r.held.Session); err != nil && !errors.Is(err, lock.ErrLost) {
		return fmt.Errorf("withdraw node: %w", err)
	}
	r.held = lock.Held{}
	return nil
}

// Withdraw gives the lock of the node back.
func (r *LockRegistrar) Withdraw(ctx context.Context, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held.Name != nodePrefix+name {
		return nil
	}
	return r.giveBack(ctx)
}

// Nodes lists the nodes that live. A node that died is listed for a term and a tenth after this server first saw its last lease.
func (r *LockRegistrar) Nodes(ctx context.Context) ([]game.Node, error) {
	var nodes []game.Node
	after := ""
	for range pagesMax {
		page, err := r.locks.List(ctx, nodePrefix, after, lock.ListMax)
		if err != nil {
			return nil, fmt.Errorf("list nodes: %w", err)
		}
		for _, s := range page {
			after = s.Name
			if !s.Held {
				continue
			}
			n, err := r.look(ctx, s.Name)
			if err != nil {
				return nil, err
			}
			if n.Name != "" {
				nodes = append(nodes, n)
			}
		}
		if len(page) < lock.ListMax {
			break
		}
	}
	return nodes, nil
}

// look gives the node of a lock; without name: it does not live.
func (r *LockRegistrar) look(ctx context.Context, name string) (n game.Node, err error) {
	s, err := r.locks.Look(ctx, name) // unlike List it remembers since when a lease stands still
	switch {
	case err != nil:
		return n, fmt.Errorf("look at node: %w", err)
	case !s.Held:
		return n, nil
	case s.Wait == 0:
		r.bury(ctx, name)
		return n, nil
	}
	if json.Unmarshal([]byte(s.Holder), &n) != nil || nodePrefix+n.Name != name || checkName(n.Name) != nil {
		return game.Node{}, nil // a lock of somebody else under a name of ours
	}
	return n, nil
}

// bury gives back the lock of a node that died. Whatever goes wrong is tried again with the next list.
func (r *LockRegistrar) bury(ctx context.Context, name string) {
	held, err := r.locks.Acquire(ctx, name, "{}", game.NodeTerm)
	if err == nil {
		_ = r.locks.Release(ctx, name, held.Token, held.Session)
	}
}
