package api

import (
	"net/http"
	"time"

	"github.com/kamado/kamado/game"
)

// exportRoutes are the rows for auditors.
func (a *api) exportRoutes() []route {
	const s = game.ScopePoints
	return []route{
		{"GET", "points/export", operator, s, "All transactions of a period as lines of JSON, chained and signed", nil, nil, (*call).export},
		{"GET", "points/export/key", byScope, s, "The public key that signs exports: an auditor knows it beforehand", nil, ExportKey{}, (*call).exportKey},
	}
}

// ExportKey is the public key of exports.
type ExportKey struct {
	Key string `json:"key" doc:"base64 of the 32 bytes of an Ed25519 public key"`
}

// moment reads a time of the query; an absent one is 0.
func (c *call) moment(key string) (game.Instant, error) {
	text := c.r.URL.Query().Get(key)
	if text == "" {
		return 0, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, game.Errorf(game.Invalid, "%s is %.40q: want a time as 2026-09-30T15:00:00Z", key, text)
	}
	return game.At(t), nil
}

// export streams. When it fails after its beginning the connection is cut, and the last line, which is the signature, is missing.
func (c *call) export() (any, error) {
	from, err := c.moment("from")
	if err != nil {
		return nil, err
	}
	to, err := c.moment("to")
	if err != nil {
		return nil, err
	}
	c.patient()
	h := c.w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h["Cache-Control"] = noStore
	w := &started{w: c.w}
	if err := c.Export(c.ctx(), from, to, w); err != nil {
		if !w.yes {
			return nil, err
		}
		c.Log.Error("export of points ended early", "error", err)
		panic(http.ErrAbortHandler)
	}
	return done{}, nil
}

func (c *call) exportKey() (any, error) {
	key, err := c.ExportKey()
	if err != nil {
		return nil, err
	}
	return ExportKey{key}, nil
}

// started knows whether something was written.
type started struct {
	w   http.ResponseWriter
	yes bool
}

// Write implements io.Writer.
func (s *started) Write(b []byte) (int, error) {
	s.yes = true
	return s.w.Write(b)
}
