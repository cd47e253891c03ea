package identity

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/internal/sqldb"
)

// PollEvery is how often a server asks for notices of the others.
const PollEvery = 500 * time.Millisecond

// Deps is what a Server works with.
type Deps struct {
	DB sqldb.DB // its tables begin with identity_
	// Shared: other servers use the same database at the same time. Then what must be seen everywhere first is waited for.
	Shared  bool
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: none
	// Wall is the clock, and Elapsed the time since some moment, which never jumps. Nil: those of the system.
	Wall    func() time.Time
	Elapsed func() time.Duration
}
