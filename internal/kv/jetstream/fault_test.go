package jetstream

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/kv"
)

// proc is a child as its parent sees it.
type proc struct {
	c       setup
	name    string
	formed  time.Duration
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers chan answer
	ended   chan struct{} // all its lines were read
	dead    bool
	mu      sync.Mutex // one order at a time
}

// world is a cluster of children with what they have reported.
type world struct {
	t       *testing.T
	dir     string
	secret  string
	addrs   []string
	nextDir int
	slow    bool

	mu     sync.Mutex
	sure   []sureKey
	chains map[string][]step
	doubts int
	old    int
	broken []string
	acks   [][]int64       // unix nanoseconds of acknowledgements, by shard
	where  map[bool]string // the longest gaps were, of shards that were picked and others
}

// step of a chain that was acknowledged.
type step struct{ base, version kv.Version }

func newWorld(t *testing.T, nodes int) *world {
	w := &world{t: t, dir: t.TempDir(), chains: map[string][]step{}, acks: make([][]int64, 6), slow: true}
	w.secret = filepath.Join(w.dir, "cluster.pem")
	if err := MakeSecret(w.secret); err != nil {
		t.Fatal(err)
	}
	w.addrs = freePorts(t, nodes)
	return w
}

// config of the node at an address.
func (w *world) config(i int) setup {
	c := setup{Config: DefaultConfig(filepath.Join(w.dir, fmt.Sprint("node", w.nextDir))), Slow: w.slow}
	w.nextDir++
	c.Machine, c.Listen, c.Peers, c.Secret = fmt.Sprint("m", w.nextDir), w.addrs[i], w.addrs, w.secret
	return c
}

// spawn starts children and waits until all of them are open.
func (w *world) spawn(cs ...setup) []*proc {
	w.t.Helper()
	ps := make([]*proc, len(cs))
	for i, c := range cs {
		ps[i] = w.begin(c)
	}
	for _, p := range ps {
		a := w.wait(p)
		p.name, p.formed = a.Name, a.Formed
	}
	return ps
}

func (w *world) begin(c setup) *proc {
	w.t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		w.t.Fatal(err)
	}
	p := &proc{c: c, cmd: exec.Command(os.Args[0]), answers: make(chan answer, 1), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), childEnv+"="+string(b), "GOMAXPROCS=2")
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		w.t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go w.listen(p, out)
	w.t.Cleanup(func() { w.kill(p) })
	return p
}

// listen reads a child's lines until it is gone.
func (w *world) listen(p *proc, out io.Reader) {
	defer close(p.ended)
	in := bufio.NewScanner(out)
	in.Buffer(nil, 64<<20)
	for in.Scan() {
		line := in.Text()
		if rest, ok := strings.CutPrefix(line, "R"); ok {
			var a answer
			if err := json.Unmarshal([]byte(rest), &a); err == nil {
				p.answers <- a
			}
			continue
		}
		w.note(line)
	}
}

// note keeps what a writer reported.
func (w *world) note(line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var kind, key string
	var shard int
	var at int64
	var a, b kv.Version
	n, _ := fmt.Sscan(line, &kind, &shard, &at, &key, &a, &b)
	group, name, _ := strings.Cut(key, "/")
	switch {
	case kind == "C" && n == 5:
		w.sure = append(w.sure, sureKey{group, name, a})
		w.acks[shard] = append(w.acks[shard], at)
	case kind == "S" && n == 6:
		w.chains[key] = append(w.chains[key], step{a, b})
		w.acks[shard] = append(w.acks[shard], at)
	case kind == "D":
		w.doubts++
	case kind == "O":
		w.old++
	case strings.HasPrefix(line, "X"):
		w.broken = append(w.broken, line)
	}
}

// wait gives a child's next answer.
func (w *world) wait(p *proc) answer {
	w.t.Helper()
	t := time.NewTimer(90 * time.Second)
	defer t.Stop()
	select {
	case a := <-p.answers:
		return a
	case <-p.ended:
		w.t.Fatalf("node %s ended", p.name)
	case <-t.C:
		w.t.Fatalf("node %s does not answer", p.name)
	}
	return answer{}
}

func (w *world) ask(p *proc, o order) answer {
	w.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	b, err := json.Marshal(o)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := p.in.Write(append(b, '\n')); err != nil {
		w.t.Fatalf("%s of %s: %v", o.Do, p.name, err)
	}
	return w.wait(p)
}

// do is ask for what must succeed.
func (w *world) do(p *proc, o order) answer {
	w.t.Helper()
	a := w.ask(p, o)
	if a.Err != "" {
		w.t.Fatalf("%s %s %s by %s: %s", o.Do, o.Shard, o.Node, p.name, a.Err)
	}
	return a
}

// kill is kill -9, and waits for what the child said before.
func (w *world) kill(p *proc) {
	if !p.dead {
		p.dead = true
		_ = p.cmd.Process.Kill()
		<-p.ended
		_ = p.cmd.Wait()
	}
}

// quit ends a child in order.
func (w *world) quit(p *proc) {
	p.dead = true
	_ = p.in.Close()
	<-p.ended
	if err := p.cmd.Wait(); err != nil {
		w.t.Errorf("node %s ended with %v", p.name, err)
	}
}

// eventually polls a condition of a cluster that heals.
func (w *world) eventually(what string, is func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !is(); time.Sleep(100 * time.Millisecond) { // a condition of other processes is polled
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: not within a minute", what)
		}
	}
}

// whole waits until all shards have three replicas that are ready, none of them on without.
func (w *world) whole(p *proc, without string) {
	w.t.Helper()
	var last []kv.Shard
	w.eventually("all replicas ready", func() bool {
		last = w.ask(p, order{Do: "shards"}).Shards
		ready := 0
		for _, sh := range last {
			for _, r := range sh.Replicas {
				if r.Ready && r.Node != without {
					ready++
				}
			}
			if sh.Leader == "" {
				return false
			}
		}
		return ready >= 3*len(last) && len(last) == 6
	})
}

// leads gives the shards that a node leads.
func (w *world) leads(p *proc, node string) map[int]bool {
	w.t.Helper()
	led := map[int]bool{}
	for i, sh := range w.do(p, order{Do: "shards"}).Shards {
		if sh.Leader == node {
			led[i] = true
		}
	}
	return led
}

// gaps gives the longest time without an acknowledgement between two moments, for
// the shards of which pick says yes, and for the others.
func (w *world) gaps(from, to time.Time, pick map[int]bool) (picked, others time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.where = map[bool]string{}
	for shard, all := range w.acks {
		slices.Sort(all)
		last, most := from.UnixNano(), int64(0)
		for _, at := range all {
			if at < last || at > to.UnixNano() {
				continue
			}
			if at-last > most {
				most = at - last
				w.where[pick[shard]] = fmt.Sprintf("shard %d, %v after the beginning", shard, time.Duration(last-from.UnixNano()).Round(time.Millisecond))
			}
			last = at
		}
		most = max(most, to.UnixNano()-last)
		if pick[shard] {
			picked = max(picked, time.Duration(most))
		} else {
			others = max(others, time.Duration(most))
		}
	}
	return picked, others
}

// load starts the writers of all.
func (w *world) load(ps ...*proc) {
	for _, p := range ps {
		w.do(p, order{Do: "load"})
	}
}

// pass lets the load run for a while.
func pass(d time.Duration) { time.Sleep(d) } // the load of other processes is waited for

// check looks up everything that was acknowledged.
func (w *world) check(p *proc) (lost []string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	keys := slices.Clone(w.sure)
	for key, steps := range w.chains {
		group, name, _ := strings.Cut(key, "/")
		keys = append(keys, sureKey{Group: group, Name: name}) // it is there, whatever its version
		lost = append(lost, forks(key, steps)...)
	}
	lost = append(lost, w.broken...)
	const page = 50_000
	for part := range slices.Chunk(keys, page) {
		w.mu.Unlock() // the child's lines must be read
		a := w.do(p, order{Do: "verify", Keys: part})
		w.mu.Lock()
		lost = append(lost, a.Lost...)
	}
	return lost
}

// forks gives acknowledged steps of a chain that a later one did not know of.
func forks(key string, steps []step) (bad []string) {
	steps = slices.Clone(steps)
	slices.SortFunc(steps, func(a, b step) int { return int(int64(a.version) - int64(b.version)) })
	for i := 1; i < len(steps); i++ {
		if steps[i].base < steps[i-1].version {
			bad = append(bad, fmt.Sprintf("%s: version %d was written on %d, over the acknowledged %d", key, steps[i].version, steps[i].base, steps[i-1].version))
		}
	}
	return bad
}

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
// without a fault.
func (w *world) within(what string, gap, most, quiet time.Duration) {
	w.t.Helper()
	bound := max(most, 10*quiet) // other work on the machine makes gaps of its own
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		bound = max(most, 4*quiet)
	}
	w.t.Logf("%s: longest gap %v (bound %v, without a fault %v)", what, gap.Round(time.Millisecond), bound.Round(time.Millisecond), quiet.Round(time.Millisecond))
	if gap > bound {
		w.t.Errorf("%s: longest gap %v, want at most %v; of shards picked and others: %v", what, gap, bound, w.where)
	}
}

// Promises of time.
const (
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
	more := freePorts(t, 2)
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
	_ = ps[2].cmd.Process.Signal(syscall.SIGSTOP)
	pass(12 * time.Second)
	_ = ps[2].cmd.Process.Signal(syscall.SIGCONT)
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
