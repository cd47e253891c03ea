package server_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/internal/kv/jetstream"
	"github.com/kamado/kamado/internal/porttest"
	"github.com/kamado/kamado/internal/sqldb/postgrestest"
)

// TestThreeServersKeepEntitiesOnShards: one database, six shards with three replicas; a server stops and another one goes on.
func TestThreeServersKeepEntitiesOnShards(t *testing.T) {
	t.Parallel()
	database := postgrestest.Start(t).Database(t)
	secret := filepath.Join(t.TempDir(), "cluster.key")
	if err := jetstream.MakeSecret(secret); err != nil {
		t.Fatal(err)
	}
	addrs := porttest.Addrs(t, 3)
	worlds := make([]*world, 3)
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	var wg sync.WaitGroup
	start := func(i int) {
		worlds[i] = open(t, dirs[i], func(c *game.Config) {
			c.Database, c.Node = database, fmt.Sprint("n", i)
			c.Entities.Engine, c.Entities.Cache = game.EngineJetStream, game.CacheOff
			c.Entities.JetStream.Cluster, c.Entities.JetStream.Join, c.Entities.JetStream.KeyFile = addrs[i], addrs, secret
			c.Entities.JetStream.StoreBytes = 1 << 30
		})
	}
	for i := range worlds {
		wg.Go(func() { start(i) })
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	a, b, c := worlds[0], worlds[1], worlds[2]
	var page api.ShardPage
	a.want(200, "GET", "shards", a.operator, "").into(t, &page)
	if len(page.Shards) != 6 || !page.Movable || len(page.Shards[0].Replicas) != 3 || page.Shards[0].Leader == "" {
		t.Fatalf("shards %+v", page)
	}
	ann := a.guest()
	path := "entities/" + ann.UID.String() + "/hat"
	v1 := a.want(200, "PUT", path, ann.AccessToken, "red", "If-None-Match", "*").header.Get("Etag")
	b.want(200, "PUT", path, ann.AccessToken, "blue", "If-Match", v1)
	c.want(409, "PUT", path, ann.AccessToken, "green", "If-Match", v1)
	for _, s := range page.Shards {
		a.want(204, "POST", "shards/"+s.Name+"/step-down", a.operator, "{}")
	}
	deadline := time.Now().Add(30 * time.Second)
	put := func(w *world, value string) {
		t.Helper()
		for {
			r := w.ask("PUT", path, ann.AccessToken, value)
			if r.status == 200 {
				return
			}
			if time.Now().After(deadline) || r.status != 503 {
				t.Fatalf("PUT %s = %d %s", value, r.status, r.body)
			}
			time.Sleep(50 * time.Millisecond) // a condition is polled
		}
	}
	put(b, "violet")
	c.stop()
	put(a, "white")
	if got := b.want(200, "GET", path, ann.AccessToken, ""); string(got.body) != "white" {
		t.Errorf("hat %q", got.body)
	}
	if s := a.want(200, "GET", "status", a.operator, ""); !strings.Contains(string(s.body), `"staleness"`) {
		t.Errorf("the status does not say how old reads may be: %s", s.body)
	}
}
