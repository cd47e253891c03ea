package bench

import (
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"testing"
)

// standIn is a subject behind a server of this test.
func standIn(t *testing.T, h http.Handler) *served {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return &served{config: Default(), base: server.URL, client: server.Client(), path: func(j job) string {
		return fmt.Sprintf("/%s/%dx%d", j.original.id, j.width, j.height)
	}}
}

func multiDouble(t *testing.T) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req struct{ Paths []string }
		if err := json.NewDecoder(r.Body).Decode(&req); r.URL.Path != multiPath || err != nil || len(req.Paths) == 0 {
			http.Error(w, "nothing to make", http.StatusBadRequest)
			return
		}
		parts := multipart.NewWriter(w)
		w.Header().Set("Content-Type", "multipart/mixed; boundary="+parts.Boundary())
		for _, path := range req.Paths {
			var width, height int
			status := "200"
			if _, err := fmt.Sscanf(path, "/1/%dx%d", &width, &height); err != nil {
				status = "404"
			}
			part, err := parts.CreatePart(textproto.MIMEHeader{"Status": {status}})
			if err == nil && status == "200" {
				err = jpeg.Encode(part, image.NewGray(image.Rect(0, 0, width, height)), nil)
			}
			if err != nil {
				t.Error(err)
			}
		}
		_ = parts.Close()
	})
}

func TestMultiGivesAnOutcomeForEachSize(t *testing.T) {
	t.Parallel()
	s := standIn(t, multiDouble(t))
	if offered, err := s.offersMulti(t.Context()); err != nil || !offered {
		t.Fatalf("offersMulti() = %v, %v", offered, err)
	}
	one, two := &original{id: "1"}, &original{id: "2"}
	got := s.multi(t.Context(), []job{{original: one, width: 40, height: 30}, {original: two, width: 40, height: 30}, {original: one, width: 80, height: 60}})
	if got[0].why != "" || got[2].why != "" || !strings.Contains(got[1].why, "status 404") {
		t.Errorf("outcomes = %+v, want the second refused", got)
	}
}

func TestAProgramWithoutMultiIsTold(t *testing.T) {
	t.Parallel()
	s := standIn(t, http.NotFoundHandler())
	if offered, err := s.offersMulti(t.Context()); err != nil || offered {
		t.Errorf("offersMulti() = %v, %v", offered, err)
	}
	got := s.multi(t.Context(), []job{{original: &original{id: "1"}}})
	if len(got) != 1 || !strings.Contains(got[0].why, "404") {
		t.Errorf("outcomes = %+v", got)
	}
}
