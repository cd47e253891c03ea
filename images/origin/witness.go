package origin

import (
	"slices"

	"github.com/kamado/kamado/internal/blob"
)

// Witness remembers which original Find gave for a reference, so that a later
// request for the same is answered without finding it again. Safe for
// concurrent use.
type Witness struct {
	finder *Finder
	ref    Ref
	is     Original
	local  blob.Witness // nil: of a remote source
	asked  answerKey    // of a remote source
}

// Witness makes a witness of what Find gave for a reference. False: there can be
// none, because the original changed meanwhile or its store has no such ability.
func (f *Finder) Witness(ref Ref, o *Original) (*Witness, bool) {
	t, ok := f.route(&ref)
	if !ok || t.source != o.source {
		return nil, false
	}
	key, literal := t.prefix+ref.Key, ref.Key != ""
	if !literal {
		key = t.prefix + ref.Kind + "/" + ref.ID
	}
	w := &Witness{finder: f, ref: ref, is: *o}
	if t.source.Remote {
		w.asked = f.answerKey(t.source, key, literal, ref)
		return w, w.Holds()
	}
	store, ok := t.source.Store.(blob.Witnesser)
	if !ok || t.source.Waits {
		return nil, false
	}
	absent, ok := before(t.source.Names, key, o.Key, literal)
	if !ok {
		return nil, false
	}
	if w.local, ok = store.Witness(blob.Info{Key: o.Key, Size: o.Size, ETag: o.ETag, ModTime: o.Modified}, absent); !ok {
		return nil, false
	}
	return w, w.Holds()
}

// before lists the names that are tried before the one that was found.
func before(endings []string, key, found string, literal bool) (absent []string, ok bool) {
	if literal {
		return nil, key == found
	}
	for _, ending := range endings {
		if key+ending == found {
			return slices.Clip(absent), true
		}
		absent = append(absent, key+ending)
	}
	return nil, false
}

// Holds says whether Find would give this same original now. A local one is
// looked at anew; of a remote one the answer must still be believed. False says
// only that Find has to be asked. It waits for no network.
func (w *Witness) Holds() bool {
	if w.local != nil {
		if !w.local.Holds() {
			return false
		}
	} else {
		a, ok := w.finder.answers.Get(w.asked)
		if !ok || a.missing || a.original.Key != w.is.Key || a.original.ETag != w.is.ETag || a.original.Stamp != w.is.Stamp ||
			!w.finder.cfg.Now().Before(a.until) {
			return false
		}
	}
	if w.finder.cfg.Revisions == nil {
		return true
	}
	now, err := w.finder.revise(w.is, w.ref)
	return err == nil && now.Stamp == w.is.Stamp
}

// Size is about how much memory a witness takes, for whoever keeps many. Unit:
// bytes.
func (w *Witness) Size() int64 {
	const fixed = 640 // of the structures here and in the store
	n := fixed + len(w.ref.Host) + len(w.ref.ID) + len(w.ref.Key) + len(w.ref.Version) + len(w.ref.Owner)
	return int64(n + 3*len(w.is.Key) + len(w.is.ETag))
}
