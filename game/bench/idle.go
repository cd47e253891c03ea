package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/kamado/kamado/game/wire"
)

// IdleConfig says how many connections are opened that do nothing. Start from DefaultIdle.
type IdleConfig struct {
	Target
	Over        string        // ws or tcp, for a server that is started
	Connections int           // logged in, each of a user of its own
	Settle      time.Duration // longest wait for the server's memory to come to rest, in front of the connections and behind
}

// DefaultIdle is the measurement that the project's figures are stated in. The command is missing.
func DefaultIdle() IdleConfig {
	return IdleConfig{Target: Target{Timeout: time.Minute}, Over: OverWS, Connections: 5000, Settle: 90 * time.Second}
}

// connectionsMax bounds idle connections.
const connectionsMax = 1_000_000

// Validate complains about everything that is wrong at once.
func (c *IdleConfig) Validate() error {
	var e complaints
	c.validate(e.complain)
	e.complain(c.Over == OverWS || c.Over == OverTCP, "%q is neither %s nor %s", c.Over, OverWS, OverTCP)
	e.complain(c.Connections >= 1 && c.Connections <= connectionsMax, "connections %d is not in 1..%d", c.Connections, connectionsMax)
	e.complain(c.Settle > 0 && c.Settle <= runMost, "settle %v is not above 0, and at most %v", c.Settle, runMost)
	return e.err()
}

// idler is a player who logs in and does nothing.
type idler struct {
	player
	gate *gate
	in   bool
}

func (p *idler) welcomed(c *link, _ *wire.Welcome) {
	p.in = true
	p.gate.entered(c.crowd.now())
}

func (p *idler) frame(*link, wire.Command, []byte, int64) error { return nil }

func (p *idler) ended(c *link, err error) { p.gate.ended(p.in, c.crowd.now(), err) }

// warmIdlers are connected and closed in front of the measurement, so that what a server has once is not counted.
const warmIdlers = 50

// Idle measures what logged-in connections that do nothing cost the server in memory. An error is something that could not be measured.
func Idle(ctx context.Context, cfg IdleConfig) (*IdleReport, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := enoughFiles(cfg.Connections); err != nil {
		return nil, err
	}
	if cfg.Dir == "" {
		cfg.Dir = diskDir()
	}
	dir, err := os.MkdirTemp(cfg.Dir, "kamado-game-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	s, err := cfg.open(ctx, cfg.Over, dir+"/kamado")
	if err != nil {
		return nil, err
	}
	defer s.end()
	pid, err := s.findProcess()
	if err != nil {
		return nil, err
	}
	r := newIdleReport(&cfg, s)
	users, err := s.guests(ctx, cfg.Connections)
	if err != nil {
		return nil, fmt.Errorf("make users: %w", err)
	}
	tokens := func(i int) string { return users[i].Access }
	if err := s.idlers(ctx, &cfg, min(warmIdlers, cfg.Connections), tokens, func(gate) error { return nil }); err != nil {
		return nil, fmt.Errorf("warm the server: %w", err)
	}
	cfg.talkf("waiting until the server's memory is at rest")
	before, waited, err := settle(ctx, pid, cfg.Settle)
	if err != nil {
		return nil, err
	}
	r.settled(waited)
	began, cpu := time.Now(), cpuOf(pid)
	err = s.idlers(ctx, &cfg, cfg.Connections, tokens, func(g gate) error {
		r.ConnectSeconds, r.ConnectCPU = time.Since(began).Seconds(), (cpuOf(pid) - cpu).Seconds()
		cfg.talkf("%d connections are in, waiting until the server's memory is at rest", g.in)
		after, waited, err := settle(ctx, pid, cfg.Settle)
		if err != nil {
			return s.server.process.why(err)
		}
		r.settled(waited)
		return r.fill(before, after, g)
	})
	return r, err
}

// idlers opens connections and does something while they are there.
func (m *measuredServer) idlers(ctx context.Context, cfg *IdleConfig, n int, token func(i int) string, do func(gate) error) error {
	w, err := newCrowd(m.target, m.endpoint.host, time.Now())
	if err != nil {
		return err
	}
	defer w.close()
	var g gate
	err = w.do(ctx, &entering{gate: &g, n: n, patience: cfg.Timeout, dial: func(i int) {
		p := &idler{player: player{token: token(i)}, gate: &g}
		p.part = p
		w.dial(p, m.endpoint.path)
	}})
	if err != nil {
		return err
	}
	var now gate
	if err := w.do(ctx, once(func(int64) { now = g })); err != nil {
		return err
	}
	if now.in == now.lost {
		return fmt.Errorf("%w: none of %d: %w", errEntering, n, errors.Join(now.first, now.lostWhy))
	}
	if err := do(now); err != nil {
		return err
	}
	return w.do(ctx, once(func(int64) { now = g }))
}

// resident is what a process has in memory, in bytes.
type resident struct{ rss, pss int64 }

// How memory counts as at rest: it has not changed by more than a part of it for some readings. Their median is the figure.
const (
	settleEvery = time.Second
	settleCalm  = 35 // readings: our server gives back every 30 s what it does not need
	settlePart  = 0.03
)

// settle waits until a process gives no more memory back, and says how long that took, at most limit. A server in Go gives back in its
// own time what was garbage, so it is looked at for a while after it seems to be at rest.
func settle(ctx context.Context, pid int, limit time.Duration) (resident, time.Duration, error) {
	began := time.Now()
	var rss, pss []int64
	for {
		r, p := memoryOf(pid)
		if r == 0 {
			return resident{}, 0, fmt.Errorf("the memory of process %d cannot be read, as another user or because it has ended: %w", pid, errNoProcess)
		}
		rss, pss = append(rss, r), append(pss, p)
		from := max(0, len(pss)-settleCalm)
		rss, pss = rss[from:], pss[from:]
		calm := len(pss) == settleCalm && float64(slices.Max(pss)-slices.Min(pss)) <= settlePart*float64(slices.Max(pss))
		if waited := time.Since(began); calm || waited >= limit {
			slices.Sort(rss)
			slices.Sort(pss)
			return resident{rss[len(rss)/2], pss[len(pss)/2]}, waited, nil
		}
		if err := rest(ctx, min(settleEvery, limit)); err != nil {
			return resident{}, 0, err
		}
	}
}
