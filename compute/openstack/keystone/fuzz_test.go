package keystone_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzBodies sends bodies to what anybody reaches without a token, and to what
// reads attributes: whatever they hold, the answer is no failure of ours.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[]`, `{"auth": null}`, `{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "x", "domain": {}}}}}}`,
		`{"auth": {"identity": {"methods": ["token"], "token": {"id": "x"}}, "scope": "unscoped"}}`,
		`{"auth": {"identity": {"methods": ["token", "token"], "token": {"id": ""}}, "scope": {"project": {}, "system": {}}}}`,
		`{"auth": {"identity": {"methods": ["application_credential"], "application_credential": {"name": "x", "secret": "y", "user": {}}}}}`,
		`{"user": {"name": "x", "enabled": null}}`, `{"user": {"name": ["x"], "a": {"b": [1e999]}}}`, `{"user": {"name": "\u0000"}}`,
		`{"user": {"original_password": "x", "password": "y"}}`,
	} {
		f.Add(seed)
	}
	c := newCloud(f)
	f.Fuzz(func(t *testing.T, body string) {
		for _, path := range []string{"/v3/auth/tokens", "/v3/users", "/v3/users/x/password"} {
			r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
			r.Header.Set("X-Auth-Token", c.tokens["admin"])
			w := httptest.NewRecorder()
			c.handler.ServeHTTP(w, r)
			if w.Code >= 500 {
				t.Errorf("POST %s %q = %d %s", path, body, w.Code, w.Body)
			}
		}
	})
}
