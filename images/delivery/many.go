package delivery

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/origin"
)

// ManyMax is how many pictures may be asked for in one request.
const ManyMax = 64

// One is what became of one of many pictures.
type One struct {
	Path          string // as asked for
	Status        int    // HTTP
	Outcome       Outcome
	Kind, Part    string // of the error
	Detail        string // of the error
	Data          []byte // the picture; shared, not to be written to
	Format        images.Format
	Width, Height int
	ETag          string
}

// Many makes the pictures of several URLs, as if each had been requested by r's
// client, and gives them in the order of the URLs. Those of one original are
// made from one read of it; all are in the caches afterwards. Precondition:
// len(urls) <= ManyMax.
func (h *Handler) Many(r *http.Request, urls []*url.URL) []One {
	out := make([]One, len(urls))
	all := make([]wanted, len(urls))
	each(all, func(i int, w *wanted) {
		w.start = time.Now()
		w.request = r.Clone(r.Context())
		w.request.Method, w.request.URL, w.request.Body = http.MethodGet, urls[i], nil
		w.err = h.find(w.request, &w.visit)
	})
	h.together(r.Context(), all)
	each(all, func(i int, w *wanted) {
		if w.arrive != nil {
			defer w.arrive() // when nothing had to be made it has not joined
		}
		if w.err == nil && w.same == nil {
			w.result, w.err = h.result(r.Context(), w.request, &w.visit)
			out[i] = h.one(w)
		}
	})
	for i := range all {
		if out[i].Status == 0 {
			all[i].follow()
			out[i] = h.one(&all[i])
		}
		out[i].Path = urls[i].RequestURI()
	}
	return out
}

// wanted is one of many pictures.
type wanted struct {
	visit
	request *http.Request
	same    *wanted // an earlier one of the same key, whose result this one gets
	result  *Result
}

// follow takes over what became of the same picture.
func (w *wanted) follow() {
	if w.same == nil {
		return
	}
	w.result, w.err, w.outcome = w.same.result, w.same.err, w.same.outcome
	if w.outcome == OutcomeRendered {
		w.outcome = OutcomeShared
	}
}

// each calls do for all at once. A panic is an error of the one it was about:
// nobody else recovers these goroutines.
func each(all []wanted, do func(int, *wanted)) {
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			err := cache.Recovered(func() error { do(i, &all[i]); return nil })
			if err != nil {
				all[i].err = err
			}
		})
	}
	wg.Wait()
}

// together begins a batch for each original of which several renditions are
// wanted.
func (h *Handler) together(ctx context.Context, all []wanted) {
	first := map[cache.Key]*wanted{}
	groups := map[string][]*wanted{}
	for i := range all {
		w := &all[i]
		if w.err != nil {
			continue
		}
		if w.same = first[w.key]; w.same == nil {
			first[w.key] = w
			id := w.original.Identity()
			groups[id] = append(groups[id], w)
		}
	}
	for _, group := range groups {
		if len(group) < 2 {
			continue
		}
		set := h.batches.gather(ctx, group[0].original, len(group), h.runBatch)
		for _, w := range group {
			w.set, w.arrive = set, sync.OnceFunc(func() { h.batches.arrive(set) })
		}
	}
}

// one tells what became of a picture, and counts it.
func (h *Handler) one(w *wanted) One {
	v, res := &w.visit, w.result
	defer h.tell(w.request, v)
	if v.err != nil {
		f := describe(v.err)
		v.outcome, v.status, v.detail = OutcomeError, f.status, v.err.Error()
		return One{Status: f.status, Outcome: OutcomeError, Kind: f.kind, Part: f.part, Detail: f.detail}
	}
	e := res.entry
	v.status, v.bytes, v.format = http.StatusOK, len(e.Data), images.Format(e.Format).String()
	return One{
		Status: http.StatusOK, Outcome: v.outcome, Data: e.Data, Format: images.Format(e.Format), Width: e.Width, Height: e.Height,
		ETag: res.tag(v.req.Version),
	}
}

// find reads a URL, settles what Accept and hints decide, and finds the original.
func (h *Handler) find(r *http.Request, v *visit) (err error) {
	if v.req, err = h.deps.Parse(r); err != nil {
		return err
	}
	h.negotiate(r, v)
	if v.original, err = h.deps.Originals.Find(r.Context(), h.ref(r, v)); err != nil {
		return err
	}
	v.timing.origin = time.Since(v.start)
	v.spell(h)
	return nil
}

// ref names the original that a visit is about.
func (h *Handler) ref(r *http.Request, v *visit) origin.Ref {
	return origin.Ref{Host: r.Host, Kind: v.req.Kind, ID: v.req.ID, Key: v.req.Key, Version: v.req.Version, Source: v.req.Origin, Owner: v.req.Owner}
}
