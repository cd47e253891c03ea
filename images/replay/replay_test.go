package replay_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/images/replay"
)

func TestLogsInEveryForm(t *testing.T) {
	t.Parallel()
	log := replay.NewLog(strings.NewReader(`# comment
192.0.2.1 - - [26/May/2011:19:00:00 +0900] "GET /recipes/1/480x360 HTTP/1.1" 200 2326 "-" "agent \"x\""
192.0.2.1 - - [26/May/2011:19:00:00 +0900] "HEAD /recipes/2/480x360?u=1 HTTP/1.1" 304 -
192.0.2.1 - - [26/May/2011:19:00:00 +0900] "POST /upload HTTP/1.1" 200 1
{"time":"x","method":"GET","request_uri":"/recipes/3/1x1","status":404}
{"request":"GET /recipes/4/1x1 HTTP/2.0","status":"200"}
{"method":"PUT","uri":"/a"}
/recipes/5/1x1
nonsense

` + strings.Repeat("x", 70<<10) + `
/recipes/6/1x1`))
	var got []replay.Entry
	for {
		e, err := log.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	want := []replay.Entry{{"/recipes/1/480x360", 200}, {"/recipes/2/480x360?u=1", 304}, {"/recipes/3/1x1", 404}, {"/recipes/4/1x1", 0}, {"/recipes/5/1x1", 0}, {"/recipes/6/1x1", 0}}
	want[3].Status = 0
	if len(got) != len(want) {
		t.Fatalf("%d entries %v, want %d", len(got), got, len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("entry %d is %v, want %v", i, got[i], want[i])
		}
	}
	if log.Skipped() != 4 {
		t.Errorf("%d lines skipped, want 4", log.Skipped())
	}
}

// site answers /same with the same picture as every other, /other with one of its
// own, /gone with 404 and /text with no picture.
func site(t *testing.T, name string, asked *atomic.Int32) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch r.URL.Path {
		case "/same":
			w.Header().Set("Content-Type", "image/jpeg")
			_, _ = io.WriteString(w, "picture")
		case "/other":
			w.Header().Set("Content-Type", "image/jpeg")
			_, _ = io.WriteString(w, name)
		case "/text":
			_, _ = io.WriteString(w, name)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func hash(_ context.Context, data []byte) (uint64, error) {
	switch {
	case bytes.Equal(data, []byte("picture")):
		return 0, nil
	case bytes.Equal(data, []byte("old")):
		return 0xFFFF, nil
	}
	return 0, nil
}

func TestTwoServicesAreCompared(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	cfg := replay.Config{Candidate: site(t, "new", &asked), Reference: site(t, "old", &asked), Concurrency: 3, Timeout: 10 * time.Second, Hash: hash}
	r, err := replay.Run(t.Context(), cfg, replay.NewLog(strings.NewReader("/same\n/other\n/gone\n/text\n/same\n")))
	if err != nil {
		t.Fatal(err)
	}
	if r.Requests != 5 || asked.Load() != 10 || r.Compared != 3 || r.Alike != 2 || r.Different != 0 || r.Statuses[200] != 4 || r.Statuses[404] != 1 {
		t.Errorf("%+v after %d requests", r, asked.Load())
	}
	if r.Bytes != [2]int64{7 + 7 + 3, 7 + 7 + 3} || len(r.Worst) != 1 || r.Worst[0].Path != "/other" || r.Worst[0].Distance != 16 {
		t.Errorf("bytes %v, worst %+v", r.Bytes, r.Worst)
	}
	if r.Times[0].P50 <= 0 || r.Times[1].P99 < r.Times[1].P50 {
		t.Errorf("times %+v", r.Times)
	}
}

func TestALogAloneTellsItsStatuses(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	cfg := replay.Config{Candidate: site(t, "new", &asked), Limit: 2, Timeout: 10 * time.Second, Hash: hash,
		Rewrite: func(path string) (string, error) { return strings.TrimPrefix(path, "/old"), nil }}
	r, err := replay.Run(t.Context(), cfg, replay.NewLog(strings.NewReader(`x "GET /old/same HTTP/1.1" 200 1
x "GET /old/gone HTTP/1.1" 200 1
x "GET /old/text HTTP/1.1" 200 1
`)))
	if err != nil || r.Requests != 2 || r.Different != 1 || len(r.Worst) != 1 || r.Worst[0].Path != "/old/gone" || r.Worst[0].Statuses != [2]int{404, 200} {
		t.Errorf("%+v, %v", r, err)
	}
	cfg.Candidate = "http://127.0.0.1:1"
	r, err = replay.Run(t.Context(), cfg, replay.NewLog(strings.NewReader("/same\n")))
	if err != nil || r.Statuses[0] != 1 || len(r.Worst) != 1 || r.Worst[0].Why == "" {
		t.Errorf("nobody answers: %+v, %v", r, err)
	}
	for _, bad := range []string{"", "ftp://a", "127.0.0.1:80", "http://a/?q"} {
		if _, err := replay.Run(t.Context(), replay.Config{Candidate: bad}, replay.NewLog(strings.NewReader(""))); err == nil {
			t.Errorf("%q is an address", bad)
		}
	}
}

func FuzzLog(f *testing.F) {
	f.Add("192.0.2.1 - - [x] \"GET /recipes/1/480x360 HTTP/1.1\" 200 2326\n")
	f.Add(`{"request_uri":"/a","status":"404"}`)
	f.Add("/a\n\"\n{}\n")
	f.Fuzz(func(t *testing.T, text string) {
		log := replay.NewLog(strings.NewReader(text))
		for n := 0; ; n++ {
			e, err := log.Next()
			if err != nil {
				return
			}
			if !strings.HasPrefix(e.Path, "/") || strings.ContainsAny(e.Path, " \n") && text[0] != '{' && !strings.Contains(text, "{") {
				t.Errorf("path %q", e.Path)
			}
			if n > strings.Count(text, "\n") {
				t.Fatal("more entries than lines")
			}
		}
	})
}
