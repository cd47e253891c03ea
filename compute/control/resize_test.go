package control_test

import (
	"testing"

	"github.com/kamado/kamado/compute"
)

// TestResizeBeyondTheQuota: a flavor that no host has room for either is refused
// for the quota, as the project can do something about that.
func TestResizeBeyondTheQuota(t *testing.T) {
	w := newWorld(t, nil)
	id := w.create().ID
	w.become(id, "ACTIVE")
	wantKind(t, w.c.Resize(t.Context(), w.who, id, "huge", ""), compute.OverQuota)
	if n := w.used("p1", compute.QuotaCores); n != 1 {
		t.Errorf("the project is charged for %d cores after a refused resize, want 1", n)
	}
}
