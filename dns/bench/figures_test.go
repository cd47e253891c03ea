package bench

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestFigures measures in full. Rates are told, and judged by the CPU time of an
// answer, because a test does not have the machine to itself.
func TestFigures(t *testing.T) {
	if os.Getenv("KAMADO_TEST_ALL") == "" {
		t.Skip("long: ./setup test --all runs it")
	}
	c := testConfig(t)
	c.Talk = t.Output()
	if d, err := time.ParseDuration(os.Getenv("KAMADO_BENCH_LENGTH")); err == nil {
		c.Length = d
	}
	if list := os.Getenv("KAMADO_BENCH_ONLY"); list != "" {
		c.Only = strings.Split(list, ",")
	}
	report, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	head, rows := report.Table()
	for _, line := range append([][]string{head}, rows...) {
		t.Log(strings.Join(line, " | "))
	}
	for _, line := range report.Lines() {
		t.Log(line)
	}
	for _, row := range report.Rows {
		if row.RateLeast > 0 && row.CPURatio > 1/row.RateLeast && !row.Met() {
			t.Errorf("%s, %s beside %s: %.3f of its rate at %.3f of its CPU time, want at least %.2f of the rate", row.Group, row.Load, row.Subject, row.RateRatio, row.CPURatio, row.RateLeast)
		}
	}
}
