package eventlog_test

import (
	"reflect"
	"testing"

	"github.com/kamado/kamado/internal/eventlog"
)

// TestReaderReadsWhatIsKeptAndWhatWaits: each event once, of the store and of the segments, while the log runs and compacts.
func TestReaderReadsWhatIsKeptAndWhatWaits(t *testing.T) {
	t.Parallel()
	const n = 200
	store, l := compacted(t, t.TempDir(), 150)
	stop := running(t, l)
	for i := 150; i < n; i++ {
		must(t, l.Append(t.Context(), event(i)))
	}
	check := func(r *eventlog.Reader) {
		days, err := r.Days(t.Context(), "dns")
		if err != nil || !reflect.DeepEqual(days, []string{"2026-03-01", "2026-03-02"}) {
			t.Errorf("days = %v, %v", days, err)
		}
		seen := map[string]int{}
		for _, day := range days {
			must(t, r.Day(t.Context(), "dns", day, func(e eventlog.Event) {
				if got := e.Time.Format("2006-01-02"); got != day || e.Room != "dns" {
					t.Errorf("an event of %s in %s, among those of dns on %s", e.Room, got, day)
				}
				seen[e.Subject]++
			}))
		}
		for i := 1; i < n; i += 2 {
			if s := event(i).Subject; seen[s] != 1 {
				t.Errorf("event %s was given %d times", s, seen[s])
			}
		}
		if len(seen) != n/2 {
			t.Errorf("%d events, want %d", len(seen), n/2)
		}
	}
	check(eventlog.NewReader(l.Dir(), store))
	stop()
	check(eventlog.NewReader(l.Dir(), store)) // the last segment is sealed now, and no process has the directory

	// Compaction goes on while days are read: nothing is given twice, nothing is missed.
	again, err := eventlog.Open(l.Dir(), store, config(), quiet())
	must(t, err)
	done := make(chan error, 1)
	go func() { done <- again.Compact(t.Context()) }()
	for range 20 {
		check(eventlog.NewReader(l.Dir(), store))
	}
	must(t, <-done)
	check(eventlog.NewReader(l.Dir(), store))
	check(eventlog.NewReader("", store)) // all of it lies in the store
}
