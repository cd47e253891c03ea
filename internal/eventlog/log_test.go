package eventlog_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/fs"
	"github.com/kamado/kamado/internal/eventlog"
	"github.com/kamado/kamado/internal/eventlog/segment"
	"github.com/kamado/kamado/internal/unit"
)

var start = time.Date(2026, 3, 1, 23, 59, 0, 0, time.UTC)

// event i happens i seconds after start, so that days change on the way.
func event(i int) eventlog.Event {
	return eventlog.Event{
		Time: start.Add(time.Duration(i) * time.Second), Room: []string{"images", "dns"}[i%2], Type: "test.event", Subject: fmt.Sprintf("s%d", i),
		RequestID: fmt.Sprintf("r%d", i%3), Actor: "tester", Attributes: map[string]string{"i": fmt.Sprint(i)},
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// config syncs often, and keeps all days: the events of the tests are old.
func config() eventlog.Config {
	cfg := eventlog.Default()
	cfg.RetainDays = 0
	cfg.SyncEvery = 5 * time.Millisecond
	return cfg
}

func newStore(t testing.TB) *fs.Store {
	t.Helper()
	s, err := fs.Open(t.TempDir())
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// running is a log at work and a way to end it.
func running(t testing.TB, l *eventlog.Log) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run = %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// fill appends events i..n-1 in a run of their own, which leaves them in a sealed
// segment. The store is down meanwhile, so that nothing is compacted.
func fill(t testing.TB, dir string, from, to int) {
	t.Helper()
	l, err := eventlog.Open(dir, downStore{}, config(), quiet())
	must(t, err)
	stop := running(t, l)
	for i := from; i < to; i++ {
		must(t, l.Append(t.Context(), event(i)))
	}
	stop()
}

// downStore is a store that cannot be asked, but has nothing either.
type downStore struct{ blob.Store }

func (downStore) Put(context.Context, string, io.Reader, int64, blob.PutOptions) (blob.Info, error) {
	return blob.Info{}, blob.ErrUnavailable
}
func (downStore) List(context.Context, string, string, int) ([]blob.Info, error) { return nil, nil }

// all gives every event of the log, oldest first.
func all(t testing.TB, l *eventlog.Log) []eventlog.Event {
	t.Helper()
	events, err := l.Query(t.Context(), eventlog.Query{Limit: eventlog.QueryLimitMax})
	must(t, err)
	for i, j := 0, len(events)-1; i < j; i, j = i+1, j-1 {
		events[i], events[j] = events[j], events[i]
	}
	return events
}

func wantEvents(t testing.TB, l *eventlog.Log, from, to int) {
	t.Helper()
	got := all(t, l)
	if len(got) != to-from {
		t.Errorf("the log has %d events, want %d", len(got), to-from)
		return
	}
	for i := range got {
		if want := event(from + i); !reflect.DeepEqual(got[i], want) {
			t.Errorf("event %d = %+v, want %+v", i, got[i], want)
			return
		}
	}
}

func segments(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	must(t, err)
	return names
}

func TestAppendedEventsOutliveTheProcess(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 0, 10)
	fill(t, dir, 10, 20)
	l, err := eventlog.Open(dir, newStore(t), config(), quiet())
	must(t, err)
	wantEvents(t, l, 0, 20)
	must(t, l.Compact(t.Context()))
	wantEvents(t, l, 0, 20)
	if left := segments(t, dir); len(left) != 0 {
		t.Errorf("segments %v are left after compaction", left)
	}
}

func TestConcurrentAppendsShareSyncs(t *testing.T) {
	dir := t.TempDir()
	d := &countingDisk{}
	l, err := eventlog.OpenOn(dir, newStore(t), config(), quiet(), d)
	must(t, err)
	stop := running(t, l)
	const workers, each = 32, 20
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				if err := l.Append(t.Context(), event(w*each+i)); err != nil {
					t.Errorf("Append = %v", err)
				}
			}
		})
	}
	wg.Wait()
	wantEvents(t, l, 0, workers*each)
	stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	t.Logf("%d appends, %d syncs", workers*each, d.syncs)
	if d.syncs >= workers*each/2 {
		t.Errorf("%d appends made %d syncs, want them shared", workers*each, d.syncs)
	}
	if err := l.Append(t.Context(), event(0)); !errors.Is(err, eventlog.ErrClosed) {
		t.Errorf("Append after Run = %v, want ErrClosed", err)
	}
}

// TestCutAtEveryByteOfTheLastRecord is a crash at every place of a write.
func TestCutAtEveryByteOfTheLastRecord(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 0, 2)
	whole, err := os.ReadFile(segments(t, dir)[0])
	must(t, err)
	shorter := t.TempDir()
	fill(t, shorter, 0, 1)
	one, err := os.ReadFile(segments(t, shorter)[0])
	must(t, err)

	for cut := 0; cut <= len(whole); cut++ {
		dir := t.TempDir()
		path := filepath.Join(dir, "0000000000000001.seg")
		must(t, os.WriteFile(path, whole[:cut], 0o600))
		var log strings.Builder
		l, err := eventlog.Open(dir, newStore(t), config(), slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatalf("cut at %d: Open = %v", cut, err)
		}
		want := 0
		switch {
		case cut == len(whole):
			want = 2
		case cut >= len(one):
			want = 1
		}
		if got := all(t, l); len(got) != want {
			t.Fatalf("cut at %d of %d: %d events, want %d", cut, len(whole), len(got), want)
		}
		torn := cut != len(whole) && cut != len(one) && cut != segment.HeaderBytes
		if torn != strings.Contains(log.String(), "torn record") || torn != (l.Stats().Torn == 1) {
			t.Fatalf("cut at %d: log says %q, stats %+v", cut, log.String(), l.Stats())
		}
		if kept, err := os.ReadFile(path + ".torn"); torn && (err != nil || len(kept) == 0 && cut > 0) {
			t.Fatalf("cut at %d: the torn bytes were not kept: %d, %v", cut, len(kept), err)
		}
		// The log goes on after the repair.
		stop := running(t, l)
		must(t, l.Append(t.Context(), event(50)))
		if got := all(t, l); len(got) != want+1 {
			t.Fatalf("cut at %d: %d events after another Append, want %d", cut, len(got), want+1)
		}
		stop()
	}
}

// TestKilledProcessKeepsWhatItAcknowledged kills a real process with SIGKILL
// while it appends.
func TestKilledProcessKeepsWhatItAcknowledged(t *testing.T) {
	if dir := os.Getenv("KAMADO_EVENTLOG_CHILD"); dir != "" {
		appendForever(t, dir)
	}
	dir := t.TempDir()
	acknowledged := 0
	for round := range 3 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledProcessKeepsWhatItAcknowledged$")
		cmd.Env = append(os.Environ(), "KAMADO_EVENTLOG_CHILD="+dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); {
			if lines.Text() != "ok" {
				continue
			}
			acknowledged++
			if n++; n == 100*(round+1) {
				must(t, cmd.Process.Kill())
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the process ended by itself")
		}
	}
	l, err := eventlog.Open(dir, newStore(t), config(), quiet())
	must(t, err)
	must(t, l.Compact(t.Context()))
	got := all(t, l)
	if len(got) < acknowledged {
		t.Errorf("%d events were acknowledged, %d are found", acknowledged, len(got))
	}
	seen := map[string]bool{}
	for _, e := range got {
		if seen[e.Subject] {
			t.Errorf("event %s is found twice", e.Subject)
		}
		seen[e.Subject] = true
	}
}

// appendForever is the process that is killed. It says "ok" for each event that
// was acknowledged.
func appendForever(t *testing.T, dir string) {
	l, err := eventlog.Open(dir, downStore{}, config(), quiet())
	must(t, err)
	running(t, l)
	for w := range 4 {
		go func() {
			for i := 0; ; i++ {
				e := event(i)
				e.Subject = fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				if l.Append(context.Background(), e) == nil {
					fmt.Println("ok")
				}
			}
		}()
	}
	select {}
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	l, err := eventlog.Open(dir, newStore(t), config(), quiet())
	must(t, err)
	if _, err := eventlog.Open(dir, newStore(t), config(), quiet()); !errors.Is(err, eventlog.ErrInUse) {
		t.Errorf("second Open = %v, want ErrInUse", err)
	}
	running(t, l)()
	_, err = eventlog.Open(dir, newStore(t), config(), quiet())
	must(t, err)
}

func TestSegmentOfALaterVersionIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 0, 1)
	must(t, os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(`{"version":2,"log":"x"}`), 0o600))
	if _, err := eventlog.Open(dir, newStore(t), config(), quiet()); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("Open with a later manifest = %v, want an error that names the version", err)
	}
}

func TestOfferNeverWaits(t *testing.T) {
	cfg := config()
	cfg.Queue = 4
	l, err := eventlog.Open(t.TempDir(), newStore(t), cfg, quiet())
	must(t, err)
	// Nothing runs, so the queue fills and the rest is dropped.
	for i := range 10 {
		l.Offer(event(i))
	}
	l.Offer(eventlog.Event{Room: "images"}) // invalid
	if s := l.Stats(); s.Queued != 4 || s.Dropped != 7 {
		t.Errorf("Stats = %+v, want 4 queued and 7 dropped", s)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := l.Append(ctx, event(0)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Append to a full queue = %v, want the deadline", err)
	}
	running(t, l)() // writes what is queued, and that something is missing
	l, err = eventlog.Open(l.Dir(), newStore(t), cfg, quiet())
	must(t, err)
	drops, err := l.Query(t.Context(), eventlog.Query{Room: eventlog.House, Type: "eventlog.dropped"})
	if err != nil || len(drops) != 1 || drops[0].Attributes["events"] != "7" {
		t.Errorf("Query of drops = %+v, %v, want one event that says 7", drops, err)
	}
	if got := len(all(t, l)); got != 5 {
		t.Errorf("the log has %d events, want the 4 that were queued and the one about drops", got)
	}
}

func TestOfferAllocatesNothing(t *testing.T) {
	cfg := config()
	cfg.Queue = 1 << 16
	l, err := eventlog.Open(t.TempDir(), newStore(t), cfg, quiet())
	must(t, err)
	e := event(1)
	if n := testing.AllocsPerRun(1000, func() { l.Offer(e) }); n != 0 {
		t.Errorf("Offer = %v allocations, want 0", n)
	}
	if s := l.Stats(); s.Dropped != 0 {
		t.Errorf("%d dropped", s.Dropped)
	}
}

func TestSegmentsEndBySizeAndAge(t *testing.T) {
	cfg := config()
	cfg.SegmentBytes = unit.MiB
	cfg.PendingBytes = 3 * unit.MiB
	dir := t.TempDir()
	l, err := eventlog.Open(dir, downStore{}, cfg, quiet())
	must(t, err)
	stop := running(t, l)
	big := strings.Repeat("x", 60<<10)
	var full error
	n := 0
	for full == nil && n < 100 {
		e := event(n)
		e.Attributes = map[string]string{"big": big}
		if full = l.Append(t.Context(), e); full == nil {
			n++
		}
	}
	if !errors.Is(full, eventlog.ErrFull) || n < 40 {
		t.Errorf("after %d events: %v, want ErrFull near 3 MiB", n, full)
	}
	stop()
	for _, path := range segments(t, dir) {
		if fi, err := os.Stat(path); err != nil || fi.Size() > int64(cfg.SegmentBytes) {
			t.Errorf("segment of %d bytes, %v", fi.Size(), err)
		}
	}

	cfg.SegmentAge = time.Millisecond
	l, err = eventlog.Open(dir, newStore(t), cfg, quiet())
	must(t, err)
	running(t, l)
	poll(t, "everything is compacted", func() bool { return l.Stats().Pending == 0 })
	must(t, l.Append(t.Context(), event(n)))
	poll(t, "an old segment is sealed and compacted", func() bool { return l.Stats().Pending == 0 })
	if got := len(all(t, l)); got != n+1 {
		t.Errorf("the log has %d events, want %d", got, n+1)
	}
}

func poll(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long until %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// countingDisk counts syncs, which take a little as on a real disk.
type countingDisk struct {
	mu    sync.Mutex
	syncs int
}

func (d *countingDisk) Create(path string) (eventlog.File, error) {
	f, err := eventlog.OSDisk.Create(path)
	return &countingFile{f, d}, err
}

type countingFile struct {
	eventlog.File
	disk *countingDisk
}

func (f *countingFile) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.syncs++
	return f.File.Sync()
}
