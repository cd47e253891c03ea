package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/message"
	"github.com/kamado/kamado/internal/probe"
	"github.com/kamado/kamado/internal/program"
)

// The events of hooks, which are also the label event of metrics.
const (
	eventStart      = "start"
	eventLeave      = "leave"
	eventActivate   = "activate"
	eventInactivate = "inactivate"
)

// jobsMax bounds the hooks of one name that wait behind the one that runs. Of
// more, the oldest two are left out, which cancel each other.
const jobsMax = 8

// stopMax bounds hooks at the end of this member: whoever stops it has a limit too.
const stopMax = 15 * time.Second

// hooks are the programs of HooksConfig.
type hooks struct {
	timeout  time.Duration
	programs map[string]program.Command // by event; missing: none
	node     Node
	log      *slog.Logger
	metrics  *metrics
	exec     func(context.Context, program.Command) (program.Result, error) // program.Run, but in tests
}

func newHooks(cfg dns.HooksConfig, deps Deps, m *metrics) (*hooks, error) {
	h := &hooks{timeout: cfg.Timeout, programs: map[string]program.Command{}, node: deps.Node, log: deps.Log, metrics: m, exec: program.Run}
	var errs []error
	for event, text := range map[string]string{eventStart: cfg.Start, eventLeave: cfg.Leave, eventActivate: cfg.Activate, eventInactivate: cfg.Inactivate} {
		if text == "" {
			continue
		}
		c, err := program.Parse(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", event, err))
		}
		h.programs[event] = c
	}
	return h, errors.Join(errs...)
}

// member runs the program of an event of this member: start or leave. After its
// own words it gets its address and node name.
func (h *hooks) member(ctx context.Context, event string) {
	c, ok := h.programs[event]
	if !ok {
		return
	}
	address := ""
	own, _ := h.node.Own()
	for _, o := range own {
		if o.Tier == dns.Origin {
			address = dataText(o.RR)
		}
	}
	h.run(ctx, event, c, []string{address, h.node.Self()}, []string{"KAMADO_DNS_ADDRESS=" + address})
}

// run runs one program for a bounded time and logs what it said.
func (h *hooks) run(ctx context.Context, event string, c program.Command, args, env []string) {
	limit := h.timeout
	if event == eventLeave {
		limit = min(limit, stopMax)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c.Args = append(slices.Clone(c.Args), args...)
	c.Env = append([]string{"KAMADO_DNS_EVENT=" + event, "KAMADO_DNS_NODE=" + h.node.Self()}, env...)
	start := time.Now()
	r, err := h.exec(ctx, c)
	took := time.Since(start)
	h.metrics.hook(event, took, err)
	log := h.log.With("event", event, "program", c.Path, "took", took, "said", probe.Clip(string(r.Output)))
	if err != nil {
		log.Warn("hook failed", "error", err)
		return
	}
	log.Info("hook ran")
}

// dataText writes a record's data; what cannot be written is empty.
func dataText(rr dns.RR) string {
	if a, ok := rr.Addr(); ok {
		return a.String()
	}
	text, err := message.FormatRData(rr.Type, rr.Data)
	if err != nil {
		return ""
	}
	return text
}

// job is one run of a hook of activity.
type job struct {
	activity Activity
	record   dns.Owned // this member's; zero: it has none any more
	initial  bool
}

// jobs runs the hooks of one name, one after the other.
type jobs struct {
	hooks *hooks
	done  func() // told after each
	more  chan struct{}

	mu      sync.Mutex
	waiting []job // Invariant: at most jobsMax
	running bool
}

func newJobs(h *hooks, done func()) *jobs {
	return &jobs{hooks: h, done: done, more: make(chan struct{}, 1)}
}

// push adds a hook behind those that wait.
func (j *jobs) push(one job) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.waiting) == jobsMax {
		j.waiting = slices.Delete(j.waiting, 0, 2)
		j.hooks.metrics.dropped.Add(2)
	}
	j.waiting = append(j.waiting, one)
	select {
	case j.more <- struct{}{}:
	default:
	}
}

// idle says that none runs or waits.
func (j *jobs) idle() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return !j.running && len(j.waiting) == 0
}

func (j *jobs) pop() (one job, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.running = len(j.waiting) > 0; !j.running {
		return job{}, false
	}
	one = j.waiting[0]
	j.waiting = slices.Delete(j.waiting, 0, 1)
	return one, true
}

// run runs hooks until ctx ends, and then none of those that wait.
func (j *jobs) run(ctx context.Context) {
	defer j.drop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-j.more:
		}
		for one, ok := j.pop(); ok && ctx.Err() == nil; one, ok = j.pop() {
			j.hooks.activity(ctx, one)
		}
		j.done()
	}
}

// drop forgets what waits.
func (j *jobs) drop() {
	j.mu.Lock()
	j.hooks.metrics.dropped.Add(float64(len(j.waiting)))
	j.waiting, j.running = nil, false
	j.mu.Unlock()
	j.done()
}

// activity runs the program of a change of activity. After its own words it gets
// the address, the name, and "active" or "inactive".
func (h *hooks) activity(ctx context.Context, j job) {
	event, a := eventInactivate, j.activity
	if a.Active {
		event = eventActivate
	}
	c, ok := h.programs[event]
	if !ok {
		return
	}
	address := ""
	if j.record.Name != "" {
		address = dataText(j.record.RR)
	}
	env := []string{
		"KAMADO_DNS_NAME=" + string(a.Name), "KAMADO_DNS_STATUS=" + word(a.Active), "KAMADO_DNS_ADDRESS=" + address, "KAMADO_DNS_OWNER=" + a.Owner,
		"KAMADO_DNS_WHY=" + a.Why,
	}
	if a.Token > 0 {
		env = append(env, "KAMADO_DNS_TOKEN="+strconv.FormatUint(a.Token, 10))
	}
	if j.initial {
		env = append(env, "KAMADO_DNS_INITIAL=1")
	}
	h.run(ctx, event, c, []string{address, string(a.Name), word(a.Active)}, env)
}
