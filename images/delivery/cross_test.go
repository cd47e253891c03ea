package delivery_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/delivery"
)

// TestManyDoNotWaitForEachOther: two clients ask for the same sizes at once, so
// that each has work under way that the other shares.
func TestManyDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, originals)
		for round := range 100 {
			paths := []string{fmt.Sprintf("/recipes/1/%dx1", round+1), fmt.Sprintf("/recipes/1/%dx2", round+1), fmt.Sprintf("/recipes/1/%dx3", round+1)}
			back := slices.Clone(paths)
			slices.Reverse(back)
			began := time.Now()
			var both sync.WaitGroup
			for _, list := range [][]string{paths, back} {
				both.Go(func() {
					for _, one := range b.many(t, "", list...) {
						if one.Status != 200 {
							t.Errorf("%s: %d %s", one.Path, one.Status, one.Detail)
						}
					}
				})
			}
			both.Wait()
			if took := time.Since(began); took > 0 {
				t.Fatalf("round %d took %v of a clock that stands still while anybody works", round, took)
			}
		}
	})
}

// TestAPanicInOneOfManyIsItsOwn: the pictures of one request are made by
// goroutines that no server recovers.
func TestAPanicInOneOfManyIsItsOwn(t *testing.T) {
	t.Parallel()
	b := newBench(t, originals, func(_ *delivery.Config, d *delivery.Deps) {
		d.Parse = func(r *http.Request) (images.Request, error) {
			if strings.HasSuffix(r.URL.Path, "6x6") {
				panic("broken grammar")
			}
			return parse(r)
		}
	})
	got := b.many(t, "", "/recipes/1/5x5", "/recipes/1/6x6", "/recipes/1/7x7")
	if got[0].Status != 200 || got[1].Status != 500 || got[2].Status != 200 {
		t.Errorf("statuses %d, %d, %d", got[0].Status, got[1].Status, got[2].Status)
	}
}
