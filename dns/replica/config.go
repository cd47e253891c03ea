package replica

import (
	"errors"
	"fmt"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/credential"
)

// Config is what a replica must be told.
type Config struct {
	// Identity signs; its certificate names this member.
	Identity credential.Identity
	// Issuers are the public keys whose certificates are believed.
	Issuers [][]byte
	// Domain is the zone of owned names, which exists without being declared.
	Domain dns.Name
	// SOA of the domain, unless CreateZone set another one.
	SOA dns.SOA
	// Seed of the choice of peers and of jitter.
	Seed uint64

	// Interval between two digests that are sent. Default 1 s.
	Interval time.Duration
	// SkewMax is how far ahead of this clock a stamp may be and still count now. Default 60 s.
	SkewMax time.Duration
	// TombstoneLife is how long deletions are remembered. A member that was away for
	// longer may bring back what was deleted meanwhile. Default 7 days.
	TombstoneLife time.Duration
	// LifetimeAfterDeath is how long the records of a dead member are still shown, as dead. Default 24 h.
	LifetimeAfterDeath time.Duration
	// StartGrace is how long after the start the members that are remembered count as alive
	// although nobody reported them yet. Default 2 s; negative: not at all.
	StartGrace time.Duration

	// EntriesMax bounds the entries of one stream, tombstones included. Default 100,000.
	EntriesMax int
	// EntryBytesMax bounds an entry. Default 8 KiB.
	EntryBytesMax int
	// MembersMax bounds the members. Default 10,000.
	MembersMax int
}

// withDefaults fills what is zero.
func (c Config) withDefaults() Config {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&c.Interval, time.Second)
	set(&c.SkewMax, time.Minute)
	set(&c.TombstoneLife, 7*24*time.Hour)
	set(&c.LifetimeAfterDeath, 24*time.Hour)
	set(&c.StartGrace, 2*time.Second)
	bound := func(n *int, to int) {
		if *n == 0 {
			*n = to
		}
	}
	bound(&c.EntriesMax, 100_000)
	bound(&c.EntryBytesMax, 8<<10)
	bound(&c.MembersMax, 10_000)
	return c
}

// validate gives all complaints at once.
func (c Config) validate() error {
	var errs []error
	if err := dns.CheckNode(c.Identity.Cert.Node); err != nil {
		errs = append(errs, fmt.Errorf("the identity: %w", err))
	}
	if c.Domain == "" || c.Domain == dns.Root {
		errs = append(errs, errors.New("no domain"))
	}
	if len(c.Issuers) == 0 {
		errs = append(errs, errors.New("no issuer is trusted"))
	}
	if c.Interval < 0 || c.SkewMax < 0 || c.TombstoneLife < 0 || c.LifetimeAfterDeath < 0 {
		errs = append(errs, errors.New("times must not be negative"))
	}
	if c.EntriesMax < 1 || c.EntryBytesMax < 1024 || c.MembersMax < 1 {
		errs = append(errs, errors.New("bounds must be positive, and entries have at least 1 KiB"))
	}
	return errors.Join(errs...)
}
