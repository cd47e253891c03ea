package lock

import "sync"

// orphansMax bounds the grants that nobody got. The oldest is forgotten first: then
// its lock is free after its term.
const orphansMax = 1000

// orphans are sessions of grants that may have been written although the call
// failed. Nobody was told of them, so whoever asks next need not wait for their end.
type orphans struct {
	mu    sync.Mutex
	of    map[string]bool
	order []string // a ring
	next  int
}

func newOrphans() *orphans { return &orphans{of: map[string]bool{}} }

func (o *orphans) add(session string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.of[session] = true
	if len(o.order) < orphansMax {
		o.order = append(o.order, session)
		return
	}
	delete(o.of, o.order[o.next])
	o.order[o.next] = session
	o.next = (o.next + 1) % orphansMax
}

func (o *orphans) has(session string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.of[session]
}
