package replica

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"slices"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/credential"
)

func verifyEd25519(public, message, sig []byte) bool { return ed25519.Verify(public, message, sig) }

// accept judges an entry that came from a peer or the journal, and holds it when
// it may stand. The entry's bytes must not be used by anybody else.
func (r *Replica) accept(st *step, e *entry) {
	node := e.node()
	s := r.streams[node]
	if e.kind == kindInfo {
		r.acceptInfo(st, s, node, e)
		return
	}
	if s == r.self && st.restoring {
		if old := s.slots[e.slot()]; old == nil || supersedes(e, old) {
			r.hold(st, s, e) // what this member wrote itself: Start says it anew when its key changed
		}
		return
	}
	if s == nil || s.key(e.key()) == nil {
		st.reject(node, UnknownMember, "no certificate of the key that signed it is known yet")
		return
	}
	if old := s.slots[e.slot()]; old != nil && !supersedes(e, old) {
		if e.version < old.version {
			st.reject(node, Replayed, "version %d, and %d is known", e.version, old.version)
		}
		return
	}
	k := s.key(e.key())
	if !st.restoring && !r.signed(e, k.cert.Key) {
		st.reject(node, BadSignature, "an entry of kind %d", e.kind)
		return
	}
	if why, err := r.may(s, k, e); err != nil {
		st.reject(node, why, "%v", err)
		return
	}
	if s.slots[e.slot()] == nil && len(s.slots) >= r.cfg.EntriesMax {
		st.reject(node, TooMuch, "%d entries of one member", len(s.slots))
		return
	}
	if s == r.self && !st.restoring && !r.regain(st, e) {
		return
	}
	if e.kind == kindOwnedGone && r.buried(e) {
		if old := s.slots[e.slot()]; old != nil {
			r.drop(st, old)
		}
		return
	}
	e.raw = bytes.Clone(e.raw)
	r.hold(st, s, e)
	if e.kind.shared() && !e.gone && r.buried(e) {
		r.drop(st, e)
	}
	r.took(st, e)
}

// took notes an entry of another member, for the journal.
func (r *Replica) took(st *step, e *entry) {
	if !st.restoring && !e.gone {
		st.took++
		st.out.Keep = append(st.out.Keep, e.raw)
	}
}

// supersedes says whether e takes the slot of old.
func supersedes(e, old *entry) bool {
	if e.version != old.version {
		return e.version > old.version
	}
	return stronger(e.raw, old.raw)
}

func (r *Replica) signed(e *entry, public []byte) bool {
	r.stats.Verified++
	return r.verify(public, append([]byte(signedAs), e.signed()...), e.sig())
}

var (
	errSlot   = errors.New("an entry in a slot of something else")
	errFormer = errors.New("signed with a former key of the member, which counts no more for what dies with it")
)

// may says whether the member may say this, by the certificate of the key that signed.
func (r *Replica) may(s *stream, k *memberKey, e *entry) (Reason, error) {
	former := k != &s.keys[0]
	if former && !e.kind.shared() {
		return NotAllowed, errFormer
	}
	return covers(k.cert, e)
}

// covers says whether a certificate covers what an entry says, and whether it says it well.
func covers(cert dns.Certificate, e *entry) (Reason, error) {
	switch {
	case e.kind == kindOwned:
		rec, _, err := parseOwned(e.payload())
		if err == nil && ownedSlot(rec.Name, rec.Type, rec.Data) != e.slot() {
			err = errSlot
		}
		if err != nil {
			return BadMessage, err
		}
		return NotAllowed, cert.Allows(rec.RR)
	case e.kind.shared():
		f, err := parseFact(e.kind, e.payload())
		if err == nil && f.slot(e.kind) != e.slot() {
			err = errSlot
		}
		if err != nil {
			return BadMessage, err
		}
		if x := cert.Expires; !x.IsZero() && !f.stamp.Time().Before(x) {
			return BadCertificate, errors.New("a stamp after the certificate's end")
		}
		return NotAllowed, mayShare(cert, e.kind, f)
	}
	return 0, nil // an owned tombstone; or of a later release, held for those who understand it
}

var errAdmin = errors.New("the certificate is not one for administration")

func mayShare(c dns.Certificate, k kind, f fact) error {
	if k == kindRemoval || k == kindRingKey {
		if !c.Admin {
			return errAdmin
		}
		return nil
	}
	return c.AllowsZone(f.rr.Name)
}

// acceptInfo judges an entry that brings a certificate.
func (r *Replica) acceptInfo(st *step, s *stream, node string, e *entry) {
	p, err := parseInfo(e.payload())
	if err != nil {
		st.reject(node, BadMessage, "%v", err)
		return
	}
	cert, err := r.certified(p.cert, r.issuers)
	if err == nil && cert.Issued.After(r.now.Add(clockMemory)) && !st.restoring {
		err = credential.InForce(cert, r.now)
	}
	if err == nil && (cert.Node != node || keyIDOf(cert.Key) != e.key()) {
		err = errors.New("the certificate is of another member")
	}
	if err != nil {
		st.reject(node, BadCertificate, "%v", err)
		return
	}
	if f, ok := r.removed[node]; ok && cert.Issued.UnixMilli() <= f.stamp.Millis {
		st.reject(node, RemovedMember, "removed for good by %s", f.stamp.Node)
		return
	}
	if slotOf(kindInfo, cert.Key) != e.slot() {
		st.reject(node, BadMessage, "%v", errSlot)
		return
	}
	if s != nil {
		if old := s.key(e.key()); old != nil && !supersedesInfo(e, cert, old) {
			if !bytes.Equal(e.raw, old.entry.raw) && e.version < old.entry.version {
				st.reject(node, Replayed, "info of version %d, and %d is known", e.version, old.entry.version)
			}
			return
		}
	}
	if !st.restoring && !r.signed(e, cert.Key) {
		st.reject(node, BadSignature, "info")
		return
	}
	if s = r.stream(node); s == nil {
		st.reject(node, TooMuch, "more than %d members", r.cfg.MembersMax)
		return
	}
	if s == r.self && !st.restoring && !r.regainInfo(st, cert) {
		return
	}
	e.raw = bytes.Clone(e.raw)
	r.holdInfo(st, s, e, cert, p)
	r.took(st, e)
}

// supersedesInfo says whether an info takes the place of another one of the same key. The
// certificate leads: a stolen key must not bring back one that was wider.
func supersedesInfo(e *entry, cert dns.Certificate, old *memberKey) bool {
	if c := cert.Issued.Compare(old.cert.Issued); c != 0 {
		return c > 0
	}
	return supersedes(e, old.entry)
}

// holdInfo makes a certificate known, and judges the stream by it when it changes anything.
func (r *Replica) holdInfo(st *step, s *stream, e *entry, cert dns.Certificate, p infoPayload) {
	e.stream = s
	e.raw = bytes.Clone(e.raw)
	s.put(e)
	r.count(e, 1)
	before := s.cert()
	same := before != nil && bytes.Equal(before.Sig, cert.Sig)
	if old := s.key(e.key()); old != nil {
		r.count(old.entry, -1)
		*old = memberKey{id: old.id, cert: cert, entry: e}
	} else {
		s.keys = append(s.keys, memberKey{id: e.key(), cert: cert, entry: e})
	}
	slices.SortFunc(s.keys, func(a, b memberKey) int { return newer(a.cert, b.cert) })
	for len(s.keys) > keysMax {
		last := s.keys[len(s.keys)-1]
		s.keys = s.keys[:len(s.keys)-1]
		s.drop(last.entry)
		r.count(last.entry, -1)
		same = false
	}
	if s.keys[0].entry == e {
		s.info, s.left = p.info, p.left
	}
	st.out.Members = true
	if s == r.self && !r.begun.IsZero() {
		r.checkTwin()
	}
	if !same {
		r.recheck(st, s)
	}
	r.judge(st, s)
}

// recheck drops what the member's certificates, as they are now, do not cover.
func (r *Replica) recheck(st *step, s *stream) {
	for _, e := range slices.Clone(s.log) {
		if e.gone || e.kind == kindInfo {
			continue
		}
		k := s.key(e.key())
		if k != nil {
			if _, err := r.may(s, k, e); err == nil {
				continue
			}
		}
		r.drop(st, e)
	}
	if s == r.self && !st.restoring && !r.begun.IsZero() {
		r.resign(st)
	}
}

// hold puts an entry that may stand into its slot, and the views right.
func (r *Replica) hold(st *step, s *stream, e *entry) {
	e.stream = s
	old := s.put(e)
	r.count(e, 1)
	if old != nil {
		r.count(old, -1)
	}
	switch {
	case e.kind == kindOwned || e.kind == kindOwnedGone:
		r.holdOwned(st, old, e)
	case e.kind.shared():
		r.holdFact(st, old, e)
	}
}

// drop forgets an entry.
func (r *Replica) drop(st *step, e *entry) {
	e.stream.drop(e)
	r.count(e, -1)
	switch {
	case e.kind == kindOwned || e.kind == kindOwnedGone:
		r.holdOwned(st, e, nil)
	case e.kind.shared():
		r.unchain(st, e)
		r.settle(st, e.slot())
	}
}

func (r *Replica) count(e *entry, n int) {
	r.stats.Entries += n
	r.stats.Bytes += n * len(e.raw)
}

// buried says whether a tombstone is so old that it is not held any more.
func (r *Replica) buried(e *entry) bool {
	at, ok := graveTime(e)
	return ok && r.now.After(at.Add(r.cfg.TombstoneLife))
}

// sweepEvery is how often old tombstones are looked for.
const sweepEvery = time.Minute

// sweep drops tombstones that are old enough.
func (r *Replica) sweep(st *step) {
	if r.now.Before(r.swept.Add(sweepEvery)) && !r.swept.After(r.now) {
		return
	}
	r.swept = r.now
	r.graves = slices.DeleteFunc(r.graves, func(e *entry) bool {
		if !e.gone && r.buried(e) {
			r.drop(st, e)
		}
		return e.gone
	})
}
