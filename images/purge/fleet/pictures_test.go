package fleet_test

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/delivery"
	"github.com/kamado/kamado/images/mezzanine"
	"github.com/kamado/kamado/images/origin"
	"github.com/kamado/kamado/images/purge"
	"github.com/kamado/kamado/images/purge/fleet"
	"github.com/kamado/kamado/images/queue"
	"github.com/kamado/kamado/images/render"
	"github.com/kamado/kamado/internal/blob/fs"
)

// pictures is an image server of a fleet: results in memory and on disk, and
// mezzanines, as images/server puts them together.
type pictures struct {
	*member
	server *httptest.Server
	disks  []*cache.Disk
	dirs   []string
	mezz   *mezzanine.Store
}

// renderSet is render.Renderer as delivery wants it.
type renderSet struct{ r *render.Renderer }

func (a renderSet) RenderSet(ctx context.Context, src []byte, wants []images.Rendition) []delivery.Made {
	made := make([]delivery.Made, len(wants))
	for i, out := range a.r.RenderSet(ctx, src, wants) {
		made[i] = delivery.Made{Err: out.Err, Rendering: delivery.Rendering{Data: out.Result.Data, Format: out.Result.Format,
			Width: out.Result.Width, Height: out.Result.Height, Truncated: out.Result.Truncated}}
	}
	return made
}

// table is set when the member starts; caches ask it from then on.
func (p *pictures) refused(l cache.Label) bool {
	return p.table != nil && p.table.Refused(l.Source, l.Key, "", l.Owner)
}

func (p *pictures) disk(t *testing.T, name string) *cache.Disk {
	t.Helper()
	dir := filepath.Join(p.dir, name)
	d, err := cache.OpenDisk(cache.DiskConfig{Dir: dir, BytesMax: 64 << 20, Refused: p.refused, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	background(t, d.Run)
	eventually(t, "the cache is counted", d.Ready)
	p.disks, p.dirs = append(p.disks, d), append(p.dirs, dir)
	p.deps.Caches = append(p.deps.Caches, fleet.Cache{Name: name, Sweep: d.Sweep})
	return d
}

func background(t *testing.T, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

// revisions asks the member's table, which exists from its start on.
type revisions struct{ p *pictures }

func (r revisions) Revision(source, key, kind, owner string) (string, error) {
	return r.p.table.Revision(source, key, kind, owner)
}

func startPictures(t *testing.T, m *member, originals string) *pictures {
	t.Helper()
	p := &pictures{member: m}
	results, mezz := p.disk(t, "results"), p.disk(t, "mezzanines")
	memory := cache.NewMemory[cache.Key, *delivery.Result](16 << 20)
	p.deps.Caches = append(p.deps.Caches, fleet.Cache{Name: "memory", Again: true, Sweep: func(_ context.Context, refused func(cache.Label) bool) (int, error) {
		return memory.RemoveIf(func(_ cache.Key, r *delivery.Result) bool { return refused(r.Label()) }), nil
	}})
	m.start(t)
	store, err := fs.Open(originals)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	finder, err := origin.New(origin.Config{Sources: []origin.Source{{Name: "default", Store: store}}, Routes: []origin.Route{{Source: "default"}}, Revisions: revisions{p}})
	if err != nil {
		t.Fatal(err)
	}
	renderer := render.New(render.Config{Limits: images.DefaultLimits(), Qualities: images.Default().Quality, Workspaces: 1})
	places := queue.New(queue.Config{Places: 1, Waiting: 100})
	p.mezz = mezzanine.New(mezzanine.Config{Box: 200}, mezzanine.Deps{
		Disk: mezz, Originals: finder, Places: places, Log: slog.New(slog.DiscardHandler),
		Render: func(ctx context.Context, src []byte, want images.Rendition) (mezzanine.Picture, error) {
			r, err := renderer.Render(ctx, src, want)
			return mezzanine.Picture{Data: r.Data, Width: r.Width, Height: r.Height}, err
		},
		Size: func(data []byte) (int, int, error) {
			c, err := jpeg.DecodeConfig(bytes.NewReader(data))
			return c.Width, c.Height, err
		},
	})
	background(t, p.mezz.Run)
	h := delivery.New(delivery.Config{Caching: images.Default().Caching}, delivery.Deps{
		Originals: finder, Renderer: renderSet{renderer}, Places: places, Memory: memory, Disk: results, Mezzanines: p.mezz,
		Tags: purge.SurrogateKeys, Log: slog.New(slog.DiscardHandler),
		Parse: func(r *http.Request) (images.Request, error) { // /kind/id/width
			part := strings.Split(r.URL.Path, "/")
			width, err := strconv.Atoi(part[3])
			return images.Request{Grammar: "tofu1", Kind: part[1], ID: part[2], Rendition: images.Rendition{Width: width, Quality: 70, Format: images.JPEG}.Normal()}, err
		},
	})
	p.server = httptest.NewServer(h)
	t.Cleanup(p.server.Close)
	return p
}

// get gives status, ETag and surrogate keys of a picture.
func (p *pictures) get(t *testing.T, path string) (status int, etag, keys string) {
	t.Helper()
	resp, err := http.Get(p.server.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	etag = strings.TrimSuffix(strings.Trim(resp.Header.Get("ETag"), `"`), "-m") // from a mezzanine, or not yet
	return resp.StatusCode, etag, resp.Header.Get("Surrogate-Key")
}

// bytesOf counts the files under the caches that hold something of an original.
func (p *pictures) bytesOf(key string) (n int) {
	for _, dir := range p.dirs {
		_ = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			if b, _ := os.ReadFile(path); bytes.Contains(b, []byte(key)) {
				n++
			}
			return nil
		})
	}
	return n
}

func noise(t *testing.T, path string, seed int) {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 640, 480))
	for y := range 480 {
		for x := range 640 {
			img.Set(x, y, color.RGBA{uint8(x*seed + y), uint8(x ^ y), uint8(y * seed), 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestImageServersShowNothingOfWhatWasTakenDown renders pictures on three real
// image servers until results and mezzanines lie on their disks; then it purges,
// takes down and restores, and looks at answers, ETags and bytes.
func TestImageServersShowNothingOfWhatWasTakenDown(t *testing.T) {
	t.Parallel()
	originals := t.TempDir()
	noise(t, filepath.Join(originals, "recipes", "1.jpg"), 3)
	noise(t, filepath.Join(originals, "recipes", "2.jpg"), 5)
	var servers []*pictures
	for _, m := range build(t, 3) {
		servers = append(servers, startPictures(t, m, originals))
	}
	paths := []string{"/recipes/1/90", "/recipes/1/60", "/recipes/2/90"}
	before := map[string]string{}
	for _, p := range servers {
		for _, path := range paths {
			status, etag, keys := p.get(t, path)
			if status != http.StatusOK || before[path] != "" && before[path] != etag {
				t.Fatalf("%s on %s: status %d, ETag %s, elsewhere %s", path, p.name, status, etag, before[path])
			}
			before[path] = etag
			if want := purge.Key("default", "recipes/"+path[9:10]+".jpg").Token(); !slices.Contains(strings.Fields(keys), want) {
				t.Errorf("%s: Surrogate-Key %q lacks %q", path, keys, want)
			}
		}
		eventually(t, "two results and a mezzanine of it are on disk", func() bool { return p.bytesOf("recipes/1.jpg") == 3 })
	}

	if _, err := servers[1].client().Purge(t.Context(), fleet.Request{Key: "recipes/1"}); err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		var first string
		for _, p := range servers {
			status, etag, _ := p.get(t, path)
			if first == "" {
				first = etag
			}
			changed := etag != before[path]
			if status != http.StatusOK || changed != strings.HasPrefix(path, "/recipes/1/") || etag != first {
				t.Errorf("after the purge %s on %s: status %d, ETag %s, before %s, elsewhere %s", path, p.name, status, etag, before[path], first)
			}
		}
	}

	start := time.Now()
	a, err := servers[2].client().Takedown(t.Context(), fleet.Request{Key: "recipes/1", Wait: 20})
	if err != nil || !a.Done() {
		t.Fatalf("takedown = %+v, %v", a, err)
	}
	t.Logf("taken down on three servers, bytes deleted, within %v", time.Since(start).Round(time.Millisecond))
	for _, p := range servers {
		for _, path := range paths {
			want := http.StatusOK
			if strings.HasPrefix(path, "/recipes/1/") {
				want = http.StatusGone
			}
			if status, _, _ := p.get(t, path); status != want {
				t.Errorf("after the takedown %s on %s: status %d, want %d", path, p.name, status, want)
			}
		}
		if n := p.bytesOf("recipes/1.jpg"); n != 0 {
			t.Errorf("%s keeps %d files of what was taken down", p.name, n)
		}
		if p.bytesOf("recipes/2.jpg") == 0 {
			t.Errorf("%s keeps nothing of the other picture", p.name)
		}
	}

	if _, err := servers[0].client().Restore(t.Context(), fleet.Request{Key: "recipes/1"}); err != nil {
		t.Fatal(err)
	}
	for _, p := range servers {
		if status, _, _ := p.get(t, paths[0]); status != http.StatusOK {
			t.Errorf("after the restore on %s: status %d", p.name, status)
		}
	}
}
