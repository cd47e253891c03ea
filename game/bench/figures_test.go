package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// figuresProgram builds the program that the figures are of.
func figuresProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "kamado")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/kamado/kamado/cmd/kamado")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v: %s", err, out)
	}
	return program
}

// TestFigures measures in full. Rates are told, and judged beside PostgreSQL alone, because a test does not have the
// machine to itself; what was acknowledged is judged always.
func TestFigures(t *testing.T) {
	if os.Getenv("KAMADO_TEST_ALL") == "" {
		t.Skip("long: ./setup test --all runs it")
	}
	c := Default()
	c.Serve = Command{Program: figuresProgram(t), Args: []string{"game", "serve", "--http", "{http}", "--data", "{data}", "--log-level", "error"}}
	c.Transfers, c.Talk = []string{"--points-transfers"}, t.Output()
	if d, err := time.ParseDuration(os.Getenv("KAMADO_BENCH_LENGTH")); err == nil {
		c.Duration = d
	}
	if list := os.Getenv("KAMADO_BENCH_ONLY"); list != "" {
		c.Only = strings.Split(list, ",")
	}
	if list := os.Getenv("KAMADO_BENCH_CALLERS"); list != "" {
		c.Callers = nil
		for text := range strings.SplitSeq(list, ",") {
			n, _ := strconv.Atoi(text) // what is no number, Validate refuses
			c.Callers = append(c.Callers, n)
		}
	}
	c.Ledger, c.Profiles = os.Getenv("KAMADO_BENCH_LEDGER"), os.Getenv("KAMADO_BENCH_PROFILES")
	if c.Ledger != "" && !slices.Contains(c.Only, GroupRecovery) {
		c.Only = append(c.Only, GroupRecovery)
	}
	report, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Err(); err != nil {
		t.Error(err)
	}
	head, rows := report.Table()
	for _, line := range append([][]string{head}, rows...) {
		t.Log(strings.Join(line, " | "))
	}
	for _, line := range report.Lines() {
		t.Log(line)
	}
	for _, row := range report.Rows {
		if row.RatioLeast > 0 && !row.Met() {
			t.Errorf("%d callers: %.2f of the rate of %s, want at least %.1f", row.Callers, row.RateRatio, row.Subject, row.RatioLeast)
		}
	}
}
