package netns

import (
	"testing"

	"github.com/kamado/kamado/compute/network"
	"github.com/kamado/kamado/compute/network/networktest"
)

func TestEngine(t *testing.T) {
	needsRoot(t)
	networktest.Run(t, func(t *testing.T) network.Engine {
		e, err := New(network.Config{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
}
