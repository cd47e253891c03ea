package fleet_test

import (
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/images/purge"
	"github.com/kamado/kamado/images/purge/fleet"
)

// nobody answers nothing for as long as it is asked.
type nobody struct{}

func (nobody) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestSilentPeerHoldsUpOneOrderOnly: each upload gives an order. A peer that is
// gone costs the first one the time of a push, and not each of a thousand.
func TestSilentPeerHoldsUpOneOrderOnly(t *testing.T) {
	t.Parallel()
	table, err := purge.Open(purge.Config{Dir: t.TempDir(), Node: "a", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	synctest.Test(t, func(t *testing.T) {
		node, err := fleet.New(fleet.Config{Node: "a", Peers: []string{"http://gone.example"}, Secret: secret}, fleet.Deps{
			Table: table, Client: &http.Client{Transport: nobody{}}, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for range 10 {
			a, err := node.Order(t.Context(), 0, purge.Draft{Action: purge.Purge, Target: purge.Key("default", "1.jpg")})
			if err != nil || a.Nodes["gone.example"] != fleet.StateUnreachable {
				t.Fatalf("Order = %+v, %v", a, err)
			}
		}
		if took := time.Since(began); took > fleet.DefaultPushTime {
			t.Errorf("ten orders took %v", took)
		}
	})
}
