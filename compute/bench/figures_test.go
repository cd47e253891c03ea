package bench

import (
	"os"
	"path/filepath"
	"testing"
)

// scheduleCPUMax is the CPU that a server may take until it is active, in ms.
const scheduleCPUMax = 2

// TestFigures measures the built program in full, without guests. Memory, counts
// and room are judged as they are; times by the CPU that they took where that is
// known, because a test does not have the machine to itself. So are servers a
// second: two processors have scheduleCPUMax for each of a thousand.
func TestFigures(t *testing.T) {
	if os.Getenv("KAMADO_TEST_ALL") == "" {
		t.Skip("long: ./setup test --all runs it")
	}
	c := Default()
	c.Program, c.Only = program(t), []string{GroupStart, GroupAPI, GroupPages, GroupSchedule}
	c.Parts, _ = filepath.Abs("../../bin/guest") // the path is right
	if _, err := os.Stat(filepath.Join(c.Parts, "manifest.json")); err != nil {
		t.Skip("needs the parts of the machine image (./setup build gathers them)")
	}
	report, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range report.Rows {
		t.Logf("%s, %s: %.2f %s, p99 %s, CPU %s ms each", row.Group, row.Name, row.Value, row.Unit, figure(row.P99), figure(row.CPU))
		judged := row
		if row.Name == "servers active, one a request" && *row.CPU > scheduleCPUMax {
			t.Errorf("%s, %s: %.2f ms of CPU each, want at most %d", row.Group, row.Name, *row.CPU, scheduleCPUMax)
		}
		switch {
		case row.Target == nil, row.Unit == "1/s", row.Unit == "ms" && row.CPU == nil:
			continue
		case row.Unit == "ms":
			judged.Value, judged.P99 = *row.CPU, nil
		}
		if !judged.Met() {
			t.Errorf("%s, %s: %.2f %s, want %s", row.Group, row.Name, judged.Value, row.Unit, target(row))
		}
	}
}
