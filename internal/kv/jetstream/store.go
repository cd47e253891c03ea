package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/kamado/kamado/internal/kv"
)

// StoreConfig says what the shards are and how this process speaks to them. The
// first four are those of the shards: every process must have them alike.
type StoreConfig struct {
	// Bucket is the first part of the shards' names: lower-case letters.
	Bucket string
	// Shards is how many there are. It cannot be changed: keys would be looked for elsewhere.
	Shards int
	// Replicas of each shard: 1, 3 or 5. A node alone has 1, whatever is said here.
	Replicas int
	// ShardBytesMax is the size above which a shard takes no more: kv.ErrFull.
	ShardBytesMax int64

	// TombstoneTTL is how long the record of a deleted key stays. It is of no use
	// but to people who look for what happened.
	TombstoneTTL time.Duration
	// Connections inside the process. One carries some 16 callers well.
	Connections int
	// InFlight is how many calls may be under way; more are kv.ErrExhausted.
	InFlight int
	// InFlightBytes is how many bytes of values may be under way.
	InFlightBytes int64
	// Timeout is how long one question to a shard waits for its answer at most; the
	// first try waits less where it can be asked twice.
	Timeout time.Duration
	// Wait is how long a call goes on when its shard does not answer, or a write is in
	// doubt, where its context does not end before. An election takes 4 to 10 s.
	Wait time.Duration
	// Log gets what an operator should know. nil: nothing is said.
	Log *slog.Logger

	// early acknowledges a write before its answer came. Only a test sets it, which must then find loss.
	early bool
}

// DefaultStore is six shards of three replicas.
func DefaultStore() StoreConfig {
	return StoreConfig{
		Bucket: "e", Shards: 6, Replicas: 3, ShardBytesMax: 32 << 30, TombstoneTTL: 24 * time.Hour,
		Connections: 4, InFlight: 1024, InFlightBytes: 64 << 20, Timeout: 2 * time.Second, Wait: 10 * time.Second,
	}
}

// Bounds of a StoreConfig.
const (
	shardsMax      = 64
	connectionsMax = 64
)

// Validate tells all that is wrong.
func (c StoreConfig) Validate() error {
	var errs []error
	within := func(name string, v, least, most int64) {
		if v < least || v > most {
			errs = append(errs, fmt.Errorf("%s = %d: want %d to %d", name, v, least, most))
		}
	}
	for _, r := range c.Bucket {
		if r < 'a' || r > 'z' {
			errs = append(errs, fmt.Errorf("bucket %q: want lower-case letters", c.Bucket))
			break
		}
	}
	within("length of bucket", int64(len(c.Bucket)), 1, 16)
	within("shards", int64(c.Shards), 1, shardsMax)
	if c.Replicas != 1 && c.Replicas != 3 && c.Replicas != 5 {
		errs = append(errs, fmt.Errorf("replicas = %d: want 1, 3 or 5", c.Replicas))
	}
	within("shard_bytes_max", c.ShardBytesMax, 1<<20, 1<<50)
	within("connections", int64(c.Connections), 1, connectionsMax)
	within("inflight", int64(c.InFlight), 1, 1<<16)
	within("inflight_bytes", c.InFlightBytes, kv.ValueBytesMax, 1<<36)
	for name, d := range map[string]time.Duration{"tombstone_ttl": c.TombstoneTTL, "timeout": c.Timeout, "wait": c.Wait} {
		if d < time.Second {
			errs = append(errs, fmt.Errorf("%s = %v: want at least 1s", name, d))
		}
	}
	return errors.Join(errs...)
}

// Store is the shards as one process sees them. It is a kv.Store, kv.Sharded,
// kv.Movable and kv.Stale.
type Store struct {
	c    StoreConfig
	log  *slog.Logger
	node *Node
	ncs  []*nats.Conn
	sys  *nats.Conn
	met  metrics

	next  atomic.Uint64 // connection
	calls atomic.Int64
	bytes atomic.Int64

	mu     sync.RWMutex
	closed bool
	busy   sync.WaitGroup // added to under mu
	ending chan struct{}
}

var (
	_ kv.Store   = (*Store)(nil)
	_ kv.Sharded = (*Store)(nil)
	_ kv.Movable = (*Store)(nil)
	_ kv.Stale   = (*Store)(nil)
)

// OpenStore opens the shards, and makes those that are not there as soon as there
// are nodes enough. It waits until all have a leader, or ctx ends. The Store must
// be closed before the node.
func OpenStore(ctx context.Context, n *Node, c StoreConfig) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if n.alone {
		c.Replicas = 1
	}
	s := &Store{c: c, log: c.Log, node: n, ending: make(chan struct{})}
	s.met = newMetrics(s)
	if err := s.dial(); err != nil {
		s.hangUp()
		return nil, err
	}
	if err := s.form(ctx); err != nil {
		s.hangUp()
		return nil, fmt.Errorf("open the shards: %w", err)
	}
	return s, nil
}

func (s *Store) dial() error {
	for range s.c.Connections {
		nc, err := s.node.connect("game", "kamado entities")
		if err != nil {
			return fmt.Errorf("connect to the own node: %w", err)
		}
		s.ncs = append(s.ncs, nc)
	}
	nc, err := s.node.connect("sys", "kamado operator")
	s.sys = nc
	if err != nil {
		return fmt.Errorf("connect to the own node: %w", err)
	}
	return nil
}

func (s *Store) hangUp() {
	for _, nc := range s.ncs {
		nc.Close()
	}
	if s.sys != nil {
		s.sys.Close()
	}
}

// Close waits for calls that are under way. The shards stay.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.ending)
	s.mu.Unlock()
	s.busy.Wait()
	s.hangUp()
	return nil
}

// enter begins a call with n bytes of value; leave ends it.
func (s *Store) enter(ctx context.Context, n int) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return kv.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.calls.Add(1) > int64(s.c.InFlight) {
		s.calls.Add(-1)
		s.met.refused.Inc()
		return &kv.ExhaustedError{What: "calls under way to the shards", Limit: s.c.InFlight, Setting: "inflight"}
	}
	if s.bytes.Add(int64(n)) > s.c.InFlightBytes {
		s.calls.Add(-1)
		s.bytes.Add(-int64(n))
		s.met.refused.Inc()
		return &kv.ExhaustedError{What: "bytes of values under way to the shards", Limit: int(s.c.InFlightBytes), Setting: "inflight_bytes"}
	}
	s.busy.Add(1)
	return nil
}

func (s *Store) leave(n int) {
	s.calls.Add(-1)
	s.bytes.Add(-int64(n))
	s.busy.Done()
}

// Staleness says when a read may be old.
func (s *Store) Staleness() string {
	return "a read is answered by the leader of the shard; one that was cut off from the others, or stood still, may answer with an old value for 10 to 20 s; a write that builds on it is refused"
}

// streamConfig of a shard. A stream made by the client's CreateKeyValue would let
// any replica answer reads (AllowDirect), and they would be older than the caller's
// own writes.
func (s *Store) streamConfig(shard int) server.StreamConfig {
	return server.StreamConfig{
		Name:         s.stream(shard),
		Description:  fmt.Sprintf("entities, shard %d of %d", shard, s.c.Shards),
		Subjects:     []string{s.prefix(shard) + ">"},
		Retention:    server.LimitsPolicy,
		MaxConsumers: -1,
		MaxMsgs:      -1,
		MaxBytes:     s.c.ShardBytesMax,
		MaxMsgsPer:   1,
		MaxMsgSize:   kv.ValueBytesMax + 4096, // with headers
		Discard:      server.DiscardNew,
		Storage:      server.FileStorage,
		Replicas:     s.c.Replicas,
		Duplicates:   time.Minute, // not used: no message has an id
		DenyDelete:   true,
		AllowRollup:  true,
		AllowMsgTTL:  true, // of tombstones
		Metadata:     map[string]string{"kamado_shards": fmt.Sprint(s.c.Shards), "kamado_layout": layout},
	}
}

// form makes what is missing and waits for leaders.
func (s *Store) form(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make([]error, s.c.Shards)
	for i := range s.c.Shards {
		wg.Go(func() { errs[i] = s.formShard(ctx, i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// pollEvery is how often something that is awaited is looked at.
const pollEvery = 50 * time.Millisecond

func (s *Store) formShard(ctx context.Context, shard int) error {
	for {
		err := s.formOnce(ctx, shard)
		if err == nil || errors.Is(err, errMismatch) {
			return err
		}
		if !s.pause(ctx, pollEvery) {
			return fmt.Errorf("shard %d: %w: %w", shard, ctx.Err(), err)
		}
	}
}

// errMismatch: the shards that are there are others than the settings say.
var errMismatch = errors.New("the shards are of other settings")

func (s *Store) formOnce(ctx context.Context, shard int) error {
	want := s.streamConfig(shard)
	info, err := s.info(ctx, shard, nil)
	if isCode(err, codeNoStream) {
		err = s.ask(ctx, s.ncs[0], "$JS.API.STREAM.CREATE."+want.Name, want, nil)
		if err != nil {
			return err
		}
		info, err = s.info(ctx, shard, nil)
	}
	if err != nil {
		return err
	}
	have := info.Config
	if have.AllowDirect || have.MaxMsgsPer != 1 || have.Storage != server.FileStorage || have.Discard != server.DiscardNew ||
		have.Metadata["kamado_shards"] != want.Metadata["kamado_shards"] || have.Metadata["kamado_layout"] != layout {
		return fmt.Errorf("%w: %s has %s shards, layout %s, direct reads %t", errMismatch, want.Name, have.Metadata["kamado_shards"], have.Metadata["kamado_layout"], have.AllowDirect)
	}
	if have.Replicas < want.Replicas || have.MaxBytes != want.MaxBytes {
		if err := s.update(ctx, shard, have); err != nil {
			s.log.Warn("a shard keeps fewer replicas or another size than the settings say", "shard", want.Name, "replicas", have.Replicas, "want", want.Replicas, "err", err)
		}
	}
	if !s.node.alone && (info.Cluster == nil || info.Cluster.Leader == "") {
		return errNoLeader
	}
	return nil
}

// update brings replicas and size of a shard to the settings.
func (s *Store) update(ctx context.Context, shard int, have server.StreamConfig) error {
	have.Replicas = max(have.Replicas, s.c.Replicas)
	have.MaxBytes = s.c.ShardBytesMax
	return s.ask(ctx, s.ncs[0], "$JS.API.STREAM.UPDATE."+have.Name, have, nil)
}

// pause waits, and says whether there is time left.
func (s *Store) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	case <-s.ending:
		return false
	}
}
