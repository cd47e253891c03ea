package server

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/kv"
)

// A dump of entities is the text dumpHead, then for each value the lengths of its
// group, name and bytes (varints; the group's is never 0) and these three; then a 0 and
// the number of values, 8 bytes, big endian.
const dumpHead = "kamado entities 1\n"

// dump writes all values of a store. It may be written to meanwhile: each key is
// there once, in some state that it had.
func dump(ctx context.Context, store kv.Store, to io.Writer) (count int64, err error) {
	w := bufio.NewWriterSize(to, 256<<10)
	w.WriteString(dumpHead) //nolint:errcheck // Flush tells
	var b []byte
	err = store.Scan(ctx, func(e kv.Entry) error {
		if e.Key.Group == boardGroup {
			return nil
		}
		b = binary.AppendUvarint(b[:0], uint64(len(e.Key.Group)))
		b = binary.AppendUvarint(b, uint64(len(e.Key.Name)))
		b = binary.AppendUvarint(b, uint64(len(e.Value)))
		b = append(append(append(b, e.Key.Group...), e.Key.Name...), e.Value...)
		count++
		_, err := w.Write(b)
		return err
	})
	if err != nil {
		return count, err
	}
	w.WriteByte(0)                                             //nolint:errcheck // Flush tells
	w.Write(binary.BigEndian.AppendUint64(nil, uint64(count))) //nolint:errcheck // Flush tells
	return count, w.Flush()
}

var errDump = errors.New("the copy of the entities is damaged, or of a later version of this program")

// undump gives each value of a dump to fn.
func undump(from io.Reader, fn func(kv.Key, []byte) error) (count int64, err error) {
	r := bufio.NewReaderSize(from, 256<<10)
	head := make([]byte, len(dumpHead))
	if _, err := io.ReadFull(r, head); err != nil || string(head) != dumpHead {
		return 0, errDump
	}
	for {
		key, value, more, err := readValue(r)
		if err != nil {
			return count, fmt.Errorf("%w: value %d: %w", errDump, count+1, err)
		}
		if !more {
			break
		}
		count++
		if err := fn(key, value); err != nil {
			return count, err
		}
	}
	end := make([]byte, 9)
	if n, err := io.ReadFull(r, end); n != 8 || !errors.Is(err, io.ErrUnexpectedEOF) || binary.BigEndian.Uint64(end) != uint64(count) {
		return count, fmt.Errorf("%w: its end says another number than %d", errDump, count)
	}
	return count, nil
}

func readValue(r *bufio.Reader) (key kv.Key, value []byte, more bool, err error) {
	var lengths [3]uint64
	for i, most := range []uint64{kv.GroupBytesMax, kv.NameBytesMax, kv.ValueBytesMax} {
		if lengths[i], err = binary.ReadUvarint(r); err != nil {
			return key, nil, false, err
		}
		if i == 0 && lengths[0] == 0 {
			return key, nil, false, nil
		}
		if lengths[i] > most {
			return key, nil, false, game.Errorf(game.Invalid, "a length of %d", lengths[i])
		}
	}
	b := make([]byte, lengths[0]+lengths[1]+lengths[2])
	if _, err = io.ReadFull(r, b); err != nil {
		return key, nil, false, err
	}
	key = kv.Key{Group: string(b[:lengths[0]]), Name: string(b[lengths[0] : lengths[0]+lengths[1]])}
	return key, b[lengths[0]+lengths[1]:], true, key.Check()
}
