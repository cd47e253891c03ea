package zookeeper_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
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
		os.Exit(m.Run())
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
	locktest.Paused(t, func(ctx context.Context) (lock.Place, error) { return open(t, ctx, c) }, cmd)
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
		p, err := open(t, t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if both[i], err = lock.NewRegistry(p, lock.Default(), nil); err != nil {
			t.Fatal(err)
		}
	}
	h, err := both[0].Acquire(t.Context(), "x", "client", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
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
	if err := c.mine.Release(t.Context(), "x", c.held.Token, c.held.Session); err != nil {
		t.Fatal(err)
	}
	next, err := c.rival.Acquire(t.Context(), "x", "rival", time.Hour)
	if err != nil || next.Token <= c.held.Token {
		t.Errorf("Acquire = %+v, %v after token %d", next, err, c.held.Token)
	}
}

// minority kills each server in turn, the leader first: a call waits for
// another one, and nothing is lost.
func minority(t *testing.T, servers *zookeepertest.Servers) {
	c := newClient(t, config(servers))
	for turn := range 2 {
		victim := servers.Leader(t)
		if turn == 1 {
			victim = (victim + 1) % 3
		}
		servers.Kill(t, victim)
		c.recovers(t)
		for range 5 {
			if !c.turn(t) {
				t.Errorf("turn %d: away though two of three servers have found each other", turn)
			}
		}
		servers.Revive(t, victim)
		servers.Ready(t, 3)
	}
	c.recovers(t)
	c.passes(t)
}

// majority kills two of three: all is away, and comes back with them.
func majority(t *testing.T, servers *zookeepertest.Servers) {
	cfg := config(servers)
	cfg.Timeout = 500 * time.Millisecond
	c := newClient(t, cfg)
	left := servers.Leader(t)
	for i := range 3 {
		if i != left {
			servers.Kill(t, i)
		}
	}
	began := time.Now()
	_, renewed := c.mine.Renew(t.Context(), "x", c.held.Token, c.held.Session)
	_, acquired := c.rival.Acquire(t.Context(), "y", "rival", time.Hour)
	_, looked := c.rival.Look(t.Context(), "x")
	_, listed := c.rival.List(t.Context(), "", "", 10)
	for i, err := range []error{renewed, acquired, looked, listed, c.mine.Release(t.Context(), "x", c.held.Token, c.held.Session)} {
		if !errors.Is(err, lock.ErrAway) {
			t.Errorf("call %d without a quorum = %v, want ErrAway", i, err)
		}
	}
	if took := time.Since(began); took > 10*cfg.Timeout {
		t.Errorf("five calls that wait for %v took %v", cfg.Timeout, took)
	}
	if _, err := open(t, t.Context(), cfg); !errors.Is(err, lock.ErrAway) {
		t.Errorf("Open without a quorum = %v, want ErrAway", err)
	}
	for i := range 3 {
		if i != left {
			servers.Revive(t, i)
		}
	}
	servers.Ready(t, 3)
	c.recovers(t)
	c.passes(t)
}

// silent stops servers where they are.
func silent(t *testing.T, servers *zookeepertest.Servers) {
	cfg := config(servers)
	cfg.SessionTimeout = 5 * zookeepertest.TickMs * time.Millisecond
	cfg.Timeout = 4 * time.Second
	victim := (servers.Leader(t) + 1) % 3
	other := (victim + 1) % 3
	alone := cfg
	alone.Servers = cfg.Servers[victim : victim+1]
	alone.Timeout = 500 * time.Millisecond
	c := newClient(t, alone)
	one := alone
	one.RequestsMax, one.Timeout = 1, 200*time.Millisecond
	narrow, err := open(t, t.Context(), one)
	if err != nil {
		t.Fatal(err)
	}
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
		p, err := open(t, t.Context(), cfg)
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
	rival, err := open(t, t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	far := newProxy(t, cfg.Servers[0])
	cfg.Servers = []string{far.addr}
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
	far.cut(true)
	time.Sleep(2 * cfg.SessionTimeout) // the servers must count it
	far.cut(false)
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
	nets := []*proxy{newProxy(t, cfg.Servers[0]), newProxy(t, cfg.Servers[1])}
	cfg.Servers = []string{nets[0].addr, nets[1].addr}
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
				n.cut(true)
				n.cut(false)
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
	far := newProxy(t, cfg.Servers[0])
	cfg.Servers, cfg.Timeout, cfg.RequestsMax = []string{far.addr}, 400*time.Millisecond, 2
	p, err := open(t, t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	far.cut(true)
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
	far.cut(false)
	answers(t, p)
	// What was not sent before its caller gave up is not sent later.
	far.hold()
	if _, err := p.Read(t.Context(), "x"); !errors.Is(err, lock.ErrAway) {
		t.Errorf("Read of a silent server = %v", err)
	}
	if _, err := p.Swap(t.Context(), "late", 0, lock.Lease{Holder: "h", Session: "s", Token: 1, Term: time.Hour}); !errors.Is(err, lock.ErrAway) {
		t.Errorf("Swap without a session = %v, want ErrAway", err)
	}
	far.release()
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
		var err error
		if places[i], err = open(t, t.Context(), c); err != nil {
			t.Fatal(err)
		}
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

// proxy is a network that can be cut.
type proxy struct {
	addr, to string

	mu    sync.Mutex
	off   bool
	conns []net.Conn
	held  chan struct{} // until it is closed, new connections are silent; nil: they are not
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String(), to: to}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close() //nolint:errcheck // the test is over
		p.release()
		p.cut(true)
		wg.Wait()
	})
	return p
}

func (p *proxy) serve(c net.Conn) {
	defer c.Close()
	p.mu.Lock()
	held := p.held
	p.mu.Unlock()
	if held != nil {
		<-held
	}
	up, err := net.Dial("tcp", p.to)
	if err != nil || !p.keep(c, up) {
		return
	}
	defer up.Close()
	go func() {
		io.Copy(up, c) //nolint:errcheck // it ends when a side closes
		up.Close()     //nolint:errcheck // and then both do
	}()
	io.Copy(c, up) //nolint:errcheck // it ends when a side closes
}

func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, conns...)
	if p.off {
		for _, c := range conns {
			c.Close() //nolint:errcheck // it is cut
		}
	}
	return !p.off
}

func (p *proxy) cut(off bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.off = off
	for _, c := range p.conns {
		c.Close() //nolint:errcheck // it is cut
	}
	p.conns = nil
}

// hold ends all connections; new ones are silent until release.
func (p *proxy) hold() {
	p.mu.Lock()
	p.held = make(chan struct{})
	p.mu.Unlock()
	p.cut(true)
	p.cut(false)
}

func (p *proxy) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held != nil {
		close(p.held)
		p.held = nil
	}
}
