package lock

import (
	"context"
	"errors"
	"time"
)

// ErrMoved is how a Place says that a lease has another version.
var ErrMoved = errors.New("lease has another version")

// Lease is what a Place keeps of one lock.
type Lease struct {
	Holder  string // for people; empty when nobody holds it
	Session string // which holder it is, exactly; empty when nobody holds it
	Token   uint64 // of the last grant; at most 2^63-1
	Term    time.Duration
}

// Row is a lease under its name, at a version.
type Row struct {
	Name string
	Lease
	Version int64 // grows with each change; 0: there is no lease, and never was one
}

// patience is how long a lease must have stood still.
func (r Row) patience() time.Duration { return r.Term + r.Term/DriftMax }

// Place keeps leases with compare-and-set. An engine implements it; all the rules of
// locks are on this side of it. Its methods may be called concurrently, by many
// processes on one place. Errors are ErrAway when the engine does not answer within
// its time or lost its quorum, ErrExhausted when it has too much to do (then nothing was
// written), and the context's own error when that ended.
type Place interface {
	// Engine is the name of the engine, for metrics: "sql", "zookeeper".
	Engine() string
	// Read gives the lease of a name, Row{Name: name} when there is none. It sees each
	// Swap that had returned, to any process, before Read was called.
	Read(ctx context.Context, name string) (Row, error)
	// Swap replaces the lease of a name that still has the version; 0 makes the first
	// one. Three things might happen:
	//  1. nil: the row that is there now, which is durable; its version is greater;
	//  2. ErrMoved: nothing was written, another version is there;
	//  3. another error: it may have been written, or may be written later, if the
	//     version is still the same then.
	Swap(ctx context.Context, name string, version int64, next Lease) (Row, error)
	// List gives at most limit rows whose names begin with prefix and come after
	// "after", by the bytes of their names. It may be of a moment ago.
	List(ctx context.Context, prefix, after string, limit int) ([]Row, error)
	// Count is how many leases there are. It may be of a moment ago.
	Count(ctx context.Context) (int, error)
}
