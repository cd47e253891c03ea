package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/internal/httpserver"
)

// JSON turns what do gives into an answer of JSON that nobody keeps, and its error
// into a problem (RFC 9457): how every part of the room that is not pictures
// answers.
func JSON(do func(r *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := do(r)
		var body []byte
		if err == nil {
			body, err = json.Marshal(v)
		}
		if err != nil {
			WriteProblem(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(append(body, '\n')) // a client that left is nobody to tell
	})
}

// WriteProblem answers with an error.
func WriteProblem(w http.ResponseWriter, r *http.Request, err error) {
	p := httpserver.Problem{Status: http.StatusInternalServerError}
	var known *images.Error
	if errors.As(err, &known) {
		p.Status, p.Detail = Status(known.Kind), known.Detail
		p.Extra = map[string]any{"kind": known.Kind.String()}
		if known.Part != "" {
			p.Extra["part"] = known.Part
		}
	} else if errors.Is(err, context.Canceled) {
		p.Status, p.Detail = http.StatusServiceUnavailable, "the service is ending"
	}
	httpserver.WriteProblem(w, r, p)
}
