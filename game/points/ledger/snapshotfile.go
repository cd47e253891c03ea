package ledger

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/kamado/kamado/game"
)

// The snapshot's file; docs/reference/game-ledger.md has the tables.
const (
	snapshotMagic    = "KAMADOLS"
	snapshotEndMagic = "KAMADOLE"

	snapshotHeadBytes = 224
	snapshotEndBytes  = 32
	blockHeadBytes    = 12
	accountHeadBytes  = 36
	lotBytes          = 17
	holdHeadBytes     = 18

	blockBytes    = 256 << 10 // a block is closed when it is as long
	blockBytesMax = 16 << 20
)

// snapshotHead is how a snapshot begins.
type snapshotHead struct {
	id       ledgerID
	end      end
	accounts uint64
	totals   game.Totals
}

func snapshotName(seq uint64) string { return fmt.Sprintf("%020d.snap", seq) }

func appendSnapshotHead(dst []byte, h *snapshotHead) []byte {
	start := len(dst)
	dst = append(dst, snapshotMagic...)
	dst = le.AppendUint32(dst, version)
	dst = le.AppendUint32(dst, 0)
	dst = append(dst, h.id[:]...)
	for _, n := range [...]uint64{h.end.seq, uint64(h.end.now), h.end.batch, uint64(h.end.next)} {
		dst = le.AppendUint64(dst, n)
	}
	dst = append(dst, h.end.chain[:]...)
	dst = le.AppendUint64(le.AppendUint64(dst, h.accounts), 0)
	for _, a := range h.totals[1:] {
		dst = le.AppendUint64(dst, uint64(a))
	}
	dst = append(dst, make([]byte, 12)...)
	return le.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

func parseSnapshotHead(b []byte) (h snapshotHead, err error) {
	if len(b) < snapshotHeadBytes || string(b[:8]) != snapshotMagic || crc32.Checksum(b[:220], castagnoli) != le.Uint32(b[220:]) {
		return h, errFormat
	}
	if v := le.Uint32(b[8:]); v != version {
		return h, fmt.Errorf("version %d of the format; this program reads %d", v, version)
	}
	copy(h.id[:], b[16:])
	h.end = end{seq: le.Uint64(b[32:]), now: game.Instant(le.Uint64(b[40:])), batch: le.Uint64(b[48:]), next: place(le.Uint64(b[56:]))}
	copy(h.end.chain[:], b[64:])
	h.accounts = le.Uint64(b[96:])
	for i := range h.totals[1:] {
		h.totals[i+1] = game.Amount(le.Uint64(b[112+8*i:]))
	}
	if h.end.next.segment() == 0 || h.end.next.offset() < segmentHeadBytes || h.end.now < 0 {
		return h, errFormat
	}
	return h, nil
}

func appendAccount(dst []byte, s *slot) []byte {
	a := s.account
	for _, n := range [...]uint64{uint64(a.UID), a.Seq, uint64(s.last), uint64(a.Debt)} {
		dst = le.AppendUint64(dst, n)
	}
	dst = le.AppendUint16(dst, uint16(len(a.Lots)))
	dst = le.AppendUint16(dst, uint16(len(a.Holds)))
	dst = appendLots(dst, a.Lots)
	for i := range a.Holds {
		h := &a.Holds[i]
		dst = le.AppendUint64(le.AppendUint64(dst, h.ID), uint64(h.Until))
		dst = appendLots(le.AppendUint16(dst, uint16(len(h.Lots))), h.Lots)
	}
	return dst
}

func appendLots(dst []byte, lots []game.Lot) []byte {
	for _, l := range lots {
		dst = append(dst, byte(l.Kind))
		dst = le.AppendUint64(le.AppendUint64(dst, uint64(l.Expires)), uint64(l.Amount))
	}
	return dst
}

// parseAccount reads the account at the start of b and gives what follows it.
func parseAccount(b []byte) (s slot, rest []byte, err error) {
	if len(b) < accountHeadBytes {
		return s, nil, errFormat
	}
	a := &game.Account{UID: game.UID(le.Uint64(b)), Seq: le.Uint64(b[8:]), Debt: game.Amount(le.Uint64(b[24:]))}
	s = slot{a, place(le.Uint64(b[16:]))}
	lots, holds := int(le.Uint16(b[32:])), int(le.Uint16(b[34:]))
	if a.UID == 0 || a.UID > game.UIDMax || a.Debt < 0 || holds > game.HoldsMax {
		return s, nil, errFormat
	}
	if a.Lots, b, err = parseLots(b[accountHeadBytes:], lots); err != nil {
		return s, nil, err
	}
	if holds > 0 {
		a.Holds = make([]game.Hold, holds)
	}
	for i := range a.Holds {
		if len(b) < holdHeadBytes {
			return s, nil, errFormat
		}
		h := &a.Holds[i]
		h.ID, h.Until = le.Uint64(b), game.Instant(le.Uint64(b[8:]))
		if h.Lots, b, err = parseLots(b[holdHeadBytes:], int(le.Uint16(b[16:]))); err != nil {
			return s, nil, err
		}
	}
	return s, b, nil
}

func parseLots(b []byte, n int) (lots []game.Lot, rest []byte, err error) {
	if len(b) < n*lotBytes {
		return nil, nil, errFormat
	}
	if n > 0 {
		lots = make([]game.Lot, n)
	}
	for i := range lots {
		lots[i] = game.Lot{Kind: game.PointKind(b[0]), Expires: game.Instant(le.Uint64(b[1:])), Amount: game.Amount(le.Uint64(b[9:]))}
		if lots[i].Kind > game.Paid || lots[i].Amount < 1 || lots[i].Expires < 0 {
			return nil, nil, errFormat
		}
		b = b[lotBytes:]
	}
	return lots, b, nil
}

// writeSnapshot writes a whole snapshot. each gives the accounts; it may end early with an error.
func writeSnapshot(w io.Writer, h *snapshotHead, each func(visit func(slot) error) error) error {
	s := &snapshotWriter{w: bufio.NewWriterSize(w, 1<<20), id: &h.id}
	if _, err := s.w.Write(appendSnapshotHead(nil, h)); err != nil {
		return err
	}
	s.begin()
	err := each(func(a slot) error {
		s.block = appendAccount(s.block, &a)
		s.inBlock++
		if len(s.block) >= blockBytes {
			return s.finish()
		}
		return nil
	})
	if err == nil && s.inBlock > 0 {
		err = s.finish()
	}
	if err != nil {
		return err
	}
	tail := append([]byte(nil), snapshotEndMagic...)
	tail = le.AppendUint64(le.AppendUint64(tail, s.blocks), s.accounts)
	tail = le.AppendUint32(tail, s.sums)
	if _, err := s.w.Write(le.AppendUint32(tail, h.id.crc(tail))); err != nil {
		return err
	}
	if s.accounts != h.accounts {
		return fmt.Errorf("%d accounts, and the head says %d", s.accounts, h.accounts)
	}
	return s.w.Flush()
}

type snapshotWriter struct {
	w                *bufio.Writer
	id               *ledgerID
	block            []byte // with room for its head
	inBlock          uint32
	blocks, accounts uint64
	sums             uint32 // checksum of the checksums
}

func (s *snapshotWriter) begin() {
	s.block, s.inBlock = append(s.block[:0], make([]byte, blockHeadBytes)...), 0
}

func (s *snapshotWriter) finish() error {
	le.PutUint32(s.block, uint32(len(s.block)-blockHeadBytes))
	le.PutUint32(s.block[4:], s.inBlock)
	le.PutUint32(s.block[8:], s.id.crc(s.block[:8], s.block[blockHeadBytes:]))
	s.sums = crc32.Update(s.sums, castagnoli, s.block[8:blockHeadBytes])
	s.blocks++
	s.accounts += uint64(s.inBlock)
	_, err := s.w.Write(s.block)
	s.begin()
	return err
}

// readSnapshot reads and checks a whole snapshot of a ledger. take gets each account; it is the caller's.
func readSnapshot(in io.Reader, id *ledgerID, take func(slot) error) (h snapshotHead, err error) {
	r := bufio.NewReaderSize(in, 1<<20)
	head := make([]byte, snapshotHeadBytes)
	if _, err := io.ReadFull(r, head); err != nil {
		return h, short(err)
	}
	if h, err = parseSnapshotHead(head); err != nil {
		return h, fmt.Errorf("its header: %w", err)
	}
	if h.id != *id {
		return h, errors.New("it is of another ledger")
	}
	var blocks, accounts uint64
	var sums uint32
	var body []byte
	for {
		mark, err := r.Peek(8)
		if err != nil {
			return h, short(err)
		}
		if string(mark) == snapshotEndMagic {
			break
		}
		var sum [4]byte
		if body, err = readBlock(r, id, body, &sum); err != nil {
			return h, fmt.Errorf("block %d: %w", blocks, err)
		}
		n, err := takeBlock(body, take)
		if err != nil {
			return h, fmt.Errorf("block %d: %w", blocks, err)
		}
		sums = crc32.Update(sums, castagnoli, sum[:])
		blocks++
		accounts += n
	}
	var tail [snapshotEndBytes + 1]byte
	n, err := io.ReadFull(r, tail[:])
	if n != snapshotEndBytes || !errors.Is(err, io.ErrUnexpectedEOF) || le.Uint32(tail[28:]) != id.crc(tail[:28]) ||
		le.Uint64(tail[8:]) != blocks || le.Uint64(tail[16:]) != accounts || le.Uint32(tail[24:]) != sums || accounts != h.accounts {
		return h, fmt.Errorf("its end: %w", errFormat)
	}
	return h, nil
}

func short(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it is too short: %w", errFormat)
	}
	return err
}

// readBlock reads a block into buf, and gives its accounts: a count and what follows the head.
func readBlock(r io.Reader, id *ledgerID, buf []byte, sum *[4]byte) ([]byte, error) {
	var head [blockHeadBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return buf, short(err)
	}
	n := int(le.Uint32(head[:]))
	if n == 0 || n > blockBytesMax {
		return buf, errFormat
	}
	buf = append(buf[:0], head[4:8]...)
	// A file that lies about a length costs no more than it is long.
	for n > 0 {
		part := min(n, blockBytes)
		at := len(buf)
		buf = append(buf, make([]byte, part)...)
		if _, err := io.ReadFull(r, buf[at:]); err != nil {
			return buf, short(err)
		}
		n -= part
	}
	copy(sum[:], head[8:])
	if id.crc(head[:8], buf[4:]) != le.Uint32(head[8:]) {
		return buf, errFormat
	}
	return buf, nil
}

func takeBlock(b []byte, take func(slot) error) (uint64, error) {
	count := le.Uint32(b)
	b = b[4:]
	for range count {
		s, rest, err := parseAccount(b)
		if err == nil {
			err = take(s)
		}
		if err != nil {
			return 0, err
		}
		b = rest
	}
	if count == 0 || len(b) != 0 {
		return 0, errFormat
	}
	return uint64(count), nil
}
