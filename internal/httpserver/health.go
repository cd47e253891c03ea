package httpserver

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of a readiness check.
const (
	// checkTimeout bounds one run of one check.
	checkTimeout = 2 * time.Second
	// checkLife is how long a result is given again, so that asking often costs nothing.
	checkLife = 500 * time.Millisecond
)

// ErrDraining is the failure of readiness between the request to stop and the end.
var ErrDraining = errors.New("draining")

// ErrCheckStuck is the failure of a check that did not return within its two seconds.
var ErrCheckStuck = errors.New("the check does not return")

// ErrStarting is wrapped by the failure of a check whose service has not come up yet: readiness fails, and nothing is wrong. Who
// wraps it bounds for how long.
var ErrStarting = errors.New("still starting")

// Health says whether the process is alive (/healthz: it answers) and ready (/readyz: all named checks pass and it is not about
// to stop). It is safe for concurrent use; make one with NewHealth and give it to every server of the process.
type Health struct {
	log      *slog.Logger
	draining atomic.Pointer[time.Time] // when readiness began to fail for good; nil before

	mu     sync.Mutex
	checks []check // sorted by name

	// runMu is held while checks run, so that they run once for all who ask at the same time. It is taken before mu.
	runMu    sync.Mutex
	last     []CheckResult
	expires  time.Time
	failing  map[string]bool
	starting map[string]bool // names of checks whose failure so far was ErrStarting
}

type check struct {
	name string
	run  func(context.Context) error
	// busy is set while run works, also after nobody waits for it any more: a check that ignores its context is not
	// started a second time on top of itself.
	busy *atomic.Bool
}

// CheckResult is the outcome of one named check; Err is nil when it passed.
type CheckResult struct {
	Name string
	Err  error
}

// NewHealth gives a Health without checks: ready.
func NewHealth(log *slog.Logger) *Health {
	return &Health{log: log, failing: map[string]bool{}, starting: map[string]bool{}}
}

// AddCheck adds a condition of readiness. run should honour its context: it is given two seconds, and one that needs longer
// counts as failing until it has returned. It runs once at a time and at most twice a second. A check of the same name
// is replaced.
func (h *Health) AddCheck(name string, run func(ctx context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = slices.DeleteFunc(h.checks, func(c check) bool { return c.name == name })
	h.checks = append(h.checks, check{name, run, new(atomic.Bool)})
	slices.SortFunc(h.checks, func(a, b check) int { return strings.Compare(a.name, b.name) })
}

// Drain makes readiness fail from now on, and says for how long it already does. A stopping server calls it before it closes
// its listener.
func (h *Health) Drain() time.Duration {
	now := time.Now()
	if h.draining.CompareAndSwap(nil, &now) {
		return 0
	}
	return now.Sub(*h.draining.Load())
}

// Ready runs the checks and gives their results in the order of their names. The process is ready when no Err is set.
func (h *Health) Ready(ctx context.Context) []CheckResult {
	if h.draining.Load() != nil {
		return []CheckResult{{Name: "draining", Err: ErrDraining}}
	}
	h.runMu.Lock()
	defer h.runMu.Unlock()
	if time.Now().Before(h.expires) {
		return h.last
	}
	h.mu.Lock()
	checks := slices.Clone(h.checks)
	h.mu.Unlock()

	// A client that leaves must not spoil the result for the others.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	results := make([]CheckResult, len(checks))
	var wg sync.WaitGroup
	for i, c := range checks {
		wg.Go(func() { results[i] = CheckResult{c.name, c.ask(ctx)} })
	}
	wg.Wait()
	h.report(results)
	h.last, h.expires = results, time.Now().Add(checkLife)
	return results
}

// ask runs the check and waits for it until ctx ends, and no longer: one check that hangs must not hold the answer about
// the others. Its goroutine then ends whenever the check does.
func (c check) ask(ctx context.Context) error {
	if !c.busy.CompareAndSwap(false, true) {
		return ErrCheckStuck
	}
	done := make(chan error, 1)
	go func() {
		err := c.run(ctx)
		c.busy.Store(false)
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ErrCheckStuck
	}
}

// report logs what changed. Preconditions: runMu is held.
func (h *Health) report(results []CheckResult) {
	for _, r := range results {
		switch failed := r.Err != nil; {
		case errors.Is(r.Err, ErrStarting) && !h.failing[r.Name]:
			if !h.starting[r.Name] {
				h.log.Info("a service is starting", "check", r.Name, "waiting_for", r.Err)
				h.starting[r.Name] = true
			}
		case failed && !h.failing[r.Name]:
			h.log.Warn("readiness check fails", "check", r.Name, "error", r.Err)
			h.failing[r.Name] = true
		case !failed && h.failing[r.Name]:
			h.log.Info("readiness check passes again", "check", r.Name)
			delete(h.failing, r.Name)
			delete(h.starting, r.Name)
		case !failed && h.starting[r.Name]:
			h.log.Info("a service has started", "check", r.Name)
			delete(h.starting, r.Name)
		}
	}
}

// ServeHealthz answers that the process is alive.
func (h *Health) ServeHealthz(w http.ResponseWriter, r *http.Request) {
	if !isRead(w, r) {
		return
	}
	h.write(w, r, http.StatusOK, healthBody{Status: "ok"})
}

// ServeReadyz answers 200 when the process is ready and 503 when it is not, with the outcome of each check. Why a check
// fails is in the log, not in the answer: anybody may ask.
func (h *Health) ServeReadyz(w http.ResponseWriter, r *http.Request) { h.serveReadyz(w, r, false) }

// ServeReadyzDetailed is ServeReadyz with the errors of the checks, for the admin listener.
func (h *Health) ServeReadyzDetailed(w http.ResponseWriter, r *http.Request) {
	h.serveReadyz(w, r, true)
}

type healthBody struct {
	Status string            `json:"status"`
	Checks map[string]string `json:"checks,omitempty"`
}

func (h *Health) serveReadyz(w http.ResponseWriter, r *http.Request, detailed bool) {
	if !isRead(w, r) {
		return
	}
	results := h.Ready(r.Context())
	status, body := http.StatusOK, healthBody{Status: "ready", Checks: make(map[string]string, len(results))}
	for _, c := range results {
		body.Checks[c.Name] = "ok"
		if c.Err == nil {
			continue
		}
		status, body.Status, body.Checks[c.Name] = http.StatusServiceUnavailable, "not ready", "failing"
		if detailed {
			body.Checks[c.Name] = c.Err.Error()
		}
	}
	h.write(w, r, status, body)
}

// isRead refuses everything but GET and HEAD.
func isRead(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	WriteProblem(w, r, Problem{Status: http.StatusMethodNotAllowed, Detail: "health can be read with GET and HEAD only"})
	return false
}

func (h *Health) write(w http.ResponseWriter, r *http.Request, status int, body healthBody) {
	data, _ := json.Marshal(body) // strings only: cannot fail
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(append(data, '\n'))
	}
}
