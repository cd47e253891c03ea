package game

import "fmt"

// Class is what an account of the ledger is for. Those of a user exist once for each
// UID, those of the house once.
type Class uint8

// The classes. The signs are those of a balance in good order: sources are
// negative, and all together are zero.
const (
	UserFree    Class = 1 + iota // ≥ 0: free points that may be spent
	UserPaid                     // ≥ 0: paid points that may be spent
	HeldFree                     // ≥ 0: free points under a reservation
	HeldPaid                     // ≥ 0: paid points under a reservation
	UserDebt                     // ≤ 0: what a charge-back took that was not there any more
	IssuedFree                   // ≤ 0: the source of free points
	IssuedPaid                   // ≤ 0: the source of paid points
	SpentFree                    // ≥ 0
	SpentPaid                    // ≥ 0: what the house earned
	ExpiredFree                  // ≥ 0
	ExpiredPaid                  // ≥ 0
	Revoked                      // ≥ 0: what charge-backs took

	ClassCount
)

var classNames = [ClassCount]string{
	"", "user-free", "user-paid", "held-free", "held-paid", "user-debt", "issued-free", "issued-paid", "spent-free", "spent-paid", "expired-free", "expired-paid", "revoked",
}

func (c Class) String() string {
	if c > 0 && c < ClassCount {
		return classNames[c]
	}
	return fmt.Sprintf("Class(%d)", uint8(c))
}

// MarshalText makes JSON of it a text.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (c *Class) UnmarshalText(text []byte) error {
	for i, name := range classNames {
		if i > 0 && name == string(text) {
			*c = Class(i)
			return nil
		}
	}
	return Errorf(Invalid, "no class of accounts is called %.20q", text)
}

// OfUser says whether accounts of the class belong to users.
func (c Class) OfUser() bool { return c >= UserFree && c <= UserDebt }

// of gives the class of a kind of points, from that of free ones.
func (k PointKind) of(free Class) Class { return free + Class(k) }

// kind is the kind of points in accounts of a class that has one.
func (c Class) kind() PointKind {
	switch c {
	case UserPaid, HeldPaid, IssuedPaid, SpentPaid, ExpiredPaid:
		return Paid
	}
	return Free
}

// Entry takes an amount from one account and gives it to another.
type Entry struct {
	From    Class   `json:"from"`
	FromUID UID     `json:"from_uid,omitempty"` // 0: an account of the house
	To      Class   `json:"to"`
	ToUID   UID     `json:"to_uid,omitempty"`
	Amount  Amount  `json:"amount"`         // at least 1
	Expires Instant `json:"expires"`        // end of the lot that is moved; 0: none
	Hold    uint64  `json:"hold,omitempty"` // reservation that a held class is of
}

// Totals are the sums of all accounts of each class.
type Totals [ClassCount]Amount

// Add counts the entries of a posting.
func (t *Totals) Add(entries []Entry) {
	for _, e := range entries {
		t[e.From] -= e.Amount
		t[e.To] += e.Amount
	}
}

// Sum is zero, or the ledger is broken.
func (t *Totals) Sum() (sum Amount) {
	for _, a := range t {
		sum += a
	}
	return sum
}

// UnspentPaid is what users paid for and have not spent: the figure that a report
// of prepaid instruments asks for.
func (t *Totals) UnspentPaid() Amount { return t[UserPaid] + t[HeldPaid] }
