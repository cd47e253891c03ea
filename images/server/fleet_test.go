package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kamado/kamado/images/api"
	"github.com/kamado/kamado/images/purge/fleet"
	"github.com/kamado/kamado/images/server"
)

// order gives an order to a server as the operator.
func order(t *testing.T, s *server.Server, action, body string) (int, fleet.Answer) {
	t.Helper()
	a := do(t, s, httptest.NewRequestWithContext(t.Context(), "POST", api.Prefix+action, strings.NewReader(body)), "Authorization: Bearer operator")
	var got fleet.Answer
	if a.StatusCode == http.StatusOK {
		if err := json.Unmarshal(a.body, &got); err != nil {
			t.Fatalf("%s: %v", a.body, err)
		}
	}
	return a.StatusCode, got
}

// pair is two image servers of one fleet, each with caches and orders of its own
// and the same originals.
func pair(t *testing.T, dir string) [2]*server.Server {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("a secret of the fleet, long enough\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var handlers [2]atomic.Pointer[http.Handler] // servers ask each other before both are there
	var urls []string
	for i := range handlers {
		site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := handlers[i].Load()
			if h == nil {
				http.Error(w, "not there yet", http.StatusServiceUnavailable)
				return
			}
			(*h).ServeHTTP(w, r)
		}))
		t.Cleanup(site.Close)
		urls = append(urls, site.URL)
	}
	var servers [2]*server.Server
	for i := range servers {
		servers[i] = start(t, dir, func(o *server.Options, _ *server.Deps) {
			o.Config.Purge.Node, o.Config.Purge.Peers, o.Config.Purge.SecretFile = string(rune('a'+i)), urls, secret
		})
	}
	for i := range servers {
		h := servers[i].Handler()
		handlers[i].Store(&h)
	}
	return servers
}

// TestAnOrderReachesTheWholeFleet: a purge makes pictures afresh on every server,
// a takedown hides them and deletes what was kept, a restore shows them again.
func TestAnOrderReachesTheWholeFleet(t *testing.T) {
	t.Parallel()
	const picture = "/recipes/1/80x60cq70/any.jpg"
	dir := tree(t, map[string][]byte{"recipes/1.jpg": photograph(t, 400, 300), "recipes/2.jpg": photograph(t, 400, 300)})
	servers := pair(t, dir)
	var tags [2]string
	for i, s := range servers {
		tags[i] = get(t, s, picture).Header.Get("Etag")
		if a := get(t, s, picture); !strings.Contains(a.Header.Get("Server-Timing"), "desc=memory") || a.Header.Get("Surrogate-Key") == "" {
			t.Fatalf("before: %v", a.Header)
		}
	}
	if status, _ := order(t, servers[0], "purge", `{"key": "recipes/1", "wait": 10}`); status != 200 {
		t.Fatalf("purge: %d", status)
	}
	for i, s := range servers {
		eventually(t, "the purge reaches server "+string(rune('a'+i)), func() bool { return get(t, s, picture).Header.Get("Etag") != tags[i] })
	}
	if status, _ := order(t, servers[1], "takedown", `{"tag": "prefix/default/recipes/1", "reason": "asked for", "wait": 10}`); status != 200 {
		t.Fatalf("takedown: %d", status)
	}
	for _, s := range servers {
		eventually(t, "the takedown holds", func() bool { return get(t, s, picture).StatusCode == http.StatusGone })
		if a := get(t, s, "/recipes/2/80x60cq70/any.jpg"); a.StatusCode != 200 {
			t.Errorf("another picture: %d", a.StatusCode)
		}
	}
	if status, _ := order(t, servers[0], "restore", `{"tag": "prefix/default/recipes/1", "wait": 10}`); status != 200 {
		t.Fatalf("restore: %d", status)
	}
	for _, s := range servers {
		eventually(t, "the restore holds", func() bool { return get(t, s, picture).StatusCode == 200 })
	}
	anonymous := do(t, servers[0], httptest.NewRequestWithContext(t.Context(), "POST", api.Prefix+"takedown", strings.NewReader(`{"tag": "all"}`)))
	if anonymous.StatusCode != http.StatusUnauthorized {
		t.Errorf("a takedown without a credential: %d", anonymous.StatusCode)
	}
}

// TestATakedownOutlivesTheServer: and its caches.
func TestATakedownOutlivesTheServer(t *testing.T) {
	t.Parallel()
	dir, data := tree(t, map[string][]byte{"recipes/1.jpg": photograph(t, 400, 300)}), t.TempDir()
	edit := func(o *server.Options, _ *server.Deps) { o.Data = data }
	t.Run("before", func(t *testing.T) {
		s := start(t, dir, edit)
		if status, _ := order(t, s, "takedown", `{"key": "recipes/1"}`); status != 200 {
			t.Fatalf("takedown: %d", status)
		}
	})
	t.Run("after", func(t *testing.T) {
		s := start(t, dir, edit)
		if a := get(t, s, "/recipes/1/80x60cq70/any.jpg"); a.StatusCode != http.StatusGone || a.Header.Get("Cache-Control") == "no-store" {
			t.Errorf("after a restart: %d, %s", a.StatusCode, a.Header.Get("Cache-Control"))
		}
	})
}
