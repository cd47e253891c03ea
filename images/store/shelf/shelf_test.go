package shelf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/queue"
	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/fs"
)

func open(t *testing.T, judge func(context.Context, []byte) (Facts, error), wrap func(blob.Store) blob.Store) *Shelf {
	t.Helper()
	origin, err := fs.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { origin.Close() })
	var store blob.Store = origin
	if wrap != nil {
		store = wrap(origin)
	}
	s, err := New(Config{Dir: t.TempDir(), PicturesOnly: judge != nil}, Deps{
		Origins: map[string]blob.Store{"o": store}, Validate: judge, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// staged lists the files of bodies on their way in.
func (s *Shelf) staged() ([]os.DirEntry, error) {
	names, err := os.ReadDir(s.cfg.Dir)
	return slices.DeleteFunc(names, os.DirEntry.IsDir), err
}

func body(text string) Body { return Body{Reader: strings.NewReader(text), Size: int64(len(text))} }

// TestFaultOfThePage: a page that cannot be read back costs the upload alone.
func TestFaultOfThePage(t *testing.T) {
	t.Parallel()
	var s *Shelf
	s = open(t, func(_ context.Context, data []byte) (Facts, error) {
		names, err := s.staged()
		if err != nil || len(names) != 1 {
			t.Errorf("staged: %v, %v", names, err)
		}
		// A file that is shorter than its mapping gives the signal that a broken disk gives.
		if err := os.Truncate(filepath.Join(s.cfg.Dir, names[0].Name()), 0); err != nil {
			t.Error(err)
		}
		return Facts{Width: int(data[5000])}, nil
	}, nil)
	if _, err := s.Put(t.Context(), Ref{"o", "k"}, body(strings.Repeat("x", 10_000)), Write{}); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("Put = %v, want ErrUnavailable", err)
	}
	if _, err := s.Stat(t.Context(), Ref{"o", "k"}); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Stat = %v", err)
	}
}

// TestPanicOfTheJudge is no fault of a page, and goes on.
func TestPanicOfTheJudge(t *testing.T) {
	t.Parallel()
	s := open(t, func(context.Context, []byte) (Facts, error) { panic("a broken promise") }, nil)
	defer func() {
		if recover() == nil {
			t.Error("the panic was swallowed")
		}
		if names, _ := s.staged(); len(names) > 0 {
			t.Errorf("staged: %v", names)
		}
	}()
	_, _ = s.Put(t.Context(), Ref{"o", "k"}, body("x"), Write{})
}

// TestStoreWithoutNotes: metadata and MD5 are gone, and the ETag says that it is none.
func TestStoreWithoutNotes(t *testing.T) {
	t.Parallel()
	s := open(t, nil, func(b blob.Store) blob.Store { return struct{ blob.Store }{b} })
	put, err := s.Put(t.Context(), Ref{"o", "k"}, body("text"), Write{Meta: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.Stat(t.Context(), Ref{"o", "k"})
	if err != nil || o.MD5 != put.MD5 || o.MD5 != o.ETag || !strings.Contains(o.MD5, "-") || o.Meta != nil {
		t.Errorf("Put %+v, Stat %+v, %v", put, o, err)
	}
	if _, _, err := s.OpenRange(t.Context(), Ref{"o", "k"}, 1, 2); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("OpenRange of a store without ranges = %v", err)
	}
}

func TestSweepTakesLeftovers(t *testing.T) {
	t.Parallel()
	s := open(t, nil, nil)
	old := time.Now().Add(-time.Hour)
	for name, kept := range map[string]bool{"dead": false, "young": true, "locked": true, "dir": true} {
		path := filepath.Join(s.cfg.Dir, name)
		var err error
		if name == "dir" {
			err = os.Mkdir(path, 0o755)
		} else {
			err = os.WriteFile(path, []byte("half"), 0o644)
		}
		if name != "young" {
			err = errors.Join(err, os.Chtimes(path, old, old))
		}
		if name == "locked" {
			f, ferr := os.Open(path)
			t.Cleanup(func() { f.Close() })
			err = errors.Join(err, ferr, lockFile(f))
		}
		if err != nil {
			t.Fatal(err)
		}
		s.sweep()
		if _, err := os.Stat(path); (err == nil) != kept {
			t.Errorf("%s after the sweep: %v, want kept %v", name, err, kept)
		}
	}
}

func TestNotes(t *testing.T) {
	t.Parallel()
	for _, n := range []note{
		{md5: [16]byte{1, 2}}, {md5: [16]byte{3}, format: images.JPEG, meta: map[string]string{"a": "ü"}},
		{parts: "0102030405060708090a0b0c0d0e0f10-10000", format: images.WebP},
	} {
		b, err := n.encode()
		if err != nil {
			t.Fatal(err)
		}
		got, md5, ok := decodeNote(b)
		want := n.parts
		if want == "" {
			want = fmt.Sprintf("%x", n.md5)
		}
		if !ok || md5 != want || got.format != n.format || !maps.Equal(got.meta, n.meta) {
			t.Errorf("%+v came back as %+v, %q, %v", n, got, md5, ok)
		}
	}
	for _, n := range []note{{parts: "x-1"}, {parts: "0102030405060708090a0b0c0d0e0f10-0"}, {meta: map[string]string{"a": strings.Repeat("x", MetaBytesMax)}},
		{meta: map[string]string{"a": strings.Repeat("\x01", MetaBytesMax-1)}}} {
		if b, err := n.encode(); err == nil {
			t.Errorf("%.50v was encoded as %d bytes", n, len(b))
		}
	}
}

// FuzzNote: an attribute of a file may hold anything.
func FuzzNote(f *testing.F) {
	good, _ := note{format: images.PNG, meta: map[string]string{"a": "b"}}.encode()
	f.Add(good)
	f.Add([]byte{1})
	f.Add(append(bytes.Repeat([]byte{1}, 19), 255))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, md5, ok := decodeNote(b)
		if !ok {
			return
		}
		if len(md5) < 32 || n.format.String() == "" {
			t.Fatalf("%q is %+v %q", b, n, md5)
		}
	})
}

// FuzzRange: a range lies within the object.
func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-1", "bytes=-1", "bytes=5-", "bytes=1-0", "bytes=0-1,2-3", "x", "bytes=9223372036854775807-", "bytes=--1", "bytes=-0"} {
		f.Add(s, int64(10))
	}
	f.Fuzz(func(t *testing.T, text string, size int64) {
		if size < 0 || size > 1<<60 {
			return
		}
		p, err := parseRange(text, size)
		if err == nil && p.length >= 0 && (p.offset < 0 || p.length < 1 || p.offset+p.length > size) {
			t.Fatalf("%q of %d bytes: %+v", text, size, p)
		}
	})
}

func TestRanges(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]part{
		"": {0, -1}, "bytes=0-0": {0, 1}, "bytes=2-": {2, 8}, "bytes=-3": {7, 3}, "bytes=-30": {0, 10}, "bytes=5-100": {5, 5}, "bytes=5-4": {0, -1},
		"bytes=0-1,3-4": {0, -1}, "items=0-1": {0, -1}, "bytes=a-b": {0, -1},
	} {
		if p, err := parseRange(text, 10); err != nil || p != want {
			t.Errorf("parseRange(%q) = %+v, %v, want %+v", text, p, err, want)
		}
	}
	for _, text := range []string{"bytes=10-", "bytes=10-20", "bytes=-0"} {
		if _, err := parseRange(text, 10); !errors.Is(err, blob.ErrRange) {
			t.Errorf("parseRange(%q) = %v, want ErrRange", text, err)
		}
	}
}

// TestSums holds the algorithms against values that others computed: "123456789",
// the check value of the catalogue of parametrised CRC algorithms.
func TestSums(t *testing.T) {
	t.Parallel()
	for a, want := range map[Algorithm]string{
		CRC32: "cbf43926", CRC32C: "e3069283", CRC64NVME: "ae8b14860a799888", MD5: "25f9e794323b453885f5181f1b624d0b",
		SHA1: "f7c3bc1d808e04732adf679965ccc34ca7ae3441", SHA256: "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
	} {
		h := a.New()
		_, _ = h.Write([]byte("123456789"))
		if got := fmt.Sprintf("%x", h.Sum(nil)); got != want || len(want) != 2*a.Size() {
			t.Errorf("%s = %s, want %s", a, got, want)
		}
	}
	for _, text := range []string{"", "x", "AAAA", strings.Repeat("A", 1000)} {
		if s, err := ParseSum(CRC32, text); err == nil {
			t.Errorf("ParseSum(%.10q) = %v", text, s)
		}
	}
	if _, err := ParseSum("crc128", "AAAA"); err == nil {
		t.Error("an unknown algorithm was read")
	}
}

// BenchmarkPut is what staging, checksums and the change cost over a plain Put.
func BenchmarkPut(b *testing.B) {
	data := bytes.Repeat([]byte("picture "), 100<<10/8)
	origin, err := fs.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer origin.Close()
	s, err := New(Config{Dir: b.TempDir()}, Deps{Origins: map[string]blob.Store{"o": origin}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	for name, put := range map[string]func(key string) error{
		"shelf": func(key string) error {
			_, err := s.Put(b.Context(), Ref{"o", key}, Body{Reader: bytes.NewReader(data), Size: int64(len(data))}, Write{})
			return err
		},
		"plain": func(key string) error {
			_, err := origin.Put(b.Context(), key, bytes.NewReader(data), int64(len(data)), blob.PutOptions{})
			return err
		},
	} {
		b.Run(name+"-100KiB", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			var n int
			for b.Loop() {
				n++
				if err := put(fmt.Sprintf("%s/%d", name, n%1000)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestSlowPurgeHoldsNoPlace: with one place, an upload whose change is still being
// told does not keep the next one waiting, and it is not answered before.
func TestSlowPurgeHoldsNoPlace(t *testing.T) {
	t.Parallel()
	s := open(t, nil, nil)
	s.places = queue.New(queue.Config{Places: 1})
	told, release := make(chan Change, 2), make(chan struct{})
	s.deps.Changed = func(ctx context.Context, c Change) {
		told <- c
		if c.Key == "slow" {
			<-release
		}
	}
	done := make(chan error)
	go func() {
		_, err := s.Put(t.Context(), Ref{"o", "slow"}, body("x"), Write{By: Actor{Via: "test"}})
		done <- err
	}()
	if c := <-told; c.Key != "slow" || c.How != Created || c.Bytes != 1 || c.By.Via != "test" || c.ETag == "" {
		t.Errorf("told %+v", c)
	}
	if _, err := s.Put(t.Context(), Ref{"o", "next"}, body("x"), Write{}); err != nil {
		t.Errorf("the next Put = %v", err)
	}
	select {
	case err := <-done:
		t.Errorf("answered before its change was told: %v", err)
	default:
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if names, err := s.staged(); err != nil || len(names) > 0 || s.Queue().Busy != 0 {
		t.Errorf("staged %v, %v; %+v", names, err, s.Queue())
	}
}
