package mezzanine_test

import (
	"context"
	"image"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/mezzanine"
	"github.com/kamado/kamado/images/origin"
	"github.com/kamado/kamado/images/queue"
	"github.com/kamado/kamado/internal/blob/fs"
)

const jpegHead = "\xff\xd8\xff\xe0 a photograph"

// bench is a running store over one original whose size the test decides.
type bench struct {
	*mezzanine.Store
	dir           string
	finder        *origin.Finder
	places        *queue.Queue
	width, height int
	renders       atomic.Int32
	truncated     bool
	panics        bool        // the first time
	down          atomic.Bool // the original is taken down
}

// Revision implements origin.Revisions.
func (b *bench) Revision(string, string, string, string) (string, error) {
	if b.down.Load() {
		return "", images.Errorf(images.Gone, "it was taken down")
	}
	return "", nil
}

func newBench(t *testing.T, width, height int, content string) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir(), width: width, height: height, places: queue.New(queue.Config{Places: 1, Waiting: 1})}
	b.put(t, content)
	store, err := fs.Open(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	b.finder, err = origin.New(origin.Config{Sources: []origin.Source{{Name: "default", Store: store}}, Routes: []origin.Route{{Source: "default"}}, Revisions: b})
	if err != nil {
		t.Fatal(err)
	}
	disk, err := cache.OpenDisk(cache.DiskConfig{Dir: t.TempDir(), BytesMax: 1 << 20, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	b.Store = mezzanine.New(mezzanine.Config{}, mezzanine.Deps{
		Disk: disk, Originals: b.finder, Places: b.places, Log: slog.New(slog.DiscardHandler),
		Size: func([]byte) (int, int, error) { return b.width, b.height, nil },
		Render: func(_ context.Context, _ []byte, want images.Rendition) (mezzanine.Picture, error) {
			if b.renders.Add(1) == 1 && b.panics {
				panic("broken decoder")
			}
			plan, err := want.Plan(b.width, b.height)
			return mezzanine.Picture{Data: []byte("small"), Width: plan.Width, Height: plan.Height, Truncated: b.truncated}, err
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{}, 2)
	go func() { _ = disk.Run(ctx); done <- struct{}{} }()
	go func() { _ = b.Run(ctx); done <- struct{}{} }()
	t.Cleanup(func() { cancel(); <-done; <-done })
	eventually(t, "the disk is ready", disk.Ready)
	return b
}

func (b *bench) put(t *testing.T, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(b.dir, "k"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "k/1.jpg"), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) original(t *testing.T) *origin.Original {
	t.Helper()
	o, err := b.finder.Find(t.Context(), origin.Ref{Kind: "k", ID: "1"})
	if err != nil {
		t.Fatal(err)
	}
	return &o
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("not within 20 s: %s", what)
}

func TestAMezzanineServesWhatItIsLargeEnoughFor(t *testing.T) {
	t.Parallel()
	b := newBench(t, 4000, 3000, jpegHead)
	o := b.original(t)
	if _, _, ok := b.Find(o, images.Rendition{Width: 100}); ok {
		t.Fatal("a mezzanine was found before one was made")
	}
	b.Offer(o, []byte(jpegHead))
	eventually(t, "the mezzanine is made", func() bool { return b.Stats().Made == 1 })
	for _, c := range []struct {
		name string
		want images.Rendition
		ok   bool
	}{
		{"480x360", images.Rendition{Width: 480, Height: 360, Fit: images.FitCrop, Quality: 70}, true},
		{"half its width", images.Rendition{Width: 500}, true},
		{"more than half its width", images.Rendition{Width: 501}, false},
		{"small at twice the density", images.Rendition{Width: 300, DPR: 2}, false},
		{"a crop that shows too little of it", images.Rendition{Width: 450, Height: 450, Fit: images.FitCrop}, false},
		{"a crop that shows enough", images.Rendition{Width: 300, Height: 300, Fit: images.FitCrop}, true},
		{"its own size", images.Rendition{}, false},
		{"a region in pixels of the original", images.Rendition{Width: 100, Region: image.Rect(0, 0, 4000, 3000)}, false},
		{"with metadata", images.Rendition{Width: 100, Metadata: images.MetadataCopyright}, false},
		{"a cut in pixels of the original", images.Rendition{Width: 100, Cut: images.Cut{Width: 400, Height: 400}}, false},
		{"without its borders", images.Rendition{Width: 100, Trim: 10}, false},
		{"with the original's profile", images.Rendition{Width: 100, Profile: images.ProfileKeep}, false},
		{"turned", images.Rendition{Width: 300, Rotate: 90}, true},
	} {
		data, of, ok := b.Find(o, c.want)
		if ok != c.ok || ok && (string(data) != "small" || of != c.want) {
			t.Errorf("%s: found %v, want %v", c.name, ok, c.ok)
		}
	}
	b.put(t, jpegHead+" replaced")
	if _, _, ok := b.Find(b.original(t), images.Rendition{Width: 100}); ok {
		t.Error("the mezzanine of the replaced original was found")
	}
}

func TestASizeThatWouldDifferByAPixelIsMadeFromTheOriginal(t *testing.T) {
	t.Parallel()
	b := newBench(t, 4000, 2999, jpegHead) // its mezzanine is 1000x750: another shape
	o := b.original(t)
	b.Offer(o, []byte(jpegHead))
	eventually(t, "the mezzanine is made", func() bool { return b.Stats().Made == 1 })
	differing, equal := 0, 0
	for width := 50; width <= 450; width++ {
		want := images.Rendition{Width: width}
		full, _ := want.Plan(4000, 2999)
		small, _ := want.Plan(1000, 750)
		_, _, ok := b.Find(o, want)
		if ok != (full.Height == small.Height) {
			t.Errorf("width %d: from the mezzanine: %v; heights %d and %d", width, ok, full.Height, small.Height)
		}
		if full.Height == small.Height {
			equal++
		} else {
			differing++
		}
	}
	if differing == 0 || equal == 0 {
		t.Errorf("%d sizes differ and %d do not: this test shows nothing", differing, equal)
	}
}

func TestWhatDeservesNoMezzanine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		width     int
		head      string
		truncated bool
		renders   int32
	}{
		"a photograph of less than twice the box": {1999, jpegHead, false, 0},
		"a PNG":                  {4000, "\x89PNG\r\n\x1a\n", false, 0},
		"one that was cut short": {4000, jpegHead, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, c.width, 1000, c.head)
			b.truncated = c.truncated
			o := b.original(t)
			for range 3 {
				b.Offer(o, []byte(c.head))
			}
			eventually(t, "nothing is pending", func() bool { return b.Stats().Pending == 0 && b.places.Stats().Busy == 0 })
			eventually(t, "it was decided", func() bool { return b.renders.Load() == c.renders })
			if st := b.Stats(); st.Made != 0 || b.renders.Load() != c.renders {
				t.Errorf("made %d, rendered %d, want 0 and %d", st.Made, b.renders.Load(), c.renders)
			}
		})
	}
}

func TestMezzaninesWaitForAFreePlace(t *testing.T) {
	t.Parallel()
	b := newBench(t, 4000, 3000, jpegHead)
	if err := b.places.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.Offer(b.original(t), []byte(jpegHead))
	eventually(t, "it was taken up", func() bool { return b.Stats().Pending == 0 })
	if b.renders.Load() != 0 {
		t.Error("a mezzanine was made while requests had all places")
	}
	b.places.Release()
	eventually(t, "it is made", func() bool { return b.Stats().Made == 1 })
}

func TestPendingIsBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t, 4000, 3000, jpegHead)
	if err := b.places.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.places.Release()
	for i := range 3 * mezzanine.DefaultPending {
		b.put(t, jpegHead+strings.Repeat("x", i)) // another identity each time
		b.Offer(b.original(t), []byte(jpegHead))
	}
	if st := b.Stats(); st.Pending > mezzanine.DefaultPending || st.Dropped == 0 {
		t.Errorf("%d pending and %d dropped, want at most %d and some", st.Pending, st.Dropped, mezzanine.DefaultPending)
	}
}

func TestWhatIsTakenDownMeanwhileGetsNone(t *testing.T) {
	t.Parallel()
	b := newBench(t, 4000, 3000, jpegHead)
	if !b.places.TryAcquire() {
		t.Fatal("no place is free")
	}
	b.Offer(b.original(t), []byte(jpegHead))
	b.down.Store(true)
	b.places.Release()
	eventually(t, "it is given up", func() bool { return b.Stats().Failed == 1 })
	if n := b.renders.Load(); n != 0 {
		t.Errorf("%d mezzanines were rendered", n)
	}
}

func TestAPanicIsOneOriginalsOwn(t *testing.T) {
	t.Parallel()
	b := newBench(t, 4000, 3000, jpegHead)
	b.panics = true
	b.Offer(b.original(t), []byte(jpegHead))
	eventually(t, "it is given up", func() bool { return b.Stats().Failed == 1 })
	b.put(t, jpegHead+" replaced")
	b.Offer(b.original(t), []byte(jpegHead))
	eventually(t, "the next one is made", func() bool { return b.Stats().Made == 1 })
	eventually(t, "the place is given back", b.places.TryAcquire)
}
