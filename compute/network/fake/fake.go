// Package fake is a network engine that builds nothing. It keeps what was
// applied, so that tests see what a host was told, and costs the same for one
// port and for ten thousand: it stands in for hosts at scale.
//
// It is no stand-in for what networks do: nothing is filtered, no address is
// given, no metadata is served. Use netns or usermode for guests.
package fake

import (
	"context"
	"os"
	"sync"

	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/network"
)

// Engine remembers the last state. Its zero value is ready.
type Engine struct {
	mu      sync.Mutex
	state   network.State
	applied int
	err     error
	purged  bool
}

// New makes an engine that builds nothing.
func New() *Engine { return &Engine{} }

var _ network.Engine = (*Engine)(nil)

// Limits says that nothing is real here.
func (*Engine) Limits() []string {
	return []string{"networks are simulated: no packet goes anywhere"}
}

// Simulated says that nobody needs to wait until a state is applied.
func (*Engine) Simulated() bool { return true }

// Run waits until ctx ends.
func (*Engine) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Apply keeps s. It does not look into it.
func (e *Engine) Apply(_ context.Context, s network.State) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.applied++
	if e.err != nil {
		return e.err
	}
	e.state, e.purged = s, false
	return nil
}

// Open gives no tap: there are none.
func (*Engine) Open(context.Context, string) (*os.File, error) {
	return nil, hypervisor.ErrUnsupported
}

// User gives an empty card, because there are no taps.
func (*Engine) User(string) *hypervisor.UserNet { return &hypervisor.UserNet{} }

// Purge forgets the state.
func (e *Engine) Purge(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.state, e.purged = network.State{}, true
	return nil
}

// State gives the last state that was applied.
func (e *Engine) State() network.State {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state
}

// Applied counts the calls of Apply.
func (e *Engine) Applied() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.applied
}

// Purged says whether Purge was called after the last Apply.
func (e *Engine) Purged() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.purged
}

// Fail lets every later Apply fail with err, until it is nil again.
func (e *Engine) Fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
}
