package store_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"
)

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

// fetch makes a plain request; headers are pairs of name and value.
func fetch(t testing.TB, method, url string, body []byte, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	must(t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	return answer{resp.StatusCode, resp.Header, string(text)}
}
