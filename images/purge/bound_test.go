package purge_test

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/kamado/kamado/images/purge"
)

// TestAMillionTakedowns says what the default bound costs: memory, disk, and the
// time of a start.
func TestAMillionTakedowns(t *testing.T) {
	if os.Getenv("KAMADO_TEST_ALL") == "" {
		t.Skip("takes half a minute: KAMADO_TEST_ALL=1")
	}
	dir := t.TempDir()
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / 1e6
	}
	before := heap()
	table := open(t, purge.Config{Dir: dir})
	start := time.Now()
	drafts := make([]purge.Draft, 0, 10_000)
	for i := range purge.DefaultTakedowns {
		drafts = append(drafts, purge.Draft{Action: purge.Takedown, Target: purge.Key("default", fmt.Sprintf("recipes/2026/%08d.jpg", i))})
		if len(drafts) == cap(drafts) {
			if _, err := table.Issue(drafts...); err != nil {
				t.Fatal(err)
			}
			drafts = drafts[:0]
		}
	}
	given := time.Since(start)
	drafts = nil
	used, size, want := heap()-before, table.Stats().JournalBytes, table.Digest()
	table.Close()
	table = nil
	start = time.Now()
	table = open(t, purge.Config{Dir: dir})
	opened := time.Since(start)
	if table.Digest() != want || !table.Refused("default", "recipes/2026/00999999.jpg", "", "") {
		t.Error("the start lost some")
	}
	start = time.Now()
	other := open(t, purge.Config{Node: "b"})
	pullPages(t, other, table)
	t.Logf("%d takedowns: given in %v, %.0f MB of memory, %.0f MB on disk, opened in %v, pulled by another in %v",
		purge.DefaultTakedowns, given, used, float64(size)/1e6, opened, time.Since(start))
	if used > 500 {
		t.Errorf("%.0f MB of memory, promised are about 300", used)
	}
}

func pullPages(t testing.TB, into, from *purge.Table) {
	t.Helper()
	for since := into.Vector(); ; {
		p := from.Page(since, purge.PageMax)
		if _, err := into.Merge(p); err != nil {
			t.Fatal(err)
		}
		if !p.More {
			return
		}
		since = p.Next
	}
}
