package dns

import "net/netip"

// Set is all that is known of one name at one moment. It is a value: whoever
// got one keeps it as it was.
type Set struct {
	Name   Name
	Policy Policy
	Owned  []Owned // of all members, in the order of owner, type and data
	RRs    []RR    // zone records, in the order of type and data
	// Clients are the addresses of Policy.Sources in order; for FixBySource.
	Clients []netip.Addr
}

// Empty says that nothing is known, so the name does not exist.
func (s Set) Empty() bool { return len(s.Owned) == 0 && len(s.RRs) == 0 }

// Choice is one owned record in the choosing of an answer, and why.
type Choice struct {
	Owned
	// Pick says whether the record may be answered now, in the tier that answers.
	Pick bool
	// Why, for people: "master, healthy for 3m", "its owner n2 is dead", "a backup, and a master lives".
	Why string
}
