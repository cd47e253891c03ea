package keystone

import (
	"net/http"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
)

// statuses is the HTTP status of each kind of error.
var statuses = map[compute.Kind]int{
	compute.Internal: 500, compute.Invalid: 400, compute.Unauthorized: 401, compute.Denied: 403, compute.NotFound: 404,
	compute.Conflict: 409, compute.TooLarge: 413, compute.OverQuota: 403, compute.Unsupported: 501, compute.Exhausted: 503,
	compute.Unavailable: 503, compute.Unprocessable: 400, compute.UnsupportedMediaType: 415,
}

// fault writes an error in Keystone's words.
func (a *api) fault(w http.ResponseWriter, r *http.Request, e *compute.Error) {
	status := statuses[e.Kind]
	if e.Name == "MethodNotAllowed" {
		status = http.StatusMethodNotAllowed
	}
	title := http.StatusText(status)
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Keystone uri="`+a.service.URL(r)+`"`)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	_ = openstack.WriteJSON(w, status, map[string]any{"error": map[string]any{"code": status, "message": e.Detail, "title": title}}) // a map of texts
}
