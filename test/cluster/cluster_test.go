package cluster

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The bounds are those of the room's figures. Where a shared machine runs all
// members, it may forget one for a second: so changes are judged by their median,
// and the short form, which runs beside other tests, allows slack times each bound.
const (
	changeMedian = 60 * time.Millisecond
	lossyMedian  = 90 * time.Millisecond
	deathMax     = 1500 * time.Millisecond
	healMax      = 2 * time.Second
	idleMax      = 3000 // bytes a second a member
)

// members is how many there are: twelve, unless KAMADO_CLUSTER_MEMBERS says how many up to 200.
var members = func() int {
	if n, err := strconv.Atoi(os.Getenv("KAMADO_CLUSTER_MEMBERS")); err == nil && n >= 4 && n <= 200 {
		return n
	}
	return 12
}()

func slack() time.Duration { return time.Duration(rounds(15, 1)) }

// rounds is how often something is tried.
func rounds(short, long int) int {
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		return long
	}
	return short
}

func told(t *testing.T, what string, list []time.Duration) (p50, p99 time.Duration) {
	t.Helper()
	slices.Sort(list)
	p50, p99 = list[len(list)/2], list[min(len(list)-1, len(list)*99/100)]
	t.Logf("%s: p50 %v, p99 %v, %d times", what, p50.Round(time.Millisecond), p99.Round(time.Millisecond), len(list))
	return p50, p99
}

func TestRealMembers(t *testing.T) {
	w := newWorld(t, members)
	for _, step := range []struct {
		name string
		run  func(*testing.T, *world)
	}{
		{"a change reaches all", change},
		{"a change reaches all through loss", lossyChange},
		{"idle members are quiet", idle},
		{"a killed member leaves the answers", death},
		{"both halves of a cut answer, and become one", cut},
	} {
		if !t.Run(step.name, func(t *testing.T) {
			outer := w.t
			w.t = t
			defer func() { w.t = outer }()
			step.run(t, w)
		}) {
			return // what follows begins from a whole cluster
		}
	}
}

// changes adds records at members in turn, and measures from the request until the last member answers each.
func changes(t *testing.T, w *world, prefix string) []time.Duration {
	var took []time.Duration
	for r := range rounds(10, 100) {
		m := w.members[r%len(w.members)]
		name, addr := fmt.Sprint(prefix, r), fmt.Sprint("192.0.2.", 1+r%250)
		start := time.Now()
		w.add(m, name, addr)
		took = append(took, w.until(name+" is answered", w.members, 20*time.Second, answers(name, addr)).Sub(start))
	}
	return took
}

func change(t *testing.T, w *world) {
	if p50, _ := told(t, fmt.Sprint("a change, from the request to the last of ", members), changes(t, w, "c")); p50 > slack()*changeMedian {
		t.Errorf("want p50 <= %v", slack()*changeMedian)
	}
}

func lossyChange(t *testing.T, w *world) {
	w.nft("numgen random mod 100 < 10 drop")
	defer w.nft()
	if p50, _ := told(t, "the same with 10 % loss", changes(t, w, "l")); p50 > slack()*lossyMedian {
		t.Errorf("want p50 <= %v", slack()*lossyMedian)
	}
	for _, m := range w.members {
		if n := w.count(m, "alive"); n != members {
			t.Errorf("%s counts %d members alive under loss", m.node, n)
		}
	}
}

func idle(t *testing.T, w *world) {
	wait := time.Duration(rounds(3, 20)) * time.Second
	<-time.After(2 * time.Second) // for what changes left behind
	bytes, packets := w.traffic()
	<-time.After(wait)
	bytes2, packets2 := w.traffic()
	per := func(n int64) float64 { return float64(n) / wait.Seconds() / float64(members) }
	t.Logf("idle: %.0f bytes/s a member in %.1f packets/s, with heads of Ethernet and IP", per(bytes2-bytes), per(packets2-packets))
	if per(bytes2-bytes) > idleMax {
		t.Errorf("want at most %d", idleMax)
	}
}

func death(t *testing.T, w *world) {
	var took []time.Duration
	for r := range rounds(2, 30) {
		victim := w.members[1+r%(members-1)]
		name := fmt.Sprint("d", r)
		w.add(victim, name, victim.addr())
		w.until(name+" is answered", w.members, 20*time.Second, answers(name, victim.addr()))
		start := time.Now()
		victim.kill()
		took = append(took, w.until("the dead one is out of the answers", w.running(), 20*time.Second, answers(name, "")).Sub(start))
		w.start(victim)
		w.until("it is back, with what it owned", w.members, 30*time.Second, answers(name, victim.addr()))
		w.waitMembers("alive", members)
	}
	if _, p99 := told(t, "kill -9 of a member to the last of the others", took); p99 > slack()*deathMax {
		t.Errorf("want p99 <= %v", slack()*deathMax)
	}
}

func cut(t *testing.T, w *world) {
	var took, answered []time.Duration
	a, b := w.members[:members/2], w.members[members/2:]
	for r := range rounds(1, 10) {
		w.nft(
			fmt.Sprintf("iifname { %s } oifname { %s } drop", links(a), links(b)),
			fmt.Sprintf("iifname { %s } oifname { %s } drop", links(b), links(a)),
		)
		w.waitMembers("dead", members/2)
		left, right := fmt.Sprint("left", r), fmt.Sprint("right", r)
		w.add(a[0], left, a[0].addr())
		w.add(b[0], right, b[0].addr())
		w.until(left+" in its half", a, 20*time.Second, answers(left, a[0].addr()))
		w.until(right+" in its half", b, 20*time.Second, answers(right, b[0].addr()))
		for _, m := range b {
			if got, err := m.ask(left); err != nil || len(got) > 0 {
				t.Errorf("%s, cut off, answers %s with %q, %v", m.node, left, got, err)
			}
		}
		w.nft()
		start := time.Now()
		last := w.until("both writes are answered everywhere", w.members, 20*time.Second, func(m *member) bool {
			return answers(left, a[0].addr())(m) && answers(right, b[0].addr())(m)
		})
		answered = append(answered, last.Sub(start))
		took = append(took, w.waitMembers("alive", members).Sub(start))
	}
	told(t, "the heal to both writes answered by all", answered)
	if _, p99 := told(t, "the heal to one view of the members", took); p99 > slack()*healMax {
		t.Errorf("want p99 <= %v", slack()*healMax)
	}
}

func links(list []*member) string {
	var out []string
	for _, m := range list {
		out = append(out, m.link())
	}
	return strings.Join(out, ", ")
}
