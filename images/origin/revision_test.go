package origin_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/origin"
	"github.com/kamado/kamado/internal/blob"
)

// revisions is a table of what was purged and taken down, by key and owner.
type revisions struct {
	mu     sync.Mutex
	stamps map[string]string
	down   map[string]error
	asked  []string
}

func (r *revisions) Revision(source, key, kind, owner string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, source+"|"+key+"|"+kind+"|"+owner)
	if err := r.down[key]; err != nil {
		return "", err
	}
	return r.stamps[key] + r.stamps["owner "+owner], nil
}

func (r *revisions) set(table map[string]string, name, value string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	table[name] = value
}

func newRevisions() *revisions {
	return &revisions{stamps: map[string]string{}, down: map[string]error{}}
}

func TestARevisionChangesTheIdentity(t *testing.T) {
	t.Parallel()
	rev := newRevisions()
	f := newFinder(t, origin.Config{Sources: []origin.Source{directory(t, map[string]string{"k/1.jpg": "it"})}, Revisions: rev})
	ref := origin.Ref{Kind: "k", ID: "1", Owner: "o"}
	first := mustFind(t, f, ref)
	if got, want := rev.asked[0], "default|k/1.jpg|k|o"; got != want {
		t.Errorf("asked for %q, want %q", got, want)
	}
	if bare := (&origin.Original{Source: first.Source, Key: first.Key, ETag: first.ETag}); first.Identity() != bare.Identity() {
		t.Error("an empty stamp changes the identity")
	}
	rev.set(rev.stamps, "k/1.jpg", "1")
	second := mustFind(t, f, ref)
	if second.Stamp != "1" || second.Identity() == first.Identity() {
		t.Errorf("after a purge: stamp %q, identity %q as before", second.Stamp, second.Identity())
	}
	body, err := f.Read(t.Context(), &second)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Release()
	if body.Original.Identity() != second.Identity() {
		t.Errorf("reading gave the identity %q, want %q", body.Original.Identity(), second.Identity())
	}
	gone := errors.New("taken down")
	rev.down["k/1.jpg"] = gone
	if _, err := f.Find(t.Context(), ref); err != gone { //nolint:errorlint // as it is
		t.Errorf("Find of what was taken down = %v, want the error as it is", err)
	}
}

// TestAPurgeAsksTheSourceAgain wants that neither a remembered answer nor a
// cached body outlives a purge, and that owners do not spoil each other's answers.
func TestAPurgeAsksTheSourceAgain(t *testing.T) {
	t.Parallel()
	store := &versions{body: "one"}
	rev := newRevisions()
	f := newFinder(t, origin.Config{
		Sources:    []origin.Source{{Name: "default", Store: store, Remote: true, Fresh: time.Hour, Names: []string{""}}},
		CacheBytes: 1 << 20, Revisions: rev,
	})
	ref := origin.Ref{Kind: "k", ID: "1"}
	read := func() string {
		t.Helper()
		got, err := fetch(t.Context(), f, ref)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	read()
	read()
	if n := store.asked.Load(); n != 1 {
		t.Fatalf("the source was asked %d times, want 1", n)
	}
	store.body = "two" // under the same ETag: only a purge can tell
	if got := read(); got != "one" {
		t.Fatalf("before the purge: %q, want the cached one", got)
	}
	rev.set(rev.stamps, "k/1", "1")
	if got := read(); got != "two" {
		t.Errorf("after the purge: %q", got)
	}
	if n := store.asked.Load(); n != 2 {
		t.Errorf("the source was asked %d times, want 2", n)
	}
	rev.set(rev.stamps, "owner a", "x")
	for range 3 {
		mustFind(t, f, origin.Ref{Kind: "k", ID: "1", Owner: "a"})
		mustFind(t, f, origin.Ref{Kind: "k", ID: "1", Owner: "b"})
	}
	if n := store.asked.Load(); n != 4 {
		t.Errorf("two owners: the source was asked %d times, want 4", n)
	}
	gone := images.Errorf(images.NotFound, "taken down")
	rev.mu.Lock()
	rev.down["k/1"] = gone
	rev.mu.Unlock()
	if _, err := f.Find(t.Context(), ref); !errors.Is(err, error(gone)) {
		t.Errorf("a remembered answer outlives the takedown: %v", err)
	}
}

// TestTheDiskCacheOfOriginalsKnowsTheStamp wants the same of the disk.
func TestTheDiskCacheOfOriginalsKnowsTheStamp(t *testing.T) {
	t.Parallel()
	disk, err := cache.OpenDisk(cache.DiskConfig{Dir: t.TempDir(), BytesMax: 1 << 20, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- disk.Run(ctx) }()
	defer func() { cancel(); <-done }()
	store := &versions{body: "one"}
	rev := newRevisions()
	f := newFinder(t, origin.Config{
		Sources:   []origin.Source{{Name: "default", Store: store, Remote: true, Names: []string{""}}},
		CacheDisk: disk, Revisions: rev,
	})
	ref := origin.Ref{Kind: "k", ID: "1"}
	deadline := time.Now().Add(10 * time.Second)
	for disk.Stats().Hits == 0 && time.Now().Before(deadline) { // the disk counts itself before it keeps
		if _, err := fetch(t.Context(), f, ref); err != nil {
			t.Fatal(err)
		}
	}
	store.body = "two"
	if got, err := fetch(t.Context(), f, ref); got != "one" || err != nil {
		t.Fatalf("before the purge: %q, %v, want the cached one", got, err)
	}
	rev.set(rev.stamps, "k/1", "1")
	if got, err := fetch(t.Context(), f, ref); got != "two" || err != nil {
		t.Errorf("after the purge: %q, %v", got, err)
	}
}

// versions is a store of one object whose ETag never changes.
type versions struct {
	blob.Store
	body  string
	asked atomic.Int64
}

func (v *versions) Stat(context.Context, string) (blob.Info, error) {
	v.asked.Add(1)
	return blob.Info{Size: int64(len(v.body)), ETag: "same"}, nil
}

func (v *versions) Get(context.Context, string) (*blob.Object, error) {
	return &blob.Object{ReadCloser: io.NopCloser(strings.NewReader(v.body)), Size: int64(len(v.body)), ETag: "same"}, nil
}

func mustFind(t *testing.T, f *origin.Finder, ref origin.Ref) origin.Original {
	t.Helper()
	o, err := f.Find(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return o
}
