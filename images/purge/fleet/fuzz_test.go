package fleet_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/kamado/kamado/images/purge"
	"github.com/kamado/kamado/images/purge/fleet"
	"github.com/kamado/kamado/internal/disk/disktest"
)

// FuzzMessages sends any bytes as what people and peers say: nothing of it is a
// broken promise of this program, and what is refused changes nothing.
func FuzzMessages(f *testing.F) {
	f.Add("purge", `{"key":"recipes/1","origin":"default","wait":0}`)
	f.Add("takedown", `{"tag":"prefix/default/recipes/","reason":"asked for"}`)
	f.Add("restore", `{"keys":["a.jpg","b"],"exact":true}`)
	f.Add("purge/peer/exchange", `{"node":"b","instance":"x","digest":"0000000000000001","since":{"a.0":3}}`)
	f.Add("purge/peer/push", `{"node":"b","instance":"x","digest":"0000000000000001","swept":true,"page":{"orders":[{"id":"0060a24181e400-b.0-1","action":"takedown","target":"key/default/x"}],"floor":"","digest":"0000000000000000"},"ask":"0060a24181e400-b.0-1"}`)
	f.Fuzz(func(t *testing.T, path, body string) {
		if !fleet.Serves(fleet.Prefix+path) || strings.ContainsAny(path, "?#%\x00 ") {
			return
		}
		table, err := purge.Open(purge.Config{Dir: "d", Node: "a", Disk: disktest.New(disktest.Faults{}), Log: slog.New(slog.DiscardHandler), Purges: 100, Takedowns: 100})
		if err != nil {
			t.Fatal(err)
		}
		defer table.Close()
		node, err := fleet.New(fleet.Config{Node: "a", Secret: secret}, fleet.Deps{Table: table, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		before := table.Digest()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x"+fleet.Prefix+path, strings.NewReader(body))
		if err != nil {
			return
		}
		req.Header.Set("Authorization", "Bearer "+secret)
		w := httptest.NewRecorder()
		node.Handler(free{}).ServeHTTP(w, req)
		if w.Code >= 500 && w.Code != http.StatusServiceUnavailable {
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
		if w.Code != http.StatusOK && table.Digest() != before {
			t.Errorf("status %d, and something changed", w.Code)
		}
	})
}
