package audit

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/kamado/kamado/game"
)

// Sizes of a snapshot, in bytes.
const (
	snapHeadBytes    = 224
	snapEndBytes     = 32
	snapBlockHead    = 12
	snapBlockMax     = 16777216
	snapAccountBytes = 36
	snapLotBytes     = 17
	snapHoldBytes    = 18
)

const (
	snapMagic    = "KAMADOLS"
	snapEndMagic = "KAMADOLE"
)

// snapshotFile is one in a directory.
type snapshotFile struct{ seq uint64 }

func (s snapshotFile) name() string           { return fmt.Sprintf("%020d.snap", s.seq) }
func (s snapshotFile) path(dir string) string { return filepath.Join(dir, s.name()) }

// listSnapshots gives those of a directory by their posting.
func listSnapshots(dir string) (list []snapshotFile, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		digits, ok := strings.CutSuffix(f.Name(), ".snap")
		if seq, err := strconv.ParseUint(digits, 10, 64); ok && err == nil && len(digits) == 20 {
			list = append(list, snapshotFile{seq})
		}
	}
	slices.SortFunc(list, func(a, b snapshotFile) int { return cmp.Compare(a.seq, b.seq) })
	return list, nil
}

// snapshot compares a snapshot with the books, which are those behind the batch that
// was read last.
func (v *verifier) snapshot(dir string, s snapshotFile) error {
	f, err := os.Open(s.path(dir))
	if errors.Is(err, fs.ErrNotExist) { // it made room for a later one
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	r := &snapshotReader{r: bufio.NewReaderSize(f, 1<<20), id: v.walk.id, books: v.books}
	want := snapshotHead{seq: v.walk.next.seq - 1, time: v.walk.next.time, batch: v.walk.next.batch - 1, next: v.walk.at.segment<<32 | uint64(v.walk.at.offset), chain: v.walk.next.chain, accounts: uint64(len(v.books.users)), sums: v.books.sums}
	if err := r.read(s.seq, want); err != nil {
		var unreadable *fs.PathError
		if errors.As(err, &unreadable) {
			return err
		}
		v.wrong(Problem{File: s.name(), Offset: r.at, What: err.Error()})
		return nil
	}
	v.report.Snapshots++
	return nil
}

// snapshotHead is what the header says.
type snapshotHead struct {
	seq      uint64
	time     int64
	batch    uint64
	next     uint64 // place
	chain    chain
	accounts uint64
	sums     [game.ClassCount]int64
}

type snapshotReader struct {
	r     io.Reader
	at    int64
	id    ledgerID
	books *books
	buf   []byte
}

// take reads n bytes, which stay until the next take.
func (s *snapshotReader) take(n int) ([]byte, error) {
	if cap(s.buf) < n {
		s.buf = make([]byte, max(n, 1<<16))
	}
	s.buf = s.buf[:n]
	if _, err := io.ReadFull(s.r, s.buf); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("it ends in the middle")
	} else if err != nil {
		return nil, err
	}
	return s.buf, nil
}

func (s *snapshotReader) read(named uint64, want snapshotHead) error {
	b, err := s.take(snapHeadBytes)
	if err != nil {
		return err
	}
	if err := s.head(b, named, want); err != nil {
		return err
	}
	s.at = snapHeadBytes
	seen, blocks, sums := uint64(0), uint64(0), crc32.Checksum(nil, castagnoli)
	known := map[uint64]bool{}
	for seen < want.accounts {
		count, crc, err := s.block(known)
		if err != nil {
			return err
		}
		seen, blocks, sums = seen+uint64(count), blocks+1, crc32.Update(sums, castagnoli, le.AppendUint32(nil, crc))
	}
	return s.end(seen, blocks, sums)
}

func (s *snapshotReader) head(b []byte, named uint64, want snapshotHead) error {
	if string(b[:8]) != snapMagic || crc32.Checksum(b[:220], castagnoli) != le.Uint32(b[220:]) {
		return fmt.Errorf("it does not begin with the header of a snapshot")
	}
	if le.Uint32(b[8:]) != 1 || le.Uint32(b[12:]) != 0 || le.Uint64(b[104:]) != 0 || !zero(b[208:220]) {
		return fmt.Errorf("it has version %d, or reserved bytes that are not zero", le.Uint32(b[8:]))
	}
	if ledgerID(b[16:32]) != s.id {
		return fmt.Errorf("it is of another ledger")
	}
	got := snapshotHead{seq: le.Uint64(b[32:]), time: int64(le.Uint64(b[40:])), batch: le.Uint64(b[48:]), next: le.Uint64(b[56:]), chain: chain(b[64:96]), accounts: le.Uint64(b[96:])}
	for class := game.UserFree; class < game.ClassCount; class++ {
		got.sums[class] = int64(le.Uint64(b[112+8*(int(class)-1):]))
	}
	if got != want || got.seq != named {
		return fmt.Errorf("it says %+v, the log says %+v", got, want)
	}
	return nil
}

// block compares a block of accounts.
func (s *snapshotReader) block(known map[uint64]bool) (count, crc uint32, err error) {
	head, err := s.take(snapBlockHead)
	if err != nil {
		return 0, 0, err
	}
	length, crc := le.Uint32(head), le.Uint32(head[8:])
	count = le.Uint32(head[4:])
	if length < 1 || length > snapBlockMax || count < 1 {
		return 0, 0, fmt.Errorf("a block of %d accounts in %d bytes", count, length)
	}
	first := [8]byte(head[:8])
	b, err := s.take(int(length))
	if err != nil {
		return 0, 0, err
	}
	if s.id.sum(first[:], b) != crc {
		return 0, 0, fmt.Errorf("the checksum of a block is not that of its bytes")
	}
	for range count {
		n, err := s.account(b, known)
		if err != nil {
			return 0, 0, err
		}
		b = b[n:]
	}
	if len(b) > 0 {
		return 0, 0, fmt.Errorf("%d bytes too many in a block", len(b))
	}
	s.at += snapBlockHead + int64(length)
	return count, crc, nil
}

// account compares the first account of b and says how long it is.
func (s *snapshotReader) account(b []byte, known map[uint64]bool) (int, error) {
	if len(b) < snapAccountBytes {
		return 0, fmt.Errorf("an account of %d bytes", len(b))
	}
	uid := le.Uint64(b)
	u := s.books.users[uid]
	if u == nil || known[uid] {
		return 0, fmt.Errorf("user %d is in it, twice or without a posting", uid)
	}
	known[uid] = true
	if seq, place, debt := le.Uint64(b[8:]), le.Uint64(b[16:]), int64(le.Uint64(b[24:])); seq != u.seq || place != u.place || debt != u.debt {
		return 0, fmt.Errorf("user %d has last posting %d at %s and debt %d, the log says %d at %s and %d", uid, seq, placeText(place), debt, u.seq, placeText(u.place), u.debt)
	}
	lots, holds := int(le.Uint16(b[32:])), int(le.Uint16(b[34:]))
	n := snapAccountBytes
	size, err := sameLots(b[n:], lots, u.lots)
	if err != nil {
		return 0, fmt.Errorf("user %d: %w", uid, err)
	}
	n += size
	if holds != len(u.holds) {
		return 0, fmt.Errorf("user %d has %d open reservations, the log says %d", uid, holds, len(u.holds))
	}
	for range holds {
		if len(b) < n+snapHoldBytes {
			return 0, fmt.Errorf("user %d: a reservation is cut off", uid)
		}
		id, until := le.Uint64(b[n:]), int64(le.Uint64(b[n+8:]))
		i := slices.IndexFunc(u.holds, func(h hold) bool { return h.id == id && h.until == until })
		if i < 0 {
			return 0, fmt.Errorf("user %d: reservation %d until %d is not open", uid, id, until)
		}
		size, err := sameLots(b[n+snapHoldBytes:], int(le.Uint16(b[n+16:])), u.holds[i].lots)
		if err != nil {
			return 0, fmt.Errorf("user %d: reservation %d: %w", uid, id, err)
		}
		n += snapHoldBytes + size
	}
	return n, nil
}

// sameLots compares count lots at the beginning of b with those of the books.
func sameLots(b []byte, count int, want []lot) (size int, err error) {
	if len(b) < count*snapLotBytes {
		return 0, fmt.Errorf("lots are cut off")
	}
	if count != len(want) {
		return 0, fmt.Errorf("there are %d lots, the log says %d", count, len(want))
	}
	seen := map[lot]bool{}
	for i := range count {
		at := b[i*snapLotBytes:]
		l := lot{at[0], int64(le.Uint64(at[1:])), int64(le.Uint64(at[9:]))}
		if seen[l] || !slices.Contains(want, l) {
			return 0, fmt.Errorf("lot %+v is there twice, or the log knows none", l)
		}
		seen[l] = true
	}
	return count * snapLotBytes, nil
}

func (s *snapshotReader) end(accounts, blocks uint64, sums uint32) error {
	b, err := s.take(snapEndBytes)
	if err != nil {
		return err
	}
	if string(b[:8]) != snapEndMagic || le.Uint64(b[8:]) != blocks || le.Uint64(b[16:]) != accounts || le.Uint32(b[24:]) != sums || s.id.sum(b[:28]) != le.Uint32(b[28:]) {
		return fmt.Errorf("its end does not name %d accounts in %d blocks, or has another checksum", accounts, blocks)
	}
	if n, _ := io.ReadFull(s.r, make([]byte, 1)); n > 0 {
		return fmt.Errorf("bytes lie behind its end")
	}
	return nil
}
