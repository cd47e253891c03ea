package replica

import (
	"testing"
	"time"
)

func TestThreeMembersBecomeAlike(t *testing.T) {
	t.Parallel()
	s := newSim(t, 1, 3)
	s.startAll()
	if err := s.converged(); err != nil {
		t.Fatal(err)
	}
	n := s.nodes[1]
	out, err := n.r.Add(n.now(), record("web", 1))
	n.take(out, err)
	if d := s.wait(time.Second); d > 100*time.Millisecond {
		t.Errorf("a change took %v", d)
	}
	set, ok := s.nodes[2].r.Set("web.svc.test")
	if !ok || len(set.Owned) != 1 || !set.Owned[0].Live() {
		t.Errorf("Set = %+v", set)
	}
}
