package httpserver

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// discard is a writer that costs nothing, so that only the front is measured.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

func newTestFront(tb testing.TB, accessLog string) *front {
	tb.Helper()
	m, err := newMetrics("test", prometheus.NewRegistry())
	if err != nil {
		tb.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(io.Discard, nil))
	picture := make([]byte, 30<<10)
	return &front{
		next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(picture) }),
		log:  log, health: NewHealth(log), metrics: m, accessLog: accessLog, bodyMax: 1 << 20, inFlightMax: 10,
	}
}

// TestFrontAllocates says what every request pays: its id and the slice that carries it.
func TestFrontAllocates(t *testing.T) {
	f := newTestFront(t, AccessLogOff)
	w := &discard{header: http.Header{}}
	r := httptest.NewRequest("GET", "/recipes/1/480x360cq70/any.jpg", nil)
	got := testing.AllocsPerRun(100, func() {
		delete(r.Header, requestIDHeader)
		f.ServeHTTP(w, r)
	})
	if got > 3 {
		t.Errorf("a request allocates %v times in front of its handler, want at most 3", got)
	}
}

func BenchmarkFront(b *testing.B) {
	for _, mode := range []string{AccessLogOff, AccessLogAll} {
		b.Run("access-log-"+mode, func(b *testing.B) {
			f := newTestFront(b, mode)
			w := &discard{header: http.Header{}}
			r := httptest.NewRequest("GET", "/recipes/1/480x360cq70/any.jpg", nil)
			b.ReportAllocs()
			for b.Loop() {
				delete(r.Header, requestIDHeader)
				f.ServeHTTP(w, r)
			}
		})
	}
}

// TestFailuresAreLoggedAsWarnings: a log of warnings alone, as a terminal gets it, still shows the requests that failed.
func TestFailuresAreLoggedAsWarnings(t *testing.T) {
	for status, want := range map[int]bool{200: false, 404: false, 500: true, 503: true} {
		var out bytes.Buffer
		f := newTestFront(t, AccessLogErrors)
		f.log = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn}))
		f.next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) })
		f.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/recipes/1/280/x", nil))
		if got := out.Len() > 0; got != want {
			t.Errorf("status %d is logged: %v, want %v", status, got, want)
		}
	}
}
