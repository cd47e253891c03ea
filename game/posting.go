package game

// Posting is an order that was carried out. It is never changed.
type Posting struct {
	// Seq numbers the postings of a ledger, in an order in which each is right. Gaps may be where the engine says so.
	Seq    uint64
	Time   Instant // of the ledger, which never goes back
	Op     Op
	Tx     string
	Digest Digest
	UID    UID
	To     UID
	Amount Amount // what was asked for; for Confirm, what was spent; for Cancel, what was given back; for Merge, what moved
	Kind   PointKind
	Hold   uint64  // Reserve, Confirm, Cancel: the reservation
	Until  Instant // Reserve: its end
	Reason string
	By     string
	// Entries are what moved. Ends of lots and reservations that were over are among
	// them, before what the order asked for.
	Entries []Entry
	// Balance is what UID could spend afterwards, and BalanceTo what To could.
	Balance, BalanceTo Amount
}

// Bounds of a posting, for those who read one from a disk.
const (
	// EntriesMax bounds the entries of a posting: for each of two accounts every held lot may come back, every lot may
	// end or move, what a reservation held may be spent and given back, and a debt divides a few of these.
	EntriesMax = 2 * (HoldsMax*LotsMax + 4*LotsMax + 4)
)

// Same says whether an order with the posting's Tx is the one that it carried out.
func (p *Posting) Same(o *Order) bool { return p.Digest == o.Digest() }

// HoldState is how a reservation stands.
type HoldState uint8

// The states of a reservation.
const (
	HoldOpen HoldState = iota
	HoldConfirmed
	HoldCancelled
	HoldExpired

	holdStateCount
)

var holdStateNames = [holdStateCount]string{"open", "confirmed", "cancelled", "expired"}

func (s HoldState) String() string {
	if s < holdStateCount {
		return holdStateNames[s]
	}
	return "unknown"
}

// MarshalText makes JSON of it a text.
func (s HoldState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reservation is what is known of one.
type Reservation struct {
	ID     uint64
	UID    UID
	Amount Amount // held at the beginning
	Until  Instant
	State  HoldState
	// Made is the posting that made it, and Ended the one that ended it; nil while it is open, and where the end was noted
	// by the way in another posting of the user.
	Made, Ended *Posting
}
