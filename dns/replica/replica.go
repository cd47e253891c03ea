package replica

import (
	"iter"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/credential"
)

// Replica is the state as one member holds it. Not safe for concurrent use.
type Replica struct{}

// New makes an empty replica. Call Restore with every entry of the journal, then Start, then the rest.
func New(Config) (*Replica, error) { panic("soon") }

// Restore puts back one entry that Out.Keep or Snapshot gave.
func (r *Replica) Restore(now time.Time, entry []byte) error { panic("soon") }

// Start ends the restoring: it picks versions that were never used and publishes
// the member's info. Its Out is Urgent.
func (r *Replica) Start(now time.Time, info dns.Info) (Out, error) { panic("soon") }

// Snapshot gives every entry that a journal must hold to restore this state.
func (r *Replica) Snapshot(yield func(entry []byte) bool) { panic("soon") }

// Add makes or changes an own record; the name, type and data say which.
func (r *Replica) Add(now time.Time, rec dns.Record) (Out, error) { panic("soon") }

// Remove deletes an own record.
func (r *Replica) Remove(now time.Time, id dns.RecordID) (Out, error) { panic("soon") }

// SetHealth tells what checks found of own records; unknown records are passed over.
func (r *Replica) SetHealth(now time.Time, changes []HealthChange) (Out, error) { panic("soon") }

// SetInfo publishes what this member tells of itself.
func (r *Replica) SetInfo(now time.Time, info dns.Info) (Out, error) { panic("soon") }

// Leave says goodbye: the records of this member leave the answers until it starts again.
func (r *Replica) Leave(now time.Time) (Out, error) { panic("soon") }

// ChangeZone makes all steps, one after another, in one Out.
func (r *Replica) ChangeZone(now time.Time, zone dns.Name, changes []dns.Change) (Out, error) {
	panic("soon")
}

// CreateZone declares a shared zone, or changes its SOA. Kind and Serial are not looked at.
func (r *Replica) CreateZone(now time.Time, zone dns.Zone) (Out, error) { panic("soon") }

// DeleteZone ends a shared zone with all its records.
func (r *Replica) DeleteZone(now time.Time, apex dns.Name) (Out, error) { panic("soon") }

// SetPolicy says how the records of a name are chosen; the zero policy goes back to the default.
func (r *Replica) SetPolicy(now time.Time, name dns.Name, p dns.Policy) (Out, error) { panic("soon") }

// RemoveMember removes a member for good: what its certificates say counts no more. Its zone
// records that are known here become this member's. Needs Admin.
func (r *Replica) RemoveMember(now time.Time, node string) (Out, error) { panic("soon") }

// SetRingKey publishes a change of the keyring. Needs Admin.
func (r *Replica) SetRingKey(now time.Time, key RingKey) (Out, error) { panic("soon") }

// Keyring gives the keys of the ring that entries speak of, in order of Public.
func (r *Replica) Keyring() []RingKey { panic("soon") }

// SetTrust says whose certificates count from now on, and which identity signs.
func (r *Replica) SetTrust(now time.Time, id credential.Identity, issuers [][]byte) (Out, error) {
	panic("soon")
}

// Receive takes a message of a peer.
func (r *Replica) Receive(now time.Time, from string, msg []byte) (Out, error) { panic("soon") }

// Tick does what is due. Call it at Wake, or a little later.
func (r *Replica) Tick(now time.Time) Out { panic("soon") }

// Wake is when Tick is next needed. It may move nearer with every step.
func (r *Replica) Wake() time.Time { panic("soon") }

// Up says that a peer lives.
func (r *Replica) Up(now time.Time, node string) Out { panic("soon") }

// Down says that a peer died, or left.
func (r *Replica) Down(now time.Time, node string, left bool) Out { panic("soon") }

// RTT tells the round trip to a peer. It changes sets at their next reading, and tells no names.
func (r *Replica) RTT(node string, d time.Duration) { panic("soon") }

// Set is what is known of a name; false: nothing.
func (r *Replica) Set(name dns.Name) (dns.Set, bool) { panic("soon") }

// Names gives all names of which something is known, in no order.
func (r *Replica) Names() iter.Seq[dns.Name] { panic("soon") }

// Zones gives the domain and the shared zones, in order of name.
func (r *Replica) Zones() []dns.Zone { panic("soon") }

// ZoneRRs gives the zone records of a zone, without SOA, by name, type and data.
func (r *Replica) ZoneRRs(apex dns.Name) iter.Seq[dns.RR] { panic("soon") }

// Members gives all members, this one too, in order of node.
func (r *Replica) Members() []dns.Member { panic("soon") }

// Records gives owned records by name, owner, type and data.
func (r *Replica) Records(f Filter) []dns.Owned { panic("soon") }

// Stats counts.
func (r *Replica) Stats() Stats { panic("soon") }

// Twin tells why this member lost its name to another machine; empty: it did not.
func (r *Replica) Twin() string { panic("soon") }
