package transfer_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/images/transfer"
	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/fs"
	"github.com/kamado/kamado/internal/blob/s3"
	"github.com/kamado/kamado/internal/blob/s3test"
)

// childDir, when set, makes this test binary the program that is killed.
const childDir = "KAMADO_TRANSFER_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child copies dir/from to dir/to, and tells its progress.
func child(dir string) error {
	from, err := fs.Open(filepath.Join(dir, "from"))
	if err != nil {
		return err
	}
	to, err := fs.Open(filepath.Join(dir, "to"))
	if err != nil {
		return err
	}
	_, err = transfer.Run(context.Background(), diskConfig(dir), transfer.Deps{From: from, To: to, Lines: os.Stdout})
	return err
}

func diskConfig(dir string) transfer.Config {
	return transfer.Config{
		From: "from", To: "to", Checkpoint: filepath.Join(dir, "point"), Every: 5 * time.Millisecond,
		Link: os.Getenv("KAMADO_TRANSFER_TEST_LINK") != "", LinkDir: dir,
	}
}

// quickDir is a directory where a sync costs nothing, if there is one: the tests
// kill processes, not machines.
func quickDir(t testing.TB) string {
	t.Helper()
	const memory = "/dev/shm"
	if runtime.GOOS != "linux" || syscall.Access(memory, 2 /* W_OK */) != nil {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(memory, "transfer-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// tree writes n small files below dir/from, makes dir/to, and gives their keys.
func tree(t testing.TB, dir string, n int) (keys []string) {
	t.Helper()
	for i := range 20 {
		if err := os.MkdirAll(filepath.Join(dir, "from", fmt.Sprintf("k%d", i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "to"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		key := fmt.Sprintf("k%d/%d.jpg", i%20, i)
		if err := os.WriteFile(filepath.Join(dir, "from", key), content(key), 0o644); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// wantTree wants the files of keys below dir/to, whole, and nothing else.
func wantTree(t testing.TB, dir string, keys []string) {
	t.Helper()
	found := 0
	root := filepath.Join(dir, "to")
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		key, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if strings.HasPrefix(key, blob.ReservedSegment) {
			return nil // unfinished, of a process that was killed
		}
		data, err := os.ReadFile(path)
		if _, known := slices.BinarySearch(keys, key); err != nil || !known || !bytes.Equal(data, content(key)) {
			t.Errorf("%s: %q, %v, known: %v", key, data, err, known)
		}
		found++
		return nil
	})
	if err != nil || found != len(keys) {
		t.Errorf("%d files in the target, %v, want %d", found, err, len(keys))
	}
}

// TestAKilledRunGoesOn kills the process of a run over 20,000 files (links: 4,000)
// with SIGKILL at random points until one comes to the end.
func TestAKilledRunGoesOn(t *testing.T) {
	t.Parallel()
	t.Run("copies", func(t *testing.T) { t.Parallel(); killed(t, "", 20_000) })
	t.Run("links", func(t *testing.T) { t.Parallel(); killed(t, "1", 4_000) })
}

func killed(t *testing.T, link string, files int) {
	dir := quickDir(t)
	keys := tree(t, dir, files)
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	kills := 0
	for {
		goal := int64(rnd.IntN(files / 3))
		last, dead := runUntil(t, dir, link, goal)
		if !dead {
			if !last.End || last.Done != int64(files) || last.Failed != 0 || last.Copied+last.Linked+last.Skipped != last.Done || (link != "") != (last.Linked > 0) {
				t.Errorf("the last line: %+v", last)
			}
			break
		}
		kills++
		point, err := os.ReadFile(filepath.Join(dir, "point"))
		if errors.Is(err, os.ErrNotExist) {
			continue // before the first checkpoint
		}
		var state struct{ Watermark string }
		if err != nil || json.Unmarshal(point, &state) != nil {
			t.Fatalf("the checkpoint after a kill: %q, %v", point, err)
		}
		for _, key := range keys {
			if key > state.Watermark {
				break
			}
			if _, err := os.Stat(filepath.Join(dir, "to", key)); err != nil {
				t.Fatalf("below the watermark %q: %v", state.Watermark, err)
			}
		}
	}
	if kills == 0 {
		t.Error("no run was killed")
	}
	t.Logf("%d kills", kills)
	wantTree(t, dir, keys)
	left, err := filepath.Glob(filepath.Join(dir, "kamado-links-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// runUntil runs a child and kills it when it has done goal keys more; dead says
// that it was killed.
func runUntil(t *testing.T, dir, link string, goal int64) (last transfer.Progress, dead bool) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childDir+"="+dir, "KAMADO_TRANSFER_TEST_LINK="+link)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first := int64(-1)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if err := json.Unmarshal(lines.Bytes(), &last); err != nil {
			break // the line at which it was killed
		}
		if first < 0 {
			first = last.Done
		}
		if !dead && !last.End && last.Done-first >= goal {
			_ = cmd.Process.Kill()
			dead = true
		}
	}
	err = cmd.Wait()
	if !dead && err != nil {
		t.Fatalf("the child: %v: %s", err, &stderr)
	}
	return last, dead && err != nil
}

func openDir(t testing.TB, dir string) *fs.Store {
	t.Helper()
	s, err := fs.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestLinksShareFiles(t *testing.T) {
	t.Parallel()
	dir := quickDir(t)
	keys := tree(t, dir, 500)
	deps := transfer.Deps{From: openDir(t, filepath.Join(dir, "from")), To: openDir(t, filepath.Join(dir, "to"))}
	checks := make(chan string, 1000)
	deps.Check = func(_ context.Context, key string, _ []byte) error { checks <- key; return nil }
	cfg := transfer.Config{Link: true, LinkDir: dir}
	if rep := run(t, cfg, deps); rep.Linked != 500 || rep.Done != 500 || rep.Bytes == 0 || len(checks) != 500 {
		t.Errorf("%+v, %d checked", rep, len(checks))
	}
	wantTree(t, dir, keys)
	for _, key := range keys {
		a, aerr := os.Stat(filepath.Join(dir, "from", key))
		b, berr := os.Stat(filepath.Join(dir, "to", key))
		if aerr != nil || berr != nil || !os.SameFile(a, b) {
			t.Fatalf("%s is no hard link: %v, %v", key, aerr, berr)
		}
	}
	if rep := run(t, cfg, deps); rep.Skipped != 500 {
		t.Errorf("once more: %+v, want all skipped", rep)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "kamado-links-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	// What cannot be shared is said, and nothing is copied in its place.
	if rep, err := transfer.Run(t.Context(), cfg, transfer.Deps{From: filled(3), To: deps.To}); !errors.Is(err, transfer.ErrLink) {
		t.Errorf("a source that is no directory: %+v, %v", rep, err)
	}
	other := t.TempDir()
	to := openDir(t, other)
	var a, b syscall.Stat_t
	if syscall.Stat(other, &a) != nil || syscall.Stat(dir, &b) != nil || a.Dev == b.Dev {
		t.Skip("needs two file systems: /dev/shm is none of its own")
	}
	if rep, err := transfer.Run(t.Context(), cfg, transfer.Deps{From: deps.From, To: to}); !errors.Is(err, transfer.ErrLink) || rep.Done != 0 {
		t.Errorf("another file system: %+v, %v", rep, err)
	}
	if n := len(keysOf(t, to)); n != 0 {
		t.Errorf("%d objects were copied all the same", n)
	}
}

// TestBuckets copies a directory into a bucket of a real S3 server and back.
func TestBuckets(t *testing.T) {
	t.Parallel()
	bucket, err := s3.Open(s3test.Start(t).Config(t))
	if err != nil {
		t.Fatal(err)
	}
	defer bucket.Close()
	there, back := quickDir(t), quickDir(t)
	const files = 150
	keys := tree(t, there, files)
	for _, key := range keys { // buckets tell times in seconds
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(filepath.Join(there, "from", key), old, old); err != nil {
			t.Fatal(err)
		}
	}
	point := filepath.Join(there, "point")
	rep := run(t, transfer.Config{Checkpoint: point}, transfer.Deps{From: openDir(t, filepath.Join(there, "from")), To: bucket})
	if rep.Copied != files || rep.Failed != 0 {
		t.Fatalf("into the bucket: %+v", rep)
	}
	if err := os.Mkdir(filepath.Join(back, "to"), 0o755); err != nil {
		t.Fatal(err)
	}
	to := openDir(t, filepath.Join(back, "to"))
	if rep := run(t, transfer.Config{Count: true}, transfer.Deps{From: bucket, To: to}); rep.Copied != files {
		t.Errorf("out of the bucket: %+v", rep)
	}
	wantTree(t, back, keys)
	if rep := run(t, transfer.Config{Verify: true}, transfer.Deps{From: bucket, To: to}); rep.Skipped != files {
		t.Errorf("once more, verified: %+v", rep)
	}
	if rep := run(t, transfer.Config{Checkpoint: point}, transfer.Deps{From: openDir(t, filepath.Join(there, "from")), To: bucket}); rep.Skipped != files {
		t.Errorf("into the bucket once more: %+v", rep)
	}
}

// TestAMillionKeys is the long form: a directory of a million names, most of them
// in one folder, into a store that forgets the bytes, interrupted several times.
func TestAMillionKeys(t *testing.T) {
	if os.Getenv("KAMADO_TEST_ALL") == "" {
		t.Skip("the long form: set KAMADO_TEST_ALL=1")
	}
	const names, files = 1_000_000, 2_000 // names of few files: it is names that cost
	dir := quickDir(t)
	root := filepath.Join(dir, "from")
	for i := range files {
		must(t, os.MkdirAll(filepath.Join(root, "few"), 0o755))
		must(t, os.WriteFile(filepath.Join(root, "few", fmt.Sprint(i)), bytes.Repeat([]byte("x"), 1000), 0o644))
	}
	must(t, os.MkdirAll(filepath.Join(root, "many"), 0o755))
	for i := files; i < names; i++ {
		must(t, os.Link(filepath.Join(root, "few", fmt.Sprint(i%files)), filepath.Join(root, "many", fmt.Sprint(i))))
	}
	to := &forgetful{memory: newMemory()}
	deps := transfer.Deps{From: openDir(t, root), To: to}
	cfg := transfer.Config{Checkpoint: filepath.Join(dir, "point"), Count: true}
	for interrupted := 0; ; interrupted++ {
		ctx, cancel := context.WithCancel(t.Context())
		to.stopAfter(rand.Int64N(names/2), cancel)
		rep, err := transfer.Run(ctx, cfg, deps)
		cancel()
		t.Logf("run %d: %v, %v", interrupted, rep, err)
		if err == nil {
			if rep.Done != names || rep.Copied != names || !rep.Whole {
				t.Errorf("%+v", rep)
			}
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if n := len(to.keys); n != names {
		t.Errorf("%d keys in the target, want %d", n, names)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// forgetful is a store that keeps keys and no bytes.
type forgetful struct {
	*memory
	mu   sync.Mutex
	keys map[string]bool
	left int64
	stop context.CancelFunc
}

func (f *forgetful) stopAfter(n int64, stop context.CancelFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.stop = n, stop
}

func (f *forgetful) Put(_ context.Context, key string, r io.Reader, size int64, _ blob.PutOptions) (blob.Info, error) {
	if n, err := io.Copy(io.Discard, r); err != nil || n != size {
		return blob.Info{}, fmt.Errorf("%d bytes: %w", n, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.keys == nil {
		f.keys = map[string]bool{}
	}
	f.keys[key] = true
	if f.left--; f.left == 0 {
		f.stop()
	}
	return blob.Info{Key: key, Size: size}, nil
}

// BenchmarkRun copies small files from one directory to another.
func BenchmarkRun(b *testing.B) {
	for name, dir := range map[string]func(testing.TB) string{"memory": quickDir, "disk": func(t testing.TB) string { return t.TempDir() }} {
		for _, link := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/link-%v/1000-files", name, link), func(b *testing.B) {
				d := dir(b)
				tree(b, d, 1000)
				from := openDir(b, filepath.Join(d, "from"))
				for b.Loop() {
					b.StopTimer()
					target, err := os.MkdirTemp(d, "to-")
					if err != nil {
						b.Fatal(err)
					}
					to := openDir(b, target)
					b.StartTimer()
					if _, err := transfer.Run(b.Context(), transfer.Config{Link: link, LinkDir: d}, transfer.Deps{From: from, To: to}); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(1000*b.N)/b.Elapsed().Seconds(), "files/s")
			})
		}
	}
}
