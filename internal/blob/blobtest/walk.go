package blobtest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/kamado/kamado/internal/blob"
)

func walk(t *testing.T, s blob.Store) {
	w, ok := s.(blob.Walker)
	if !ok {
		t.Skip("needs blob.Walker, an optional ability that this engine does not have")
	}
	for _, key := range []string{"a", "a.b", "b/a", "b/b/c", "b-c", "b.d/e", "c/1", "c/2", "c/3", "d"} {
		put(t, s, key, key)
	}
	for _, prefix := range []string{"", "b", "b/", "c/", "b/b/", "x", "c/2"} {
		for _, after := range []string{"", "a", "b/a", "c/1", "z"} {
			want, err := s.List(t.Context(), prefix, after, 0)
			if err != nil {
				t.Fatal(err)
			}
			var got []blob.Info
			err = w.Walk(t.Context(), prefix, after, func(in blob.Info) error { got = append(got, in); return nil })
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("Walk(%q, %q) = %v, %v, want %v", prefix, after, keys(got), err, keys(want))
			}
		}
	}
	enough := errors.New("enough")
	n := 0
	err := w.Walk(t.Context(), "", "", func(blob.Info) error {
		if n++; n == 3 {
			return enough
		}
		return nil
	})
	if err != enough || n != 3 { //nolint:errorlint // as it is
		t.Errorf("Walk that is ended = %v after %d objects, want its own error after 3", err, n)
	}
	if err := w.Walk(t.Context(), "../", "", func(blob.Info) error { return nil }); !errors.Is(err, blob.ErrInvalidKey) {
		t.Errorf("Walk(../) = %v, want ErrInvalidKey", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Walk(ctx, "", "", func(blob.Info) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Walk with a cancelled context = %v", err)
	}
}
