package core_test

import (
	"testing"

	"github.com/kamado/kamado/game/core"
	"github.com/kamado/kamado/game/core/coretest"
	"github.com/kamado/kamado/game/entity"
	"github.com/kamado/kamado/game/identity"
	"github.com/kamado/kamado/game/points"
	"github.com/kamado/kamado/internal/lock"
)

// The servers of this process are a core as they are.
var (
	_ core.Identity = (*identity.Server)(nil)
	_ core.Points   = points.Ledger(nil)
	_ core.Entities = (*entity.Store)(nil)
	_ core.Locks    = (*lock.Registry)(nil)
)

// TestLocal: the servers of one process keep what a core promises.
func TestLocal(t *testing.T) {
	t.Parallel()
	coretest.Run(t, func(_ *testing.T, s *coretest.Servers) coretest.Through { return coretest.Through{Core: s.Core()} })
}
