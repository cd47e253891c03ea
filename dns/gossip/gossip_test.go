package gossip

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/dns/gossip/gossiptest"
)

var (
	keyA = bytes.Repeat([]byte{1}, 32)
	keyB = bytes.Repeat([]byte{2}, 32)
)

// ear notes what a member is told.
type ear struct {
	guard   sync.Mutex
	change  chan struct{} // closed and replaced at each event
	up      map[string]netip.AddrPort
	metas   map[string]string
	ups     map[string]int
	downs   []down
	got     []received
	when    []time.Time // of got
	rtt     map[string]time.Duration
	clashes []string
	order   []string // Up and Down of each peer
	hold    chan struct{}
}

type down struct {
	node string
	left bool
	at   time.Time
}

func newEar() *ear {
	return &ear{change: make(chan struct{}), up: map[string]netip.AddrPort{}, metas: map[string]string{}, ups: map[string]int{}, rtt: map[string]time.Duration{}}
}

func (e *ear) note(f func()) {
	e.guard.Lock()
	defer e.guard.Unlock()
	f()
	close(e.change)
	e.change = make(chan struct{})
}

func (e *ear) Receive(from string, msg []byte) {
	e.guard.Lock()
	hold := e.hold
	e.guard.Unlock()
	if hold != nil {
		<-hold
	}
	e.note(func() { e.got = append(e.got, received{from, msg}); e.when = append(e.when, time.Now()) })
}
func (e *ear) Up(node string, addr netip.AddrPort, meta []byte) {
	e.note(func() {
		e.up[node], e.metas[node] = addr, string(meta)
		e.ups[node]++
		e.order = append(e.order, "+"+node)
	})
}
func (e *ear) Down(node string, left bool) {
	e.note(func() {
		delete(e.up, node)
		e.downs = append(e.downs, down{node, left, time.Now()})
		e.order = append(e.order, "-"+node)
	})
}
func (e *ear) RTT(node string, d time.Duration) { e.note(func() { e.rtt[node] = d }) }
func (e *ear) Conflict(node string, here, there netip.AddrPort) {
	e.note(func() { e.clashes = append(e.clashes, fmt.Sprint(node, " ", here, " ", there)) })
}

// until waits for a condition on what was heard.
func (e *ear) until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	for {
		e.guard.Lock()
		ok, change := cond(), e.change
		e.guard.Unlock()
		if ok {
			return
		}
		select {
		case <-change:
		case <-limit.C:
			e.guard.Lock()
			defer e.guard.Unlock()
			t.Fatalf("%s: did not happen; up %d, downs %v, conflicts %q", what, len(e.up), e.downs, e.clashes)
		}
	}
}

// member is a running member of a test.
type member struct {
	*Gossip
	*ear
	node    string
	tr      *gossiptest.Transport // nil: the real network
	network *network
	stop    func()
}

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

// bubble runs a test in its own time (testing/synctest), in which a busy machine
// changes nothing. KAMADO_GOSSIP_REAL=1 has it run in real time, as members do.
func bubble(t *testing.T, f func(*testing.T)) {
	if os.Getenv("KAMADO_GOSSIP_REAL") != "" {
		f(t)
		return
	}
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { time.Sleep(time.Minute) }) // runs last: memberlist's probes end by their timers
		f(t)
	})
}

func addrOfMember(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(1 + i%250)}), 7300)
}

// begin starts a member; without a network in cfg and n, on loopback.
func begin(t *testing.T, cfg Config, n *gossiptest.Network, i int) *member {
	t.Helper()
	if cfg.Node == "" {
		cfg.Node = fmt.Sprint("n", i)
	}
	if cfg.Keys == nil {
		cfg.Keys = [][]byte{keyA}
	}
	if os.Getenv("KAMADO_GOSSIP_LOG") != "" && cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", cfg.Node)
	}
	m := &member{ear: newEar(), node: cfg.Node}
	if n != nil {
		m.tr = n.Join(addrOfMember(i))
		cfg.Transport = m.tr
	} else if cfg.Bind == "" {
		cfg.Bind = "127.0.0.1:0"
	}
	g, err := New(cfg, m.ear)
	if err != nil {
		t.Fatal(err)
	}
	m.Gossip = g
	m.network, _ = g.transport.(*network)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	m.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run of %s = %v", m.node, err)
		}
	})
	t.Cleanup(m.stop)
	return m
}

// cluster starts members that know each other.
func cluster(t *testing.T, n *gossiptest.Network, size int, cfg Config) []*member {
	t.Helper()
	var all []*member
	for i := range size {
		c := cfg
		if i > 0 {
			c.Join = []string{all[0].Addr().String()}
			if i > 2 {
				c.Join = []string{all[i/2].Addr().String()}
			}
		}
		all = append(all, begin(t, c, n, i))
	}
	for _, m := range all {
		m.until(t, "all members know all", func() bool { return len(m.up) == size-1 })
	}
	return all
}

func TestMembersFindEachOther(t *testing.T) {
	t.Parallel()
	all := cluster(t, nil, 3, Config{Meta: []byte("place=x")})
	for i, m := range all {
		for k, other := range all {
			if i == k {
				continue
			}
			m.until(t, "metadata", func() bool { return m.metas[other.node] == "place=x" && m.up[other.node] == other.Addr() })
		}
		m.until(t, "round trips are measured", func() bool { return len(m.rtt) == 2 })
		if got := m.Peers(); len(got) != 2 || !got[0].Up || got[0].Node >= got[1].Node {
			t.Errorf("peers of %s = %+v", m.node, got)
		}
	}
	if err := all[1].SetMeta([]byte("place=y")); err != nil {
		t.Fatal(err)
	}
	all[2].until(t, "the new metadata", func() bool { return all[2].metas["n1"] == "place=y" })
}

func TestMessagesArrive(t *testing.T) {
	t.Parallel()
	all := cluster(t, nil, 3, Config{})
	for _, c := range []struct {
		name     string
		bytes    int
		reliable bool
	}{
		{"a packet", 10, false},
		{"the longest packet", PacketBytesMax, false},
		{"too long for a packet", PacketBytesMax + 1, false},
		{"by stream", 10, true},
		{"the longest", MessageBytesMax, false},
	} {
		msg := bytes.Repeat([]byte(c.name[:1]), c.bytes)
		all[0].Send(Message{Bytes: msg, Reliable: c.reliable})
		for _, m := range all[1:] {
			m.until(t, c.name, func() bool {
				return len(m.got) > 0 && m.got[len(m.got)-1].from == "n0" && bytes.Equal(m.got[len(m.got)-1].msg, msg)
			})
		}
	}
	all[0].Send(Message{To: "n2", Bytes: []byte("for you")})
	all[2].until(t, "a message to one", func() bool { return string(all[2].got[len(all[2].got)-1].msg) == "for you" })
	all[0].Send(Message{Bytes: []byte("last")})
	all[1].until(t, "the last", func() bool { return string(all[1].got[len(all[1].got)-1].msg) == "last" })
	for _, r := range all[1].got {
		if string(r.msg) == "for you" {
			t.Error("a message to one peer reached another")
		}
	}
	all[0].Send(Message{Bytes: make([]byte, MessageBytesMax+1)}) // dropped
	all[0].Send(Message{To: "nobody", Bytes: []byte("x")})
}

func TestADeadMemberIsNoticed(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		n := gossiptest.New(1)
		all := cluster(t, n, 5, Config{})
		start := time.Now()
		all[4].tr.Kill()
		for _, m := range all[:4] {
			m.until(t, "n4 is dead", func() bool { return len(m.downs) == 1 })
			if d := m.downs[0]; d.node != "n4" || d.left {
				t.Errorf("%s was told %+v", m.node, d)
			}
		}
		t.Logf("noticed by all after %v", time.Since(start))
	})
}

func TestGoodbyeIsNotDeath(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		n := gossiptest.New(1)
		all := cluster(t, n, 6, Config{})
		if err := all[5].Leave(5 * time.Second); err != nil {
			t.Fatal(err)
		}
		all[5].stop()
		for _, m := range all[:5] {
			m.until(t, "n5 left", func() bool { return len(m.downs) > 0 })
			if d := m.downs[0]; d.node != "n5" || !d.left || len(m.downs) != 1 {
				t.Errorf("%s was told %+v", m.node, m.downs)
			}
		}
		back := begin(t, Config{Join: []string{all[0].Addr().String()}}, n, 5)
		back.until(t, "it knows all", func() bool { return len(back.up) == 5 })
		for _, m := range all[:5] {
			m.until(t, "n5 is back", func() bool { return m.up["n5"].IsValid() })
		}
	})
}

// TestAMemberThatRestartsAtOnceIsTakenBack has nobody notice that it was away but
// by a second Up.
func TestAMemberThatRestartsAtOnceIsTakenBack(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		n := gossiptest.New(1)
		all := cluster(t, n, 4, Config{})
		all[3].stop()
		start := time.Now()
		back := begin(t, Config{Join: []string{all[0].Addr().String()}}, n, 3)
		for _, m := range all[:3] {
			m.until(t, "n3 is up again", func() bool { return m.ups["n3"] == 2 })
			if len(m.downs) != 0 {
				t.Errorf("%s was told %+v", m.node, m.downs)
			}
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("taken back after %v", took)
		}
		back.until(t, "it knows all", func() bool { return len(back.up) == 3 })
		back.Send(Message{Bytes: []byte("here")})
		all[1].until(t, "it is heard", func() bool { return len(all[1].got) == 1 })
	})
}

func TestADeadMembersNameIsTakenBackAtAnotherAddress(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		n := gossiptest.New(1)
		all := cluster(t, n, 4, Config{})
		all[3].tr.Kill()
		begin(t, Config{Node: "n3", Join: []string{all[0].Addr().String()}}, n, 77)
		for _, m := range all[:3] {
			m.until(t, "n3 is at its new address", func() bool { return m.up["n3"] == addrOfMember(77) })
		}
	})
}

func TestTwoMachinesWithOneName(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		n := gossiptest.New(1)
		all := cluster(t, n, 3, Config{})
		second := begin(t, Config{Node: "n2"}, n, 99)
		got, err := second.Join(t.Context(), []string{all[0].Addr().String()})
		if got != 0 || kindOf(err) != "conflict" {
			t.Fatalf("Join = %d, %v", got, err)
		}
		all[0].until(t, "a conflict is told", func() bool { return len(all[0].clashes) > 0 })
		if want := fmt.Sprint("n2 ", addrOfMember(2), " ", addrOfMember(99)); all[0].clashes[0] != want {
			t.Errorf("conflict %q, want %q", all[0].clashes[0], want)
		}
		for range 3 {
			if _, err := second.Join(t.Context(), []string{all[1].Addr().String()}); kindOf(err) != "conflict" {
				t.Fatalf("Join = %v", err)
			}
		}
		second.Send(Message{Bytes: []byte("intruder")})
		all[2].Send(Message{Bytes: []byte("true")})
		for _, m := range all[:2] {
			m.until(t, "the true n2 is heard", func() bool { return len(m.got) > 0 })
			m.guard.Lock()
			if m.up["n2"] != addrOfMember(2) || m.ups["n2"] != 1 || len(m.downs) > 0 || string(m.got[0].msg) != "true" {
				t.Errorf("%s saw n2 at %v, %d times up, downs %v, messages %q", m.node, m.up["n2"], m.ups["n2"], m.downs, m.got)
			}
			m.guard.Unlock()
		}
		second.guard.Lock()
		if len(second.up) != 0 {
			t.Error("the second believes to be a member")
		}
		second.guard.Unlock()
		// When the first is gone, the second is let in.
		all[2].tr.Kill()
		all[0].until(t, "n2 is dead", func() bool { return len(all[0].downs) == 1 })
		if got, err := second.Join(t.Context(), []string{all[0].Addr().String()}); got != 1 || err != nil {
			t.Fatalf("Join after the first is gone = %d, %v", got, err)
		}
		all[0].until(t, "the second is up", func() bool { return all[0].up["n2"] == addrOfMember(99) })
	})
}

func TestACutHeals(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		n := gossiptest.New(1)
		all := cluster(t, n, 8, Config{})
		n.Cut(func(a netip.AddrPort) int { return int(a.Addr().As4()[3]) % 2 })
		for _, m := range all {
			m.until(t, "one half is left", func() bool { return len(m.up) == 3 })
		}
		start := time.Now()
		n.Heal()
		for _, m := range all {
			m.until(t, "all are there again", func() bool { return len(m.up) == 7 })
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("one view %v after the heal, want 2 s", took)
		}
	})
}

// TestRememberedMembersAreFound needs no list of members to join.
func TestRememberedMembersAreFound(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		n := gossiptest.New(1)
		a, b := begin(t, Config{}, n, 0), begin(t, Config{}, n, 1)
		b.Remember("n0", a.Addr())
		b.Remember("n7", addrOfMember(7)) // is gone for good
		a.until(t, "they find each other", func() bool { return len(a.up) == 1 })
		b.until(t, "they find each other", func() bool { return len(b.up) == 1 })
		b.Forget("n7")
		b.Forget("n0") // lives: is not forgotten
		if got := b.Peers(); len(got) != 1 || got[0].Node != "n0" {
			t.Errorf("peers = %+v", got)
		}
	})
}
