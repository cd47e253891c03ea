package replica

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/credential"
	"github.com/kamado/kamado/dns/field"
)

func txt(name, text string, ttl uint32) dns.RR {
	return dns.RR{Name: dns.Name(name), Type: dns.TypeTXT, TTL: ttl, Data: append([]byte{byte(len(text))}, text...)}
}

func cname(name, to string) dns.RR {
	return dns.RR{Name: dns.Name(name), Type: dns.TypeCNAME, TTL: 5, Data: dns.Name(to).AppendWire(nil)}
}

func added(rr dns.RR) dns.Change   { return dns.Change{RR: rr} }
func deleted(rr dns.RR) dns.Change { return dns.Change{RR: rr, Op: dns.Delete} }

func started(t *testing.T, count int) *sim {
	s := newSim(t, 1, count)
	s.startAll()
	return s
}

func rrTexts(set dns.Set) string {
	var list []string
	for _, rr := range set.RRs {
		list = append(list, fmt.Sprintf("%v %d %q", rr.Type, rr.TTL, rr.Data))
	}
	return strings.Join(list, ", ")
}

func TestTTLOfASetIsThatOfTheNewestRecord(t *testing.T) {
	t.Parallel()
	n := started(t, 1).nodes[0]
	n.change(domain, added(txt("x.svc.test", "a", 10)))
	n.change(domain, added(txt("x.svc.test", "b", 20)))
	if set, _ := n.r.Set("x.svc.test"); rrTexts(set) != `TXT 20 "\x01a", TXT 20 "\x01b"` {
		t.Errorf("RRs = %s", rrTexts(set))
	}
	n.change(domain, added(txt("x.svc.test", "a", 30)))
	if set, _ := n.r.Set("x.svc.test"); rrTexts(set) != `TXT 30 "\x01a", TXT 30 "\x01b"` {
		t.Errorf("RRs = %s", rrTexts(set))
	}
}

// TestTTLOfASetThatTwoMembersWrote wants one TTL, that of the record with the newest stamp.
func TestTTLOfASetThatTwoMembersWrote(t *testing.T) {
	t.Parallel()
	s := started(t, 3)
	a, b := s.nodes[0], s.nodes[1]
	outA, errA := a.r.ChangeZone(a.now(), domain, []dns.Change{added(txt("x.svc.test", "a", 10))})
	s.now = s.now.Add(10 * time.Millisecond)
	outB, errB := b.r.ChangeZone(b.now(), domain, []dns.Change{added(txt("x.svc.test", "b", 20))})
	a.take(outA, errA)
	b.take(outB, errB)
	s.wait(time.Second)
	for _, n := range s.nodes {
		if set, _ := n.r.Set("x.svc.test"); rrTexts(set) != `TXT 20 "\x01a", TXT 20 "\x01b"` {
			t.Errorf("%s: RRs = %s", n.name(), rrTexts(set))
		}
	}
}

// TestSerialsAreReservedFirst wants that no serial is shown which a start after a crash would not skip.
func TestSerialsAreReservedFirst(t *testing.T) {
	t.Parallel()
	s := started(t, 2)
	a, b := s.nodes[0], s.nodes[1]
	zone := dns.Zone{Apex: "app.test", SOA: dns.DefaultSOA("app.test", "ns.app.test", time.Second)}
	out, err := a.r.CreateZone(a.now(), zone)
	if err != nil {
		t.Fatal(err)
	}
	told, err := b.r.Receive(b.now(), "n0", out.Send[0].Bytes)
	if err != nil || !told.Urgent {
		t.Errorf("a zone that is heard of for the first time: Urgent %v, %v", told.Urgent, err)
	}
	n := b.r.serials["app.test"]
	for range reserveSerials/2 + 10 {
		if int32(n.reserved-n.now) <= 0 {
			t.Fatal("the reserved numbers are used up")
		}
		if reserve, urgent := b.r.bumpSerials(map[dns.Name]struct{}{"app.test": {}}); urgent {
			t.Fatal("urgent although half of the reserve was left")
		} else if reserve {
			return
		}
	}
	t.Error("numbers were not reserved when half of them were left")
}

func TestStepsOfAChangeSeeEachOther(t *testing.T) {
	t.Parallel()
	n := started(t, 1).nodes[0]
	n.change(domain, added(txt("x.svc.test", "a", 5)), deleted(txt("x.svc.test", "a", 5)), added(txt("y.svc.test", "b", 5)))
	if n.r.stats.Tombstones != 0 {
		t.Errorf("%d tombstones of what never was", n.r.stats.Tombstones)
	}
	n.change(domain, dns.Change{Op: dns.DeleteAll, RR: dns.RR{Name: "y.svc.test"}}, added(txt("y.svc.test", "c", 5)))
	if set, _ := n.r.Set("y.svc.test"); rrTexts(set) != `TXT 5 "\x01c"` {
		t.Errorf("RRs = %s", rrTexts(set))
	}
	out, err := n.r.ChangeZone(n.now(), domain, []dns.Change{added(txt("y.svc.test", "c", 5))})
	if err != nil || len(out.Keep)+len(out.Zones)+len(out.Names) != 0 {
		t.Errorf("a change of nothing gives %+v, %v", out, err)
	}
}

// TestConcurrentCNAME wants one choice on all members, whichever order they heard the two in.
func TestConcurrentCNAME(t *testing.T) {
	t.Parallel()
	s := started(t, 3)
	a, b := s.nodes[0], s.nodes[1]
	outA, err := a.r.ChangeZone(a.now(), domain, []dns.Change{added(txt("x.svc.test", "a", 5))})
	s.now = s.now.Add(10 * time.Millisecond)
	outB, errB := b.r.ChangeZone(b.now(), domain, []dns.Change{added(cname("x.svc.test", "y.svc.test"))})
	a.take(outA, err)
	b.take(outB, errB)
	s.wait(time.Second)
	if set, _ := s.nodes[2].r.Set("x.svc.test"); len(set.RRs) != 1 || set.RRs[0].Type != dns.TypeCNAME {
		t.Errorf("RRs = %s, want the newer one: the CNAME", rrTexts(set))
	}
	if _, err := a.r.Add(a.now(), record("x", 1)); dns.KindOf(err) != dns.Conflict {
		t.Errorf("Add beside a CNAME = %v", err)
	}
	// Together with an owned record of a member that had not heard of the CNAME, the owned one stands.
	rec := record("x", 1)
	h := thief{id: s.nodes[2].cfg.Identity, version: s.nodes[2].r.last}
	out, err := a.r.Receive(a.now(), "n2", h.record(rec))
	a.take(out, err)
	if set, _ := a.r.Set("x.svc.test"); len(set.RRs) != 1 || set.RRs[0].Type != dns.TypeTXT || len(set.Owned) != 1 {
		t.Errorf("Set = %+v, want the owned record, and the TXT which does not exclude it", set)
	}
	if _, err := a.r.ChangeZone(a.now(), domain, []dns.Change{added(cname("x.svc.test", "z.svc.test"))}); dns.KindOf(err) != dns.Conflict {
		t.Errorf("a CNAME beside an owned record = %v", err)
	}
}

func TestZonesComeAndGo(t *testing.T) {
	t.Parallel()
	s := started(t, 3)
	a, b := s.nodes[0], s.nodes[1]
	zone := dns.Zone{Apex: "app.svc.test", SOA: dns.DefaultSOA("app.svc.test", "ns.app.svc.test", time.Second)}
	a.change(domain, added(txt("x.app.svc.test", "of the domain", 5)))
	a.take(a.r.CreateZone(a.now(), zone))
	s.wait(time.Second)
	if _, ok := b.r.Set("x.app.svc.test"); ok {
		t.Error("a record of the zone above shows through a zone cut")
	}
	if _, err := b.r.ChangeZone(b.now(), domain, []dns.Change{added(txt("y.app.svc.test", "y", 5))}); dns.KindOf(err) != dns.Invalid {
		t.Errorf("a change through the zone above = %v", err)
	}
	b.change("app.svc.test", added(txt("x.app.svc.test", "old", 5)))
	s.wait(time.Second)
	a.take(a.r.DeleteZone(a.now(), "app.svc.test"))
	s.wait(time.Second)
	if set, _ := b.r.Set("x.app.svc.test"); rrTexts(set) != `TXT 5 "\rof the domain"` {
		t.Errorf("after the deletion of the zone: %s", rrTexts(set))
	}
	a.take(a.r.CreateZone(a.now(), zone))
	s.wait(time.Second)
	if set, ok := b.r.Set("x.app.svc.test"); ok {
		t.Errorf("a record came back with its zone: %s", rrTexts(set))
	}
	for _, c := range []struct {
		apex dns.Name
		want dns.Kind
	}{{"none.test", dns.NotFound}, {domain, dns.Denied}} {
		if _, err := a.r.DeleteZone(a.now(), c.apex); dns.KindOf(err) != c.want {
			t.Errorf("DeleteZone(%s) = %v", c.apex, err)
		}
	}
	if _, err := a.r.ChangeZone(a.now(), "none.test", nil); dns.KindOf(err) != dns.NotFound {
		t.Errorf("ChangeZone of no zone = %v", err)
	}
}

// TestDeletionOfAZoneOvertakesItsRecords wants that records which arrive after their zone's end stay away.
func TestDeletionOfAZoneOvertakesItsRecords(t *testing.T) {
	t.Parallel()
	s := started(t, 3)
	a, b := s.nodes[0], s.nodes[1]
	zone := dns.Zone{Apex: "app.test", SOA: dns.DefaultSOA("app.test", "ns.app.test", time.Second)}
	a.take(a.r.CreateZone(a.now(), zone))
	s.wait(time.Second)
	s.side = func(i int) int { return min(i, 1) } // n0 alone
	b.change("app.test", added(txt("x.app.test", "x", 5)), added(txt("y.app.test", "y", 5)))
	b.change("app.test", deleted(txt("y.app.test", "y", 5)))
	s.runFor(2 * time.Second)
	a.take(a.r.DeleteZone(a.now(), "app.test"))
	a.take(a.r.CreateZone(a.now(), zone))
	s.side = func(int) int { return 0 }
	s.relink(0)
	s.wait(5 * time.Second)
	if n := len(s.nodes[2].r.streams["n1"].slots); n != 1 {
		t.Errorf("%d entries of n1, want its info alone", n)
	}
}

func TestHealthAndDeathLeaveTheAnswers(t *testing.T) {
	t.Parallel()
	s := started(t, 3)
	a, b := s.nodes[0], s.nodes[1]
	rec := record("web", 1)
	rec.Check = dns.Check{Spec: "tcp:127.0.0.1:9000", Initial: dns.Healthy}
	a.add(rec)
	s.wait(time.Second)
	live := func() bool {
		set, _ := b.r.Set("web.svc.test")
		return len(set.Owned) == 1 && set.Owned[0].Live()
	}
	if !live() {
		t.Fatal("not live at the beginning")
	}
	id := dns.RecordID{Owner: "n0", Name: rec.Name, Type: rec.Type, Data: string(rec.Data)}
	a.take(a.r.SetHealth(a.now(), []HealthChange{{ID: id, Health: dns.Health{State: dns.Unhealthy, Since: a.now(), Output: strings.Repeat("x", 300)}}}))
	s.wait(time.Second)
	if live() {
		t.Error("live although unhealthy")
	}
	a.take(a.r.SetHealth(a.now(), []HealthChange{{ID: id, Health: dns.Health{State: dns.Healthy, Since: a.now()}}, {ID: dns.RecordID{Owner: "n1"}}}))
	rec.Weight = 7
	a.add(rec) // keeps its health
	s.wait(time.Second)
	if !live() {
		t.Error("not live although healthy again")
	}
	out := b.r.Down(b.now(), "n0", false)
	if live() || !slices.Equal(out.Names, []dns.Name{"web.svc.test"}) || !slices.Equal(out.Zones, []dns.Name{domain}) || !out.Members {
		t.Errorf("the owner is down, and Out = %+v", out)
	}
	s.now = s.now.Add(25 * time.Hour)
	out = b.r.Tick(b.now())
	if set, ok := b.r.Set("web.svc.test"); ok || !slices.Contains(out.Names, "web.svc.test") {
		t.Errorf("a day after the death: %+v", set)
	}
	b.r.Up(b.now(), "n0")
	if !live() {
		t.Error("not live after the owner came back")
	}
}

func TestGoodbye(t *testing.T) {
	t.Parallel()
	s := started(t, 2)
	a, b := s.nodes[0], s.nodes[1]
	a.add(record("web", 1))
	s.wait(time.Second)
	a.take(a.r.Leave(a.now()))
	s.wait(time.Second)
	if set, _ := b.r.Set("web.svc.test"); set.Owned[0].Alive {
		t.Error("alive after goodbye")
	}
	if m := b.r.Members(); m[0].State != dns.MemberLeft {
		t.Errorf("Members = %+v", m)
	}
	a.stop(false)
	s.runFor(2 * time.Second)
	b.stop(false)
	b.cfg.StartGrace = time.Hour
	b.start() // remembers that it left, grace or not
	if set, _ := b.r.Set("web.svc.test"); set.Owned[0].Alive {
		t.Error("alive after a restart of the other")
	}
	a.start()
	s.runFor(2 * time.Second)
	s.wait(time.Second)
	if set, _ := b.r.Set("web.svc.test"); !set.Owned[0].Alive {
		t.Error("not alive after it came back")
	}
}

func TestGraceAfterStart(t *testing.T) {
	t.Parallel()
	s := started(t, 2)
	a, b := s.nodes[0], s.nodes[1]
	a.add(record("web", 1))
	s.wait(time.Second)
	s.runFor(time.Second)
	b.stop(false)
	b.cfg.StartGrace = 3 * time.Second
	s.side = func(i int) int { return i }
	b.start()
	alive := func() bool {
		set, _ := b.r.Set("web.svc.test")
		return set.Owned[0].Alive
	}
	if !alive() {
		t.Error("not alive in the grace")
	}
	s.runFor(5 * time.Second)
	if alive() {
		t.Error("alive after the grace")
	}
}

// TestWrongClockCannotPoisonAName lets a member with a clock of next year write.
func TestWrongClockCannotPoisonAName(t *testing.T) {
	t.Parallel()
	s := started(t, 3)
	a, b := s.nodes[0], s.nodes[1]
	wrong := s.nodes[2]
	a.change(domain, added(txt("x.svc.test", "right", 5)))
	s.wait(time.Second)
	wrong.skew = 365 * 24 * time.Hour
	wrong.change(domain, dns.Change{Op: dns.DeleteAll, RR: dns.RR{Name: "x.svc.test"}}, added(txt("x.svc.test", "wrong", 5)))
	s.runFor(2 * time.Second)
	if set, _ := b.r.Set("x.svc.test"); rrTexts(set) != `TXT 5 "\x05right"` || b.r.Stats().Waiting == 0 {
		t.Errorf("RRs = %s, waiting %d", rrTexts(set), b.r.Stats().Waiting)
	}
	a.change(domain, added(txt("y.svc.test", "after", 5)))
	s.runFor(time.Second)
	if set, _ := b.r.Set("y.svc.test"); len(set.RRs) != 1 {
		t.Error("a stamp of next year was taken over by the others' clocks")
	}
	wrong.skew = 0 // the clock is put right
	wrong.change(domain, added(txt("x.svc.test", "mended", 5)))
	s.runFor(2 * time.Second)
	if set, _ := b.r.Set("x.svc.test"); !strings.Contains(rrTexts(set), "mended") {
		t.Errorf("RRs = %s, want what was written after the clock was right", rrTexts(set))
	}
}

func TestClockThatStepsBack(t *testing.T) {
	t.Parallel()
	s := started(t, 3)
	a, b := s.nodes[0], s.nodes[1]
	a.change(domain, added(txt("x.svc.test", "x", 5)))
	b.change(domain, added(txt("y.svc.test", "y", 5)))
	s.wait(time.Second)
	for _, restart := range []bool{false, true} {
		a.skew = -time.Hour
		if restart {
			a.stop(false)
			a.start()
			s.runFor(2 * time.Second)
		}
		a.change(domain, deleted(txt("x.svc.test", "x", 5)), deleted(txt("y.svc.test", "y", 5)))
		s.wait(time.Second)
		for _, name := range []dns.Name{"x.svc.test", "y.svc.test"} {
			if set, ok := b.r.Set(name); ok {
				t.Errorf("restart %v: %s is still there: %s", restart, name, rrTexts(set))
			}
		}
		a.skew = 0
		a.change(domain, added(txt("x.svc.test", "x", 5)), added(txt("y.svc.test", "y", 5)))
		s.wait(time.Second)
	}
}

func TestTombstonesGoAfterTheirLife(t *testing.T) {
	t.Parallel()
	s := started(t, 2)
	a, b := s.nodes[0], s.nodes[1]
	a.add(record("web", 1))
	a.change(domain, added(txt("x.svc.test", "x", 5)))
	s.wait(time.Second)
	old := slices.Clone(b.synced)
	a.take(a.r.Remove(a.now(), dns.RecordID{Owner: "n0", Name: "web.svc.test", Type: dns.TypeA, Data: "\x0a\x00\x00\x01"}))
	a.change(domain, deleted(txt("x.svc.test", "x", 5)))
	s.wait(time.Second)
	if n := b.r.Stats().Tombstones; n != 2 {
		t.Fatalf("%d tombstones, want 2", n)
	}
	for range 200 { // of hours
		s.now = s.now.Add(time.Hour)
		for _, n := range s.nodes {
			n.take(n.r.Tick(n.now()), nil)
		}
	}
	for _, n := range s.nodes {
		if st := n.r.Stats(); st.Tombstones != 0 || st.Entries != 2 {
			t.Errorf("%s: %+v, want the two infos", n.name(), st)
		}
	}
	// A member that was away for longer brings the owned record back; its owner knows better.
	b.stop(true)
	b.synced = old
	b.start()
	s.runFor(3 * time.Second)
	s.wait(5 * time.Second)
	if _, ok := b.r.Set("web.svc.test"); ok {
		t.Error("an owned record came back for good")
	}
}

// TestCrashForgetsWhatWasNotSynced wants that a member whose peers know more of it than itself goes on well.
func TestCrashForgetsWhatWasNotSynced(t *testing.T) {
	t.Parallel()
	s := started(t, 3)
	a, b := s.nodes[0], s.nodes[1]
	rec := record("web", 1)
	rec.Check.Spec = "tcp:127.0.0.1:9000"
	a.add(rec)
	id := dns.RecordID{Owner: "n0", Name: rec.Name, Type: rec.Type, Data: string(rec.Data)}
	out, err := a.r.SetHealth(a.now(), []HealthChange{{ID: id, Health: dns.Health{State: dns.Healthy, Since: a.now()}}})
	a.take(out, err)
	if out.Urgent {
		t.Error("health waits for the disk")
	}
	s.runFor(40 * time.Millisecond)
	s.wait(time.Millisecond)
	a.stop(true)
	s.runFor(2 * time.Second)
	a.start()
	s.runFor(2 * time.Second)
	s.wait(time.Second)
	a.take(a.r.SetHealth(a.now(), []HealthChange{{ID: id, Health: dns.Health{State: dns.Unhealthy, Since: a.now()}}}))
	s.wait(time.Second)
	set, _ := b.r.Set("web.svc.test")
	if len(set.Owned) != 1 || set.Owned[0].Health.State != dns.Unhealthy {
		t.Errorf("Owned = %+v", set.Owned)
	}
	for _, r := range s.rejected {
		if r.Reason == Twin {
			t.Errorf("its own past was taken for a twin: %+v", r)
		}
	}
}

// TestSomebodySpeaksWithMyKey wants that the member says again what is true, and tells.
func TestSomebodySpeaksWithMyKey(t *testing.T) {
	t.Parallel()
	s := started(t, 3)
	a, b := s.nodes[0], s.nodes[1]
	a.add(record("web", 1))
	s.wait(time.Second)
	h := steal(a)
	bad := record("web", 1)
	bad.TTL = 86400
	for _, msg := range [][]byte{h.record(bad), h.record(record("web", 66))} {
		out, err := b.r.Receive(b.now(), "thief", msg)
		b.take(out, err)
		s.runFor(5 * time.Second)
	}
	s.wait(10 * time.Second)
	set, _ := b.r.Set("web.svc.test")
	if len(set.Owned) != 1 || set.Owned[0].TTL != 5 {
		t.Errorf("Owned = %+v", set.Owned)
	}
	if !slices.ContainsFunc(s.rejected, func(r Rejection) bool { return r.Reason == Twin }) {
		t.Error("nobody was told")
	}
}

func TestPolicyAndItsSources(t *testing.T) {
	t.Parallel()
	s := started(t, 2)
	a, b := s.nodes[0], s.nodes[1]
	a.add(record("web", 1))
	a.take(a.r.SetPolicy(a.now(), "web.svc.test", dns.Policy{Balance: dns.FixBySource, Sources: "apps.svc.test"}))
	s.wait(time.Second)
	out, err := b.r.Add(b.now(), record("apps", 9))
	b.take(out, err)
	if !slices.Equal(out.Names, []dns.Name{"apps.svc.test", "web.svc.test"}) {
		t.Errorf("Names = %v: the clients of web changed too", out.Names)
	}
	if set, _ := b.r.Set("web.svc.test"); !slices.Equal(set.Clients, []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, 9})}) {
		t.Errorf("Clients = %v", set.Clients)
	}
	a.take(a.r.SetPolicy(a.now(), "web.svc.test", dns.Policy{}))
	s.wait(time.Second)
	if set, _ := b.r.Set("web.svc.test"); set.Policy != (dns.Policy{}) || len(b.r.sources) != 0 {
		t.Errorf("Policy = %+v", set.Policy)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	s := newSim(t, 1, 2)
	s.nodes[0].cfg.EntriesMax, s.nodes[1].cfg.EntriesMax = 5, 3
	s.nodes[0].cfg.MembersMax = 2
	s.startAll()
	a := s.nodes[0]
	for i := range 4 {
		a.add(record("web", byte(i)))
	}
	s.runFor(2 * time.Second)
	if !slices.ContainsFunc(s.rejected, func(r Rejection) bool { return r.Reason == TooMuch }) {
		t.Error("the other member took more than it may")
	}
	if _, err := a.r.Add(a.now(), record("web", 9)); dns.KindOf(err) != dns.TooLarge {
		t.Errorf("one record too many: %v", err)
	}
	a.add(record("web", 1)) // what is there can still change
	if _, err := a.r.ChangeZone(a.now(), domain, []dns.Change{added(txt("x.svc.test", "x", 5))}); dns.KindOf(err) != dns.TooLarge {
		t.Errorf("one zone record too many: %v", err)
	}
	third := newSim(t, 5, 0).addNode("third", full)
	h := thief{id: third.cfg.Identity}
	if out, err := a.r.Receive(a.now(), "x", h.info(third.cfg.Identity.Cert)); err != nil || len(out.Rejected) != 1 || out.Rejected[0].Reason != TooMuch {
		t.Errorf("one member too many: %+v, %v", out, err)
	}
	huge := field.Append([]byte{formatNow, msgPush}, fieldEntry, make([]byte, a.r.cfg.EntryBytesMax+1))
	huge[5] = formatNow
	if out, err := a.r.Receive(a.now(), "x", huge); err != nil || len(out.Rejected) != 1 || out.Rejected[0].Reason != TooMuch {
		t.Errorf("an entry that is too large: %+v, %v", out, err)
	}
	if _, err := a.r.Receive(a.now(), "x", make([]byte, messageMax+1)); err == nil {
		t.Error("a message that is too large is no error")
	}
	if _, err := a.r.Receive(a.now(), "x", []byte{0, msgPush}); err == nil {
		t.Error("a message of the version before the first is no error")
	}
}

func TestKeyringRotation(t *testing.T) {
	t.Parallel()
	s := started(t, 4)
	admin, dead, b := s.nodes[0], s.nodes[1], s.nodes[2]
	dead.change(domain, added(txt("x.svc.test", "x", 5)))
	s.wait(time.Second)
	dead.stop(false)
	s.runFor(2 * time.Second)

	next := credential.Key{9, 9}
	admin.take(admin.r.SetRingKey(admin.now(), RingKey{Public: next.Public(), State: KeyInstalled, Sealed: clusterKey.Seal(next)}))
	s.wait(time.Second)
	ring := b.r.Keyring()
	if len(ring) != 1 || ring[0].By != "n0" {
		t.Fatalf("Keyring = %+v", ring)
	}
	if k, err := clusterKey.Open(ring[0].Sealed); err != nil || k != next {
		t.Fatalf("Open = %v", err)
	}
	if _, err := admin.r.SetRingKey(admin.now(), RingKey{Public: clusterKey.Public(), State: KeyRemoved}); dns.KindOf(err) != dns.Conflict {
		t.Errorf("removal of the key in use = %v", err)
	}
	trust := func(issuers ...[]byte) {
		for _, n := range s.nodes {
			if !n.up {
				continue
			}
			id, err := n.cfg.Identity.Recertify(credential.Full(n.name(), s.now), next.Issue)
			if err != nil {
				t.Fatal(err)
			}
			n.cfg.Identity, n.cfg.Issuers = id, issuers
			n.take(n.r.SetTrust(n.now(), id, issuers))
		}
	}
	trust(next.Public(), clusterKey.Public())
	s.wait(time.Second)
	admin.take(admin.r.SetRingKey(admin.now(), RingKey{Public: clusterKey.Public(), State: KeyRemoved}))
	s.wait(time.Second)
	trust(next.Public())
	s.wait(time.Second)
	if set, _ := b.r.Set("x.svc.test"); len(set.RRs) != 1 {
		t.Error("a zone record went with the old key")
	}
	dead.start() // knows the old key alone: its certificate counts no more
	s.runFor(3 * time.Second)
	if len(b.r.streams["n1"].keys) != 0 {
		t.Error("a certificate of the removed key was believed")
	}
}

func TestRestartLosesNothing(t *testing.T) {
	t.Parallel()
	s := started(t, 3)
	a := s.nodes[0]
	for i := range 40 {
		a.add(record(fmt.Sprintf("web%d", i), 1))
		a.change(domain, added(txt(fmt.Sprintf("x%d.svc.test", i), "x", 5)))
	}
	s.wait(time.Second)
	s.runFor(time.Second)
	want := dump(a.r)
	for _, n := range s.nodes {
		n.stop(true)
	}
	for _, n := range s.nodes {
		before := len(n.synced)
		n.start()
		var compact [][]byte
		for raw := range n.r.Snapshot {
			compact = append(compact, raw)
		}
		if len(compact) > before+2 {
			t.Errorf("a snapshot of %d entries from a journal of %d", len(compact), before)
		}
		n.stop(false)
		n.synced = compact
		n.start()
	}
	if got := dump(a.r); got != want {
		t.Errorf("lost: %s\ncame: %s", minus(want, got), minus(got, want))
	}
}
