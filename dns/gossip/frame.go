package gossip

import (
	"encoding/binary"
	"errors"

	"github.com/kamado/kamado/dns"
)

// Our messages inside memberlist's:
//
//	offset  width  what
//	     0      1  version: 1
//	     1      1  kind
//	     2      1  length n of the sender's node name
//	     3      n  the name
//	   3+n         message: its bytes
//	               leave: length and name of who leaves, then its 8 bytes of start
//	               push, confirm: see push.go
const (
	frameVersion = 1

	kindMessage = 1
	kindLeave   = 2
	kindPush    = 3
	kindConfirm = 4
)

var errFrame = errors.New("not a message of a member")

func appendFrame(dst []byte, kind byte, from string, body []byte) []byte {
	dst = append(dst, frameVersion, kind, byte(len(from)))
	dst = append(dst, from...)
	return append(dst, body...)
}

func parseFrame(b []byte) (kind byte, from string, body []byte, err error) {
	if len(b) < 3 || b[0] != frameVersion || len(b) < 3+int(b[2]) {
		return 0, "", nil, errFrame
	}
	kind, from, body = b[1], string(b[3:3+int(b[2])]), b[3+int(b[2]):]
	if dns.CheckNode(from) != nil || kind < kindMessage || kind > kindConfirm {
		return 0, "", nil, errFrame
	}
	return kind, from, body, nil
}

// leave says that a member goes on purpose. Start is that of its process, so that
// an old goodbye means nothing to a later one.
type leave struct {
	node  string
	start uint64
}

func (l leave) encode() []byte {
	b := append([]byte{byte(len(l.node))}, l.node...)
	return binary.LittleEndian.AppendUint64(b, l.start)
}

func parseLeave(b []byte) (leave, error) {
	if len(b) < 1 || len(b) != 1+int(b[0])+8 {
		return leave{}, errFrame
	}
	l := leave{node: string(b[1 : 1+int(b[0])]), start: binary.LittleEndian.Uint64(b[1+int(b[0]):])}
	if dns.CheckNode(l.node) != nil {
		return leave{}, errFrame
	}
	return l, nil
}

// The metadata that memberlist carries: 8 bytes of start, random for each process,
// then the member's own.
const metaHead = 8

func encodeMeta(start uint64, meta []byte) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, start), meta...)
}

func parseMeta(b []byte) (start uint64, meta []byte, ok bool) {
	if len(b) < metaHead || len(b) > metaHead+MetaBytesMax {
		return 0, nil, false
	}
	return binary.LittleEndian.Uint64(b), b[metaHead:], true
}
