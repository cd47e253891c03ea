package audit

import (
	"bytes"
	"context"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kamado/kamado/game"
)

// forged is a log that is whole as far as bytes go, with postings that may be wrong:
// what somebody could write who knows the document.
type forged struct {
	postings []posting
	id       ledgerID
}

func (f *forged) posting(p *posting) []byte {
	b := make([]byte, 124)
	b[8], b[9], b[10] = 1, p.op, p.kind
	le.PutUint64(b[12:], p.seq)
	le.PutUint64(b[20:], uint64(p.time))
	copy(b[28:], p.digest[:])
	for i, v := range []uint64{p.uid, p.to, uint64(p.amount), p.hold, uint64(p.until), uint64(p.balance), uint64(p.balanceTo), p.before, p.beforeTo} {
		le.PutUint64(b[44+8*i:], v)
	}
	le.PutUint16(b[116:], uint16(len(p.entries)))
	le.PutUint16(b[118:], uint16(len(p.tx)))
	b = append(b, p.tx...)
	for _, e := range p.entries {
		b = append(b, byte(e.from), byte(e.to), e.fromWhose, e.toWhose)
		b = le.AppendUint64(le.AppendUint64(le.AppendUint64(b, uint64(e.amount)), uint64(e.expires)), e.hold)
	}
	le.PutUint32(b, uint32(len(b)-8))
	le.PutUint32(b[4:], f.id.sum(b[:4], b[8:]))
	return b
}

// segment gives one segment with a batch of all postings.
func (f *forged) segment() []byte {
	b := make([]byte, headBytes, 4096)
	copy(b, headMagic)
	le.PutUint32(b[8:], 1)
	copy(b[16:], f.id[:])
	le.PutUint64(b[32:], 1)
	le.PutUint64(b[40:], 1)
	le.PutUint64(b[48:], 1)
	batch := make([]byte, batchHeadBytes)
	copy(batch, batchMagic)
	for i := range f.postings {
		p := &f.postings[i]
		p.place = 1<<32 | uint64(headBytes+len(batch))
		batch = append(batch, f.posting(p)...)
	}
	le.PutUint32(batch[8:], uint32(len(batch)))
	le.PutUint32(batch[12:], kindPostings)
	le.PutUint64(batch[16:], 1)
	le.PutUint64(batch[24:], 1)
	shorten(f.id, batch, uint32(len(f.postings)), chain{})
	b = append(b, batch...)
	b = append(b, make([]byte, 512)...)
	le.PutUint64(b[96:], uint64(len(b)))
	le.PutUint32(b[124:], sumOf(b[:124]))
	return b
}

func sumOf(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// right is a log in which everything is right.
func right() *forged {
	const at = 1_700_000_000_000_000
	f := &forged{id: ledgerID{1, 2, 3}}
	f.postings = []posting{
		{op: 1, seq: 1, uid: 7, amount: 100, balance: 100, tx: []byte("a"), entries: []entry{{from: game.IssuedFree, to: game.UserFree, toWhose: 1, amount: 100}}},
		{op: 2, seq: 2, uid: 7, amount: 30, balance: 70, tx: []byte("b"), entries: []entry{{from: game.UserFree, fromWhose: 1, to: game.SpentFree, amount: 30}}},
		{op: 4, seq: 3, uid: 7, amount: 20, hold: 3, until: at + 1000, balance: 50, tx: []byte("c"), entries: []entry{{from: game.UserFree, fromWhose: 1, to: game.HeldFree, toWhose: 1, amount: 20, hold: 3}}},
		{op: 5, seq: 4, uid: 7, amount: 20, hold: 3, balance: 50, tx: []byte("d"), entries: []entry{{from: game.HeldFree, fromWhose: 1, to: game.SpentFree, amount: 20, hold: 3}}},
		{op: 3, seq: 5, uid: 7, to: 8, amount: 10, balance: 40, balanceTo: 10, tx: []byte("e"), entries: []entry{{from: game.UserFree, fromWhose: 1, to: game.UserFree, toWhose: 2, amount: 10}}},
	}
	for i := range f.postings {
		f.postings[i].time = at + int64(i)
	}
	f.segment() // places
	for i := 1; i < len(f.postings); i++ {
		f.postings[i].before = f.postings[i-1].place
	}
	return f
}

func (f *forged) verify(t *testing.T) *Report {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, segmentName(1)), f.segment(), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Verify(t.Context(), dir, VerifyConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestForgedPostingsAreFound holds that arithmetic is judged, not only bytes.
func TestForgedPostingsAreFound(t *testing.T) {
	if r := right().verify(t); !r.OK() || r.Postings != 5 || r.End != endClean {
		t.Fatalf("a log in order: %+v", r)
	}
	for what, c := range map[string]struct {
		change func(p []posting)
		want   string
	}{
		"an id twice":                    {func(p []posting) { p[4].tx = []byte("a") }, "transaction id"},
		"more is spent than there is":    {func(p []posting) { p[1].amount, p[1].entries[0].amount = 101, 101 }, "a lot has -1 points"},
		"points of a kind nobody has":    {func(p []posting) { p[1].entries[0].from = game.UserPaid }, "not there"},
		"a balance that is not so":       {func(p []posting) { p[1].balance++ }, "can spend 70 by the entries"},
		"the other's balance":            {func(p []posting) { p[4].balanceTo++ }, "can spend 10 by the entries"},
		"an amount that was not moved":   {func(p []posting) { p[0].amount++ }, "moves 100"},
		"a reservation that is not open": {func(p []posting) { p[3].hold, p[3].entries[0].hold = 2, 2 }, "not open"},
		"a reservation of another place": {func(p []posting) { p[2].hold, p[2].entries[0].hold = 9, 9 }, "makes reservation 9"},
		"a reservation that stays":       {func(p []posting) { p[3].amount, p[3].entries[0].amount = 19, 19 }, "still open"},
		"a reservation ends twice":       {func(p []posting) { p[4] = p[3]; p[4].seq, p[4].tx = 5, []byte("x") }, "ended before"},
		"time goes back":                 {func(p []posting) { p[2].time = 1 }, "not before time"},
		"a posting is left out":          {func(p []posting) { p[2].seq = 4 }, "is due"},
		"history is led astray":          {func(p []posting) { p[3].before = p[0].place }, "before it lies at"},
		"an entry of nobody":             {func(p []posting) { p[0].entries[0].toWhose = 2 }, "of 2"},
		"an entry of nothing":            {func(p []posting) { p[0].entries[0].amount = 0 }, "an amount of 0"},
		"a class that is none":           {func(p []posting) { p[0].entries[0].from = 13 }, "classes"},
		"an operation that is none":      {func(p []posting) { p[0].op = 9 }, "operation 9"},
	} {
		f := right()
		c.change(f.postings)
		r := f.verify(t)
		if r.OK() || !slices.ContainsFunc(r.Problems, func(p Problem) bool {
			return strings.Contains(p.What, c.want) && p.File == segmentName(1) && p.Offset > 0
		}) {
			t.Errorf("%s: problems %v, want one with %q", what, r.Problems, c.want)
		}
	}
}

// TestIDsSpill finds ids that are there twice also when they do not fit into memory.
func TestIDsSpill(t *testing.T) {
	s := newIDs(t.TempDir())
	defer s.close()
	const count = idParts * idRows * 2
	for i := range uint64(count) {
		if err := s.add(le.AppendUint64(nil, i), i); err != nil {
			t.Fatal(err)
		}
	}
	if s.made == "" {
		t.Error("nothing was put into files")
	}
	for _, twice := range []uint64{0, 12345, count - 1} {
		if err := s.add(le.AppendUint64(nil, twice), count+twice); err != nil {
			t.Fatal(err)
		}
	}
	found := map[uint64]uint64{}
	if err := s.twice(func(a, b uint64) error { found[a] = b; return nil }); err != nil {
		t.Fatal(err)
	}
	if len(found) != 3 || found[0] != count || found[12345] != count+12345 || found[count-1] != 2*count-1 {
		t.Errorf("found %v", found)
	}
}

// one is a shelf with one segment.
type one []byte

func (o one) open(_ context.Context, number uint64) (io.ReadCloser, error) {
	if number != 1 {
		return nil, os.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(o)), nil
}

// FuzzSegment reads bytes as a segment, with the checksums mended so that what lies behind them is reached.
func FuzzSegment(f *testing.F) {
	f.Add(right().segment(), false)
	f.Add(right().segment(), true)
	f.Add(right().segment()[:300], true)
	f.Fuzz(func(t *testing.T, b []byte, mend bool) {
		if mend {
			b = mended(b)
		}
		v := newVerifier(one(b), VerifyConfig{Temp: t.TempDir()})
		defer v.ids.close()
		if err := v.run(t.Context()); err != nil {
			t.Errorf("run = %v", err)
		}
	})
}

// mended makes the checksums and the chain of a segment's first batch right.
func mended(b []byte) []byte {
	b = bytes.Clone(b)
	if len(b) < headBytes+batchHeadBytes {
		return b
	}
	le.PutUint32(b[124:], sumOf(b[:124]))
	id, batch := ledgerID(b[16:32]), b[headBytes:]
	n := int(le.Uint32(batch[8:]))
	if n < batchHeadBytes || n > len(batch) {
		return b
	}
	batch = batch[:n]
	for rest := batch[batchHeadBytes:]; len(rest) >= postingBytesMin; {
		n := int(le.Uint32(rest)) + postingHead
		if n < postingBytesMin || n > len(rest) {
			break
		}
		le.PutUint32(rest[4:], id.sum(rest[:4], rest[8:n]))
		rest = rest[n:]
	}
	shorten(id, batch, le.Uint32(batch[32:]), chain{})
	return b
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"version":1,"ledger":"00","batch":1,"postings":1,"time":null,"chain":"00","segments":[{"number":1,"key":"segments/0000000001.log-128","bytes":128,"sha256":"0000000000000000000000000000000000000000000000000000000000000000","length":128,"sealed":false}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := parseManifest(b); err == nil && len(m.Segments) == 0 {
			t.Error("a manifest without segments was taken")
		}
	})
}

// FuzzSnapshot reads bytes as a snapshot of the log of right, with checksums mended.
func FuzzSnapshot(f *testing.F) {
	v := newVerifier(one(right().segment()), VerifyConfig{})
	if err := v.run(f.Context()); err != nil {
		f.Fatal(err)
	}
	want := snapshotHead{seq: 5, time: v.walk.next.time, batch: 1, next: 1<<32 | uint64(v.walk.at.offset), chain: v.walk.next.chain, accounts: uint64(len(v.books.users)), sums: v.books.sums}
	good := snapshotOf(v.walk.id, want, v.books)
	if err := (&snapshotReader{r: bytes.NewReader(good), id: v.walk.id, books: v.books}).read(5, want); err != nil {
		f.Fatalf("a snapshot in order: %v", err)
	}
	block := good[snapHeadBytes : len(good)-snapEndBytes]
	f.Add(block)
	f.Add(block[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= snapBlockHead {
			b = bytes.Clone(b)
			le.PutUint32(b[8:], v.walk.id.sum(b[:8], b[snapBlockHead:]))
		}
		all := slices.Concat(good[:snapHeadBytes], b, good[len(good)-snapEndBytes:])
		if err := (&snapshotReader{r: bytes.NewReader(all), id: v.walk.id, books: v.books}).read(5, want); err == nil && !bytes.Equal(b, block) {
			t.Error("accounts that are not those of the log were taken")
		}
	})
}

// snapshotOf writes a snapshot of the books in one block.
func snapshotOf(id ledgerID, h snapshotHead, books *books) []byte {
	b := make([]byte, snapHeadBytes)
	copy(b, snapMagic)
	le.PutUint32(b[8:], 1)
	copy(b[16:], id[:])
	for i, v := range []uint64{h.seq, uint64(h.time), h.batch, h.next} {
		le.PutUint64(b[32+8*i:], v)
	}
	copy(b[64:], h.chain[:])
	le.PutUint64(b[96:], h.accounts)
	for class := game.UserFree; class < game.ClassCount; class++ {
		le.PutUint64(b[112+8*(int(class)-1):], uint64(h.sums[class]))
	}
	le.PutUint32(b[220:], sumOf(b[:220]))
	block := make([]byte, snapBlockHead)
	for uid, u := range books.users {
		for _, v := range []uint64{uid, u.seq, u.place, uint64(u.debt)} {
			block = le.AppendUint64(block, v)
		}
		block = le.AppendUint16(le.AppendUint16(block, uint16(len(u.lots))), uint16(len(u.holds)))
		for _, l := range u.lots {
			block = le.AppendUint64(le.AppendUint64(append(block, l.kind), uint64(l.end)), uint64(l.amount))
		}
	}
	le.PutUint32(block, uint32(len(block)-snapBlockHead))
	le.PutUint32(block[4:], uint32(h.accounts))
	crc := id.sum(block[:8], block[snapBlockHead:])
	le.PutUint32(block[8:], crc)
	end := make([]byte, snapEndBytes)
	copy(end, snapEndMagic)
	le.PutUint64(end[8:], 1)
	le.PutUint64(end[16:], h.accounts)
	le.PutUint32(end[24:], sumOf(le.AppendUint32(nil, crc)))
	le.PutUint32(end[28:], id.sum(end[:28]))
	return slices.Concat(b, block, end)
}
