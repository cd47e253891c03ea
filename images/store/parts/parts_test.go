package parts

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/images/store/shelf"
	"github.com/kamado/kamado/internal/blob"
)

func open(t *testing.T, dir string, cfg Config) *Store {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	in, err := shelf.New(shelf.Config{Dir: filepath.Join(dir, "staging"), BytesMax: 1 << 20}, shelf.Deps{Origins: map[string]blob.Store{}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Dir = filepath.Join(dir, "parts")
	s, err := Open(cfg, in, log)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s *Store, id string, number int, text string) (Part, error) {
	t.Helper()
	return s.Put(t.Context(), "b", "k", id, number, shelf.Body{Reader: strings.NewReader(text), Size: int64(len(text))})
}

func begin(t *testing.T, s *Store) string {
	t.Helper()
	u, err := s.Create("b", "k", map[string]string{"a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	return u.ID
}

// TestSweepTakesNoUploadThatIsWanted: one whose description cannot be read just now
// is there later, and one that is being completed is not too old.
func TestSweepTakesNoUploadThatIsWanted(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), Config{PartMin: 1})
	id := begin(t, s)
	p, err := put(t, s, id, 1, "text")
	if err != nil {
		t.Fatal(err)
	}
	head := filepath.Join(s.dir(id), headFile)
	// What cannot be opened stands for a process out of descriptors.
	if err := errors.Join(os.Rename(head, head+"x"), os.Mkdir(head, 0o755), s.sweep(time.Now()), os.Remove(head), os.Rename(head+"x", head)); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Parts("b", "k", id); err != nil || len(list) != 1 {
		t.Fatalf("after a sweep that could not read: %v, %v", list, err)
	}
	err = s.Complete("b", "k", id, []Named{{1, p.ETag}}, func(a *Assembly) error {
		if err := s.sweep(time.Now().Add(2 * DefaultAge)); err != nil {
			return err
		}
		text, err := io.ReadAll(a)
		if string(text) != "text" {
			t.Errorf("completed while it became too old: %q, %v", text, err)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.Uploads != 0 || st.Bytes != 0 || st.Expired != 0 {
		t.Errorf("Stats = %+v", st)
	}
}

func TestPartsAreReplacedAndOutliveARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, Config{PartMin: 1})
	id := begin(t, s)
	for _, text := range []string{"first", "second!", "second!"} {
		if _, err := put(t, s, id, 1, text); err != nil {
			t.Fatal(err)
		}
	}
	two, err := put(t, s, id, 2, "-end")
	if err != nil {
		t.Fatal(err)
	}
	// A crash between the rename and the removal of what it replaces leaves both.
	older := Part{Number: 2, ETag: strings.Repeat("0", 32), Size: 3}
	path := filepath.Join(s.dir(id), partName(older))
	past := time.Now().Add(-time.Minute)
	if err := errors.Join(os.WriteFile(path, []byte("old"), 0o644), os.Chtimes(path, past, past)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		list, err := s.Parts("b", "k", id)
		if err != nil || len(list) != 2 || list[0].Size != 7 || list[1].ETag != two.ETag {
			t.Fatalf("Parts = %+v, %v", list, err)
		}
		s = open(t, dir, Config{PartMin: 1})
	}
	if st := s.Stats(); st.Uploads != 1 || st.Bytes != 7+4+3 {
		t.Errorf("Stats = %+v", st)
	}
	list, _ := s.Parts("b", "k", id)
	named := []Named{{1, list[0].ETag}, {2, list[1].ETag}}
	failed := errors.New("no room")
	if err := s.Complete("b", "k", id, named, func(*Assembly) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("Complete = %v", err)
	}
	err = s.Complete("b", "k", id, named, func(a *Assembly) error {
		text, err := io.ReadAll(a)
		if string(text) != "second!-end" || a.Size != int64(len(text)) || a.Upload.Meta["a"] != "b" || !strings.HasSuffix(a.ETag, "-2") {
			t.Errorf("the whole is %q of %d, %+v", text, a.Size, a)
		}
		return err
	})
	if err != nil {
		t.Errorf("Complete = %v", err)
	}
	if err := s.Complete("b", "k", id, named, nil); !errors.Is(err, ErrNoUpload) {
		t.Errorf("a second Complete = %v", err)
	}
	if st := s.Stats(); st.Uploads != 0 || st.Bytes != 0 {
		t.Errorf("Stats = %+v", st)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), Config{UploadsMax: 2, BytesMax: 100})
	id := begin(t, s)
	if _, err := put(t, s, id, 1, strings.Repeat("x", 60)); err != nil {
		t.Fatal(err)
	}
	if _, err := put(t, s, id, 2, strings.Repeat("x", 60)); !errors.Is(err, ErrManyBytes) {
		t.Errorf("Put over the bytes of all = %v", err)
	}
	if _, err := s.Put(t.Context(), "b", "k", id, 2, shelf.Body{Reader: strings.NewReader("x"), Size: -1}); !errors.Is(err, ErrManyBytes) {
		t.Errorf("Put of an unknown size, which may be all there is = %v", err)
	}
	if _, err := put(t, s, id, 2, strings.Repeat("x", 2<<20)); !errors.Is(err, shelf.ErrTooLarge) {
		t.Errorf("Put over the bytes of an object = %v", err)
	}
	begin(t, s)
	if _, err := s.Create("b", "k2", nil); !errors.Is(err, ErrManyUploads) {
		t.Errorf("a third upload = %v", err)
	}
	if err := s.Abort("b", "k", id); err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.Bytes != 0 || st.Uploads != 1 {
		t.Errorf("Stats = %+v", st)
	}
}

func TestOldAndHalfUploadsAreRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, Config{Age: time.Hour})
	id := begin(t, s)
	if _, err := put(t, s, id, 1, "text"); err != nil {
		t.Fatal(err)
	}
	damaged := begin(t, s)
	half := filepath.Join(s.cfg.Dir, newPrefix+"HALF")
	strange := filepath.Join(s.cfg.Dir, "strange")
	if err := errors.Join(os.WriteFile(filepath.Join(s.dir(damaged), headFile), []byte("{"), 0o644), os.Mkdir(half, 0o755), os.Mkdir(strange, 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := s.sweep(time.Now().Add(59 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Find("b", "k", id); err != nil {
		t.Errorf("a young upload: %v", err)
	}
	for _, gone := range []string{half, s.dir(damaged)} {
		if _, err := os.Stat(gone); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", gone, err)
		}
	}
	if err := s.sweep(time.Now().Add(61 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Find("b", "k", id); !errors.Is(err, ErrNoUpload) {
		t.Errorf("an old upload: %v", err)
	}
	if _, err := os.Stat(strange); err != nil {
		t.Errorf("what is not ours: %v", err)
	}
	if st := s.Stats(); st.Uploads != 0 || st.Bytes != 0 || st.Expired != 2 {
		t.Errorf("Stats = %+v", st)
	}
}

func TestRunEnds(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
}

// FuzzNames: only names that this package writes are parts and ids.
func FuzzNames(f *testing.F) {
	f.Add("00001-0102030405060708090a0b0c0d0e0f10-5")
	f.Add("00001-0102030405060708090A0B0C0D0E0F10-05")
	f.Add("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	f.Add("../../../../etc/passwd")
	f.Fuzz(func(t *testing.T, name string) {
		if p, ok := parsePart(name); ok && (partName(p) != name || p.Number < 1 || p.Number > NumberMax || p.Size < 0) {
			t.Fatalf("%q is %+v", name, p)
		}
		if validID(name) && (strings.ContainsAny(name, "/.\x00") || filepath.Base(name) != name) {
			t.Fatalf("%q is an id", name)
		}
	})
}
