package cdn

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/kamado/kamado/images/purge"
	"github.com/kamado/kamado/images/purge/journal"
	"github.com/kamado/kamado/internal/disk"
)

// A record of the queue is one byte that says what follows:
//
//	1  order   number (varint), order as JSON
//	2  first   number: it was told once
//	3  done    number: it was told for the last time, or given up
//	4  told    id as text: the latest order that Tell was called with
const (
	recordOrder = 1
	recordFirst = 2
	recordDone  = 3
	recordTold  = 4
)

// item is an order that the CDN is still to be told.
type item struct {
	number uint64
	order  purge.Order
	second bool // it was told once
}

// record is a parsed record.
type record struct {
	kind   byte
	number uint64
	order  purge.Order
	told   purge.ID
}

func (r *record) append(b []byte) []byte {
	b = append(b, r.kind)
	switch r.kind {
	case recordOrder:
		b = binary.AppendUvarint(b, r.number)
		text, err := json.Marshal(r.order)
		if err != nil {
			panic("cdn: an order is no JSON: " + err.Error()) // all of it is text and numbers
		}
		return append(b, text...)
	case recordTold:
		return append(b, r.told.String()...)
	}
	return binary.AppendUvarint(b, r.number)
}

var errRecord = errors.New("this is no record of a queue")

func parseRecord(b []byte) (r record, err error) {
	if len(b) == 0 {
		return r, errRecord
	}
	r.kind, b = b[0], b[1:]
	if r.kind == recordTold {
		r.told, err = purge.ParseID(string(b))
		return r, err
	}
	number, n := binary.Uvarint(b)
	if n <= 0 || r.kind < recordOrder || r.kind > recordDone {
		return r, errRecord
	}
	r.number = number
	if b = b[n:]; r.kind == recordOrder {
		r.order, err = purge.ParseOrder(b)
		return r, err
	}
	if len(b) > 0 {
		return r, errRecord
	}
	return r, nil
}

// queue is the orders that are still to be told, on disk. Methods may not run at
// the same time.
type queue struct {
	journal *journal.Journal
	items   map[uint64]*item
	next    uint64
	told    purge.ID
	damaged int
}

func openQueue(d disk.Disk, path string) (*queue, error) {
	q := &queue{items: map[uint64]*item{}}
	var found journal.Found
	var err error
	q.journal, found, err = journal.Open(d, path, func(b []byte) error {
		r, err := parseRecord(b)
		if err != nil {
			q.damaged++
			return nil
		}
		q.replay(&r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open queue for a cdn: %w", err)
	}
	q.damaged += found.Damaged
	if q.damaged > 0 || found.TornBytes > 0 {
		if err := q.rewrite(); err != nil {
			return nil, errors.Join(err, q.journal.Close())
		}
	}
	return q, nil
}

func (q *queue) replay(r *record) {
	q.next = max(q.next, r.number)
	switch r.kind {
	case recordOrder:
		q.items[r.number] = &item{number: r.number, order: r.order}
	case recordFirst:
		if it := q.items[r.number]; it != nil {
			it.second = true
		}
	case recordDone:
		delete(q.items, r.number)
	case recordTold:
		if r.told.Compare(q.told) > 0 {
			q.told = r.told
		}
	}
}

// write makes records durable and applies them.
func (q *queue) write(records ...record) error {
	if q.journal.Broken() {
		if err := q.rewrite(); err != nil {
			return err
		}
	}
	payloads := make([][]byte, len(records))
	for i := range records {
		payloads[i] = records[i].append(nil)
	}
	if err := q.journal.Append(payloads...); err != nil {
		return err
	}
	for i := range records {
		q.replay(&records[i])
	}
	if q.journal.Bloated() {
		return q.rewrite()
	}
	return nil
}

func (q *queue) rewrite() error {
	return q.journal.Rewrite(func(put func([]byte) error) error {
		if !q.told.IsZero() {
			if err := put((&record{kind: recordTold, told: q.told}).append(nil)); err != nil {
				return err
			}
		}
		for _, it := range q.items {
			if err := put((&record{kind: recordOrder, number: it.number, order: it.order}).append(nil)); err != nil {
				return err
			}
			if it.second {
				if err := put((&record{kind: recordFirst, number: it.number}).append(nil)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// add queues orders. Of more than max together, all becomes one purge of all.
func (q *queue) add(orders []purge.Order, max int) (folded bool, err error) {
	var records []record
	latest := orders[0]
	for i, o := range orders {
		if o.ID.Compare(latest.ID) > 0 {
			latest = o
		}
		records = append(records, record{kind: recordOrder, number: q.next + uint64(i) + 1, order: o})
	}
	if len(q.items)+len(orders) > max {
		folded = true
		all := purge.Order{ID: latest.ID, Action: purge.Purge, Target: purge.All(), Reason: "too many orders waited for the cdn"}
		records = []record{{kind: recordOrder, number: q.next + 1, order: all}}
		for number := range q.items {
			records = append(records, record{kind: recordDone, number: number})
		}
	}
	return folded, q.write(append(records, record{kind: recordTold, told: latest.ID})...)
}
