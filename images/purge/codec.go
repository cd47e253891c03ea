package purge

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A record of the journal is one byte that says what follows, and then:
//
//	1  order   local number, action, scope, time, counter, node, source, name, reason
//	2  vector  number of nodes, then node and counter of each
//	3  floor   time, counter, node
//	4  swept   local number
//	5  salt    8 bytes as a number; 0: none
//
// Numbers are unsigned varints (encoding/binary), texts a length and bytes. A
// record has one spelling: nothing follows it, and what it says is valid.
const (
	recordOrder  = 1
	recordVector = 2
	recordFloor  = 3
	recordSwept  = 4
	recordSalt   = 5
)

// vectorRecordMax is how many nodes one record names, so that it stays within
// the journal's bound; a larger vector is several records.
const vectorRecordMax = 512

var errRecord = errors.New("this is no record of a table")

// record is a parsed record; kind says which fields mean anything.
type record struct {
	kind   byte
	seq    uint64 // order: local number, 0 for purges; swept
	order  Order
	vector Vector
	floor  ID
	salt   uint64
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendID(b []byte, id ID) []byte {
	b = binary.AppendUvarint(b, uint64(id.Time))
	b = binary.AppendUvarint(b, id.Counter)
	return appendText(b, id.Node)
}

// append appends the record. A vector has at most vectorRecordMax nodes.
func (r *record) append(b []byte) []byte {
	b = append(b, r.kind)
	switch r.kind {
	case recordOrder:
		o := &r.order
		b = binary.AppendUvarint(b, r.seq)
		b = append(b, byte(o.Action), byte(o.Target.Scope))
		b = appendID(b, o.ID)
		b = appendText(b, o.Target.Source)
		b = appendText(b, o.Target.Name)
		b = appendText(b, o.Reason)
	case recordVector:
		b = binary.AppendUvarint(b, uint64(len(r.vector)))
		for _, node := range r.vector.nodes() {
			b = appendText(b, node)
			b = binary.AppendUvarint(b, r.vector[node])
		}
	case recordFloor:
		b = appendID(b, r.floor)
	case recordSwept:
		b = binary.AppendUvarint(b, r.seq)
	case recordSalt:
		b = binary.AppendUvarint(b, r.salt)
	}
	return b
}

// reader takes values off the front of bytes; after a failure it gives zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 { // too short, too large, or not the one spelling
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) text() string {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) id() ID {
	id := ID{Time: int64(r.number()), Counter: r.number()}
	id.Node = r.text()
	return id
}

// parseRecord reads what append wrote.
func parseRecord(b []byte) (record, error) {
	in := reader{b: b}
	rec := record{kind: in.byte()}
	var err error
	switch rec.kind {
	case recordOrder:
		rec.seq = in.number()
		rec.order.Action, rec.order.Target.Scope = Action(in.byte()), Scope(in.byte())
		rec.order.ID = in.id()
		rec.order.Target.Source, rec.order.Target.Name, rec.order.Reason = in.text(), in.text(), in.text()
		if !in.bad {
			err = rec.order.Validate()
		}
	case recordVector:
		n := in.number()
		if n > vectorRecordMax {
			return record{}, errRecord
		}
		rec.vector = make(Vector, n)
		before := ""
		for range n {
			node := in.text()
			rec.vector[node] = in.number()
			in.bad = in.bad || node <= before
			before = node
		}
		err = rec.vector.Validate()
	case recordFloor:
		rec.floor = in.id()
		err = rec.floor.validate()
	case recordSwept:
		rec.seq = in.number()
	case recordSalt:
		rec.salt = in.number()
	default:
		return record{}, errRecord
	}
	if in.bad || len(in.b) > 0 || err != nil {
		return record{}, fmt.Errorf("%w: %v", errRecord, err)
	}
	return rec, nil
}
