package control

import (
	"context"
	"sync"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/network"
)

// netRetry is the wait before a state that could not be made is tried again.
const netRetry = 5 * time.Second

// simulated is what a network engine may be besides: one that builds nothing, so
// that no guest waits for it, and with ten thousand ports on one host.
type simulated interface{ Simulated() bool }

// lazyRound is the least time from round to round with such an engine.
const lazyRound = time.Second

// netsync has the network engine make what the store says, all of it at once,
// for as many changes as came in the meantime.
type netsync struct {
	wake chan struct{} // one place: there is something to do

	mu     sync.Mutex
	wanted uint64        // kicks so far
	made   uint64        // kicks that the last finished round saw
	whole  bool          // a round succeeded: what was there at the start is made
	round  chan struct{} // closed at the end of a round
}

func newNetsync() *netsync {
	return &netsync{wake: make(chan struct{}, 1), round: make(chan struct{})}
}

// kick says that something changed, and gives the ticket to wait with.
func (n *netsync) kick() uint64 {
	n.mu.Lock()
	n.wanted++
	ticket := n.wanted
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
	return ticket
}

// last is the ticket of the last kick.
func (n *netsync) last() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.wanted
}

// wait returns when a round that began after the ticket's kick has ended, made
// or not: a port that is missing shows when it is opened.
func (n *netsync) wait(ctx context.Context, ticket uint64) error {
	for {
		n.mu.Lock()
		made, round := n.made, n.round
		n.mu.Unlock()
		if made >= ticket {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-round:
		}
	}
}

// settled says whether everything was made once.
func (n *netsync) settled() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.whole
}

// ended notes the end of a round that began with wanted.
func (n *netsync) ended(wanted uint64, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.whole = n.whole || err == nil
	n.made = wanted
	close(n.round)
	n.round = make(chan struct{})
}

// syncNetwork makes rounds until ctx ends.
func (c *Controller) syncNetwork(ctx context.Context) error {
	var failing state
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.net.wake:
		case <-retry.C:
		case <-c.forwards.retry:
			retry.Reset(netRetry)
			continue
		}
		wanted := c.net.last()
		err := c.applyNetwork(ctx)
		if ctx.Err() != nil {
			return nil
		}
		c.net.ended(wanted, err)
		if c.lazyNetwork {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(lazyRound):
			}
		}
		if err != nil {
			retry.Reset(netRetry)
		}
		if failing.turned(err != nil) {
			if err != nil {
				c.log.Warn("the network of this host is not as it should be", "host", c.deps.HostID, "error", err)
			} else {
				c.log.Info("the network of this host is as it should be again", "host", c.deps.HostID)
			}
		}
	}
}

func (c *Controller) applyNetwork(ctx context.Context) error {
	var s network.State
	err := c.deps.Store.Read(ctx, func(tx *compute.Tx) (err error) {
		s, err = c.deps.Fabric.State(tx, c.deps.HostID)
		return err
	})
	if err != nil {
		return err
	}
	err = c.deps.Network.Apply(ctx, s)
	c.sendForwards(s)
	return err
}
