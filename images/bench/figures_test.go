package bench_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kamado/kamado/images/bench"
)

// The figures of SPECIFICATION.md: CPU over sharp's in process, and memory.
var (
	cpuBars = map[string]float64{"1 MP": 0.40, "3 MP": 0.55, "12 MP": 0.60}
	pssMax  = int64(80e6)
)

// TestFigures measures the built program against sharp on real photographs. It
// takes minutes and wants a quiet machine, so it is one of the long tests.
func TestFigures(t *testing.T) {
	if os.Getenv("KAMADO_TEST_ALL") == "" {
		t.Skip("long: ./setup test --all runs it")
	}
	cache, err := filepath.Abs("../../.cache")
	if err != nil {
		t.Fatal(err)
	}
	c := bench.Default()
	c.Program, c.Originals = os.Getenv("KAMADO_BIN"), filepath.Join(cache, "bench", "originals")
	c.Peers, c.Only = []string{filepath.Join(cache, "peers")}, []string{"sharp"}
	c.Parts = []string{bench.PartClasses, bench.PartMemory}
	for _, needed := range []string{c.Program, c.Originals, filepath.Join(c.Peers[0], "node_modules", "sharp")} {
		if _, err := os.Stat(needed); err != nil {
			t.Skipf("needs %s (./setup test --all makes it)", needed)
		}
	}
	report, err := bench.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, class := range report.Classes {
		ratio := class.Ratios[0]
		if ratio.Rule != bench.RuleMet {
			t.Errorf("%s: quality rule %s: %v", class.Name, ratio.Rule, ratio.Broken)
		}
		bar, stated := cpuBars[class.Name]
		if stated && ratio.CPU.Median > bar {
			t.Errorf("%s: %.2fx (%.2f-%.2f) of sharp's CPU, want at most %.2fx", class.Name, ratio.CPU.Median, ratio.CPU.Min, ratio.CPU.Max, bar)
		}
		t.Logf("%s: %.2fx (%.2f-%.2f) of sharp's CPU, %.3fx of its bytes", class.Name, ratio.CPU.Median, ratio.CPU.Min, ratio.CPU.Max, ratio.Bytes)
	}
	for _, m := range report.Memory {
		if m.Peak > pssMax {
			t.Errorf("%s: %.1f MB at most, want at most %.0f", m.Class, float64(m.Peak)/1e6, float64(pssMax)/1e6)
		}
	}
}
