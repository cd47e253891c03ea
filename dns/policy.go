package dns

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Balance is how the records of one tier are ordered in an answer.
type Balance uint8

// The ways of balancing.
const (
	// Weighted orders at random, a record first in proportion to its weight.
	Weighted Balance = iota
	// FixBySource pairs clients and records by their ranks: of Policy.Sources'
	// addresses, in order, the i-th gets the i-th record. Other clients are
	// hashed. It needs no coordination and moves nobody while nothing changes.
	FixBySource
	// FixedFirst answers the record that is first in the order of its data
	// always first, the others at random.
	FixedFirst
	// Rendezvous orders by the highest hash of client and record, weighted: a
	// record that goes moves only its own clients.
	Rendezvous
	// Nearest orders by place: the same location as the client's, then the
	// longest common prefix of addresses, then the least round trip.
	Nearest

	balanceCount
)

var balanceNames = [balanceCount]string{"weighted", "fix-by-source", "fixed-first", "rendezvous", "nearest"}

func (b Balance) String() string {
	if b < balanceCount {
		return balanceNames[b]
	}
	return fmt.Sprintf("balance %d", uint8(b))
}

// ParseBalance reads a way of balancing; empty is Weighted.
func ParseBalance(text string) (Balance, error) {
	if text == "" {
		return Weighted, nil
	}
	if i := slices.Index(balanceNames[:], strings.ToLower(text)); i >= 0 {
		return Balance(i), nil
	}
	return 0, fmt.Errorf("balance %q is none of %s", shorten(text), strings.Join(balanceNames[:], ", "))
}

// Fallback is what is answered of a name none of whose owned records lives.
type Fallback uint8

// The fallbacks.
const (
	// FallbackNone: no data, with the extended error "Not Ready" (RFC 8914 code 14).
	FallbackNone Fallback = iota
	// FallbackAll: all of them, marked by the extended error "Stale Answer" (code 3).
	FallbackAll
	// FallbackBackup: the backups, whatever their health, marked likewise.
	FallbackBackup

	fallbackCount
)

var fallbackNames = [fallbackCount]string{"none", "all", "backup"}

func (f Fallback) String() string {
	if f < fallbackCount {
		return fallbackNames[f]
	}
	return fmt.Sprintf("fallback %d", uint8(f))
}

// ParseFallback reads a fallback; empty is FallbackNone.
func ParseFallback(text string) (Fallback, error) {
	if text == "" {
		return FallbackNone, nil
	}
	if i := slices.Index(fallbackNames[:], strings.ToLower(text)); i >= 0 {
		return Fallback(i), nil
	}
	return 0, fmt.Errorf("fallback %q is none of %s", shorten(text), strings.Join(fallbackNames[:], ", "))
}

// Bounds of a policy.
const (
	AddressesMax     = 64 // of one answer
	AddressesDefault = 8
)

// Policy says how the owned records of one name are chosen. It belongs to the
// name, not to a member. The zero value is the default.
type Policy struct {
	Balance  Balance
	Fallback Fallback
	// Most records in an answer; 0: AddressesDefault.
	Max uint8
	// Sources is the name whose addresses are the clients of FixBySource.
	Sources Name
}

// Validate judges a policy.
func (p Policy) Validate() error {
	var errs []error
	if p.Balance >= balanceCount || p.Fallback >= fallbackCount {
		errs = append(errs, fmt.Errorf("no such policy: %v, %v", p.Balance, p.Fallback))
	}
	if p.Max > AddressesMax {
		errs = append(errs, fmt.Errorf("max is %d, at most %d", p.Max, AddressesMax))
	}
	if p.Balance == FixBySource && p.Sources == "" {
		errs = append(errs, errors.New("fix-by-source needs sources: the name whose addresses are the clients"))
	}
	return errors.Join(errs...)
}

// Most is how many records an answer may have.
func (p Policy) Most() int {
	if p.Max == 0 {
		return AddressesDefault
	}
	return int(p.Max)
}
