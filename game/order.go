package game

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
	"unicode/utf8"
)

// Op is what an order asks for.
type Op uint8

// The operations. Their numbers are on disks: they never change.
const (
	OpGrant    Op = 1 + iota // give points to a user, from nothing
	OpSpend                  // take points from a user
	OpTransfer               // move points between users
	OpReserve                // hold points until Confirm, Cancel or their end
	OpConfirm                // spend what is held, or a part, and give back the rest
	OpCancel                 // give back what is held
	OpRevoke                 // take back points after a charge-back; what is missing is a debt
	OpExpire                 // end what is over: the ledger's own order
	OpMerge                  // move all that a user has, debts too, to the user that it becomes

	opCount
)

var opNames = [opCount]string{"", "grant", "spend", "transfer", "reserve", "confirm", "cancel", "revoke", "expire", "merge"}

func (o Op) String() string {
	if o > 0 && o < opCount {
		return opNames[o]
	}
	return fmt.Sprintf("Op(%d)", uint8(o))
}

// Ops lists all operations.
func Ops() []Op {
	list := make([]Op, 0, opCount-1)
	for o := Op(1); o < opCount; o++ {
		list = append(list, o)
	}
	return list
}

// HasOther says whether an order of this kind has somebody who gets the points.
func (o Op) HasOther() bool { return o == OpTransfer || o == OpMerge }

// Known says whether it is one of the operations.
func (o Op) Known() bool { return o > 0 && o < opCount }

// MarshalText makes JSON of it a text.
func (o Op) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (o *Op) UnmarshalText(text []byte) error {
	for i, name := range opNames {
		if i > 0 && name == string(text) {
			*o = Op(i)
			return nil
		}
	}
	return Errorf(Invalid, "no operation is called %.20q", text)
}

// Bounds of an order.
const (
	TxBytesMax     = 192
	ReasonBytesMax = 256
	ByBytesMax     = 96
	HoldTermMin    = time.Second
	HoldTermMax    = 7 * 24 * time.Hour
)

// Order asks to move points. Which fields are used depends on Op; the others are zero.
type Order struct {
	Op Op
	// Tx names the order: the caller's scope and the key that it chose. It happens once.
	Tx      string
	UID     UID       // whose points; for Confirm and Cancel: whose reservation, 0 for whoever's it is
	To      UID       // Transfer, Merge: who gets them
	Amount  Amount    // Confirm: 0 for all that is held; Merge: 0, it is always all
	Kind    PointKind // Grant
	Expires Instant   // Grant: end of the points; 0: none
	Term    time.Duration
	Hold    uint64 // Confirm, Cancel: the reservation, which is the number of the posting that made it
	Reason  string // for people
	By      string // who asked, for the audit; not part of what is asked
}

// Check judges an order by itself. now is the ledger's time.
func (o *Order) Check(now Instant) error {
	if !o.Op.Known() {
		return Errorf(Invalid, "no operation is called %v", o.Op)
	}
	if o.Tx == "" || len(o.Tx) > TxBytesMax || !utf8.ValidString(o.Tx) {
		return Errorf(Invalid, "a transaction id of %d bytes: want 1 to %d bytes of UTF-8", len(o.Tx), TxBytesMax)
	}
	if len(o.Reason) > ReasonBytesMax || !utf8.ValidString(o.Reason) {
		return Errorf(Invalid, "a reason of %d bytes: want at most %d bytes of UTF-8", len(o.Reason), ReasonBytesMax)
	}
	if len(o.By) > ByBytesMax || !utf8.ValidString(o.By) {
		return Errorf(Invalid, "a credential's name of %d bytes: want at most %d bytes of UTF-8", len(o.By), ByBytesMax)
	}
	if o.Op == OpConfirm || o.Op == OpCancel {
		return o.checkEnd()
	}
	if o.UID == 0 || o.UID > UIDMax {
		return Errorf(Invalid, "a user id is missing")
	}
	switch o.Op {
	case OpExpire:
		return nil
	case OpMerge:
		return o.checkTo()
	}
	if err := CheckAmount(o.Amount); err != nil {
		return err
	}
	return o.checkOwn(now)
}

func (o *Order) checkEnd() error {
	if o.Hold == 0 {
		return Errorf(NotFound, "no reservation is named")
	}
	if o.Op == OpConfirm && o.Amount != 0 {
		return CheckAmount(o.Amount)
	}
	return nil
}

// checkOwn judges what only one operation has.
func (o *Order) checkOwn(now Instant) error {
	switch o.Op {
	case OpGrant:
		if o.Kind >= pointKindCount {
			return Errorf(Invalid, "points of kind %v: want free or paid", o.Kind)
		}
		if o.Expires < 0 || o.Expires.over(now) {
			return Errorf(Invalid, "the points would end at %v, which is over", o.Expires.Time())
		}
	case OpTransfer:
		return o.checkTo()
	case OpReserve:
		if o.Term < HoldTermMin || o.Term > HoldTermMax {
			return Errorf(Invalid, "a reservation for %v: want %v to %v", o.Term, HoldTermMin, HoldTermMax)
		}
	}
	return nil
}

func (o *Order) checkTo() error {
	if o.To == 0 || o.To > UIDMax {
		return Errorf(Invalid, "the id of the user who gets the points is missing")
	}
	if o.To == o.UID {
		return Errorf(Invalid, "a transfer from user %v to the same user moves nothing", o.UID)
	}
	return nil
}

// Digest tells orders apart: equal ones ask for the same. Tx and By are no part of it.
type Digest [16]byte

// Digest is the first half of a SHA-256 over what is asked.
func (o *Order) Digest() (d Digest) {
	b := make([]byte, 0, 128)
	b = append(b, byte(o.Op), byte(o.Kind))
	for _, n := range []uint64{uint64(o.UID), uint64(o.To), uint64(o.Amount), uint64(o.Expires), uint64(o.Term), o.Hold} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	sum := sha256.Sum256(append(b, o.Reason...))
	copy(d[:], sum[:])
	return d
}
