package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/internal/disk/disktest"
)

// running opens a journal and runs it until the test ends or stop is called.
func running(t *testing.T, dir string, cfg Config) (j *Journal, stop func()) {
	t.Helper()
	j, err := Open(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(stop)
	return j, stop
}

func put(t *testing.T, j *Journal, entries ...string) {
	t.Helper()
	if err := j.Append(raw(entries))(t.Context()); err != nil {
		t.Fatalf("Append = %v", err)
	}
}

func raw(entries []string) [][]byte {
	var out [][]byte
	for _, e := range entries {
		out = append(out, []byte(e))
	}
	return out
}

// read opens the directory for itself and gives what is in it.
func read(t *testing.T, dir string, cfg Config) []string {
	t.Helper()
	j, err := Open(dir, cfg)
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	defer j.Close()
	return entries(t, j)
}

func entries(t *testing.T, j *Journal) []string {
	t.Helper()
	var out []string
	if err := j.Each(func(e []byte) error { out = append(out, string(e)); return nil }); err != nil {
		t.Fatalf("Each = %v", err)
	}
	return out
}

func wantKind(t *testing.T, err error, kind dns.Kind) {
	t.Helper()
	if err == nil || dns.KindOf(err) != kind {
		t.Fatalf("error %v, want one of kind %v", err, kind)
	}
}

func TestEntriesComeBackInOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, stop := running(t, dir, Config{})
	if got := entries(t, j); len(got) != 0 {
		t.Fatalf("a new journal has %q", got)
	}
	put(t, j, "a", "b")
	put(t, j)
	put(t, j, "", strings.Repeat("x", EntryBytesMax))
	stop()
	wantKind(t, j.Append(raw([]string{"late"}))(t.Context()), dns.Unavailable)
	j, stop = running(t, dir, Config{})
	put(t, j, "c")
	stop()
	want := []string{"a", "b", "", strings.Repeat("x", EntryBytesMax), "c"}
	if got := read(t, dir, Config{}); !slices.Equal(got, want) {
		t.Errorf("entries = %.60q, want %.60q", got, want)
	}
}

func TestManyWaitersShareOneSync(t *testing.T) {
	t.Parallel()
	d := disktest.New(disktest.Faults{})
	j, _ := running(t, t.TempDir(), Config{disk: d})
	arrived, gate := make(chan struct{}, 100), make(chan struct{})
	d.Set(disktest.Faults{Syncing: func() { arrived <- struct{}{}; <-gate }})
	first := j.Append(raw([]string{"first"}))
	<-arrived // the disk is busy now
	before := d.Syncs()
	var waits []Wait
	for i := range 500 {
		waits = append(waits, j.Append(raw([]string{strconv.Itoa(i)})))
	}
	close(gate)
	for _, w := range append(waits, first) {
		if err := w(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := d.Syncs() - before; got != 2 {
		t.Errorf("%d syncs for 501 appends that came together, want 2", got)
	}
}

func TestBoundsAreReached(t *testing.T) {
	t.Parallel()
	d := disktest.New(disktest.Faults{})
	j, _ := running(t, t.TempDir(), Config{disk: d, BytesMax: 3000})
	wantKind(t, j.Append([][]byte{make([]byte, EntryBytesMax+1)})(t.Context()), dns.TooLarge)
	wantKind(t, j.Append(slices.Repeat([][]byte{make([]byte, EntryBytesMax)}, BatchBytesMax/EntryBytesMax))(t.Context()), dns.TooLarge)
	put(t, j, strings.Repeat("x", 2000))
	wantKind(t, j.Append([][]byte{make([]byte, 2000)})(t.Context()), dns.Exhausted)
	put(t, j, "small")

	arrived, gate := make(chan struct{}, 100), make(chan struct{})
	d.Set(disktest.Faults{Syncing: func() { arrived <- struct{}{}; <-gate }})
	t.Cleanup(func() { close(gate) })
	j.Append(raw([]string{"keeps the disk busy"}))
	<-arrived
	big := make([]byte, EntryBytesMax)
	var err error
	for i := 0; err == nil && i <= QueueBytesMax/EntryBytesMax; i++ {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err = j.Append([][]byte{big})(ctx); errors.Is(err, context.Canceled) {
			err = nil
		}
	}
	wantKind(t, err, dns.Exhausted)
}

func TestTornEndIsCut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := disktest.New(disktest.Faults{})
	j, err := Open(dir, Config{disk: d})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, j, []string{"one"}, []string{"two", "three"})
	whole := len(d.Bytes(fileName))
	commit(t, j, []string{"four"}, []string{"five", "six"})
	full := d.Bytes(fileName)
	j.Close()
	four := whole + frameBytes + len("four")
	for end := whole + 1; end < len(full); end++ {
		for _, zeros := range []bool{false, true} {
			b := bytes.Clone(full[:end])
			if zeros {
				b = append(b, make([]byte, len(full)-end)...)
			}
			d.Put(fileName, b)
			var log bytes.Buffer
			j, err := Open(dir, Config{disk: d, Log: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatalf("Open of %d of %d bytes = %v", end, len(full), err)
			}
			want := []string{"one", "two", "three"}
			if end >= four {
				want = append(want, "four")
			}
			if got := entries(t, j); !slices.Equal(got, want) {
				t.Fatalf("of %d bytes come back %q, want %q", end, got, want)
			}
			if end != four && !strings.Contains(log.String(), "torn end") {
				t.Fatalf("%d of %d bytes: the log says %q", end, len(full), log.String())
			}
			commit(t, j, []string{"seven"})
			j.Close()
			if got := read(t, dir, Config{disk: d}); !slices.Equal(got, append(want, "seven")) {
				t.Fatalf("after the cut at %d come back %q", end, got)
			}
		}
	}
}

// commit writes batches as one group, without Run.
func commit(t *testing.T, j *Journal, batches ...[]string) {
	t.Helper()
	var group []*batch
	for _, es := range batches {
		b := &batch{entries: raw(es), done: make(chan struct{})}
		for _, e := range es {
			b.bytes += frameBytes + int64(len(e))
		}
		group = append(group, b)
	}
	j.writing.Lock()
	defer j.writing.Unlock()
	if err := j.commit(group); err != nil {
		t.Fatal(err)
	}
}

// TestAFlippedBitIsNamed turns over the bits of a journal that was closed in
// order: either the file is refused with the right offset, or nothing is missing.
func TestAFlippedBitIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := disktest.New(disktest.Faults{})
	j, stop := running(t, dir, Config{disk: d})
	var want []string
	var starts []int64 // of each batch, and the end
	for i := range 6 {
		size, _ := j.Size()
		starts = append(starts, size)
		es := []string{fmt.Sprint("entry ", i), "and another"}
		put(t, j, es...)
		want = append(want, es...)
	}
	end, _ := j.Size()
	stop()
	full := d.Bytes(fileName)
	refused := 0
	for bit := range len(full) * 8 {
		if bit%8 != bit/8%8 && os.Getenv("KAMADO_TEST_ALL") == "" {
			continue // one bit of each byte
		}
		b := bytes.Clone(full)
		b[bit/8] ^= 1 << (bit % 8)
		d.Put(fileName, b)
		j, err := Open(dir, Config{disk: d})
		if err == nil {
			if got := entries(t, j); !slices.Equal(got, want) {
				t.Fatalf("bit %d of byte %d: %q came back and nothing was said", bit%8, bit/8, got)
			}
			j.Close()
			if int64(bit/8) < end {
				t.Fatalf("bit %d of byte %d: not noticed", bit%8, bit/8)
			}
			continue
		}
		refused++
		wantKind(t, err, dns.Internal)
		at := int64(0)
		for _, s := range starts {
			if int64(bit/8) >= s {
				at = s
			}
		}
		if int64(bit/8) >= at+frameBytes+7 && at > 0 {
			at += frameBytes + 7 // the second entry of the batch
		}
		if !strings.Contains(err.Error(), fmt.Sprintf("%s is damaged at offset %d.", filepath.Join(dir, fileName), at)) {
			t.Fatalf("byte %d: %v, want the offset %d", bit/8, err, at)
		}
		if !bytes.Equal(d.Bytes(fileName), b) {
			t.Fatal("a damaged file was changed")
		}
	}
	if refused == 0 {
		t.Error("no damage was refused")
	}
}

// TestAGroupWrittenOutOfOrderIsTorn: a machine that loses power may have written
// the second page of a sync and not the first; the same a group later is damage.
func TestAGroupWrittenOutOfOrderIsTorn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := disktest.New(disktest.Faults{})
	j, err := Open(dir, Config{disk: d})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, j, []string{"durable"})
	at := j.size
	commit(t, j, []string{"lost"}, []string{"written"})
	torn := d.Bytes(fileName)
	commit(t, j, []string{"later"})
	damaged := d.Bytes(fileName)
	j.Close()
	clear(torn[at : at+10])
	clear(damaged[at : at+10])
	d.Put(fileName, torn)
	if got := read(t, dir, Config{disk: d}); !slices.Equal(got, []string{"durable"}) {
		t.Errorf("after a torn group: %q", got)
	}
	d.Put(fileName, damaged)
	_, err = Open(dir, Config{disk: d})
	wantKind(t, err, dns.Internal)
}

// TestAnEntryCannotPoseAsAFrame: a client writes the bytes of a later frame into
// an entry, and the entry is torn.
func TestAnEntryCannotPoseAsAFrame(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := disktest.New(disktest.Faults{})
	j, err := Open(dir, Config{disk: d})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, j, []string{"good"})
	for salt, cut := range map[uint64]bool{j.salt + 1: true, j.salt: false} { // with the salt it would work: the control
		b := d.Bytes(fileName)
		evil := appendFrame(nil, salt, frame{group: 1 << 40, kind: kindEntry | flagBatchEnd | flagGroupEnd})
		b = appendFrame(b, j.salt, frame{group: j.group + 1, kind: kindEntry, entry: append(evil, "tail"...)})
		d2 := disktest.New(disktest.Faults{})
		d2.Put(fileName, b[:len(b)-1])
		other, err := Open(t.TempDir(), Config{disk: d2})
		if (err == nil) != cut {
			t.Errorf("a torn entry with a frame of salt %+d in it: Open = %v", int64(salt-j.salt), err)
		}
		if err == nil {
			other.Close()
		}
	}
	j.Close()
}

func TestTwoProcessesCannotShare(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, err := Open(dir, Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(dir, Config{})
	wantKind(t, err, dns.Conflict)
	if want := fmt.Sprintf("in use by process %d", os.Getpid()); !strings.Contains(err.Error(), want) {
		t.Errorf("the error is %q, want %q in it", err, want)
	}
	j.Close()
	j, err = Open(dir, Config{})
	if err != nil {
		t.Errorf("after the other is gone: %v", err)
	}
	j.Close()
}

func TestAnotherFormatIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	head := appendHeader(nil, 7)
	head[8] = 2
	for _, b := range [][]byte{head, []byte("something else entirely, and long enough"), {}} {
		if err := os.WriteFile(filepath.Join(dir, fileName), b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir, Config{})
		if err == nil {
			t.Errorf("Open of %q succeeded", b)
		}
	}
}

// TestMain is also the process that TestKilled kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv("KAMADO_JOURNAL_CHILD"); dir != "" {
		child(dir, os.Getenv("KAMADO_JOURNAL_EARLY") != "")
		return
	}
	os.Exit(m.Run())
}

// child appends numbers and prints each when it is acknowledged; early prints it
// before, which is wrong. It compacts all the time.
func child(dir string, early bool) {
	var mu sync.Mutex
	known := [][]byte{}
	snapshot := func(yield func([]byte) bool) {
		mu.Lock()
		all := slices.Clone(known)
		mu.Unlock()
		for _, e := range all {
			if !yield(e) {
				return
			}
		}
	}
	j, err := Open(dir, Config{Snapshot: snapshot, CompactBytesMin: 2000, CompactRatio: 1.2})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	j.Each(func(e []byte) error { known = append(known, e); return nil })
	go j.Run(context.Background())
	first := len(known)
	for w := range 4 {
		go func() {
			for i := 0; ; i++ {
				e := fmt.Appendf(nil, "%d-%d-%d", first, w, i)
				mu.Lock()
				known = append(known, e)
				wait := j.Append([][]byte{e})
				mu.Unlock()
				if early {
					fmt.Printf("%s\n", e)
				}
				if wait(context.Background()) == nil && !early {
					fmt.Printf("%s\n", e)
				}
			}
		}()
	}
	select {}
}

func TestKilled(t *testing.T) {
	t.Parallel()
	for _, early := range []bool{false, true} {
		lost := 0
		dir := t.TempDir()
		acked := map[string]bool{}
		for round := range 4 {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "KAMADO_JOURNAL_CHILD="+dir)
			if early {
				cmd.Env = append(cmd.Env, "KAMADO_JOURNAL_EARLY=1")
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := killAfter(t, cmd, out, 50+round*157)
			if len(lines) == 0 || strings.HasPrefix(lines[0], "error") {
				t.Fatalf("the child says %q", lines)
			}
			for _, l := range lines {
				acked[l] = true
			}
			there := map[string]bool{}
			for _, e := range read(t, dir, Config{}) {
				there[e] = true
			}
			for e := range acked {
				if !there[e] {
					lost++
				}
			}
		}
		if !early && lost > 0 {
			t.Errorf("%d acknowledged entries are gone after kill -9", lost)
		}
		if early && lost == 0 {
			t.Error("the control, which acknowledges before the wait, lost nothing: this test sees nothing")
		}
	}
}
