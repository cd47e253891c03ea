package mesh

import (
	"errors"
	"fmt"
	"time"

	"github.com/kamado/kamado/internal/lock"
)

// Config bounds a Mesh.
type Config struct {
	// NodesMax is how many nodes a world has at most, this one among them. 1 to 64.
	NodesMax int
	// UsersMax is how many users of one other node are known, and twice as many while a new link tells of them; further ones count as
	// away. 1 to 1,000,000.
	UsersMax int
	// CopiesMax is how many copies of one other node are known. 1 to 100,000.
	CopiesMax int
	// ClaimsMax is how many copies this node runs at most. 1 to 100,000.
	ClaimsMax int
	// WordsMax and WordBytesMax are how many words wait for one link, and how long they are together; with more, the link is ended and
	// opened anew. 1 to 100,000; at least the longest word, at most 64 MiB.
	WordsMax, WordBytesMax int
	// HappeningsMax is how many changes and words wait to be called back; with more, links are not read until they are fewer. 1 to 1,000,000.
	HappeningsMax int
	// LooksMax is how many locks of a node that may be dead wait for a first look; those of further copies begin to age when somebody wants them. 1 to 100,000.
	LooksMax int
	// AtOnce is how many renewals, and how many looks, are under way at once. 1 to 1000.
	AtOnce int
	// ClaimTerm is the term of the lock of a copy. The claim is over a tenth of it earlier. 300 ms to a minute.
	ClaimTerm time.Duration
	// RenewEvery is how often such a lock is renewed: at least three times a term.
	RenewEvery time.Duration
	// ClaimWait is for how long Claim waits for a copy whose node may be dead. Up to a minute.
	ClaimWait time.Duration
}

// Default is a Config for a world of up to 64 nodes. A copy of a dead node can be claimed after its ClaimTerm and a tenth of it, 1.65 s.
func Default() Config {
	return Config{
		NodesMax: 64, UsersMax: 200_000, CopiesMax: 100_000, ClaimsMax: 10_000, WordsMax: 1024, WordBytesMax: 1 << 20, HappeningsMax: 65_536,
		LooksMax: 4096, AtOnce: 64, ClaimTerm: 1500 * time.Millisecond, RenewEvery: 400 * time.Millisecond, ClaimWait: 3 * time.Second,
	}
}

// Validate gives all complaints at once.
func (c Config) Validate() error {
	var errs []error
	for _, f := range []struct {
		name                string
		value, least, limit int
	}{
		{"NodesMax", c.NodesMax, 1, 64}, {"UsersMax", c.UsersMax, 1, 1_000_000}, {"CopiesMax", c.CopiesMax, 1, 100_000},
		{"ClaimsMax", c.ClaimsMax, 1, 100_000}, {"WordsMax", c.WordsMax, 1, 100_000}, {"WordBytesMax", c.WordBytesMax, WordBytesMax, 64 << 20},
		{"HappeningsMax", c.HappeningsMax, 1, 1_000_000}, {"LooksMax", c.LooksMax, 1, 100_000}, {"AtOnce", c.AtOnce, 1, 1000},
	} {
		if f.value < f.least || f.value > f.limit {
			errs = append(errs, fmt.Errorf("%s is %d: want %d to %d", f.name, f.value, f.least, f.limit))
		}
	}
	if c.ClaimTerm < 3*lock.TermMin || c.ClaimTerm > time.Minute {
		errs = append(errs, fmt.Errorf("ClaimTerm is %v: want %v to 1m", c.ClaimTerm, 3*lock.TermMin))
	}
	if c.RenewEvery <= 0 || c.RenewEvery > c.ClaimTerm/3 {
		errs = append(errs, fmt.Errorf("RenewEvery is %v: want up to a third of ClaimTerm, %v", c.RenewEvery, c.ClaimTerm/3))
	}
	if c.ClaimWait <= 0 || c.ClaimWait > time.Minute {
		errs = append(errs, fmt.Errorf("ClaimWait is %v: want up to 1m", c.ClaimWait))
	}
	return errors.Join(errs...)
}
