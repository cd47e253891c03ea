package health

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/internal/lock"
)

// lookEvery is how often a seat looks though nothing was heard.
const lookEvery = time.Second

// Parts of a lock's term: how often it is renewed, how long before its end the
// activity ends, how often others look at it.
const (
	renewPart = 6
	gracePart = 3
	lookPart  = 12
)

// acquireEvery is how often a lock that somebody has is asked for.
const acquireEvery = 100 * time.Millisecond

// seat watches the activity of one name. Its loop is one goroutine, which alone
// uses the fields above mu; its hooks run in another one.
type seat struct {
	name dns.Name
	s    *Service
	kick chan struct{}

	lease    Lease       // nil: no lock is needed
	grant    *lock.Grant // nil: none
	dying    bool        // the grant is not renewed any more
	failed   error       // the last renewal that failed
	next     time.Time   // the next use of the lease
	wantedAt time.Time   // since when a majority wants it; zero: it does not
	jobs     *jobs

	mu  sync.Mutex
	now Activity
	set bool // now was decided at least once
}

func newSeat(name dns.Name, s *Service) *seat {
	return &seat{name: name, s: s, kick: make(chan struct{}, 1), now: Activity{Name: name, Why: "this member has just started"}}
}

// wake makes it look again.
func (t *seat) wake() {
	select {
	case t.kick <- struct{}{}:
	default:
	}
}

func (t *seat) activity() Activity {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now
}

// refuse says why nobody can become active, before run runs.
func (t *seat) refuse(why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now.Why = why
}

// run decides until ctx ends; then the activity ends.
func (t *seat) run(ctx context.Context, lease Lease) {
	t.lease = lease
	// Hooks that end the activity run after the end of ctx too.
	t.jobs = newJobs(t.s.hooks, t.wake)
	programs := spawn(context.WithoutCancel(ctx), t.jobs.run)
	defer programs.end()
	for ctx.Err() == nil {
		wait := t.step(ctx)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-t.kick:
		case <-timer.C:
		}
		timer.Stop()
	}
	over := time.AfterFunc(stopMax, programs.cancel)
	defer over.Stop()
	t.stop(context.WithoutCancel(ctx))
}

// step looks and decides, and says when to look again.
func (t *seat) step(ctx context.Context) time.Duration {
	v := look(t.s.deps.Node, t.name)
	switch t.s.cfg.Hooks.Fencing {
	case dns.FenceMajority:
		return t.stepMajority(v)
	case dns.FenceLock:
		if t.lease == nil {
			return lookEvery // it could not be opened, and ctx has ended
		}
		return min(lookEvery, max(time.Millisecond, t.stepLock(ctx, v)))
	}
	t.decide(v.first, v, v.why(), 0)
	return lookEvery
}

// stepMajority stops at once, and begins after a while: the side of a cut that
// lost the majority needs that time to see it.
func (t *seat) stepMajority(v view) time.Duration {
	now := time.Now()
	switch {
	case !v.first:
		t.wantedAt = time.Time{}
		t.decide(false, v, v.why(), 0)
	case !v.majority:
		t.wantedAt = time.Time{}
		t.decide(false, v, v.noMajority(), 0)
	case t.wantedAt.IsZero():
		t.wantedAt = now
		return t.s.cfg.MajorityDelay
	default:
		if left := t.s.cfg.MajorityDelay - now.Sub(t.wantedAt); left > 0 {
			return left
		}
		t.decide(true, v, v.why(), 0)
	}
	return lookEvery
}

// stepLock says how long nothing must be done for the lock.
func (t *seat) stepLock(ctx context.Context, v view) time.Duration {
	if t.grant != nil {
		t.keep(ctx, v)
	}
	if t.grant == nil {
		t.seek(ctx, v)
	}
	wait := time.Until(t.next)
	if t.grant != nil {
		end := t.graceEnd()
		if t.dying {
			end = t.grant.Until
		}
		wait = min(wait, time.Until(end))
	}
	return wait
}

// graceEnd is when an activity whose lock was not renewed ends.
func (t *seat) graceEnd() time.Time { return t.grant.Until.Add(-t.grant.Term / gracePart) }

// keep renews the grant, or ends the activity and gives it back.
func (t *seat) keep(ctx context.Context, v view) {
	now := time.Now()
	switch {
	case !now.Before(t.grant.Until):
		t.lost(v, "the lock ended")
		return
	case !t.dying && !now.Before(t.graceEnd()):
		t.dying = true
		t.s.deps.Log.Warn("lock could not be renewed", "name", t.name, "error", t.failed)
		t.decide(false, v, "the lock could not be renewed", t.grant.Token)
	case !t.dying && !now.Before(t.next):
		t.renew(ctx, v)
	}
	if t.grant == nil {
		return
	}
	if !t.dying {
		t.decide(v.first, v, v.why(), t.grant.Token)
	}
	if !t.activity().Active && t.jobs.idle() {
		t.release(ctx)
	}
}

func (t *seat) renew(ctx context.Context, v view) {
	ctx, cancel := context.WithDeadline(ctx, t.graceEnd())
	defer cancel()
	g, err := t.lease.Renew(ctx, *t.grant)
	switch {
	case err == nil:
		t.grant = &g
		t.next = time.Now().Add(g.Term / renewPart)
	case errors.Is(err, lock.ErrLost):
		t.lost(v, "the lock was lost")
	default:
		t.failed = err
		t.next = time.Now().Add(t.grant.Term / (2 * renewPart))
	}
}

// lost forgets the grant. What still runs under it is late.
func (t *seat) lost(v view, why string) {
	token := t.grant.Token
	t.grant, t.dying, t.next = nil, false, time.Time{}
	was := t.activity().Active
	t.decide(false, v, why, token)
	if was || !t.jobs.idle() {
		t.s.metrics.late.Inc()
		t.s.deps.Log.Error("another member may be active already", "name", t.name, "reason", why, "token", token)
	}
}

// release gives the lock back: nothing of ours runs under it any more.
func (t *seat) release(ctx context.Context) {
	ctx, cancel := context.WithDeadline(ctx, t.grant.Until)
	defer cancel()
	if err := t.lease.Release(ctx, *t.grant); err != nil {
		t.s.deps.Log.Debug("lock was not given back; it ends by itself", "name", t.name, "error", err)
	}
	t.grant, t.dying, t.next = nil, false, time.Time{}
}

// seek asks for the lock when this member is the first, and otherwise looks who
// has it, so that it can take over soon.
func (t *seat) seek(ctx context.Context, v view) {
	term := t.s.cfg.LockTerm
	if time.Now().Before(t.next) {
		if !v.first {
			t.decide(false, v, v.why(), 0)
		}
		return
	}
	ctx, cancel := context.WithTimeout(ctx, term)
	defer cancel()
	if !v.first {
		t.decide(false, v, v.why(), 0)
		t.next = time.Now().Add(lookEvery)
		if v.mine {
			t.lease.Look(ctx, string(t.name)) //nolint:errcheck // it is only to know when it stood still
			t.next = time.Now().Add(term / lookPart)
		}
		return
	}
	g, err := t.lease.Acquire(ctx, string(t.name), term)
	var held *lock.HeldError
	switch {
	case err == nil:
		t.grant, t.dying = &g, false
		t.next = time.Now().Add(term / renewPart)
		if time.Now().Before(t.graceEnd()) {
			t.decide(true, v, fmt.Sprintf("%s, with the lock's token %d", v.why(), g.Token), g.Token)
		}
		return
	case errors.As(err, &held):
		t.decide(false, v, fmt.Sprintf("the lock is held by %s", held.Holder), 0)
	default:
		t.decide(false, v, "the database of locks does not answer", 0)
		t.s.deps.Log.Debug("lock was not asked for", "name", t.name, "error", err)
	}
	t.next = time.Now().Add(acquireEvery)
}

// decide makes the seat active or not, and runs the hook when that changed. The
// first decision runs one too: it puts right what an earlier life left.
func (t *seat) decide(active bool, v view, why string, token uint64) {
	t.mu.Lock()
	changed, initial := t.now.Active != active || !t.set, !t.set
	t.set = true
	t.now.Active, t.now.Why, t.now.Owner, t.now.Token = active, why, v.owner, token
	if changed {
		t.now.Since = time.Now()
	}
	now := t.now
	t.mu.Unlock()
	if !changed {
		return
	}
	t.s.deps.Log.Info("name is "+word(active)+" here", "name", t.name, "why", why, "owner", v.owner)
	t.jobs.push(job{activity: now, record: v.record, initial: initial})
	t.s.notes.activity(now, initial)
}

func word(active bool) string {
	if active {
		return "active"
	}
	return "inactive"
}

// stop ends the activity, waits for its hooks while the lock is kept, and gives it back.
func (t *seat) stop(ctx context.Context) {
	v := look(t.s.deps.Node, t.name)
	if t.activity().Active {
		token := uint64(0)
		if t.grant != nil {
			token = t.grant.Token
		}
		t.decide(false, v, "this member stops", token)
	}
	for !t.jobs.idle() {
		wait := lookEvery
		if t.grant != nil && !t.dying {
			if !time.Now().Before(t.next) {
				t.renew(ctx, v)
			}
			wait = time.Until(t.next)
		}
		timer := time.NewTimer(max(time.Millisecond, wait))
		select {
		case <-t.kick:
		case <-timer.C:
		}
		timer.Stop()
	}
	if t.grant != nil && time.Now().Before(t.grant.Until) {
		t.release(ctx)
	}
}
