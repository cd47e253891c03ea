package bench

import (
	"os"
	"path/filepath"
	"testing"
)

func TestDrawsReachEveryOriginalOnce(t *testing.T) {
	t.Parallel()
	for _, count := range []int{8, 9, 10, 1000, 30_030} {
		d, seen := newDraws(count, 1), map[int]bool{}
		for rank := 1; rank <= count; rank++ {
			if i := d.number(rank); i < 0 || i >= count || seen[i] {
				t.Fatalf("of %d: rank %d is %d, out of range or a second time", count, rank, i)
			} else {
				seen[i] = true
			}
		}
	}
}

func TestATreeGrowsByNamesAlone(t *testing.T) {
	t.Parallel()
	tree := newTree(t.TempDir(), 10_700, 2)
	if err := tree.room(); err != nil {
		t.Fatal(err)
	}
	for _, step := range [][2]int{{0, 2500}, {2500, 10_700}} {
		if err := tree.grow(t.Context(), step[0], step[1]); err != nil {
			t.Fatal(err)
		}
	}
	names := 0
	for kind, want := range map[string]int{"kind0000": 10_000, "kind0001": 700} {
		entries, err := os.ReadDir(filepath.Join(tree.originals(), kind))
		if err != nil || len(entries) != want {
			t.Errorf("%s holds %d originals (%v), want %d", kind, len(entries), err, want)
		}
		names += len(entries)
	}
	kind, id := tree.key(10_699)
	a, err := os.Stat(filepath.Join(tree.originals(), kind, id+".jpg"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.Stat(tree.source(10_699 % tree.files))
	if err != nil || !os.SameFile(a, b) {
		t.Errorf("an original is no name of a source: %v", err)
	}
	if many := newTree("", 8_000_000, 1); many.files*treeLinksMax < 8_000_000 {
		t.Error("too few files for eight million names")
	}
	tree.count = treeCountMax * 1000
	if err := tree.room(); err == nil {
		t.Error("room found place for a hundred thousand million originals")
	}
	if err := tree.remove(); err != nil {
		t.Error(err)
	}
}
