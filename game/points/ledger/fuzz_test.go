package ledger

import (
	"bytes"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/disk/disktest"
)

// goldenRecords gives the postings of the golden ledger as they stand in the log.
func goldenRecords(t testing.TB) (records [][]byte, segment []byte) {
	t.Helper()
	d := disktest.New(disktest.Faults{})
	goldenLedger(t, d)
	segment = bytes.TrimRight(d.Bytes(segmentName(1)), "\x00")
	for off := segmentHeadBytes; off+batchHeadBytes <= len(segment); {
		h, err := parseBatchHead(segment[off:], &goldenID)
		if err != nil {
			t.Fatal(err)
		}
		b := wholeBatch{h, at(1, int64(off)), segment[off : off+h.size]}
		err = b.records(&goldenID, func(r *record, here place) error {
			records = append(records, segment[here.offset():here.offset()+int64(r.size)])
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		off += h.size
	}
	return records, segment
}

// FuzzRecord mends the checksum, so that what stands behind it is tried. What is read is written the same.
func FuzzRecord(f *testing.F) {
	records, _ := goldenRecords(f)
	for _, r := range records {
		f.Add(r)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= recordHeadBytes {
			if n := int(le.Uint32(b)); n >= 0 && n <= len(b)-recordHeadBytes {
				le.PutUint32(b[4:], goldenID.crcRecord(b[:recordHeadBytes+n]))
			}
		}
		var r record
		if parseRecord(b, &goldenID, &r) != nil {
			return
		}
		p := r.whole()
		if again := appendRecord(nil, &goldenID, p, r.before, r.beforeTo); !bytes.Equal(again, b[:r.size]) {
			t.Errorf("%x was read as %+v, which is written as %x", b[:r.size], p, again)
		}
	})
}

// FuzzSegment opens a directory with one segment of any bytes behind a right header,
// heads of batches mended. It opens, or is refused; it never panics, and what opened is in balance.
func FuzzSegment(f *testing.F) {
	_, segment := goldenRecords(f)
	f.Add(segment[segmentHeadBytes:], true)
	f.Add(segment[segmentHeadBytes:], false)
	f.Add(segment[segmentHeadBytes:len(segment)-200], true)
	f.Add([]byte(batchMagic), true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, body []byte, mend bool) {
		b := append(bytes.Clone(segment[:segmentHeadBytes]), body...)
		if mend {
			mendBatches(b)
		}
		d := disktest.New(disktest.Faults{})
		d.Put(segmentName(1), b)
		l, err := Open(t.Context(), t.TempDir(), small(), Deps{disk: d, indexFS: vfs.NewMem()})
		if err != nil {
			if k := game.KindOf(err); k != game.Internal {
				t.Errorf("Open = %v (%v)", err, k)
			}
			return
		}
		if s := l.core.totals.Sum(); s != 0 {
			t.Errorf("the sum is %d", s)
		}
		l.Close()
	})
}

// mendBatches makes right the chain and the checksum of each batch whose length is possible.
func mendBatches(b []byte) {
	var before chain
	for off := segmentHeadBytes; off+batchHeadBytes <= len(b); {
		size := int(le.Uint32(b[off+8:]))
		if size < batchHeadBytes || size > len(b)-off {
			return
		}
		copy(b[off:], batchMagic)
		before = chainOf(&before, b[off:off+size])
		copy(b[off+40:], before[:])
		le.PutUint32(b[off+4:], goldenID.crc(b[off+8:off+batchHeadBytes]))
		off += size
	}
}

// FuzzSnapshot reads any bytes as a snapshot; what is read is written the same.
func FuzzSnapshot(f *testing.F) {
	snapshot := goldenLedger(f, disktest.New(disktest.Faults{}))
	f.Add(snapshot, false)
	f.Add(snapshot, true)
	f.Add(snapshot[:len(snapshot)-1], true)
	f.Add([]byte(snapshotMagic), true)
	f.Fuzz(func(t *testing.T, b []byte, mend bool) {
		if mend {
			mendSnapshot(b)
		}
		c := newCore(game.Rules{})
		h, err := readSnapshot(bytes.NewReader(b), &goldenID, c.restore)
		if err != nil {
			return
		}
		var out bytes.Buffer
		all := c.table.freeze()
		if err := writeSnapshot(&out, &h, all.each); err != nil {
			t.Fatal(err)
		}
		c2 := newCore(game.Rules{})
		if _, err := readSnapshot(&out, &goldenID, c2.restore); err != nil || c2.table.n != c.table.n {
			t.Errorf("what was read cannot be read again: %v", err)
		}
	})
}

// mendSnapshot makes right the checksums of the head and of the first block.
func mendSnapshot(b []byte) {
	if len(b) < snapshotHeadBytes+blockHeadBytes+snapshotEndBytes {
		return
	}
	le.PutUint32(b[220:], crcMore(0, b[:220]))
	block := b[snapshotHeadBytes:]
	n := int(le.Uint32(block))
	if n < 0 || n != len(block)-blockHeadBytes-snapshotEndBytes {
		return
	}
	le.PutUint32(block[8:], goldenID.crc(block[:8], block[blockHeadBytes:blockHeadBytes+n]))
	tail := block[blockHeadBytes+n:]
	le.PutUint32(tail[24:], crcMore(0, block[8:blockHeadBytes]))
	le.PutUint32(tail[28:], goldenID.crc(tail[:28]))
}

// TestHotPathDoesNotAllocate: what each posting passes in the decider, besides Decide itself.
func TestHotPathDoesNotAllocate(t *testing.T) {
	records, _ := goldenRecords(t)
	var r record
	if err := parseRecord(records[0], &goldenID, &r); err != nil {
		t.Fatal(err)
	}
	p := r.whole()
	f := newFilter(4096)
	buf := make([]byte, 0, 4096)
	entries := make([]game.Entry, 0, 64)
	for what, do := range map[string]func(){
		"appendRecord": func() { buf = appendRecord(buf[:0], &goldenID, p, 1, 2) },
		"parseRecord":  func() { _ = parseRecord(records[0], &goldenID, &r) },
		"entries":      func() { entries = r.appendEntries(entries[:0]) },
		"filter":       func() { k := keyOf(p.Tx); f.add(&k); f.may(&k) },
	} {
		if n := testing.AllocsPerRun(100, do); n != 0 {
			t.Errorf("%s allocates %v times, want 0", what, n)
		}
	}
}
