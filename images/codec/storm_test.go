package codec_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
)

// stormFaults is how many faults a run has: a short one, since each costs the
// start of a worker, and with KAMADO_TEST_ALL=1 the ten thousand that are
// promised.
func stormFaults() int {
	if os.Getenv("KAMADO_TEST_ALL") == "1" {
		return 10_000
	}
	return 75 // five of each kind
}

// goodPerFault is how many ordinary requests there are for each fault.
const goodPerFault = 4

// storm counts what requests came to.
type storm struct {
	pool   *codec.Pool
	faults atomic.Int64 // requests that asked for a fault, and kills from outside
	kills  atomic.Int64 // of them from outside
	good   atomic.Int64 // ordinary requests that were answered
	killed atomic.Int64 // ordinary requests whose worker was killed from outside
}

// stormKinds are the faults in turn, with the error that each must bring.
var stormKinds = []struct {
	kind string
	want error // nil: Internal, the worker spoke nonsense
}{
	{"segv", codec.ErrCrashed}, {"kill", nil}, {"abort", codec.ErrCrashed}, {"exit", codec.ErrCrashed}, {"kill", nil},
	{"panic", codec.ErrCrashed}, {"garbage", nil}, {"stack", codec.ErrCrashed}, {"kill", nil}, {"loop", context.DeadlineExceeded},
	{"stale", nil}, {"segv", codec.ErrCrashed}, {"memory", codec.ErrMemory}, {"liar", nil}, {"int80", codec.ErrCrashed},
}

// TestFaultStorm: under load every fault (crash, kill -9, no memory, endless
// loop, wrong answer) costs one request and nothing else; at the end there are
// as many processes, descriptors and goroutines as at the beginning.
func TestFaultStorm(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("one of the faults is an instruction of amd64")
	}
	descriptorsBefore, goroutines, childrenBefore := descriptors(t), runtime.NumGoroutine(), children(t)
	s := &storm{pool: newPool(t, func(c *codec.Config) {
		c.Path, c.Workers, c.Memory, c.Kill, c.Log, c.Wait = faultyPath, 2, 200<<20, false, nil, time.Minute
	})}
	s.goodOnes(t, 8) // both workers and the spare are warm
	eventually(t, "rest", func() bool { s := s.pool.Stats(); return s.Busy == 0 && s.Starting == 0 })
	memory := poolMemory(t, s.pool)
	n, began := int64(stormFaults()), time.Now()
	tokens := make(chan bool, goodPerFault*2)
	var faulty, good sync.WaitGroup
	for range 2 {
		good.Go(func() {
			for range tokens {
				s.goodOnes(t, 1)
			}
		})
		faulty.Go(func() {
			for {
				i := s.faults.Add(1)
				if i > n || t.Failed() {
					return
				}
				s.one(t, i)
				for range goodPerFault {
					tokens <- true
				}
			}
		})
	}
	faulty.Wait()
	close(tokens)
	good.Wait()
	eventually(t, "rest", func() bool {
		s := s.pool.Stats()
		return s.Busy == 0 && s.Starting == 0 && s.Waiting == 0 && s.Idle > 0
	})
	s.check(t, n, memory)
	t.Logf("%d faults (%d kills from outside) in %v, %d good requests, %d of them lost to kills", n, s.kills.Load(), time.Since(began).Round(time.Second),
		s.good.Load(), s.killed.Load())
	s.pool.Close()
	eventually(t, "as few goroutines as before", func() bool { return runtime.NumGoroutine() <= goroutines })
	if d, c := descriptors(t), children(t); d > descriptorsBefore+3 || c != childrenBefore { // 3: the runtime's poller
		t.Errorf("%d descriptors and %d children at the end, %d and %d at the beginning", d, c, descriptorsBefore, childrenBefore)
	} else {
		t.Logf("descriptors %d before, %d after; children %d before, %d after", descriptorsBefore, d, childrenBefore, c)
	}
}

// one makes one fault and checks what it cost.
func (s *storm) one(t *testing.T, i int64) {
	f := stormKinds[i%int64(len(stormKinds))]
	if f.kind == "kill" {
		if pids := s.pool.Pids(); len(pids) > 0 && syscall.Kill(pids[int(i)%len(pids)], syscall.SIGKILL) == nil {
			s.kills.Add(1)
		}
		return
	}
	limit := 30 * time.Second
	if f.kind == "loop" {
		limit = 100 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	err := fault(ctx, s.pool, f.kind)
	switch {
	case errors.Is(err, codec.ErrKilled): // somebody else's kill met this one
		s.killed.Add(1)
	case f.want == nil && images.KindOf(err) == images.Internal, f.want != nil && errors.Is(err, f.want):
	case f.kind == "loop" && errors.Is(err, context.DeadlineExceeded):
	default:
		t.Errorf("fault %d, %s: kind %v: %v", i, f.kind, images.KindOf(err), err)
	}
}

// goodOnes makes ordinary requests; only a kill from outside may cost one.
func (s *storm) goodOnes(t *testing.T, n int) {
	for range n {
		switch err := load(t.Context(), s.pool, small()); {
		case err == nil:
			s.good.Add(1)
		case errors.Is(err, codec.ErrKilled) && images.KindOf(err) == images.Unavailable:
			s.killed.Add(1)
		default:
			t.Errorf("a good request: kind %v: %v", images.KindOf(err), err)
		}
	}
}

// check compares the end with the beginning.
func (s *storm) check(t *testing.T, faults int64, before int) {
	if s.killed.Load() > s.kills.Load() {
		t.Errorf("%d kills cost %d requests", s.kills.Load(), s.killed.Load())
	}
	if lost := faults*goodPerFault + 8 - s.good.Load() - s.killed.Load(); lost > 0 {
		t.Errorf("%d good requests have no answer", lost)
	}
	st := s.pool.Stats()
	if st.Failed > 0 || st.Died+st.Killed < uint64(faults)*8/10 {
		t.Errorf("%d faults made this: %+v", faults, st)
	}
	if n := len(s.pool.Pids()); n > 3 {
		t.Errorf("%d processes where there may be 2 and a spare", n)
	}
	after := poolMemory(t, s.pool)
	t.Logf("PSS of a worker %d KiB before, %d KiB after; %+v", before>>10, after>>10, st)
	if after > before+24<<20 {
		t.Errorf("a worker grew from %d to %d bytes", before, after)
	}
}

// poolMemory is the PSS of a worker of the pool in the middle.
func poolMemory(t *testing.T, p *codec.Pool) int {
	sum, pids := 0, p.Pids()
	for _, pid := range pids {
		sum += resident(t, pid)
	}
	return sum / max(len(pids), 1)
}

// children counts the processes that this one has started and not yet buried.
func children(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Skip("needs /proc")
	}
	n := 0
	for _, task := range tasks {
		list, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%s/children", task.Name()))
		if err == nil {
			n += len(strings.Fields(string(list)))
		}
	}
	return n
}
