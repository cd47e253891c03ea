package node_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/answer"
	"github.com/kamado/kamado/dns/credential"
	"github.com/kamado/kamado/dns/gossip"
	"github.com/kamado/kamado/dns/journal"
	"github.com/kamado/kamado/dns/node"
	"github.com/kamado/kamado/dns/replica"
)

const domain = dns.Name("svc.test")

// disk is a journal that can be told to refuse.
type disk struct {
	*journal.Journal
	full atomic.Bool
}

var errFull = &dns.Error{Kind: dns.Exhausted, Detail: "no space left"}

func (d *disk) Append(entries [][]byte) journal.Wait {
	if d.full.Load() {
		return func(context.Context) error { return errFull }
	}
	return d.Journal.Append(entries)
}

// cluster carries messages between members of one process, at once and in order.
type cluster struct {
	location string // of members that start
	mu       sync.Mutex
	members  map[string]*member
}

// member is a node with a real journal and a real replica.
type member struct {
	*node.Node
	name  string
	disk  *disk
	table *answer.Table
	inbox chan func()
	cut   atomic.Bool
	sent  func(gossip.Message)
	stop  func()
}

func (c *cluster) others(but string) (list []*member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.members {
		if m.name != but {
			list = append(list, m)
		}
	}
	return list
}

func (m *member) Send(msg gossip.Message)   { m.sent(msg) }
func (m *member) Leave(time.Duration) error { return nil }
func (m *member) SetKeys([][]byte) error    { return nil }
func (m *member) Forget(string)             {}
func (m *member) deliver(f func()) {
	select {
	case m.inbox <- f:
	default:
	}
}

// start begins a member in dir, and ends it with the test.
func (c *cluster) start(t *testing.T, name, dir string, keys []credential.Key) *member {
	t.Helper()
	m := &member{name: name, inbox: make(chan func(), 4096)}
	now := time.Now()
	ring, err := node.OpenRing(dir, name, keys, now)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := replica.New(replica.Config{Identity: ring.Identity(), Issuers: ring.Issuers(), Domain: domain, SOA: dns.DefaultSOA(domain, "", time.Second), Seed: 1, Interval: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(filepath.Join(dir, "journal"), journal.Config{Snapshot: func(yield func([]byte) bool) { m.Snapshot(yield) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Each(func(e []byte) error { return rep.Restore(now, e) }); err != nil {
		t.Fatal(err)
	}
	m.disk = &disk{Journal: j}
	if m.table, err = answer.New(answer.Config{}); err != nil {
		t.Fatal(err)
	}
	m.Node, err = node.New(node.Config{Node: name, Domain: domain, Info: dns.Info{Location: c.location}, NegativeTTL: time.Second, Origin: netip.MustParseAddr("127.0.0.1")}, node.Deps{
		Replica: rep, Journal: m.disk, Table: m.table, Ring: ring, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	m.sent = func(msg gossip.Message) {
		for _, o := range c.others(name) {
			if (msg.To == "" || msg.To == o.name) && !m.cut.Load() && !o.cut.Load() {
				o.deliver(func() { o.Events().Receive(name, msg.Bytes) })
			}
		}
	}
	m.SetPeers(m)
	m.run(t, j)
	c.mu.Lock()
	c.members[name] = m
	c.mu.Unlock()
	for _, o := range c.others(name) {
		o.deliver(func() { o.Events().Up(name, netip.AddrPort{}, nil) })
		m.deliver(func() { m.Events().Up(o.name, netip.AddrPort{}, nil) })
	}
	return m
}

func (m *member) run(t *testing.T, j *journal.Journal) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	jctx, jcancel := context.WithCancel(context.Background())
	var nodes, journals sync.WaitGroup
	journals.Go(func() { _ = j.Run(jctx) })
	nodes.Go(func() { _ = m.Run(ctx) })
	if err := m.Start(ctx); err != nil {
		t.Fatal(err)
	}
	nodes.Go(func() {
		for {
			select {
			case f := <-m.inbox:
				f()
			case <-ctx.Done():
				return
			}
		}
	})
	m.stop = sync.OnceFunc(func() {
		cancel()
		nodes.Wait()
		jcancel()
		journals.Wait()
	})
	t.Cleanup(m.stop)
}

func newCluster() *cluster { return &cluster{members: map[string]*member{}} }

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("not seen in time: %s", what)
		}
		time.Sleep(5 * time.Millisecond) // polls another goroutine's state
	}
}

func record(name, addr string) dns.Record {
	n, err := dns.ResolveName(name, domain)
	if err != nil {
		panic(err)
	}
	return dns.Record{RR: dns.AddrRR(n, netip.MustParseAddr(addr), 5), Weight: 100}
}

// answers are the rows of an answer.
func (m *member) answers(name string) []string {
	n, err := dns.ResolveName(name, domain)
	if err != nil {
		panic(err)
	}
	rows := m.Explain(n, dns.TypeA, netip.MustParseAddr("127.0.0.1")).Answer
	slices.Sort(rows)
	return rows
}

func TestARecordIsAnsweredByAllAndOutlivesARestart(t *testing.T) {
	t.Parallel()
	c, keys := newCluster(), []credential.Key{credential.NewKey()}
	dir := t.TempDir()
	a := c.start(t, "n1", dir, keys)
	b := c.start(t, "n2", t.TempDir(), keys)
	if _, err := a.Add(t.Context(), record("web", "127.0.0.7")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the record on the other member", func() bool { return len(b.answers("web")) == 1 })
	a.stop()
	again := c.start(t, "n1", dir, keys)
	if got := again.answers("web"); len(got) != 1 {
		t.Errorf("after a restart web is answered with %q", got)
	}
	if _, err := again.Add(t.Context(), record("db", "127.0.0.8")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a record after the restart", func() bool { return len(b.answers("db")) == 1 })
	if err := again.Remove(t.Context(), dns.RecordID{Owner: "n1", Name: "web.svc.test", Type: dns.TypeA, Data: "\x7f\x00\x00\x07"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the removal on the other member", func() bool { return len(b.answers("web")) == 0 })
}

// TestWhatTheDiskRefusesNeverHappened: no answer, no peer and no list knows it,
// and what was there before is there again.
func TestWhatTheDiskRefusesNeverHappened(t *testing.T) {
	t.Parallel()
	c, keys := newCluster(), []credential.Key{credential.NewKey()}
	a := c.start(t, "n1", t.TempDir(), keys)
	ctx := t.Context()
	kept := record("kept", "127.0.0.7")
	if _, err := a.Add(ctx, kept); err != nil {
		t.Fatal(err)
	}
	if err := a.CreateZone(ctx, "example.test"); err != nil {
		t.Fatal(err)
	}
	www := dns.AddrRR("www.example.test", netip.MustParseAddr("192.0.2.1"), 30)
	if _, err := a.Change(ctx, "example.test", []dns.Change{{RR: www, Op: dns.Add}}); err != nil {
		t.Fatal(err)
	}
	_, before, _ := a.ZoneRRs("example.test")
	a.disk.full.Store(true)
	changed := kept
	changed.Weight = 1
	for what, do := range map[string]func() error{
		"add":    func() error { _, err := a.Add(ctx, record("new", "127.0.0.8")); return err },
		"change": func() error { _, err := a.Add(ctx, changed); return err },
		"remove": func() error {
			return a.Remove(ctx, dns.RecordID{Owner: "n1", Name: kept.Name, Type: kept.Type, Data: string(kept.Data)})
		},
		"change zone": func() error {
			_, err := a.Change(ctx, "example.test", []dns.Change{{RR: dns.RR{Name: www.Name}, Op: dns.DeleteAll}, {RR: dns.AddrRR("x.example.test", netip.MustParseAddr("192.0.2.2"), 30), Op: dns.Add}})
			return err
		},
		"create zone": func() error { return a.CreateZone(ctx, "other.test") },
		"delete zone": func() error { return a.DeleteZone(ctx, "example.test") },
		"policy":      func() error { return a.SetPolicy(ctx, kept.Name, dns.Policy{Fallback: dns.FallbackAll}) },
	} {
		if err := do(); !errors.Is(err, errFull) {
			t.Errorf("%s on a full disk: %v, want the disk's error", what, err)
		}
	}
	if got := a.answers("new"); len(got) != 0 {
		t.Errorf("a record that was not kept is answered: %q", got)
	}
	if got := a.Records(kept.Name); len(got) != 1 || got[0].Weight != 100 || len(a.answers("kept")) != 1 {
		t.Errorf("the record before: %+v, answered %q", got, a.answers("kept"))
	}
	if got := a.Set(kept.Name).Policy; got != (dns.Policy{}) {
		t.Errorf("the policy is %+v", got)
	}
	_, after, err := a.ZoneRRs("example.test")
	if err != nil || fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the zone is %v (%v), want %v", after, err, before)
	}
	if _, _, err := a.ZoneRRs("other.test"); dns.KindOf(err) != dns.NotFound {
		t.Errorf("a zone that was not kept: %v", err)
	}
	a.disk.full.Store(false)
	if _, err := a.Add(ctx, record("new", "127.0.0.8")); err != nil || len(a.answers("new")) != 1 {
		t.Errorf("with space again: %v, answered %q", err, a.answers("new"))
	}
}

func TestADeadOwnerTakesItsRecordsAlong(t *testing.T) {
	t.Parallel()
	c, keys := newCluster(), []credential.Key{credential.NewKey()}
	a := c.start(t, "n1", t.TempDir(), keys)
	b := c.start(t, "n2", t.TempDir(), keys)
	if _, err := a.Add(t.Context(), record("web", "127.0.0.7")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the record", func() bool { return len(b.answers("web")) == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	news := b.Watch(ctx, 0)
	b.deliver(func() { b.Events().Down("n1", false) })
	eventually(t, "no answer without the owner", func() bool { return len(b.answers("web")) == 0 })
	told := map[dns.EventKind]string{}
	for e := range news {
		told[e.Kind] = e.State
		if told[dns.EventHealth] != "" && told[dns.EventMember] != "" {
			break
		}
	}
	if told[dns.EventHealth] != "owner dead" || told[dns.EventMember] != "dead" {
		t.Errorf("events: %v", told)
	}
	b.deliver(func() { b.Events().Up("n1", netip.AddrPort{}, nil) })
	eventually(t, "the answer again", func() bool { return len(b.answers("web")) == 1 })
}

func TestAMemberChangesOnlyItsOwn(t *testing.T) {
	t.Parallel()
	c, keys := newCluster(), []credential.Key{credential.NewKey()}
	a := c.start(t, "n1", t.TempDir(), keys)
	ctx := t.Context()
	for what, err := range map[string]error{
		"a foreign record":  a.Remove(ctx, dns.RecordID{Owner: "n2", Name: "web.svc.test", Type: dns.TypeA, Data: "1234"}),
		"no such record":    a.Remove(ctx, dns.RecordID{Owner: "n1", Name: "web.svc.test", Type: dns.TypeA, Data: "1234"}),
		"its own name":      a.Remove(ctx, dns.RecordID{Owner: "n1", Name: "n1.svc.test", Type: dns.TypeA, Data: "\x7f\x00\x00\x01"}),
		"outside":           second(a.Add(ctx, dns.Record{RR: dns.AddrRR("web.example", netip.MustParseAddr("10.0.0.1"), 5)})),
		"itself":            a.RemoveMember(ctx, "n1"),
		"nobody":            a.RemoveMember(ctx, "n9"),
		"the domain":        a.DeleteZone(ctx, domain),
		"no such zone":      a.DeleteZone(ctx, "nope.test"),
		"a zone twice":      a.CreateZone(ctx, domain),
		"outside of a zone": second(a.Change(ctx, domain, []dns.Change{{RR: dns.AddrRR("a.example", netip.MustParseAddr("10.0.0.1"), 5), Op: dns.Add}})),
	} {
		if k := dns.KindOf(err); err == nil || k == dns.Internal {
			t.Errorf("%s: %v, want a refusal that says why", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestAWatcherThatIsTooSlowIsLetGo(t *testing.T) {
	t.Parallel()
	c, keys := newCluster(), []credential.Key{credential.NewKey()}
	a := c.start(t, "n1", t.TempDir(), keys)
	slow := a.Watch(t.Context(), 0)
	for i := range 700 {
		if err := a.SetPolicy(t.Context(), "web.svc.test", dns.Policy{Max: uint8(i%60 + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	n, last := 0, uint64(0)
	for e := range slow {
		n, last = n+1, e.Seq
	}
	if n == 0 || n >= 700 {
		t.Fatalf("a watcher that did not read got %d events and was not let go", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if e := <-a.Watch(ctx, last); e.Seq != last+1 {
		t.Errorf("the watch behind %d begins with %d (%s)", last, e.Seq, e.Kind)
	}
	if e := <-a.Watch(ctx, 1<<40); e.Kind != dns.EventLost {
		t.Errorf("a number of another start is answered with %q, want lost", e.Kind)
	}
}

// TestARecordIsWhereItsMemberIs: unless it says otherwise, and on all members.
func TestARecordIsWhereItsMemberIs(t *testing.T) {
	t.Parallel()
	c, keys := newCluster(), []credential.Key{credential.NewKey()}
	b := c.start(t, "n2", t.TempDir(), keys)
	c.location = "rack-1"
	a := c.start(t, "n1", t.TempDir(), keys)
	other := record("web", "127.0.0.8")
	other.Location = "rack-2"
	for _, rec := range []dns.Record{record("web", "127.0.0.7"), other} {
		if _, err := a.Add(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the locations on the other member", func() bool {
		var at []string
		for _, o := range b.Set("web.svc.test").Owned {
			at = append(at, o.Location)
		}
		return slices.Equal(at, []string{"rack-1", "rack-2"})
	})
}

// TestOwnTellsOfRecordsAndChecksAlone: what checks find is no reason to read them again.
func TestOwnTellsOfRecordsAndChecksAlone(t *testing.T) {
	t.Parallel()
	c, keys := newCluster(), []credential.Key{credential.NewKey()}
	a := c.start(t, "n1", t.TempDir(), keys)
	told := func(what string, want bool, do func() error) {
		t.Helper()
		_, changed := a.Own()
		if err := do(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-changed:
			if !want {
				t.Errorf("%s was told", what)
			}
		default:
			if want {
				t.Errorf("%s was not told", what)
			}
		}
	}
	rec := record("web", "127.0.0.7")
	rec.Check.Spec = "tcp:127.0.0.7:80"
	add := func() error { return second(a.Add(t.Context(), rec)) }
	told("a record", true, add)
	id := dns.RecordID{Owner: "n1", Name: rec.Name, Type: rec.Type, Data: string(rec.Data)}
	told("a state", false, func() error {
		a.SetHealth([]dns.HealthChange{{ID: id, Health: dns.Health{State: dns.Healthy, Since: time.Now()}}})
		return nil
	})
	rec.Check.Interval = time.Minute
	told("another check", true, add)
	told("a removal", true, func() error { return a.Remove(t.Context(), id) })
}

// TestManyStepsDoNotHoldUpTime: what a push lost is repaired while both members
// take steps more often than they look at the clock.
func TestManyStepsDoNotHoldUpTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, keys := newCluster(), []credential.Key{credential.NewKey()}
		a, b := c.start(t, "n1", t.TempDir(), keys), c.start(t, "n2", t.TempDir(), keys)
		ctx, cancel := context.WithCancel(t.Context())
		var busy sync.WaitGroup
		defer func() { cancel(); busy.Wait() }()
		for _, m := range []*member{a, b} {
			busy.Go(func() {
				for ctx.Err() == nil {
					m.SetHealth(nil)
					time.Sleep(100 * time.Microsecond) // in the bubble's time
				}
			})
		}
		b.cut.Store(true)
		if _, err := a.Add(ctx, record("web", "127.0.0.7")); err != nil {
			t.Fatal(err)
		}
		b.cut.Store(false)
		eventually(t, "the record that no push brought", func() bool { return len(b.answers("web")) == 1 })
	})
}
