package api_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/kamado/kamado/images/api"
	"github.com/kamado/kamado/images/delivery"
)

// open is a guard that lets everybody through.
type open struct{}

func (open) Require(h http.Handler) http.Handler { return h }
func (open) Reads(h http.Handler) http.Handler   { return h }

// TestRequestsForManyPicturesAreBounded: nobody needs a credential for them, and
// each holds many pictures.
func TestRequestsForManyPicturesAreBounded(t *testing.T) {
	t.Parallel()
	const bound = 16
	came, hold := make(chan struct{}), make(chan struct{})
	h := api.New(api.Deps{Guard: open{}, Many: func(_ *http.Request, urls []*url.URL) []delivery.One {
		came <- struct{}{}
		<-hold
		return make([]delivery.One, len(urls))
	}})
	ask := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", api.Prefix+"multi", strings.NewReader(`{"paths": ["/a"]}`)))
		return w
	}
	var all sync.WaitGroup
	for range bound {
		all.Go(func() {
			if w := ask(); w.Code != http.StatusOK {
				t.Errorf("within the bound: %d", w.Code)
			}
		})
		<-came
	}
	if w := ask(); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("beyond the bound: %d", w.Code)
	}
	close(hold)
	all.Wait()
	all.Go(func() { <-came })
	if w := ask(); w.Code != http.StatusOK {
		t.Errorf("afterwards: %d", w.Code)
	}
	all.Wait()
}
