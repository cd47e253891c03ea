package ledger

import "github.com/kamado/kamado/game"

// ends knows which accounts have a lot or a reservation that is over next: a heap
// that has each account at most once, so it is bounded by their number.
type ends struct {
	heap []ending
	pos  []uint32 // by account: its place in heap, counted from 1; 0: it is not there
}

type ending struct {
	at      game.Instant
	account uint32
}

// set says when something of an account ends next; 0: never.
func (e *ends) set(account uint32, at game.Instant) {
	if int(account) >= len(e.pos) {
		if at == 0 {
			return
		}
		e.pos = append(e.pos, make([]uint32, int(account)+1-len(e.pos))...)
	}
	i := int(e.pos[account]) - 1
	switch {
	case i < 0 && at == 0:
	case i < 0:
		e.heap = append(e.heap, ending{at, account})
		e.pos[account] = uint32(len(e.heap))
		e.up(len(e.heap) - 1)
	case at == 0:
		last := len(e.heap) - 1
		e.swap(i, last)
		e.heap, e.pos[account] = e.heap[:last], 0
		if i < last {
			e.up(e.down(i))
		}
	case e.heap[i].at != at:
		e.heap[i].at = at
		e.up(e.down(i))
	}
}

// due gives the accounts of which something is over, at most limit, the earliest first.
func (e *ends) due(now game.Instant, limit int) (accounts []uint32) {
	// Children are later than parents, so the due ones are a tree at the top.
	todo := ends{}
	if len(e.heap) > 0 {
		todo.set(0, e.heap[0].at)
	}
	for len(todo.heap) > 0 && len(accounts) < limit && todo.heap[0].at <= now {
		i := todo.heap[0].account // here: places in e.heap
		todo.set(i, 0)
		accounts = append(accounts, e.heap[i].account)
		for child := 2*i + 1; child <= 2*i+2 && int(child) < len(e.heap); child++ {
			if e.heap[child].at <= now {
				todo.set(child, e.heap[child].at)
			}
		}
	}
	return accounts
}

func (e *ends) swap(i, j int) {
	e.heap[i], e.heap[j] = e.heap[j], e.heap[i]
	e.pos[e.heap[i].account], e.pos[e.heap[j].account] = uint32(i)+1, uint32(j)+1
}

func (e *ends) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if e.heap[parent].at <= e.heap[i].at {
			return
		}
		e.swap(i, parent)
		i = parent
	}
}

// down lets an entry sink and says where it came to rest.
func (e *ends) down(i int) int {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(e.heap); child++ {
			if e.heap[child].at < e.heap[least].at {
				least = child
			}
		}
		if least == i {
			return i
		}
		e.swap(i, least)
		i = least
	}
}
