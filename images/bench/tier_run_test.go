package bench_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/images/bench"
)

func TestTierComparesTheSameRequests(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("varnishd"); err != nil {
		t.Skip("needs varnishd (./setup test installs it)")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := bench.DefaultTier()
	c.Program, c.Version, c.Originals = program, "double", corpus(t, "photos/1.jpg", "photos/2.jpg")
	c.HitRates, c.Requests, c.Rounds, c.Timeout = []float64{0.8}, 20, 1, 30*time.Second
	report, err := bench.RunTier(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Costs) != 4 || !strings.HasPrefix(report.Varnish, "varnish-") {
		t.Fatalf("report = %+v, want four arrangements, and a version", report)
	}
	for _, cost := range report.Costs {
		tier := strings.Contains(cost.Arrangement, "Varnish")
		if cost.Counted != 20 || cost.Kamado.Median <= 0 || (cost.Varnish.Median > 0) != tier || cost.Sum.Median < cost.Kamado.Median {
			t.Errorf("cost = %+v", cost)
		}
	}
	if head, rows := report.Table(); len(rows) != 4 || len(rows[0]) != len(head) {
		t.Errorf("table = %q", rows)
	}
}
