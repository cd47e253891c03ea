package control

import (
	"context"
	"errors"
	"sync"

	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/network"
)

// forwards are the user-mode cards whose guests have to be told which of their
// ports are forwarded, which security groups and floating addresses decide.
type forwards struct {
	retry chan struct{} // one place: one of them could not be told

	mu      sync.Mutex
	due     map[string]bool // ports
	failing map[string]bool // ports that could not be told
}

func newForwards() *forwards {
	return &forwards{retry: make(chan struct{}, 1), due: map[string]bool{}, failing: map[string]bool{}}
}

func (f *forwards) add(portID string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.due[portID] = true
}

// take gives the ports that are due, and forgets those that are not on this host.
func (f *forwards) take(s network.State) map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	instances := map[string]string{}
	if len(f.due) == 0 && len(f.failing) == 0 {
		return instances
	}
	there := map[string]bool{}
	for _, p := range s.Ports {
		there[p.ID] = true
		if f.due[p.ID] && p.InstanceID != "" {
			instances[p.ID] = p.InstanceID
		}
	}
	for id := range f.failing {
		if !there[id] {
			delete(f.failing, id)
		}
	}
	clear(f.due)
	return instances
}

// failed notes whether a port could not be told, and says whether that is news.
// One that could not is due again.
func (f *forwards) failed(portID string, failing bool) (news bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	news = f.failing[portID] != failing
	if !failing {
		delete(f.failing, portID)
		return news
	}
	f.failing[portID], f.due[portID] = true, true
	select {
	case f.retry <- struct{}{}:
	default:
	}
	return news
}

// UserChanged takes note that the network engine's User says something else of a
// port than before. It does not wait: the guest is told after the round.
func (c *Controller) UserChanged(portID string) { c.forwards.add(portID) }

// sendForwards has guests told what is forwarded to them now, each in its
// instance's own line: a start that is on its way comes before.
func (c *Controller) sendForwards(s network.State) {
	engine, ok := c.deps.Engine.(hypervisor.Forwarder)
	if !ok {
		return
	}
	for port, instance := range c.forwards.take(s) {
		c.queue.add(instance, func(ctx context.Context) { c.sendForward(ctx, engine, instance, port) })
	}
}

func (c *Controller) sendForward(ctx context.Context, engine hypervisor.Forwarder, id, portID string) {
	user := c.deps.Network.User(portID)
	if user == nil {
		return
	}
	limited, cancel := context.WithTimeout(ctx, c.cfg.TaskTimeout)
	defer cancel()
	err := engine.Forward(limited, id, portID, user.Forward)
	if ctx.Err() != nil {
		c.forwards.add(portID)
		return
	}
	if errors.Is(err, hypervisor.ErrState) || errors.Is(err, hypervisor.ErrNotFound) {
		err = nil // its next start has them
	}
	if !c.forwards.failed(portID, err != nil) {
		return
	}
	if err != nil {
		c.log.Warn("an instance's ports are not forwarded as its security groups say", "instance", id, "port", portID, "error", err)
	} else {
		c.log.Info("an instance's ports are forwarded as its security groups say again", "instance", id, "port", portID)
	}
}
