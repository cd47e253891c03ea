package bench

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
)

// WebSocket as a client speaks it (RFC 6455), as far as a measurement needs it: no extensions, no fragments.

// Opcodes, RFC 6455 §5.2.
const (
	frameText   = 1
	frameBinary = 2
	frameClose  = 8
	framePing   = 9
	framePong   = 10
)

// frameHeadMax is the longest head of a frame from a server: two bytes, and eight of a length.
const frameHeadMax = 10

// messageBytesMax bounds one message.
const messageBytesMax = 4 << 20

// errFrame is what a server must not send.
var errFrame = errors.New("no WebSocket frame that is understood")

// cutFrame takes the first whole frame off b. took 0: it is not whole.
func cutFrame(b []byte) (opcode byte, payload []byte, took int, err error) {
	if len(b) < 2 {
		return 0, nil, 0, nil
	}
	opcode = b[0] & 15
	if b[0]&0xf0 != 0x80 || b[1]&0x80 != 0 {
		return 0, nil, 0, fmt.Errorf("%w: it begins with %#x %#x", errFrame, b[0], b[1])
	}
	size, head := int(b[1]), 2
	switch size {
	case 126:
		if head = 4; len(b) < head {
			return 0, nil, 0, nil
		}
		size = int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		if head = frameHeadMax; len(b) < head {
			return 0, nil, 0, nil
		}
		size = int(min(binary.BigEndian.Uint64(b[2:]), messageBytesMax+1))
	}
	if size > messageBytesMax {
		return 0, nil, 0, fmt.Errorf("%w: more than %d bytes", errFrame, messageBytesMax)
	}
	if len(b) < head+size {
		return 0, nil, 0, nil
	}
	return opcode, b[head : head+size], head + size, nil
}

// appendFrame appends a frame of a client, whose bytes are masked (RFC 6455 §5.3).
func appendFrame(b []byte, opcode byte, payload []byte, mask uint32) []byte {
	b = append(b, 0x80|opcode)
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = binary.LittleEndian.AppendUint32(b, mask)
	for i, c := range payload {
		b = append(b, c^byte(mask>>(8*(i&3))))
	}
	return b
}

// upgradeKey is the nonce of every upgrade: it proves nothing to us but that the other side speaks WebSocket.
const upgradeKey = "a2FtYWRvIGlzIGEgc3Rvdg=="

// upgradeGUID is of RFC 6455 §1.3.
const upgradeGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// appendUpgrade appends the request that makes a WebSocket of a connection.
func appendUpgrade(b []byte, host, path string) []byte {
	return fmt.Appendf(b, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", path, host, upgradeKey)
}

// upgradeAccept is the answer to upgradeKey.
func upgradeAccept() string {
	sum := sha1.Sum([]byte(upgradeKey + upgradeGUID))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// parseUpgrade reads the answer to an upgrade. took 0: it is not whole.
func parseUpgrade(b []byte) (status int, accept string, took int, err error) {
	end := bytes.Index(b, crlf2)
	if end < 0 {
		if len(b) > headBytesMax {
			return 0, "", 0, fmt.Errorf("%w: a head of more than %d bytes", errAnswer, headBytesMax)
		}
		return 0, "", 0, nil
	}
	h, err := parseHead(b[:end+2])
	if err != nil {
		return 0, "", 0, err
	}
	for line := range bytes.SplitSeq(b[:end], crlf) {
		if name, value, ok := bytes.Cut(line, colon); ok && bytes.EqualFold(name, []byte("sec-websocket-accept")) {
			accept = string(bytes.TrimSpace(value))
		}
	}
	return h.status, accept, end + len(crlf2), nil
}
