package jetstream

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/kv"
	"github.com/kamado/kamado/internal/kv/kvtest"
	"github.com/kamado/kamado/internal/porttest"
)

// testLog is what the servers say, when KAMADO_TEST_LOG is set.
func testLog() *slog.Logger {
	if os.Getenv("KAMADO_TEST_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func start(t testing.TB, c Config) *Node {
	t.Helper()
	n, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

func openStore(t testing.TB, n *Node, change ...func(*StoreConfig)) *Store {
	t.Helper()
	c := DefaultStore()
	for _, f := range change {
		f(&c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	s, err := OpenStore(ctx, n, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// cluster starts n nodes in this process.
func cluster(t testing.TB, n int) []*Node {
	t.Helper()
	dir := t.TempDir()
	addrs := porttest.Addrs(t, n)
	secret := filepath.Join(dir, "cluster.pem")
	if err := MakeSecret(secret); err != nil {
		t.Fatal(err)
	}
	nodes := make([]*Node, n)
	var wg sync.WaitGroup
	for i := range nodes {
		wg.Go(func() {
			c := DefaultConfig(filepath.Join(dir, fmt.Sprint(i)))
			c.Machine, c.Listen, c.Peers, c.Secret = fmt.Sprint("m", i), addrs[i], addrs, secret
			c.Log = testLog()
			node, err := Start(c)
			if err != nil {
				t.Error(err)
				return
			}
			nodes[i] = node
		})
	}
	wg.Wait()
	t.Cleanup(func() {
		for _, n := range nodes {
			if n != nil {
				n.Close()
			}
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return nodes
}

func TestStoreOfOneNode(t *testing.T) {
	t.Parallel()
	n := start(t, DefaultConfig(t.TempDir()))
	kvtest.Run(t, func(t *testing.T) kv.Store { return openStore(t, n) })
}

func TestStoreOfThreeNodes(t *testing.T) {
	t.Parallel()
	nodes := cluster(t, 3)
	i := 0
	var mu sync.Mutex
	kvtest.Run(t, func(t *testing.T) kv.Store {
		mu.Lock()
		i++
		n := nodes[i%3]
		mu.Unlock()
		return openStore(t, n)
	})
}
