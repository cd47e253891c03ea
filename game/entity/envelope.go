package entity

import (
	"encoding/binary"
	"errors"

	"github.com/kamado/kamado/game"
)

// The form of a value in the store:
//
//	0      1     version of the form, 1
//	1      1     flags: bit 0: the entity was deleted, and the rest is kept for its fence
//	2     16     id of the write: who is in doubt about a write finds its own by it
//	18    n      fence: varint, the greatest token of a lock under which it was written
//	      n      length of the type: varint, 0 to game.EntityTypeBytesMax
//	             the type
//	             the binary form of the entity, to the end
const (
	formVersion = 1
	flagDeleted = 1 << 0
	headBytes   = 18
)

// writeID names one write.
type writeID [16]byte

// envelope is what is kept of an entity.
type envelope struct {
	deleted bool
	id      writeID
	fence   uint64
	kind    string
	value   []byte
}

var errForm = errors.New("the stored form of an entity is damaged, or of a later version of this program")

func (e *envelope) encode() []byte {
	b := make([]byte, 0, headBytes+2*binary.MaxVarintLen64+len(e.kind)+len(e.value))
	flags := byte(0)
	if e.deleted {
		flags |= flagDeleted
	}
	b = append(b, formVersion, flags)
	b = append(b, e.id[:]...)
	b = binary.AppendUvarint(b, e.fence)
	b = binary.AppendUvarint(b, uint64(len(e.kind)))
	b = append(b, e.kind...)
	return append(b, e.value...)
}

// decode reads a stored form. The value is a part of b.
func decode(b []byte) (e envelope, err error) {
	if len(b) < headBytes || b[0] != formVersion || b[1]&^flagDeleted != 0 {
		return e, errForm
	}
	e.deleted = b[1]&flagDeleted != 0
	copy(e.id[:], b[2:headBytes])
	b = b[headBytes:]
	fence, n := binary.Uvarint(b)
	if n <= 0 {
		return e, errForm
	}
	b = b[n:]
	length, n := binary.Uvarint(b)
	if n <= 0 || length > game.EntityTypeBytesMax || length > uint64(len(b)-n) {
		return e, errForm
	}
	e.fence, e.kind, e.value = fence, string(b[n:n+int(length)]), b[n+int(length):]
	return e, nil
}
