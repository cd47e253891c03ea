package mesh_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/mesh"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world"
	"github.com/kamado/kamado/internal/lock"
	locksql "github.com/kamado/kamado/internal/lock/sql"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

const credential = "the credential of the nodes"

// node is a mesh with a socket of its own, as the gateway has it.
type node struct {
	t        *testing.T
	name     string
	mesh     *mesh.Mesh
	locks    *brittle
	registry *prometheus.Registry
	server   *httptest.Server
	sockets  sync.WaitGroup

	mu      sync.Mutex
	at      *mesh.Mesh
	conns   map[net.Conn]bool
	dead    bool
	changes []world.Change
	words   []string
	denied  atomic.Bool // it welcomes nobody

	stop func()
	done chan error
}

// brittle are locks of a process that can die.
type brittle struct {
	mesh.Locks
	dead atomic.Bool
}

var errDead = errors.New("the process is dead")

func (b *brittle) Acquire(ctx context.Context, name, holder string, term time.Duration) (lock.Held, error) {
	if b.dead.Load() {
		return lock.Held{}, errDead
	}
	return b.Locks.Acquire(ctx, name, holder, term)
}

func (b *brittle) Renew(ctx context.Context, name string, token uint64, session string) (lock.Held, error) {
	if b.dead.Load() {
		return lock.Held{}, errDead
	}
	return b.Locks.Renew(ctx, name, token, session)
}

func (b *brittle) Release(ctx context.Context, name string, token uint64, session string) error {
	if b.dead.Load() {
		return errDead
	}
	return b.Locks.Release(ctx, name, token, session)
}

func (b *brittle) List(ctx context.Context, prefix, after string, limit int) ([]lock.Status, error) {
	if b.dead.Load() {
		return nil, errDead
	}
	return b.Locks.List(ctx, prefix, after, limit)
}

// locks opens the view that one process has of the locks in a directory.
func locks(t *testing.T, dir string) *lock.Registry {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, "locks.db"))
	if err != nil {
		t.Fatal(err)
	}
	place, err := locksql.Open(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	r, err := lock.NewRegistry(place, lock.Default(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx) //nolint:errcheck // it never fails
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		db.Close() //nolint:errcheck // the test is over
	})
	return r
}

// start begins a node whose locks are in a directory.
func start(t *testing.T, dir, name string, change ...func(*mesh.Config, *mesh.Deps)) *node {
	t.Helper()
	n := begin(t, dir, name, change...)
	select {
	case <-n.mesh.Ready():
	case err := <-n.done:
		t.Fatalf("node %s ended: %v", name, err)
	case <-time.After(20 * time.Second):
		t.Fatalf("node %s is not ready", name)
	}
	return n
}

func begin(t *testing.T, dir, name string, change ...func(*mesh.Config, *mesh.Deps)) *node {
	t.Helper()
	n := &node{t: t, name: name, conns: map[net.Conn]bool{}, done: make(chan error, 1), locks: &brittle{Locks: locks(t, dir)}, registry: prometheus.NewRegistry()}
	n.server = httptest.NewServer(http.HandlerFunc(n.upgrade))
	cfg, deps := mesh.Default(), mesh.Deps{
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)).With("on", name), Registerer: n.registry,
		Node:      game.Node{Name: name, WebSocket: "ws" + strings.TrimPrefix(n.server.URL, "http") + "/v1/socket"},
		Registrar: mesh.NewLockRegistrar(n.locks), Locks: n.locks,
		Credential: func(context.Context) (string, error) { return credential, nil },
		Deliver:    n.deliver,
	}
	for _, f := range change {
		f(&cfg, &deps)
	}
	m, err := mesh.New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	m.Subscribe(n.changed)
	n.mu.Lock()
	n.at = m
	n.mu.Unlock()
	n.mesh = m
	ctx, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	go func() {
		n.done <- m.Run(ctx)
		close(n.done)
	}()
	t.Cleanup(n.end)
	return n
}

// end stops a node in order.
func (n *node) end() {
	n.stop()
	<-n.done
	n.cut(true)
	n.server.Close()
	n.sockets.Wait()
}

// kill ends a node as kill -9 does: its connections break, and its locks stay as they are.
func (n *node) kill() {
	n.locks.dead.Store(true)
	n.server.Listener.Close() //nolint:errcheck // it ends
	n.cut(true)
	n.stop()
}

// cut breaks all connections; dead: for ever.
func (n *node) cut(dead bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dead = n.dead || dead
	for c := range n.conns {
		c.Close() //nolint:errcheck // it is cut
	}
}

func (n *node) changed(c world.Change) {
	n.mu.Lock()
	n.changes = append(n.changes, c)
	n.mu.Unlock()
	if c.Replaces { // as the world does
		n.mesh.Here(c.UID, false, game.Copy{})
	}
}

func (n *node) deliver(uid game.UID, cmd wire.Command, body []byte) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.words = append(n.words, uid.String()+":"+string(body))
	return cmd == wire.CmdWhispered
}

func (n *node) upgrade(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	dead, m := n.dead, n.at
	n.mu.Unlock()
	if dead || m == nil {
		http.Error(w, "not yet", http.StatusServiceUnavailable)
		return
	}
	conn, _, _, err := ws.UpgradeHTTP(r, w)
	if err != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dead { // nothing is begun any more
		conn.Close() //nolint:errcheck // it is cut
		return
	}
	n.conns[conn] = true
	n.sockets.Go(func() {
		n.serve(m, conn)
		n.mu.Lock()
		delete(n.conns, conn)
		n.mu.Unlock()
	})
}

// serve is what the gateway does with another node.
func (n *node) serve(m *mesh.Mesh, conn net.Conn) {
	defer conn.Close()
	split := wire.Splitter{Limit: wire.LimitClient, Magic: true}
	var in *mesh.Arrival
	defer func() {
		if in != nil {
			in.Closed()
		}
	}()
	for {
		b, err := wsutil.ReadClientBinary(conn)
		if err != nil {
			return
		}
		for f, err := range split.Message(b) {
			switch {
			case err != nil:
				n.t.Errorf("%s got no frame: %v", n.name, err)
				return
			case f.Command == wire.CmdHello:
				if in, err = n.hello(m, conn, f.Body); err != nil {
					return
				}
			case f.Command == wire.CmdPing:
				if wsutil.WriteServerBinary(conn, wire.AppendFrame(nil, wire.CmdPong, f.Body)) != nil {
					return
				}
			case f.Command == wire.CmdPong:
			case in == nil || in.Handle(f.Command, f.Body) != nil:
				return
			}
		}
	}
}

func (n *node) hello(m *mesh.Mesh, conn net.Conn, body []byte) (*mesh.Arrival, error) {
	var h wire.Hello
	if err := wire.Parse(body, &h); err != nil {
		return nil, err
	}
	say := func(cmd wire.Command, b []byte, err error) error {
		return errors.Join(err, wsutil.WriteServerBinary(conn, wire.AppendFrame(nil, cmd, b)))
	}
	if h.Token != credential || n.denied.Load() {
		b, err := wire.Body(&wire.Closing{Reason: wire.Reason_REASON_TOKEN, Text: "no"})
		return nil, errors.Join(io.EOF, say(wire.CmdClosing, b, err))
	}
	b, err := wire.Body(&wire.Welcome{Protocol: 1, Node: n.name})
	if err := say(wire.CmdWelcome, b, err); err != nil {
		return nil, err
	}
	if h.Node == "" {
		return nil, nil // a client
	}
	// The gateway asks for signs of life too.
	if err := say(wire.CmdPing, binary.LittleEndian.AppendUint64(nil, 7), nil); err != nil {
		return nil, err
	}
	return m.Accept(h.Node, func() { conn.Close() }) //nolint:errcheck // it ends
}

// eventually waits until done says so.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(2 * time.Millisecond) { // a condition is polled
		if time.Now().After(deadline) {
			t.Fatalf("%s does not happen", what)
		}
	}
}

// meet waits until all nodes know each other.
func meet(t *testing.T, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		eventually(t, "node "+n.name+" meets the others", func() bool { return len(n.mesh.Nodes()) == len(nodes)-1 })
	}
}

func (n *node) where(uid game.UID) string {
	w, ok := n.mesh.Where(uid)
	if !ok {
		return ""
	}
	if w.Copy == (game.Copy{}) {
		return w.Node
	}
	return w.Node + " " + w.Copy.String()
}

func (n *node) claim(c game.Copy) (world.Claim, error) {
	return n.mesh.Claim(n.t.Context(), c)
}

// patient has claims outlast a machine that stands still for seconds, in tests of something else.
func patient(c *mesh.Config, _ *mesh.Deps) { c.ClaimTerm, c.ClaimWait = 15*time.Second, 20*time.Second }

// surely claims a copy, also on a machine that is so busy that the locks do not answer in time.
func (n *node) surely(t *testing.T, c game.Copy) (claim world.Claim) {
	t.Helper()
	eventually(t, "copy "+c.String()+" is claimed", func() bool {
		var err error
		claim, err = n.claim(c)
		return err == nil
	})
	return claim
}

// counted reads a counter or a gauge with a value of a label; empty: without.
func (n *node) counted(t *testing.T, name, label string) (sum float64) {
	t.Helper()
	families, err := n.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			has := label == ""
			for _, l := range m.GetLabel() {
				has = has || l.GetValue() == label
			}
			if f.GetName() == name && has {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}
