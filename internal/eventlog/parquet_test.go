package eventlog_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/fs"
	"github.com/kamado/kamado/internal/eventlog"
)

// compacted gives a store in dir that holds events 0..n-1, and its log.
func compacted(t testing.TB, dir string, n int) (*fs.Store, *eventlog.Log) {
	t.Helper()
	store, err := fs.Open(dir)
	must(t, err)
	t.Cleanup(func() { store.Close() })
	logDir := t.TempDir()
	fill(t, logDir, 0, n)
	l, err := eventlog.Open(logDir, store, config(), quiet())
	must(t, err)
	must(t, l.Compact(t.Context()))
	return store, l
}

// files opens every Parquet file of a store.
func files(t testing.TB, store blob.Store) map[string]*parquet.File {
	t.Helper()
	infos, err := store.List(t.Context(), "events/", "", 0)
	must(t, err)
	open := map[string]*parquet.File{}
	for _, in := range infos {
		b, _, err := blob.GetAll(t.Context(), store, in.Key, nil, 0)
		must(t, err)
		f, err := parquet.OpenFile(bytes.NewReader(b), int64(len(b)))
		must(t, err)
		open[in.Key] = f
	}
	return open
}

func countRows(t testing.TB, store blob.Store) int {
	n := 0
	for _, f := range files(t, store) {
		n += int(f.NumRows())
	}
	return n
}

// TestSchemaInTheReference reads files without the log's own types and holds the
// table of docs/reference/eventlog.md to their columns.
func TestSchemaInTheReference(t *testing.T) {
	doc, err := os.ReadFile("../../docs/reference/eventlog.md")
	must(t, err)
	store, _ := compacted(t, t.TempDir(), 4)
	for key, f := range files(t, store) {
		var names []string
		for _, field := range f.Schema().Fields() {
			names = append(names, field.Name())
			row := fmt.Sprintf("| `%s` | %s |", field.Name(), strings.ReplaceAll(typeName(field), "\n", " "))
			if !strings.Contains(string(doc), row) {
				t.Errorf("docs/reference/eventlog.md lacks %q", row)
			}
		}
		want := []string{"id", "time", "room", "type", "subject", "request_id", "actor", "attributes"}
		if !slices.Equal(names, want) {
			t.Errorf("%s has the columns %q, want %q", key, names, want)
		}
		for _, chunk := range f.Metadata().RowGroups[0].Columns {
			if codec := chunk.MetaData.Codec.String(); codec != "ZSTD" {
				t.Errorf("%s: column %v is compressed by %s, want ZSTD", key, chunk.MetaData.PathInSchema, codec)
			}
		}
	}
}

func typeName(f parquet.Field) string {
	if !f.Leaf() {
		return "MAP of STRING to STRING"
	}
	return f.Type().String()
}

func TestPartitionsAreByRoomAndDay(t *testing.T) {
	store, l := compacted(t, t.TempDir(), 130)
	var got []string
	for key, f := range files(t, store) {
		got = append(got, fmt.Sprintf("%s %d", key, f.NumRows()))
	}
	slices.Sort(got)
	var want []string
	for _, c := range []string{"dns/day=2026-03-01 30", "dns/day=2026-03-02 35", "images/day=2026-03-01 30", "images/day=2026-03-02 35"} {
		dir, n, _ := strings.Cut(c, " ")
		want = append(want, fmt.Sprintf("events/room=%s/%s-%016d.parquet %s", dir, l.Identity(), 1, n))
	}
	if !slices.Equal(got, want) {
		t.Errorf("the store has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestDuckDBReadsTheFiles is another implementation of Parquet.
func TestDuckDBReadsTheFiles(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err == nil {
		err = exec.Command(python, "-c", "import duckdb").Run()
	}
	if err != nil {
		t.Skip("needs duckdb for python3 (./setup test installs it)")
	}
	dir := t.TempDir()
	compacted(t, dir, 130)
	const program = `
import duckdb, json, sys
rel = f"read_parquet('{sys.argv[1]}/events/*/*/*.parquet', hive_partitioning=true)"
rows = duckdb.sql(f"select epoch_us(time), room, type, subject, request_id, actor, attributes['i'], strftime(day::date, '%Y-%m-%d') from {rel} order by time, id").fetchall()
def one(v): return v[0] if isinstance(v, list) else v
print(json.dumps([[one(v) for v in r] for r in rows]))`
	cmd := exec.Command(python, "-c", program, dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("duckdb: %v: %s", err, &stderr)
	}
	var rows [][]any
	must(t, json.Unmarshal(out, &rows))
	if len(rows) != 130 {
		t.Fatalf("duckdb reads %d rows, want 130", len(rows))
	}
	for i, got := range rows {
		e := event(i)
		want := []any{float64(e.Time.UnixMicro()), e.Room, e.Type, e.Subject, e.RequestID, e.Actor, e.Attributes["i"], e.Time.Format(time.DateOnly)}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("duckdb reads row %d as %v, want %v", i, got, want)
		}
	}
}

func TestQuery(t *testing.T) {
	const n = 200
	store, l := compacted(t, t.TempDir(), 150)
	_ = store
	stop := running(t, l)
	for i := 150; i < n; i++ { // the newest lie in the active segment
		must(t, l.Append(t.Context(), event(i)))
	}
	check := func(t *testing.T, l *eventlog.Log) {
		for name, q := range map[string]eventlog.Query{
			"everything": {Limit: 1000}, "default limit": {}, "one": {Limit: 1}, "many": {Limit: 75}, "room": {Room: "dns", Limit: 1000},
			"subject": {Subject: "s42"}, "request": {RequestID: "r1", Limit: 20}, "actor": {Actor: "nobody"}, "type": {Type: "test.event", Limit: 5},
			"since": {Since: start.Add(140 * time.Second), Limit: 1000}, "until": {Until: start.Add(20 * time.Second)},
			"between": {Since: start.Add(50 * time.Second), Until: start.Add(70 * time.Second)}, "no such room": {Room: "a/../b"},
			"before midnight": {Until: start.Add(time.Minute), Limit: 3}, "after everything": {Since: start.Add(time.Hour)},
		} {
			var want []eventlog.Event
			limit := q.Limit
			if limit == 0 {
				limit = eventlog.QueryLimitDefault
			}
			for i := n - 1; i >= 0 && len(want) < limit; i-- {
				e := event(i)
				ok := (q.Room == "" || q.Room == e.Room) && (q.Subject == "" || q.Subject == e.Subject) && (q.RequestID == "" || q.RequestID == e.RequestID) &&
					(q.Actor == "" || q.Actor == e.Actor) && !e.Time.Before(q.Since) && (q.Until.IsZero() || e.Time.Before(q.Until))
				if ok {
					want = append(want, e)
				}
			}
			got, err := l.Query(t.Context(), q)
			if err != nil || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
				t.Errorf("%s: Query = %d events, %v, want %d", name, len(got), err, len(want))
			}
		}
	}
	check(t, l)
	stop()
	l, err := eventlog.Open(l.Dir(), store, config(), quiet())
	must(t, err)
	must(t, l.Compact(t.Context()))
	check(t, l)
}

func TestRetention(t *testing.T) {
	store, l := compacted(t, t.TempDir(), 130)
	running(t, l)()
	l, err := eventlog.Open(l.Dir(), store, eventlog.Default(), quiet())
	must(t, err)
	must(t, os.WriteFile(filepath.Join(l.Dir(), "0000000000000009.seg.torn"), nil, 0o600))
	old := start.AddDate(0, 0, -200)
	must(t, os.Chtimes(filepath.Join(l.Dir(), "0000000000000009.seg.torn"), old, old))
	keep := eventlog.Default().RetainDays
	must(t, l.Retain(t.Context(), time.Date(2026, 3, 1+keep, 12, 0, 0, 0, time.UTC)))
	if n := countRows(t, store); n != 130 {
		t.Errorf("%d events left on the last day of their retention, want 130", n)
	}
	must(t, l.Retain(t.Context(), time.Date(2026, 3, 2+keep, 0, 0, 1, 0, time.UTC)))
	if n := countRows(t, store); n != 70 {
		t.Errorf("%d events left when their first day is too old, want the 70 of the second", n)
	}
	if s := l.Stats(); s.Removed != 2 {
		t.Errorf("%d files removed, want 2", s.Removed)
	}
	if torn, _ := filepath.Glob(filepath.Join(l.Dir(), "*.torn")); len(torn) != 0 {
		t.Errorf("old torn tails are left: %v", torn)
	}
}

func TestSeveralLogsShareAStore(t *testing.T) {
	dir := t.TempDir()
	compacted(t, dir, 10)
	store, l := compacted(t, dir, 10)
	if n := countRows(t, store); n != 20 {
		t.Errorf("the store has %d rows, want those of both logs", n)
	}
	if n := len(all(t, l)); n != 20 {
		t.Errorf("Query finds %d events, want those of both logs", n)
	}
}
