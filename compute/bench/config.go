package bench

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// The groups.
const (
	GroupStart    = "start"
	GroupAPI      = "api"
	GroupPages    = "pages"
	GroupSchedule = "schedule"
	GroupGuest    = "guest"
	GroupAdopt    = "adopt"
)

// Groups are all groups in the order in which they are measured.
var Groups = []string{GroupStart, GroupAPI, GroupPages, GroupSchedule, GroupGuest, GroupAdopt}

// ShortGroups take less than a minute together.
var ShortGroups = []string{GroupStart, GroupAPI}

// Config says what is measured. The zero value is not usable; start from Default.
type Config struct {
	Program string   // the kamado executable that is measured
	Version string   // of that executable, for the report
	Command []string // as it was called, for the report
	Only    []string // groups

	Rounds   int // how often the program is started, and guests boot on either side
	Requests int // requests of a kind, one after the other
	Servers  int // that are there when pages are asked for
	Hosts    int // simulated ones, that servers are scheduled on
	Schedule int // servers that are scheduled, one a request, and as many in batches
	Clients  int // that ask at once for servers to be scheduled
	Guests   int // paused ones, that a server finds again

	Rest     time.Duration // how long a server is left alone before its memory is read
	Parts    string        // directory with what the machine image is made of; empty: where the program looks
	Profiles string        // directory for a CPU and a memory profile of each group; empty: none
	Timeout  time.Duration // for one wait: a start, a server that becomes active, a guest
	Talk     io.Writer     // progress for a person; discarded when nil
}

// Default is the measurement that the project's figures are stated in, of the
// groups that are short.
func Default() Config {
	return Config{Only: ShortGroups, Rounds: 5, Requests: 500, Servers: 10000, Hosts: 1000, Schedule: 3000, Clients: 64, Guests: 100,
		Rest: 5 * time.Second, Timeout: 2 * time.Minute}
}

// Validate complains about everything that is wrong at once.
func (c Config) Validate() error {
	var errs []error
	complain := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	complain(c.Program != "", "no program to measure given")
	complain(len(c.Only) > 0, "nothing to measure given")
	for _, g := range c.Only {
		complain(slices.Contains(Groups, g), "%q is none of %v", g, Groups)
	}
	for _, n := range []struct {
		name     string
		v        int
		min, max int
	}{
		{"rounds", c.Rounds, 1, 100}, {"requests", c.Requests, 10, 100000}, {"servers", c.Servers, 40, 100000}, {"hosts", c.Hosts, 1, 10000},
		{"schedule", c.Schedule, 10, 100000}, {"clients", c.Clients, 1, 1000}, {"guests", c.Guests, 1, 1000},
	} {
		complain(n.v >= n.min && n.v <= n.max, "%s %d is not in %d..%d", n.name, n.v, n.min, n.max)
	}
	complain(c.Rest > 0, "rest %s is not positive", c.Rest)
	complain(c.Timeout > 0, "timeout %s is not positive", c.Timeout)
	return errors.Join(errs...)
}
