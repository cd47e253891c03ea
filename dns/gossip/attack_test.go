package gossip

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/dns/gossip/gossiptest"
)

// count is the value of a counter with one label.
func count(t *testing.T, vec *prometheus.CounterVec, label string) float64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(vec)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// alive asks whether a member still works: a message of another one reaches it. It is
// sent until it does, since it is a datagram, for which the garbage before it may leave no room.
func (m *member) alive(t *testing.T, from *member, what string) {
	t.Helper()
	var id [8]byte
	rand.Read(id[:])
	arrived, sender := make(chan struct{}), sync.WaitGroup{}
	sender.Go(func() {
		for {
			from.Send(Message{To: m.node, Bytes: id[:]})
			select {
			case <-arrived:
				return
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
	defer sender.Wait()
	defer close(arrived)
	m.until(t, "alive after "+what, func() bool {
		return len(m.got) > 0 && bytes.Equal(m.got[len(m.got)-1].msg, id[:])
	})
}

func TestAnotherKeyIsToldAndCounted(t *testing.T) {
	t.Parallel()
	all := cluster(t, nil, 2, Config{Keys: [][]byte{keyA}})
	other := begin(t, Config{Node: "other", Keys: [][]byte{keyB}}, nil, 0)
	_, err := other.Join(t.Context(), []string{all[0].Addr().String()})
	if kindOf(err) != "denied" || !strings.Contains(err.Error(), "the cluster's key of this member is not that of "+all[0].Addr().String()) {
		t.Errorf("Join with another key = %v", err)
	}
	if got := count(t, all[0].metrics.undecryptable, "tcp"); got != 1 {
		t.Errorf("%v undecryptable streams counted, want 1", got)
	}
	// A datagram of a member with another key.
	to := memberlist.Node{Name: "n0", Addr: all[0].Addr().Addr().AsSlice(), Port: all[0].Addr().Port()}
	if err := other.list.SendBestEffort(&to, appendFrame(nil, kindMessage, "other", []byte("hello"))); err != nil {
		t.Fatal(err)
	}
	all[0].alive(t, all[1], "a datagram with another key")
	if got := count(t, all[0].metrics.undecryptable, "udp"); got != 1 {
		t.Errorf("%v undecryptable datagrams counted, want 1", got)
	}
	for _, r := range all[0].got {
		if string(r.msg) == "hello" {
			t.Error("a message with another key was taken")
		}
	}
	if _, err := other.Join(t.Context(), []string{"127.0.0.1:1"}); kindOf(err) != "unavailable" {
		t.Errorf("Join of nobody = %v", err)
	}
}

// TestKeysAreRotated goes the way of an operator: the new key is known everywhere,
// then used everywhere, then the old one is forgotten. Messages arrive all the time.
func TestKeysAreRotated(t *testing.T) {
	t.Parallel()
	all := cluster(t, nil, 3, Config{})
	for _, keys := range [][][]byte{{keyA, keyB}, {keyB, keyA}, {keyB}} {
		for _, m := range all {
			if err := m.SetKeys(keys); err != nil {
				t.Fatal(err)
			}
			if got := m.keyring.GetKeys(); len(got) != len(keys) || !bytes.Equal(got[0], keys[0]) {
				t.Fatalf("the ring has %d keys, the first %x", len(got), got[0][:1])
			}
			for _, other := range all {
				if other != m {
					other.alive(t, m, "a step of the rotation")
				}
			}
		}
	}
	late := begin(t, Config{Node: "late", Keys: [][]byte{keyA}}, nil, 0)
	if _, err := late.Join(t.Context(), []string{all[0].Addr().String()}); kindOf(err) != "denied" {
		t.Errorf("Join with the old key = %v", err)
	}
	for _, m := range all {
		if len(m.downs) > 0 {
			t.Errorf("%s was told %v", m.node, m.downs)
		}
	}
	for _, bad := range [][][]byte{nil, {keyA, keyA}, {keyA[:31]}, make([][]byte, KeysMax+1)} {
		if err := all[0].SetKeys(bad); kindOf(err) != "invalid" {
			t.Errorf("SetKeys(%d keys) = %v", len(bad), err)
		}
	}
}

// TestReplayedPacketsChangeNothing records all datagrams to a member, among them
// the death and the goodbye of others, and sends them again.
func TestReplayedPacketsChangeNothing(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		n := gossiptest.New(1)
		all := cluster(t, n, 5, Config{})
		all[0].tr.Record(true)
		all[1].Send(Message{To: "n0", Bytes: []byte("once")})
		all[4].Leave(time.Second)
		all[4].stop()
		all[3].tr.Kill()
		all[0].until(t, "one left, one died", func() bool { return len(all[0].downs) == 2 })
		back := begin(t, Config{Join: []string{all[0].Addr().String()}}, n, 4)
		again := begin(t, Config{Join: []string{all[0].Addr().String()}}, n, 3)
		for _, m := range []*member{all[0], all[1], all[2], back, again} {
			m.until(t, "both are back", func() bool { return len(m.up) == 4 })
		}
		for range 3 {
			all[0].tr.Replay()
			time.Sleep(time.Second)
		}
		for _, m := range all[:3] {
			m.guard.Lock()
			if len(m.up) != 4 || len(m.downs) != 2 {
				t.Errorf("%s sees %d peers, downs %v", m.node, len(m.up), m.downs)
			}
			m.guard.Unlock()
		}
		count := 0
		for _, r := range all[0].got {
			if string(r.msg) == "once" {
				count++
			}
		}
		if count != 1 {
			t.Errorf("a replayed push arrived %d times", count)
		}
	})
}

// sealed gives a datagram as a member with the key would send it.
func sealed(t testing.TB, key, payload []byte) []byte {
	t.Helper()
	tr := &catcher{NodeAwareTransport: gossiptest.New(1).Join(addrOfMember(0))}
	conf := memberlist.DefaultLANConfig()
	conf.Name, conf.SecretKey, conf.Transport, conf.EnableCompression = "forger", key, tr, false
	conf.Logger = (&listLog{log: silent(), metrics: newMetrics()}).logger()
	l, err := memberlist.Create(conf)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Shutdown()
	if err := l.SendToAddress(memberlist.Address{Addr: "10.9.9.9:1", Name: "x"}, payload); err != nil {
		t.Fatal(err)
	}
	return tr.last
}

type catcher struct {
	memberlist.NodeAwareTransport
	last []byte
}

func (c *catcher) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	c.last = bytes.Clone(b)
	return time.Now(), nil
}

// TestGarbageAtThePort sends what no member sends, sealed and unsealed, by datagram
// and by stream. The member lives, and counts what it can.
func TestGarbageAtThePort(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	a := begin(t, Config{Node: "a", Registerer: reg}, nil, 0)
	b := begin(t, Config{Node: "b", Join: []string{a.Addr().String()}}, nil, 0)
	a.until(t, "they meet", func() bool { return len(a.up) == 1 })
	b.until(t, "they meet", func() bool { return len(b.up) == 1 })
	udp, err := net.Dial("udp", a.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	garbage := [][]byte{{}, {0}, {1}, make([]byte, 44), make([]byte, datagramBytesMax+1), bytes.Repeat([]byte{244, 255}, 30)}
	for range 200 {
		g := make([]byte, 1+int(garbageByte())*5)
		rand.Read(g)
		garbage = append(garbage, g)
	}
	for _, body := range [][]byte{
		nil, {1}, {9, 1, 1, 'x'}, {1, 9, 1, 'x'}, {1, 1, 255}, {1, 1, 3, '.', '.', '.'},
		appendFrame(nil, kindLeave, "b", []byte("short")), appendFrame(nil, kindPush, "b", []byte{1}), appendFrame(nil, kindConfirm, "b", []byte{1}),
		appendFrame(nil, kindConfirm, "b", bytes.Repeat([]byte{7}, 800)), appendFrame(nil, kindPush, "nobody", make([]byte, 30)),
	} {
		garbage = append(garbage, sealed(t, keyA, body))
	}
	for i, g := range garbage {
		udp.Write(g)
		if i%50 == 0 {
			a.alive(t, b, "garbage datagrams")
		}
		if i%4 == 0 && len(g) > 0 {
			c, err := net.Dial("tcp", a.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			c.Write(g)
			c.Close()
		}
	}
	a.alive(t, b, "garbage")
	if len(a.up) != 1 || len(a.downs) > 0 {
		t.Errorf("garbage changed the members: %v, downs %v", a.up, a.downs)
	}
	if count(t, a.metrics.dropped, "malformed") == 0 || count(t, a.metrics.undecryptable, "udp") == 0 {
		t.Error("garbage is not counted")
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	for _, want := range []string{"members", "health_score", "messages_total", "message_bytes_total", "wire_bytes_total", "dropped_total", "undecryptable_total"} {
		if !slices.Contains(names, "kamado_dns_gossip_"+want) {
			t.Errorf("no metric %s in %q", want, names)
		}
	}
}

func garbageByte() byte {
	var b [1]byte
	rand.Read(b[:])
	return b[0]
}

// TestStreamsAreBounded opens more streams than one address may have, and sends
// more than a stream may carry.
func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	a := begin(t, Config{Node: "a"}, nil, 0)
	b := begin(t, Config{Node: "b", Join: []string{a.Addr().String()}}, nil, 0)
	a.until(t, "they meet", func() bool { return len(a.up) == 1 })
	b.until(t, "they meet", func() bool { return len(b.up) == 1 })
	network := a.network
	var conns []net.Conn
	for range streamsSourceMax * 3 {
		c, err := net.Dial("tcp", a.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	closed := 0
	for _, c := range conns { // those that are refused end at once, the others with their time
		c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err) {
			closed++
		}
		network.mu.Lock()
		if len(network.open) > streamsSourceMax {
			t.Errorf("%d streams are open", len(network.open))
		}
		network.mu.Unlock()
	}
	if closed < streamsSourceMax*2-2 {
		t.Errorf("%d streams of %d were refused", closed, len(conns))
	}
	a.alive(t, b, "a flood of connections")
	for _, c := range conns {
		c.Close()
	}
	// A stream that announces 19 MiB and sends them.
	for try := 0; ; try++ {
		c, err := net.Dial("tcp", a.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		head := binary.BigEndian.AppendUint32([]byte{10}, 19<<20) // an encrypted message of so many bytes
		c.SetDeadline(time.Now().Add(10 * time.Second))
		_, err = c.Write(append(head, make([]byte, 8<<20)...))
		c.Close()
		if err != nil && count(t, a.metrics.dropped, "stream") > 0 {
			break
		}
		if try > 20 {
			t.Fatal("8 MiB were read from a stranger")
		}
	}
	a.alive(t, b, "a long stream")
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// TestASlowReceiverBoundsTheInbox has Events hang while messages come.
func TestASlowReceiverBoundsTheInbox(t *testing.T) {
	t.Parallel()
	n := gossiptest.New(1)
	bubble(t, func(t *testing.T) {
		all := cluster(t, n, 2, Config{})
		hold := make(chan struct{})
		all[0].guard.Lock()
		all[0].hold = hold
		all[0].guard.Unlock()
		for range inboxMax + 2000 {
			all[1].Send(Message{Bytes: []byte("x")})
			if len(all[1].outbox) == outboxMax {
				time.Sleep(10 * time.Millisecond)
			}
		}
		time.Sleep(time.Second)
		if got := len(all[0].inbox); got != inboxMax {
			t.Errorf("%d messages wait, want %d", got, inboxMax)
		}
		if count(t, all[0].metrics.dropped, "inbox") == 0 {
			t.Error("what was dropped is not counted")
		}
		all[1].pushing.Lock()
		if len(all[1].pushes) > pushesMax || all[1].pushBytes > pushBytesMax {
			t.Errorf("%d pushes wait", len(all[1].pushes))
		}
		all[1].pushing.Unlock()
		close(hold)
	})
}

func TestConfigIsJudged(t *testing.T) {
	t.Parallel()
	good := Config{Node: "a", Bind: "127.0.0.1:0", Keys: [][]byte{keyA}}
	for name, spoil := range map[string]func(*Config){
		"no name":         func(c *Config) { c.Node = "" },
		"no host name":    func(c *Config) { c.Node = "A b" },
		"no port":         func(c *Config) { c.Bind = "127.0.0.1" },
		"no key":          func(c *Config) { c.Keys = nil },
		"short key":       func(c *Config) { c.Keys = [][]byte{{1}} },
		"metadata":        func(c *Config) { c.Meta = make([]byte, MetaBytesMax+1) },
		"join":            func(c *Config) { c.Join = []string{"somewhere"} },
		"cloud":           func(c *Config) { c.JoinCloud = "gce:x" },
		"advertise":       func(c *Config) { c.Advertise = "0.0.0.0:0" },
		"another address": func(c *Config) { c.Bind = "192.0.2.1:0" },
	} {
		c := good
		spoil(&c)
		if g, err := New(c, newEar()); kindOf(err) != "invalid" {
			t.Errorf("%s: New = %v, %v", name, g, err)
		}
	}
	g := begin(t, good, nil, 0)
	if got := g.Addr(); !got.Addr().IsLoopback() || got.Port() == 0 {
		t.Errorf("Addr = %v", got)
	}
	taken := good
	taken.Bind = g.Addr().String()
	if _, err := New(taken, newEar()); kindOf(err) != "conflict" {
		t.Errorf("New at a taken port = %v", err)
	}
	if a, err := reachable(netip.MustParseAddrPort("[::]:7")); err == nil && (a.Addr().IsUnspecified() || a.Addr().IsLoopback()) {
		t.Errorf("reachable = %v", a)
	}
}

// FuzzMessage gives a member the bytes of messages that somebody with the key made.
func FuzzMessage(f *testing.F) {
	f.Add([]byte("\x01\x01\x02n1hello"))
	f.Add(appendFrame(nil, kindLeave, "n1", leave{"n1", 7}.encode()))
	f.Add(appendFrame(nil, kindPush, "n1", []byte("12345678x")))
	f.Add(appendFrame(nil, kindConfirm, "n1", []byte("12345678")))
	net := gossiptest.New(1)
	g, err := New(Config{Node: "n0", Keys: [][]byte{keyA}, Transport: net.Join(addrOfMember(0))}, newEar())
	if err != nil {
		f.Fatal(err)
	}
	var once sync.Once
	f.Cleanup(func() { once.Do(func() { g.list.Shutdown() }) })
	f.Fuzz(func(t *testing.T, b []byte) {
		was := bytes.Clone(b)
		delegate{g}.NotifyMsg(b)
		if !bytes.Equal(b, was) {
			t.Fatal("the message was changed")
		}
		for len(g.inbox) > 0 {
			if r := <-g.inbox; len(r.msg) > MessageBytesMax {
				t.Fatal("too long")
			}
		}
		g.pushing.Lock()
		if len(g.confirms) > 1000 {
			clear(g.confirms)
		}
		g.pushing.Unlock()
	})
}

func TestWindowKnowsDoubles(t *testing.T) {
	t.Parallel()
	var w window
	const epoch = uint64(9) << 32
	for _, n := range []uint64{1, 2, 5, 4, 1000, 3, windowBits + 999, 1 << 20} {
		if w.seen(epoch | n) {
			t.Errorf("%d is new", n)
		}
		if !w.seen(epoch | n) {
			t.Errorf("%d came already", n)
		}
	}
	if w.seen(epoch | 5) {
		t.Error("what is too old to know counts as new")
	}
	if w.seen(uint64(10)<<32 | 5) {
		t.Error("another life of the sender begins anew")
	}
	w = window{}
	w.seen(epoch | (1<<32 - 1))
	if w.seen(epoch) || !w.seen(epoch|(1<<32-1)) || !w.seen(epoch) {
		t.Error("the counter wraps")
	}
}
