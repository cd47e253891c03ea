package bench

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The groups of figures.
const (
	GroupPoints   = "points"   // durable transfers of points
	GroupEntities = "entities" // durable puts of entities
	GroupStart    = "start"    // from nothing to the first login
	GroupRecovery = "recovery" // from a killed server's directory to ready
)

// Groups are all groups in the order in which they are measured.
var Groups = []string{GroupPoints, GroupEntities, GroupStart, GroupRecovery}

// The peers of points.
const (
	PeerPostgres = "PostgreSQL"
	PeerFloor    = "fdatasync"
)

// Peers are all peers.
var Peers = []string{PeerPostgres, PeerFloor}

// Command starts a server. In its arguments {http} stands for the address to listen
// on, and {data} for its directory.
type Command struct {
	Program string
	Args    []string
	Env     []string // beside those of this process
}

// Config says what is measured. Start from Default.
type Config struct {
	// Serve starts the server that is measured; Transfers are more arguments that make it allow transfers between users.
	Serve     Command
	Transfers []string
	// Wire are more arguments that let it be asked over the game's protocol, in which {tcp} stands for the address for TCP.
	Wire []string
	// URL is a server that runs already, instead: http://HOST:PORT, or of the game's protocol ws://HOST:PORT/v1/socket or tcp://HOST:PORT. API is
	// where its HTTP is, needed with tcp. TokenFile holds its service credential. PID is its process when it is on this
	// machine, for the processor time; 0: not told, and looked for when it is asked over the game's protocol.
	URL       string
	API       string
	TokenFile string
	PID       int

	Version string   // of Kamado, for the report
	Command []string // as it was called, for the report
	Only    []string // groups
	Peers   []string // names of peers; those that are not installed are skipped
	Over    []string // ways to points, each a subject of its own; the first is the one that others are compared with

	Callers       []int         // of group points, one load each
	EntityCallers []int         // of group entities, one load each
	Rounds        int           // of all subjects, alternating
	Duration      time.Duration // of the load on one subject by so many callers, in all rounds together
	Rate          float64       // operations a second of an open loop; 0: closed
	Mix           string        // of what callers do with points: see parseMix
	EntityBytes   int           // of one entity
	Connections   int           // to PostgreSQL, at most; more callers than that wait for one

	Starts   int    // how often groups start and recovery start the program
	Ledger   string // data directory of group recovery
	Dir      string // where directories are made; empty: a temporary place on a disk
	Profiles string // directory for a profile of each load on our server; empty: none

	Rest    time.Duration // how long a server that was just started is left alone before its memory is read
	Timeout time.Duration // for a server to start
	Talk    io.Writer     // progress for a person; discarded when nil
}

// Default is the measurement that the project's figures are stated in. The command is missing.
func Default() Config {
	return Config{Only: []string{GroupPoints, GroupEntities, GroupStart}, Peers: slices.Clone(Peers), Over: []string{OverHTTP}, Callers: []int{64, 1024}, EntityCallers: []int{1, 16, 64},
		Rounds: 5, Duration: 10 * time.Second, Mix: operationNames[opSpend], EntityBytes: 200, Connections: 100, Starts: 5, Rest: 5 * time.Second, Timeout: time.Minute}
}

// callersMax bounds callers: each has a connection, and a process 1,024 files by default, of which Go takes as many as it may have.
const callersMax = 10_000

// wireMost bounds loads over the game's protocol, with those that alternate with them: tokens live ten minutes, and are not renewed there.
const wireMost = 90 * time.Second

// roundLeast is the shortest load that means something.
const roundLeast = 20 * time.Millisecond

// Validate complains about everything that is wrong at once.
func (c Config) Validate() error {
	var errs []error
	complain := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	complain(c.Serve.Program != "" || c.URL != "", "no program to measure given")
	complain(len(c.Only) > 0, "nothing to measure given")
	for _, g := range c.Only {
		complain(slices.Contains(Groups, g), "%q is none of %v", g, Groups)
		complain(g != GroupRecovery || c.Ledger != "", "group recovery needs a directory: --ledger DIR")
		complain(c.URL == "" || g == GroupPoints || g == GroupEntities, "group %s starts the program, and cannot measure a URL", g)
	}
	for _, p := range c.Peers {
		complain(slices.Contains(Peers, p), "%q is none of %v", p, Peers)
	}
	for _, list := range [][]int{c.Callers, c.EntityCallers} {
		complain(len(list) > 0, "no number of callers given")
		for _, n := range list {
			complain(n >= 1 && n <= callersMax, "callers %d is not in 1..%d", n, callersMax)
		}
	}
	for _, n := range []struct {
		name      string
		v, lo, hi int
	}{{"rounds", c.Rounds, 1, 1000}, {"entity-bytes", c.EntityBytes, keyBytes, bodyBytesMax}, {"connections", c.Connections, 1, 1000}, {"starts", c.Starts, 1, 100}} {
		complain(n.v >= n.lo && n.v <= n.hi, "%s %d is not in %d..%d", n.name, n.v, n.lo, n.hi)
	}
	complain(c.Rounds < 1 || c.round() >= roundLeast, "duration %s in %d rounds: a round is shorter than %s", c.Duration, c.Rounds, roundLeast)
	complain(c.Rate >= 0 && c.Rate <= 1e6, "rate %v is not in 0..1000000", c.Rate)
	complain(c.URL == "" || c.TokenFile != "", "a URL needs the credential of a service: --token-file, or --data")
	complain(c.Rest >= 0, "rest %s is negative", c.Rest)
	complain(c.Timeout > 0, "timeout %s is not positive", c.Timeout)
	c.validateOver(complain)
	_, err := parseMix(c.Mix)
	return errors.Join(append(errs, err)...)
}

// validateOver complains about ways to points.
func (c *Config) validateOver(complain func(ok bool, format string, args ...any)) {
	complain(len(c.Over) > 0, "no way to points given")
	for i, over := range c.Over {
		complain(slices.Contains(Overs, over), "%q is none of %v", over, Overs)
		complain(!slices.Contains(c.Over[:i], over), "%s twice", over)
		complain(c.URL == "" || over == OverHTTP || strings.HasPrefix(c.URL, over+"://"), "%s is not what the URL %q speaks", over, c.URL)
	}
	if len(c.Over) > 1 || !slices.Contains(c.Over, OverHTTP) {
		complain(c.Duration <= wireMost, "duration %s of each subject over the game's protocol is longer than %s", c.Duration, wireMost)
	}
	if c.URL != "" {
		_, _, err := c.addresses()
		complain(err == nil, "%v", err)
	}
	if pattern, err := parseMix(c.Mix); err == nil && (len(c.Over) > 1 || !slices.Contains(c.Over, OverHTTP)) {
		for _, op := range pattern {
			complain(wireMethods[op] != "", "%s are not measured over the game's protocol: spends and transfers are", op)
			if wireMethods[op] == "" {
				break
			}
		}
	}
}

// addresses finds where the server of the URL is: its HTTP, and its endpoint of the game's protocol, whose zero is none.
func (c *Config) addresses() (http *url.URL, e endpoint, err error) {
	base := c.URL
	if !strings.HasPrefix(c.URL, "http://") {
		if e, err = parseEndpoint(c.URL); err != nil {
			return nil, e, err
		}
		switch base = c.API; {
		case base == "" && e.over == OverTCP:
			return nil, e, fmt.Errorf("%s tells nothing of HTTP, which users and their points come from: --api http://HOST:PORT", c.URL)
		case base == "":
			base = "http://" + e.host
		}
	}
	http, err = url.Parse(base)
	if err != nil || http.Scheme != "http" || http.Host == "" {
		return nil, e, fmt.Errorf("the URL %q is not http://HOST:PORT", base)
	}
	return http, e, nil
}

// round is how long one load is in one round.
func (c *Config) round() time.Duration { return c.Duration / time.Duration(c.Rounds) }
