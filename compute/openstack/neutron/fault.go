package neutron

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/kamado/kamado/compute"
)

// faults is what each kind of error is in this dialect: its status, and the type
// of an error without a name of its own.
var faults = map[compute.Kind]struct {
	status int
	name   string
}{
	compute.Internal:             {500, "HTTPInternalServerError"},
	compute.Invalid:              {400, "HTTPBadRequest"},
	compute.Unauthorized:         {401, "HTTPUnauthorized"},
	compute.Denied:               {403, "PolicyNotAuthorized"},
	compute.NotFound:             {404, "HTTPNotFound"},
	compute.Conflict:             {409, "HTTPConflict"},
	compute.TooLarge:             {413, "HTTPRequestEntityTooLarge"},
	compute.OverQuota:            {409, "OverQuota"},
	compute.Unsupported:          {501, "HTTPNotImplemented"},
	compute.Exhausted:            {409, "IpAddressGenerationFailure"},
	compute.Unavailable:          {503, "HTTPServiceUnavailable"},
	compute.Unprocessable:        {400, "HTTPBadRequest"},
	compute.UnsupportedMediaType: {415, "HTTPUnsupportedMediaType"},
}

// fault writes an error as Neutron does. A missing or dead token is answered as
// the middleware in front of Neutron does.
func fault(w http.ResponseWriter, r *http.Request, e *compute.Error) {
	f := faults[e.Kind]
	status, name := f.status, f.name
	if e.Name != "" {
		name = e.Name
	}
	if e.Name == "MethodNotAllowed" {
		status, name = http.StatusMethodNotAllowed, "HTTPMethodNotAllowed"
	}
	detail := e.Detail
	if detail == "" {
		detail = e.Kind.String()
	}
	body := map[string]any{"NeutronError": map[string]any{"type": name, "message": detail, "detail": ""}}
	if e.Kind == compute.Unauthorized {
		w.Header().Set("WWW-Authenticate", "Keystone uri=\"/identity\"")
		body = map[string]any{"error": map[string]any{"code": 401, "title": "Unauthorized", "message": "The request you have made requires authentication."}}
	}
	b, _ := json.Marshal(body) // of strings: never fails
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that went away is nobody to tell
}

// bad is a request that makes no sense in this dialect.
func bad(format string, args ...any) error {
	return &compute.Error{Kind: compute.Invalid, Name: "HTTPBadRequest", Detail: fmt.Sprintf(format, args...)}
}

// badValue is an attribute whose value is of the wrong type or range.
func badValue(name, format string, args ...any) error {
	return bad("Invalid input for %s. Reason: %s.", name, fmt.Sprintf(format, args...))
}
