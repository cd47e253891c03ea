package httpserver_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/kamado/kamado/internal/httpserver"
)

// TestRoutesRefuseWithProblems walks what a mux answers by itself.
func TestRoutesRefuseWithProblems(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /here", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	h := httpserver.Routes(mux)
	for _, c := range []struct {
		method, path string
		status       int
		media, allow string
	}{
		{"GET", "/here", 204, "", ""},
		{"HEAD", "/here", 204, "", ""},
		{"POST", "/here", 405, httpserver.ProblemMediaType, "GET, HEAD"},
		{"GET", "/there", 404, httpserver.ProblemMediaType, ""},
		{"GET", "/here/", 404, httpserver.ProblemMediaType, ""},
		{"GET", "/", 404, httpserver.ProblemMediaType, ""},
		{"GET", "//here", 307, "text/html; charset=utf-8", ""},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.status || w.Header().Get("Content-Type") != c.media || w.Header().Get("Allow") != c.allow {
			t.Errorf("%s %s gives %d %q, Allow %q; want %d %q, Allow %q", c.method, c.path, w.Code, w.Header().Get("Content-Type"),
				w.Header().Get("Allow"), c.status, c.media, c.allow)
		}
	}
}
