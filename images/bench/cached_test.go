package bench_test

import (
	"os"
	"testing"
	"time"

	"github.com/kamado/kamado/images/bench"
)

// TestCachedRenditionsBesideNginx prints what an answer from memory costs. It
// needs a built program in KAMADO_BENCH_PROGRAM, and processors of its own for
// the figures to mean something.
func TestCachedRenditionsBesideNginx(t *testing.T) {
	program := os.Getenv("KAMADO_BENCH_PROGRAM")
	if program == "" {
		t.Skip("KAMADO_BENCH_PROGRAM names no program to measure")
	}
	costs, size, err := bench.MeasureCached(t.Context(), bench.CachedConfig{Program: program, Length: 500 * time.Millisecond, ServerCPU: 0, LoadCPU: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range costs {
		t.Logf("%d bytes, %3d connections, %-26s %6.0f answers a CPU second (%v each), %6.0f a second", size, c.Connections, c.Subject, c.PerCPU, c.CPU, c.Rate)
	}
}
