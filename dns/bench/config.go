package bench

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// The groups of figures.
const (
	GroupStatic = "static" // a zone of a master file, as the peers have it
	GroupOwned  = "owned"  // owned records with tiers, weights and health, while they change
)

// Groups are all groups in the order in which they are measured.
var Groups = []string{GroupStatic, GroupOwned}

// Command starts a server. In its arguments {dns} stands for the address to
// answer on, {port} for its port, {zone} for the zone's name, {file} for its
// master file, {dir} for an empty directory and {free} for another free address.
type Command struct {
	Program string
	Args    []string
	Env     []string // beside those of this process
	// API says that it opens the API at {free}, with its token in {dir}: the records of GroupOwned are made and
	// changed through it. Without it the server has and changes them by itself.
	API bool
}

// Config says what is measured. Start from Default.
type Config struct {
	// Kamado serves the static zone. Owned serves owned records (hostN.bench.test), OwnedChanges of which
	// change every second; Still is the same without changes. Without Program their figures are skipped.
	Kamado       Command
	Owned, Still Command
	OwnedChanges int

	Version string   // of Kamado, for the report
	Command []string // as it was called, for the report
	Only    []string // groups
	Peers   []string // names of peers; those that are not installed are skipped

	Names  int           // in the zone
	Rounds int           // of all subjects, alternating
	Length time.Duration // of one load in one round
	Window int           // questions that wait for an answer at once
	// ServerCore and LoadCore are the processors that subjects and loads run on.
	ServerCore, LoadCore int
	// Check compares every answer of the batched generator with what is in the zone; it costs the load's core some time.
	Check   bool
	Timeout time.Duration // for a subject to answer
	Talk    io.Writer     // progress for a person; discarded when nil
}

// Default is the measurement that the project's figures are stated in. The commands are missing.
func Default() Config {
	return Config{Only: Groups, Peers: []string{PeerNSD, PeerKnot, PeerUnbound, PeerCoreDNS, PeerFloor}, Names: 10_000, Rounds: 7, Length: time.Second, Window: 128,
		ServerCore: 1, LoadCore: 0, OwnedChanges: 1000, Timeout: 20 * time.Second}
}

// Validate complains about everything that is wrong at once.
func (c Config) Validate() error {
	var errs []error
	complain := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	complain(c.Kamado.Program != "", "no program to measure given")
	complain(len(c.Only) > 0, "nothing to measure given")
	for _, g := range c.Only {
		complain(slices.Contains(Groups, g), "%q is none of %v", g, Groups)
	}
	for _, p := range c.Peers {
		complain(slices.Contains(peerNames(), p), "%q is none of %v", p, peerNames())
	}
	complain(c.Names >= 1 && c.Names <= 1_000_000, "names %d is not in 1..1000000", c.Names)
	complain(c.Rounds >= 1 && c.Rounds <= 1000, "rounds %d is not in 1..1000", c.Rounds)
	complain(c.Window >= 1 && c.Window <= windowMax, "window %d is not in 1..%d", c.Window, windowMax)
	complain(c.Length >= 50*time.Millisecond, "length %s is shorter than 50ms", c.Length)
	complain(c.Timeout > 0, "timeout %s is not positive", c.Timeout)
	complain(c.ServerCore >= 0 && c.LoadCore >= 0, "a core has no negative number")
	return errors.Join(errs...)
}
