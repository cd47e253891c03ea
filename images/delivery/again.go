package delivery

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/origin"
)

// Answer is an answer that was given and may be given again to every equal
// request: one with the same host, target, method and If-None-Match, no other
// condition, and equal values of the headers that Vary names. It is a 200 from
// memory or a 304. Safe for concurrent use.
//
// What a request has been asked once is not asked again: its grammar, its
// signature and its rendition follow from the target alone. What may change is
// asked each time: expiry, the original, and the result, which belongs to the
// cache and is not held here.
type Answer struct {
	h       *Handler
	Status  int
	Vary    string // the header's value, empty without one
	witness *origin.Witness
	expires time.Time // zero: never

	key    cache.Key // of the result; with 200
	tag    string
	length int

	head         []headPart
	cacheControl []string // as without an expiry
	event        Event    // without what depends on the request
	label        cache.Label
}

// Label says which original the answer is about, for takedowns.
func (a *Answer) Label() cache.Label { return a.label }

// headPart is a piece of a head, and what follows it.
type headPart struct {
	text string
	then slot
}

// slot is a header value that depends on the request.
type slot uint8

const (
	slotNone slot = iota
	slotRequestID
	slotTiming
	slotCacheControl // where the URL expires
)

// answerOverhead is about what an Answer takes beside its texts. Unit: bytes.
const answerOverhead = 640

// Size is about how much memory an answer takes. Unit: bytes.
func (a *Answer) Size() int64 {
	n := answerOverhead + len(a.tag) + len(a.event.Original) + len(a.event.Rendition)
	for _, p := range a.head {
		n += len(p.text)
	}
	return int64(n) + a.witness.Size()
}

// Again is one more request for an Answer.
type Again struct {
	Start time.Time // when it arrived
	ID    []byte    // request id
	Head  bool      // the method is HEAD

	bytes int
	took  time.Duration
}

// Took is how long the request took so far.
func (r *Again) Took() time.Duration { return r.took }

// Give appends the header lines of the answer to b, each with its end, and gives
// the body, which is shared and not to be written to. False: the answer is not
// to be given any more; the request has to go the whole way, and b is as it was.
func (a *Answer) Give(b []byte, r *Again) (head, body []byte, ok bool) {
	holds := (a.expires.IsZero() || r.Start.Before(a.expires)) && a.witness.Holds()
	if r.took = time.Since(r.Start); !holds {
		return b, nil, false
	}
	if a.Status == http.StatusOK {
		res, ok := a.h.deps.Memory.Get(a.key)
		if !ok || res.etag[0] != a.tag || len(res.entry.Data) != a.length {
			return b, nil, false
		}
		if !r.Head {
			body = res.entry.Data
		}
	}
	r.bytes = len(body)
	for i := range a.head {
		b = append(b, a.head[i].text...)
		switch a.head[i].then {
		case slotRequestID:
			b = append(b, r.ID...)
		case slotTiming:
			t := timing{origin: r.took}
			b = t.append(b, a.event.Outcome, r.took)
		case slotCacheControl:
			v := visit{start: r.Start}
			v.req.Expires = a.expires
			b = append(b, a.h.untilExpiry(a.cacheControl, &v)[0]...)
		}
	}
	return b, body, true
}

// Tell counts and reports a request that Give answered.
func (a *Answer) Tell(r *Again) {
	a.h.deps.Metrics.again(a.event.Outcome, r.bytes, r.took)
	if a.h.deps.Events == nil {
		return
	}
	e := a.event
	e.Time, e.RequestID, e.Bytes, e.Took = r.Start, string(r.ID), r.bytes, r.took
	a.h.deps.Events(e)
}

// keep offers an answer that was just given, when it may be given again.
// res is nil for a 304.
func (h *Handler) keep(r *http.Request, header http.Header, v *visit, key cache.Key, res *Result) {
	if h.deps.Keeper == nil || v.passing || v.outcome != OutcomeMemory && v.outcome != OutcomeNotModified || !h.deps.Keeper.Wants(r) {
		return
	}
	a := &Answer{
		h: h, Status: v.status, key: key, expires: v.req.Expires, Vary: header.Get("Vary"), event: h.event(v),
		label: cache.Label{Source: v.original.Source, Key: v.original.Key, Owner: v.req.Owner},
	}
	if v.outcome == OutcomeMemory {
		for _, name := range conditions {
			if _, ok := r.Header[name]; ok {
				return
			}
		}
		a.tag, a.length, a.cacheControl = res.etag[0], len(res.entry.Data), res.cacheControl
	} else {
		a.cacheControl = h.cacheControl
		if ofTruncated(header.Get("Etag")) {
			a.cacheControl = h.truncatedCacheControl
		}
	}
	var ok bool
	if a.head, ok = headOf(header, !a.expires.IsZero()); !ok {
		return
	}
	if a.witness, ok = h.deps.Originals.Witness(h.ref(r, v), &v.original); ok {
		h.deps.Keeper.Keep(r, a)
	}
}

// headOf writes headers as net/http does, sorted by name, and leaves out the
// values that depend on the request.
func headOf(header http.Header, expires bool) (parts []headPart, ok bool) {
	names := make([]string, 0, len(header))
	for name := range header {
		names = append(names, name)
	}
	slices.Sort(names)
	var text strings.Builder
	for _, name := range names {
		then := slotNone
		switch {
		case name == "X-Request-Id":
			then = slotRequestID
		case name == "Server-Timing":
			then = slotTiming
		case name == "Cache-Control" && expires:
			then = slotCacheControl
		}
		for _, value := range header[name] {
			if strings.ContainsAny(value, "\r\n\x00") || strings.TrimSpace(value) != value {
				return nil, false // net/http would change it
			}
			text.WriteString(name)
			text.WriteString(": ")
			if then != slotNone {
				parts = append(parts, headPart{text.String(), then})
				text.Reset()
			} else {
				text.WriteString(value)
			}
			text.WriteString("\r\n")
		}
	}
	return append(parts, headPart{text.String(), slotNone}), true
}

// event is what a visit is in the event log, but for what becomes known at its end.
func (h *Handler) event(v *visit) Event {
	e := Event{Grammar: v.req.Grammar, Origin: v.original.Source, Owner: v.req.Owner, Outcome: v.outcome, Status: v.status, Format: v.format}
	if v.req.Grammar != "" {
		e.Original, e.Rendition = v.req.Original(), v.req.Rendition.String()
	}
	return e
}

// again counts a request that an Answer answered.
func (m *Metrics) again(o Outcome, bytes int, took time.Duration) {
	m.byOutcome[o].Inc()
	m.took[o].Observe(took.Seconds())
	m.bytes.Add(float64(bytes))
}
