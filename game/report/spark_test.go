package report_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/kamado/kamado/game/report"
	"github.com/kamado/kamado/internal/blob/fs"
	"github.com/kamado/kamado/internal/eventlog"
)

// kept writes a log of the world to Parquet, but for the last events, which it leaves in a segment, and gives its reader, and the folder of the Parquet.
func kept(t *testing.T, s source) (*eventlog.Reader, string) {
	t.Helper()
	dir, tables := t.TempDir(), t.TempDir()
	store, err := fs.Open(tables)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	cfg := eventlog.Default()
	cfg.RetainDays, cfg.Queue = 0, 1<<20
	for range 2 { // the second run compacts what the first left
		log, err := eventlog.Open(dir, store, cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- log.Run(ctx) }()
		for day, events := range s {
			for _, e := range events {
				log.Offer(eventlog.Event{Time: e.Time, Room: "game", Type: e.Type, Subject: e.Subject, Attributes: e.Attributes})
			}
			delete(s, day)
		}
		log.Offer(eventlog.Event{Time: time.Now(), Room: "images", Type: "picture.delivered", Subject: "1001"})
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if n := log.Stats().Dropped; n > 0 {
			t.Fatalf("%d events were dropped", n)
		}
	}
	log, err := eventlog.Open(dir, store, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	return eventlog.NewReader(dir, store), tables
}

// TestReportOfALogOnDisk: the log's files give what the events in memory give.
func TestReportOfALogOnDisk(t *testing.T) {
	t.Parallel()
	first, last, now := day("2026-01-10"), day("2026-01-29"), day("2026-03-01")
	want, err := report.Make(t.Context(), world(rand.New(rand.NewPCG(3, 1)), 40, 20), first, last, now)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := kept(t, world(rand.New(rand.NewPCG(3, 1)), 40, 20))
	got, err := report.Make(t.Context(), report.Logs(r), first, last, now)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("the report of the log is\n%+v, %v, want\n%+v", got, err, want)
	}
}

// TestSparkCountsTheSame runs the job for real, in Spark's local mode.
func TestSparkCountsTheSame(t *testing.T) {
	if os.Getenv("KAMADO_TEST_ALL") == "" {
		t.Skip("Spark takes a minute: run with --all")
	}
	modules := os.Getenv("KAMADO_SPARK") // where pip put pyspark and py4j
	submit := filepath.Join(modules, "pyspark", "bin", "spark-submit")
	if _, err := os.Stat(submit); modules == "" || err != nil {
		t.Skip("needs Spark: ./setup test --all installs pyspark and says where in KAMADO_SPARK")
	}
	rng := rand.New(rand.NewPCG(3, 2))
	s := world(rng, 300, 45)
	s.add("2026-01-12", "points.grant", "1001", "amount", "many") // no number
	s.add("2026-01-12", "chat.say", "nobody")                     // neither a user nor an area
	r, tables := kept(t, s)
	first, last, today := day("2026-01-10"), day("2026-02-20"), day("2026-02-20")
	want, err := report.Make(t.Context(), report.Logs(r), first, last, today.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	job := filepath.Join(t.TempDir(), "report.py")
	if err := os.WriteFile(job, []byte(report.Job), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), submit, "--master", "local[2]", "--conf", "spark.ui.enabled=false", "--conf", "spark.sql.shuffle.partitions=4",
		"--conf", "spark.driver.bindAddress=127.0.0.1", "--conf", "spark.driver.host=127.0.0.1", job,
		"--events", "file://"+tables, "--from", "2026-01-10", "--to", "2026-02-20", "--today", "2026-02-20")
	cmd.Env = append(os.Environ(), "SPARK_LOCAL_IP=127.0.0.1", "PYSPARK_PYTHON=python3", "SPARK_HOME="+filepath.Join(modules, "pyspark"), "PYTHONPATH="+modules)
	cmd.Dir = t.TempDir()
	out, err := cmd.Output()
	if err != nil {
		stderr := ""
		if e, ok := err.(*exec.ExitError); ok {
			stderr = string(e.Stderr)
		}
		t.Fatalf("spark-submit: %v\n%s", err, stderr)
	}
	var got report.Report
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got.Made = want.Made
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Spark counts\n%+v\nwant\n%+v", got, want)
	}
}
