package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/internal/probe"
)

// refreshEvery is how often new words of checks whose states stay are told:
// gossip carries states, not conversations.
const refreshEvery = time.Minute

// syncPause is the least time between two readings of the own records, and
// syncShare by how much longer than a reading the pause after it is: thousands of records that are added
// one by one must not be read thousands of times.
const (
	syncPause = 10 * time.Millisecond
	syncShare = 10
)

// toldMax bounds the news that are told at once.
const toldMax = 1000

// checks runs the checks of own records.
type checks struct {
	cfg   dns.HealthConfig
	node  Node
	log   *slog.Logger
	group *probe.Group[*watched]
	news  chan struct{} // pending is not empty

	mu      sync.Mutex
	byID    map[dns.RecordID]*watched
	pending map[*watched]dns.Health // to be told; Invariant: of watched records only
}

// watched is one own record with a check. Its fields are under checks.mu.
type watched struct {
	id    dns.RecordID
	check dns.Check
	now   dns.Health // as far as is known here
	told  dns.Health // the last that the member heard
	// refused says why the check does not run; nil: it does.
	refused  error
	flapping bool
}

func newChecks(cfg dns.HealthConfig, deps Deps) *checks {
	c := &checks{cfg: cfg, node: deps.Node, log: deps.Log, news: make(chan struct{}, 1), byID: map[dns.RecordID]*watched{}, pending: map[*watched]dns.Health{}}
	c.group = probe.NewGroup(probe.GroupConfig{}, c.report)
	return c
}

// CheckSpec judges a check as the API must before it takes a record: errors are
// *dns.Error, and say what would be right.
func CheckSpec(cfg dns.HealthConfig, c dns.Check) error {
	_, err := read(cfg, c)
	return err
}

// Bounds of a check's times.
const (
	intervalMax  = time.Hour
	timeoutMax   = 10 * time.Minute
	thresholdMax = 1000
)

// read makes a check of what a record has.
func read(cfg dns.HealthConfig, c dns.Check) (probe.Check, error) {
	if c.Spec == "" {
		return probe.Check{}, nil
	}
	spec, err := probe.Parse(c.Spec)
	if err != nil {
		return probe.Check{}, &dns.Error{Kind: dns.Invalid, Detail: err.Error()}
	}
	if spec.Programs() && !cfg.AllowExec {
		return probe.Check{}, &dns.Error{Kind: dns.Denied, Detail: "checks that run programs are not allowed on this member (health.allow_exec)"}
	}
	out := probe.Check{
		Spec: spec, Interval: cmp.Or(c.Interval, cfg.Interval), Timeout: cmp.Or(c.Timeout, cfg.Timeout),
		Limits: probe.Limits{Healthy: cmp.Or(c.Healthy, cfg.Healthy), Unhealthy: cmp.Or(c.Unhealthy, cfg.Unhealthy), Initial: probeState(c.Initial)},
	}
	switch {
	case out.Interval < probe.IntervalMin || out.Interval > intervalMax:
		err = fmt.Errorf("an interval of %v: want %v to %v", out.Interval, probe.IntervalMin, intervalMax)
	case out.Timeout < time.Millisecond || out.Timeout > timeoutMax:
		err = fmt.Errorf("a timeout of %v: want 1ms to %v", out.Timeout, timeoutMax)
	case out.Healthy < 1 || out.Healthy > thresholdMax || out.Unhealthy < 1 || out.Unhealthy > thresholdMax:
		err = fmt.Errorf("thresholds of %d and %d: want 1 to %d", out.Healthy, out.Unhealthy, thresholdMax)
	}
	if err != nil {
		return probe.Check{}, &dns.Error{Kind: dns.Invalid, Detail: err.Error()}
	}
	return out, nil
}

func probeState(s dns.State) probe.State {
	return [...]probe.State{dns.Unknown: probe.Unknown, dns.Healthy: probe.Healthy, dns.Unhealthy: probe.Unhealthy}[min(s, dns.Unhealthy)]
}

func dnsState(s probe.State) dns.State {
	return [...]dns.State{probe.Unknown: dns.Unknown, probe.Healthy: dns.Healthy, probe.Unhealthy: dns.Unhealthy}[min(s, probe.Unhealthy)]
}

// run watches the own records and their checks until ctx ends.
func (c *checks) run(ctx context.Context) {
	group := spawn(ctx, func(ctx context.Context) { c.group.Run(ctx) }) //nolint:errcheck // ends with ctx
	defer group.end()
	teller := spawn(ctx, c.tell)
	defer teller.end()
	for ctx.Err() == nil {
		begin := time.Now()
		own, changed := c.node.Own()
		c.sync(own)
		took := time.Since(begin)
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		pause := time.NewTimer(max(syncPause, syncShare*took))
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

// sync makes the checks those of the own records.
func (c *checks) sync(own []dns.Owned) {
	c.mu.Lock()
	defer c.mu.Unlock()
	have := make(map[dns.RecordID]bool, len(own))
	for _, o := range own {
		if o.Check.Spec == "" {
			continue
		}
		id := o.ID()
		have[id] = true
		w := c.byID[id]
		switch {
		case w == nil:
			c.begin(o)
		case w.check != o.Check:
			c.end(w)
			c.begin(o)
		case w.now.State != dns.Unknown && o.Health.State != w.now.State:
			c.say(w, w.now) // it was made anew, or the news were lost
		}
	}
	for id, w := range c.byID {
		if !have[id] {
			c.end(w)
		}
	}
}

// begin watches a record. What was known of it is believed until a threshold is
// reached: a member that starts again must not take all its records out of the
// answers. Preconditions: mu is held.
func (c *checks) begin(o dns.Owned) {
	now := time.Now()
	w := &watched{id: o.ID(), check: o.Check, now: o.Health, told: o.Health}
	c.byID[w.id] = w
	check, err := read(c.cfg, o.Check)
	if err == nil {
		since := now
		if o.Health.State != dns.Unknown {
			check.Initial, since = probeState(o.Health.State), o.Health.Since
		}
		err = c.group.Add(w, check, since)
	}
	if err != nil {
		w.refused = err
		c.log.Warn("check does not run", "name", w.id.Name, "error", err)
		c.say(w, dns.Health{State: dns.Unhealthy, Since: stamp(now), Output: probe.Clip("not checked: " + detail(err))})
		return
	}
	if o.Health.State == dns.Unknown && o.Check.Initial != dns.Unknown {
		c.say(w, dns.Health{State: o.Check.Initial, Since: stamp(now), Output: "not checked yet"})
	}
}

func detail(err error) string {
	var e *dns.Error
	if errors.As(err, &e) {
		return e.Detail
	}
	return err.Error()
}

// stamp is a moment as health is dated: to the millisecond.
func stamp(t time.Time) time.Time { return t.Truncate(time.Millisecond) }

// end stops watching a record. Preconditions: mu is held.
func (c *checks) end(w *watched) {
	c.group.Remove(w)
	delete(c.byID, w.id)
	delete(c.pending, w)
}

// report takes a result of the group.
func (c *checks) report(w *watched, u probe.Update) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID[w.id] != w {
		return // it was removed meanwhile
	}
	if u.Flapping && !w.flapping {
		c.log.Warn("check is flapping", "name", w.id.Name, "said", u.Text)
	}
	w.flapping = u.Flapping
	h := dns.Health{State: dnsState(u.State), Since: stamp(u.Since), Output: u.Text}
	if u.Flapping {
		h.Output = probe.Clip("flapping: " + u.Text)
	}
	if u.Changed {
		c.log.Info("record became "+h.State.String(), "name", w.id.Name, "type", w.id.Type, "said", h.Output)
	}
	w.now = h
	if u.Changed {
		c.say(w, h)
	}
}

// refresh has new words of old states told.
func (c *checks) refresh() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.byID {
		if w.now != w.told {
			c.say(w, w.now)
		}
	}
}

// say has news told. Preconditions: mu is held.
func (c *checks) say(w *watched, h dns.Health) {
	w.now = h
	c.pending[w] = h
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// tell tells the member what is pending, all at once as often as it takes them.
func (c *checks) tell(ctx context.Context) {
	refresh := time.NewTicker(refreshEvery)
	defer refresh.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-refresh.C:
			c.refresh()
		case <-c.news:
		}
		for {
			list := c.take()
			if len(list) == 0 {
				break
			}
			c.node.SetHealth(list)
		}
	}
}

func (c *checks) take() (list []dns.HealthChange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w, h := range c.pending {
		if len(list) == toldMax {
			break
		}
		delete(c.pending, w)
		w.told = h
		list = append(list, dns.HealthChange{ID: w.id, Health: h})
	}
	return list
}

// Heartbeat tells the state of an own record whose check is "ttl:…". Errors are
// *dns.Error: NotFound, Conflict when the check is another one, Unavailable when
// too many come at once.
func (s *Service) Heartbeat(id dns.RecordID, healthy bool, output string) error {
	c := s.checks
	c.mu.Lock()
	w := c.byID[id]
	c.mu.Unlock()
	if w == nil {
		return &dns.Error{Kind: dns.NotFound, Detail: fmt.Sprintf("this member has no record of %s with a check", id.Name)}
	}
	r := c.group.Runner(w)
	if r == nil {
		return &dns.Error{Kind: dns.Conflict, Detail: fmt.Sprintf("the check of %s does not run", id.Name)}
	}
	var failure error
	if !healthy {
		failure = errors.New(cmp.Or(output, "said so"))
	}
	switch err := r.Beat(output, failure); {
	case errors.Is(err, probe.ErrNoHeartbeat):
		return &dns.Error{Kind: dns.Conflict, Detail: fmt.Sprintf("the check of %s takes no heartbeats: its specification is %s, not ttl:…", id.Name, w.check.Spec)}
	case errors.Is(err, probe.ErrBusy):
		return &dns.Error{Kind: dns.Unavailable, Detail: err.Error()}
	case err != nil:
		return err
	}
	return nil
}

// CheckStatus is what a check of an own record does, for people.
type CheckStatus struct {
	ID       dns.RecordID
	Check    dns.Check
	State    dns.State
	Since    time.Time
	Output   string
	Refused  string    // why it does not run; empty: it does
	Attempt  time.Time // the last one's end; zero: none yet
	Took     time.Duration
	Run      int // results in a row: above zero successes, below zero failures
	Flapping bool
	History  []StateChange // the last ones, the newest last
}

// StateChange is one change of a check's state.
type StateChange struct {
	State  dns.State
	At     time.Time
	Output string
}

// Checks are the checks of own records, in the order of name, type and data.
func (s *Service) Checks() []CheckStatus {
	c := s.checks
	c.mu.Lock()
	list := make([]CheckStatus, 0, len(c.byID))
	watch := make([]*watched, 0, len(c.byID))
	for _, w := range c.byID {
		st := CheckStatus{ID: w.id, Check: w.check, State: w.now.State, Since: w.now.Since, Output: w.now.Output}
		if w.refused != nil {
			st.Refused = detail(w.refused)
		}
		list, watch = append(list, st), append(watch, w)
	}
	c.mu.Unlock()
	for i, w := range watch {
		r := c.group.Runner(w)
		if r == nil {
			continue
		}
		v := r.Verdict()
		list[i].Attempt, list[i].Took, list[i].Run, list[i].Flapping = v.At, v.Took, v.Run, v.Flapping
		for _, h := range r.History() {
			list[i].History = append(list[i].History, StateChange{State: dnsState(h.State), At: h.At, Output: h.Text})
		}
	}
	slices.SortFunc(list, func(a, b CheckStatus) int {
		return cmp.Or(dns.CompareCanonical(a.ID.Name, b.ID.Name), cmp.Compare(a.ID.Type, b.ID.Type), cmp.Compare(a.ID.Data, b.ID.Data))
	})
	return list
}
