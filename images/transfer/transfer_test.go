package transfer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/images/transfer"
	"github.com/kamado/kamado/internal/blob"
)

func run(t *testing.T, cfg transfer.Config, deps transfer.Deps) transfer.Report {
	t.Helper()
	rep, err := transfer.Run(t.Context(), cfg, deps)
	if err != nil {
		t.Fatalf("Run = %+v, %v", rep, err)
	}
	return rep
}

// TestInterruptedRunsGoOn cancels runs over 20,000 keys at random points until
// one comes to the end. After each, everything at or below the watermark is in
// the target.
func TestInterruptedRunsGoOn(t *testing.T) {
	t.Parallel()
	const keys = 20_000
	from, to := filled(keys), newMemory()
	cfg := transfer.Config{From: "a", To: "b", Checkpoint: filepath.Join(t.TempDir(), "point"), Copies: 8, Every: time.Millisecond}
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	interrupted, last := 0, ""
	for {
		ctx, cancel := context.WithCancel(t.Context())
		stop, n := int32(rnd.IntN(4000)+1), atomic.Int32{}
		to.put = func(context.Context, string) error {
			if n.Add(1) == stop {
				cancel()
			}
			return nil
		}
		rep, err := transfer.Run(ctx, cfg, transfer.Deps{From: from, To: to})
		cancel()
		if rep.Watermark < last || rep.Resumed != (interrupted > 0) {
			t.Fatalf("after %d interruptions: %+v, the watermark was %q", interrupted, rep, last)
		}
		last = rep.Watermark
		for _, key := range from.sorted() {
			if _, ok := to.objects[key]; key <= last && !ok {
				t.Fatalf("%s is missing below the watermark %s", key, last)
			}
		}
		if err == nil {
			if !rep.Whole || rep.Done != keys || rep.Copied+rep.Skipped != keys || rep.Total != keys || rep.Failed != 0 {
				t.Errorf("at the end: %+v", rep)
			}
			break
		}
		if !errors.Is(err, context.Canceled) || rep.Whole {
			t.Fatalf("Run = %+v, %v, want it cancelled", rep, err)
		}
		if interrupted++; interrupted > 1000 {
			t.Fatal("it does not come to an end")
		}
	}
	if interrupted == 0 {
		t.Error("no run was interrupted")
	}
	wantEqual(t, from, to)
	if n := int(to.puts.Load()) - keys; n > interrupted*8 { // Copies that were cut off
		t.Errorf("%d keys were sent twice by %d interruptions, want at most those at work", n, interrupted)
	}
	t.Logf("%d interruptions, %d puts", interrupted, to.puts.Load())
	// What went through everything begins anew, and finds nothing to do.
	before := to.puts.Load()
	if rep := run(t, cfg, transfer.Deps{From: from, To: to}); rep.Resumed || rep.Skipped != keys || to.puts.Load() != before {
		t.Errorf("once more: %+v and %d puts, want all skipped", rep, to.puts.Load()-before)
	}
}

func TestWhatIsEqualIsSkipped(t *testing.T) {
	t.Parallel()
	old, recent := time.Unix(1_600_000_000, 0), time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		name         string
		there        object
		cfg          transfer.Config
		copied, same bool // it is sent; the target holds the source's bytes after
	}{
		{"of equal size and younger", object{[]byte("1234"), recent}, transfer.Config{}, false, false},
		{"of equal size and older", object{[]byte("1234"), old}, transfer.Config{}, true, true},
		{"of equal size and age, so of equal ETag", object{[]byte("1234"), time.Unix(1_700_000_000, 0)}, transfer.Config{}, false, false},
		{"of another size", object{[]byte("12345"), recent}, transfer.Config{}, true, true},
		{"other bytes, verified", object{[]byte("1234"), recent}, transfer.Config{Verify: true}, true, true},
		{"equal bytes, verified", object{[]byte("abcd"), old}, transfer.Config{Verify: true}, false, true},
		{"of another size, kept", object{[]byte("12345"), old}, transfer.Config{Keep: true}, false, false},
	} {
		from, to := newMemory(), newMemory()
		from.objects["k"] = object{[]byte("abcd"), time.Unix(1_700_000_000, 0)}
		to.objects["k"] = c.there
		rep := run(t, c.cfg, transfer.Deps{From: from, To: to})
		if (rep.Copied == 1) != c.copied || rep.Copied+rep.Skipped != 1 || (string(to.objects["k"].data) == "abcd") != c.same {
			t.Errorf("%s: %+v, the target holds %q", c.name, rep, to.objects["k"].data)
		}
	}
}

func TestFailuresAreListedAndTriedAgain(t *testing.T) {
	t.Parallel()
	from, to := filled(3000), newMemory()
	cfg := transfer.Config{Checkpoint: filepath.Join(t.TempDir(), "point"), FailuresMax: 20}
	bad := map[string]bool{"k1/1": true, "k3/3": true, "k6/2995": true}
	var mu sync.Mutex
	from.get = func(_ context.Context, key string) error {
		mu.Lock()
		defer mu.Unlock()
		if bad[key] {
			return fmt.Errorf("%w: no\nway", blob.ErrDenied)
		}
		return nil
	}
	rep := run(t, cfg, transfer.Deps{From: from, To: to})
	if !rep.Whole || rep.Failed != 3 || rep.Copied != 2997 || rep.Done != 3000 || len(rep.Failures) != 3 || rep.Failures[0].Key != "k1/1" {
		t.Errorf("%+v", rep)
	}
	text, err := os.ReadFile(cfg.Checkpoint + ".failures")
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if err != nil || len(lines) != 3 || !strings.Contains(lines[2], `"k6/2995"`) || !strings.Contains(lines[2], "no way") {
		t.Errorf("the list of failures: %q, %v", text, err)
	}
	// The next run goes over everything; an interrupted one tries failures first.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	delete(to.objects, "k5/5")
	must(t, os.Remove(cfg.Checkpoint+".failures"))
	cfg.Every = time.Millisecond
	to.put = func(_ context.Context, key string) error {
		if key == "k5/5" {
			for { // until those before it have failed
				text, _ := os.ReadFile(cfg.Checkpoint + ".failures") // it comes
				if strings.Count(string(text), "\n") >= 2 {
					break
				}
				time.Sleep(time.Millisecond)
			}
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	if rep, err := transfer.Run(ctx, cfg, transfer.Deps{From: from, To: to}); !errors.Is(err, context.Canceled) || rep.Failed < 2 || rep.Failed > 3 {
		t.Fatalf("%+v, %v", rep, err)
	}
	to.put = nil
	mu.Lock()
	delete(bad, "k1/1")
	delete(bad, "k6/2995")
	mu.Unlock()
	delete(from.objects, "k3/3")
	from.keys = nil
	rep = run(t, cfg, transfer.Deps{From: from, To: to})
	if !rep.Resumed || rep.Failed != 0 || rep.Done != 3000 || rep.Gone != 1 || len(rep.Failures) != 0 {
		t.Errorf("after they were mended: %+v", rep)
	}
	wantEqual(t, from, to)
	if text, err := os.ReadFile(cfg.Checkpoint + ".failures"); err != nil || len(text) != 0 {
		t.Errorf("the list of failures: %q, %v, want it empty", text, err)
	}
}

func TestTooManyFailuresEndTheRun(t *testing.T) {
	t.Parallel()
	from, to := filled(5000), newMemory()
	cfg := transfer.Config{Checkpoint: filepath.Join(t.TempDir(), "point"), FailuresMax: 10, Copies: 4}
	to.put = func(context.Context, string) error { return blob.ErrDenied }
	rep, err := transfer.Run(t.Context(), cfg, transfer.Deps{From: from, To: to})
	if !errors.Is(err, transfer.ErrFailures) || rep.Whole || rep.Failed > 11+4 {
		t.Fatalf("%+v, %v, want it ended after 10 failures", rep, err)
	}
	to.put = nil
	if rep := run(t, cfg, transfer.Deps{From: from, To: to}); !rep.Resumed || rep.Failed != 0 || rep.Copied != 5000 {
		t.Errorf("after it was mended: %+v", rep)
	}
	wantEqual(t, from, to)
}

func TestMomentsOfUnavailabilityPass(t *testing.T) {
	t.Parallel()
	from, to := filled(2500), newMemory()
	var n atomic.Int32
	flaky := func(err error) func(context.Context, string) error {
		return func(context.Context, string) error {
			if n.Add(1)%100 == 0 {
				return err
			}
			return nil
		}
	}
	from.get, to.put = flaky(blob.ErrShort), flaky(blob.ErrUnavailable)
	from.list = func(n int32) error {
		if n == 2 {
			return blob.ErrUnavailable
		}
		return nil
	}
	if rep := run(t, transfer.Config{Attempts: 5}, transfer.Deps{From: from, To: to}); rep.Failed != 0 || rep.Copied != 2500 {
		t.Errorf("%+v", rep)
	}
	wantEqual(t, from, to)
	from.list = func(int32) error { return blob.ErrDenied }
	if rep, err := transfer.Run(t.Context(), transfer.Config{}, transfer.Deps{From: from, To: to}); !errors.Is(err, blob.ErrDenied) || rep.Whole {
		t.Errorf("a source that cannot be listed: %+v, %v", rep, err)
	}
}

func TestWhatTheCheckRefusesIsNotStored(t *testing.T) {
	t.Parallel()
	from, to := filled(100), newMemory()
	from.objects["large"] = object{make([]byte, 1000), time.Now()}
	from.keys = nil
	rep := run(t, transfer.Config{BytesMax: 999}, transfer.Deps{From: from, To: to, Check: func(_ context.Context, key string, data []byte) error {
		if !bytes.Equal(data, content(key)) {
			t.Errorf("%s was checked with %q", key, data)
		}
		if key == "k2/9" {
			return errors.New("this is no picture")
		}
		return nil
	}})
	if rep.Failed != 2 || rep.Copied != 99 || rep.Failures[0].Error != "check: this is no picture" || !strings.Contains(rep.Failures[1].Error, "999") {
		t.Errorf("%+v", rep)
	}
	if _, ok := to.objects["k2/9"]; ok {
		t.Error("it was stored")
	}
}

// TestOneLongCopyHoldsTheWatermark lets one copy take for ever: the others go
// on, but only so many.
func TestOneLongCopyHoldsTheWatermark(t *testing.T) {
	t.Parallel()
	from, to := filled(6000), newMemory()
	first := from.sorted()[0]
	release := make(chan struct{})
	to.put = func(context.Context, string) error { return nil }
	from.get = func(ctx context.Context, key string) error {
		if key == first {
			select {
			case <-release:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	point := filepath.Join(t.TempDir(), "point")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		rep, err := transfer.Run(ctx, transfer.Config{Checkpoint: point, Copies: 4}, transfer.Deps{From: from, To: to})
		if rep.Watermark != "" || rep.Done != 0 {
			t.Errorf("%+v, want nothing finished", rep)
		}
		done <- err
	}()
	for deadline := time.Now().Add(20 * time.Second); to.puts.Load() < 4095; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d copies beside the long one, want 4095", to.puts.Load())
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if n := to.puts.Load(); n != 4095 {
		t.Errorf("%d copies beside the long one, want 4095", n)
	}
	close(release)
	run(t, transfer.Config{Checkpoint: point}, transfer.Deps{From: from, To: to})
	wantEqual(t, from, to)
}

func TestCopiesAreBounded(t *testing.T) {
	t.Parallel()
	from, to := filled(500), newMemory()
	to.put = func(context.Context, string) error { time.Sleep(100 * time.Microsecond); return nil }
	run(t, transfer.Config{Copies: 3}, transfer.Deps{From: from, To: to})
	if n := to.busiest.Load(); n > 3 || n < 2 {
		t.Errorf("%d copies at once, want 3", n)
	}
}

func TestProgressIsTold(t *testing.T) {
	t.Parallel()
	from, to := filled(3000), newMemory()
	to.put = func(context.Context, string) error { time.Sleep(50 * time.Microsecond); return nil }
	var bar, lines bytes.Buffer
	run(t, transfer.Config{Prefix: "k1/", Count: true, Every: 2 * time.Millisecond, Copies: 2}, transfer.Deps{From: from, To: to, Bar: &bar, Lines: &lines})
	want := 429 // of 3000 keys, those of k1/
	var last transfer.Progress
	for line := range strings.Lines(lines.String()) {
		var p transfer.Progress
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if p.Done < last.Done || p.End && p.Done != int64(want) || p.Total >= 0 && p.Total != int64(want) || p.Done != p.Copied {
			t.Errorf("after %+v: %+v", last, p)
		}
		last = p
	}
	if !last.End || last.KeysPerSecond <= 0 || last.Total != int64(want) || last.Bytes == 0 || last.Took <= 0 {
		t.Errorf("the last line: %+v", last)
	}
	if text := bar.String(); !strings.HasPrefix(text, "\r") || !strings.HasSuffix(text, "\n") || strings.Count(text, "\n") != 1 || !strings.Contains(text, "429 of 429") || !strings.Contains(text, "100.0 %") {
		t.Errorf("the bar: %q", text)
	}
	p := transfer.Progress{Done: 1234567, Total: 8000000, Bytes: 5 << 30, KeysPerSecond: 3210, BytesPerSec: 1 << 20, Failed: 2, Left: 35 * time.Minute}
	if got, want := p.String(), "[###-----------------]  15.4 %  1,234,567 of 8,000,000  5.0 GiB  3,210/s  1.0 MiB/s  failed 2  left 35m0s"; got != want {
		t.Errorf("String() = %q\nwant       %q", got, want)
	}
}

func TestCheckpointsOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	from, to := filled(10), newMemory()
	deps := transfer.Deps{From: from, To: to}
	point := filepath.Join(t.TempDir(), "point")
	cfg := transfer.Config{From: "a", To: "b", Checkpoint: point}
	run(t, cfg, deps)
	for name, other := range map[string]transfer.Config{
		"another source": {From: "x", To: "b", Checkpoint: point}, "another target": {From: "a", To: "x", Checkpoint: point},
		"another prefix": {From: "a", To: "b", Prefix: "k1/", Checkpoint: point},
	} {
		if _, err := transfer.Run(t.Context(), other, deps); !errors.Is(err, transfer.ErrCheckpoint) {
			t.Errorf("%s: %v, want ErrCheckpoint", name, err)
		}
	}
	for _, text := range []string{"", "{}", "not", `{"version":2}`, strings.Repeat("[", 10000)} {
		if err := os.WriteFile(point, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := transfer.Run(t.Context(), cfg, deps); !errors.Is(err, transfer.ErrCheckpoint) {
			t.Errorf("a checkpoint %.20q: %v, want ErrCheckpoint", text, err)
		}
	}
	if err := os.Remove(point); err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	to.put = func(context.Context, string) error { <-release; return nil }
	to.objects = map[string]object{}
	done := make(chan error, 1)
	go func() { _, err := transfer.Run(t.Context(), cfg, deps); done <- err }()
	for deadline := time.Now().Add(10 * time.Second); to.busy.Load() == 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	if _, err := transfer.Run(t.Context(), cfg, deps); !errors.Is(err, transfer.ErrLocked) {
		t.Errorf("a second run: %v, want ErrLocked", err)
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestACheckpointThatCannotBeWrittenEndsTheRun takes its directory away.
func TestACheckpointThatCannotBeWrittenEndsTheRun(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	from, to := filled(100), newMemory()
	to.put = func(ctx context.Context, key string) error {
		if key == "k0/0" {
			// At once, since the run may write into it. The first key is done then, so there is something new to write.
			return os.Rename(dir, dir+"-gone")
		}
		<-ctx.Done()
		return ctx.Err()
	}
	rep, err := transfer.Run(t.Context(), transfer.Config{Checkpoint: filepath.Join(dir, "point"), Every: time.Millisecond}, transfer.Deps{From: from, To: to})
	if !errors.Is(err, os.ErrNotExist) || rep.Whole {
		t.Errorf("%+v, %v, want the error of the file", rep, err)
	}
}

func TestValidateNamesEveryFault(t *testing.T) {
	t.Parallel()
	if err := (transfer.Config{}).Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	for field, cfg := range map[string]transfer.Config{
		"prefix": {Prefix: "../"}, "copies": {Copies: -1}, "attempts": {Attempts: 11}, "failures_max": {FailuresMax: 1 << 30},
		"bytes_max": {BytesMax: -1}, "every": {Every: -1}, "link_dir": {Link: true},
	} {
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("a bad %s: %v", field, err)
		}
	}
	if _, err := transfer.Run(t.Context(), transfer.Config{}, transfer.Deps{}); err == nil {
		t.Error("a run without stores has no complaint")
	}
}

// keysOf lists all keys of a store.
func keysOf(t *testing.T, s blob.Store) (keys []string) {
	t.Helper()
	for after := ""; ; after = keys[len(keys)-1] {
		page, err := s.List(t.Context(), "", after, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range page {
			keys = append(keys, in.Key)
		}
		if len(page) < blob.ListMax {
			return slices.Clip(keys)
		}
	}
}
