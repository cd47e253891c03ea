package purge_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/purge"
	"github.com/kamado/kamado/internal/disk/disktest"
)

var quiet = slog.New(slog.DiscardHandler)

func open(t testing.TB, cfg purge.Config) *purge.Table {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	if cfg.Node == "" {
		cfg.Node = "a"
	}
	cfg.Log = quiet
	table, err := purge.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close() })
	return table
}

func tag(t testing.TB, s string) purge.Target {
	t.Helper()
	target, err := purge.ParseTarget(s)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func give(t testing.TB, table *purge.Table, a purge.Action, tags ...string) []purge.Order {
	t.Helper()
	var drafts []purge.Draft
	for _, s := range tags {
		drafts = append(drafts, purge.Draft{Action: a, Target: tag(t, s)})
	}
	orders, err := table.Issue(drafts...)
	if err != nil {
		t.Fatal(err)
	}
	return orders
}

func revision(t testing.TB, table *purge.Table) string {
	t.Helper()
	s, err := table.Revision("photos", "recipes/1.jpg", "recipes", "u1")
	if err != nil {
		if images.KindOf(err) != images.Gone {
			t.Fatalf("Revision: %v, want kind gone", err)
		}
		return "gone"
	}
	return s
}

func TestEachTargetMatchesWhatItNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tag   string
		match bool
	}{
		{"key/photos/recipes/1.jpg", true}, {"key/photos/recipes/1", false}, {"key/other/recipes/1.jpg", false},
		{"kind/recipes", true}, {"kind/recipe", false}, {"owner/u1", true}, {"owner/u2", false},
		{"origin/photos", true}, {"origin/other", false}, {"prefix/photos/rec", true}, {"prefix/photos/recipes/1.jpg", true},
		{"prefix/photos/recipes/1.jpg2", false}, {"prefix/other/rec", false}, {"prefix/photos/x", false}, {"all", true},
	} {
		t.Run(c.tag, func(t *testing.T) {
			t.Parallel()
			table := open(t, purge.Config{})
			if s := revision(t, table); s != "" {
				t.Errorf("stamp without orders = %q", s)
			}
			give(t, table, purge.Purge, c.tag)
			first := revision(t, table)
			if (first != "") != c.match {
				t.Errorf("stamp after a purge of %s = %q, matches: want %v", c.tag, first, c.match)
			}
			give(t, table, purge.Purge, c.tag)
			if second := revision(t, table); c.match && (second == first || second == "") {
				t.Errorf("a second purge left the stamp %q", second)
			}
			give(t, table, purge.Takedown, c.tag)
			if got := revision(t, table); (got == "gone") != c.match {
				t.Errorf("after a takedown: %q", got)
			}
			give(t, table, purge.Purge, c.tag)
			if got := revision(t, table); (got == "gone") != c.match {
				t.Errorf("a purge undid a takedown: %q", got)
			}
			give(t, table, purge.Restore, c.tag)
			if got := revision(t, table); got == "gone" || c.match && got == first {
				t.Errorf("after a restore: %q", got)
			}
		})
	}
}

func TestKindOfKeyIsAskedForWhereTheURLNamesNone(t *testing.T) {
	t.Parallel()
	table := open(t, purge.Config{KindOf: func(_, key string) string { kind, _, _ := strings.Cut(key, "/"); return kind }})
	give(t, table, purge.Takedown, "kind/recipes")
	if !table.Refused("photos", "recipes/1.jpg", "", "") || table.Refused("photos", "users/1.jpg", "", "") {
		t.Error("a takedown of a kind does not follow the key")
	}
}

func TestTargetsHaveOneSpelling(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"all", "kind/a", "owner/ü", "origin/x", "prefix/x/a/b", "key/x/a/b.jpg"} {
		if got := tag(t, s).String(); got != s {
			t.Errorf("ParseTarget(%q).String() = %q", s, got)
		}
	}
	for _, s := range []string{"", "all/", "all/x", "kind", "kind/", "owner/" + strings.Repeat("x", 129), "origin/No", "prefix/x", "prefix/x/",
		"key/NO/x", "kind/a\x00", "kind/\xff", "nothing/x", "prefix//x", "key/x/" + strings.Repeat("k", 3000)} {
		if got, err := purge.ParseTarget(s); images.KindOf(err) != images.Invalid {
			t.Errorf("ParseTarget(%.40q) = %v, %v, want invalid", s, got, err)
		}
	}
}

// TestTokensCoverTargets: an answer carries the token of every target that
// matches its original.
func TestTokensCoverTargets(t *testing.T) {
	t.Parallel()
	keys := purge.SurrogateKeys("photos", "a/b/c d.jpg", "Küche", "u1")
	for _, s := range []string{"all", "origin/photos", "kind/Küche", "owner/u1", "prefix/photos/a/", "prefix/photos/a/b/", "prefix/photos/a/b/c", "prefix/photos/a", "key/photos/a/b/c d.jpg"} {
		if token := tag(t, s).Token(); !slices.Contains(keys, token) {
			t.Errorf("token %q of %s is not among %q", token, s, keys)
		}
	}
	for _, s := range []string{"origin/other", "kind/Kuche", "owner/u2", "prefix/photos/b/", "prefix/other/a/", "key/photos/a"} {
		if token := tag(t, s).Token(); slices.Contains(keys, token) {
			t.Errorf("token %q of %s is among %q", token, s, keys)
		}
	}
	deep := strings.Repeat("d/", 100)
	if token := tag(t, "prefix/photos/"+deep).Token(); !slices.Contains(purge.SurrogateKeys("photos", deep+"x", "", ""), token) {
		t.Error("the token of a deep folder is not among those of what lies in it")
	}
	for _, k := range purge.SurrogateKeys("photos", deep+"x y", "a b", "<\">") {
		if strings.Trim(k, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" || len(k) > 80 {
			t.Errorf("token %q needs quoting", k)
		}
	}
	if n := len(purge.SurrogateKeys("photos", deep+"x", "k", "o")); n > 21 {
		t.Errorf("%d tokens", n)
	}
}

func TestOrdersSurviveARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	table := open(t, purge.Config{Dir: dir})
	give(t, table, purge.Purge, "kind/recipes", "key/photos/x")
	give(t, table, purge.Takedown, "key/photos/y")
	up, ok := table.Unswept()
	if !ok {
		t.Fatal("nothing to sweep after a takedown")
	}
	want, stamp := table.Digest(), revision(t, table)
	if _, err := purge.Open(purge.Config{Dir: dir, Node: "a", Log: quiet}); err == nil {
		t.Error("two tables of one directory")
	}
	table.Close()
	table = open(t, purge.Config{Dir: dir})
	if table.Digest() != want || revision(t, table) != stamp || !table.Refused("photos", "y", "", "") {
		t.Error("the restart lost orders")
	}
	if _, ok := table.Unswept(); !ok {
		t.Error("the restart forgot what was to be swept")
	}
	if err := table.Swept(up); err != nil {
		t.Fatal(err)
	}
	table.Close()
	table = open(t, purge.Config{Dir: dir})
	if _, ok := table.Unswept(); ok {
		t.Error("the restart forgot what was swept")
	}
	before := table.Vector()
	give(t, table, purge.Purge, "all")
	if after := table.Vector(); len(after) != len(before)+1 {
		t.Errorf("vector %v after %v: a start must count by itself", after, before)
	}
}

func TestOldPurgesAreFoldedAndTakedownsNever(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	table := open(t, purge.Config{Dir: dir, Purges: 100, Takedowns: 10})
	give(t, table, purge.Takedown, "key/photos/bad")
	for i := range 100 {
		give(t, table, purge.Purge, fmt.Sprintf("key/photos/%d", i))
	}
	if s := table.Stats(); s.Purges != 100 || s.Folds != 0 || revision(t, table) != "" {
		t.Fatalf("stats at the bound = %+v", s)
	}
	give(t, table, purge.Purge, "key/photos/100")
	s := table.Stats()
	if s.Purges != 50 || s.Folds != 1 || s.Takedowns != 1 || revision(t, table) == "" {
		t.Errorf("stats over the bound = %+v, stamp %q", s, revision(t, table))
	}
	old, _ := table.Revision("photos", "3", "", "")
	young, _ := table.Revision("photos", "100", "", "")
	if old != revision(t, table) || young == old {
		t.Errorf("stamps: folded %q, young %q, other %q", old, young, revision(t, table))
	}
	stamp := revision(t, table)
	table.Close()
	table = open(t, purge.Config{Dir: dir, Purges: 100, Takedowns: 10})
	if revision(t, table) != stamp || !table.Refused("photos", "bad", "", "") || table.Digest() != s.Digest {
		t.Error("the restart changed what was folded")
	}
	for i := range 9 {
		give(t, table, purge.Takedown, fmt.Sprintf("key/photos/bad%d", i))
	}
	give(t, table, purge.Takedown, "key/photos/bad")
	give(t, table, purge.Restore, "key/photos/bad")
	_, err := table.Issue(purge.Draft{Action: purge.Takedown, Target: purge.Key("photos", "bad10")})
	if images.KindOf(err) != images.Exhausted || table.Refused("photos", "bad10", "", "") {
		t.Errorf("over the bound of takedowns: %v, want exhausted", err)
	}
}

// TestDamageIsToldAndHealed flips one byte of each record: the order is lost,
// that is told, everything counts as purged, and another node gives it back.
func TestDamageIsToldAndHealed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	table := open(t, purge.Config{Dir: dir})
	give(t, table, purge.Takedown, "key/photos/bad")
	give(t, table, purge.Purge, "key/photos/x")
	other := open(t, purge.Config{Node: "b"})
	pull(t, other, table)
	want := table.Digest()
	table.Close()
	path := filepath.Join(dir, "orders")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 3; at < len(whole); at += 7 {
		hurt := bytes.Clone(whole)
		hurt[at] ^= 1
		if err := os.WriteFile(path, hurt, 0o600); err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		table, err := purge.Open(purge.Config{Dir: dir, Node: "a", Log: slog.New(slog.NewTextHandler(&said, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if s := table.Stats(); s.Damaged == 0 || !s.Salted || !strings.Contains(said.String(), "file of orders is damaged") || revision(t, table) == "" {
			t.Fatalf("byte %d flipped: stats %+v, said %q", at, s, said.String())
		}
		table.Close()
		table = open(t, purge.Config{Dir: dir})
		if s := table.Stats(); !s.Salted || s.Damaged != 0 {
			t.Fatalf("byte %d flipped, after one more restart: %+v", at, s)
		}
		pull(t, table, other)
		if err := table.Healed(); err != nil {
			t.Fatal(err)
		}
		if table.Digest() != want || revision(t, table) != "" || !table.Refused("photos", "bad", "", "") {
			t.Fatalf("byte %d flipped: not healed", at)
		}
		table.Close()
	}
}

// pull brings what from has into the table, as a node of the fleet does.
func pull(t testing.TB, into, from *purge.Table) {
	t.Helper()
	since := into.Vector()
	for range 10_000 {
		p := from.Page(since, 3)
		if _, err := into.Merge(p); err != nil {
			t.Fatal(err)
		}
		if !p.More {
			return
		}
		since = p.Next
	}
	t.Fatal("a pull does not end")
}

func TestIssueThatCannotBeWrittenIsRefusedAndTheNextGoesOn(t *testing.T) {
	t.Parallel()
	d := disktest.New(disktest.Faults{})
	table := open(t, purge.Config{Dir: "dir", Disk: d})
	give(t, table, purge.Purge, "kind/a")
	broken := errors.New("broken")
	d.Set(disktest.Faults{SyncErr: func() error { return broken }})
	if _, err := table.Issue(purge.Draft{Action: purge.Takedown, Target: purge.All()}); images.KindOf(err) != images.Unavailable {
		t.Errorf("Issue on a disk that does not sync = %v", err)
	}
	if revision(t, table) == "gone" {
		t.Error("an order holds that is not on disk")
	}
	d.Set(disktest.Faults{})
	give(t, table, purge.Purge, "kind/b")
	d.CutPower()
	d = d.Restart(rand.New(rand.NewPCG(1, 1)))
	table = open(t, purge.Config{Dir: "dir", Disk: d})
	for _, kind := range []string{"a", "b"} {
		if s, err := table.Revision("x", "y", kind, ""); s == "" || err != nil {
			t.Errorf("the purge of kind %s is lost: %q, %v", kind, s, err)
		}
	}
}

// TestClockThatIsLateStillRestores gives a restore on a node whose clock is an
// hour behind the node that took down.
func TestClockThatIsLateStillRestores(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a := open(t, purge.Config{Node: "a", Now: func() time.Time { return now }})
	b := open(t, purge.Config{Node: "b", Now: func() time.Time { return now.Add(-time.Hour) }})
	give(t, a, purge.Takedown, "kind/recipes")
	pull(t, b, a)
	give(t, b, purge.Restore, "kind/recipes")
	pull(t, a, b)
	if revision(t, a) == "gone" || revision(t, a) != revision(t, b) {
		t.Errorf("after the restore: %q and %q", revision(t, a), revision(t, b))
	}
	// A purge that is older by its clock changes the stamp all the same.
	c := open(t, purge.Config{Node: "c", Now: func() time.Time { return now.Add(-time.Hour) }})
	give(t, c, purge.Purge, "key/photos/recipes/1.jpg")
	before := revision(t, a)
	pull(t, a, c)
	if revision(t, a) == before {
		t.Error("a purge of a late clock changed nothing")
	}
}

func TestOrdersAreListedInTime(t *testing.T) {
	t.Parallel()
	table := open(t, purge.Config{})
	var want []purge.Order
	for i := range 25 {
		want = append(want, give(t, table, purge.Purge, fmt.Sprintf("key/photos/%d", i))...)
	}
	var got []purge.Order
	for after := (purge.ID{}); ; {
		page := table.Orders(after, false, 10)
		if len(page) == 0 {
			break
		}
		got, after = append(got, page...), page[len(page)-1].ID
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %d orders, want %d in order", len(got), len(want))
	}
	if newest := table.Orders(purge.ID{}, true, 2); newest[0] != want[24] || newest[1] != want[23] {
		t.Errorf("newest = %v", newest)
	}
	if o, ok := table.Find(want[3].ID); !ok || o != want[3] {
		t.Errorf("Find = %v, %v", o, ok)
	}
}

// TestReadersSeeWholeOrders asks while orders come and go; it is for -race.
func TestReadersSeeWholeOrders(t *testing.T) {
	t.Parallel()
	table := open(t, purge.Config{Purges: 50, Disk: disktest.New(disktest.Faults{}), Dir: "d"})
	give(t, table, purge.Takedown, "key/photos/bad")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if !table.Refused("photos", "bad", "k", "o") {
					t.Error("a takedown did not hold for a moment")
					return
				}
				if s, err := table.Revision("photos", "p/7", "k", "o"); err != nil || len(s) != 0 && len(s) != 16 {
					t.Errorf("Revision = %q, %v", s, err)
					return
				}
			}
		})
	}
	for i := range 400 {
		give(t, table, purge.Purge, fmt.Sprintf("key/photos/p/%d", i), fmt.Sprintf("prefix/photos/p/%d", i%90))
	}
	close(stop)
	wg.Wait()
}

// TestKillLosesNoAcknowledgedOrder kills a process that gives orders, again and
// again, and looks for each order that it was told is there.
func TestKillLosesNoAcknowledgedOrder(t *testing.T) {
	if dir := os.Getenv("PURGE_TEST_DIR"); dir != "" {
		giveForever(t, dir)
		return
	}
	t.Parallel()
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(7, 7))
	acked := map[string]bool{}
	for round := range 4 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKillLosesNoAcknowledgedOrder$")
		cmd.Env = append(os.Environ(), "PURGE_TEST_DIR="+dir, fmt.Sprint("PURGE_TEST_ROUND=", round))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		n := 20 + r.IntN(60)
		var line string
		for range n {
			if _, err := fmt.Fscanln(out, &line); err != nil {
				t.Fatal(err)
			}
			acked[line] = true
		}
		_ = cmd.Process.Kill()
		for { // what it had been told before it died
			if _, err := fmt.Fscanln(out, &line); err != nil {
				break
			}
			acked[line] = true
		}
		_ = cmd.Wait()
		table, err := purge.Open(purge.Config{Dir: dir, Node: "a", Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		for key := range acked {
			if strings.HasPrefix(key, "k") && !table.Refused("photos", key, "", "") {
				t.Errorf("round %d: the takedown of %s was acknowledged and is lost", round, key)
			}
		}
		if s := table.Stats(); s.Damaged != 0 {
			t.Errorf("round %d: stats %+v", round, s)
		}
		table.Close()
	}
}

func giveForever(t *testing.T, dir string) {
	table := open(t, purge.Config{Dir: dir})
	for i := 0; ; i++ {
		key := fmt.Sprintf("k-%s-%d", os.Getenv("PURGE_TEST_ROUND"), i)
		give(t, table, purge.Takedown, "key/photos/"+key)
		fmt.Println(key)
	}
}

func TestRevisionAllocatesNothing(t *testing.T) {
	table := open(t, purge.Config{Disk: disktest.New(disktest.Faults{}), Dir: "d"})
	ask := func() { _, _ = table.Revision("photos", "recipes/1.jpg", "recipes", "u1") }
	if n := testing.AllocsPerRun(100, ask); n != 0 {
		t.Errorf("empty: %v allocations", n)
	}
	give(t, table, purge.Purge, "key/photos/x", "kind/x", "owner/x", "prefix/photos/r/", "origin/x")
	if n := testing.AllocsPerRun(100, ask); n != 0 {
		t.Errorf("without a match: %v allocations", n)
	}
	give(t, table, purge.Purge, "kind/recipes")
	if n := testing.AllocsPerRun(100, ask); n != 0 {
		t.Errorf("with one match: %v allocations", n)
	}
	give(t, table, purge.Takedown, "owner/u1")
	if n := testing.AllocsPerRun(100, ask); n != 0 {
		t.Errorf("taken down: %v allocations", n)
	}
}

func BenchmarkRevision(b *testing.B) {
	run := func(name string, table *purge.Table) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_, _ = table.Revision("photos", "recipes/2024/05/12345678.jpg", "recipes", "u123")
				}
			})
		})
	}
	table := open(b, purge.Config{Disk: disktest.New(disktest.Faults{}), Dir: "d"})
	run("empty", table)
	var drafts []purge.Draft
	for i := range 50_000 {
		drafts = append(drafts, purge.Draft{Action: purge.Takedown, Target: purge.Key("photos", fmt.Sprintf("recipes/2023/%d.jpg", i))})
	}
	if _, err := table.Issue(drafts...); err != nil {
		b.Fatal(err)
	}
	run("50000-keys-no-match", table)
	give(b, table, purge.Purge, "kind/other", "owner/other", "origin/other", "prefix/photos/users/", "prefix/photos/recipes/2023/")
	run("every-scope-no-match", table)
	give(b, table, purge.Purge, "kind/recipes")
	run("one-match", table)
	give(b, table, purge.Purge, "all")
	run("two-matches", table)
}
