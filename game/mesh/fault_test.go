package mesh_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/mesh"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world"
	"github.com/kamado/kamado/internal/lock"
	"github.com/kamado/kamado/internal/lock/locktest"
)

// flaky is a registrar that can be away, or take nothing but still list what it has.
type flaky struct {
	game.NodeRegistrar
	away  atomic.Bool
	lists bool
}

func (f *flaky) Nodes(ctx context.Context) ([]game.Node, error) {
	if f.away.Load() && !f.lists {
		return nil, errors.New("no answer")
	}
	return f.NodeRegistrar.Nodes(ctx)
}

func (f *flaky) Announce(ctx context.Context, n game.Node) error {
	if f.away.Load() {
		return errors.New("no answer")
	}
	return f.NodeRegistrar.Announce(ctx, n)
}

// TestRegistrarAway: nodes that know each other go on, and a new one is found when the registrar is back.
func TestRegistrarAway(t *testing.T) {
	t.Parallel()
	for name, lists := range map[string]bool{"away": false, "takes nothing": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			registrarAway(t, lists)
		})
	}
}

func registrarAway(t *testing.T, lists bool) {
	dir := t.TempDir()
	var registrars []*flaky
	wrap := func(_ *mesh.Config, d *mesh.Deps) {
		f := &flaky{NodeRegistrar: d.Registrar, lists: lists}
		registrars = append(registrars, f)
		d.Registrar = f
	}
	a, b := start(t, dir, "a", wrap), start(t, dir, "b", wrap)
	meet(t, a, b)
	for _, r := range registrars {
		r.away.Store(true)
	}
	eventually(t, "several calls fail", func() bool { return a.counted(t, "kamado_game_mesh_registrar_errors_total", "") > 6 }) // more than a term
	b.cut(false)
	a.mesh.Here(1001, true, game.Copy{})
	eventually(t, "b hears of it on a new link", func() bool { return b.where(1001) == "a" })
	if n := len(a.mesh.Nodes()); n != 1 {
		t.Errorf("a knows %d other nodes", n)
	}
	b.surely(t, plaza1)
	for _, r := range registrars {
		r.away.Store(false)
	}
	c := start(t, dir, "c")
	meet(t, a, b, c)
}

// TestNodeThatDoesNotRead gets a new link, and holds nobody up.
func TestNodeThatDoesNotRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var mu sync.Mutex
	var conns []net.Conn
	links := make(chan struct{}, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			return
		}
		b, _ := wire.Body(&wire.Welcome{Protocol: 1})
		if wsutil.WriteServerBinary(conn, wire.AppendFrame(nil, wire.CmdWelcome, b)) == nil {
			links <- struct{}{}
		}
		mu.Lock()
		conns = append(conns, conn) // and then it is silent
		mu.Unlock()
	}))
	defer server.Close()
	defer func() {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			c.Close() //nolint:errcheck // the test is over
		}
	}()
	stuck := mesh.NewLockRegistrar(locks(t, dir))
	announce, done := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer done()
	wg.Go(func() {
		for announce.Err() == nil {
			_ = stuck.Announce(announce, game.Node{Name: "stuck", WebSocket: "ws" + strings.TrimPrefix(server.URL, "http")}) // again soon
			pause := time.NewTimer(game.NodeTerm / 4)
			select {
			case <-announce.Done():
				pause.Stop()
			case <-pause.C:
			}
		}
	})
	a, b := start(t, dir, "a"), start(t, dir, "b")
	eventually(t, "a and b meet", func() bool { return len(a.mesh.Nodes()) == 1 && len(b.mesh.Nodes()) == 1 })
	for uid := game.UID(1); uid <= 20_000; uid++ {
		a.mesh.Here(uid, true, game.Copy{})
	}
	eventually(t, "b hears of all", func() bool { return b.counted(t, "kamado_game_mesh_users", "") == 20_000 })
	for range 4 { // two nodes, twice each
		select {
		case <-links:
		case <-time.After(20 * time.Second):
			t.Fatal("there is no new link")
		}
	}
}

// TestHappeningsAreBounded: when the world is slow to take what happens, links wait; afterwards all goes on.
func TestHappeningsAreBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	release := make(chan struct{})
	var heard atomic.Int32
	slow := start(t, dir, "slow", func(c *mesh.Config, d *mesh.Deps) {
		c.HappeningsMax = 100
		d.Deliver = func(game.UID, wire.Command, []byte) bool { <-release; heard.Add(1); return true }
	})
	b := start(t, dir, "b", func(c *mesh.Config, _ *mesh.Deps) { c.WordsMax = 100_000 })
	meet(t, slow, b)
	slow.mesh.Here(1001, true, game.Copy{})
	eventually(t, "b hears of the user", func() bool { return b.where(1001) == "slow" })
	words := func() {
		for range 100 {
			b.mesh.Tell(1001, wire.CmdWhispered, nil)
		}
	}
	waiting := func() float64 { return slow.counted(t, "kamado_game_mesh_happenings", "") }
	eventually(t, "the bound is reached", func() bool { words(); return waiting() >= 100 })
	for range 20 {
		words()
	}
	if n := waiting(); n > 110 { // a link that waits, and a few changes
		t.Errorf("%v changes and words wait: the bound is 100", n)
	}
	close(release)
	eventually(t, "words arrive again", func() bool { words(); return heard.Load() > 1000 })
}

func TestLockRegistrar(t *testing.T) {
	t.Parallel()
	place := &locktest.Memory{}
	view := func() *lock.Registry {
		r, err := lock.NewRegistry(place, lock.Default(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	a, b, watch := mesh.NewLockRegistrar(view()), mesh.NewLockRegistrar(view()), mesh.NewLockRegistrar(view())
	names := func() (list []string) {
		nodes, err := watch.Nodes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			name := n.Name + " " + n.WebSocket
			if n.Draining {
				name += " draining"
			}
			list = append(list, name)
		}
		return list
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(a.Announce(t.Context(), game.Node{Name: "a", WebSocket: "ws://a"}))
	must(b.Announce(t.Context(), game.Node{Name: "b", WebSocket: "ws://b"}))
	must(a.Announce(t.Context(), game.Node{Name: "a", WebSocket: "ws://a"}))
	if got := names(); !slices.Equal(got, []string{"a ws://a", "b ws://b"}) {
		t.Errorf("nodes %q", got)
	}
	must(a.Announce(t.Context(), game.Node{Name: "a", WebSocket: "ws://a", Draining: true}))
	if got := names(); !slices.Equal(got, []string{"a ws://a draining", "b ws://b"}) {
		t.Errorf("nodes %q", got)
	}
	if err := b.Announce(t.Context(), game.Node{Name: "a", WebSocket: "ws://other"}); !errors.Is(err, mesh.ErrNameTaken) || !strings.Contains(err.Error(), "ws://a") {
		t.Errorf("Announce of a name that is taken = %v", err)
	}
	must(b.Announce(t.Context(), game.Node{Name: "b", WebSocket: "ws://b"}))
	if _, err := view().Acquire(t.Context(), "world.node.x", "no node", time.Hour); err != nil {
		t.Fatal(err)
	}
	must(a.Announce(t.Context(), game.Node{Name: "a", WebSocket: "ws://a"}))
	must(a.Withdraw(t.Context(), "b")) // not its own
	must(b.Withdraw(t.Context(), "b"))
	must(b.Withdraw(t.Context(), "b"))
	if got := names(); !slices.Equal(got, []string{"a ws://a"}) {
		t.Errorf("nodes %q", got)
	}
	// a dies: its lock is given back by whoever sees that it stands still.
	eventually(t, "the dead node is not listed", func() bool { return len(names()) == 0 })
	list, err := view().List(t.Context(), "world.node.a", "", 10)
	if err != nil || len(list) != 1 || list[0].Held {
		t.Errorf("the lock of the dead node: %+v, %v", list, err)
	}
	must(b.Announce(t.Context(), game.Node{Name: "a", WebSocket: "ws://b"}))
	if err := a.Announce(t.Context(), game.Node{Name: "a", WebSocket: "ws://a"}); !errors.Is(err, mesh.ErrNameTaken) {
		t.Errorf("who was away for long announces itself under a name that has passed on: %v", err)
	}
}

func TestBadNodesAreNotAnnounced(t *testing.T) {
	t.Parallel()
	r, err := lock.NewRegistry(&locktest.Memory{}, lock.Default(), nil)
	if err != nil {
		t.Fatal(err)
	}
	a := mesh.NewLockRegistrar(r)
	for name, n := range map[string]game.Node{
		"no name": {WebSocket: "ws://x"}, "a name with a blank": {Name: "a b"}, "a long name": {Name: strings.Repeat("n", mesh.NameBytesMax+1)},
		"long addresses": {Name: "c", WebSocket: "ws://" + strings.Repeat("x", 250)},
	} {
		if err := a.Announce(t.Context(), n); game.KindOf(err) != game.Invalid {
			t.Errorf("%s: Announce = %v", name, err)
		}
	}
}

func TestBadConfig(t *testing.T) {
	t.Parallel()
	_, err := mesh.New(mesh.Config{}, mesh.Deps{Node: game.Node{Name: "a b"}})
	for _, want := range []string{"NodesMax", "UsersMax", "CopiesMax", "ClaimsMax", "WordsMax", "WordBytesMax", "HappeningsMax", "LooksMax", "AtOnce", "ClaimTerm", "RenewEvery", "ClaimWait", "Log", "Registrar", "Locks", "Credential", "Deliver", "address", "no name of a node"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New without anything = %v, want a word about %s", err, want)
		}
	}
	if err := mesh.Default().Validate(); err != nil {
		t.Error(err)
	}
}

// TestClaimsAreBounded, by how many there may be, and by names that are none.
func TestClaimsAreBounded(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir(), "a", patient, func(c *mesh.Config, _ *mesh.Deps) { c.ClaimsMax = 1 })
	if _, err := a.claim(game.Copy{Area: "No", Number: 1}); game.KindOf(err) != game.Invalid {
		t.Errorf("Claim of no copy = %v", err)
	}
	one := a.surely(t, plaza1)
	if _, err := a.claim(plaza2); game.KindOf(err) != game.Exhausted {
		t.Errorf("Claim above ClaimsMax = %v", err)
	}
	var wg sync.WaitGroup
	same := make([]world.Claim, 8)
	for i := range same {
		wg.Go(func() { same[i], _ = a.claim(plaza1) })
	}
	wg.Wait()
	for _, c := range same {
		if c != one {
			t.Errorf("several claims at once give %+v, want %+v", c, one)
		}
	}
	if err := a.mesh.Release(t.Context(), plaza2); err != nil {
		t.Errorf("Release of what was not claimed = %v", err)
	}
}

// TestArrivalsAreBounded, so that nodes that come and come again take no more than their part.
func TestArrivalsAreBounded(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir(), "a", func(c *mesh.Config, _ *mesh.Deps) { c.NodesMax = 2 })
	var arrivals []*mesh.Arrival
	for range 4 {
		in, err := a.mesh.Accept("b", func() {})
		if err != nil {
			t.Fatal(err)
		}
		arrivals = append(arrivals, in)
	}
	if _, err := a.mesh.Accept("b", func() {}); game.KindOf(err) != game.Exhausted {
		t.Errorf("Accept above the bound = %v", err)
	}
	if _, err := a.mesh.Accept("no name", func() {}); game.KindOf(err) != game.Invalid {
		t.Errorf("Accept of no name = %v", err)
	}
	if err := arrivals[0].Handle(wire.CmdSay, nil); err == nil {
		t.Error("a command of clients is taken")
	}
	if err := arrivals[0].Handle(mesh.CmdBeat, []byte{8, 1}); err == nil {
		t.Error("a link that does not begin with begin is taken")
	}
	arrivals[0].Closed()
	if _, err := a.mesh.Accept("c", func() {}); err != nil {
		t.Errorf("Accept after another has ended = %v", err)
	}
	a.stop()
	<-a.done
	if _, err := a.mesh.Accept("b", func() {}); game.KindOf(err) != game.Unavailable {
		t.Errorf("Accept after the end = %v", err)
	}
}

// TestLocksAway: a claim that cannot be known is told so, and works later.
func TestLocksAway(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir(), "a")
	a.locks.dead.Store(true)
	if _, err := a.claim(plaza1); game.KindOf(err) != game.Unavailable || !errors.Is(err, errDead) {
		t.Errorf("Claim without locks = %v, want Unavailable", err)
	}
	a.locks.dead.Store(false)
	a.surely(t, plaza1)
}
