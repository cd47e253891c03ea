package delivery

import (
	"errors"
	"fmt"
	"testing"

	"github.com/kamado/kamado/images"
)

func TestEveryKindHasAnAnswer(t *testing.T) {
	t.Parallel()
	want := map[images.Kind]int{
		images.Internal: 500, images.Invalid: 400, images.Denied: 403, images.NotFound: 404, images.TooLarge: 413,
		images.Unprocessable: 422, images.Exhausted: 503, images.Unavailable: 502, images.Timeout: 504, images.Gone: 410,
	}
	for _, k := range images.Kinds() {
		f := describe(fmt.Errorf("doing something: %w", &images.Error{Kind: k, Part: "size", Detail: "said", Err: errors.New("hidden")}))
		if f.status != want[k] || f.title == "" || f.kind == "" || Status(k) != want[k] {
			t.Errorf("kind %v is answered with %d %q, want %d", k, f.status, f.title, want[k])
		}
		if f.keep && f.status >= 500 {
			t.Errorf("kind %v: a fault of ours may be kept by caches", k)
		}
	}
}
