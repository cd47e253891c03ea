package bench_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/images/bench"
)

func storeConfig(t *testing.T) bench.StoreConfig {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := bench.DefaultStore()
	c.Program, c.Version, c.Dir = program, "double", filepath.Join(t.TempDir(), "store")
	c.Count, c.Files, c.Requests, c.Timeout = 8_000, 2, 40, 20*time.Second
	return c
}

func TestStoreAsksForOriginalsOfTheWholeTree(t *testing.T) {
	t.Parallel()
	c := storeConfig(t)
	report, err := bench.RunStore(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Runs) != 2 || report.Runs[0].Originals != 1000 || report.Runs[1].Originals != 8_000 {
		t.Fatalf("runs = %+v, want an eighth and all", report.Runs)
	}
	for _, run := range report.Runs {
		if run.Lost != 0 || run.Distinct < 20 {
			t.Errorf("run = %+v, want a picture for every request and many different ones", run)
		}
		for _, p := range []bench.StorePhase{run.Before, run.After} {
			if p.Rendered != 1 || p.RPS <= 0 || p.CPU <= 0 || p.StartMS <= 0 || p.LoadedPSS < 1<<20 {
				t.Errorf("phase = %+v, want every picture rendered by a process of its own", p)
			}
		}
	}
	head, rows := report.Table()
	if len(rows) != 4 || len(rows[0]) != len(head) || !strings.Contains(strings.Join(report.Lines(), "\n"), "start until ready") {
		t.Errorf("table = %q, %q", rows, report.Lines())
	}
	if _, err := os.Stat(c.Dir); !os.IsNotExist(err) {
		t.Errorf("the originals were left behind: %v", err)
	}
}

func TestStoreTouchesNoFolderThatHoldsSomething(t *testing.T) {
	t.Parallel()
	c := storeConfig(t)
	c.Dir = t.TempDir()
	kept := filepath.Join(c.Dir, "kept")
	if err := os.WriteFile(kept, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bench.RunStore(t.Context(), c); err == nil {
		t.Error("RunStore took a folder that is not empty")
	}
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
	c.Count, c.Requests, c.Concurrency = 1, 0, 1000
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "count") || !strings.Contains(err.Error(), "concurrency") {
		t.Errorf("Validate() = %v, want all complaints", err)
	}
}
