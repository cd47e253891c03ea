package main

import (
	"encoding/binary"
	"errors"
)

// directoriesMax is how many pages a TIFF may have: the library reads each
// directory to count them, about 40 us of processor time.
const directoriesMax = 1000

var errDirectories = errors.New("more pages than are read")

// checkDirectories follows the chain of directories and refuses one that is
// too long. One that leads in circles is too long; what else is wrong the
// library says. Layouts: TIFF 6.0, section 2, and BigTIFF, whose numbers are of
// 64 bits.
func checkDirectories(b []byte) error {
	if len(b) < 16 {
		return nil
	}
	var order binary.ByteOrder = binary.LittleEndian
	if b[0] == 'M' {
		order = binary.BigEndian
	}
	large := order.Uint16(b[2:]) == 43
	at, count, entry, next := uint64(order.Uint32(b[4:])), uint64(2), uint64(12), uint64(4)
	if large {
		at, count, entry, next = order.Uint64(b[8:]), 8, 20, 8
	}
	number := func(at, size uint64) uint64 {
		switch size {
		case 2:
			return uint64(order.Uint16(b[at:]))
		case 4:
			return uint64(order.Uint32(b[at:]))
		}
		return order.Uint64(b[at:])
	}
	end := uint64(len(b))
	for range directoriesMax + 1 {
		if at == 0 || at > end-count {
			return nil
		}
		n := number(at, count)
		if n > end/entry || at+count+n*entry > end-next {
			return nil
		}
		at = number(at+count+n*entry, next)
	}
	return errDirectories
}
