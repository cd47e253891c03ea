package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/client"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/internal/porttest"
)

// node is a server of players as a process.
type node struct {
	name, url, data string
	cmd             *exec.Cmd
	said            bytes.Buffer // read after it has ended
}

// startNode starts one, whose core is another one's, or its own when that is nil.
func startNode(t *testing.T, name string, core *node, more ...string) *node {
	t.Helper()
	n := &node{name: name, url: fmt.Sprintf("http://127.0.0.1:%d", porttest.Free(t)), data: t.TempDir()}
	args := []string{"game", "serve", "--http", strings.TrimPrefix(n.url, "http://"), "--data", n.data, "--node", name, "--world-cluster", "on", "--log-level", "warn"}
	if core != nil {
		args = append(args, "--core", core.url, "--core-token-file", filepath.Join(core.data, "game", "node.token"))
	}
	n.cmd = exec.Command("kamado", append(args, more...)...)
	n.cmd.Stdout, n.cmd.Stderr = &n.said, &n.said
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = n.cmd.Process.Kill() // it may have ended
		_ = n.cmd.Wait()
		if t.Failed() {
			t.Logf("node %s said:\n%s", name, &n.said)
		}
	})
	n.until(t, "ready", func() bool {
		res, err := http.Get(n.url + "/readyz")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return n
}

// until waits for something that a process does by itself.
func (n *node) until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("node %s: not %s after a minute", n.name, what)
		}
	}
}

// ask asks a node as its operator.
func (n *node) ask(t *testing.T, path string, out any) {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(n.data, "operator.token"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(n.url, strings.TrimSpace(string(token)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Do(t.Context(), "GET", path, nil, out); err != nil {
		t.Fatal(err)
	}
}

// knows waits until a node knows so many, itself among them.
func (n *node) knows(t *testing.T, want int) {
	t.Helper()
	n.until(t, fmt.Sprintf("one of %d nodes", want), func() bool {
		var out struct{ Nodes []game.Node }
		n.ask(t, "world", &out)
		return len(out.Nodes) == want
	})
}

// visitor is a user who stays in the plaza whatever happens to nodes, spends points and keeps an entity.
type visitor struct {
	uid    game.UID
	tokens string // access token
	back   time.Duration
	spent  []string // keys of spends that were answered
	kept   uint64   // last version of the entity that was answered
	places []string // where the world is, as last told
}

// guest makes a user with points.
func (n *node) guest(t *testing.T) *visitor {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(n.data, "service.token"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(n.url, strings.TrimSpace(string(token)), nil)
	if err != nil {
		t.Fatal(err)
	}
	var login struct {
		UID   game.UID `json:"uid"`
		Token string   `json:"access_token"`
	}
	if err := c.Do(t.Context(), "POST", "users", map[string]string{"provider": "guest"}, &login); err != nil {
		t.Fatal(err)
	}
	if err := c.Order(t.Context(), "grants", "", map[string]any{"uid": login.UID, "amount": 1_000_000, "reason": "test"}, nil); err != nil {
		t.Fatal(err)
	}
	return &visitor{uid: login.UID, tokens: login.Token}
}

// enter comes in at one of the places and into the plaza.
func (v *visitor) enter(ctx context.Context) (*client.Socket, error) {
	var errs []error
	for _, at := range v.places {
		s, err := client.Dial(ctx, at, client.Options{Token: v.tokens, Agent: "test", NoResume: true, Follow: true, Timeout: 3 * time.Second})
		if err == nil {
			_, err = s.Join(ctx, &wire.Join{Area: "plaza", Name: "visitor"})
			if err == nil {
				return s, nil
			}
			_ = s.Close() // it is of no use
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// live spends one point after another until ctx ends, and comes back when the connection is lost.
func (v *visitor) live(ctx context.Context, killed func() time.Time) error {
	s, err := v.enter(ctx)
	if err != nil {
		return fmt.Errorf("enter: %w", err)
	}
	for i := 0; ctx.Err() == nil; i++ {
		key := fmt.Sprintf("%v-%d", v.uid, i)
		var posting wire.PointsPosting
		err := s.Call(ctx, "points.spend", &wire.PointsSpend{Key: key, Amount: 1, Reason: "test"}, &posting)
		if err == nil {
			v.spent = append(v.spent, key)
			var at wire.EntityVersion
			if err = s.Call(ctx, "entities.put", &wire.EntityPut{Name: "step", Value: []byte(key), Any: true}, &at); err == nil {
				v.kept = at.Version
			}
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		select {
		case <-s.Done():
		default:
			return fmt.Errorf("a call failed, and the connection lives: %w", err)
		}
		for s = nil; s == nil && ctx.Err() == nil; {
			if s, err = v.enter(ctx); err != nil {
				time.Sleep(20 * time.Millisecond) // as clients do, who are many
			}
		}
		v.back = time.Since(killed())
	}
	if s != nil {
		return s.Close()
	}
	return nil
}

// TestUsersOfAKilledNodeAreBack kills a node with kill -9 while its users spend points: they are in the plaza again on another node, and what was
// answered is kept.
func TestUsersOfAKilledNodeAreBack(t *testing.T) {
	t.Parallel()
	core := startNode(t, "core", nil)
	nodes := []*node{startNode(t, "b", core), startNode(t, "c", core)}
	for _, n := range append(nodes, core) {
		n.knows(t, 3)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var at time.Time
	killed := func() time.Time { mu.Lock(); defer mu.Unlock(); return at }
	visitors := make([]*visitor, 12)
	var wg sync.WaitGroup
	for i := range visitors {
		v := core.guest(t)
		v.places = []string{"ws" + strings.TrimPrefix(nodes[0].url, "http") + "/v1/socket", "ws" + strings.TrimPrefix(nodes[1].url, "http") + "/v1/socket"}
		visitors[i] = v
		wg.Go(func() {
			if err := v.live(ctx, killed); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	plaza := func(n *node) int {
		var out struct{ Copies []struct{ Avatars int } }
		n.ask(t, "world/areas", &out)
		sum := 0
		for _, c := range out.Copies {
			sum += c.Avatars
		}
		return sum
	}
	nodes[0].until(t, "full", func() bool { return plaza(nodes[0]) == len(visitors) })
	time.Sleep(200 * time.Millisecond) // some spends
	mu.Lock()
	at = time.Now()
	mu.Unlock()
	if err := nodes[0].cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	nodes[1].until(t, "full", func() bool { return plaza(nodes[1]) == len(visitors) })
	took := time.Since(at)
	time.Sleep(200 * time.Millisecond) // some more
	cancel()
	wg.Wait()
	var back []time.Duration
	for _, v := range visitors {
		back = append(back, v.back)
	}
	slices.Sort(back)
	t.Logf("all %d users are back after %v; p50 %v, last %v", len(visitors), took, back[len(back)/2], back[len(back)-1])
	if os.Getenv("KAMADO_TEST_ALL") != "" && back[len(back)-1] > 3*time.Second {
		t.Errorf("the last user was back after %v, want 3s", back[len(back)-1])
	}
	core.hasKept(t, visitors)
}

// hasKept looks everything up that was answered.
func (n *node) hasKept(t *testing.T, visitors []*visitor) {
	t.Helper()
	for _, v := range visitors {
		c, err := client.New(n.url, v.tokens, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range v.spent {
			if err := c.Do(t.Context(), "GET", "points/transactions/"+key, nil, nil); err != nil {
				t.Errorf("user %v: the spend %s was answered, and is not there: %v", v.uid, key, err)
			}
		}
		_, _, version, err := c.GetEntity(t.Context(), v.uid.String(), "step")
		if got := json.Number(version); err != nil || v.kept == 0 {
			t.Errorf("user %v: %v, version %v", v.uid, err, got)
		} else if n, _ := got.Int64(); uint64(n) < v.kept {
			t.Errorf("user %v: version %d of the entity, and %d was answered", v.uid, n, v.kept)
		}
		if len(v.spent) < 2 {
			t.Errorf("user %v spent %d times only: the test shows little", v.uid, len(v.spent))
		}
	}
	var sum struct{ Sum int64 }
	n.ask(t, "points/sum", &sum)
	if sum.Sum != 0 {
		t.Errorf("the sum of all accounts is %d", sum.Sum)
	}
}
