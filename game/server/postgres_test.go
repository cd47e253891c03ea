package server_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/internal/sqldb/postgrestest"
)

// TestTwoServersOnOnePostgreSQL: what one server gave the other knows, and neither breaks what the other promised.
func TestTwoServersOnOnePostgreSQL(t *testing.T) {
	t.Parallel()
	database := postgrestest.Start(t).Database(t)
	join := func(c *game.Config) { c.Database = database }
	a, b := open(t, t.TempDir(), join), open(t, t.TempDir(), join)
	if a.service == b.service {
		t.Error("two servers have one service credential")
	}

	// A user of one is a user of the other, with its token; ids never repeat.
	var mu sync.Mutex
	seen := map[game.UID]bool{}
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			w := []*world{a, b}[i%2]
			l := w.guest()
			mu.Lock()
			defer mu.Unlock()
			if seen[l.UID] {
				t.Errorf("user %v was given twice", l.UID)
			}
			seen[l.UID] = true
		})
	}
	wg.Wait()
	ann := a.guest()
	b.want(200, "GET", "points/accounts/"+ann.UID.String(), ann.AccessToken, "")

	// One balance, spent through both: exactly as often as there are points.
	const points = 300
	b.grant(ann.UID, points)
	var taken atomic.Int32
	for i := range 32 {
		wg.Go(func() {
			w := []*world{a, b}[i%2]
			for range 20 {
				switch r := w.ask("POST", "points/spends", ann.AccessToken, `{"amount":1}`); r.status {
				case 201:
					taken.Add(1)
				case 409:
				default:
					t.Errorf("%d %s", r.status, r.body)
				}
			}
		})
	}
	wg.Wait()
	if taken.Load() != points {
		t.Errorf("%d of %d points were spent", taken.Load(), points)
	}
	a.sumIsZero()

	// The same order through both servers happens once.
	order := fmt.Sprintf(`{"uid":"%v","amount":9}`, ann.UID)
	first := a.want(201, "POST", "points/grants", a.service, order, "Idempotency-Key", "both")
	again := b.want(201, "POST", "points/grants", a.service, order, "Idempotency-Key", "both")
	if string(first.body) != string(again.body) {
		t.Errorf("one server answers %s, the other %s", first.body, again.body)
	}

	// A lock goes on when its server is gone, and a sign-out is seen by the other one.
	var grant api.LockGrant
	a.want(201, "POST", "locks/shop", a.service, `{"ttl":60}`).into(t, &grant)
	b.want(409, "POST", "locks/shop", b.service, `{"ttl":60}`)
	b.want(204, "DELETE", "users/"+ann.UID.String()+"/sessions/"+ann.Session, b.service, "")
	deadline := time.Now().Add(5 * time.Second)
	for a.ask("GET", "users/"+ann.UID.String(), ann.AccessToken, "").status != 401 {
		if time.Now().After(deadline) {
			t.Fatal("a sign-out is not seen by the other server")
		}
		time.Sleep(20 * time.Millisecond) // a condition is polled
	}
	service := a.service
	a.stop()
	b.want(200, "PUT", "locks/shop", service, `{"token":"`+grant.Token+`","session":"`+grant.Session+`"}`)
	b.want(204, "DELETE", "locks/shop", service, `{"token":"`+grant.Token+`","session":"`+grant.Session+`"}`)
	b.sumIsZero()
	if !strings.Contains(string(b.want(200, "GET", "status", b.operator, "").body), `"points":"postgres"`) {
		t.Error("the status does not say where points are")
	}
}
