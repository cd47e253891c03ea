package mesh_test

import (
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/mesh"
)

// TestManyClaimsAreKept: renewals of hundreds of copies share the time of real locks, and none comes too late.
func TestManyClaimsAreKept(t *testing.T) {
	if os.Getenv("KAMADO_TEST_ALL") == "" {
		t.Skip("it holds a figure (KAMADO_TEST_ALL=1); TestRenewalsDoNotStarve has the rule")
	}
	const copies, terms = 600, 6
	dir := t.TempDir()
	a := start(t, dir, "a")
	var wg sync.WaitGroup
	lost := make([]<-chan struct{}, copies)
	began := time.Now()
	for i := range copies {
		wg.Go(func() {
			claim, err := a.claim(game.Copy{Area: "plaza", Number: uint32(i + 1)})
			if err != nil {
				t.Error(err)
			}
			lost[i] = claim.Lost
		})
	}
	wg.Wait()
	t.Logf("%d claims took %v", copies, time.Since(began))
	before := cpu()
	timer := time.NewTimer(time.Duration(terms) * mesh.Default().ClaimTerm)
	defer timer.Stop()
	<-timer.C
	for i, c := range lost {
		select {
		case <-c:
			t.Errorf("claim %d is lost", i+1)
		default:
		}
	}
	t.Logf("they take %.1f %% of a processor", 100*float64(cpu()-before)/float64(time.Duration(terms)*mesh.Default().ClaimTerm))
	if n := a.counted(t, "kamado_game_mesh_claims", ""); n != float64(copies) {
		t.Errorf("%v claims are counted", n)
	}
}

// cpu is the time of processors that this process has taken.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
