package control

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kamado/kamado/compute"
)

// Controller drives instances. Its methods may be called concurrently; verbs may
// be called before Run, and are then worked on when it runs.
type Controller struct {
	deps      Deps
	cfg       Config
	log       *slog.Logger
	metrics   *metrics
	simulated map[string]bool

	queue    *queue
	hosts    *hosts
	net      *netsync
	resets   *resets
	again    *recoveries
	stalls   *stalls
	forwards *forwards
	rehost   chan struct{} // one place: hosts are to be read again
	naming   chan struct{} // one place: names may be others
	ready    atomic.Bool

	lazyNetwork bool // nobody waits for the network engine
}

// New makes a controller; Run sets it to work, once.
func New(deps Deps, cfg Config) *Controller {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	c := &Controller{
		deps: deps, cfg: cfg, log: deps.Log, simulated: map[string]bool{},
		queue: newQueue(), hosts: newHosts(rand.Uint64()), net: newNetsync(),
		resets: newResets(), again: newRecoveries(), stalls: newStalls(), forwards: newForwards(), rehost: make(chan struct{}, 1), naming: make(chan struct{}, 1),
	}
	for i := range cfg.SimulatedHosts {
		c.simulated[simulatedID(i)] = true
	}
	if s, ok := deps.Network.(simulated); ok {
		c.lazyNetwork = s.Simulated()
	}
	c.metrics = newMetrics(c)
	if deps.Registerer != nil {
		deps.Registerer.MustRegister(c.metrics)
	}
	deps.Fabric.OnChange(func() {
		c.net.kick()
		c.kickNames()
	})
	return c
}

func (c *Controller) now() time.Time { return c.deps.Now().UTC() }

// startTimeout bounds the wait for the network before the first jobs.
const startTimeout = 30 * time.Second

// Run works until ctx ends, and returns when no job runs. Guests go on; jobs that
// were cut are done by the next controller.
func (c *Controller) Run(ctx context.Context) error {
	if err := c.registerHosts(ctx); err != nil {
		return err
	}
	parent := ctx
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	var wg sync.WaitGroup
	loop := func(name string, f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	loop("watch the hypervisor", func(ctx context.Context) error { return c.deps.Engine.Run(ctx, c.happened) })
	loop("apply the network", c.syncNetwork)
	loop("send heartbeats", c.heartbeats)
	// What a crash left goes into the queue before what is asked from now on.
	if err := c.recover(ctx); err != nil && ctx.Err() == nil {
		cancel(fmt.Errorf("look at what was left: %w", err))
	}
	loop("work", func(ctx context.Context) error { c.queue.run(ctx, c.cfg.Workers); return nil })
	loop("look after instances", c.upkeep)
	loop("name instances", c.nameInstances)
	c.ready.Store(true)
	<-ctx.Done()
	c.ready.Store(false)
	wg.Wait()
	if parent.Err() != nil {
		return nil
	}
	return context.Cause(ctx)
}

// Ready says whether instances can be asked for.
func (c *Controller) Ready(context.Context) error {
	if !c.ready.Load() {
		return compute.Errorf(compute.Unavailable, "instances are not driven yet")
	}
	if !c.net.settled() {
		return compute.Errorf(compute.Unavailable, "the networks of this host are not made yet")
	}
	if up, _ := c.HostUp(c.deps.HostID); !up {
		return compute.Errorf(compute.Unavailable, "the hypervisor of this host does not answer")
	}
	return nil
}
