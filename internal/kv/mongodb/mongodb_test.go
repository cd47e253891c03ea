package mongodb_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
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

func open(t testing.TB, cfg mongodb.Config, r prometheus.Registerer) kv.Store {
	t.Helper()
	s, err := mongodb.Open(t.Context(), cfg, mongodb.Deps{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Registry: r})
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
			cfg := config(t, server)
			cfg.FastReads = fast
			kvtest.Run(t, func(t *testing.T) kv.Store { return open(t, cfg, nil) })
		})
	}
}
