package zookeeper_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/kamado/kamado/internal/lock"
	"github.com/kamado/kamado/internal/lock/locktest"
	"github.com/kamado/kamado/internal/lock/zookeeper"
	"github.com/kamado/kamado/internal/lock/zookeepertest"
)

// roots makes each test's root another one.
var roots atomic.Int64

func config(s *zookeepertest.Servers) zookeeper.Config {
	c := zookeeper.Default()
	c.Servers, c.Root = s.Addrs(), fmt.Sprintf("/kamado/test%d", roots.Add(1))
	c.SessionTimeout = 10 * zookeepertest.TickMs * time.Millisecond
	return c
}

// try opens a place that is closed when the test ends.
func try(t *testing.T, ctx context.Context, c zookeeper.Config) (*zookeeper.Place, error) {
	p, err := zookeeper.Open(ctx, c, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err == nil {
		t.Cleanup(func() { p.Close() }) //nolint:errcheck // the test is over
	}
	return p, err
}

// open opens a place, however busy the machine is.
func open(t *testing.T, ctx context.Context, c zookeeper.Config) (p *zookeeper.Place) {
	t.Helper()
	firmly(t, func() (err error) {
		p, err = try(t, ctx, c)
		return err
	})
	return p
}

// firmly calls f again while the ensemble is away: on a busy machine it may be away
// for longer than the short time that a test gives one call.
func firmly(t *testing.T, f func() error) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; { // each turn takes its time
		err := f()
		if err == nil {
			return
		}
		if !errors.Is(err, lock.ErrAway) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestEnsemble runs the suite, and then the faults, on three servers.
func TestEnsemble(t *testing.T) {
	servers := zookeepertest.Start(t, 3)
	t.Run("together", func(t *testing.T) { // returns when its parallel tests have
		locktest.Run(t, func(t *testing.T) locktest.Open {
			c := config(servers)
			return func(ctx context.Context) (lock.Place, error) { return open(t, ctx, c), nil }
		})
		for name, test := range map[string]func(*testing.T, *zookeepertest.Servers){
			"a paused client has lost":               paused,
			"an expired session loses no lock":       expired,
			"only who knows the password sees locks": digest,
			"connections break":                      breaks,
			"calls wait for a session":               cutOff,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, servers)
			})
		}
	})
	t.Run("a follower that is behind asks the leader", func(t *testing.T) { behind(t, servers) })
	t.Run("a silent server is away", func(t *testing.T) { silent(t, servers) })
	t.Run("servers are lost and come back", func(t *testing.T) { killed(t, servers) })
}

// TestAlone kills the only server: its locks are there when it is back.
func TestAlone(t *testing.T) {
	servers := zookeepertest.Start(t, 1)
	cfg := config(servers)
	cfg.Timeout = 500 * time.Millisecond
	c := newClient(t, cfg)
	servers.Kill(t, 0)
	if c.turn(t) {
		t.Error("a dead server has answered")
	}
	servers.Revive(t, 0)
	servers.Ready(t, 1)
	c.recovers(t)
	c.passes(t)
}

func digest(t *testing.T, servers *zookeepertest.Servers) {
	cfg := config(servers)
	cfg.Root = "/digest" + cfg.Root // this one makes what lies above
	cfg.User, cfg.Password = "kamado", "s3cret"
	for range 2 { // the second one finds what the first one made
		l := lock.NewLocker(open(t, t.Context(), cfg), "client", nil)
		g, err := l.Acquire(t.Context(), "x", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Release(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	for _, password := range []string{"", "wrong"} {
		other := cfg
		if other.Password = password; password == "" {
			other.User = ""
		}
		if _, err := try(t, t.Context(), other); !errors.Is(err, zk.ErrNoAuth) || errors.Is(err, lock.ErrAway) {
			t.Errorf("Open with password %q = %v, want it refused", password, err)
		}
	}
	stranger := config(servers) // has a root of its own beside that one
	stranger.Root = "/digest" + stranger.Root
	open(t, t.Context(), stranger)
	// Whoever knows the path, and not the password, cannot touch what is there.
	c, _, err := zk.Connect(cfg.Servers, 10*time.Second, zk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, set := c.Set(cfg.Root+"/x", []byte("{}"), -1)
	_, create := c.Create(cfg.Root+"/y", []byte("{}"), 0, zk.WorldACL(zk.PermAll))
	if !errors.Is(set, zk.ErrNoAuth) || !errors.Is(create, zk.ErrNoAuth) {
		t.Errorf("a stranger's Set and Create = %v, %v", set, create)
	}
}

func TestConfig(t *testing.T) {
	good := zookeeper.Default()
	good.Servers = []string{"127.0.0.1:2181"}
	if err := good.Validate(); err != nil {
		t.Errorf("Validate = %v", err)
	}
	for what, change := range map[string]func(*zookeeper.Config){
		"servers":           func(c *zookeeper.Config) { c.Servers = nil },
		"root":              func(c *zookeeper.Config) { c.Root = "/" },
		"session timeout":   func(c *zookeeper.Config) { c.SessionTimeout = time.Hour },
		"timeout":           func(c *zookeeper.Config) { c.Timeout = 0 },
		"requests":          func(c *zookeeper.Config) { c.RequestsMax = 0 },
		"user and password": func(c *zookeeper.Config) { c.User = "kamado" },
	} {
		c := good
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("Validate = %v, want a complaint about %s", err, what)
		}
	}
	secret := good
	secret.User, secret.Password = "kamado", "s3cret"
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("opened", "config", secret)
	if strings.Contains(b.String(), "s3cret") {
		t.Errorf("a log has the password: %s", b.String())
	}
}
