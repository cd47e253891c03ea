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
	visits := make([]visit, len(urls))
	requests := make([]*http.Request, len(urls))
	for i, u := range urls {
		requests[i] = r.Clone(r.Context())
		requests[i].Method, requests[i].URL, requests[i].Body = http.MethodGet, u, nil
		visits[i].start = time.Now()
		visits[i].err = h.find(requests[i], &visits[i])
	}
	h.together(r.Context(), visits)
	var all sync.WaitGroup
	for i := range visits {
		v := &visits[i]
		all.Go(func() {
			var res *Result
			if v.err == nil {
				res, v.err = h.result(r.Context(), requests[i], v)
			}
			if v.arrive != nil {
				v.arrive() // when nothing had to be made it has not joined
			}
			out[i] = h.one(v, res)
			out[i].Path = urls[i].RequestURI()
			h.tell(requests[i], v)
		})
	}
	all.Wait()
	return out
}

// together begins a batch for each original that several visits ask for. Equal
// visits share one piece of work, which is begun by whichever comes first: they
// arrive together.
func (h *Handler) together(ctx context.Context, visits []visit) {
	groups := map[string]map[cache.Key][]*visit{}
	for i := range visits {
		v := &visits[i]
		if v.err != nil {
			continue
		}
		id := v.original.Identity()
		if groups[id] == nil {
			groups[id] = map[cache.Key][]*visit{}
		}
		groups[id][v.key] = append(groups[id][v.key], v)
	}
	for _, group := range groups {
		if len(group) < 2 {
			continue
		}
		var set *batch
		for _, equal := range group {
			if set == nil {
				set = h.batches.gather(ctx, equal[0].original, len(group), h.runBatch)
			}
			arrive := sync.OnceFunc(func() { h.batches.arrive(set) })
			for _, v := range equal {
				v.set, v.arrive = set, arrive
			}
		}
	}
}

func (h *Handler) one(v *visit, res *Result) One {
	if v.err != nil {
		f := describe(v.err)
		v.outcome, v.status, v.detail = OutcomeError, f.status, v.err.Error()
		return One{Status: f.status, Outcome: OutcomeError, Kind: f.kind, Part: f.part, Detail: f.detail}
	}
	e := res.entry
	v.status, v.bytes, v.format = http.StatusOK, len(e.Data), images.Format(e.Format).String()
	return One{
		Status: http.StatusOK, Outcome: v.outcome, Data: e.Data, Format: images.Format(e.Format), Width: e.Width, Height: e.Height,
		ETag: withVersion(res.tag, v.req.Version),
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
