package purge

import (
	"math/bits"

	"github.com/kamado/kamado/images"
)

// errGone is what those get who ask for what was taken down. It is one value,
// never written to, so that a flood of such requests costs nothing.
var errGone = &images.Error{Op: "takedown", Kind: images.Gone, Detail: "this picture was taken down"}

// base is what holds for every original: the floor, the register of all, and the
// salt of a table that was damaged.
type base struct {
	mark  uint64
	stamp string
	gone  bool
}

// Revision gives the revision stamp of an original, which is empty while no
// order matches it, or images.Gone when it was taken down. kind and owner are
// what the request says; empty ones match nothing, except that an empty kind is
// asked of Config.KindOf. It takes no lock and, with at most one matching order,
// makes no garbage.
//
// What comes to be kept under the stamp must be given up when the stamp is
// another: it enters the key of a result, its ETag and the keys of mezzanines
// and cached originals.
func (t *Table) Revision(source, key, kind, owner string) (string, error) {
	b := t.base.Load()
	if b.gone {
		return "", errGone
	}
	scopes := t.index.scopes.Load()
	if scopes == 0 {
		return b.stamp, nil
	}
	if kind == "" && t.cfg.KindOf != nil && scopes&(1<<ScopeKind) != 0 {
		kind = t.cfg.KindOf(source, key)
	}
	m := matching{mark: b.mark, stamp: b.stamp}
	t.index.match(&m, scopes, source, key, kind, owner)
	if m.gone {
		return "", errGone
	}
	if m.mixed {
		return stampOf(m.mark), nil
	}
	return m.stamp, nil
}

// Refused says whether the original was taken down, for caches that must not
// keep anything of it.
func (t *Table) Refused(source, key, kind, owner string) bool {
	_, err := t.Revision(source, key, kind, owner)
	return err != nil
}

// matching collects the registers that match an original.
type matching struct {
	mark  uint64
	stamp string // of the only one so far
	mixed bool   // more than one: the stamp must be made
	gone  bool
}

func (m *matching) add(e *entry) {
	if e == nil {
		return
	}
	r := e.regs.Load()
	switch {
	case r == nil:
	case r.gone:
		m.gone = true
	case m.mark == 0:
		m.mark, m.stamp = r.mark, r.stamp
	default:
		m.mark, m.mixed = m.mark^r.mark, true
	}
}

// match adds the entries that match an original. scopes has a bit for each scope
// to look at.
func (x *index) match(m *matching, scopes uint32, source, key, kind, owner string) {
	if scopes&(1<<ScopeKey) != 0 {
		m.add(x.find(x.exact(ScopeKey, key), ScopeKey, source, key))
	}
	if kind != "" && scopes&(1<<ScopeKind) != 0 {
		m.add(x.find(x.exact(ScopeKind, kind), ScopeKind, "", kind))
	}
	if owner != "" && scopes&(1<<ScopeOwner) != 0 {
		m.add(x.find(x.exact(ScopeOwner, owner), ScopeOwner, "", owner))
	}
	if scopes&(1<<ScopeOrigin) != 0 {
		m.add(x.find(x.exact(ScopeOrigin, source), ScopeOrigin, "", source))
	}
	if scopes&(1<<ScopePrefix) != 0 {
		x.matchPrefixes(m, source, key)
	}
}

// matchPrefixes looks for the beginnings of key that have a length which some
// prefix has, hashing key once.
func (x *index) matchPrefixes(m *matching, source, key string) {
	h, at := x.basis, 0
	for w := range x.lengths {
		word := x.lengths[w].Load()
		for word != 0 {
			n := 64*w + bits.TrailingZeros64(word)
			word &= word - 1
			if n > len(key) {
				return
			}
			for ; at < n; at++ {
				h = (h ^ uint64(key[at])) * fnvPrime
			}
			m.add(x.find(mix(h), ScopePrefix, source, key[:n]))
		}
		if 64*(w+1) > len(key) {
			return
		}
	}
}
