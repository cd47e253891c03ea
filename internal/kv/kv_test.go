package kv_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/kamado/kamado/internal/kv"
)

func TestKeyCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		group, name string
		ok          bool
	}{
		{"u1", "avatar", true},
		{"a_B-9", "a.b.c_D-0", true},
		{strings.Repeat("g", kv.GroupBytesMax), strings.Repeat("n", kv.NameBytesMax), true},
		{"", "a", false},
		{"g", "", false},
		{"g.h", "a", false},
		{"g h", "a", false},
		{"g", ".a", false},
		{"g", "a.", false},
		{"g", "a..b", false},
		{"g", "a*", false},
		{"g", "a>", false},
		{"g", "a/b", false},
		{"g", "é", false},
		{"g", "a\x00", false},
		{strings.Repeat("g", kv.GroupBytesMax+1), "n", false},
		{"g", strings.Repeat("n", kv.NameBytesMax+1), false},
	} {
		err := kv.Key{Group: c.group, Name: c.name}.Check()
		if (err == nil) != c.ok || err != nil && !errors.Is(err, kv.ErrInvalid) {
			t.Errorf("Check(%q, %q) = %v, want ok %t", c.group, c.name, err, c.ok)
		}
	}
}

func TestCheckValue(t *testing.T) {
	t.Parallel()
	if err := kv.CheckValue(make([]byte, kv.ValueBytesMax)); err != nil {
		t.Error(err)
	}
	if err := kv.CheckValue(make([]byte, kv.ValueBytesMax+1)); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("CheckValue of one byte more = %v, want ErrInvalid", err)
	}
}

func TestExhaustedNamesItsSetting(t *testing.T) {
	t.Parallel()
	err := error(&kv.ExhaustedError{What: "writes under way", Limit: 7, Setting: "inflight"})
	if !errors.Is(err, kv.ErrExhausted) || errors.Is(err, kv.ErrFull) {
		t.Error("an ExhaustedError is ErrExhausted and nothing else")
	}
	if got, want := err.Error(), "writes under way: all 7 are in use (inflight)"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}
