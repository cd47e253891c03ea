package pointstest

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/kamado/kamado/game/points"
)

// memory gives a place in memory, with a flaw.
func memory(f flaw) func(t *testing.T) Place {
	return func(*testing.T) Place {
		m := NewMemory(Config{})
		m.flaw = f
		return func(_ context.Context, cfg Config) (points.Ledger, error) {
			m.Reopen(cfg)
			return m, nil
		}
	}
}

func TestMemory(t *testing.T) { Run(t, memory("")) }

const flawEnv = "KAMADO_TEST_FLAW"

// TestFlawed is the control: it runs in a process of its own, where it must fail.
func TestFlawed(t *testing.T) {
	f := flaw(os.Getenv(flawEnv))
	if f == "" {
		t.Skip("is run by TestTheSuiteNotices")
	}
	Run(t, memory(f))
}

// TestTheSuiteNotices shows that a ledger that breaks a promise does not pass.
func TestTheSuiteNotices(t *testing.T) {
	t.Parallel()
	for f, by := range map[flaw]string{
		lostUpdate:    "parallel_spends_of_one_balance",
		doubleSpend:   "an_order_happens_once",
		forgetful:     "everything_is_there_after_a_reopen",
		clockFollower: "time_never_goes_back",
		partTransfer:  "parallel_transfers_in_a_ring",
		secondEnd:     "a_reservation_ends_once",
		badTotals:     "points_end,_and_Sweep_notes_it",
		staleRead:     "concurrent_orders_have_one_order_that_explains_them",
	} {
		t.Run(string(f), func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestFlawed$/^"+by+"$", "-test.v")
			cmd.Env = append(os.Environ(), flawEnv+"="+string(f))
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestFlawed/"+by) {
				t.Errorf("the suite passed a ledger with the flaw %s: %v\n%s", f, err, out)
			}
		})
	}
}
