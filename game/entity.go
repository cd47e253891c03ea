package game

import "encoding"

// Entity is what an application keeps for a user: something with a name and a
// binary form. The same type may stand for many names.
type Entity interface {
	// EntityName is its name under its user: letters, digits, "_", "-" and single "."
	// between them, at most 128 bytes: "avatar", "room.items".
	EntityName() string
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

// EntityBytesMax bounds the binary form of any entity; an operator may bound it further.
const EntityBytesMax = 480 << 10

// StoredEntity is an entity as the store has it.
type StoredEntity struct {
	UID     UID
	Name    string
	Value   []byte
	Type    string // media type that the writer named; empty: none
	Version uint64 // grows with each write of this entity, also over a deletion
	Fence   uint64 // greatest token of a lock under which it was written; 0: none
}

// EntityTypeBytesMax bounds StoredEntity.Type.
const EntityTypeBytesMax = 100
