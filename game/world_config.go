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

// GatewayConfig is [game.gateway]: how connections of clients are kept.
type GatewayConfig struct {
	// Connections at once; further ones are told to come later.
	Connections int `toml:"connections"`
	// Connections of one network address at once (IPv6: /64).
	ConnectionsAddress int `toml:"connections_address"`
	// Time that a new connection has to say who it is.
	HelloTimeout time.Duration `toml:"hello_timeout"`
	// A connection that was silent so long is asked for a sign of life, and closed after twice that.
	KeepAlive time.Duration `toml:"keep_alive"`
	// Most bytes that wait for one client; when they are more, it is closed as too slow. Moves stop at a quarter of it.
	QueueBytes unit.Bytes `toml:"queue_bytes"`
	// Most bytes that wait for all clients together, replays among them. Above it no client gets moves, none comes in, and the slow ones are closed sooner.
	QueueBytesAll unit.Bytes `toml:"queue_bytes_all"`
	// Time for which a lost connection can be taken up again, with what was missed.
	ResumeTerm time.Duration `toml:"resume_term"`
	// Most bytes of what one client may have missed; with more, it has to enter anew.
	ReplayBytes unit.Bytes `toml:"replay_bytes"`
	// Commands a second of one user, moves among them but no calls; twice as many at once. What is above is answered as too much, and moves are dropped.
	CommandsPerSecond int `toml:"commands_per_second"`
	// Things that one user may say in ten seconds.
	SaysPerTenSeconds int `toml:"says_per_ten_seconds"`
	// Calls of one connection that are in work at once; further ones wait.
	Calls int `toml:"calls"`
	// Version that a client must have at least, as major.minor.patch. Empty: any.
	MinClient string `toml:"min_client"`
	// How often the token of a connection is looked at again: after a ban or sign-out it ends so much later.
	RecheckEvery time.Duration `toml:"recheck_every"`
	// File with the certificate (PEM) for tcp; with tls_key, TCP is TLS.
	TLSCert string `toml:"tls_cert"`
	// File with the certificate's key (PEM).
	TLSKey string `toml:"tls_key"`
	// Pages whose scripts may open a socket from another host (header Origin), such as https://play.example.com; "*": all.
	Origins []string `toml:"origins"`
}

// WorldConfig is [game.world].
type WorldConfig struct {
	// Time between two rounds in which an area tells who moved; the last move wins. 0: at once.
	Tick time.Duration `toml:"tick"`
	// Areas that are known: name = settings. An entry replaces the built-in one of its name.
	Areas map[string]AreaPlan `toml:"areas"`
	// Whether any other name is an area too, made when somebody enters it.
	Open bool `toml:"open"`
	// Copies of areas that this node runs at most.
	Copies int `toml:"copies"`
	// Time after which a copy without anybody is closed.
	IdleTerm time.Duration `toml:"idle_term"`
	// Words that are hidden in what people say.
	HiddenWords []string `toml:"hidden_words"`
	// Where clients and other nodes reach this node: ws://HOST:PORT/v1/socket. Empty: at the address on which it listens.
	Advertise string `toml:"advertise"`
	// The same for TCP, host:port.
	AdvertiseTCP string `toml:"advertise_tcp"`
	// Whether this node shares the areas with others that have the same locks: on, off, or auto: when the database, the core or the locks are
	// shared. Off, it runs all areas by itself.
	Cluster string `toml:"cluster"`
}

// Values of WorldConfig.Cluster.
const (
	ClusterOn   = "on"
	ClusterOff  = "off"
	ClusterAuto = "auto"
)

// Clustered says whether the server shares the areas with others.
func (c *Config) Clustered() bool {
	shared := c.Database != "" || c.Core != "" || c.Locks.Engine == EngineZooKeeper
	return c.World.Cluster == ClusterOn || c.World.Cluster == ClusterAuto && shared
}

// DefaultGateway keeps up to 100,000 connections.
func DefaultGateway() GatewayConfig {
	return GatewayConfig{
		Connections: 100_000, ConnectionsAddress: 50_000, HelloTimeout: 10 * time.Second, KeepAlive: 30 * time.Second,
		QueueBytes: 256 * unit.KiB, QueueBytesAll: unit.GiB, ResumeTerm: 30 * time.Second, ReplayBytes: 64 * unit.KiB, CommandsPerSecond: 60, SaysPerTenSeconds: 20,
		Calls: 16, RecheckEvery: 2 * time.Second,
	}
}

// DefaultWorld has a few areas, and makes any other that is asked for.
func DefaultWorld() WorldConfig {
	return WorldConfig{Tick: 50 * time.Millisecond, Open: true, Copies: 512, IdleTerm: 30 * time.Second, Cluster: ClusterAuto}
}

// builtInAreas are those of the plaza.
func builtInAreas() []AreaPlan {
	return []AreaPlan{
		{Name: "plaza", Width: 1600, Height: 1200, Capacity: 50},
		{Name: "garden", Width: 1600, Height: 1200, Capacity: 50},
		{Name: "shop", Width: 1200, Height: 900, Capacity: 50},
	}
}

// openPlan is that of an area that nobody described.
func openPlan(name string) AreaPlan {
	return AreaPlan{Name: name, Width: 2000, Height: 2000, Capacity: CapacityMax, View: 400}
}

// Plan finds how an area is made; NotFound when there is none of that name.
func (c *WorldConfig) Plan(name string) (AreaPlan, error) {
	if err := CheckAreaName(name); err != nil {
		return AreaPlan{}, err
	}
	for _, p := range c.Plans() {
		if p.Name == name {
			return p, nil
		}
	}
	if !c.Open {
		return AreaPlan{}, Errorf(NotFound, "there is no area %s", name)
	}
	return openPlan(name), nil
}

// Plans lists the areas that have a description, by name.
func (c *WorldConfig) Plans() []AreaPlan {
	list := builtInAreas()
	for name, p := range c.Areas {
		list = slices.DeleteFunc(list, func(o AreaPlan) bool { return o.Name == name })
		p.Name = name
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b AreaPlan) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func (c *GatewayConfig) validate() error {
	var errs complaints
	errs.check(c.Connections >= 1 && c.Connections <= 10_000_000, "connections %d: want 1 to 10000000", c.Connections)
	errs.check(c.ConnectionsAddress >= 1, "connections_address %d: want at least 1", c.ConnectionsAddress)
	errs.check(c.HelloTimeout >= 100*time.Millisecond && c.HelloTimeout <= time.Minute, "hello_timeout %v: want 100ms to 1m", c.HelloTimeout)
	errs.check(c.KeepAlive >= 100*time.Millisecond && c.KeepAlive <= 10*time.Minute, "keep_alive %v: want 100ms to 10m", c.KeepAlive)
	errs.check(c.QueueBytes >= 16*unit.KiB && c.QueueBytes <= 64*unit.MiB, "queue_bytes %v: want 16 KiB to 64 MiB", c.QueueBytes)
	errs.check(c.QueueBytesAll >= c.QueueBytes && c.QueueBytesAll <= 1024*unit.GiB, "queue_bytes_all %v: want at least queue_bytes, and at most 1 TiB", c.QueueBytesAll)
	errs.check(c.ResumeTerm >= 0 && c.ResumeTerm <= 10*time.Minute, "resume_term %v: want 0 to 10m", c.ResumeTerm)
	errs.check(c.ReplayBytes >= unit.KiB && c.ReplayBytes <= 16*unit.MiB, "replay_bytes %v: want 1 KiB to 16 MiB", c.ReplayBytes)
	errs.check(c.CommandsPerSecond >= 1 && c.CommandsPerSecond <= 100_000, "commands_per_second %d: want 1 to 100000", c.CommandsPerSecond)
	errs.check(c.SaysPerTenSeconds >= 1 && c.SaysPerTenSeconds <= 10_000, "says_per_ten_seconds %d: want 1 to 10000", c.SaysPerTenSeconds)
	errs.check(c.Calls >= 1 && c.Calls <= 10_000, "calls %d: want 1 to 10000", c.Calls)
	errs.check(c.RecheckEvery >= 100*time.Millisecond && c.RecheckEvery <= time.Minute, "recheck_every %v: want 100ms to 1m", c.RecheckEvery)
	errs.check((c.TLSCert == "") == (c.TLSKey == ""), "tls_cert and tls_key: want both, or neither")
	if c.MinClient != "" {
		_, err := ParseClientVersion(c.MinClient)
		errs.check(err == nil, "min_client %.40q: want major.minor.patch", c.MinClient)
	}
	return errors.Join(errs...)
}

func (c *WorldConfig) validate() error {
	var errs complaints
	errs.check(c.Tick >= 0 && c.Tick <= TickMax, "tick %v: want 0 to %v", c.Tick, TickMax)
	errs.check(c.Copies >= 1 && c.Copies <= 100_000, "copies %d: want 1 to 100000", c.Copies)
	errs.check(c.IdleTerm >= time.Second && c.IdleTerm <= 24*time.Hour, "idle_term %v: want 1s to 24h", c.IdleTerm)
	errs.oneOf("cluster", c.Cluster, ClusterAuto, ClusterOn, ClusterOff)
	for name, p := range c.Areas {
		p.Name = name
		if err := p.validate(); err != nil {
			errs = append(errs, err)
		}
	}
	if c.Advertise != "" {
		u, err := url.Parse(c.Advertise)
		errs.check(err == nil && (u.Scheme == "ws" || u.Scheme == "wss") && u.Host != "", "advertise %.80q: want ws://HOST:PORT/v1/socket", c.Advertise)
	}
	if c.AdvertiseTCP != "" {
		i := strings.LastIndexByte(c.AdvertiseTCP, ':')
		errs.check(i > 0 && i < len(c.AdvertiseTCP)-1, "advertise_tcp %.80q: want host:port", c.AdvertiseTCP)
	}
	return errors.Join(errs...)
}

// ClientVersion is the version of a client, major<<20 | minor<<10 | patch, each below 1024.
type ClientVersion uint32

// ParseClientVersion reads major.minor.patch.
func ParseClientVersion(text string) (ClientVersion, error) {
	var a, b, c uint32
	if n, err := fmt.Sscanf(text, "%d.%d.%d", &a, &b, &c); err != nil || n != 3 || max(a, b, c) > 1023 || fmt.Sprintf("%d.%d.%d", a, b, c) != text {
		return 0, Errorf(Invalid, "%.40q is no version: want major.minor.patch", text)
	}
	return ClientVersion(a<<20 | b<<10 | c), nil
}

func (v ClientVersion) String() string { return fmt.Sprintf("%d.%d.%d", v>>20, v>>10&1023, v&1023) }
