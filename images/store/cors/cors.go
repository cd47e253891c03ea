// Package cors answers browsers that ask whether a page of another origin may
// talk to the interfaces that take uploads (Fetch standard, "CORS protocol").
// Nothing is allowed but what is listed; it is no protection of its own, since
// only browsers ask.
//
// Credentials of the browser (cookies) are never allowed, so "*" gives a page
// nothing that it could not do from its own server.
package cors

import (
	"net/http"
	"slices"
)

// Policy is what is allowed.
type Policy struct {
	Origins []string // as https://app.example.com; "*" is every page
	Methods string   // "GET, PUT"
	Headers string   // that a request may carry besides the simple ones
	Exposed string   // that the page may read of an answer
}

// maxAge is how long a browser may remember the answer to a preflight. Unit:
// seconds; browsers take at most two hours.
const maxAge = "600"

// Wrap puts the policy before h.
func (p Policy) Wrap(h http.Handler) http.Handler {
	if len(p.Origins) == 0 {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		preflight := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
		if origin != "" && (slices.Contains(p.Origins, origin) || slices.Contains(p.Origins, "*")) {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Expose-Headers", p.Exposed)
			if preflight {
				w.Header().Set("Access-Control-Allow-Methods", p.Methods)
				w.Header().Set("Access-Control-Allow-Headers", p.Headers)
				w.Header().Set("Access-Control-Max-Age", maxAge)
			}
		}
		if preflight {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.ServeHTTP(w, r)
	})
}
