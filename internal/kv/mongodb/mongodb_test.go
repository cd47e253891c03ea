package mongodb_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/kamado/kamado/internal/kv"
	"github.com/kamado/kamado/internal/kv/kvtest"
	"github.com/kamado/kamado/internal/kv/mongodb"
	"github.com/kamado/kamado/internal/kv/mongodbtest"
	"github.com/kamado/kamado/internal/telemetry"
)

// config is for a database of its own, which a real server loses again.
func config(t testing.TB, s *mongodbtest.Server) mongodb.Config {
	t.Helper()
	cfg := mongodb.Default()
	cfg.URI, cfg.Database = telemetry.Secret(s.URI), s.Database()
	cfg.Timeout, cfg.PoolWait = 30*time.Second, 30*time.Second // a slow machine is no fault here
	if s.Real {
		t.Cleanup(func() { drop(t, s.URI, cfg.Database) })
	}
	return cfg
}

func drop(t testing.TB, uri, database string) {
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Error(err)
		return
	}
	ctx := context.WithoutCancel(t.Context()) // which ends before the cleanup
	if err := errors.Join(client.Database(database).Drop(ctx), client.Disconnect(ctx)); err != nil {
		t.Errorf("drop the test's database: %v", err)
	}
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func open(t testing.TB, cfg mongodb.Config, r prometheus.Registerer) kv.Store {
	t.Helper()
	s, err := mongodb.Open(t.Context(), cfg, mongodb.Deps{Log: quiet(), Registry: r})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func TestEngine(t *testing.T) {
	t.Parallel()
	server := mongodbtest.Start(t)
	for _, fast := range []bool{false, true} {
		name := "newest reads"
		if fast {
			name = "fast reads"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// A collection for each test: the double looks at all of it for each command.
			kvtest.Run(t, func(t *testing.T) kv.Store {
				cfg := config(t, server)
				cfg.FastReads = fast
				return open(t, cfg, nil)
			})
		})
	}
}

// TestShardsOfOneServer: a server that knows nothing of replicas is one shard.
func TestShardsOfOneServer(t *testing.T) {
	t.Parallel()
	server := mongodbtest.Start(t)
	if server.Real {
		t.Skip("a real server has replicas, or none, as it was set up")
	}
	s := open(t, config(t, server), nil)
	for i := range 3 {
		if _, err := s.Put(t.Context(), kv.Key{Group: "g", Name: fmt.Sprint(i)}, []byte("x"), kv.Absent); err != nil {
			t.Fatal(err)
		}
	}
	shards, err := s.(kv.Sharded).Shards(t.Context())
	if err != nil || len(shards) != 1 {
		t.Fatalf("Shards = %v, %v, want one", shards, err)
	}
	if got := shards[0]; got.Leader == "" || got.Leader == "?" || got.Keys != 3 || len(got.Replicas) != 1 || !got.Replicas[0].Ready || len(got.Warnings) == 0 {
		t.Errorf("the shard is %+v", got)
	}
}

// TestVersionsOutliveTheClock: a tombstone keeps versions growing when the clock goes back an hour.
func TestVersionsOutliveTheClock(t *testing.T) {
	t.Parallel()
	cfg := config(t, mongodbtest.Start(t))
	now := time.Now()
	s, err := mongodb.Open(t.Context(), cfg, mongodb.Deps{Log: quiet(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	k := kv.Key{Group: "g", Name: "n"}
	first, err := s.Put(t.Context(), k, []byte("1"), kv.Absent)
	if err != nil || uint64(first) != uint64(now.UnixMicro()) {
		t.Fatalf("Put = %d, %v, want the time %d", first, err, now.UnixMicro())
	}
	now = now.Add(-time.Hour)
	second, err := s.Put(t.Context(), k, []byte("2"), first)
	if err != nil || second != first+1 {
		t.Errorf("Put with a clock of an hour before = %d, %v, want %d", second, err, first+1)
	}
	if err := s.Delete(t.Context(), k, second); err != nil {
		t.Fatal(err)
	}
	third, err := s.Put(t.Context(), k, []byte("3"), kv.Absent)
	if err != nil || third != second+2 {
		t.Errorf("Put after Delete = %d, %v, want %d", third, err, second+2)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	good := mongodb.Default()
	good.URI = telemetry.Secret("mongodb://127.0.0.1:1/")
	if err := good.Validate(); err != nil {
		t.Errorf("Validate = %v", err)
	}
	for want, change := range map[string]func(*mongodb.Config){
		"uri is missing":   func(c *mongodb.Config) { c.URI = telemetry.SecretString{} },
		"must have names":  func(c *mongodb.Config) { c.Collection = "" },
		"pool max":         func(c *mongodb.Config) { c.PoolMax = 0 },
		"pool queue":       func(c *mongodb.Config) { c.PoolQueue = -1 },
		"pool wait":        func(c *mongodb.Config) { c.PoolWait = time.Hour },
		"timeout":          func(c *mongodb.Config) { c.Timeout = 0 },
		"tombstone days":   func(c *mongodb.Config) { c.TombstoneDays = 0 },
		"error parsing ur": func(c *mongodb.Config) { c.URI = telemetry.Secret("http://user:secret@host/") },
	} {
		cfg := good
		change(&cfg)
		_, err := mongodb.Open(t.Context(), cfg, mongodb.Deps{Log: quiet()})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("Open = %v, want a complaint with %q, and no secret", err, want)
		}
	}
}

// TestNobodyThere: a server that is away is told in time.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	cfg := mongodb.Default()
	cfg.URI, cfg.Timeout = telemetry.Secret("mongodb://127.0.0.1:1/"), 200*time.Millisecond
	start := time.Now()
	if _, err := mongodb.Open(t.Context(), cfg, mongodb.Deps{Log: quiet()}); !errors.Is(err, kv.ErrAway) {
		t.Errorf("Open = %v, want ErrAway", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("Open took %v", took)
	}
}
