package fs_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/blobtest"
	"github.com/kamado/kamado/internal/blob/fs"
)

func open(t testing.TB, dir string) *fs.Store {
	t.Helper()
	s, err := fs.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestConformance(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, t.TempDir()) })
}

// TestConformanceWithoutOpenat2 is the suite on the way that os.Root goes.
func TestConformanceWithoutOpenat2(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store {
		s := open(t, t.TempDir())
		fs.RefuseOpenat2(s)
		return s
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpenNeedsADirectory(t *testing.T) {
	if _, err := fs.Open(filepath.Join(t.TempDir(), "typo")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open of a missing directory = %v, want os.ErrNotExist", err)
	}
}

func TestReadingWritesNothing(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "a.jpg"), []byte("x"), 0o444))
	s := open(t, dir)
	if _, _, err := blob.GetAll(t.Context(), s, "a.jpg", nil, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.List(t.Context(), "", "", 0); err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("the directory has %d entries after reading, want 1", len(entries))
	}
}

// tree makes a store with, beside it, a secret that must stay out of reach, and
// every way to it that the file system offers.
func tree(t *testing.T) (*fs.Store, string) {
	top := t.TempDir()
	dir := filepath.Join(top, "store")
	must(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o755))
	must(t, os.WriteFile(filepath.Join(top, "secret"), []byte("secret"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "sub", "real"), []byte("real"), 0o644))
	for name, target := range map[string]string{
		"out-relative": "../secret", "out-absolute": filepath.Join(top, "secret"), "out-dir": "..", "etc": "/etc",
		"in": "sub/real", "in-dir": "sub", "dangling": "nowhere", "loop": "loop", "sub/up": "../in", "sub/out": "../../secret",
		"proc": "/proc/self/environ", "cycle": ".",
	} {
		must(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644))
	return open(t, dir), dir
}

func TestNothingLeavesTheDirectory(t *testing.T) {
	s, _ := tree(t)
	checkNothingLeaves(t, s)
	fs.RefuseOpenat2(s)
	checkNothingLeaves(t, s)
}

func checkNothingLeaves(t *testing.T, s *fs.Store) {
	t.Helper()
	for _, key := range []string{"out-relative", "out-absolute", "out-dir/secret", "etc/passwd", "dangling", "loop", "sub/out", "proc", "fifo", "sub", "in-dir"} {
		if b, _, err := blob.GetAll(t.Context(), s, key, nil, 0); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Get(%q) = %q, %v, want ErrNotFound", key, b, err)
		}
		if _, err := s.Stat(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Stat(%q) = %v, want ErrNotFound", key, err)
		}
	}
	for _, key := range []string{"in", "in-dir/real", "sub/up", "sub/real", "cycle/cycle/in"} {
		if b, _, err := blob.GetAll(t.Context(), s, key, nil, 0); err != nil || string(b) != "real" {
			t.Errorf("Get(%q) = %q, %v, want what the link inside leads to", key, b, err)
		}
	}
	infos, err := s.List(t.Context(), "", "", 0)
	var got []string
	for _, in := range infos {
		got = append(got, in.Key)
	}
	if want := "in sub/real sub/up"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("List = %q, %v, want %q", got, err, want)
	}
}

func TestWritingLeavesTheDirectoryNeither(t *testing.T) {
	s, dir := tree(t)
	for _, key := range []string{"out-dir/planted", "etc/planted", "out-dir/deeper/planted"} {
		if _, err := s.Put(t.Context(), key, strings.NewReader("x"), 1, blob.PutOptions{}); err == nil {
			t.Errorf("Put(%q) succeeded through a link that leads out", key)
		}
		if err := s.Delete(t.Context(), "out-dir/secret"); err != nil && !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Delete = %v", err)
		}
	}
	// A Put over a link replaces the link, not what it leads to.
	if _, err := s.Put(t.Context(), "out-relative", strings.NewReader("mine"), 4, blob.PutOptions{}); err != nil {
		t.Errorf("Put over a link = %v", err)
	}
	secret, err := os.ReadFile(filepath.Join(dir, "..", "secret"))
	if err != nil || string(secret) != "secret" {
		t.Errorf("the file beside the store = %q, %v", secret, err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(dir)); len(entries) != 2 {
		t.Errorf("beside the store lie %d entries, want 2", len(entries))
	}
}

func TestObjectAndDirectoryCannotShareAName(t *testing.T) {
	s := open(t, t.TempDir())
	put := func(key string) error {
		_, err := s.Put(t.Context(), key, strings.NewReader("x"), 1, blob.PutOptions{})
		return err
	}
	must(t, put("a"))
	if err := put("a/b"); !errors.Is(err, blob.ErrInvalidKey) {
		t.Errorf("Put(a/b) beside a = %v, want ErrInvalidKey", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, []byte("x"), 0o644))
	if _, err := s.PutFile(t.Context(), "a/b", file); !errors.Is(err, blob.ErrInvalidKey) || errors.Is(err, blob.ErrNotFound) {
		t.Errorf("PutFile(a/b) beside a = %v, want ErrInvalidKey alone", err)
	}
	must(t, put("d/e"))
	if err := put("d"); !errors.Is(err, blob.ErrInvalidKey) {
		t.Errorf("Put(d) beside d/e = %v, want ErrInvalidKey", err)
	}
}

func TestLeftoversOfCrashedPutsAreSwept(t *testing.T) {
	dir := t.TempDir()
	tmp := filepath.Join(dir, blob.ReservedSegment)
	must(t, os.MkdirAll(tmp, 0o755))
	dead := filepath.Join(tmp, "dead")
	alive := filepath.Join(tmp, "alive")
	must(t, os.WriteFile(dead, []byte("half"), 0o644))
	f, err := os.Create(alive)
	must(t, err)
	defer f.Close()
	// A lock belongs to an open file, so this one stands for another process.
	must(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))

	s := open(t, dir)
	if infos, err := s.List(t.Context(), "", "", 0); err != nil || len(infos) != 0 {
		t.Errorf("List shows leftovers: %v, %v", infos, err)
	}
	_, err = s.Put(t.Context(), "k", strings.NewReader("x"), 1, blob.PutOptions{})
	must(t, err)
	if _, err := os.Stat(dead); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the leftover of a dead Put is still there: %v", err)
	}
	if _, err := os.Stat(alive); err != nil {
		t.Errorf("the file of a Put at work was swept: %v", err)
	}
	if entries, _ := os.ReadDir(tmp); len(entries) != 1 {
		t.Errorf("%d files left after a Put, want only the one that is locked", len(entries))
	}
}

func TestTruncatedFileIsShort(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "k")
	must(t, os.WriteFile(file, bytes.Repeat([]byte("x"), 1000), 0o644))
	s := open(t, dir)
	o, err := s.Get(t.Context(), "k")
	must(t, err)
	defer o.Close()
	must(t, os.Truncate(file, 400))
	b, err := blob.ReadAll(nil, o, 0)
	if !errors.Is(err, blob.ErrShort) || len(b) != 400 {
		t.Errorf("ReadAll of a file that shrank = %d bytes, %v, want 400 and ErrShort", len(b), err)
	}
	if _, err := blob.ReadAll(nil, &blob.Object{ReadCloser: o.ReadCloser, Size: 1 << 40}, 1<<20); !errors.Is(err, blob.ErrTooLarge) {
		t.Errorf("ReadAll above its bound = %v, want ErrTooLarge", err)
	}
}

func TestETagOfAFileThatIsRewrittenInPlace(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	in, err := s.Put(t.Context(), "k", strings.NewReader("one"), 3, blob.PutOptions{})
	must(t, err)
	file := filepath.Join(dir, "k")
	must(t, os.WriteFile(file, []byte("two"), 0o644))
	later := in.ModTime.Add(1) // one nanosecond
	must(t, os.Chtimes(file, later, later))
	st, err := s.Stat(t.Context(), "k")
	if err != nil || st.ETag == in.ETag {
		t.Errorf("Stat = %+v, %v, want another ETag than %q", st, err, in.ETag)
	}
}

func TestListHoldsNoMoreThanItGives(t *testing.T) {
	dir := t.TempDir()
	// Empty directories count as names but hold no object, so pages of names
	// have to be read again until the limit is full.
	for i := range 3000 {
		must(t, os.Mkdir(filepath.Join(dir, "empty"+string(rune('a'+i%26))+strings.Repeat("x", i/26)), 0o755))
	}
	must(t, os.WriteFile(filepath.Join(dir, "z1"), nil, 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "z2"), nil, 0o644))
	s := open(t, dir)
	for _, limit := range []int{1, 2, 1000} {
		infos, err := s.List(t.Context(), "", "", limit)
		if err != nil || len(infos) != min(limit, 2) || infos[0].Key != "z1" {
			t.Errorf("List(limit %d) = %v, %v", limit, infos, err)
		}
	}
}

// getAllocsMax is the price of Get, one read and Close of an object two levels
// deep, in allocations; measured, so that it does not grow unseen.
const getAllocsMax = 4

func TestGetAllocates(t *testing.T) {
	s, buf := getSetup(t)
	n := testing.AllocsPerRun(200, func() { getOnce(t, s, buf) })
	t.Logf("Get + read + Close: %v allocations", n)
	if n > getAllocsMax {
		t.Errorf("Get + read + Close = %v allocations, want at most %d", n, getAllocsMax)
	}
}

func BenchmarkGet(b *testing.B) {
	s, buf := getSetup(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		getOnce(b, s, buf)
	}
}

func getSetup(t testing.TB) (*fs.Store, []byte) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "recipes", "a"), 0o755))
	buf := bytes.Repeat([]byte("x"), 64<<10)
	must(t, os.WriteFile(filepath.Join(dir, "recipes", "a", "1.jpg"), buf, 0o644))
	return open(t, dir), buf
}

func getOnce(t testing.TB, s *fs.Store, buf []byte) {
	o, err := s.Get(t.Context(), "recipes/a/1.jpg")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := blob.ReadAll(buf[:0], o, 0); err != nil || len(b) != len(buf) {
		t.Fatalf("ReadAll = %d bytes, %v", len(b), err)
	}
	o.Close()
}

func TestNoteOfAFileThatIsRewrittenInPlace(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := s.Put(t.Context(), "k", strings.NewReader("one"), 3, blob.PutOptions{Note: []byte("of one")})
	must(t, err)
	if note, _, err := s.Note(t.Context(), "k"); err != nil || string(note) != "of one" {
		t.Skipf("this file system keeps no extended attributes: %q, %v", note, err)
	}
	must(t, os.WriteFile(filepath.Join(dir, "k"), []byte("more"), 0o644))
	if note, in, err := s.Note(t.Context(), "k"); err != nil || note != nil || in.Size != 4 {
		t.Errorf("Note of other bytes = %q, %+v, %v, want none", note, in, err)
	}
}

// TestAWalkKeepsFewNames reads a directory of more names than are kept several
// times over.
func TestAWalkKeepsFewNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var want []string
	for i := range 2000 {
		key := fmt.Sprintf("d%d/%d", i%3, i*7919%2000)
		must(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(key)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, key), nil, 0o644))
		want = append(want, key)
	}
	slices.Sort(want)
	s := open(t, dir)
	for _, namesMax := range []int{5, 100, 666, 667, 668, 5000} {
		var got []string
		err := s.WalkBy(t.Context(), namesMax, func(in blob.Info) error { got = append(got, in.Key); return nil })
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("with %d names kept: %d objects, %v, want %d in order", namesMax, len(got), err, len(want))
		}
	}
}
