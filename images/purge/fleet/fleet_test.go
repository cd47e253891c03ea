package fleet_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/purge"
	"github.com/kamado/kamado/images/purge/cdn"
	"github.com/kamado/kamado/images/purge/fleet"
	"github.com/kamado/kamado/internal/porttest"
)

const secret = "0123456789abcdef-fleet"

// free lets everybody through.
type free struct{}

func (free) Require(h http.Handler) http.Handler { return h }
func (free) Reads(h http.Handler) http.Handler   { return h }

// member is a node of a test's fleet.
type member struct {
	name  string
	dir   string
	addr  string
	cfg   fleet.Config
	deps  fleet.Deps
	table *purge.Table
	node  *fleet.Node
	stop  func()
	cut   sync.Map // names of members that cannot reach it
}

func (m *member) url() string { return "http://" + m.addr }

// start runs the member until stop; it may be started again.
func (m *member) start(t *testing.T) {
	t.Helper()
	var err error
	if m.table, err = purge.Open(purge.Config{Dir: m.dir, Node: m.name, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	m.deps.Table, m.deps.Log = m.table, slog.New(slog.DiscardHandler)
	name := m.name
	m.deps.Client = &http.Client{Transport: marked(name)}
	if m.node, err = fleet.New(m.cfg, m.deps); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", m.addr)
	if err != nil {
		t.Fatal(err)
	}
	h := m.node.Handler(free{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, cut := m.cut.Load(r.Header.Get("X-Test-From")); cut {
			panic(http.ErrAbortHandler)
		}
		h.ServeHTTP(w, r)
	}))
	server.Listener.Close()
	server.Listener = l
	server.Start()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.node.Run(ctx) }()
	stopped := false
	m.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run of %s = %v", name, err)
		}
		server.CloseClientConnections()
		server.Close()
		m.table.Close()
	}
	t.Cleanup(m.stop)
}

// marked says in each request which member it is of.
type marked string

func (m marked) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Test-From", string(m))
	return http.DefaultTransport.RoundTrip(r)
}

// build makes a fleet that is not started.
func build(t *testing.T, n int) []*member {
	t.Helper()
	var urls []string
	var members []*member
	for i, addr := range porttest.Addrs(t, n) {
		m := &member{name: string(rune('a' + i)), dir: t.TempDir(), addr: addr}
		members = append(members, m)
		urls = append(urls, m.url())
	}
	for _, m := range members {
		m.cfg = fleet.Config{Node: m.name, Peers: urls, Secret: secret, Interval: 100 * time.Millisecond, PushTime: 2 * time.Second}
	}
	return members
}

func startAll(t *testing.T, members []*member) {
	t.Helper()
	for _, m := range members {
		m.start(t)
	}
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("not within 20 s: %s", what)
}

func (m *member) client() *fleet.Client { return &fleet.Client{URL: m.url()} }

func (m *member) gone(key string) bool { return m.table.Refused("default", key, "", "") }

func equal(members []*member) func() bool {
	return func() bool {
		for _, m := range members {
			if m.table.Digest() != members[0].table.Digest() {
				return false
			}
		}
		return true
	}
}

func TestAnOrderHoldsEverywhereWhenItIsAnswered(t *testing.T) {
	t.Parallel()
	for _, n := range []int{3, 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			members := build(t, n)
			startAll(t, members)
			a, err := members[n-1].client().Takedown(t.Context(), fleet.Request{Key: "recipes/1", Reason: "asked for"})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range members {
				if !m.gone("recipes/1.jpg") || !m.gone("recipes/1") || m.gone("recipes/2.jpg") {
					t.Errorf("the takedown does not hold on %s", m.name)
				}
				if _, ok := a.Nodes[m.name]; !ok {
					t.Errorf("the answer says nothing of %s: %v", m.name, a.Nodes)
				}
			}
			if a, err = members[0].client().Restore(t.Context(), fleet.Request{Key: "recipes/1", Wait: 20}); err != nil || !a.Done() || len(a.Nodes) != n {
				t.Fatalf("restore with wait = %+v, %v", a, err)
			}
			for _, m := range members {
				if m.gone("recipes/1.jpg") {
					t.Errorf("the restore does not hold on %s", m.name)
				}
			}
			var p *fleet.ProblemError
			if _, err := members[0].client().Restore(t.Context(), fleet.Request{Key: "recipes/1"}); !errors.As(err, &p) || p.Status != http.StatusNotFound {
				t.Errorf("restoring twice = %v, want 404", err)
			}
		})
	}
}

// TestNodeThatWasAwayFollows stops one of three, gives orders, stops the one
// that took them, and starts the first: it has them from the third.
func TestNodeThatWasAwayFollows(t *testing.T) {
	t.Parallel()
	members := build(t, 3)
	startAll(t, members)
	a, b, c := members[0], members[1], members[2]
	if _, err := a.client().Purge(t.Context(), fleet.Request{Tag: "kind/recipes"}); err != nil {
		t.Fatal(err)
	}
	c.stop()
	ans, err := a.client().Takedown(t.Context(), fleet.Request{Key: "bad.jpg"})
	if err != nil {
		t.Fatal(err)
	}
	if ans.Nodes["b"] == fleet.StateUnreachable || ans.Nodes["c"] != fleet.StateUnreachable {
		t.Errorf("nodes = %v, want c and nobody else unreachable", ans.Nodes)
	}
	a.stop()
	c.start(t)
	eventually(t, "the node that was away refuses what was taken down", func() bool { return c.gone("bad.jpg") })
	eventually(t, "both hold the same", equal([]*member{b, c}))
	a.start(t)
	eventually(t, "all hold the same", equal(members))
	s, err := c.client().Status(t.Context())
	if err != nil || s.Node != "c" || len(s.Peers) != 2 {
		t.Errorf("status = %+v, %v, want two peers", s, err)
	}
	list, err := c.client().Orders(t.Context(), "", true, 10)
	if err != nil || len(list.Orders) != 2 || list.Orders[0].ID != ans.ID {
		t.Errorf("orders = %+v, %v", list, err)
	}
	eventually(t, "the order is done everywhere", func() bool {
		p, err := b.client().Progress(t.Context(), ans.ID.String())
		return err == nil && p.Done() && len(p.Nodes) == 3
	})
}

// TestPartitionHeals gives orders on both sides of a partition of five, a
// one-sided cut included.
func TestPartitionHeals(t *testing.T) {
	t.Parallel()
	members := build(t, 5)
	startAll(t, members)
	for i, a := range members {
		for j, b := range members {
			if (i < 2) != (j < 2) {
				a.cut.Store(b.name, true)
			}
		}
	}
	if _, err := members[0].client().Takedown(t.Context(), fleet.Request{Key: "left.jpg"}); err != nil {
		t.Fatal(err)
	}
	if _, err := members[4].client().Takedown(t.Context(), fleet.Request{Key: "right.jpg"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "each side agrees", func() bool { return equal(members[:2])() && equal(members[2:])() })
	if members[4].gone("left.jpg") || members[0].gone("right.jpg") {
		t.Fatal("the partition let something through")
	}
	// One link, in one direction, is enough.
	members[3].cut.Delete("b")
	eventually(t, "all agree over one link", equal(members))
	for _, m := range members {
		if !m.gone("left.jpg") || !m.gone("right.jpg") {
			t.Errorf("%s lacks a takedown", m.name)
		}
	}
}

// TestSweepIsReported takes down an original of which three nodes have bytes on
// disk, and waits for the answer that says they are gone.
func TestSweepIsReported(t *testing.T) {
	t.Parallel()
	members := build(t, 3)
	var dirs []string
	var release atomic.Bool
	for i, m := range members {
		dir := filepath.Join(m.dir, "results")
		dirs = append(dirs, dir)
		d, err := cache.OpenDisk(cache.DiskConfig{Dir: dir, BytesMax: 1 << 20, Log: slog.New(slog.DiscardHandler),
			Refused: func(l cache.Label) bool { return m.table.Refused(l.Source, l.Key, "", l.Owner) }})
		if err != nil {
			t.Fatal(err)
		}
		m.start(t)
		m.stop()
		m.deps.Caches = []fleet.Cache{{Name: "results", Sweep: func(ctx context.Context, refused func(cache.Label) bool) (int, error) {
			for i == 2 && !release.Load() {
				if ctx.Err() != nil {
					return 0, ctx.Err()
				}
				time.Sleep(time.Millisecond)
			}
			return d.Sweep(ctx, refused)
		}}}
		m.start(t)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx) }()
		t.Cleanup(func() { cancel(); <-done })
		eventually(t, "the cache is counted", d.Ready)
		for k := range 40 {
			label := cache.Label{Source: "default", Key: fmt.Sprintf("recipes/%d.jpg", k%4)}
			d.Put(cache.Sum(fmt.Sprint(k)), &cache.Entry{Data: []byte("bytes of " + label.Key), Label: label})
			eventually(t, "it is written", func() bool { return d.Stats().Pending == 0 })
		}
		eventually(t, "all are written", func() bool { return d.Stats().Writes == 40 })
	}
	ans, err := members[0].client().Takedown(t.Context(), fleet.Request{Key: "recipes/1.jpg"})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "two are done and one deletes", func() bool {
		p, err := members[1].client().Progress(t.Context(), ans.ID.String())
		return err == nil && p.Nodes["a"] == fleet.StateDone && p.Nodes["b"] == fleet.StateDone && p.Nodes["c"] == fleet.StateSweeping
	})
	release.Store(true)
	if ans, err = members[0].client().Purge(t.Context(), fleet.Request{Tag: "kind/none", Wait: 20}); err != nil || !ans.Done() {
		t.Errorf("purge = %+v, %v", ans, err)
	}
	eventually(t, "all are done", func() bool {
		p, err := members[1].client().Progress(t.Context(), members[0].table.Orders(purge.ID{}, false, 1)[0].ID.String())
		return err == nil && p.Done()
	})
	for i, dir := range dirs {
		left, kept := 0, 0
		_ = filepath.WalkDir(dir, func(path string, _ os.DirEntry, _ error) error {
			b, _ := os.ReadFile(path)
			if strings.Contains(string(b), "recipes/1.jpg") {
				left++
			} else if len(b) > 0 {
				kept++
			}
			return nil
		})
		if left != 0 || kept != 30 {
			t.Errorf("node %d: %d files of what was taken down, %d others, want 0 and 30", i, left, kept)
		}
	}
}

func TestPeersNeedTheSecret(t *testing.T) {
	t.Parallel()
	members := build(t, 1)
	members[0].start(t)
	for _, path := range []string{"purge/peer/exchange", "purge/peer/push"} {
		for _, bearer := range []string{"", "Bearer", "Bearer wrong", "Basic " + secret} {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, members[0].url()+fleet.Prefix+path, strings.NewReader("{}"))
			req.Header.Set("Authorization", bearer)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s with %q: status %d, want 401", path, bearer, resp.StatusCode)
			}
		}
	}
	if _, err := fleet.New(fleet.Config{Node: "a", Peers: []string{"http://x"}, Secret: "short"}, fleet.Deps{}); err == nil {
		t.Error("took a short secret")
	}
}

func TestWrongRequestsAreRefused(t *testing.T) {
	t.Parallel()
	members := build(t, 1)
	members[0].start(t)
	post := func(body string) int {
		resp, err := http.Post(members[0].url()+fleet.Prefix+"purge", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for _, body := range []string{"", "{}", "[]", `{"key":"a","tag":"all"}`, `{"tag":"nothing/x"}`, `{"key":"a","wait":61}`, `{"key":"a","wait":-1}`,
		`{"key":"a","more":1}`, `{"key":"a"}x`, `{"key":"a","origin":"NO"}`, `{"key":"` + strings.Repeat("k", 3000) + `"}`,
		`{"keys":["` + strings.Repeat(`a","`, 1000) + `b"]}`, `{"key":"a","reason":"` + strings.Repeat("r", 600) + `"}`} {
		if status := post(body); status != http.StatusBadRequest {
			t.Errorf("%.60s: status %d, want 400", body, status)
		}
	}
	if n := len(members[0].table.Orders(purge.ID{}, false, 10)); n != 0 {
		t.Errorf("%d orders were given", n)
	}
	if status := post(`{"key":"a.jpg"}`); status != http.StatusOK {
		t.Errorf("a right one: status %d", status)
	}
}

func TestManyKeysReachPeersInPages(t *testing.T) {
	t.Parallel()
	members := build(t, 2)
	startAll(t, members)
	var keys []string
	for i := range 120 {
		keys = append(keys, fmt.Sprint("recipes/", i))
	}
	a, err := members[0].client().Takedown(t.Context(), fleet.Request{Keys: keys})
	if err != nil || len(a.Orders) <= purge.PageMax {
		t.Fatalf("%d orders, %v", len(a.Orders), err)
	}
	if !equal(members)() {
		t.Error("the peer lacks some")
	}
	// A new node has them all, page by page.
	late := build(t, 1)[0]
	late.name, late.cfg = "late", fleet.Config{Node: "late", Peers: []string{members[1].url()}, Secret: secret, Interval: 100 * time.Millisecond}
	late.start(t)
	eventually(t, "the new node has all", func() bool { return late.table.Digest() == members[0].table.Digest() })
}

// told is a CDN that remembers.
type told struct {
	mu     sync.Mutex
	orders []purge.Order
	fail   error
}

func (c *told) Tell(orders ...purge.Order) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail == nil {
		c.orders = append(c.orders, orders...)
	}
	return c.fail
}

func (c *told) Told() (id purge.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.orders {
		id = o.ID
	}
	return id
}

func (c *told) Run(ctx context.Context) error { <-ctx.Done(); return nil }

func TestCDNIsToldByTheNodeThatTookTheOrderAndAfterAKill(t *testing.T) {
	t.Parallel()
	members := build(t, 2)
	cdns := []*told{{}, {}}
	for i, m := range members {
		m.deps.CDN = cdns[i]
	}
	startAll(t, members)
	a, err := members[0].client().Purge(t.Context(), fleet.Request{Tag: "all"})
	if err != nil || a.CDN != "queued" || len(cdns[0].orders) != 1 || len(cdns[1].orders) != 0 {
		t.Fatalf("answer %+v, %v; told: %d and %d", a, err, len(cdns[0].orders), len(cdns[1].orders))
	}
	// An order that was given and not handed on when the process ended.
	members[0].stop()
	table, err := purge.Open(purge.Config{Dir: members[0].dir, Node: "a", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Issue(purge.Draft{Action: purge.Purge, Target: purge.Key("default", "x")}); err != nil {
		t.Fatal(err)
	}
	table.Close()
	members[0].start(t)
	eventually(t, "the forgotten order is told", func() bool {
		cdns[0].mu.Lock()
		defer cdns[0].mu.Unlock()
		return len(cdns[0].orders) == 2 && cdns[0].orders[1].Target == purge.Key("default", "x")
	})
	eventually(t, "both hold it", equal(members))
	if len(cdns[1].orders) != 0 {
		t.Error("the other node told its CDN too")
	}
}

// TestCDNIsToldAfterThePeers: when the CDN is asked to forget, no node shows the
// old any more, so it cannot fetch that again.
func TestCDNIsToldAfterThePeers(t *testing.T) {
	t.Parallel()
	members := build(t, 3)
	calls := make(chan string, 4)
	front := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for _, m := range members {
			if !m.gone("bad.jpg") {
				t.Errorf("the CDN is told while %s shows the picture", m.name)
			}
		}
		calls <- r.Method + " " + r.URL.Path
	}))
	defer front.Close()
	hooks, err := cdn.OpenAll(map[string]images.CDN{"front": {Method: "PURGE", URL: front.URL + "/{{.Token}}", Again: -1}}, t.TempDir(), purge.ID{}, cdn.Deps{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hooks.Close() })
	members[0].deps.CDN = hooks
	members[1].deps.CDN = cdn.Hooks(nil)
	startAll(t, members)
	a, err := members[0].client().Takedown(t.Context(), fleet.Request{Key: "bad.jpg"})
	if err != nil || a.CDN != "queued" {
		t.Fatalf("takedown = %+v, %v", a, err)
	}
	if got, want := <-calls, "PURGE /"+purge.Key("default", "bad.jpg").Token(); got != want {
		t.Errorf("the CDN is told %q, want %q", got, want)
	}
	if a, err = members[1].client().Purge(t.Context(), fleet.Request{Tag: "all"}); err != nil || a.CDN != "" {
		t.Errorf("without a CDN: %+v, %v", a, err)
	}
}

func TestPeersFromAFunctionComeAndGo(t *testing.T) {
	t.Parallel()
	members := build(t, 2)
	url := members[0].url()
	members[0].cfg.Peers = nil
	members[1].cfg.Peers = nil
	members[1].deps.Peers = func(context.Context) ([]string, error) { return []string{url, members[1].url()}, nil }
	startAll(t, members)
	if _, err := members[0].client().Takedown(t.Context(), fleet.Request{Key: "x.jpg"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node that was found asks", func() bool { return members[1].gone("x.jpg") })
	eventually(t, "it knows that one of them is itself", func() bool { return len(members[1].node.Status().Peers) == 1 })
}

func TestDamagedNodeHealsFromItsPeers(t *testing.T) {
	t.Parallel()
	members := build(t, 2)
	startAll(t, members)
	if _, err := members[0].client().Takedown(t.Context(), fleet.Request{Keys: []string{"x.jpg", "y.jpg"}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both hold it", equal(members))
	members[1].stop()
	path := filepath.Join(members[1].dir, "orders")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[40] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	members[1].start(t)
	eventually(t, "it is whole again", func() bool {
		s := members[1].table.Stats()
		return s.Damaged == 1 && !s.Salted && equal(members)()
	})
}

func TestMetricsAreWellFormed(t *testing.T) {
	t.Parallel()
	members := build(t, 2)
	startAll(t, members)
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(members[0].node); err != nil {
		t.Fatal(err)
	}
	if _, err := members[0].client().Purge(t.Context(), fleet.Request{Tag: "all"}); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil || len(families) != 14 {
		t.Errorf("%d families, %v", len(families), err)
	}
}

// TestFleetOfProcesses runs three processes, kills one with kill -9 during
// orders, and starts it again: it has them all within seconds.
func TestFleetOfProcesses(t *testing.T) {
	if os.Getenv("FLEET_TEST_ADDR") != "" {
		serveForever(t)
		return
	}
	t.Parallel()
	members := build(t, 3)
	var urls []string
	for _, m := range members {
		urls = append(urls, m.url())
	}
	run := func(m *member) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFleetOfProcesses$")
		cmd.Env = append(os.Environ(), "FLEET_TEST_ADDR="+m.addr, "FLEET_TEST_DIR="+m.dir, "FLEET_TEST_NAME="+m.name, "FLEET_TEST_PEERS="+strings.Join(urls, ","))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
			t.Fatalf("%s says %q, %v", m.name, line, err)
		}
		return cmd
	}
	var cmds []*exec.Cmd
	for _, m := range members {
		cmds = append(cmds, run(m))
	}
	t.Cleanup(func() {
		for _, c := range cmds {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	})
	acked := 0
	for i := range 30 {
		if i == 10 {
			_ = cmds[1].Process.Kill() // SIGKILL
			_ = cmds[1].Wait()
		}
		m := members[2*(i%2)]
		a, err := m.client().Takedown(t.Context(), fleet.Request{Key: fmt.Sprintf("k%d.jpg", i)})
		if err != nil {
			t.Fatal(err)
		}
		acked++
		if i > 10 && len(a.Nodes) != 3 {
			t.Errorf("nodes = %v", a.Nodes)
		}
	}
	cmds[1] = run(members[1])
	back := time.Now()
	eventually(t, "the killed process has all orders", func() bool {
		s, err := members[1].client().Status(t.Context())
		return err == nil && s.Table.Takedowns == acked
	})
	t.Logf("after the restart it had all orders within %v", time.Since(back).Round(time.Millisecond))
}

func serveForever(t *testing.T) {
	name := os.Getenv("FLEET_TEST_NAME")
	m := &member{name: name, dir: os.Getenv("FLEET_TEST_DIR"), addr: os.Getenv("FLEET_TEST_ADDR"), cfg: fleet.Config{
		Node: name, Peers: strings.Split(os.Getenv("FLEET_TEST_PEERS"), ","), Secret: secret, Interval: 200 * time.Millisecond, PushTime: time.Second,
	}}
	m.start(t)
	fmt.Println("ready")
	select {}
}
