package journal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/internal/disk/disktest"
)

// killAfter kills the process after it has printed n lines, and gives all whole lines.
func killAfter(t *testing.T, cmd *exec.Cmd, out io.Reader, n int) []string {
	t.Helper()
	var lines []string
	in := bufio.NewReader(out)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			break
		}
		lines = append(lines, strings.TrimSuffix(line, "\n"))
		if len(lines) == n {
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	return lines
}

// story appends until the disk is off, compacting now and then, and gives what was
// acknowledged and the batches that were tried.
func story(t *testing.T, dir string, d *disktest.Disk, r *rand.Rand) (acked []string, tried map[string]int) {
	t.Helper()
	tried = map[string]int{} // first entry of a batch to its length
	var known [][]byte
	j, err := Open(dir, Config{disk: d, BytesMax: 1 << 20})
	if err != nil {
		return nil, tried
	}
	defer j.Close()
	for n := 0; !d.Off() && n < 60; n++ {
		if n%9 == 8 {
			j.Compact(t.Context(), slices.Values(known))
			continue
		}
		var group []*batch
		for b := range 1 + r.IntN(3) {
			bt := &batch{done: make(chan struct{})}
			for k := range 1 + r.IntN(3) {
				e := fmt.Appendf(nil, "%d.%d.%d %s", n, b, k, strings.Repeat("x", r.IntN(100)))
				bt.entries = append(bt.entries, e)
				bt.bytes += frameBytes + int64(len(e))
			}
			tried[string(bt.entries[0])] = len(bt.entries)
			known = append(known, bt.entries...)
			group = append(group, bt)
		}
		j.writing.Lock()
		err := j.commit(group)
		j.writing.Unlock()
		if err == nil {
			for _, b := range group {
				for _, e := range b.entries {
					acked = append(acked, string(e))
				}
			}
		}
	}
	return acked, tried
}

// TestPowerIsLost takes the power away at every operation of a story. What was
// acknowledged is there afterwards, and no batch is there in part.
func TestPowerIsLost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seeds := uint64(1)
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		seeds = 20
	}
	for _, lies := range []bool{false, true} {
		lost := 0
		for seed := range seeds {
			for at := 1; at < 160; at++ {
				d := disktest.New(disktest.Faults{PowerAt: at, Lies: lies})
				acked, tried := story(t, dir, d, rand.New(rand.NewPCG(seed, 7)))
				after := d.Restart(rand.New(rand.NewPCG(seed, uint64(at))))
				j, err := Open(dir, Config{disk: after})
				if err != nil {
					if !lies {
						t.Fatalf("seed %d, power lost at operation %d: Open = %v", seed, at, err)
					}
					lost++
					continue
				}
				got := entries(t, j)
				j.Close()
				for _, e := range acked {
					if !slices.Contains(got, e) {
						lost++
					}
				}
				if lost > 0 && !lies {
					t.Fatalf("seed %d, power lost at operation %d: %d acknowledged entries are gone", seed, at, lost)
				}
				if !lies {
					wantWholeBatches(t, got, tried)
				}
			}
		}
		if lies && lost == 0 {
			t.Error("the control, a disk whose sync does nothing, lost nothing: this test sees nothing")
		}
	}
}

func wantWholeBatches(t *testing.T, got []string, tried map[string]int) {
	t.Helper()
	count := map[string]int{}
	for _, e := range got {
		count[e[:strings.LastIndex(e[:strings.Index(e, " ")], ".")]]++ // its batch
	}
	for first, n := range tried {
		batch := first[:strings.LastIndex(first[:strings.Index(first, " ")], ".")]
		if c := count[batch]; c != 0 && c != n {
			t.Fatalf("of batch %s came back %d of %d entries", batch, c, n)
		}
	}
}

func TestFullDiskIsAnErrorAndRecovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := disktest.New(disktest.Faults{})
	var known [][]byte
	snapshots := make(chan struct{}, 100)
	j, stop := running(t, dir, Config{disk: d, Snapshot: func(yield func([]byte) bool) {
		snapshots <- struct{}{}
		for _, e := range known {
			if !yield(e) {
				return
			}
		}
	}})
	put(t, j, "before")
	d.Set(disktest.Faults{WriteErr: func() error { return &os.PathError{Op: "write", Path: "entries", Err: syscall.ENOSPC} }})
	known = raw([]string{"before", "refused", "after"})
	for range 3 {
		wantKind(t, j.Append(raw([]string{"refused"}))(t.Context()), dns.Exhausted)
	}
	b := d.Bytes(fileName)
	if bytes.Contains(b, []byte("refu")) {
		t.Error("half of a refused append stays in the file")
	}
	d.Set(disktest.Faults{})
	put(t, j, "after")
	<-snapshots // what the caller kept in memory is written as a whole
	stop()
	if got := read(t, dir, Config{disk: d}); !slices.Contains(got, "before") || !slices.Contains(got, "after") {
		t.Errorf("entries = %q", got)
	}
}

// TestFailedSyncIsNotTriedAgain: Linux may drop the pages of a failed sync and call
// the next one a success; only a new file can be believed.
func TestFailedSyncIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := disktest.New(disktest.Faults{})
	j, stop := running(t, dir, Config{disk: d})
	put(t, j, "before")
	old := d.Number(fileName)
	d.Set(disktest.Faults{SyncErr: func() error { return syscall.EIO }})
	for range 3 {
		wantKind(t, j.Append(raw([]string{"refused"}))(t.Context()), dns.Unavailable)
	}
	d.Set(disktest.Faults{})
	put(t, j, "after")
	if d.Number(fileName) == old {
		t.Error("the file whose sync failed is still in use")
	}
	stop()
	after := d.Restart(rand.New(rand.NewPCG(1, 1)))
	if got := read(t, dir, Config{disk: after}); !slices.Equal(got, []string{"before", "after"}) {
		t.Errorf("entries = %q", got)
	}
}

func TestCompactionWhileAppendsGoOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// The state is the newest value of ten names; the snapshot gives just that.
	state := make(map[int]string)
	gate := make(chan struct{}, 1)
	gate <- struct{}{}
	snapshot := func(yield func([]byte) bool) {
		<-gate
		var all [][]byte
		for k, v := range state {
			all = append(all, fmt.Appendf(nil, "%d=%s", k, v))
		}
		gate <- struct{}{}
		for _, e := range all {
			if !yield(e) {
				return
			}
		}
	}
	j, stop := running(t, dir, Config{Snapshot: snapshot, CompactBytesMin: 4000})
	value := strings.Repeat("v", 100)
	for i := range 3000 {
		<-gate
		state[i%10] = fmt.Sprint(value, i)
		wait := j.Append(raw([]string{fmt.Sprintf("%d=%s", i%10, state[i%10])}))
		gate <- struct{}{}
		if i%50 == 0 {
			if err := wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	<-gate
	state[10] = "end"
	gate <- struct{}{}
	put(t, j, "10=end")
	size, compacted := j.Size()
	stop()
	if size > 200_000 || compacted > 20_000 { // appended: about 400 kB
		t.Errorf("the file has %d bytes, %d after compaction: it is not compacted by itself", size, compacted)
	}
	got := map[string]string{}
	for _, e := range read(t, dir, Config{}) {
		k, v, _ := strings.Cut(e, "=")
		got[k] = v
	}
	for k, v := range state {
		if got[fmt.Sprint(k)] != v {
			t.Errorf("%d = %.120q, want %.120q", k, got[fmt.Sprint(k)], v)
		}
	}
}

func TestCompactionThatFailsLeavesTheOldFile(t *testing.T) {
	t.Parallel()
	d := disktest.New(disktest.Faults{})
	dir := t.TempDir()
	j, stop := running(t, dir, Config{disk: d})
	put(t, j, "a", "b")
	d.Set(disktest.Faults{WriteErr: func() error { return syscall.ENOSPC }})
	wantKind(t, j.Compact(t.Context(), slices.Values(raw([]string{"b"}))), dns.Exhausted)
	d.Set(disktest.Faults{})
	if d.Number(compactName) != 0 {
		t.Error("the file that was begun is left, and takes space")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := j.Compact(ctx, slices.Values(raw([]string{"b"}))); !errors.Is(err, context.Canceled) {
		t.Errorf("Compact with an ended context = %v", err)
	}
	put(t, j, "c")
	if err := j.Compact(t.Context(), slices.Values(raw([]string{"b", "c"}))); err != nil {
		t.Fatal(err)
	}
	put(t, j, "d")
	stop()
	if got := read(t, dir, Config{disk: d}); !slices.Equal(got, []string{"b", "c", "d"}) {
		t.Errorf("entries = %q", got)
	}
}

// TestFullFileSystem is the same on a real file system that is full.
func TestFullFileSystem(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a small tmpfs")
	}
	t.Parallel()
	root := t.TempDir()
	if err := unix.Mount("tmpfs", root, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("no tmpfs can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(root, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	dir := filepath.Join(root, "dns")
	j, stop := running(t, dir, Config{})
	put(t, j, "before")
	if err := os.WriteFile(filepath.Join(root, "filler"), make([]byte, 2<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the filler = %v, want no space", err)
	}
	big := strings.Repeat("x", 64<<10)
	var err error
	for range 20 {
		if err = j.Append(raw([]string{big}))(t.Context()); err != nil {
			break
		}
	}
	wantKind(t, err, dns.Exhausted)
	wantKind(t, j.Compact(t.Context(), slices.Values(raw([]string{big}))), dns.Exhausted)
	if err := os.Remove(filepath.Join(root, "filler")); err != nil {
		t.Fatal(err)
	}
	put(t, j, "after")
	stop()
	got := read(t, dir, Config{})
	if got[0] != "before" || got[len(got)-1] != "after" {
		t.Errorf("entries = %.100q", got)
	}
}

func FuzzScan(f *testing.F) {
	const salt = 1
	good := appendHeader(nil, salt)
	good = appendFrame(good, salt, frame{group: 1, kind: kindEntry | flagBatchEnd, entry: []byte("a")})
	good = appendFrame(good, salt, frame{group: 1, kind: kindEntry | flagBatchEnd | flagGroupEnd, entry: []byte("bc")})
	good = appendFrame(good, salt, frame{group: 2, kind: kindMark | flagBatchEnd | flagGroupEnd})
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Add(append(slices.Clone(good), make([]byte, 40)...))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		s, err := scan(bytes.NewReader(b), int64(len(b)), func(e []byte) error { n += frameBytes + len(e); return nil })
		if err != nil {
			return
		}
		if s.good < headerBytes || s.good > int64(len(b)) || int64(n) > s.good || s.compacted > s.good {
			t.Fatalf("scan = %+v with %d bytes of entries, of %d bytes", s, n, len(b))
		}
		if s.torn != (s.good < int64(len(b))) {
			t.Fatalf("scan = %+v of %d bytes", s, len(b))
		}
	})
}
