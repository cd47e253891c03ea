package origin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/origin"
	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/fs"
)

// directory is a local source over files.
func directory(t *testing.T, files map[string]string) origin.Source {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	store, err := fs.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return origin.Source{Name: "default", Store: store}
}

func newFinder(t *testing.T, cfg origin.Config) *origin.Finder {
	t.Helper()
	if cfg.Routes == nil {
		cfg.Routes = []origin.Route{{Source: "default"}}
	}
	f, err := origin.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// fetch finds and reads an original.
func fetch(ctx context.Context, f *origin.Finder, ref origin.Ref) (string, error) {
	o, err := f.Find(ctx, ref)
	if err != nil {
		return "", err
	}
	body, err := f.Read(ctx, &o)
	if err != nil {
		return "", err
	}
	defer body.Release()
	return string(body.Data), nil
}

func TestNamesAreTriedInTheirOrderAndNothingElse(t *testing.T) {
	t.Parallel()
	if want := (&images.Request{Kind: "k", ID: "1"}).Candidates(); !slices.Equal(want, prefixed("k/1", origin.Names)) {
		t.Fatalf("names %v, the room says %v", origin.Names, want)
	}
	// Removing the one that was found, the next in order is found.
	for i := range origin.Names {
		files := map[string]string{"k/1.bmp": "never", "k/1.jpgx": "never", "k/1/x": "never", "k/10.jpg": "never"}
		if i == 0 {
			delete(files, "k/1/x") // a directory stands in the way of the bare name
		}
		for _, ending := range origin.Names[i:] {
			files["k/1"+ending] = "it is" + ending
		}
		f := newFinder(t, origin.Config{Sources: []origin.Source{directory(t, files)}})
		got, err := fetch(t.Context(), f, origin.Ref{Kind: "k", ID: "1"})
		if err != nil || got != "it is"+origin.Names[i] {
			t.Errorf("with %v: %q, %v", origin.Names[i:], got, err)
		}
	}
	f := newFinder(t, origin.Config{Sources: []origin.Source{directory(t, map[string]string{"k/1.bmp": "no", "k/1.JPG": "no", "k/1/a.jpg": "no"})}})
	if got, err := fetch(t.Context(), f, origin.Ref{Kind: "k", ID: "1"}); images.KindOf(err) != images.NotFound {
		t.Errorf("with no name of the list: %q, %v, want not found", got, err)
	}
}

func prefixed(prefix string, endings []string) (names []string) {
	for _, e := range endings {
		names = append(names, prefix+e)
	}
	return names
}

func TestAKeyIsExact(t *testing.T) {
	t.Parallel()
	f := newFinder(t, origin.Config{Sources: []origin.Source{directory(t, map[string]string{"a/b/c.jpg": "it"})}})
	if got, err := fetch(t.Context(), f, origin.Ref{Key: "a/b/c.jpg"}); got != "it" || err != nil {
		t.Errorf("by its key: %q, %v", got, err)
	}
	if _, err := fetch(t.Context(), f, origin.Ref{Key: "a/b/c"}); images.KindOf(err) != images.NotFound {
		t.Errorf("by its key without the ending: %v, want not found", err)
	}
}

func TestNothingOutsideTheDirectoryIsRead(t *testing.T) {
	t.Parallel()
	source := directory(t, map[string]string{"k/1.jpg": "in"})
	f := newFinder(t, origin.Config{Sources: []origin.Source{source}})
	for _, ref := range []origin.Ref{
		{Kind: "..", ID: "passwd"}, {Kind: "k", ID: "../k/1.jpg"}, {Key: "/etc/passwd"}, {Key: "k//1.jpg"}, {Kind: "", ID: "1"},
		{Kind: "k", ID: "1.jpg\x00"}, {Kind: "k", ID: strings.Repeat("n", 300)},
	} {
		if got, err := fetch(t.Context(), f, ref); err == nil {
			t.Errorf("%+v gave %q", ref, got)
		} else if k := images.KindOf(err); k != images.Invalid && k != images.NotFound {
			t.Errorf("%+v: %v, want invalid or not found", ref, err)
		}
	}
	// A name that is as long as may be has no room for an ending: not found, not wrong.
	if _, err := fetch(t.Context(), f, origin.Ref{Kind: "k", ID: strings.Repeat("n", 255)}); images.KindOf(err) != images.NotFound {
		t.Errorf("a name of 255 bytes: %v, want not found", err)
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	one := directory(t, map[string]string{"k/1": "one", "food/recipes/1": "one food"})
	two := directory(t, map[string]string{"k/1": "two", "cats/1": "two cats"})
	two.Name = "two"
	f := newFinder(t, origin.Config{Sources: []origin.Source{one, two}, Routes: []origin.Route{
		{Source: "default"}, {Kind: "cats", Source: "two"}, {Host: "Img.Example", Source: "two"}, {Kind: "recipes", Source: "default", Prefix: "food/"},
	}})
	for _, c := range []struct{ host, kind, want string }{
		{"", "k", "one"}, {"other:80", "k", "one"}, {"img.example", "k", "two"}, {"IMG.example:8080", "k", "two"},
		{"", "cats", "two cats"}, {"img.example", "recipes", "one food"}, {"", "recipes", "one food"},
	} {
		if got, err := fetch(t.Context(), f, origin.Ref{Host: c.host, Kind: c.kind, ID: "1"}); got != c.want || err != nil {
			t.Errorf("host %q, kind %q: %q, %v, want %q", c.host, c.kind, got, err, c.want)
		}
	}
	if _, err := origin.New(origin.Config{Routes: []origin.Route{{Source: "nowhere"}}}); err == nil {
		t.Error("a route to a source that is not there was accepted")
	}
	only := newFinder(t, origin.Config{Sources: []origin.Source{two}, Routes: []origin.Route{{Kind: "cats", Source: "two"}}})
	if _, err := only.Find(t.Context(), origin.Ref{Kind: "k", ID: "1"}); images.KindOf(err) != images.NotFound {
		t.Errorf("a kind without a route: %v, want not found", err)
	}
}

func TestAnOriginalOverTheBoundIsNotRead(t *testing.T) {
	t.Parallel()
	source := directory(t, map[string]string{"k/1": "12345", "k/2": "1234"})
	f := newFinder(t, origin.Config{Sources: []origin.Source{source}, BytesMax: 4})
	if _, err := fetch(t.Context(), f, origin.Ref{Kind: "k", ID: "1"}); images.KindOf(err) != images.TooLarge {
		t.Errorf("5 bytes with a bound of 4: %v, want too large", err)
	}
	if got, err := fetch(t.Context(), f, origin.Ref{Kind: "k", ID: "2"}); got != "1234" || err != nil {
		t.Errorf("4 bytes with a bound of 4: %q, %v", got, err)
	}
}

// remote is a store far away that can be told to misbehave.
type remote struct {
	mu      sync.Mutex
	objects map[string]string
	stat    func(ctx context.Context) error
	get     func(ctx context.Context) error
	body    func() error // at the end of the body, instead of io.EOF

	stats, gets atomic.Int32
}

func (r *remote) source() origin.Source {
	return origin.Source{Name: "default", Store: r, Remote: true, Timeout: 5 * time.Second, Fresh: time.Minute}
}

func (r *remote) info(key string) (blob.Info, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	content, ok := r.objects[key]
	if !ok {
		return blob.Info{}, blob.ErrNotFound
	}
	return blob.Info{Key: key, Size: int64(len(content)), ETag: content}, nil
}

func (r *remote) Stat(ctx context.Context, key string) (blob.Info, error) {
	r.stats.Add(1)
	if r.stat != nil {
		if err := r.stat(ctx); err != nil {
			return blob.Info{}, err
		}
	}
	return r.info(key)
}

func (r *remote) Get(ctx context.Context, key string) (*blob.Object, error) {
	r.gets.Add(1)
	if r.get != nil {
		if err := r.get(ctx); err != nil {
			return nil, err
		}
	}
	info, err := r.info(key)
	if err != nil {
		return nil, err
	}
	var body io.Reader = strings.NewReader(info.ETag)
	if r.body != nil {
		if err := r.body(); err != nil {
			body = io.MultiReader(strings.NewReader(info.ETag[:1]), failing{err})
		}
	}
	return &blob.Object{ReadCloser: io.NopCloser(body), Size: info.Size, ETag: info.ETag}, nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func (r *remote) Put(context.Context, string, io.Reader, int64, blob.PutOptions) (blob.Info, error) {
	return blob.Info{}, errors.ErrUnsupported
}
func (r *remote) Delete(context.Context, string) error { return errors.ErrUnsupported }
func (r *remote) List(context.Context, string, string, int) ([]blob.Info, error) {
	return nil, errors.ErrUnsupported
}

func TestAnswersAboutRemoteOriginalsAreBelievedForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &remote{objects: map[string]string{"k/1": "first"}}
		f := newFinder(t, origin.Config{Sources: []origin.Source{r.source()}})
		get := func(version string) string {
			got, err := fetch(t.Context(), f, origin.Ref{Kind: "k", ID: "1", Version: version})
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		get("")
		get("")
		if n := r.stats.Load(); n != 1 {
			t.Errorf("%d questions for two requests, want 1", n)
		}
		r.objects["k/1"] = "second"
		if got := get("changed"); got != "second" {
			t.Errorf("with another version: %q, want the new original at once", got)
		}
		time.Sleep(time.Minute)
		if got := get(""); got != "second" {
			t.Errorf("after its time: %q, want the new original", got)
		}
	})
}

func TestEqualReadsHappenOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := &remote{objects: map[string]string{"k/1": "it"}, get: func(context.Context) error { <-release; return nil }}
		f := newFinder(t, origin.Config{Sources: []origin.Source{r.source()}, Fetches: 100})
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if got, err := fetch(t.Context(), f, origin.Ref{Kind: "k", ID: "1"}); got != "it" || err != nil {
					t.Errorf("%q, %v", got, err)
				}
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if r.stats.Load() != 1 || r.gets.Load() != 1 {
			t.Errorf("%d questions and %d reads for 50 equal requests, want 1 and 1", r.stats.Load(), r.gets.Load())
		}
	})
}

func TestTheOriginalCacheSavesReadsAndForgetsReplaced(t *testing.T) {
	t.Parallel()
	r := &remote{objects: map[string]string{"k/1": "first"}}
	s := r.source()
	s.Fresh = -1
	f := newFinder(t, origin.Config{Sources: []origin.Source{s}, CacheBytes: 1 << 20})
	for range 3 {
		if got, err := fetch(t.Context(), f, origin.Ref{Kind: "k", ID: "1"}); got != "first" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if r.gets.Load() != 1 {
		t.Errorf("%d reads for three requests, want 1", r.gets.Load())
	}
	r.objects["k/1"] = "second"
	if got, _ := fetch(t.Context(), f, origin.Ref{Kind: "k", ID: "1"}); got != "second" {
		t.Errorf("after replacing: %q", got)
	}
	off := newFinder(t, origin.Config{Sources: []origin.Source{s}})
	before := r.gets.Load()
	for range 2 {
		_, _ = fetch(t.Context(), off, origin.Ref{Kind: "k", ID: "1"})
	}
	if n := r.gets.Load() - before; n != 2 {
		t.Errorf("%d reads with the cache off, want 2", n)
	}
}

func TestFaultsOfAnOriginHaveTheirKinds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		set  func(r *remote)
		want images.Kind
	}{
		{"down when asked", func(r *remote) { r.stat = func(context.Context) error { return blob.ErrUnavailable } }, images.Unavailable},
		{"down when read", func(r *remote) { r.get = func(context.Context) error { return blob.ErrUnavailable } }, images.Unavailable},
		{"refusing", func(r *remote) { r.stat = func(context.Context) error { return blob.ErrDenied } }, images.Unavailable},
		{"slow when asked", func(r *remote) { r.stat = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() } }, images.Timeout},
		{"slow when read", func(r *remote) { r.get = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() } }, images.Timeout},
		{"cut short", func(r *remote) { r.body = func() error { return blob.ErrShort } }, images.Unavailable},
		{"cut short without a word", func(r *remote) { r.body = func() error { return io.EOF } }, images.Unavailable},
		{"gone between question and read", func(r *remote) { r.get = func(context.Context) error { return blob.ErrNotFound } }, images.NotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := &remote{objects: map[string]string{"k/1": "it"}}
				c.set(r)
				f := newFinder(t, origin.Config{Sources: []origin.Source{r.source()}})
				if got, err := fetch(t.Context(), f, origin.Ref{Kind: "k", ID: "1"}); images.KindOf(err) != c.want {
					t.Errorf("%q, %v, want kind %v", got, err, c.want)
				}
				if busy := f.Stats().Fetches.Busy; busy != 0 {
					t.Errorf("%d fetches still hold their place", busy)
				}
			})
		})
	}
}

func TestABodyThatWasCutOnceIsReadAgain(t *testing.T) {
	t.Parallel()
	r := &remote{objects: map[string]string{"k/1": "it"}}
	first := true
	r.body = func() error {
		if first {
			first = false
			return blob.ErrShort
		}
		return nil
	}
	f := newFinder(t, origin.Config{Sources: []origin.Source{r.source()}})
	if got, err := fetch(t.Context(), f, origin.Ref{Kind: "k", ID: "1"}); got != "it" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTheErrorBudgetSparesADeadOriginAndRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := true
		r := &remote{objects: map[string]string{"k/1": "it"}}
		r.stat = func(context.Context) error {
			if down {
				return blob.ErrUnavailable
			}
			return nil
		}
		f := newFinder(t, origin.Config{Sources: []origin.Source{r.source()}})
		for i := range 200 {
			_, err := f.Find(t.Context(), origin.Ref{Kind: "k", ID: fmt.Sprint(i)})
			if images.KindOf(err) != images.Unavailable {
				t.Fatalf("request %d: %v, want unavailable", i, err)
			}
		}
		asked := r.stats.Load()
		if asked > 20 {
			t.Errorf("a dead origin was asked %d times in one moment, want at most 20", asked)
		}
		if !f.Stats().Sources[0].Spent {
			t.Error("the statistics do not say that the budget is spent")
		}
		down = false
		time.Sleep(time.Second)
		if got, err := fetch(t.Context(), f, origin.Ref{Kind: "k", ID: "1"}); got != "it" || err != nil {
			t.Errorf("one cooldown after it came back: %q, %v", got, err)
		}
		if f.Stats().Sources[0].Spent {
			t.Error("the budget was not filled again")
		}
	})
}

func TestMissingOriginalsSpendNoBudget(t *testing.T) {
	t.Parallel()
	r := &remote{objects: map[string]string{"k/1": "it"}}
	f := newFinder(t, origin.Config{Sources: []origin.Source{r.source()}})
	for i := range 100 {
		if _, err := f.Find(t.Context(), origin.Ref{Kind: "none", ID: fmt.Sprint(i)}); images.KindOf(err) != images.NotFound {
			t.Fatal(err)
		}
	}
	if got, err := fetch(t.Context(), f, origin.Ref{Kind: "k", ID: "1"}); got != "it" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRemoteReadsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		objects := map[string]string{}
		for i := range 10 {
			objects[fmt.Sprintf("k/%d", i)] = "it"
		}
		release := make(chan struct{})
		r := &remote{objects: objects, get: func(context.Context) error { <-release; return nil }}
		f := newFinder(t, origin.Config{Sources: []origin.Source{r.source()}, Fetches: 2, FetchWaiting: 3})
		var wg sync.WaitGroup
		var ok, shed atomic.Int32
		for i := range 10 {
			wg.Go(func() {
				_, err := fetch(t.Context(), f, origin.Ref{Kind: "k", ID: fmt.Sprint(i)})
				switch {
				case err == nil:
					ok.Add(1)
				case images.KindOf(err) == images.Exhausted:
					shed.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if n := r.gets.Load(); n != 2 || shed.Load() != 5 {
			t.Errorf("%d reads at once and %d shed, want 2 and 5", n, shed.Load())
		}
		close(release)
		wg.Wait()
		if ok.Load() != 5 {
			t.Errorf("%d read, want 5", ok.Load())
		}
	})
}

func TestBuffersAreUsedAgain(t *testing.T) {
	source := directory(t, map[string]string{"k/1": strings.Repeat("x", 1<<20)})
	f := newFinder(t, origin.Config{Sources: []origin.Source{source}})
	ref := origin.Ref{Kind: "k", ID: "1"}
	if _, err := fetch(t.Context(), f, ref); err != nil {
		t.Fatal(err)
	}
	o, err := f.Find(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	r := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			body, err := f.Read(b.Context(), &o)
			if err != nil {
				b.Fatal(err)
			}
			body.Release()
		}
	})
	if got := r.AllocedBytesPerOp(); got > 4096 {
		t.Errorf("reading 1 MiB allocates %d bytes, want the buffer used again", got)
	}
}
