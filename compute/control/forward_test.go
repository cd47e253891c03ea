package control_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/control"
	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/network"
)

// forwarder is an engine that keeps what is forwarded, by port.
type forwarder struct {
	hypervisor.Engine
	mu   sync.Mutex
	have map[string][]hypervisor.Forward
	err  error
}

func (f *forwarder) Forward(_ context.Context, _, portID string, list []hypervisor.Forward) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.err; err != nil {
		f.err = nil
		return err
	}
	f.have[portID] = list
	return nil
}

// usernet is a network engine that forwards as many ports of each card as it has rules.
type usernet struct {
	network.Engine
	changed func(string)
	mu      sync.Mutex
	rules   map[string]int
}

func (n *usernet) Apply(ctx context.Context, s network.State) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	rules := map[string]int{}
	for _, p := range s.Ports {
		rules[p.ID] = len(p.Rules)
		if old, there := n.rules[p.ID]; !there || old != rules[p.ID] {
			n.changed(p.ID)
		}
	}
	n.rules = rules
	return n.Engine.Apply(ctx, s)
}

func (n *usernet) User(portID string) *hypervisor.UserNet {
	n.mu.Lock()
	defer n.mu.Unlock()
	u := &hypervisor.UserNet{}
	for i := range n.rules[portID] {
		u.Forward = append(u.Forward, hypervisor.Forward{Protocol: "tcp", Listen: "127.77.0.3:1", Port: i + 1})
	}
	return u
}

func TestGuestsAreToldWhatIsForwarded(t *testing.T) {
	t.Parallel()
	engine := &forwarder{have: map[string][]hypervisor.Forward{}}
	net := &usernet{}
	w := newWorld(t, func(w *world) {
		net.changed = func(id string) { w.c.UserChanged(id) }
		w.deps = func(d *control.Deps) {
			engine.Engine, net.Engine = d.Engine, d.Network
			net.rules = nil
			d.Engine, d.Network = engine, net
		}
	})
	id := w.create().ID
	port := w.get(id).Ports[0]
	told := func(what string) {
		t.Helper()
		w.until(what, func() bool {
			want := net.User(port).Forward
			engine.mu.Lock()
			defer engine.mu.Unlock()
			have, there := engine.have[port]
			return there && len(want) > 0 && slices.Equal(have, want)
		})
	}
	told("the first forwards are told")
	first := len(net.User(port).Forward)
	engine.mu.Lock()
	engine.err = errors.New("somebody else listens there")
	engine.mu.Unlock()
	group := ""
	w.read(func(tx *compute.Tx) error {
		p, err := tx.Ports.Get(port)
		if err == nil {
			group = p.SecurityGroupIDs[0]
		}
		return err
	})
	low := 22
	_, err := w.fabric.CreateRules(t.Context(), w.who, []fabric.RuleAttrs{{GroupID: fabric.Some(group), Direction: fabric.Some("ingress"),
		Protocol: fabric.Some("tcp"), PortMin: fabric.Some(&low), PortMax: fabric.Some(&low)}})
	w.must(err)
	w.until("the rule is applied", func() bool { return len(net.User(port).Forward) == first+1 })
	told("what could not be told is told later")
	w.restart()
	told("a new controller tells what it finds")
}
