package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/images/api"
	"github.com/kamado/kamado/images/server"
)

func put(t *testing.T, s *server.Server, path string, data []byte, headers ...string) answer {
	t.Helper()
	return do(t, s, httptest.NewRequestWithContext(t.Context(), "PUT", path, bytes.NewReader(data)), headers...)
}

// TestAnUploadIsShown: what is sent is there at once, what replaces it too, and
// what is no picture is refused and stores nothing.
func TestAnUploadIsShown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir, func(o *server.Options, _ *server.Deps) { o.Config.Signing.InsecureUnsigned = false })
	const bearer = "Authorization: Bearer operator"
	if a := put(t, s, "/originals/recipes/1.jpg", photograph(t, 400, 300), bearer); a.StatusCode/100 != 2 {
		t.Fatalf("upload: %d %s", a.StatusCode, a.body)
	}
	sign := func(path string) string {
		a := do(t, s, httptest.NewRequestWithContext(t.Context(), "POST", api.Prefix+"sign", strings.NewReader(`{"path": "`+path+`"}`)), bearer)
		var signed api.SignAnswer
		if err := json.Unmarshal(a.body, &signed); err != nil {
			t.Fatalf("%s", a.body)
		}
		return signed.Path
	}
	picture := sign("/recipes/1/80x60sq70/any.jpg")
	wantJPEG(t, get(t, s, picture), 80, 60)
	if a := put(t, s, "/originals/recipes/1.jpg", photograph(t, 300, 300), bearer); a.StatusCode/100 != 2 {
		t.Fatalf("replacing: %d %s", a.StatusCode, a.body)
	}
	wantJPEG(t, get(t, s, picture), 60, 60)
	for name, data := range map[string][]byte{"text.jpg": []byte("no picture"), "cut.jpg": photograph(t, 40, 30)[:20]} {
		if a := put(t, s, "/originals/recipes/"+name, data, bearer); a.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
		if _, err := os.Stat(filepath.Join(dir, "recipes", name)); err == nil {
			t.Errorf("%s was stored", name)
		}
	}
	if a := put(t, s, "/originals/recipes/2.jpg", photograph(t, 40, 30)); a.StatusCode/100 != 4 {
		t.Errorf("an upload without a credential: %d", a.StatusCode)
	}
	grant := fmt.Sprintf(`{"method": "PUT", "key": "recipes/2.jpg", "max_bytes": 1000000, "expires": %q}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	a := do(t, s, httptest.NewRequestWithContext(t.Context(), "POST", api.Prefix+"grant", strings.NewReader(grant)), bearer)
	var granted api.SignAnswer
	if err := json.Unmarshal(a.body, &granted); err != nil || a.StatusCode != 200 {
		t.Fatalf("grant: %d %s", a.StatusCode, a.body)
	}
	if a := put(t, s, granted.Path, photograph(t, 40, 30)); a.StatusCode/100 != 2 {
		t.Errorf("a signed upload: %d %s", a.StatusCode, a.body)
	}
	if a := put(t, s, strings.Replace(granted.Path, "2.jpg", "3.jpg", 1), photograph(t, 40, 30)); a.StatusCode != http.StatusForbidden {
		t.Errorf("a signed upload of another key: %d", a.StatusCode)
	}
	do(t, s, httptest.NewRequestWithContext(t.Context(), "DELETE", "/originals/recipes/1.jpg", nil), bearer)
	if a := get(t, s, picture); a.StatusCode != http.StatusNotFound {
		t.Errorf("after it was deleted: %d", a.StatusCode)
	}
}
