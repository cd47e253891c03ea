package fake_test

import (
	"errors"
	"testing"

	"github.com/kamado/kamado/compute/network"
	"github.com/kamado/kamado/compute/network/fake"
	"github.com/kamado/kamado/compute/network/networktest"
)

func TestEngine(t *testing.T) {
	networktest.Run(t, func(*testing.T) network.Engine { return fake.New() })
}

func TestKeepsWhatWasApplied(t *testing.T) {
	e := fake.New()
	s := network.State{Networks: []network.Network{{ID: "n"}}}
	if err := e.Apply(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	e.Fail(broken)
	if err := e.Apply(t.Context(), network.State{}); !errors.Is(err, broken) {
		t.Errorf("Apply = %v, want the error it was told to give", err)
	}
	if got := e.State(); len(got.Networks) != 1 || e.Applied() != 2 {
		t.Errorf("state %v after %d calls, want the one that succeeded, after 2", got, e.Applied())
	}
}
