// Package blobtest is the conformance suite of blob.Store: every engine runs it
// against its real store, so that a consumer may rely on the interface alone.
// It checks promises, not speed, and it needs nothing but an empty store; what
// only one engine can do belongs in that engine's own tests.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/kamado/kamado/internal/blob"
)

// Run checks every promise of blob.Store, and of blob.Ranger, blob.Walker and
// blob.Linker when the store has them. open gives a fresh empty store for each promise.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	promises := []struct {
		name  string
		check func(*testing.T, blob.Store)
	}{
		{"what was put is what is got", roundTrip},
		{"a missing object is not found", missing},
		{"a bad key is refused by every method", badKeys},
		{"an unusual key is a key", unusualKeys},
		{"a second put replaces the first", replace},
		{"the etag follows the bytes", etags},
		{"an open body outlives put and delete", openBody},
		{"a reader of the wrong length stores nothing", wrongLength},
		{"an error of the reader stores nothing", brokenReader},
		{"a cancelled context stores nothing", cancelled},
		{"delete can be repeated", deleteTwice},
		{"list is in byte order over all pages", listOrder},
		{"list takes any prefix and any after", listPrefix},
		{"list is bounded", listBounded},
		{"a walk gives what the pages of a list give", walk},
		{"a range is a part", ranges},
		{"a file is shared, not copied", shared},
		{"a note comes and goes with its object", notes},
		{"concurrent puts leave one of them whole", concurrentPuts},
		{"concurrent put and delete of neighbours do not harm", neighbours},
	}
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) { p.check(t, open(t)) })
	}
}

func put(t *testing.T, s blob.Store, key, text string) blob.Info {
	t.Helper()
	in, err := s.Put(t.Context(), key, strings.NewReader(text), int64(len(text)), blob.PutOptions{})
	if err != nil {
		t.Fatalf("Put(%q) = %v", key, err)
	}
	return in
}

func get(t *testing.T, s blob.Store, key string) string {
	t.Helper()
	b, _, err := blob.GetAll(t.Context(), s, key, nil, 0)
	if err != nil {
		t.Fatalf("Get(%q) = %v", key, err)
	}
	return string(b)
}

func wantMissing(t *testing.T, s blob.Store, key string) {
	t.Helper()
	if o, err := s.Get(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
		if err == nil {
			o.Close()
		}
		t.Errorf("Get(%q) = %v, want ErrNotFound", key, err)
	}
	if _, err := s.Stat(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Stat(%q) = %v, want ErrNotFound", key, err)
	}
}

func keys(infos []blob.Info) []string {
	ks := make([]string, len(infos))
	for i := range infos {
		ks[i] = infos[i].Key
	}
	return ks
}

func roundTrip(t *testing.T, s blob.Store) {
	// One past every size at which an engine may change its way: empty, one
	// byte, a page, io.Copy's buffer.
	for _, size := range []int{0, 1, 4095, 4097, 32<<10 + 1, 1<<20 + 1} {
		want := noise(size)
		key := fmt.Sprintf("d/%d", size)
		in, err := s.Put(t.Context(), key, bytes.NewReader(want), int64(size), blob.PutOptions{ContentType: "image/x-test"})
		if err != nil {
			t.Fatalf("Put(%q) = %v", key, err)
		}
		got, gin, err := blob.GetAll(t.Context(), s, key, nil, 0)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("Get(%q) = %d bytes, %v; want the %d bytes that were put", key, len(got), err, size)
		}
		sin, err := s.Stat(t.Context(), key)
		if err != nil {
			t.Fatalf("Stat(%q) = %v", key, err)
		}
		for what, i := range map[string]blob.Info{"Put": in, "Get": gin, "Stat": sin} {
			if i.Key != key || i.Size != int64(size) || i.ETag == "" || i.ETag != in.ETag || strings.ContainsAny(i.ETag, "\"\r\n") {
				t.Errorf("%s(%q) = %+v; want size %d and the ETag of Put %q without quotes", what, key, i, size, in.ETag)
			}
			if what != "Put" && i.ModTime.IsZero() {
				t.Errorf("%s(%q) has no ModTime", what, key)
			}
		}
	}
}

func missing(t *testing.T, s blob.Store) {
	put(t, s, "dir/file", "x")
	for _, key := range []string{"nothing", "dir", "dir/file2", "dir/fil", "dir/file/below", "nowhere/x"} {
		wantMissing(t, s, key)
	}
	if _, err := s.Stat(t.Context(), "dir/file"); err != nil {
		t.Errorf("Stat of what is there = %v", err)
	}
}

func badKeys(t *testing.T, s blob.Store) {
	for _, key := range BadKeys() {
		if _, err := s.Get(t.Context(), key); !errors.Is(err, blob.ErrInvalidKey) {
			t.Errorf("Get(%.40q) = %v, want ErrInvalidKey", key, err)
		}
		if _, err := s.Stat(t.Context(), key); !errors.Is(err, blob.ErrInvalidKey) {
			t.Errorf("Stat(%.40q) = %v, want ErrInvalidKey", key, err)
		}
		if _, err := s.Put(t.Context(), key, strings.NewReader("x"), 1, blob.PutOptions{}); !errors.Is(err, blob.ErrInvalidKey) {
			t.Errorf("Put(%.40q) = %v, want ErrInvalidKey", key, err)
		}
		if err := s.Delete(t.Context(), key); !errors.Is(err, blob.ErrInvalidKey) {
			t.Errorf("Delete(%.40q) = %v, want ErrInvalidKey", key, err)
		}
	}
	if infos, err := s.List(t.Context(), "../", "", 0); !errors.Is(err, blob.ErrInvalidKey) {
		t.Errorf("List(../) = %v, %v, want ErrInvalidKey", infos, err)
	}
}

// BadKeys are keys that every engine refuses, one for each rule of
// blob.CheckKey and for each known way out of a directory.
func BadKeys() []string {
	return []string{
		"", "/", "a/", "/a", "a//b", ".", "..", "./a", "a/.", "a/..", "../a", "a/../b", "a/../../b",
		"a\x00", "a\nb", "a\x7f", "\xff", "a/\xc3\x28",
		strings.Repeat("a", blob.SegmentBytesMax+1), strings.Repeat("a/", blob.KeyBytesMax/2) + "a",
		blob.ReservedSegment, blob.ReservedSegment + "/x",
	}
}

func unusualKeys(t *testing.T, s blob.Store) {
	unusual := []string{
		"a b", "a+b", "a%2fb", "%2e%2e", "...", ".hidden", "a?b=c#d", "日本語/写真.jpg", "a\\b", "\"quoted\"", "<&>",
		"a=b;c", "~/x", strings.Repeat("s", 200) + "/" + strings.Repeat("t", 200), "sub/" + blob.ReservedSegment,
	}
	for _, key := range unusual {
		put(t, s, key, "of "+key)
	}
	for _, key := range unusual {
		if got := get(t, s, key); got != "of "+key {
			t.Errorf("Get(%q) = %q", key, got)
		}
	}
	slices.Sort(unusual)
	infos, err := s.List(t.Context(), "", "", 0)
	if err != nil || !slices.Equal(keys(infos), unusual) {
		t.Errorf("List = %q, %v\nwant %q", keys(infos), err, unusual)
	}
}

func replace(t *testing.T, s blob.Store) {
	put(t, s, "k", "a long first version")
	put(t, s, "k", "second")
	if got := get(t, s, "k"); got != "second" {
		t.Errorf("Get = %q, want the second version", got)
	}
	put(t, s, "k", "")
	if got := get(t, s, "k"); got != "" {
		t.Errorf("Get = %q, want nothing", got)
	}
}

func etags(t *testing.T, s blob.Store) {
	seen := map[string]string{}
	for i := range 20 {
		text := fmt.Sprintf("version %02d", i) // all of one size
		in := put(t, s, "k", text)
		if before, twice := seen[in.ETag]; twice {
			t.Fatalf("ETag %q stands for %q and for %q", in.ETag, before, text)
		}
		seen[in.ETag] = text
		if st, err := s.Stat(t.Context(), "k"); err != nil || st.ETag != in.ETag {
			t.Fatalf("Stat = %+v, %v, want the ETag of Put %q", st, err, in.ETag)
		}
	}
}

func openBody(t *testing.T, s blob.Store) {
	want := noise(1 << 20) // more than the buffers between here and a server
	in, err := s.Put(t.Context(), "k", bytes.NewReader(want), int64(len(want)), blob.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	put(t, s, "k", "another")
	if err := s.Delete(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	got, err := blob.ReadAll(nil, o, 0)
	if err != nil || !bytes.Equal(got, want) || o.ETag != in.ETag {
		t.Errorf("body after Put and Delete = %d bytes, %v; want the version that was opened", len(got), err)
	}
}

func wrongLength(t *testing.T, s blob.Store) {
	for _, c := range []struct {
		name string
		have int
		say  int64
	}{{"too little", 10, 11}, {"nothing", 0, 1}, {"too much", 12, 11}, {"something for nothing", 1, 0}, {"negative", 3, -1}} {
		// OneByteReader hides the length that an engine could otherwise see.
		r := iotest.OneByteReader(bytes.NewReader(noise(c.have)))
		if _, err := s.Put(t.Context(), "k/x", r, c.say, blob.PutOptions{}); !errors.Is(err, blob.ErrShort) {
			t.Errorf("%s: Put of %d bytes as %d = %v, want ErrShort", c.name, c.have, c.say, err)
		}
		wantMissing(t, s, "k/x")
	}
	put(t, s, "k/x", "old")
	if _, err := s.Put(t.Context(), "k/x", strings.NewReader("ne"), 3, blob.PutOptions{}); !errors.Is(err, blob.ErrShort) {
		t.Errorf("Put = %v, want ErrShort", err)
	}
	if got := get(t, s, "k/x"); got != "old" {
		t.Errorf("Get after a failed Put = %q, want the old object", got)
	}
}

func brokenReader(t *testing.T, s blob.Store) {
	broken := errors.New("reader broke")
	r := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken))
	if _, err := s.Put(t.Context(), "k", r, 8, blob.PutOptions{}); !errors.Is(err, broken) {
		t.Errorf("Put = %v, want the reader's error", err)
	}
	wantMissing(t, s, "k")
	if infos, err := s.List(t.Context(), "", "", 0); err != nil || len(infos) != 0 {
		t.Errorf("List = %v, %v, want nothing", keys(infos), err)
	}
}

func cancelled(t *testing.T, s blob.Store) {
	put(t, s, "k", "old")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	calls := map[string]func() error{
		"Get":    func() error { _, err := s.Get(ctx, "k"); return err },
		"Stat":   func() error { _, err := s.Stat(ctx, "k"); return err },
		"List":   func() error { _, err := s.List(ctx, "", "", 0); return err },
		"Delete": func() error { return s.Delete(ctx, "k") },
		"Put": func() error {
			_, err := s.Put(ctx, "k", strings.NewReader("new"), 3, blob.PutOptions{})
			return err
		},
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context = %v, want context.Canceled", name, err)
		}
	}
	if got := get(t, s, "k"); got != "old" {
		t.Errorf("Get = %q, want the old object", got)
	}
}

func deleteTwice(t *testing.T, s blob.Store) {
	put(t, s, "a/b/c", "x")
	put(t, s, "a/b2", "y")
	for range 2 {
		if err := s.Delete(t.Context(), "a/b/c"); err != nil {
			t.Errorf("Delete = %v", err)
		}
		wantMissing(t, s, "a/b/c")
	}
	if err := s.Delete(t.Context(), "a"); err != nil {
		t.Errorf("Delete of a prefix that is no object = %v", err)
	}
	if got := get(t, s, "a/b2"); got != "y" {
		t.Errorf("the neighbour of a deleted object = %q", got)
	}
	put(t, s, "a/b", "where a directory was")
}

// listed are keys whose byte order differs from the order of a directory walk.
func listed() []string {
	ks := []string{"a", "a!/x", "a-b/x", "a.txt", "a0", "b/a", "b/a.d/x", "b/z", "b0/y", "c/d/e/f/g", "日/本"}
	for i := range 12 {
		ks = append(ks, fmt.Sprintf("m/%d/n", i), fmt.Sprintf("m/%d.jpg", i))
	}
	slices.Sort(ks)
	return ks
}

func listOrder(t *testing.T, s blob.Store) {
	want := listed()
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(len(want)) {
		put(t, s, want[i], want[i])
	}
	for _, limit := range []int{1, 2, 7, len(want), len(want) + 1, 0} {
		var got []string
		after := ""
		for pages := 0; ; pages++ {
			infos, err := s.List(t.Context(), "", after, limit)
			if err != nil {
				t.Fatalf("List(after %q, limit %d) = %v", after, limit, err)
			}
			got = append(got, keys(infos)...)
			for _, in := range infos {
				if in.Size != int64(len(in.Key)) || in.ETag == "" || in.ModTime.IsZero() {
					t.Errorf("List gives %+v, want size %d, an ETag and a ModTime", in, len(in.Key))
				}
			}
			if len(infos) == 0 || (limit == 0 && pages == 0) {
				break
			}
			after = infos[len(infos)-1].Key
		}
		if !slices.Equal(got, want) {
			t.Fatalf("pages of %d: %q\nwant %q", limit, got, want)
		}
	}
	infos, err := s.List(t.Context(), "b/", "", 1)
	if err != nil || len(infos) != 1 {
		t.Fatalf("List = %v, %v", infos, err)
	}
	if st, err := s.Stat(t.Context(), infos[0].Key); err != nil || st.ETag != infos[0].ETag {
		t.Errorf("Stat = %+v, %v, want the ETag of List %q", st, err, infos[0].ETag)
	}
}

func listPrefix(t *testing.T, s blob.Store) {
	all := listed()
	for _, k := range all {
		put(t, s, k, "x")
	}
	for _, c := range []struct{ prefix, after string }{
		{"b", ""}, {"b/", ""}, {"b/a", ""}, {"b/a/", ""}, {"b/a.", ""}, {"m/1", ""}, {"m/1/", ""}, {"none", ""}, {"none/x", ""}, {"a", ""},
		{"c/d/e", ""}, {"", "b/a"}, {"", "b/a!"}, {"", "m/2"}, {"", "m/2/"}, {"", "m/2/n"}, {"", "zz"}, {"m/1", "m/10"}, {"m/1", "a"}, {"m/1", "n"},
		{"", "b/a.d/"}, {"b/", "b/a.d/x"}, {".", ""}, {"日", ""}, {"a", "a"}, {"c/d/e/f/g", ""}, {"c/d/e/f/g", "c/d/e/f/g"},
	} {
		var want []string
		for _, k := range all {
			if strings.HasPrefix(k, c.prefix) && k > c.after {
				want = append(want, k)
			}
		}
		infos, err := s.List(t.Context(), c.prefix, c.after, 0)
		if err != nil || !slices.Equal(keys(infos), want) {
			t.Errorf("List(%q, after %q) = %q, %v\nwant %q", c.prefix, c.after, keys(infos), err, want)
		}
	}
}

func listBounded(t *testing.T, s blob.Store) {
	for i := range 5 {
		put(t, s, fmt.Sprintf("k%d", i), "x")
	}
	for limit, want := range map[int]int{1: 1, 3: 3, 5: 5, 6: 5, 0: 5, -1: 5, blob.ListMax + 1: 5} {
		if infos, err := s.List(t.Context(), "", "", limit); err != nil || len(infos) != want {
			t.Errorf("List(limit %d) = %d objects, %v, want %d", limit, len(infos), err, want)
		}
	}
}

func ranges(t *testing.T, s blob.Store) {
	r, ok := s.(blob.Ranger)
	if !ok {
		t.Skip("needs blob.Ranger, an optional ability that this engine does not have")
	}
	want := noise(10000)
	in := put(t, s, "k", string(want))
	for _, c := range []struct{ offset, length, end int64 }{
		{0, 10000, 10000}, {0, 1, 1}, {9999, 1, 10000}, {9999, 5, 10000}, {5000, -1, 10000}, {17, 4096, 17 + 4096}, {3, 0, 3}, {0, -1, 10000}, {1, 1 << 60, 10000},
	} {
		o, err := r.GetRange(t.Context(), "k", c.offset, c.length)
		if err != nil {
			t.Errorf("GetRange(%d, %d) = %v", c.offset, c.length, err)
			continue
		}
		got, err := blob.ReadAll(nil, o, 0)
		o.Close()
		if err != nil || o.Size != c.end-c.offset || !bytes.Equal(got, want[c.offset:c.end]) || o.ETag != in.ETag {
			t.Errorf("GetRange(%d, %d) = %d bytes, size %d, etag %q, %v", c.offset, c.length, len(got), o.Size, o.ETag, err)
		}
	}
	put(t, s, "empty", "")
	for _, c := range []struct {
		key    string
		offset int64
	}{{"k", 10000}, {"k", 1 << 40}, {"k", -1}, {"empty", 0}} {
		if _, err := r.GetRange(t.Context(), c.key, c.offset, 1); !errors.Is(err, blob.ErrRange) {
			t.Errorf("GetRange(%q, %d, 1) = %v, want ErrRange", c.key, c.offset, err)
		}
	}
	if _, err := r.GetRange(t.Context(), "missing", 0, 1); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("GetRange of a missing object = %v, want ErrNotFound", err)
	}
	if _, err := r.GetRange(t.Context(), "../k", 0, 1); !errors.Is(err, blob.ErrInvalidKey) {
		t.Errorf("GetRange(../k) = %v, want ErrInvalidKey", err)
	}
}

func concurrentPuts(t *testing.T, s blob.Store) {
	const writers, rounds = 4, 5
	var wg sync.WaitGroup
	text := func(w int) string { return strings.Repeat(string(rune('a'+w)), 50000+w) }
	put(t, s, "d/k", text(0))
	for w := range writers {
		wg.Go(func() {
			for range rounds {
				v := text(w)
				if _, err := s.Put(t.Context(), "d/k", strings.NewReader(v), int64(len(v)), blob.PutOptions{}); err != nil {
					t.Errorf("Put = %v", err)
				}
				b, _, err := blob.GetAll(t.Context(), s, "d/k", nil, 0)
				if err != nil || len(b) == 0 || string(b) != text(int(b[0]-'a')) {
					t.Errorf("Get = a mixture of %d bytes, %v", len(b), err)
				}
			}
		})
	}
	wg.Wait()
}

func neighbours(t *testing.T, s blob.Store) {
	const workers, rounds = 4, 10
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			key := fmt.Sprintf("shared/dir/%d", w)
			for range rounds {
				if _, err := s.Put(t.Context(), key, strings.NewReader("x"), 1, blob.PutOptions{}); err != nil {
					t.Errorf("Put = %v", err)
				}
				if _, err := s.Stat(t.Context(), key); err != nil {
					t.Errorf("Stat after Put = %v", err)
				}
				if err := s.Delete(t.Context(), key); err != nil {
					t.Errorf("Delete = %v", err)
				}
			}
		})
	}
	wg.Wait()
	if infos, err := s.List(t.Context(), "", "", 0); err != nil || len(infos) != 0 {
		t.Errorf("List = %q, %v, want nothing", keys(infos), err)
	}
}

// noise gives n bytes that no compression or padding reproduces by chance; the
// same n gives the same bytes.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(uint64(n), 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func shared(t *testing.T, s blob.Store) {
	l, ok := s.(blob.Linker)
	if !ok {
		t.Skip("needs blob.Linker, an optional ability that this engine does not have")
	}
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("bytes"), 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, s, "a/k", "what was there before")
	for range 2 { // also when its bytes are those of the object already
		in, err := l.PutFile(t.Context(), "a/k", file)
		st, serr := s.Stat(t.Context(), "a/k")
		if err != nil || serr != nil || in.Size != 5 || in != st {
			t.Fatalf("PutFile = %+v, %v, Stat = %+v, %v", in, err, st, serr)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, "a/k"); got != "bytes" {
		t.Errorf("the object is %q after its file's own name went", got)
	}
	if err := l.LinkFile(t.Context(), "a/k", link); err != nil {
		t.Fatal(err)
	}
	if err := l.LinkFile(t.Context(), "a/k", link); !errors.Is(err, os.ErrExist) {
		t.Errorf("LinkFile over a file = %v, want os.ErrExist", err)
	}
	if err := s.Delete(t.Context(), "a/k"); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(link); err != nil || string(b) != "bytes" {
		t.Errorf("the link reads %q, %v after the object was deleted", b, err)
	}
	if err := l.LinkFile(t.Context(), "a/k", filepath.Join(dir, "other")); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("LinkFile of a missing object = %v, want ErrNotFound", err)
	}
	if _, err := l.PutFile(t.Context(), "../k", link); !errors.Is(err, blob.ErrInvalidKey) {
		t.Errorf("PutFile of a bad key = %v, want ErrInvalidKey", err)
	}
	if _, err := l.PutFile(t.Context(), "k", dir); err == nil {
		t.Error("PutFile of a directory succeeded")
	}
	if infos, err := s.List(t.Context(), "", "", 0); err != nil || len(infos) != 0 {
		t.Errorf("List = %v, %v, want nothing left", infos, err)
	}
}

func notes(t *testing.T, s blob.Store) {
	n, ok := s.(blob.Noter)
	if !ok {
		t.Skip("this store keeps no notes")
	}
	note := func(key string) string {
		t.Helper()
		text, in, err := n.Note(t.Context(), key)
		if err != nil {
			t.Fatalf("Note(%q) = %v", key, err)
		}
		if st, err := s.Stat(t.Context(), key); err != nil || st.ETag != in.ETag || st.Size != in.Size || in.Key != key {
			t.Errorf("Note(%q) describes %+v, and Stat %+v, %v", key, in, st, err)
		}
		return string(text)
	}
	noted := func(key, text, note string) {
		t.Helper()
		if _, err := s.Put(t.Context(), key, strings.NewReader(text), int64(len(text)), blob.PutOptions{Note: []byte(note)}); err != nil {
			t.Fatalf("Put(%q) = %v", key, err)
		}
	}
	noted("n/a", "bytes", "first")
	if note("n/a") == "" {
		t.Skip("this file system keeps no extended attributes")
	}
	for _, want := range []string{"x", "", strings.Repeat("long", blob.NoteBytesMax/4)} {
		if noted("n/a", "other "+want, want); note("n/a") != want {
			t.Errorf("Note = %.20q after a Put with %.20q", note("n/a"), want)
		}
	}
	if noted("n/a", "bytes", strings.Repeat("x", blob.NoteBytesMax+1)); note("n/a") != "" {
		t.Errorf("a note of %d bytes was kept, the limit is %d", len(note("n/a")), blob.NoteBytesMax)
	}
	if put(t, s, "n/a", "no note"); note("n/a") != "" {
		t.Errorf("Note = %q after a Put without one", note("n/a"))
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("shared"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := n.PutFileNote(t.Context(), "n/b", file, []byte("of a file"))
	if err == nil && (get(t, s, "n/b") != "shared" || note("n/b") != "of a file") {
		t.Errorf("PutFileNote gave %q with the note %q", get(t, s, "n/b"), note("n/b"))
	} else if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("PutFileNote = %v", err)
	}
	for _, key := range []string{"n", "n/c", "n/a/x"} {
		if _, _, err := n.Note(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Note(%q) = %v, want ErrNotFound", key, err)
		}
	}
}
