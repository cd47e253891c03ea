package health_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/health"
	"github.com/kamado/kamado/internal/lock"
	"github.com/kamado/kamado/internal/program"
)

// world is some members that know of each other what a cut lets them know.
type world struct {
	mu      sync.Mutex
	members map[string]*member
	locks   *locks
	runs    []run // of hooks, in the order of their beginnings
	hook    func(ctx context.Context, r run)
}

// member is a fake node. What it knows of others' records is as of the last time
// that it could hear them.
type member struct {
	w        *world
	node     string
	records  map[dns.RecordID]dns.Owned // everybody's, as known here
	states   map[string]dns.MemberState
	changed  chan struct{}
	told     []dns.HealthChange
	seq      uint64
	after    uint64 // that the last watcher asked for
	watchers []chan dns.Event
	service  *health.Service
	reg      *prometheus.Registry
	programs bool // hooks are real ones
	stop     func()
}

var discard = slog.New(slog.DiscardHandler)

// run is one run of a hook.
type run struct {
	node, event, name, address, token string
	initial                           bool
	from, to                          time.Time // to is zero while it runs
}

func newWorld() *world {
	return &world{members: map[string]*member{}, locks: &locks{leases: map[string]lease{}, away: map[string]bool{}}}
}

func (w *world) add(node string) *member {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := &member{w: w, node: node, records: map[dns.RecordID]dns.Owned{}, states: map[string]dns.MemberState{}, changed: make(chan struct{})}
	w.members[node] = m
	for _, a := range w.members {
		for _, b := range w.members {
			a.states[b.node] = dns.MemberAlive
		}
	}
	return m
}

// Self implements health.Node.
func (m *member) Self() string { return m.node }

// Own implements health.Node.
func (m *member) Own() ([]dns.Owned, <-chan struct{}) {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	var own []dns.Owned
	for _, o := range m.records {
		if o.Owner == m.node {
			own = append(own, o)
		}
	}
	return own, m.changed
}

// SetHealth implements health.Node.
func (m *member) SetHealth(changes []dns.HealthChange) {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	for _, c := range changes {
		m.told = append(m.told, c)
		o, ok := m.records[c.ID]
		if !ok {
			continue
		}
		before := o.Health.State
		o.Health = c.Health
		m.w.publish(o)
		if before != c.State {
			m.event(dns.Event{Kind: dns.EventHealth, Name: o.Name, Type: o.Type, Data: string(o.Data), Owner: m.node, State: c.State.String(), Before: before.String(), Text: c.Output})
		}
	}
}

// Members implements health.Node.
func (m *member) Members() []dns.Member {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	var list []dns.Member
	for node, s := range m.states {
		list = append(list, dns.Member{Node: node, State: s})
	}
	return list
}

// Set implements health.Node.
func (m *member) Set(name dns.Name) dns.Set {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	set := dns.Set{Name: name}
	for _, o := range m.records {
		if o.Name == name {
			o.Alive = m.states[o.Owner] == dns.MemberAlive
			set.Owned = append(set.Owned, o)
		}
	}
	slices.SortFunc(set.Owned, func(a, b dns.Owned) int { return cmp.Compare(a.Owner+string(a.Data), b.Owner+string(b.Data)) })
	return set
}

// Watch implements health.Node.
func (m *member) Watch(ctx context.Context, after uint64) <-chan dns.Event {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	m.after = after
	ch := make(chan dns.Event, 4096)
	m.watchers = append(m.watchers, ch)
	context.AfterFunc(ctx, func() {
		m.w.mu.Lock()
		defer m.w.mu.Unlock()
		if i := slices.Index(m.watchers, ch); i >= 0 {
			m.watchers = slices.Delete(m.watchers, i, i+1)
			close(ch)
		}
	})
	return ch
}

// event tells an event. Preconditions: w.mu is held.
func (m *member) event(e dns.Event) {
	m.seq++
	e.Seq, e.Time = m.seq, time.Now()
	for _, ch := range m.watchers {
		ch <- e
	}
}

// publish tells a record to all that hear its owner. Preconditions: w.mu is held.
func (w *world) publish(o dns.Owned) {
	owner := w.members[o.Owner]
	for _, m := range w.members {
		if m == owner || owner.states[m.node] == dns.MemberAlive && m.states[o.Owner] == dns.MemberAlive {
			m.records[o.ID()] = o
			m.event(dns.Event{Kind: dns.EventRecord, Name: o.Name, Owner: o.Owner})
		}
	}
	close(owner.changed)
	owner.changed = make(chan struct{})
}

// own gives a member a record.
func (m *member) own(o dns.Owned) dns.RecordID {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	o.Owner, o.Alive = m.node, true
	m.w.publish(o)
	return o.ID()
}

// disown takes it away.
func (m *member) disown(id dns.RecordID) {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	for _, other := range m.w.members {
		delete(other.records, id)
		other.event(dns.Event{Kind: dns.EventGone, Name: id.Name, Owner: id.Owner})
	}
	close(m.changed)
	m.changed = make(chan struct{})
}

// see makes a member believe something of others.
func (w *world) see(node string, state dns.MemberState, others ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.members[node]
	for _, o := range others {
		if before := m.states[o]; before != state {
			m.states[o] = state
			m.event(dns.Event{Kind: dns.EventMember, Owner: o, State: state.String(), Before: before.String()})
		}
	}
}

// cut parts two groups of members; each side finds the other dead.
func (w *world) cut(a, b []string) {
	for _, node := range a {
		w.see(node, dns.MemberDead, b...)
	}
	for _, node := range b {
		w.see(node, dns.MemberDead, a...)
	}
}

// heal ends a cut: all are alive and know everything.
func (w *world) heal() {
	w.mu.Lock()
	var all []string
	for node := range w.members {
		all = append(all, node)
	}
	w.mu.Unlock()
	for _, node := range all {
		w.see(node, dns.MemberAlive, all...)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.members {
		for _, o := range m.records {
			if o.Owner == m.node {
				w.publish(o)
			}
		}
	}
}

// start runs the service of a member until the test ends or its stop is called.
func (m *member) start(t *testing.T, cfg health.Config, deps health.Deps) *health.Service {
	t.Helper()
	m.reg = prometheus.NewRegistry()
	deps.Node, deps.Registerer = m, m.reg
	if deps.Log == nil {
		deps.Log = discard
	}
	if cfg.Domain == "" {
		cfg.Domain = "svc.test"
	}
	if cfg.Health == (dns.HealthConfig{}) {
		cfg.Health = dns.Default().Health
	}
	if cfg.Hooks.Fencing == dns.FenceLock && deps.OpenLease == nil {
		deps.OpenLease = func(context.Context) (health.Lease, func() error, error) { return m.w.locks.of(m.node), nil, nil }
	}
	s, err := health.New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	if !m.programs {
		s.SetExec(m.exec)
	}
	m.service = s
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
	}()
	m.stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(m.stop)
	return s
}

// exec takes the part of hooks' programs.
func (m *member) exec(ctx context.Context, c program.Command) (program.Result, error) {
	env := map[string]string{}
	for _, e := range c.Env {
		name, value, _ := strings.Cut(e, "=")
		env[strings.TrimPrefix(name, "KAMADO_DNS_")] = value
	}
	r := run{node: m.node, event: env["EVENT"], name: env["NAME"], address: env["ADDRESS"], token: env["TOKEN"], initial: env["INITIAL"] != "", from: time.Now()}
	m.w.mu.Lock()
	i := len(m.w.runs)
	m.w.runs = append(m.w.runs, r)
	hook := m.w.hook
	m.w.mu.Unlock()
	if hook != nil {
		hook(ctx, r)
	}
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	m.w.runs[i].to = time.Now()
	return program.Result{}, nil
}

// take gives the runs since the last take, as words.
func (w *world) take() (words []string) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.runs {
		s := r.node + " " + r.event
		if r.initial {
			s += " initially"
		}
		words = append(words, s)
	}
	w.runs = nil
	return words
}

// overlap says whether two members were active at the same time, from the
// beginning of the hook that activated to the end of the one that ended it.
func (w *world) overlap(t *testing.T) bool {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	type span struct {
		node     string
		from, to time.Time
	}
	var spans []span
	active := map[string]time.Time{}
	for _, r := range w.runs {
		switch r.event {
		case "activate":
			active[r.node] = r.from
		case "inactivate":
			if from, ok := active[r.node]; ok {
				to := r.to
				if to.IsZero() {
					to = time.Now()
				}
				spans = append(spans, span{r.node, from, to})
				delete(active, r.node)
			}
		}
	}
	for node, from := range active {
		spans = append(spans, span{node, from, time.Now()})
	}
	for i, a := range spans {
		for _, b := range spans[i+1:] {
			if a.node != b.node && a.from.Before(b.to) && b.from.Before(a.to) {
				t.Logf("%s was active from %v to %v, %s from %v to %v", a.node, a.from, a.to, b.node, b.from, b.to)
				return true
			}
		}
	}
	return false
}

// active says who believes to be active.
func (w *world) active(name dns.Name) (nodes []string) {
	synctest.Wait()
	for node, m := range w.members {
		if m.service != nil {
			if ok, _ := m.service.Active(name); ok {
				nodes = append(nodes, node)
			}
		}
	}
	slices.Sort(nodes)
	return nodes
}

// web makes a record of the name web.
func web(addr string, tier dns.Tier, weight uint16) dns.Owned {
	return dns.Owned{Record: dns.Record{RR: dns.AddrRR("web.svc.test", netip.MustParseAddr(addr), 5), Tier: tier, Weight: weight}}
}

// hooksOf watches the name web with a fence.
func hooksOf(fencing string) health.Config {
	return health.Config{Hooks: dns.HooksConfig{Names: []string{"web"}, Fencing: fencing, Activate: "/hook", Inactivate: "/hook", Start: "/hook", Leave: "/hook", Timeout: 10 * time.Second}}
}

// locks are locks in memory, with the same promises as lock.Locker's.
type locks struct {
	mu     sync.Mutex
	leases map[string]lease
	away   map[string]bool // holders that cannot reach it
}

type lease struct {
	holder string
	token  uint64
	until  time.Time
}

type holder struct {
	l    *locks
	name string
}

func (l *locks) of(name string) holder { return holder{l, name} }

func (l *locks) cut(holder string, away bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away[holder] = away
}

// reach waits for ctx when the database is away, as a lost packet would.
func (h holder) reach(ctx context.Context) error {
	h.l.mu.Lock()
	away := h.l.away[h.name]
	h.l.mu.Unlock()
	if away {
		<-ctx.Done()
	}
	return ctx.Err()
}

// Acquire implements health.Lease.
func (h holder) Acquire(ctx context.Context, name string, term time.Duration) (lock.Grant, error) {
	asked := time.Now()
	if err := h.reach(ctx); err != nil {
		return lock.Grant{}, err
	}
	h.l.mu.Lock()
	defer h.l.mu.Unlock()
	have := h.l.leases[name]
	if have.holder != "" && time.Now().Before(have.until.Add(term/10)) {
		return lock.Grant{}, &lock.HeldError{Name: name, Holder: have.holder}
	}
	h.l.leases[name] = lease{h.name, have.token + 1, asked.Add(term)}
	return lock.Grant{Name: name, Token: have.token + 1, Term: term, Until: asked.Add(term)}, nil
}

// Renew implements health.Lease.
func (h holder) Renew(ctx context.Context, g lock.Grant) (lock.Grant, error) {
	asked := time.Now()
	if err := h.reach(ctx); err != nil {
		return g, err
	}
	h.l.mu.Lock()
	defer h.l.mu.Unlock()
	have := h.l.leases[g.Name]
	if have.holder != h.name || have.token != g.Token {
		return g, fmt.Errorf("renew: %w", lock.ErrLost)
	}
	g.Until = asked.Add(g.Term)
	have.until = g.Until
	h.l.leases[g.Name] = have
	return g, nil
}

// Release implements health.Lease.
func (h holder) Release(ctx context.Context, g lock.Grant) error {
	if err := h.reach(ctx); err != nil {
		return err
	}
	h.l.mu.Lock()
	defer h.l.mu.Unlock()
	if have := h.l.leases[g.Name]; have.holder == h.name && have.token == g.Token {
		h.l.leases[g.Name] = lease{token: have.token}
	}
	return nil
}

// Look implements health.Lease.
func (h holder) Look(ctx context.Context, name string) (lock.Status, error) {
	if err := h.reach(ctx); err != nil {
		return lock.Status{}, err
	}
	h.l.mu.Lock()
	defer h.l.mu.Unlock()
	return lock.Status{Holder: h.l.leases[name].holder, Token: h.l.leases[name].token}, nil
}

// counter is the value of a counter or a gauge; labels are the values of its labels, in the order of their names.
func counter(t *testing.T, reg *prometheus.Registry, name string, labels ...string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			var have []string
			for _, l := range m.Label {
				have = append(have, l.GetValue())
			}
			if f.GetName() == name && slices.Equal(have, labels) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}
