package nova

import (
	"net/http"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
)

// status is how Nova says each kind of error.
var status = map[compute.Kind]struct {
	code int
	name string
}{
	compute.Internal:             {500, "computeFault"},
	compute.Invalid:              {400, "badRequest"},
	compute.Unauthorized:         {401, "unauthorized"},
	compute.Denied:               {403, "forbidden"},
	compute.NotFound:             {404, "itemNotFound"},
	compute.Conflict:             {409, "conflictingRequest"},
	compute.TooLarge:             {413, "overLimit"},
	compute.OverQuota:            {403, "forbidden"},
	compute.Unsupported:          {501, "notImplemented"},
	compute.Exhausted:            {503, "serviceUnavailable"},
	compute.Unavailable:          {503, "serviceUnavailable"},
	compute.Unprocessable:        {400, "badRequest"},
	compute.UnsupportedMediaType: {415, "badMediaType"},
}

// The names of errors that have a status of their own.
const (
	methodNotAllowed = "MethodNotAllowed"
	notAcceptable    = "NotAcceptable"
	gone             = "Gone"
)

// fault writes an error as Nova does: one key that names it, with code and message.
func fault(w http.ResponseWriter, r *http.Request, e *compute.Error) {
	s, known := status[e.Kind]
	if !known {
		s = status[compute.Internal]
	}
	switch e.Name {
	case methodNotAllowed:
		s.code, s.name = http.StatusMethodNotAllowed, "badMethod"
	case notAcceptable:
		s.code, s.name = http.StatusNotAcceptable, "computeFault"
	case gone:
		s.code, s.name = http.StatusGone, "computeFault"
	}
	if s.code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Keystone uri=\""+openstack.Origin(r, "")+"/identity\"")
	}
	message := e.Detail
	if message == "" {
		message = e.Kind.String()
	}
	_ = openstack.WriteJSON(w, s.code, object{s.name: object{"code": s.code, "message": message}})
}

func invalid(format string, args ...any) error {
	return compute.Errorf(compute.Invalid, format, args...)
}

func notFound(format string, args ...any) error {
	return compute.Errorf(compute.NotFound, format, args...)
}

func conflict(format string, args ...any) error {
	return compute.Errorf(compute.Conflict, format, args...)
}

// goneFor answers for what this API had once and took away.
func goneFor(*call) error {
	return &compute.Error{Kind: compute.NotFound, Name: gone, Detail: "This resource is no longer available. No forwarding address is given."}
}
