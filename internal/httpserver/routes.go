package httpserver

import "net/http"

// Routes serves mux and shapes its own refusals, "not found" and "method not allowed", as problems.
func Routes(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		said := muted{header: http.Header{}}
		h.ServeHTTP(&said, r)
		switch said.status {
		case http.StatusMethodNotAllowed:
			w.Header().Set("Allow", said.header.Get("Allow"))
			WriteProblem(w, r, Problem{Status: said.status, Detail: "this can be asked for with " + said.header.Get("Allow") + " only"})
		case http.StatusNotFound:
			WriteProblem(w, r, Problem{Status: said.status, Detail: "there is nothing under this path"})
		default: // a redirect to the clean form of the path
			h.ServeHTTP(w, r)
		}
	})
}

// muted is a writer that hears what a mux has to say and passes nothing on.
type muted struct {
	header http.Header
	status int
}

func (m *muted) Header() http.Header         { return m.header }
func (m *muted) WriteHeader(status int)      { m.status = status }
func (m *muted) Write(p []byte) (int, error) { return len(p), nil }
