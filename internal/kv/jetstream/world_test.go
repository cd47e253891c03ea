package jetstream

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/kv"
	"github.com/kamado/kamado/internal/porttest"
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
	w.addrs = porttest.Addrs(t, nodes)
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
