package world

import (
	"testing"

	"github.com/kamado/kamado/game"
)

func TestEveryKindHasItsRow(t *testing.T) {
	t.Parallel()
	for _, kind := range game.Kinds() {
		if _, ok := faults[kind]; !ok {
			t.Errorf("kind %v has no row in the table of faults", kind)
		}
	}
	if len(faults) != len(game.Kinds()) {
		t.Errorf("%d rows for %d kinds", len(faults), len(game.Kinds()))
	}
}
