package netns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/network"
)

// verifyEvery is how long what was applied is taken for what is there: within
// it, an Apply looks only at networks and routers that changed.
const verifyEvery = 30 * time.Second

// Engine makes networks real as root.
type Engine struct {
	cfg  network.Config
	log  *slog.Logger
	hash string
	kernel

	mu       sync.Mutex
	state    network.State
	ports    map[string]string // port to network, of the last state
	verified map[string]verified
	services *services // nil: Run does not run
}

// verified says which state of a namespace was seen to be there, and when.
type verified struct {
	key string
	at  time.Time
}

var _ network.Engine = (*Engine)(nil)

// New makes an engine for the installation in cfg.Dir. It fails when this
// process may not, or this kernel cannot, do what the engine promises.
func New(cfg network.Config) (*Engine, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("network namespaces need root")
	}
	tun, err := os.OpenFile(tunDevice, os.O_RDWR, 0) // a container may have the file and not the right to it
	if err != nil {
		return nil, fmt.Errorf("taps need %s: %w", tunDevice, err)
	}
	if err := tun.Close(); err != nil {
		return nil, err
	}
	can, err := probe()
	if err != nil {
		return nil, err
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Engine{cfg: cfg, log: log, hash: installation(cfg.Dir), kernel: can,
		ports: map[string]string{}, verified: map[string]verified{}}, nil
}

// Limits are few: what the host has to do besides, its firewall and its routes, is not this engine's.
func (e *Engine) Limits() []string {
	if e.counts {
		return nil
	}
	return []string{"this kernel cannot count connections (modprobe nft_connlimit): one guest may begin so many that others on its network begin none"}
}

// Apply makes the state so. It looks at the kernel, changes what differs, and
// removes what is ours and not in the state.
func (e *Engine) Apply(ctx context.Context, s network.State) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	started := time.Now()
	b := &build{}
	p := newPlan(e, s)
	p.guard(e, b)
	e.removeOthers(b, p)
	for _, seg := range p.segments {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		name := e.namespace(kindNetwork, seg.network.ID)
		e.unless(b, name, seg.key(), func(b *build) { b.applySegment(e, seg) })
	}
	for _, r := range s.Routers {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		name := e.namespace(kindRouter, r.ID)
		e.unless(b, name, p.routerKey(r), func(b *build) { b.applyRouter(e, r, p.networks) })
	}
	e.unless(b, e.hostLink(), p.hostKey(), func(b *build) { b.applyHost(e, p.host) })
	e.state, e.ports = s, p.ports
	if e.services != nil {
		b.must(e.services.sync(p, b.seen))
	}
	err := b.err()
	if e.cfg.Metrics != nil {
		e.cfg.Metrics.Applied(time.Since(started), b.changes, err)
	}
	return err
}

// unless calls f, unless the thing was seen to be so a short while ago.
func (e *Engine) unless(b *build, name, key string, f func(*build)) {
	if v, ok := e.verified[name]; ok && v.key == key && time.Since(v.at) < verifyEvery {
		return
	}
	part := &build{}
	f(part)
	b.looked(name)
	b.changes += part.changes
	b.errs = append(b.errs, part.errs...)
	if len(part.errs) == 0 {
		e.verified[name] = verified{key, time.Now()}
	} else {
		delete(e.verified, name)
	}
}

// removeOthers removes our namespaces that the plan does not have.
func (e *Engine) removeOthers(b *build, p *plan) {
	names, err := listNamespaces(e.prefix())
	b.must(err)
	for _, name := range names {
		if !p.names[name] {
			e.remove(b, name)
		}
	}
	for name := range e.verified {
		if name != e.hostLink() && !p.names[name] {
			delete(e.verified, name)
		}
	}
	// What somebody else removed is made again.
	there := map[string]bool{e.hostLink(): true}
	for _, name := range names {
		there[name] = true
	}
	for name := range e.verified {
		if !there[name] {
			clear(e.verified) // cards of others led there too
			break
		}
	}
}

// remove removes a namespace with its services.
func (e *Engine) remove(b *build, name string) {
	if e.services != nil {
		e.services.stop(name)
	}
	delete(e.verified, name)
	// The far ends of its cards go with it, so their owners are looked at again.
	if strings.HasPrefix(name, e.prefix()+kindNetwork) {
		for other := range e.verified {
			if strings.HasPrefix(other, e.prefix()+kindRouter) || other == e.hostLink() {
				delete(e.verified, other)
			}
		}
	}
	b.did(removeNamespace(name), "remove %s", name)
}

// Open gives the tap of a port.
func (e *Engine) Open(_ context.Context, portID string) (*os.File, error) {
	e.mu.Lock()
	networkID, ok := e.ports[portID]
	e.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("tap of port %s: no such port on this host", portID)
	}
	ns, err := openNamespace(e.namespace(kindNetwork, networkID))
	if err != nil {
		return nil, fmt.Errorf("tap of port %s: %w", portID, err)
	}
	defer ns.Close()
	name := tapName(portID)
	if ns.linkByName(name) == nil { // a new one would have no filters
		return nil, fmt.Errorf("tap of port %s: it was not made", portID)
	}
	return openTap(ns, name)
}

// User gives nothing: ports are taps here.
func (e *Engine) User(string) *hypervisor.UserNet { return nil }

// Run serves DHCP and metadata until ctx ends.
func (e *Engine) Run(ctx context.Context) error {
	sv := newServices(e)
	e.mu.Lock()
	if e.services != nil {
		e.mu.Unlock()
		return errors.New("the network engine runs already")
	}
	e.services = sv
	err := sv.sync(newPlan(e, e.state), nil)
	e.mu.Unlock()
	if err != nil {
		e.log.Warn("network services incomplete", "err", err)
	}
	var counting sync.WaitGroup
	counting.Go(func() { e.countRefusals(ctx) })
	e.followHost(ctx)
	counting.Wait()
	e.mu.Lock()
	e.services = nil
	e.mu.Unlock()
	sv.close()
	return nil
}

// Purge removes everything that this engine ever made for its directory.
func (e *Engine) Purge(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	b := &build{}
	names, err := listNamespaces(e.prefix())
	b.must(err)
	for _, name := range names {
		e.remove(b, name)
	}
	b.applyHost(e, nil)
	e.state, e.ports = network.State{}, map[string]string{}
	clear(e.verified)
	return b.err()
}

// plan is a state sorted by namespace.
type plan struct {
	segments []segment
	routers  []network.Router
	networks map[string]network.Network
	ports    map[string]string
	names    map[string]bool // of namespaces
	host     *network.Network
	routed   map[string]map[string]bool // network to the addresses that routers have there
}

func newPlan(e *Engine, s network.State) *plan {
	p := &plan{routers: s.Routers, networks: map[string]network.Network{}, ports: map[string]string{}, names: map[string]bool{}, routed: map[string]map[string]bool{}}
	infra := map[string][]string{}
	for _, n := range s.Networks {
		p.networks[n.ID] = n
		p.routed[n.ID] = map[string]bool{}
	}
	if p.host = hostNetwork(s.Networks); p.host != nil {
		infra[p.host.ID] = []string{hostEnd}
	}
	for _, r := range s.Routers {
		p.names[e.namespace(kindRouter, r.ID)] = true
		for _, c := range cardsOf(r) {
			infra[c.NetworkID] = append(infra[c.NetworkID], routerLink(c.PortID))
			for _, a := range c.Addresses {
				if m := p.routed[c.NetworkID]; m != nil && r.Up {
					m[a.Addr().String()] = true
				}
			}
		}
	}
	byNetwork := map[string][]network.Port{}
	for _, port := range s.Ports {
		byNetwork[port.NetworkID] = append(byNetwork[port.NetworkID], port)
		if _, ok := p.networks[port.NetworkID]; ok {
			p.ports[port.ID] = port.NetworkID
		}
	}
	for _, n := range s.Networks {
		name := e.namespace(kindNetwork, n.ID)
		p.names[name] = true
		// In one order, so that the same state always has the same filters.
		slices.Sort(infra[n.ID])
		slices.SortFunc(byNetwork[n.ID], func(a, b network.Port) int { return strings.Compare(a.ID, b.ID) })
		p.segments = append(p.segments, segment{network: n, ports: bounded(byNetwork[n.ID]), infra: infra[n.ID], groups: groupsOf(byNetwork[n.ID], s.Groups),
			mac: localMAC(name), track: e.track, max: e.connectionsMax(), host: p.host != nil && p.host.ID == n.ID})
	}
	return p
}

// hostNetwork gives the network that the host is on, nil for none.
func hostNetwork(list []network.Network) *network.Network {
	i := slices.IndexFunc(list, func(n network.Network) bool { return n.Host })
	if i < 0 {
		i = slices.IndexFunc(list, func(n network.Network) bool { return n.External })
	}
	if i < 0 {
		return nil
	}
	return &list[i]
}

// bounded keeps the ports that marks have numbers for.
func bounded(ports []network.Port) []network.Port { return ports[:min(len(ports), portsMax)] }

// groupsOf keeps the groups that rules of these ports name, so that a change of
// others is none here.
func groupsOf[M ~map[string]V, V any](ports []network.Port, all M) M {
	some := M{}
	for _, p := range ports {
		for _, r := range p.Rules {
			if r.RemoteGroupID != "" {
				some[r.RemoteGroupID] = all[r.RemoteGroupID]
			}
		}
	}
	return some
}

// key says what a segment is, for seeing that it is as it was.
func (s segment) key() string {
	return keyOf(s.network, s.ports, s.infra, s.groups, s.host, s.local, s.max)
}

// routerKey says what a router is, with what it takes from its networks.
func (p *plan) routerKey(r network.Router) string {
	var on []network.Network
	for _, c := range cardsOf(r) {
		on = append(on, p.networks[c.NetworkID])
	}
	return keyOf(r, on)
}

func (p *plan) hostKey() string { return keyOf(p.host) }

func keyOf(what ...any) string {
	b, err := json.Marshal(what)
	if err != nil {
		return time.Now().String() // never the same: look
	}
	return hash(string(b), 32)
}
