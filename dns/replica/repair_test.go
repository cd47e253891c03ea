package replica

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/dns"
)

// TestJoinAndRepairOfLargeStreams wants that a new member gets all in many answers, and
// that afterwards a few differences cost little, wherever in a stream they are.
func TestJoinAndRepairOfLargeStreams(t *testing.T) {
	t.Parallel()
	const records = 2500
	check := dns.Check{Spec: "http://127.0.0.1:8080/health?" + strings.Repeat("x", 100)}
	s := newSim(t, 1, 2)
	s.cheap = true
	a, b := s.nodes[0], s.nodes[1]
	a.start()
	for i := range records {
		rec := record(fmt.Sprintf("name%d", i), 1)
		rec.Check = check
		a.add(rec)
	}
	s.runFor(3 * time.Second)
	total := int64(a.r.Stats().Bytes)
	if total < 2*answerMax {
		t.Fatalf("%d bytes fit into two answers", total)
	}
	s.sent = 0
	b.start()
	if d := s.wait(5 * time.Second); d > 2*time.Second {
		t.Errorf("a new member took %v", d)
	}
	if s.sent > total*3/2 {
		t.Errorf("%d bytes were sent for %d", s.sent, total)
	}

	s.drop = func(m Message) bool { return m.Bytes[1] == msgPush } // with their heads
	s.sent = 0
	for i := range 20 {
		rec := record(fmt.Sprintf("name%d", i*records/20), 1)
		rec.TTL, rec.Check = 77, check
		a.add(rec)
		if i%4 == 0 {
			a.take(a.r.Remove(a.now(), dns.RecordID{Owner: "n0", Name: rec.Name, Type: rec.Type, Data: string(rec.Data)}))
		}
	}
	if d := s.wait(10 * time.Second); d > 3*time.Second {
		t.Errorf("the repair took %v", d)
	}
	t.Logf("20 differences cost %d bytes", s.sent)
	if s.sent > 24_000 {
		t.Errorf("%d bytes were sent for 20 differences", s.sent)
	}

	// Holes in the middle, which no newest version tells of.
	st := b.r.at(b.now())
	for i := 5; i < records; i += records / 7 {
		rec := record(fmt.Sprintf("name%d", i), 1)
		if e := b.r.streams["n0"].slots[ownedSlot(rec.Name, rec.Type, rec.Data)]; e != nil {
			b.r.drop(st, e)
		}
	}
	if s.converged() == nil {
		t.Fatal("nothing was dropped")
	}
	s.sent = 0
	if d := s.wait(10 * time.Second); d > 3*time.Second {
		t.Errorf("the repair of holes took %v", d)
	}
	t.Logf("7 holes cost %d bytes", s.sent)
	if s.sent > 24_000 {
		t.Errorf("%d bytes were sent for 7 holes", s.sent)
	}
}

// TestBusyMember wants that a member which changes much more than it may say again is
// followed all the same, without datagrams said again for each.
func TestBusyMember(t *testing.T) {
	t.Parallel()
	s := newSim(t, 1, 10)
	s.cheap = true
	s.startAll()
	s.loss = 0.1
	a := s.nodes[0]
	s.sent = 0
	for i := range 1000 {
		a.add(record(fmt.Sprintf("name%d", i%100), byte(i/100)))
		s.runFor(time.Millisecond)
	}
	if d := s.wait(3 * time.Second); d > time.Second {
		t.Errorf("a second of 1,000 changes was followed after %v", d)
	}
	once := int64(1000 * 260 * 9)
	t.Logf("%.1f times the bytes of saying each change once", float64(s.sent)/float64(once))
	if s.sent > 3*once {
		t.Errorf("%d bytes for changes of %d", s.sent, once)
	}
}
