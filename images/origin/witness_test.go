package origin_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/origin"
	"github.com/kamado/kamado/internal/blob/fs"
)

func TestAWitnessHoldsAsLongAsFindGivesTheSame(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+"~", []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+"~", path); err != nil {
			t.Fatal(err)
		}
	}
	write("k/1.jpg", "it")
	store, err := fs.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	rev := newRevisions()
	f := newFinder(t, origin.Config{Sources: []origin.Source{{Name: "default", Store: store}}, Revisions: rev})
	ref := origin.Ref{Kind: "k", ID: "1"}
	witness := func() *origin.Witness {
		t.Helper()
		o := mustFind(t, f, ref)
		w, ok := f.Witness(ref, &o)
		if !ok || !w.Holds() || w.Size() <= 0 {
			t.Fatal("there is no witness of an original that was found")
		}
		return w
	}
	for _, change := range []struct {
		what string
		do   func()
	}{
		{"it was replaced", func() { write("k/1.jpg", "that") }},
		{"it is found under an earlier name", func() { write("k/1", "earlier") }},
		{"it was purged", func() { rev.set(rev.stamps, "k/1", "1") }},
		{"it was removed", func() { _ = os.Remove(filepath.Join(dir, "k/1")) }},
		{"it was taken down", func() {
			rev.mu.Lock()
			rev.down["k/1.jpg"] = images.Errorf(images.Gone, "gone")
			rev.mu.Unlock()
		}},
	} {
		w := witness()
		if change.do(); w.Holds() {
			t.Errorf("the witness holds although %s", change.what)
		}
	}
}

// TestNobodyWhoMustNotWaitAsksANetwork: a directory of NFS answers when it likes,
// and the answer of a remote source is believed for a time.
func TestNobodyWhoMustNotWaitAsksANetwork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := directory(t, map[string]string{"k/1.jpg": "it"})
		ref := origin.Ref{Kind: "k", ID: "1"}
		source.Waits = true
		f := newFinder(t, origin.Config{Sources: []origin.Source{source}})
		o := mustFind(t, f, ref)
		if _, ok := f.Witness(ref, &o); ok {
			t.Error("a directory that may wait for a network has a witness")
		}
		source.Waits, source.Remote = false, true
		f = newFinder(t, origin.Config{Sources: []origin.Source{source}})
		o = mustFind(t, f, ref)
		w, ok := f.Witness(ref, &o)
		if !ok || !w.Holds() {
			t.Fatal("a fresh answer of a remote source has no witness")
		}
		if time.Sleep(origin.DefaultFresh); w.Holds() {
			t.Error("the witness holds for longer than the answer is believed")
		}
	})
}
