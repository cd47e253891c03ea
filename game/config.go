package game

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/kamado/kamado/internal/unit"
)

// Config is the [game] table of the configuration.
type Config struct {
	// Address of the HTTP API and of WebSocket (/v1/socket), host:port.
	HTTP string `toml:"http"`
	// Address of the binary protocol over TCP, host:port. Empty: none.
	TCP string `toml:"tcp"`
	// URL of another game server that keeps users, points, entities and locks. This one then only keeps connections and areas. Empty: it
	// keeps all of that itself.
	Core string `toml:"core"`
	// File with the service credential for core, of scope admin.
	CoreTokenFile string `toml:"core_token_file"`
	// Name of this server among those that share something. Empty: the machine's host name, with a few letters of its own where it shares a database or has a core.
	Node string `toml:"node"`
	// Where users, sessions, locks and, with it, points are kept: postgres://… for a PostgreSQL server that several game servers
	// share. Empty: under the data directory of this one.
	Database string `toml:"database"`

	// Who users are.
	Identity IdentityConfig `toml:"identity"`
	// What users own.
	Points PointsConfig `toml:"points"`
	// Values of the application.
	Entities EntitiesConfig `toml:"entities"`
	// Rights for a time.
	Locks LocksConfig `toml:"locks"`
	// Copies of all of that.
	Backup BackupConfig `toml:"backup"`
	// Connections of clients.
	Gateway GatewayConfig `toml:"gateway"`
	// Areas and who is in them.
	World WorldConfig `toml:"world"`
}

// BackupConfig is [game.backup].
type BackupConfig struct {
	// Where backups are kept: a directory, on another volume if that can be, or s3://BUCKET/PREFIX?endpoint=URL (credentials from the
	// environment). Empty: none are made but those that are asked for.
	To string `toml:"to"`
	// How often one is made; 0: only when asked for.
	Every time.Duration `toml:"every"`
	// Copies of users and entities that are kept; points are kept from the beginning.
	Keep int `toml:"keep"`
}

// PointsConfig is [game.points]. The first four must be the same on all servers of a ledger.
type PointsConfig struct {
	// What is spent first: free-first, paid-first or ending-first.
	SpendOrder string `toml:"spend_order"`
	// Whether points may go from user to user.
	Transfers bool `toml:"transfers"`
	// Points of one grant above which somebody else has to approve it; 0: no limit.
	GrantLimit int64 `toml:"grant_limit"`
	// How long a reservation holds points when its order does not say.
	HoldTerm time.Duration `toml:"hold_term"`
	// How often points and reservations that are over are ended. They count no more from their end on, whatever this is.
	SweepEvery time.Duration `toml:"sweep_every"`
	// Orders that wait for the disk or the database at once; further ones are refused for the moment.
	Queue int `toml:"queue"`
}

// EntitiesConfig is [game.entities].
type EntitiesConfig struct {
	// Where entities are kept: pebble (on this machine), jetstream (in the game servers themselves, on shards with replicas),
	// or mongodb.
	Engine string `toml:"engine"`
	// Most bytes of one entity.
	BytesMax unit.Bytes `toml:"bytes_max"`
	// What keeps copies of entities: memory, memcached or off. With an engine that several servers share, memory is refused.
	Cache string `toml:"cache"`
	// Most bytes of copies in memory.
	CacheBytes unit.Bytes `toml:"cache_bytes"`
	// Servers of memcached, host:port.
	Memcached []string `toml:"memcached"`
	// Settings of the engine jetstream.
	JetStream JetStreamConfig `toml:"jetstream"`
	// Settings of the engine mongodb.
	MongoDB MongoDBConfig `toml:"mongodb"`
}

// JetStreamConfig is [game.entities.jetstream].
type JetStreamConfig struct {
	// Address at which the servers speak to each other, host:port. Anything but a loopback address needs the cluster's key.
	Cluster string `toml:"cluster"`
	// Address at which the others reach it, when it is another one than Cluster.
	Advertise string `toml:"advertise"`
	// All servers of the cluster, host:port of their Cluster; its own may be among them. Empty: it is alone, with one replica, and cannot become
	// a cluster later.
	Join []string `toml:"join"`
	// File with the cluster's secret, the same on all servers; "kamado game shards key --out FILE" makes one. Empty: DATA/game/cluster.key.
	KeyFile string `toml:"key_file"`
	// Label of the place of this server (rack, availability zone): replicas of a shard lie in different ones.
	Zone string `toml:"zone"`
	// Parts that the entities are divided into. It is never changed afterwards.
	Shards int `toml:"shards"`
	// Servers that keep each shard: 1, 3 or 5.
	Replicas int `toml:"replicas"`
	// Most bytes on the disk of this server; a shard takes its part of that, so the disk must have it.
	StoreBytes unit.Bytes `toml:"store_bytes"`
}

// MongoDBConfig is [game.entities.mongodb].
type MongoDBConfig struct {
	// Connection string, mongodb://….
	URI string `toml:"uri"`
	// Database in it.
	Database string `toml:"database"`
	// Connections at once; operations beyond that wait for a moment and are then refused with a reason.
	Connections int `toml:"connections"`
}

// LocksConfig is [game.locks].
type LocksConfig struct {
	// Where locks are kept: database (with the users) or zookeeper.
	Engine string `toml:"engine"`
	// Servers of ZooKeeper, host:port.
	ZooKeeper []string `toml:"zookeeper"`
	// Name that this server proves to ZooKeeper (scheme digest); empty: everybody may.
	User string `toml:"user"`
	// File with the password of that name.
	PasswordFile string `toml:"password_file"`
	// Path in ZooKeeper under which the locks lie.
	Root string `toml:"root"`
}

// Engines by name.
const (
	EnginePebble    = "pebble"
	EngineJetStream = "jetstream"
	EngineMongoDB   = "mongodb"
	EngineDatabase  = "database"
	EngineZooKeeper = "zookeeper"
	CacheMemory     = "memory"
	CacheMemcached  = "memcached"
	CacheOff        = "off"
)

// Default runs on one machine, with everything under the data directory.
func Default() Config {
	return Config{
		HTTP:     "127.0.0.1:7703",
		Identity: DefaultIdentity(),
		Points:   PointsConfig{SpendOrder: FreeFirst.String(), HoldTerm: 15 * time.Minute, SweepEvery: 30 * time.Second, Queue: 8192},
		Entities: EntitiesConfig{
			Engine: EnginePebble, BytesMax: 256 * unit.KiB, Cache: CacheMemory, CacheBytes: 16 * unit.MiB,
			JetStream: JetStreamConfig{Cluster: "127.0.0.1:7713", Shards: 6, Replicas: 3, StoreBytes: 10 * unit.GiB},
			MongoDB:   MongoDBConfig{Database: "kamado", Connections: 64},
		},
		Locks:   LocksConfig{Engine: EngineDatabase, Root: "/kamado/locks"},
		Backup:  BackupConfig{Keep: 30},
		Gateway: DefaultGateway(),
		World:   DefaultWorld(),
	}
}

// Rules are the rules of points that the table says. Preconditions: Validate.
func (c *PointsConfig) Rules() Rules {
	order, _ := ParseSpendOrder(c.SpendOrder) // Validate has
	return Rules{SpendOrder: order, Transfers: c.Transfers}
}

// Validate gives all complaints at once.
func (c Config) Validate() error {
	var errs []error
	if c.Database != "" {
		if u, err := url.Parse(c.Database); err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
			errs = append(errs, errors.New("database: want postgres://…, or nothing for the data directory"))
		}
	}
	if (c.Core == "") != (c.CoreTokenFile == "") {
		errs = append(errs, errors.New("core and core_token_file: want both, or neither"))
	}
	if len(c.Node) > nodeBytesMax || strings.ContainsFunc(c.Node, func(r rune) bool { return r <= ' ' || r > '~' }) {
		errs = append(errs, fmt.Errorf("node %.40q: want at most %d printable letters without blanks", c.Node, nodeBytesMax))
	}
	for name, err := range map[string]error{"identity": c.Identity.Validate(), "points": c.Points.validate(), "entities": c.Entities.validate(), "locks": c.Locks.validate(), "backup": c.Backup.validate(), "gateway": c.Gateway.validate(), "world": c.World.validate()} {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// nodeBytesMax bounds the name of a server.
const nodeBytesMax = 64

// complaints collects what is wrong.
type complaints []error

func (c *complaints) check(ok bool, format string, args ...any) {
	if !ok {
		*c = append(*c, fmt.Errorf(format, args...))
	}
}

func (c *complaints) oneOf(name, value string, of ...string) {
	c.check(slices.Contains(of, value), "%s %q: want %s", name, value, strings.Join(of, ", "))
}

func (c *PointsConfig) validate() error {
	var errs complaints
	_, err := ParseSpendOrder(c.SpendOrder)
	errs.check(err == nil, "spend_order %q: want free-first, paid-first or ending-first", c.SpendOrder)
	errs.check(c.GrantLimit >= 0 && c.GrantLimit <= int64(AmountMax), "grant_limit %d: want 0 to %d", c.GrantLimit, AmountMax)
	errs.check(c.HoldTerm >= HoldTermMin && c.HoldTerm <= HoldTermMax, "hold_term %v: want %v to %v", c.HoldTerm, HoldTermMin, HoldTermMax)
	errs.check(c.SweepEvery >= 100*time.Millisecond && c.SweepEvery <= time.Hour, "sweep_every %v: want 100ms to 1h", c.SweepEvery)
	errs.check(c.Queue >= 1 && c.Queue <= 1<<20, "queue %d: want 1 to %d", c.Queue, 1<<20)
	return errors.Join(errs...)
}

func (c *EntitiesConfig) validate() error {
	var errs complaints
	errs.oneOf("engine", c.Engine, EnginePebble, EngineJetStream, EngineMongoDB)
	errs.check(c.BytesMax >= 1 && c.BytesMax <= EntityBytesMax, "bytes_max %v: want 1 B to %v", c.BytesMax, unit.Bytes(EntityBytesMax))
	errs.oneOf("cache", c.Cache, CacheMemory, CacheMemcached, CacheOff)
	errs.check(c.Cache != CacheMemory || c.Engine == EnginePebble, "cache %q with engine %q: other servers write what this memory would copy; want memcached or off", c.Cache, c.Engine)
	errs.check(c.Cache != CacheMemcached || len(c.Memcached) > 0, "cache memcached needs memcached, a list of its servers")
	errs.check(c.CacheBytes >= unit.MiB, "cache_bytes %v: want at least 1 MiB", c.CacheBytes)
	j := c.JetStream
	errs.check(j.Shards >= 1 && j.Shards <= 64, "jetstream.shards %d: want 1 to 64", j.Shards)
	errs.check(j.Replicas == 1 || j.Replicas == 3 || j.Replicas == 5, "jetstream.replicas %d: want 1, 3 or 5", j.Replicas)
	errs.check(j.StoreBytes >= 64*unit.MiB, "jetstream.store_bytes %v: want at least 64 MiB", j.StoreBytes)
	errs.check(c.Engine != EngineJetStream || j.Cluster != "", "engine jetstream needs jetstream.cluster, an address for the other servers")
	errs.check(c.Engine != EngineMongoDB || c.MongoDB.URI != "", "engine mongodb needs mongodb.uri")
	errs.check(c.MongoDB.Connections >= 1 && c.MongoDB.Connections <= 10_000, "mongodb.connections %d: want 1 to 10000", c.MongoDB.Connections)
	return errors.Join(errs...)
}

func (c *BackupConfig) validate() error {
	var errs complaints
	errs.check(c.Every == 0 || c.Every >= time.Minute, "every %v: want at least 1m, or 0", c.Every)
	errs.check(c.Every == 0 || c.To != "", "every needs to, the place of the backups")
	errs.check(c.Keep >= 1 && c.Keep <= 10_000, "keep %d: want 1 to 10000", c.Keep)
	return errors.Join(errs...)
}

func (c *LocksConfig) validate() error {
	var errs complaints
	errs.oneOf("engine", c.Engine, EngineDatabase, EngineZooKeeper)
	errs.check(c.Engine != EngineZooKeeper || len(c.ZooKeeper) > 0, "engine zookeeper needs zookeeper, a list of its servers")
	errs.check((c.User == "") == (c.PasswordFile == ""), "user and password_file: want both, or neither")
	errs.check(strings.HasPrefix(c.Root, "/") && !strings.HasSuffix(c.Root, "/"), "root %q: want a path such as /kamado/locks", c.Root)
	return errors.Join(errs...)
}
