package ledger

import (
	"fmt"

	"github.com/kamado/kamado/game"
)

// Parties of an entry.
const (
	partyHouse = 0
	partyUser  = 1
	partyOther = 2
)

// appendRecord appends a posting as the log keeps it. before and beforeTo are the
// places of the postings before it of UID and To. It does not allocate when dst has room.
func appendRecord(dst []byte, id *ledgerID, p *game.Posting, before, beforeTo place) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	dst = append(dst, 1, byte(p.Op), byte(p.Kind), 0)
	dst = le.AppendUint64(dst, p.Seq)
	dst = le.AppendUint64(dst, uint64(p.Time))
	dst = append(dst, p.Digest[:]...)
	for _, n := range [...]uint64{
		uint64(p.UID), uint64(p.To), uint64(p.Amount), p.Hold, uint64(p.Until), uint64(p.Balance), uint64(p.BalanceTo), uint64(before), uint64(beforeTo),
	} {
		dst = le.AppendUint64(dst, n)
	}
	for _, n := range [...]int{len(p.Entries), len(p.Tx), len(p.Reason), len(p.By)} {
		dst = le.AppendUint16(dst, uint16(n))
	}
	dst = append(append(append(dst, p.Tx...), p.Reason...), p.By...)
	for i := range p.Entries {
		dst = appendEntry(dst, p, &p.Entries[i])
	}
	le.PutUint32(dst[start:], uint32(len(dst)-start-recordHeadBytes))
	le.PutUint32(dst[start+4:], id.crcRecord(dst[start:]))
	return dst
}

// crcRecord is the checksum of a record.
func (id *ledgerID) crcRecord(b []byte) uint32 { return id.crc(b[:4], b[recordHeadBytes:]) }

func appendEntry(dst []byte, p *game.Posting, e *game.Entry) []byte {
	dst = append(dst, byte(e.From), byte(e.To), partyOf(p, e.From, e.FromUID), partyOf(p, e.To, e.ToUID))
	dst = le.AppendUint64(dst, uint64(e.Amount))
	dst = le.AppendUint64(dst, uint64(e.Expires))
	return le.AppendUint64(dst, e.Hold)
}

func partyOf(p *game.Posting, c game.Class, uid game.UID) byte {
	switch {
	case !c.OfUser() && uid == 0:
		return partyHouse
	case c.OfUser() && uid == p.UID:
		return partyUser
	case c.OfUser() && uid == p.To:
		return partyOther
	}
	panic(fmt.Sprintf("ledger: posting %d: an entry of user %v, whom it is not about", p.Seq, uid))
}

// record is a posting as it stands in the log. Its slices are part of the bytes that it was read from.
type record struct {
	posting          game.Posting // without Tx, Reason, By and Entries
	tx, reason, by   []byte
	entries          []byte
	before, beforeTo place
	size             int
}

// parseRecord reads the record at the start of b and checks all of it. It does not allocate.
func parseRecord(b []byte, id *ledgerID, r *record) error {
	if len(b) < recordHeadBytes+bodyHeadBytes {
		return errFormat
	}
	n := int(le.Uint32(b))
	if n < bodyHeadBytes || n > recordBytesMax || len(b) < recordHeadBytes+n {
		return errFormat
	}
	b = b[:recordHeadBytes+n]
	if le.Uint32(b[4:]) != id.crcRecord(b) {
		return errFormat
	}
	b = b[recordHeadBytes:]
	if b[0] != 1 || b[3] != 0 {
		return errFormat
	}
	u := func(at int) uint64 { return le.Uint64(b[at:]) }
	r.posting = game.Posting{
		Op: game.Op(b[1]), Kind: game.PointKind(b[2]), Seq: u(4), Time: game.Instant(u(12)), UID: game.UID(u(36)), To: game.UID(u(44)), Amount: game.Amount(u(52)),
		Hold: u(60), Until: game.Instant(u(68)), Balance: game.Amount(u(76)), BalanceTo: game.Amount(u(84)),
	}
	copy(r.posting.Digest[:], b[20:])
	r.before, r.beforeTo, r.size = place(u(92)), place(u(100)), recordHeadBytes+n
	entries, tx, reason, by := int(le.Uint16(b[108:])), int(le.Uint16(b[110:])), int(le.Uint16(b[112:])), int(le.Uint16(b[114:]))
	if entries > game.EntriesMax || tx == 0 || tx > game.TxBytesMax || reason > game.ReasonBytesMax || by > game.ByBytesMax || n != bodyHeadBytes+tx+reason+by+entries*entryBytes {
		return errFormat
	}
	b = b[bodyHeadBytes:]
	r.tx, r.reason, r.by, r.entries = b[:tx], b[tx:tx+reason], b[tx+reason:tx+reason+by], b[tx+reason+by:]
	return r.check()
}

// check judges what the sizes do not say.
func (r *record) check() error {
	p := &r.posting
	if !p.Op.Known() || p.Kind > game.Paid || p.Seq == 0 || p.Time <= 0 || p.UID == 0 || p.UID > game.UIDMax || (p.To != 0) != p.Op.HasOther() || p.To > game.UIDMax || p.To == p.UID {
		return errFormat
	}
	for b := r.entries; len(b) > 0; b = b[entryBytes:] {
		from, to := game.Class(b[0]), game.Class(b[1])
		if !r.party(from, b[2]) || !r.party(to, b[3]) || int64(le.Uint64(b[4:])) < 1 || int64(le.Uint64(b[4:])) > int64(game.AmountMax) {
			return errFormat
		}
	}
	return nil
}

func (r *record) party(c game.Class, party byte) bool {
	if c == 0 || c >= game.ClassCount {
		return false
	}
	return !c.OfUser() && party == partyHouse || c.OfUser() && (party == partyUser || party == partyOther && r.posting.To != 0)
}

// appendEntries appends the entries to a slice.
func (r *record) appendEntries(dst []game.Entry) []game.Entry {
	uids := [3]game.UID{partyUser: r.posting.UID, partyOther: r.posting.To}
	for b := r.entries; len(b) > 0; b = b[entryBytes:] {
		dst = append(dst, game.Entry{
			From: game.Class(b[0]), To: game.Class(b[1]), FromUID: uids[b[2]], ToUID: uids[b[3]],
			Amount: game.Amount(le.Uint64(b[4:])), Expires: game.Instant(le.Uint64(b[12:])), Hold: le.Uint64(b[20:]),
		})
	}
	return dst
}

// whole gives the posting with a copy of everything.
func (r *record) whole() *game.Posting {
	p := r.posting
	p.Tx, p.Reason, p.By = string(r.tx), string(r.reason), string(r.by)
	p.Entries = r.appendEntries(make([]game.Entry, 0, len(r.entries)/entryBytes))
	return &p
}

// beforeOf is the place of the posting of a user before this one.
func (r *record) beforeOf(uid game.UID) (place, bool) {
	switch uid {
	case r.posting.UID:
		return r.before, true
	case r.posting.To:
		return r.beforeTo, true
	}
	return 0, false
}
