package purge_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/kamado/kamado/images/purge"
	"github.com/kamado/kamado/internal/disk/disktest"
)

// simNode is one node of a simulated fleet: a table on a disk that forgets what
// was not synced, and a clock of its own.
type simNode struct {
	name  string
	table *purge.Table
	disk  *disktest.Disk
	skew  time.Duration
	up    bool
}

// sim is a fleet without goroutines: each step is drawn from a seed.
type sim struct {
	t     *testing.T
	r     *rand.Rand
	now   time.Time
	nodes []*simNode
	merge func(*purge.Table, purge.Page) error
	mail  []letter // pushed and not yet delivered: may be lost, doubled, reordered
	cut   [][]bool // cut[i][j]: no message from i to j
	given []purge.Order
}

type letter struct {
	from, to int
	page     purge.Page
}

func newSim(t *testing.T, seed uint64, nodes int) *sim {
	s := &sim{t: t, r: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_700_000_000, 0)}
	s.merge = func(table *purge.Table, p purge.Page) error { _, err := table.Merge(p); return err }
	for i := range nodes {
		n := &simNode{name: string(rune('a' + i)), disk: disktest.New(disktest.Faults{}), up: true}
		n.skew = time.Duration(s.r.IntN(20)-10) * time.Second
		s.nodes = append(s.nodes, n)
		s.cut = append(s.cut, make([]bool, nodes))
		s.start(n)
	}
	return s
}

func (s *sim) start(n *simNode) {
	table, err := purge.Open(purge.Config{
		Dir: "d", Node: n.name, Disk: n.disk, Log: quiet, Purges: 24, Takedowns: 1000,
		Now: func() time.Time { return s.now.Add(n.skew) },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	n.table, n.up = table, true
}

var simTags = []string{"all", "kind/k0", "kind/k1", "owner/u0", "owner/u1", "origin/photos", "prefix/photos/a", "prefix/photos/a/", "prefix/photos/b/"}

func (s *sim) draft() purge.Draft {
	d := purge.Draft{Action: []purge.Action{purge.Purge, purge.Purge, purge.Takedown, purge.Restore}[s.r.IntN(4)]}
	if s.r.IntN(2) == 0 {
		d.Target = purge.Key("photos", fmt.Sprintf("%c/%d", 'a'+s.r.IntN(2), s.r.IntN(20)))
		return d
	}
	d.Target, _ = purge.ParseTarget(simTags[s.r.IntN(len(simTags))])
	return d
}

// step does one thing.
func (s *sim) step() {
	i, j := s.r.IntN(len(s.nodes)), s.r.IntN(len(s.nodes))
	n := s.nodes[i]
	s.now = s.now.Add(time.Duration(s.r.IntN(1000)) * time.Millisecond)
	switch what := s.r.IntN(20); {
	case what < 5 && n.up: // somebody gives an order, which is pushed to all
		orders, err := n.table.Issue(s.draft())
		if err != nil {
			s.t.Fatal(err)
		}
		s.given = append(s.given, orders...)
		for to := range s.nodes {
			if to != i {
				s.mail = append(s.mail, letter{i, to, purge.Page{Orders: orders}})
			}
		}
	case what < 11 && len(s.mail) > 0: // the mail comes, or not, or twice
		k := s.r.IntN(len(s.mail))
		l := s.mail[k]
		if s.r.IntN(4) > 0 {
			s.mail = append(s.mail[:k], s.mail[k+1:]...)
		}
		if s.r.IntN(5) > 0 && s.nodes[l.to].up && !s.cut[l.from][l.to] {
			s.take(s.nodes[l.to], l.page)
		}
	case what < 15 && n.up && s.nodes[j].up && !s.cut[j][i]: // a pull, which may be cut short
		s.pull(n, s.nodes[j], s.r.IntN(4))
	case what < 17:
		s.cut[i][j] = !s.cut[i][j]
	case what < 18 && n.up: // killed, with or without the machine
		n.table.Close()
		n.up = false
		if s.r.IntN(2) == 0 {
			n.disk.CutPower()
			n.disk = n.disk.Restart(s.r)
		}
	case what < 19 && !n.up:
		s.start(n)
	case what == 19 && n.up && s.r.IntN(20) == 0: // a machine is replaced by an empty one of the same name
		if s.heldElsewhere(i) {
			n.table.Close()
			n.disk = disktest.New(disktest.Faults{})
			s.start(n)
		}
	}
}

// heldElsewhere says whether another node that is up has all that node i has, so
// that losing its disk loses no order.
func (s *sim) heldElsewhere(i int) bool {
	v := s.nodes[i].table.Vector()
	for j, n := range s.nodes {
		if j != i && n.up && n.table.Vector().Covers(v) && n.table.Digest() == s.nodes[i].table.Digest() {
			return true
		}
	}
	return false
}

// take merges a page after it went over the wire.
func (s *sim) take(n *simNode, p purge.Page) {
	b, err := json.Marshal(p)
	if err != nil {
		s.t.Fatal(err)
	}
	if p, err = purge.ParsePage(b); err != nil {
		s.t.Fatal(err)
	}
	if err := s.merge(n.table, p); err != nil {
		s.t.Fatal(err)
	}
}

// pull brings pages, at most some; 0: all.
func (s *sim) pull(into, from *simNode, most int) {
	since := into.table.Vector()
	for k := 1; ; k++ {
		p := from.table.Page(since, 1+s.r.IntN(5))
		s.take(into, p)
		if !p.More || k == most {
			return
		}
		since = p.Next
	}
}

// settle lets all come back and talk until nobody learns anything.
func (s *sim) settle() {
	for _, n := range s.nodes {
		if !n.up {
			s.start(n)
		}
	}
	for range 4 {
		for _, a := range s.nodes {
			for _, b := range s.nodes {
				if a != b {
					s.pull(a, b, 0)
				}
			}
		}
	}
}

// answers is what a node says of every original there is.
func (s *sim) answers(n *simNode) (out []string) {
	for _, dir := range []string{"a", "b"} {
		for i := range 20 {
			for _, kind := range []string{"k0", "k1"} {
				stamp, err := n.table.Revision("photos", fmt.Sprintf("%s/%d", dir, i), kind, "u0")
				if err != nil {
					stamp = "gone"
				}
				out = append(out, stamp)
			}
		}
	}
	return out
}

// agree says what is wrong, if anything.
func (s *sim) agree() error {
	want := s.answers(s.nodes[0])
	for _, n := range s.nodes[1:] {
		if n.table.Digest() != s.nodes[0].table.Digest() {
			return fmt.Errorf("digest of %s: %v, of %s: %v", n.name, n.table.Digest(), s.nodes[0].name, s.nodes[0].table.Digest())
		}
		for i, got := range s.answers(n) {
			if got != want[i] {
				return fmt.Errorf("answer %d of %s: %q, of %s: %q", i, n.name, got, s.nodes[0].name, want[i])
			}
		}
	}
	// The newest takedown or restore of each target that was acknowledged decides.
	newest := map[purge.Target]purge.Order{}
	for _, o := range s.given {
		if o.Action != purge.Purge && o.ID.Compare(newest[o.Target].ID) > 0 {
			newest[o.Target] = o
		}
	}
	for target, o := range newest {
		if got := s.nodes[0].table.TakenDown(target); got != (o.Action == purge.Takedown) {
			return fmt.Errorf("%v: taken down = %v, the newest order is %v", target, got, o)
		}
	}
	return nil
}

// seeds is how many runs a simulation has.
func seeds() uint64 {
	if os.Getenv("KAMADO_TEST_ALL") == "1" {
		return 5000
	}
	return 24
}

// TestFleetsAgree runs fleets of 3 and 5 nodes with clocks that differ, mail that
// is lost, doubled and reordered, partitions, kills, losses of power and
// machines that are replaced; when all is over, they must agree.
func TestFleetsAgree(t *testing.T) {
	t.Parallel()
	for seed := range seeds() {
		s := newSim(t, seed, 3+2*int(seed%2))
		for range 300 {
			s.step()
		}
		s.settle()
		if err := s.agree(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// TestBrokenMergeIsFoundOut is the control: fleets in which the order that
// arrives last wins must not agree, or the simulation proves nothing.
func TestBrokenMergeIsFoundOut(t *testing.T) {
	t.Parallel()
	found := 0
	for seed := range uint64(6) {
		s := newSim(t, seed, 3)
		s.merge = func(table *purge.Table, p purge.Page) error { table.MergeByArrival(p); return nil }
		for range 300 {
			s.step()
		}
		s.settle()
		if s.agree() != nil {
			found++
		}
	}
	if found < 4 {
		t.Errorf("only %d of 6 fleets with a broken merge were found out", found)
	}
}

// TestVectorsThatForgotDoNotLoseOrders: more starts gave orders than a vector
// names; a new node still gets every takedown.
func TestVectorsThatForgotDoNotLoseOrders(t *testing.T) {
	t.Parallel()
	a := open(t, purge.Config{Node: "a", Dir: "d", Disk: disktest.New(disktest.Faults{})})
	for i := 0; i < purge.VectorMax+500; i += 500 {
		var p purge.Page
		for k := range 500 {
			id := purge.ID{Time: int64(1_700_000_000_000_000 + i + k), Node: fmt.Sprintf("n%d.0", i+k), Counter: 1}
			p.Orders = append(p.Orders, purge.Order{ID: id, Action: purge.Takedown, Target: purge.Key("photos", fmt.Sprint(i+k))})
		}
		if _, err := a.Merge(p); err != nil {
			t.Fatal(err)
		}
	}
	if n := a.Stats().Nodes; n > purge.VectorMax {
		t.Errorf("the vector names %d nodes", n)
	}
	b := open(t, purge.Config{Node: "b", Dir: "d", Disk: disktest.New(disktest.Faults{})})
	since := purge.Vector{}
	for {
		p := a.Page(since, 500)
		if _, err := b.Merge(p); err != nil {
			t.Fatal(err)
		}
		if !p.More {
			break
		}
		since = p.Next
	}
	if a.Digest() != b.Digest() {
		t.Errorf("the new node has %d of %d takedowns", b.Stats().Takedowns, a.Stats().Takedowns)
	}
}

func FuzzParseRecord(f *testing.F) {
	d := disktest.New(disktest.Faults{})
	table, err := purge.Open(purge.Config{Dir: "d", Node: "a", Disk: d, Log: quiet})
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range simTags {
		target, _ := purge.ParseTarget(s)
		if _, err := table.Issue(purge.Draft{Action: purge.Takedown, Target: target, Reason: "r"}); err != nil {
			f.Fatal(err)
		}
	}
	for _, part := range bytes.Split(d.Bytes("d/orders"), []byte("KJR1")) {
		if len(part) > 20 {
			f.Add(part[20:])
		}
	}
	f.Add([]byte{3, 1, 1, 1, 'a'})
	f.Add([]byte{4, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		again, err := purge.ParseRecordAndBack(b)
		if err == nil && !bytes.Equal(again, b) {
			t.Errorf("a record has two spellings:\n%x\n%x", b, again)
		}
	})
}

func FuzzParsePage(f *testing.F) {
	table := open(f, purge.Config{Dir: "d", Disk: disktest.New(disktest.Faults{})})
	give(f, table, purge.Takedown, "key/photos/x", "all")
	give(f, table, purge.Purge, "prefix/photos/x")
	b, err := json.Marshal(table.Page(nil, 10))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"orders":[],"floor":"","digest":"0000000000000000","covers":{"a.0":18446744073709551615}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := purge.ParsePage(b)
		if err != nil {
			return
		}
		table := open(t, purge.Config{Node: "b", Dir: "d", Disk: disktest.New(disktest.Faults{}), Purges: 2})
		if _, err := table.Merge(p); err != nil {
			t.Fatalf("Merge of a valid page: %v", err)
		}
		give(t, table, purge.Takedown, "kind/later")
		if again, err := table.Merge(p); err != nil || len(again) != 0 {
			t.Errorf("the same page again: %d fresh, %v", len(again), err)
		}
	})
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range append(simTags, "key/photos/a/b.jpg", "key//x", "prefix/x/") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		target, err := purge.ParseTarget(s)
		if err != nil {
			return
		}
		if target.String() != s || target.Validate() != nil || target.Token() == "" {
			t.Errorf("ParseTarget(%q) = %+v, which reads %q", s, target, target.String())
		}
	})
}

func FuzzParseID(f *testing.F) {
	f.Add("0060a24181e400-a.0123456789ab-12")
	f.Add("0060a24181e400-a-b.0-12-1")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := purge.ParseID(s); err == nil && id.String() != s {
			t.Errorf("ParseID(%q).String() = %q", s, id.String())
		}
	})
}
