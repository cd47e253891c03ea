package jetstream

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/pausetest"
	"github.com/kamado/kamado/internal/porttest"
)

func TestForksAreFound(t *testing.T) {
	t.Parallel()
	if bad := forks("k", []step{{0, 3}, {3, 5}, {6, 8}}); len(bad) != 0 { // 6 was in doubt
		t.Errorf("forks of a good chain = %v", bad)
	}
	if bad := forks("k", []step{{0, 3}, {3, 5}, {3, 8}}); len(bad) != 1 {
		t.Errorf("forks of a fork = %v", bad)
	}
}

// quiet is the gap that the machine itself makes, in the same run without a fault.
func (w *world) quiet(d time.Duration) time.Duration {
	from := time.Now()
	pass(d)
	_, gap := w.gaps(from, time.Now(), nil)
	return gap
}

// within judges a gap that should be at most most, or what this machine needs
// without a fault. The short form runs beside other tests, where an election that splits begins
// again: it only holds that things go on, within hangMax; the long form holds the figures.
func (w *world) within(what string, gap, most, quiet time.Duration) {
	w.t.Helper()
	bound := hangMax
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		bound = max(most, 4*quiet)
	}
	w.t.Logf("%s: longest gap %v (bound %v, without a fault %v)", what, gap.Round(time.Millisecond), bound.Round(time.Millisecond), quiet.Round(time.Millisecond))
	if gap > bound {
		w.t.Errorf("%s: longest gap %v, want at most %v; of shards picked and others: %v", what, gap, bound, w.where)
	}
}

// Promises of time, which the long form holds; and what the short form takes for standing still.
const (
	hangMax       = 30 * time.Second
	leaderGapMax  = 10 * time.Second
	plannedGapMax = 200 * time.Millisecond
	othersGapMax  = 200 * time.Millisecond
)

// TestSixShardsOfThreeReplicas is the cluster's whole life under load: a leader
// moves, one is killed and comes back, a node joins and takes a replica, and one is
// lost for good and replaced. No surviving node is restarted, and everything that
// was acknowledged is there in the end. With KAMADO_TEST_ALL=1 it lives longer.
func TestSixShardsOfThreeReplicas(t *testing.T) {
	all := os.Getenv("KAMADO_TEST_ALL") != ""
	w := newWorld(t, 5)
	w.addrs = w.addrs[:3]
	more := porttest.Addrs(t, 2)
	ps := w.spawn(w.config(0), w.config(1), w.config(2))
	for _, p := range ps {
		t.Logf("node %s: formed after %v, RSS %d MiB", p.name, p.formed.Round(time.Millisecond), rss(p)>>20)
	}
	w.do(ps[0], order{Do: "rebalance"})
	w.load(ps...)
	quiet := w.quiet(3 * time.Second)

	w.planned(ps, quiet)
	ps = w.leaderDies(ps, quiet)
	if all {
		ps = w.longLife(ps, quiet)
	}
	w.addrs = append(w.addrs, more...)
	ps = w.joins(ps, quiet)
	ps = w.replaced(ps, quiet)
	if all {
		ps = w.everybodyDies(ps)
	}
	for _, p := range ps {
		w.do(p, order{Do: "rest"})
	}
	w.end(ps)
}

// TestUpgrade is the life of a cluster whose nodes are restarted in order.
func TestUpgrade(t *testing.T) {
	if os.Getenv("KAMADO_TEST_ALL") == "" {
		t.Skip("a minute of load: KAMADO_TEST_ALL=1")
	}
	w := newWorld(t, 3)
	ps := w.spawn(w.config(0), w.config(1), w.config(2))
	w.load(ps...)
	quiet := w.quiet(3 * time.Second)
	for range 2 {
		ps = w.upgrade(ps, quiet)
	}
	for _, p := range ps {
		w.do(p, order{Do: "rest"})
	}
	w.end(ps)
}

// end says what was lost, which must be nothing: at the leaders as they are, and at others.
func (w *world) end(ps []*proc) {
	w.t.Helper()
	began := time.Now()
	rounds := 1
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		rounds = 2
	}
	for round := range rounds {
		if lost := w.check(ps[0]); len(lost) != 0 {
			w.t.Errorf("round %d: %d promises broken: %v", round, len(lost), lost[:min(len(lost), 20)])
		}
		for _, sh := range w.do(ps[0], order{Do: "shards"}).Shards {
			if round+1 < rounds {
				w.do(ps[0], order{Do: "stepdown", Shard: sh.Name})
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	steps := 0
	for _, c := range w.chains {
		steps += len(c)
	}
	w.t.Logf("%d creates and %d steps of chains acknowledged, %d steps in doubt, %d old reads; all looked up in %v", len(w.sure), steps, w.doubts, w.old, time.Since(began).Round(time.Millisecond))
	if len(w.sure) < 1000 || steps < 500 {
		w.t.Error("the load was too little to see anything")
	}
}

// planned steps leaders down under load.
func (w *world) planned(ps []*proc, quiet time.Duration) {
	w.t.Helper()
	from := time.Now()
	for _, sh := range w.do(ps[0], order{Do: "shards"}).Shards[:2] {
		w.do(ps[0], order{Do: "stepdown", Shard: sh.Name})
		pass(500 * time.Millisecond)
	}
	_, gap := w.gaps(from, time.Now(), nil)
	w.within("leaders stepped down", gap, plannedGapMax, quiet)
	w.do(ps[0], order{Do: "rebalance"})
	leads := map[string]int{}
	for _, sh := range w.do(ps[0], order{Do: "shards"}).Shards {
		leads[sh.Leader]++
	}
	for node, n := range leads {
		if n != 2 {
			w.t.Errorf("after a rebalance %s leads %d of 6 shards, want 2", node, n)
		}
	}
}

// leaderDies kills the leader of some shards and starts it again.
func (w *world) leaderDies(ps []*proc, quiet time.Duration) []*proc {
	w.t.Helper()
	victim := ps[1]
	led := w.leads(ps[0], victim.name)
	from := time.Now()
	w.kill(victim)
	pass(4 * time.Second)
	ps[1] = w.spawn(victim.c)[0]
	w.load(ps[1])
	w.whole(ps[0], "")
	if ps[1].name != victim.name {
		w.t.Errorf("%s came back as %s", victim.name, ps[1].name)
	}
	picked, others := w.gaps(from, time.Now(), led)
	w.within(fmt.Sprintf("leader of %d shards killed, its shards", len(led)), picked, leaderGapMax, quiet)
	w.within("leader killed, other shards", others, othersGapMax, quiet)
	return ps
}

// joins starts a fourth node and moves a replica to it.
func (w *world) joins(ps []*proc, quiet time.Duration) []*proc {
	w.t.Helper()
	from := time.Now()
	p := w.spawn(w.config(3))[0]
	shards := w.do(ps[0], order{Do: "shards"}).Shards
	moved := shards[0]
	away := ""
	for _, r := range moved.Replicas {
		if !r.Leader {
			away = r.Node
		}
	}
	w.do(ps[0], order{Do: "move", Shard: moved.Name, Node: away})
	got := false
	for _, r := range w.do(ps[0], order{Do: "shards"}).Shards[0].Replicas {
		got = got || r.Node == p.name
	}
	if !got {
		w.t.Errorf("the replica of %s was not moved to the new node", moved.Name)
	}
	_, gap := w.gaps(from, time.Now(), nil)
	w.within("a node joined and a replica moved to it", gap, plannedGapMax, quiet)
	return append(ps, p)
}

// replaced loses a node with its directory and puts another in its place.
func (w *world) replaced(ps []*proc, quiet time.Duration) []*proc {
	w.t.Helper()
	victim := ps[2]
	led := w.leads(ps[0], victim.name)
	from := time.Now()
	w.kill(victim)
	if err := os.RemoveAll(victim.c.Dir); err != nil {
		w.t.Fatal(err)
	}
	pass(time.Second)
	p := w.spawn(w.config(4))[0]
	w.do(ps[0], order{Do: "remove", Node: victim.name})
	w.whole(ps[0], victim.name)
	w.load(p)
	picked, others := w.gaps(from, time.Now(), led)
	w.within(fmt.Sprintf("leader of %d shards lost for good and replaced, its shards", len(led)), picked, leaderGapMax, quiet)
	w.within("node lost for good, other shards", others, othersGapMax, quiet)
	ps[2] = p
	return ps
}

// longLife is what only the long form does.
func (w *world) longLife(ps []*proc, quiet time.Duration) []*proc {
	w.t.Helper()
	for range 2 {
		w.do(ps[0], order{Do: "rebalance"})
		ps = w.leaderDies(ps, quiet)
	}
	w.do(ps[0], order{Do: "rebalance"})
	// A leader stands still.
	led := w.leads(ps[0], ps[2].name)
	from := time.Now()
	pausetest.Pause(w.t, ps[2].cmd.Process.Pid)
	pass(12 * time.Second)
	pausetest.Resume(w.t, ps[2].cmd.Process.Pid)
	w.whole(ps[0], "")
	picked, _ := w.gaps(from, time.Now(), led)
	w.within("leader stood still, its shards", picked, leaderGapMax, quiet)
	// Both followers of a leader die and come back (nats-io/nats-server#8519).
	for range 3 {
		w.kill(ps[1])
		w.kill(ps[2])
		from := time.Now()
		pass(1500 * time.Millisecond)
		copy(ps[1:], w.spawn(ps[1].c, ps[2].c))
		w.load(ps[1], ps[2])
		w.whole(ps[0], "")
		pass(time.Second)
		_, gap := w.gaps(from, time.Now(), nil)
		w.within("two of three killed", gap, leaderGapMax+5*time.Second, quiet)
	}
	return w.upgrade(ps, quiet)
}

// upgrade lets each node leave, stop and start.
func (w *world) upgrade(ps []*proc, quiet time.Duration) []*proc {
	w.t.Helper()
	for i := range ps {
		w.do(ps[0], order{Do: "rebalance"})
		from := time.Now()
		w.do(ps[i], order{Do: "rest"})
		w.do(ps[i], order{Do: "leave"})
		left := time.Since(from)
		w.quit(ps[i])
		quit := time.Since(from)
		ps[i] = w.spawn(ps[i].c)[0]
		back := time.Since(from)
		w.load(ps[i])
		w.whole(ps[i], "")
		_, gap := w.gaps(from, time.Now(), nil)
		w.within(fmt.Sprintf("a node left (%v), stopped (%v) and started (%v)", left.Round(time.Millisecond), quit.Round(time.Millisecond), back.Round(time.Millisecond)), gap, plannedGapMax, quiet)
	}
	return ps
}

// everybodyDies kills all at once and starts them again.
func (w *world) everybodyDies(ps []*proc) []*proc {
	w.t.Helper()
	for range 3 {
		var cs []setup
		from := time.Now()
		for _, p := range ps {
			_ = p.cmd.Process.Kill()
		}
		for _, p := range ps {
			w.kill(p)
			cs = append(cs, p.c)
		}
		ps = w.spawn(cs...)
		w.load(ps...)
		w.whole(ps[0], "")
		pass(2 * time.Second)
		_, gap := w.gaps(from, time.Now(), nil)
		w.within("all killed at once", gap, 12*time.Second, 0)
	}
	return ps
}

// TestAnEarlyAcknowledgementIsFound is the control: writes that are acknowledged
// before their answer came are lost by a kill, and the same check must see it.
func TestAnEarlyAcknowledgementIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	c := setup{Config: DefaultConfig(filepath.Join(w.dir, "alone")), Early: true}
	p := w.spawn(c)[0]
	w.load(p)
	w.eventually("some load", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.sure) > 2000
	})
	w.kill(p)
	c.Early = false
	p = w.spawn(c)[0]
	lost := w.check(p)
	if len(lost) == 0 {
		t.Error("nothing was lost: this check sees nothing")
	}
	t.Logf("%d of %d early acknowledgements lost", len(lost), len(w.sure))
}

// rss gives the resident memory of a child in bytes.
func rss(p *proc) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return -1
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		return -1
	}
	return resident * int64(os.Getpagesize())
}

// TestEachAcknowledgementWasSynced counts what the system was asked for: a
// sequential caller's writes are each synced into the log of a majority.
func TestEachAcknowledgementWasSynced(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("no strace")
	}
	w := newWorld(t, 3)
	ps := w.spawn(w.config(0), w.config(1), w.config(2))
	var outs []string
	var traces []*exec.Cmd
	for i, p := range ps {
		out := filepath.Join(w.dir, fmt.Sprint("strace", i))
		cmd := exec.Command(strace, "-f", "-y", "-qq", "-e", "trace=fsync,fdatasync", "-o", out, "-p", fmt.Sprint(p.cmd.Process.Pid))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		outs, traces = append(outs, out), append(traces, cmd)
	}
	w.eventually("strace attached", func() bool {
		for _, p := range ps {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
			if err != nil || strings.Contains(string(b), "TracerPid:\t0") {
				return false
			}
		}
		return true
	})
	const puts = 100
	w.do(ps[0], order{Do: "puts", Count: puts})
	for _, cmd := range traces {
		_ = cmd.Process.Signal(os.Interrupt)
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
			t.Error(err)
		}
	}
	synced, least := 0, math.MaxInt
	for _, out := range outs {
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(string(b)) {
			// The Raft logs lie below the system account's directory.
			if strings.Contains(line, "sync(") && strings.Contains(line, "/"+sysAccount+"/_js_/S-R3F-") {
				n++
			}
		}
		t.Logf("%d syncs of the log for %d writes", n, puts)
		if n >= puts {
			synced++
			least = min(least, n)
		}
	}
	if synced < 2 {
		t.Errorf("%d of 3 nodes synced their log for each of %d writes, want a majority", synced, puts)
	}
}
