package blob_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/blobtest"
)

func TestCheckKey(t *testing.T) {
	for _, key := range blobtest.BadKeys() {
		if err := blob.CheckKey(key); !errors.Is(err, blob.ErrInvalidKey) {
			t.Errorf("CheckKey(%.40q) = %v, want ErrInvalidKey", key, err)
		}
	}
	for _, key := range []string{"a", "a/b", "...", ".a", "a..b", strings.Repeat("a", blob.SegmentBytesMax), "写真/1.jpg"} {
		if err := blob.CheckKey(key); err != nil {
			t.Errorf("CheckKey(%.40q) = %v", key, err)
		}
		for i := range key {
			if err := blob.CheckPrefix(key[:i]); err != nil {
				t.Errorf("CheckPrefix(%.40q) = %v, but it begins a key", key[:i], err)
			}
		}
	}
	if n := testing.AllocsPerRun(100, func() { _ = blob.CheckKey("recipes/480/1.jpg") }); n != 0 {
		t.Errorf("CheckKey of a good key makes %v allocations, want 0", n)
	}
}

// FuzzCheckKey holds the one thing that fs stakes its directory on: a good key
// is a plain relative path.
func FuzzCheckKey(f *testing.F) {
	for _, key := range blobtest.BadKeys() {
		f.Add(key)
	}
	f.Add("a/b.jpg")
	f.Fuzz(func(t *testing.T, key string) {
		if blob.CheckKey(key) != nil {
			return
		}
		if key == "" || len(key) > blob.KeyBytesMax || key[0] == '/' || strings.ContainsAny(key, "\x00\n\r") {
			t.Errorf("CheckKey accepts %q", key)
		}
		for _, s := range strings.Split(key, "/") {
			if s == "" || s == "." || s == ".." || len(s) > blob.SegmentBytesMax {
				t.Errorf("CheckKey accepts %q with a segment %q", key, s)
			}
		}
		if err := blob.CheckPrefix(key + "/"); err != nil && len(key) < blob.KeyBytesMax {
			t.Errorf("CheckPrefix(%q) = %v", key+"/", err)
		}
	})
}
