package httpserver

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
)

// Problem is an answer that says what went wrong, as RFC 9457 shapes it. Internal detail does not belong in it: the
// request id leads an operator to that.
type Problem struct {
	// Type is a URI that identifies the kind of problem; empty is "about:blank": no more than the status says.
	Type string
	// Title is the kind of problem in a few words, the same each time; empty is the status's own text.
	Title string
	// Status is the HTTP status.
	Status int
	// Detail is what is wrong this time and what to do about it.
	Detail string
	// Instance is a URI of this occurrence; empty leaves it out.
	Instance string
	// Extra are further members, such as the part of a URL that could not be read. The names above are not replaced.
	Extra map[string]any
}

// ProblemMediaType is the media type of a Problem's JSON.
const ProblemMediaType = "application/problem+json"

// body is the problem as a JSON object and a newline.
func (p Problem) body(requestID string) []byte {
	m := make(map[string]any, len(p.Extra)+6)
	maps.Copy(m, p.Extra)
	m["type"] = "about:blank"
	if p.Type != "" {
		m["type"] = p.Type
	}
	m["title"] = p.Title
	if p.Title == "" {
		m["title"] = http.StatusText(p.Status)
	}
	m["status"] = p.Status
	if p.Detail != "" {
		m["detail"] = p.Detail
	}
	if p.Instance != "" {
		m["instance"] = p.Instance
	}
	if requestID != "" {
		m["request_id"] = requestID
	}
	body, err := json.Marshal(m)
	if err != nil { // an Extra that is no JSON: the standard members always are
		p.Extra = nil
		return p.body(requestID)
	}
	return append(body, '\n')
}

// WriteProblem answers r with p. Headers that are already set stay, except those that describe a body; an answer is not
// stored by caches unless Cache-Control was set.
func WriteProblem(w http.ResponseWriter, r *http.Request, p Problem) {
	body := p.body(RequestID(r))
	h := w.Header()
	for _, name := range []string{"Content-Encoding", "Etag", "Last-Modified", "Content-Disposition", "Content-Range"} {
		h.Del(name)
	}
	h.Set("Content-Type", ProblemMediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may be gone; there is nobody else to tell
	}
}
