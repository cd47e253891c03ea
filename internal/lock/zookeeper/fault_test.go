package zookeeper_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/lock"
	"github.com/kamado/kamado/internal/lock/locktest"
	"github.com/kamado/kamado/internal/lock/zookeeper"
	"github.com/kamado/kamado/internal/lock/zookeepertest"
)

// child is, in the environment of a helper process, the servers and the root that it uses.
const child = "KAMADO_TEST_LOCK_CHILD"

func TestMain(m *testing.M) {
	where := os.Getenv(child)
	if where == "" {
		os.Exit(locktest.Main(m))
	}
	c := zookeeper.Default()
	servers, root, _ := strings.Cut(where, " ")
	c.Servers, c.Root, c.SessionTimeout = strings.Split(servers, ","), root, 10*zookeepertest.TickMs*time.Millisecond
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	p, err := zookeeper.Open(context.Background(), c, log)
	if err == nil {
		err = errors.Join(locktest.Child(context.Background(), p, os.Stdout), p.Close())
	}
	if err != nil {
		log.Error("child", "err", err)
		os.Exit(1)
	}
}

func paused(t *testing.T, servers *zookeepertest.Servers) {
	c := config(servers)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), child+"="+strings.Join(c.Servers, ",")+" "+c.Root)
	locktest.Paused(t, func(ctx context.Context) (lock.Place, error) { return open(t, ctx, c), nil }, cmd)
}

// client is a server of locks with a grant for an hour, and a rival that must not get it.
type client struct {
	mine, rival *lock.Registry
	held        lock.Held
}

func newClient(t *testing.T, c zookeeper.Config) *client {
	t.Helper()
	var both [2]*lock.Registry
	for i := range both {
		var err error
		if both[i], err = lock.NewRegistry(open(t, t.Context(), c), lock.Default(), nil); err != nil {
			t.Fatal(err)
		}
	}
	var h lock.Held
	firmly(t, func() (err error) {
		h, err = both[0].Acquire(t.Context(), "x", "client", time.Hour)
		return err
	})
	return &client{mine: both[0], rival: both[1], held: h}
}

// turn renews once, and lets the rival ask once. It says whether the ensemble answered both.
func (c *client) turn(t *testing.T) bool {
	t.Helper()
	again, err := c.mine.Renew(t.Context(), "x", c.held.Token, c.held.Session)
	if err == nil && again != c.held || err != nil && !errors.Is(err, lock.ErrAway) {
		t.Fatalf("Renew = %+v, %v", again, err)
	}
	_, refused := c.rival.Acquire(t.Context(), "x", "rival", time.Hour)
	if !errors.Is(refused, lock.ErrHeld) && !errors.Is(refused, lock.ErrAway) {
		t.Fatalf("the rival's Acquire = %v", refused)
	}
	return err == nil && errors.Is(refused, lock.ErrHeld)
}

// recovers waits until the ensemble answers again.
func (c *client) recovers(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !c.turn(t); { // each turn takes its time
		if time.Now().After(deadline) {
			t.Fatal("the ensemble does not come back")
		}
	}
}

// passes gives the lock back and to the rival, whose token is greater.
func (c *client) passes(t *testing.T) {
	t.Helper()
	firmly(t, func() error { return c.mine.Release(t.Context(), "x", c.held.Token, c.held.Session) })
	var next lock.Held
	firmly(t, func() (err error) {
		next, err = c.rival.Acquire(t.Context(), "x", "rival", time.Hour)
		return err
	})
	if next.Token <= c.held.Token {
		t.Errorf("token %d after %d", next.Token, c.held.Token)
	}
}

// killed loses the leader, then one more server, gets both back, and loses a follower.
func killed(t *testing.T, servers *zookeepertest.Servers) {
	cfg := config(servers)
	cfg.Timeout = 1500 * time.Millisecond
	c := newClient(t, cfg)
	first := servers.Leader(t)
	servers.Kill(t, first)
	c.goesOn(t, "the leader is lost")
	second := servers.Leader(t)
	servers.Kill(t, second)
	c.isAway(t, cfg)
	servers.Revive(t, first)
	servers.Revive(t, second)
	servers.Ready(t, 3)
	c.goesOn(t, "two servers are back")
	servers.Kill(t, (servers.Leader(t)+1)%3)
	c.goesOn(t, "a follower is lost")
	c.passes(t)
}

// goesOn waits until the servers that are left have found each other; then all is well.
func (c *client) goesOn(t *testing.T, when string) {
	t.Helper()
	c.recovers(t)
	well := 0
	for range 10 {
		if c.turn(t) {
			well++
		}
	}
	if well < 9 { // a client that was on a server that elects may find another one
		t.Errorf("%s: %d of 10 turns are answered", when, well)
	}
}

// isAway sees all calls fail without a quorum, and in time.
func (c *client) isAway(t *testing.T, cfg zookeeper.Config) {
	t.Helper()
	began := time.Now()
	var wg sync.WaitGroup
	for what, call := range map[string]func() error{
		"Renew": func() error {
			_, err := c.mine.Renew(t.Context(), "x", c.held.Token, c.held.Session)
			return err
		},
		"Acquire": func() error { _, err := c.rival.Acquire(t.Context(), "y", "rival", time.Hour); return err },
		"Look":    func() error { _, err := c.rival.Look(t.Context(), "x"); return err },
		"List":    func() error { _, err := c.rival.List(t.Context(), "", "", 10); return err },
		"Open":    func() error { _, err := try(t, t.Context(), cfg); return err },
	} {
		wg.Go(func() {
			if err := call(); !errors.Is(err, lock.ErrAway) {
				t.Errorf("%s without a quorum = %v, want ErrAway", what, err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(began); took > 20*cfg.Timeout {
		t.Errorf("calls that wait for %v took %v", cfg.Timeout, took)
	}
}

// silent stops servers where they are.
func silent(t *testing.T, servers *zookeepertest.Servers) {
	cfg := config(servers)
	cfg.Timeout = 8 * time.Second // the library alone would wait for 13
	victim := (servers.Leader(t) + 1) % 3
	other := (victim + 1) % 3
	alone := cfg
	alone.Servers = cfg.Servers[victim : victim+1]
	alone.Timeout = 500 * time.Millisecond
	c := newClient(t, alone)
	one := alone
	one.RequestsMax, one.Timeout, one.SessionTimeout = 1, 200*time.Millisecond, 20*zookeepertest.TickMs*time.Millisecond
	narrow := open(t, t.Context(), one)
	servers.Pause(t, victim)
	_, away := narrow.Count(t.Context())
	_, full := narrow.Count(t.Context())
	var which *lock.ExhaustedError
	if !errors.Is(away, lock.ErrAway) || !errors.As(full, &which) || which.Limit != 1 || which.Setting != "RequestsMax" {
		t.Errorf("requests to a silent server: %v, and behind it %v, want ErrAway and ErrExhausted", away, full)
	}
	if c.turn(t) {
		t.Error("a server that stands still has answered")
	}
	cfg.Servers = []string{cfg.Servers[victim], cfg.Servers[other]}
	for range 3 { // in whatever order it tries them
		p, err := try(t, t.Context(), cfg)
		if err != nil {
			t.Errorf("Open with one of two servers silent = %v", err)
			continue
		}
		p.Close() //nolint:errcheck // it has served
	}
	servers.Resume(t, victim)
	c.recovers(t)
	c.passes(t)
}

// expired cuts a client off until its session is over: its grant is not.
func expired(t *testing.T, servers *zookeepertest.Servers) {
	cfg := config(servers)
	cfg.SessionTimeout = 3 * zookeepertest.TickMs * time.Millisecond
	cfg.Timeout = 10 * time.Second
	rival := open(t, t.Context(), cfg)
	far := locktest.NewProxy(t, "tcp", "127.0.0.1:0", cfg.Servers[0])
	cfg.Servers = []string{far.Addr}
	var out said
	p, err := zookeeper.Open(t.Context(), cfg, slog.New(slog.NewTextHandler(&out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // the test is over
	mine := lock.NewLocker(p, "client", nil)
	g, err := mine.Acquire(t.Context(), "x", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	far.Cut(true)
	time.Sleep(2 * cfg.SessionTimeout) // the servers must count it
	far.Cut(false)
	if _, err := mine.Renew(t.Context(), g); err != nil {
		t.Errorf("Renew after the session = %v", err)
	}
	for _, want := range []string{"zookeeper is away", "zookeeper session expired", "zookeeper answers again"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log has no %q: %s", want, out.String())
		}
	}
	if _, err := lock.NewLocker(rival, "rival", nil).Acquire(t.Context(), "x", time.Hour); !errors.Is(err, lock.ErrHeld) {
		t.Errorf("the rival's Acquire = %v, want ErrHeld", err)
	}
}

// breaks ends connections again and again: calls go on over others, and none fails.
func breaks(t *testing.T, servers *zookeepertest.Servers) {
	cfg := config(servers)
	cfg.Timeout = 10 * time.Second
	nets := []*locktest.Proxy{locktest.NewProxy(t, "tcp", "127.0.0.1:0", cfg.Servers[0]), locktest.NewProxy(t, "tcp", "127.0.0.1:0", cfg.Servers[1])}
	cfg.Servers = []string{nets[0].Addr, nets[1].Addr}
	c := newClient(t, cfg)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				if _, err := c.mine.Look(t.Context(), "x"); err != nil {
					t.Errorf("Look over a connection that breaks = %v", err)
				}
				if _, err := c.rival.Acquire(t.Context(), "x", "rival", time.Hour); !errors.Is(err, lock.ErrHeld) {
					t.Errorf("Acquire over a connection that breaks = %v", err)
				}
			}
		})
	}
	wg.Go(func() {
		for range 15 {
			c.recovers(t) // all is well, and much is under way
			for _, n := range nets {
				n.Cut(true)
				n.Cut(false)
			}
		}
		stop.Store(true)
	})
	wg.Wait()
	c.passes(t)
}

// cutOff: calls without a session wait for one, and do not fill what is for requests under way.
func cutOff(t *testing.T, servers *zookeepertest.Servers) {
	cfg := config(servers)
	far := locktest.NewProxy(t, "tcp", "127.0.0.1:0", cfg.Servers[0])
	cfg.Servers, cfg.Timeout, cfg.RequestsMax = []string{far.Addr}, 400*time.Millisecond, 2
	p := open(t, t.Context(), cfg)
	far.Cut(true)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if _, err := p.Read(t.Context(), "x"); !errors.Is(err, lock.ErrAway) || errors.Is(err, lock.ErrExhausted) {
				t.Errorf("Read without a session = %v, want ErrAway", err)
			}
		})
	}
	wg.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Read(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Read whose caller went away = %v", err)
	}
	far.Cut(false)
	answers(t, p)
	// What was not sent before its caller gave up is not sent later.
	far.Hold()
	if _, err := p.Read(t.Context(), "x"); !errors.Is(err, lock.ErrAway) {
		t.Errorf("Read of a silent server = %v", err)
	}
	if _, err := p.Swap(t.Context(), "late", 0, lock.Lease{Holder: "h", Session: "s", Token: 1, Term: time.Hour}); !errors.Is(err, lock.ErrAway) {
		t.Errorf("Swap without a session = %v, want ErrAway", err)
	}
	far.Release()
	answers(t, p)
	if row, err := p.Read(t.Context(), "late"); err != nil || row.Version != 0 {
		t.Errorf("Read of what had failed = %+v, %v", row, err)
	}
	p.Close() //nolint:errcheck // it gives none
	if _, err := p.Read(t.Context(), "x"); !errors.Is(err, lock.ErrAway) {
		t.Errorf("Read after Close = %v, want ErrAway", err)
	}
}

// answers waits until the place does.
func answers(t *testing.T, p *zookeeper.Place) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; { // each turn takes its time
		_, err := p.Read(t.Context(), "x")
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// behind reads through a follower that has much to learn: it answers when it knows all
// that was written before it was asked.
func behind(t *testing.T, servers *zookeepertest.Servers) {
	cfg := config(servers)
	cfg.SessionTimeout, cfg.Timeout = 20*zookeepertest.TickMs*time.Millisecond, 10*time.Second
	leader := servers.Leader(t)
	follower := (leader + 1) % 3
	var places [2]*zookeeper.Place
	for i, server := range []int{leader, follower} {
		c := cfg
		c.Servers = cfg.Servers[server : server+1]
		places[i] = open(t, t.Context(), c)
	}
	for range 2 {
		row, err := places[0].Read(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		servers.Pause(t, follower)
		for range 300 {
			if row, err = places[0].Swap(t.Context(), "x", row.Version, lock.Lease{Holder: "h", Session: "s", Token: row.Token + 1, Term: time.Hour}); err != nil {
				t.Fatal(err)
			}
		}
		read := make(chan lock.Row)
		go func() {
			got, err := places[1].Read(t.Context(), "x")
			if err != nil {
				t.Error(err)
			}
			read <- got
		}()
		time.Sleep(50 * time.Millisecond) // it has been asked; the test is good without, and better with it
		servers.Resume(t, follower)
		if got := <-read; got != row {
			t.Errorf("Read through a follower = %+v, want %+v", got, row)
		}
	}
}

// said is a log for a test.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
