package api

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/kamado/kamado/images"
)

// GrantRequest is the body of POST grant: what may be done with one original,
// without a credential, until when.
type GrantRequest struct {
	Method   string    `json:"method"` // PUT, GET, HEAD or DELETE
	Key      string    `json:"key"`
	MaxBytes int64     `json:"max_bytes,omitempty"` // of the body; PUT
	Type     string    `json:"type,omitempty"`      // Content-Type that the request must have
	New      bool      `json:"new,omitempty"`       // the key must be free
	Expires  time.Time `json:"expires"`             // at most 7 days ahead
}

// grant signs an upload, so that a browser may send a picture by itself. It needs
// the operator's credential, as signing of URLs does.
func (a *api) grant(r *http.Request) (any, error) {
	if a.Grant == nil {
		return nil, images.Invalidf("body", "there are no signed uploads here: URLs are not signed, or uploads are off")
	}
	var req GrantRequest
	dec := json.NewDecoder(http.MaxBytesReader(nil, r.Body, signBytesMax))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&req); err != nil {
		return nil, images.Invalidf("body", "it is not {\"method\": \"PUT\", \"key\": ..., \"max_bytes\": ..., \"expires\": ...}")
	}
	path, err := a.Grant(req)
	return SignAnswer{path}, err
}
