package front

import (
	"hash/maphash"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/kamado/kamado/images/delivery"
)

// shards of the table, so that loops seldom wait for whoever adds.
const shards = 16

// entryOverhead is what an entry takes beside its key and its answer. Unit: bytes.
const entryOverhead = 240

// table keeps ready answers within a bound of bytes. What was not asked for since
// the hand went by last goes first. Safe for concurrent use.
type table struct {
	seed   maphash.Seed
	parts  [shards]tablePart
	sheets sheets // lock order: tablePart.mu, sheets.mu

	evictions atomic.Uint64
}

type tablePart struct {
	sheets  *sheets
	mu      sync.RWMutex
	entries map[string]*entry
	ring    []*entry // in no order but the hand's
	hand    int
	bytes   int64
	max     int64
}

// entry is a ready answer, or says that the answer of the key depends on which
// of the chosen headers as well.
type entry struct {
	key    string
	answer *delivery.Answer // nil: see which
	which  uint16
	bytes  int64
	at     int // in ring
	used   atomic.Bool

	served  atomic.Uint32         // answers without a sheet
	sheet   atomic.Pointer[sheet] // nil: none
	hot     atomic.Bool           // its sheet was used since the hand of sheets went by
	sheetAt int                   // in the ring of sheets; guarded by sheets.mu
	gone    bool                  // not in the table any more; guarded by sheets.mu
}

func newTable(bytes, sheetBytes int64) *table {
	t := &table{seed: maphash.MakeSeed(), sheets: sheets{max: sheetBytes}}
	for i := range t.parts {
		t.parts[i].entries, t.parts[i].max, t.parts[i].sheets = map[string]*entry{}, max(bytes/shards, 1), &t.sheets
	}
	return t
}

// find looks a request up. scratch is memory for the key. The entry is nil when
// there is none.
func (t *table) find(h *head, scratch []byte) (*entry, []byte) {
	scratch = h.appendKey(scratch[:0])
	e := t.get(scratch)
	if e != nil && e.answer == nil {
		scratch = h.appendChosen(scratch, e.which)
		e = t.get(scratch)
	}
	return e, scratch
}

func (t *table) get(key []byte) *entry {
	p := &t.parts[maphash.Bytes(t.seed, key)%shards]
	p.mu.RLock()
	e := p.entries[string(key)]
	p.mu.RUnlock()
	if e != nil && !e.used.Load() {
		e.used.Store(true)
	}
	return e
}

// keep adds the answer of a request that net/http read. False: it cannot be kept.
func (t *table) keep(r *http.Request, a *delivery.Answer) bool {
	match := r.Header["If-None-Match"]
	if len(match) > 1 || len(r.RequestURI) > targetBytesMax || len(r.Host) > targetBytesMax {
		return false
	}
	one := ""
	if len(match) == 1 {
		one = match[0]
	}
	if len(one) > targetBytesMax {
		return false
	}
	which, ok := whichOf(a.Vary)
	if !ok {
		return false
	}
	key := appendKey(nil, r.Host, r.RequestURI, one)
	if which != 0 {
		t.add(&entry{key: string(key), which: which})
		for i, name := range chosenHeaders {
			if which&(1<<i) == 0 {
				continue
			}
			values := r.Header[name]
			if len(values) > 1 || len(values) == 1 && len(values[0]) > targetBytesMax {
				return false
			}
			key = appendValue(key, r.Header.Get(name), len(values) == 1)
		}
	}
	t.add(&entry{key: string(key), answer: a})
	return true
}

// whichOf reads Vary. False: it names a header that the front does not look at.
func whichOf(vary string) (which uint16, ok bool) {
	if vary == "" {
		return 0, true
	}
names:
	for name := range strings.SplitSeq(vary, ",") {
		name = strings.TrimSpace(name)
		for i := range chosenHeaders {
			if strings.EqualFold(name, chosenHeaders[i]) {
				which |= 1 << i
				continue names
			}
		}
		return 0, false
	}
	return which, true
}

// add puts an entry into the table, in place of an older one of its key.
func (t *table) add(e *entry) {
	e.bytes = int64(entryOverhead + len(e.key))
	if e.answer != nil {
		e.bytes += e.answer.Size()
	}
	p := &t.parts[maphash.String(t.seed, e.key)%shards]
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.entries[e.key]; old != nil {
		p.remove(old)
	}
	if e.bytes > p.max {
		return
	}
	for p.bytes+e.bytes > p.max {
		p.evict()
		t.evictions.Add(1)
	}
	e.at = len(p.ring)
	p.ring = append(p.ring, e)
	p.entries[e.key] = e
	p.bytes += e.bytes
}

// drop removes an entry whose answer is no longer to be given.
func (t *table) drop(e *entry) {
	p := &t.parts[maphash.String(t.seed, e.key)%shards]
	p.mu.Lock()
	if p.entries[e.key] == e {
		p.remove(e)
	}
	p.mu.Unlock()
}

// removeIf removes the entries whose answer match says yes to.
func (t *table) removeIf(match func(*delivery.Answer) bool) (removed int) {
	for i := range t.parts {
		p := &t.parts[i]
		p.mu.Lock()
		for _, e := range slices.Clone(p.ring) {
			if e.answer != nil && match(e.answer) {
				p.remove(e)
				removed++
			}
		}
		p.mu.Unlock()
	}
	return removed
}

// evict removes one entry. Preconditions: mu is held, the part is not empty.
func (p *tablePart) evict() {
	for {
		if p.hand >= len(p.ring) {
			p.hand = 0
		}
		e := p.ring[p.hand]
		if !e.used.Swap(false) {
			p.remove(e)
			return
		}
		p.hand++
	}
}

// remove takes an entry out. Preconditions: mu is held, it is in.
func (p *tablePart) remove(e *entry) {
	last := len(p.ring) - 1
	p.ring[e.at] = p.ring[last]
	p.ring[e.at].at = e.at
	p.ring[last] = nil
	p.ring = p.ring[:last]
	delete(p.entries, e.key)
	p.bytes -= e.bytes
	p.sheets.forget(e)
}

// size counts what is held.
func (t *table) size() (entries int, bytes int64) {
	for i := range t.parts {
		p := &t.parts[i]
		p.mu.RLock()
		entries += len(p.ring)
		bytes += p.bytes
		p.mu.RUnlock()
	}
	return entries, bytes
}
