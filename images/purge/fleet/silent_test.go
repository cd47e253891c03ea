package fleet_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
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

// slowFirst leaves the first message without an answer, and refuses the others.
type slowFirst struct{ messages atomic.Int32 }

func (s *slowFirst) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.messages.Add(1) == 1 {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return nil, errors.New("refused")
}

// listener is a CDN that remembers what it was told of.
type listener struct {
	mu   sync.Mutex
	told []string
}

func (l *listener) Tell(orders ...purge.Order) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range orders {
		l.told = append(l.told, o.Target.Name)
	}
	return nil
}

func (l *listener) so() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.told, " ")
}

func (l *listener) Told() purge.ID            { return purge.ID{} }
func (l *listener) Run(context.Context) error { return nil }

// TestCDNIsToldInTheOrderOfIDs: after a crash the CDN is told of what is younger
// than the last order that it was told of. An order that overtakes another one
// would hide that one for good.
func TestCDNIsToldInTheOrderOfIDs(t *testing.T) {
	t.Parallel()
	table, err := purge.Open(purge.Config{Dir: t.TempDir(), Node: "a", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	synctest.Test(t, func(t *testing.T) {
		cdn := &listener{}
		node, err := fleet.New(fleet.Config{Node: "a", Peers: []string{"http://gone.example"}, Secret: secret}, fleet.Deps{
			Table: table, CDN: cdn, Client: &http.Client{Transport: &slowFirst{}}, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for _, key := range []string{"1.jpg", "2.jpg", "3.jpg"} {
			wg.Go(func() {
				if _, err := node.Order(t.Context(), 0, purge.Draft{Action: purge.Takedown, Target: purge.Key("default", key)}); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait() // it is issued, and waits for its peer or is done
		}
		if told := cdn.so(); told != "" {
			t.Errorf("while the first waits for its peer, the cdn was told of %s", told)
		}
		wg.Wait()
		if told := cdn.so(); told != "1.jpg 2.jpg 3.jpg" {
			t.Errorf("told: %s", told)
		}
	})
}
