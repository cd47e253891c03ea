package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/internal/kv"
)

// stage is a server without streams, where an actor answers as one shard would, or
// does not.
type stage struct {
	s  *Store
	mu sync.Mutex
	// plays are what happens to one write after the other: "" acknowledge, "mute" take
	// it and say nothing, "drop" do not take it and say nothing, else an error's code.
	plays  []string
	writes int
	record *nats.Msg // the last record of any key
	seq    uint64
}

func newStage(t *testing.T, plays ...string) *stage {
	t.Helper()
	srv, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the stage is not ready")
	}
	c := DefaultStore()
	c.Timeout, c.Wait, c.InFlight = 100*time.Millisecond, 2*time.Second, 4
	g := &stage{plays: plays, seq: 10}
	g.s = &Store{c: c, log: testLog(), node: &Node{srv: srv, name: "n", alone: true}, ending: make(chan struct{})}
	g.s.met = newMetrics(g.s)
	if err := g.s.dial(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.s.Close() })
	nc, err := g.s.node.connect("", "actor")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	for subject, act := range map[string]nats.MsgHandler{"$KV.>": g.write, "$JS.API.STREAM.MSG.GET.*": g.read} {
		if _, err := nc.Subscribe(subject, act); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *stage) write(m *nats.Msg) {
	g.mu.Lock()
	defer g.mu.Unlock()
	play := ""
	if g.writes < len(g.plays) {
		play = g.plays[g.writes]
	}
	g.writes++
	code := 0
	if _, err := fmt.Sscan(play, &code); err == nil {
		g.fail(m, code)
		return
	}
	if play == "drop" {
		return
	}
	last := uint64(0)
	if g.record != nil {
		last = g.seq
	}
	if base := m.Header.Get(headerBase); base != "" && base != fmt.Sprint(last) {
		g.fail(m, codeWrongSequence)
		return
	}
	g.seq++
	g.record = m
	if play == "stolen" { // taken, not told, and replaced
		g.seq++
		g.record = &nats.Msg{Subject: m.Subject, Data: []byte("of another"), Header: nats.Header{headerNumber: {"other"}}}
	}
	if play == "" {
		_ = m.Respond(fmt.Appendf(nil, `{"stream":"KV_%s","seq":%d}`, strings.Split(m.Subject, ".")[1], g.seq))
	}
}

func (g *stage) fail(m *nats.Msg, code int) {
	_ = m.Respond(fmt.Appendf(nil, `{"error":{"code":400,"err_code":%d,"description":"as the play says"}}`, code))
}

func (g *stage) read(m *nats.Msg) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.record == nil {
		g.fail(m, codeNoMessage)
		return
	}
	h := "NATS/1.0\r\n"
	for k, v := range g.record.Header {
		h += k + ": " + v[0] + "\r\n"
	}
	b, _ := json.Marshal(map[string]any{"message": server.StoredMsg{Subject: g.record.Subject, Sequence: g.seq, Header: []byte(h + "\r\n"), Data: g.record.Data}})
	_ = m.Respond(b)
}

var testKey = kv.Key{Group: "u1", Name: "a"}

// TestDoubts: what becomes of a write whose answer does not come.
func TestDoubts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		plays  []string
		base   kv.Version
		want   error
		writes int // at least
	}{
		{"it was taken", []string{"mute"}, kv.Absent, nil, 1},
		{"it was not taken and is sent again", []string{"drop"}, kv.Absent, nil, 2},
		{"the second answer is lost too", []string{"drop", "mute"}, kv.Absent, nil, 2},
		{"it may have been taken and replaced", []string{"stolen"}, kv.Absent, kv.ErrDoubt, 1},
		{"without base it is not sent again", []string{"drop"}, kv.Any, kv.ErrDoubt, 1},
		{"another write of the key is on its way", []string{"10164", "10164"}, kv.Absent, nil, 3},
		{"the leader is not ready", []string{"10163"}, kv.Any, nil, 2},
		{"the shard is full", []string{"10077"}, kv.Absent, kv.ErrFull, 1},
		{"the base is old", nil, 7, kv.ErrConflict, 1},
		{"something else", []string{"10003"}, kv.Absent, kv.ErrAway, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := newStage(t, c.plays...)
			v, err := g.s.Put(t.Context(), testKey, []byte("v"), c.base)
			if c.want == nil && (err != nil || v == 0) || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("Put = %d, %v, want %v", v, err, c.want)
			}
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.writes < c.writes || c.base == kv.Any && c.want != nil && g.writes != 1 {
				t.Errorf("%d writes were sent, want %d", g.writes, c.writes)
			}
			if c.want == nil && kv.Version(g.seq) != v {
				t.Errorf("version %d, and the record has %d", v, g.seq)
			}
		})
	}
}

// TestNobodyAnswers: a write that nobody took was not done; one that was sent into
// silence is in doubt.
func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	g := newStage(t, "drop", "drop", "drop", "drop", "drop", "drop", "drop", "drop", "drop", "drop", "drop", "drop", "drop", "drop", "drop", "drop", "drop", "drop", "drop", "drop", "drop")
	began := time.Now()
	if _, err := g.s.Put(t.Context(), testKey, nil, kv.Absent); !errors.Is(err, kv.ErrDoubt) {
		t.Errorf("Put into silence = %v, want ErrDoubt", err)
	}
	if took := time.Since(began); took < time.Second || took > 20*time.Second {
		t.Errorf("it went on for %v, want about Wait", took)
	}
	h := newStage(t)
	h.s.c.Bucket = "nobody"
	h.s.c.Wait = 200 * time.Millisecond
	unheard := &write{subject: "nobody.listens", base: kv.Absent}
	err := h.s.again(t.Context(), patienceFirst, func(ctx context.Context) (err error) { _, err = h.s.try(ctx, unheard); return err })
	if err = h.s.writeError(t.Context(), unheard, err); !errors.Is(err, kv.ErrAway) {
		t.Errorf("a write that nobody took = %v, want ErrAway", err)
	}
	silent := newStage(t, "drop", "drop")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := silent.s.Put(ctx, testKey, nil, kv.Absent); !errors.Is(err, kv.ErrDoubt) {
		t.Errorf("a context that ended under way = %v, want ErrDoubt", err)
	}
}

func TestCallsAreBounded(t *testing.T) {
	t.Parallel()
	g := newStage(t)
	var what *kv.ExhaustedError
	g.s.calls.Store(int64(g.s.c.InFlight))
	if _, err := g.s.Get(t.Context(), testKey); !errors.As(err, &what) || what.Setting != "inflight" {
		t.Errorf("Get = %v, want it exhausted", err)
	}
	g.s.calls.Store(0)
	g.s.bytes.Store(g.s.c.InFlightBytes)
	if _, err := g.s.Put(t.Context(), testKey, []byte("x"), kv.Any); !errors.As(err, &what) || what.Setting != "inflight_bytes" {
		t.Errorf("Put = %v, want it exhausted", err)
	}
	g.s.bytes.Store(0)
	if _, err := g.s.Put(t.Context(), testKey, []byte("x"), kv.Any); err != nil {
		t.Error(err)
	}
	if calls, bytes := g.s.calls.Load(), g.s.bytes.Load(); calls != 0 || bytes != 0 {
		t.Errorf("%d calls and %d bytes are booked after all has ended", calls, bytes)
	}
}

// TestWhereAKeyLies: it may never change, or keys are lost.
func TestWhereAKeyLies(t *testing.T) {
	t.Parallel()
	s := &Store{c: DefaultStore()}
	for k, want := range map[kv.Key]string{
		{Group: "u1", Name: "avatar"}:       "$KV.e5.07.u1.avatar",
		{Group: "u1", Name: "a.b"}:          "$KV.e5.07.u1.a.b",
		{Group: "12345", Name: "x"}:         "$KV.e4.08.12345.x",
		{Group: "a-b_C", Name: "inventory"}: "$KV.e5.2f.a-b_C.inventory",
	} {
		shard, got := s.subject(k)
		if got != want {
			t.Errorf("subject(%s) = %q, want %q", k, got, want)
		}
		if back, err := s.parseSubject(shard, got); err != nil || back != k {
			t.Errorf("parseSubject(%q) = %v, %v", got, back, err)
		}
	}
	counts := map[int]int{}
	for i := range 6000 {
		shard, _ := s.place(fmt.Sprint("u", i))
		counts[shard]++
	}
	for shard, n := range counts {
		if n < 800 || n > 1200 {
			t.Errorf("shard %d has %d of 6000 groups", shard, n)
		}
	}
}

// FuzzSubject: a subject is one of a key, and of the right shard, or an error.
func FuzzSubject(f *testing.F) {
	f.Add("$KV.e5.07.u1.avatar", 5)
	f.Add("$KV.e5.zz.u1.", 5)
	f.Add("$KV.e5.", 5)
	f.Fuzz(func(t *testing.T, subject string, shard int) {
		s := &Store{c: DefaultStore()}
		if k, err := s.parseSubject(shard, subject); err == nil {
			if at, back := s.subject(k); at != shard || back != subject {
				t.Errorf("parseSubject(%q) = %s, which lies at %q", subject, k, back)
			}
		}
	})
}

// TestBetter: leaders are spread, only to replicas that are ready.
func TestBetter(t *testing.T) {
	t.Parallel()
	shard := func(name, leader string, others ...string) kv.Shard {
		sh := kv.Shard{Name: name, Leader: leader, Replicas: []kv.Replica{{Node: leader, Leader: true, Ready: true}}}
		for _, o := range others {
			node, away := strings.CutSuffix(o, "!")
			sh.Replicas = append(sh.Replicas, kv.Replica{Node: node, Ready: !away})
		}
		return sh
	}
	for name, c := range map[string]struct {
		shards    []kv.Shard
		shard, to string
	}{
		"even":            {[]kv.Shard{shard("0", "a", "b"), shard("1", "b", "a")}, "", ""},
		"one too many":    {[]kv.Shard{shard("0", "a", "b"), shard("1", "a", "b")}, "0", "b"},
		"only one is up":  {[]kv.Shard{shard("0", "a", "b!"), shard("1", "a", "b!")}, "", ""},
		"odd":             {[]kv.Shard{shard("0", "a", "b"), shard("1", "a", "b"), shard("2", "b", "a")}, "", ""},
		"without leader":  {[]kv.Shard{shard("0", "", "b"), shard("1", "", "b"), shard("2", "", "b")}, "", ""},
		"to the emptiest": {[]kv.Shard{shard("0", "a", "b", "c"), shard("1", "a", "b", "c"), shard("2", "a", "b", "c"), shard("3", "b", "a", "c")}, "0", "c"},
	} {
		if s, to := better(c.shards); s != c.shard || to != c.to {
			t.Errorf("%s: better = %q to %q, want %q to %q", name, s, to, c.shard, c.to)
		}
	}
}

// TestSuccessor: only a replica that can win is made to lead.
func TestSuccessor(t *testing.T) {
	t.Parallel()
	peer := func(name string, lag uint64, current bool) *server.PeerInfo {
		return &server.PeerInfo{Name: name, Lag: lag, Current: current}
	}
	away := &server.PeerInfo{Name: "away", Current: true, Offline: true}
	for name, c := range map[string]struct {
		peers  []*server.PeerInfo
		to     string
		strict bool
		want   string
		err    error
	}{
		"the current one":           {[]*server.PeerInfo{peer("a", 0, false), peer("b", 2, true)}, "", true, "b", nil},
		"none is current yet":       {[]*server.PeerInfo{peer("a", 0, false)}, "", true, "", nil},
		"none was for long":         {[]*server.PeerInfo{peer("a", 3, false), peer("b", 2, false)}, "", false, "b", nil},
		"all are behind":            {[]*server.PeerInfo{peer("a", 50, true)}, "", false, "", nil},
		"the one that is asked for": {[]*server.PeerInfo{peer("a", 0, true), peer("b", 1, true)}, "b", true, "b", nil},
		"it is away":                {[]*server.PeerInfo{away}, "", false, "", nil},
		"it has no replica":         {[]*server.PeerInfo{peer("a", 0, true)}, "c", true, "", kv.ErrInvalid},
		"there is only one replica": {nil, "", true, "", kv.ErrInvalid},
	} {
		got, err := successor(&server.ClusterInfo{Replicas: c.peers}, c.to, c.strict)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: successor = %q, %v, want %q, %v", name, got, err, c.want, c.err)
		}
	}
}

// TestFull: a shard that has reached its size refuses, and takes again after a delete.
func TestFull(t *testing.T) {
	t.Parallel()
	n := start(t, DefaultConfig(t.TempDir()))
	s := openStore(t, n, func(c *StoreConfig) { c.ShardBytesMax, c.Shards = 2<<20, 1 })
	value := make([]byte, kv.ValueBytesMax)
	var err error
	i := 0
	for ; (err == nil || errors.Is(err, kv.ErrDoubt)) && i < 20; i++ { // a slow disk makes doubts
		_, err = s.Put(t.Context(), kv.Key{Group: "u1", Name: fmt.Sprint("n", i)}, value, kv.Absent)
	}
	if !errors.Is(err, kv.ErrFull) {
		t.Fatalf("%d values of 512 KiB in a shard of 2 MiB, then %v, want ErrFull", i-1, err)
	}
	if shards, err := s.Shards(t.Context()); err != nil || len(shards) != 1 || shards[0].Keys != 3 {
		t.Errorf("Shards = %+v, %v", shards, err)
	}
	if err := s.Delete(t.Context(), kv.Key{Group: "u1", Name: "n0"}, kv.Any); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), kv.Key{Group: "u1", Name: "n0"}, value[:400<<10], kv.Absent); err != nil {
		t.Errorf("Put after a delete made space = %v", err)
	}
}

// TestOtherSettingsAreRefused: keys would be looked for elsewhere.
func TestOtherSettingsAreRefused(t *testing.T) {
	t.Parallel()
	n := start(t, DefaultConfig(t.TempDir()))
	openStore(t, n)
	c := DefaultStore()
	c.Shards = 4
	if s, err := OpenStore(t.Context(), n, c); !errors.Is(err, errMismatch) {
		t.Errorf("OpenStore with 4 shards on top of 6 = %v, %v", s, err)
	}
}

// TestTombstonesGo: with their time, and versions grow all the same.
func TestTombstonesGo(t *testing.T) {
	t.Parallel()
	n := start(t, DefaultConfig(t.TempDir()))
	s := openStore(t, n, func(c *StoreConfig) { c.TombstoneTTL = time.Second })
	v, err := s.Put(t.Context(), testKey, []byte("x"), kv.Absent)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), testKey, v); err != nil {
		t.Fatal(err)
	}
	shard, _ := s.subject(testKey)
	left := func() int64 {
		sh, err := s.Shards(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return sh[shard].Keys
	}
	if left() != 1 {
		t.Errorf("%d records after a delete, want the tombstone", left())
	}
	for deadline := time.Now().Add(20 * time.Second); left() != 0; time.Sleep(100 * time.Millisecond) { // the server's clock is waited for
		if time.Now().After(deadline) {
			t.Fatal("the tombstone stays")
		}
	}
	if _, err := s.Put(t.Context(), testKey, nil, v); !errors.Is(err, kv.ErrConflict) {
		t.Errorf("Put on a version from before the delete = %v", err)
	}
	if v2, err := s.Put(t.Context(), testKey, nil, kv.Absent); err != nil || v2 <= v {
		t.Errorf("Put = version %d, %v, want more than %d", v2, err, v)
	}
}

// TestGrow: a cluster that began with one replica gets three, of nodes of three
// zones, and its leaders are spread.
func TestGrow(t *testing.T) {
	t.Parallel()
	nodes := cluster(t, 3)
	s := openStore(t, nodes[0], func(c *StoreConfig) { c.Replicas = 1 })
	v, err := s.Put(t.Context(), testKey, []byte("x"), kv.Absent)
	if err != nil {
		t.Fatal(err)
	}
	big := openStore(t, nodes[1])
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := big.Grow(ctx); err != nil {
		t.Fatal(err)
	}
	if err := big.Rebalance(ctx); err != nil {
		t.Fatal(err)
	}
	shards, err := big.Shards(ctx)
	if err != nil {
		t.Fatal(err)
	}
	leads := map[string]int{}
	for _, sh := range shards {
		leads[sh.Leader]++
		if len(sh.Replicas) != 3 || len(sh.Warnings) != 0 {
			t.Errorf("shard %+v, want three replicas and no warning", sh)
		}
	}
	if len(leads) != 3 {
		t.Errorf("leaders = %v, want two shards to each node", leads)
	}
	if e, err := big.Get(ctx, testKey); err != nil || e.Version != v {
		t.Errorf("Get = %v, %v", e, err)
	}
	for what, err := range map[string]error{
		"StepDown of no shard":     big.StepDown(ctx, "KV_x", ""),
		"MoveReplica of no shard":  big.MoveReplica(ctx, "KV_x", ""),
		"RemoveNode of a stranger": big.RemoveNode(ctx, "nobody"),
		"RemoveNode of itself":     big.RemoveNode(ctx, nodes[1].Name()),
	} {
		if !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("%s = %v, want ErrInvalid", what, err)
		}
	}
	leaves(t, big, nodes[1])
}

// leaves lets a node leave: it leads nothing then.
func leaves(t *testing.T, s *Store, n *Node) {
	t.Helper()
	if err := s.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	shards, err := s.Shards(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, sh := range shards {
		if sh.Leader == n.Name() {
			t.Errorf("%s still leads %s", n.Name(), sh.Name)
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	n := start(t, DefaultConfig(t.TempDir()))
	s := openStore(t, n)
	r := prometheus.NewPedanticRegistry()
	if err := s.Register(r); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), testKey, nil, kv.Any); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Shards(t.Context()); err != nil {
		t.Fatal(err)
	}
	fams, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range fams {
		for _, m := range f.GetMetric() {
			got[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	if got["kamado_kv_jetstream_shard_ready"] != 6 || got["kamado_kv_jetstream_shard_keys"] != 1 || got["kamado_kv_jetstream_calls"] != 0 {
		t.Errorf("metrics = %v", got)
	}
}
