package delivery_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/delivery"
	"github.com/kamado/kamado/images/origin"
	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/fs"
)

// takedowns are originals of one owner that are hidden from some moment on.
type takedowns struct{ owner atomic.Value }

func (d *takedowns) Revision(_, _, _, owner string) (string, error) {
	if down, _ := d.owner.Load().(string); down != "" && down == owner {
		return "", images.Errorf(images.Gone, "it was taken down")
	}
	return "", nil
}

// withTakedowns gives a bench its originals with takedowns; ?u= names the owner.
func withTakedowns(t *testing.T, d *takedowns) *bench {
	t.Helper()
	b := newBench(t, originals, negotiated, onePlace, func(_ *delivery.Config, deps *delivery.Deps) {
		deps.Parse = func(r *http.Request) (images.Request, error) {
			req, err := parse(r)
			req.Owner = r.URL.Query().Get("u")
			return req, err
		}
	}, func(_ *delivery.Config, deps *delivery.Deps) {
		dir := &bench{dir: t.TempDir()}
		for name, content := range originals {
			dir.put(t, name, content)
		}
		store, err := fs.Open(dir.dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		deps.Originals, err = origin.New(origin.Config{Sources: []origin.Source{{Name: "default", Store: store}}, Routes: []origin.Route{{Source: "default"}}, Revisions: d})
		if err != nil {
			t.Fatal(err)
		}
	})
	return b
}

// TestWhatIsTakenDownMeanwhileIsNotMade: neither for those who wait for a place,
// nor later in a better format. Others who wait with them get their pictures.
func TestWhatIsTakenDownMeanwhileIsNotMade(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := new(takedowns)
		b := withTakedowns(t, down)
		h := b.Handler.(*delivery.Handler)
		if r := b.do(t, "GET", "/recipes/1/4x3.auto?u=a", "Accept: image/avif"); r.StatusCode != 200 {
			t.Fatalf("before: %d", r.StatusCode)
		}
		b.double.hold = make(chan struct{})
		var ok atomic.Int32
		busy := b.ask(t, &ok, "/recipes/2/4x3")
		synctest.Wait()
		gone := b.ask(t, &ok, "/recipes/1/1x1?u=a")
		synctest.Wait()
		other := b.ask(t, &ok, "/recipes/1/2x2?u=b")
		synctest.Wait()
		before := b.double.renders.Load()
		down.owner.Store("a")
		close(b.double.hold)
		busy.Wait()
		gone.Wait()
		other.Wait()
		if ok.Load() != 2 || b.double.renders.Load() != before+1 {
			t.Errorf("%d answers of 200 and %d renditions, want those of the busy one and of the other owner", ok.Load(), b.double.renders.Load()-before)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- h.Run(ctx) }()
		time.Sleep(time.Minute)
		if st := h.Upgrades(); st.Made != 0 || st.Failed != 1 {
			t.Errorf("upgrades %+v, want one given up", st)
		}
		stop()
		<-done
		for _, e := range b.events {
			if e.Owner == "a" && e.Status == http.StatusGone && strings.Contains(e.Rendition, "1") {
				return
			}
		}
		t.Errorf("who waited was not told that the picture is gone: %+v", b.events)
	})
}

// slow is a remote store whose bodies of one original do not come.
type slow struct {
	blob.Store
	key  string
	hold chan struct{}
}

func (s *slow) Get(ctx context.Context, key string) (*blob.Object, error) {
	if key == s.key {
		select {
		case <-s.hold:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return s.Store.Get(ctx, key)
}

// TestAnUpgradeWaitsForItsOriginWithoutAPlace: a slow origin keeps no processor
// idle.
func TestAnUpgradeWaitsForItsOriginWithoutAPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		held := &slow{key: "recipes/1.jpg", hold: make(chan struct{})}
		b := newBench(t, nil, negotiated, onePlace, func(_ *delivery.Config, d *delivery.Deps) {
			dir := &bench{dir: t.TempDir()}
			for name, content := range originals {
				dir.put(t, name, content)
			}
			store, err := fs.Open(dir.dir)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { store.Close() })
			held.Store = store
			d.Originals = finder(t, origin.Source{Name: "default", Store: held, Remote: true})
		})
		h := b.Handler.(*delivery.Handler)
		close(held.hold)
		if r := b.do(t, "GET", "/recipes/1/4x3.auto", "Accept: image/avif"); r.StatusCode != 200 {
			t.Fatalf("before: %d", r.StatusCode)
		}
		held.hold = make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- h.Run(ctx) }()
		synctest.Wait()
		began := time.Now()
		if r := b.do(t, "GET", "/recipes/2/4x3"); r.StatusCode != 200 || time.Since(began) > 0 {
			t.Errorf("another picture: %d after %v", r.StatusCode, time.Since(began))
		}
		close(held.hold)
		time.Sleep(time.Minute)
		if st := h.Upgrades(); st.Made != 1 || st.Failed != 0 {
			t.Errorf("upgrades %+v, want one made", st)
		}
		stop()
		<-done
	})
}

// TestAnUpgradeThatFailedIsNotTriedWithEachRequest: some pictures cannot be had in
// a format, however often they are asked for.
func TestAnUpgradeThatFailedIsNotTriedWithEachRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, originals, negotiated)
		h := b.Handler.(*delivery.Handler)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- h.Run(ctx) }()
		failed := func(want uint64) {
			t.Helper()
			for range 10 {
				b.do(t, "GET", "/recipes/bad/4x3.auto", "Accept: image/avif")
				time.Sleep(time.Second)
			}
			if st := h.Upgrades(); st.Failed != want {
				t.Errorf("upgrades %+v, want %d failed", st, want)
			}
		}
		failed(1)
		time.Sleep(10 * time.Minute)
		failed(2)
		stop()
		<-done
	})
}
