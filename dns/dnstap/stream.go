package dnstap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The control frames of Frame Streams, as fstrm/control.h defines them: an escape of
// four zero bytes, the length of the frame, its type, and fields of a type, a length
// and bytes; all numbers big-endian, of four bytes.
const (
	controlAccept = 1
	controlStart  = 2
	controlStop   = 3
	controlReady  = 4
	controlFinish = 5

	fieldContentType = 1

	controlBytesMax = 512
)

// contentType is that of dnstap in Frame Streams.
const contentType = "protobuf:dnstap.Dnstap"

// appendControl appends a control frame, with the content type if it carries one.
func appendControl(b []byte, kind uint32, typed bool) []byte {
	b = append(b, 0, 0, 0, 0)
	if !typed {
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, 4), kind)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(12+len(contentType)))
	b = binary.BigEndian.AppendUint32(b, kind)
	b = binary.BigEndian.AppendUint32(b, fieldContentType)
	b = binary.BigEndian.AppendUint32(b, uint32(len(contentType)))
	return append(b, contentType...)
}

// readControl reads a control frame and gives its type and content types.
func readControl(r io.Reader) (kind uint32, types []string, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[4:])
	if binary.BigEndian.Uint32(head[:]) != 0 || n < 4 || n > controlBytesMax {
		return 0, nil, errors.New("no control frame")
	}
	frame := make([]byte, n)
	if _, err := io.ReadFull(r, frame); err != nil {
		return 0, nil, err
	}
	kind, frame = binary.BigEndian.Uint32(frame), frame[4:]
	for len(frame) > 0 {
		if len(frame) < 8 {
			return 0, nil, errors.New("a control frame with half a field")
		}
		field, size := binary.BigEndian.Uint32(frame), binary.BigEndian.Uint32(frame[4:])
		frame = frame[8:]
		if uint64(size) > uint64(len(frame)) {
			return 0, nil, errors.New("a control frame with a field that does not end")
		}
		if field == fieldContentType {
			types = append(types, string(frame[:size]))
		}
		frame = frame[size:]
	}
	return kind, types, nil
}

// open shakes hands: READY, ACCEPT, START.
func open(rw io.ReadWriter) error {
	if _, err := rw.Write(appendControl(nil, controlReady, true)); err != nil {
		return err
	}
	kind, types, err := readControl(rw)
	if err != nil {
		return fmt.Errorf("wait for the collector to accept: %w", err)
	}
	if kind != controlAccept {
		return fmt.Errorf("the collector answered with a control frame of type %d, want ACCEPT", kind)
	}
	accepted := len(types) == 0 // any
	for _, t := range types {
		accepted = accepted || t == contentType
	}
	if !accepted {
		return fmt.Errorf("the collector takes %.100q, not %s", types, contentType)
	}
	_, err = rw.Write(appendControl(nil, controlStart, true))
	return err
}

var errLeft = errors.New("the connection was closed")

// readFinish waits for the collector's FINISH, which follows our STOP; before it a collector says nothing.
func readFinish(r io.Reader) error {
	kind, _, err := readControl(r)
	switch {
	case errors.Is(err, io.EOF):
		return errLeft
	case err != nil:
		return fmt.Errorf("wait for the collector to finish: %w", err)
	case kind != controlFinish:
		return fmt.Errorf("the collector sent a control frame of type %d, want FINISH", kind)
	}
	return nil
}
