package world

// inbox is the turns that wait for a stage, in order. The zero value is empty.
type inbox struct {
	turns []turn
	head  int // turns before it are taken
}

func (q *inbox) len() int { return len(q.turns) - q.head }

func (q *inbox) push(t turn) {
	if q.head > len(q.turns)/2 { // what is left moves to the front, so that a queue that is never empty does not grow
		n := copy(q.turns, q.turns[q.head:])
		clear(q.turns[n:])
		q.turns, q.head = q.turns[:n], 0
	}
	q.turns = append(q.turns, t)
}

// pop takes the first one; nil: there is none.
func (q *inbox) pop() turn {
	if q.len() == 0 {
		return nil
	}
	t := q.turns[q.head]
	q.turns[q.head] = nil
	if q.head++; q.len() == 0 {
		q.turns, q.head = q.turns[:0], 0
	}
	return t
}
