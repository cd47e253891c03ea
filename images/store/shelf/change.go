package shelf

import (
	"log/slog"
	"time"
)

// How an original changed.
type How uint8

// The ways.
const (
	Created How = iota
	Replaced
	Deleted // also when nothing was there: a deletion whose answer was lost is repeated

	howCount
)

var howNames = [howCount]string{"created", "replaced", "deleted"}

func (h How) String() string {
	if h < howCount {
		return howNames[h]
	}
	return "unknown"
}

// MarshalText is String.
func (h How) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// Actor is who asked for a change, and by which way.
type Actor struct {
	Via       string // "upload", "s3"
	Name      string // "operator", "signed url", or an access key; never a secret
	RequestID string
}

// Change is what one write did to one original.
type Change struct {
	Time   time.Time
	Origin string
	Key    string
	How    How
	By     Actor

	// Of what is there now; zero for Deleted.
	Bytes         int64
	ETag          string // the store's
	Format        string // empty: not a picture
	Width, Height int
}

// LogValue gives the change as one group.
func (c Change) LogValue() slog.Value {
	return slog.GroupValue(slog.String("origin", c.Origin), slog.String("key", c.Key), slog.String("how", c.How.String()),
		slog.String("via", c.By.Via), slog.String("by", c.By.Name), slog.String("request_id", c.By.RequestID), slog.Int64("bytes", c.Bytes))
}
