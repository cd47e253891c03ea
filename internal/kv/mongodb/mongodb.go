// Package mongodb keeps values in a MongoDB replica set or sharded cluster, or in
// one server: it is the distributed engine for those who run one already.
//
// Vocabulary. A document is what one key has: _id "group/name", g the group, v the version, b the
// bytes. A tombstone is the document of a deleted key: it has gone, the time,
// instead of b, so that versions grow over delete and new creation; the server sweeps it
// after TombstoneDays. A slot is the right to one connection: there are PoolMax of them for
// all that this process does, and a caller who gets none in PoolWait is told so.
//
// Invariants. Every write is one change of one document that names the version it
// builds on, with write concern majority and journal; a base of kv.Any is
// read first and built on as well. So it makes no difference how often it arrives, and the driver's own
// retries are off. A version is the time in microseconds, or one more than the one before
// where that is greater. What may have been sent and was not answered, or answered by a server that was
// stepping down, or without its majority, is kv.ErrDoubt; what was never sent is
// kv.ErrAway.
//
// Reads. Get asks for read concern linearizable, so that a primary that was replaced and
// does not know it yet cannot answer: it costs a round to the majority. With FastReads it is
// majority instead, which such a primary can answer with an old value for some
// seconds, and the store says so (kv.Stale). List and Scan use majority always, since linearizable is
// for single documents: what they show may be as old.
//
// On a sharded cluster the collection is sharded by the hash of the group, and split
// before anything is in it, so that a group lies on one shard and groups lie evenly.
package mongodb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/kamado/kamado/internal/kv"
	"github.com/kamado/kamado/internal/telemetry"
)

// Config says where the values are.
type Config struct {
	// URI is mongodb://… or mongodb+srv://…, with credentials and TLS options as MongoDB's manual has them.
	URI telemetry.SecretString
	// Database and Collection hold the values; they are made if need be.
	Database, Collection string
	// PoolMax is how many requests may be under way, and how many connections a server gets.
	PoolMax int
	// PoolQueue is how many callers may wait for one of them to end.
	PoolQueue int
	// PoolWait is how long they wait.
	PoolWait time.Duration
	// Timeout is how long a request may take.
	Timeout time.Duration
	// FastReads makes Get cheaper and Stale.
	FastReads bool
	// TombstoneDays is how long the version of a deleted key is remembered. After that, versions
	// grow only as far as the clocks of the writers are right to within this time.
	TombstoneDays int
}

// Default has no URI.
func Default() Config {
	return Config{
		Database: "kamado", Collection: "entities", PoolMax: 64, PoolQueue: 1024, PoolWait: 500 * time.Millisecond,
		Timeout: 5 * time.Second, TombstoneDays: 7,
	}
}

// Validate gives all complaints at once.
func (c Config) Validate() error {
	var errs []error
	if c.URI.Reveal() == "" {
		errs = append(errs, errors.New("uri is missing"))
	}
	if c.Database == "" || c.Collection == "" {
		errs = append(errs, errors.New("database and collection must have names"))
	}
	if c.PoolMax < 1 || c.PoolMax > 10_000 {
		errs = append(errs, fmt.Errorf("pool max is %d, must be 1 to 10000", c.PoolMax))
	}
	if c.PoolQueue < 0 || c.PoolQueue > 1_000_000 {
		errs = append(errs, fmt.Errorf("pool queue is %d, must be 0 to 1000000", c.PoolQueue))
	}
	if c.PoolWait < 0 || c.PoolWait > time.Minute {
		errs = append(errs, fmt.Errorf("pool wait is %v, must be 0 to 1m", c.PoolWait))
	}
	if c.Timeout < 10*time.Millisecond || c.Timeout > 5*time.Minute {
		errs = append(errs, fmt.Errorf("timeout is %v, must be 10ms to 5m", c.Timeout))
	}
	if c.TombstoneDays < 1 || c.TombstoneDays > 365 {
		errs = append(errs, fmt.Errorf("tombstone days is %d, must be 1 to 365", c.TombstoneDays))
	}
	return errors.Join(errs...)
}

// Deps are what a store works with.
type Deps struct {
	Log      *slog.Logger
	Registry prometheus.Registerer // nil: no metrics
	// Now is the clock of versions. nil: time.Now.
	Now func() time.Time
}

// Store implements kv.Store and kv.Sharded.
type Store struct {
	cfg     Config
	options *options.ClientOptions // those of the client, for questions to the members of shards
	client  *mongo.Client
	// These are the same collection: sure is for writes, newest for what they build on, read
	// for Get, recent for List and Scan.
	sure, newest, read, recent *mongo.Collection
	pool                       *pool
	metrics                    *metrics
	now                        func() time.Time
	closed                     atomic.Bool
	sharded                    bool // it is a cluster behind mongos
}

var (
	_ kv.Store   = (*Store)(nil)
	_ kv.Sharded = (*Store)(nil)
	_ kv.Stale   = (*fast)(nil)
)

// fast is a Store with FastReads.
type fast struct{ *Store }

// Staleness implements kv.Stale.
func (f *fast) Staleness() string {
	return "a primary that was replaced may answer with old values, until it knows: about 10 s"
}

// Open connects, and makes the collection with its indexes, sharded where that is
// possible. It fails when the server does not answer in Timeout.
func Open(ctx context.Context, cfg Config, deps Deps) (kv.Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure mongodb: %w", err)
	}
	s := &Store{cfg: cfg, now: deps.Now}
	if s.now == nil {
		s.now = time.Now
	}
	s.pool = newPool(cfg)
	s.metrics = newMetrics(s.pool)
	s.options = clientOptions(cfg, s.metrics)
	client, err := mongo.Connect(s.options)
	if err != nil {
		return nil, fmt.Errorf("configure mongodb: %w", err)
	}
	s.client = client
	s.collections()
	if err := s.prepare(ctx, deps.Log); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("prepare the collection of mongodb: %w", err)
	}
	if deps.Registry != nil {
		if err := s.metrics.register(deps.Registry); err != nil {
			_ = s.Close()
			return nil, fmt.Errorf("register metrics of mongodb: %w", err)
		}
	}
	if cfg.FastReads {
		return &fast{s}, nil
	}
	return s, nil
}

func clientOptions(cfg Config, m *metrics) *options.ClientOptions {
	return options.Client().ApplyURI(cfg.URI.Reveal()).
		SetAppName("kamado").
		SetMaxPoolSize(uint64(cfg.PoolMax)).
		SetConnectTimeout(cfg.Timeout).
		SetServerSelectionTimeout(cfg.Timeout).
		SetReadPreference(readpref.Primary()).
		// A write that is sent again is one that names its base, and our caller's decision.
		SetRetryWrites(false).
		SetMaxAdaptiveRetries(0).
		SetPoolMonitor(&event.PoolMonitor{Event: m.poolEvent}).
		SetMonitor(&event.CommandMonitor{Started: started})
}

func (s *Store) collections() {
	db := s.client.Database(s.cfg.Database)
	journal := true
	s.sure = db.Collection(s.cfg.Collection, options.Collection().SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &journal}))
	s.newest = db.Collection(s.cfg.Collection, options.Collection().SetReadConcern(readconcern.Linearizable()))
	s.recent = db.Collection(s.cfg.Collection, options.Collection().SetReadConcern(readconcern.Majority()))
	s.read = s.newest
	if s.cfg.FastReads {
		s.read = s.recent
	}
}

// closeWait is how long Close waits for requests that are under way.
const closeWait = 5 * time.Second

// Close ends all connections.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	if err := s.client.Disconnect(ctx); err != nil && !errors.Is(err, mongo.ErrClientDisconnected) {
		return fmt.Errorf("disconnect from mongodb: %w", err)
	}
	return nil
}

// document is what a key has.
type document struct {
	ID      string     `bson:"_id"`
	Group   string     `bson:"g"`
	Version int64      `bson:"v"`
	Bytes   []byte     `bson:"b,omitempty"`
	Gone    *time.Time `bson:"gone,omitempty"`
}

// separator stands in _id between group and name, and in neither of them. What follows it in the order
// of bytes is afterSeparator.
const (
	separator      = "/"
	afterSeparator = "0"
)

func idOf(key kv.Key) string { return key.Group + separator + key.Name }

// entry gives what the document says. Its bytes are the caller's own.
func (d document) entry() kv.Entry {
	e := kv.Entry{Key: kv.Key{Group: d.Group, Name: d.ID[min(len(d.Group)+1, len(d.ID)):]}, Value: d.Bytes, Version: kv.Version(d.Version)}
	if e.Value == nil {
		e.Value = []byte{}
	}
	return e
}

// next is the version of a state that follows another.
func (s *Store) next(before int64) int64 { return max(before+1, s.now().UnixMicro()) }

// TTL index and keys of the collection.
const tombstoneIndex = "tombstones"

func (s *Store) tombstones() mongo.IndexModel {
	const day = 24 * 60 * 60 // seconds
	return mongo.IndexModel{
		Keys:    bson.D{{Key: "gone", Value: 1}},
		Options: options.Index().SetName(tombstoneIndex).SetExpireAfterSeconds(int32(s.cfg.TombstoneDays) * day),
	}
}
