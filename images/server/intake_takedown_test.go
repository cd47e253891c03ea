package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/images/api"
	"github.com/kamado/kamado/images/server"
	"github.com/kamado/kamado/images/store/upload"
)

// TestAnUploadEndsNoTakedown: what was taken down stays hidden when it is sent
// again, whoever sent it is told so, and URLs that were given out read nothing of
// it. The operator may look.
func TestAnUploadEndsNoTakedown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir, func(o *server.Options, _ *server.Deps) { o.Config.Signing.InsecureUnsigned = false })
	const bearer, key = "Authorization: Bearer operator", "/originals/recipes/1.jpg"
	post := func(path, body string) answer {
		t.Helper()
		a := do(t, s, httptest.NewRequestWithContext(t.Context(), "POST", api.Prefix+path, strings.NewReader(body)), bearer)
		if a.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", path, a.StatusCode, a.body)
		}
		return a
	}
	signed := func(path, body string) string {
		t.Helper()
		var v api.SignAnswer
		if err := json.Unmarshal(post(path, body).body, &v); err != nil {
			t.Fatal(err)
		}
		return v.Path
	}
	put(t, s, key, photograph(t, 400, 300), bearer)
	picture := signed("sign", `{"path": "/recipes/1/80x60sq70/any.jpg"}`)
	given := signed("grant", fmt.Sprintf(`{"method": "GET", "key": "recipes/1.jpg", "expires": %q}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
	if a, b := get(t, s, picture), get(t, s, given); a.StatusCode != 200 || b.StatusCode != 200 {
		t.Fatalf("before: %d, %d %s", a.StatusCode, b.StatusCode, b.body)
	}
	post("takedown", `{"key": "recipes/1.jpg", "exact": true}`)
	for round, what := range []string{"taken down", "replaced", "deleted and put"} {
		var stored upload.Stored
		switch round {
		case 2:
			do(t, s, httptest.NewRequestWithContext(t.Context(), "DELETE", key, nil), bearer)
			fallthrough
		case 1:
			a := put(t, s, key, photograph(t, 300, 300), bearer)
			if err := json.Unmarshal(a.body, &stored); err != nil || !stored.TakenDown {
				t.Errorf("%s: the answer does not say that it stays hidden: %s", what, a.body)
			}
		}
		if a := get(t, s, picture); a.StatusCode != http.StatusGone {
			t.Errorf("%s: the picture is %d", what, a.StatusCode)
		}
		if a := get(t, s, given); a.StatusCode != http.StatusGone {
			t.Errorf("%s: the original by a URL that was given out is %d", what, a.StatusCode)
		}
		if a := get(t, s, key, bearer); a.StatusCode != http.StatusOK {
			t.Errorf("%s: the original for the operator is %d", what, a.StatusCode)
		}
	}
	post("restore", `{"key": "recipes/1.jpg", "exact": true}`)
	if a, b := get(t, s, picture), get(t, s, given); a.StatusCode != 200 || b.StatusCode != 200 {
		t.Errorf("restored: %d, %d", a.StatusCode, b.StatusCode)
	}
}
