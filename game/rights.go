package game

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// What a principal may do with whose things, beside For and Wants: every protocol asks these.

// KeyBytesMax bounds the key that a caller chooses for an order.
const KeyBytesMax = 128

// txScope names a principal in transaction ids, so that one caller's keys are not another one's.
func (p Principal) txScope() string {
	switch p.Kind {
	case ByUser:
		return "u" + p.UID.String() + ":"
	case ByService:
		return "s" + p.Service + ":"
	}
	return "o:"
}

// Tx is the transaction id of a principal's key, 1 to KeyBytesMax bytes of UTF-8. The same principal's key is the same
// transaction through every protocol.
func (p Principal) Tx(key string) (string, error) {
	if key == "" || len(key) > KeyBytesMax || !utf8.ValidString(key) {
		return "", Errorf(Invalid, "a transaction id of %d bytes: want 1 to %d of UTF-8", len(key), KeyBytesMax)
	}
	if p.Kind == ByUser { // the usual one, with one allocation
		var text [len("u9223372036854775807:") + KeyBytesMax]byte
		b := append(strconv.AppendUint(append(text[:0], 'u'), uint64(p.UID), 10), ':')
		return string(append(b, key...)), nil
	}
	return p.txScope() + key, nil
}

// EndOrder is the order with which a principal confirms or cancels a reservation. A user asks for the user's own, a
// service for anybody's, or, when uid is not 0, for that user's. Without a key the order is named after the reservation, so
// that to ask twice is to be answered twice.
func (p Principal) EndOrder(op Op, hold uint64, uid UID, amount Amount, key string) (o Order, err error) {
	if amount < 0 {
		return o, CheckAmount(amount)
	}
	o = Order{Op: op, Hold: hold, UID: uid, Amount: amount}
	switch {
	case p.Kind == ByUser:
		if uid != 0 && uid != p.UID {
			return o, p.For(uid, ScopePoints)
		}
		o.UID = p.UID
	case !p.Has(ScopePoints):
		return o, p.Wants(ScopePoints)
	}
	if key == "" {
		o.Tx = p.txScope() + "reservation " + strconv.FormatUint(hold, 10) + " " + op.String()
		return o, nil
	}
	o.Tx, err = p.Tx(key)
	return o, err
}

// MayWriteEntity is the error of a principal that must not write or delete an entity of that name, whoever's it is; nil
// when it may. Names that begin with OwnedPrefix are for services and the operator.
func (p Principal) MayWriteEntity(name string) error {
	if strings.HasPrefix(name, OwnedPrefix) && p.Kind != ByService && p.Kind != ByOperator {
		return Errorf(Denied, "entity %.140s tells what a user owns: only a service writes what begins with %s", name, OwnedPrefix)
	}
	return nil
}

// LockPrefix begins the names of the locks that a user may take.
func LockPrefix(uid UID) string { return "user." + uid.String() + "." }

// MayLock is the error of a principal that must not touch a lock; nil when it may. Users have the locks that begin with
// their LockPrefix, services with the scope all.
func (p Principal) MayLock(name string) error {
	if p.Kind != ByUser {
		return p.Wants(ScopeLocks)
	}
	if own := LockPrefix(p.UID); !strings.HasPrefix(name, own) {
		return Errorf(Denied, "a user has locks whose names begin with %s; others need a service credential with the scope locks", own)
	}
	return nil
}

// NeedsApproval says whether a grant is so large that somebody else has to approve it.
func (c *PointsConfig) NeedsApproval(a Amount) bool {
	return c.GrantLimit > 0 && a > Amount(c.GrantLimit)
}

// Event is what the event log is told of a posting: the type ("points.spend"), whose points, and how.
func (p *Posting) Event() (kind, subject string, attributes map[string]string) {
	attributes = map[string]string{"amount": strconv.FormatInt(int64(p.Amount), 10), "kind": p.Kind.String(), "seq": strconv.FormatUint(p.Seq, 10)}
	if p.Reason != "" {
		attributes["reason"] = p.Reason
	}
	if p.To != 0 {
		attributes["to"] = p.To.String()
	}
	return "points." + p.Op.String(), p.UID.String(), attributes
}
