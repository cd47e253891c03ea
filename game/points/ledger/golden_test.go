package ledger

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/disk"
	"github.com/kamado/kamado/internal/disk/disktest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// goldenID is the id of the ledger of the golden files.
var goldenID = ledgerID{0x6b, 0x61, 0x6d, 0x61, 0x64, 0x6f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}

// goldenOrders use every operation and every field.
func goldenOrders() []game.Order {
	soon := game.At(goldenStart.Add(48 * time.Hour))
	return []game.Order{
		{Op: game.OpGrant, Tx: "a/1", UID: 1, Amount: 500, Kind: game.Paid, Expires: soon, Reason: "購入", By: "shop"},
		{Op: game.OpGrant, Tx: "a/2", UID: 1, Amount: 70},
		{Op: game.OpSpend, Tx: "a/3", UID: 1, Amount: 100, Reason: "hat", By: "world"},
		{Op: game.OpTransfer, Tx: "a/4", UID: 1, To: 2, Amount: 50},
		{Op: game.OpReserve, Tx: "a/5", UID: 1, Amount: 200, Term: time.Minute},
		{Op: game.OpConfirm, Tx: "a/6", UID: 1, Hold: 5, Amount: 150},
		{Op: game.OpReserve, Tx: "a/7", UID: 1, Amount: 10, Term: time.Hour},
		{Op: game.OpCancel, Tx: "a/8", Hold: 7},
		{Op: game.OpRevoke, Tx: "a/9", UID: 2, Amount: 60},
		{Op: game.OpReserve, Tx: "a/10", UID: 1, Amount: 20, Term: time.Hour},
	}
}

var goldenStart = time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)

// goldenLedger makes a ledger by its core and writer alone, so that its bytes are
// always the same: ten postings in two batches, a seal, and a snapshot behind the postings.
func goldenLedger(t testing.TB, d disk.Disk) (snapshot []byte) {
	t.Helper()
	w := &writer{disk: d, dir: "", id: &goldenID}
	spare, err := makeSpare(d, "", SegmentBytesMin)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.rollTo(spare); err != nil {
		t.Fatal(err)
	}
	c := newCore(game.Rules{Transfers: true})
	b := newBatch()
	for i, o := range goldenOrders() {
		if i%5 == 0 {
			b.reset(w.end.next, c.seq+1)
		}
		ch, err := c.prepare(&o, game.At(goldenStart.Add(time.Duration(i)*time.Second)))
		if err != nil {
			t.Fatalf("%s: %v", o.Tx, err)
		}
		from := len(b.buf)
		b.buf = appendRecord(b.buf, &goldenID, ch.Posting, ch.before, ch.beforeTo)
		b.sum.Write(b.buf[from:])
		b.count++
		b.now = ch.Posting.Time
		c.apply(&ch, at(b.start.segment(), b.start.offset()+int64(from)))
		if i%5 == 4 {
			if err := w.commit(b); err != nil {
				t.Fatal(err)
			}
		}
	}
	f := c.freeze()
	var out bytes.Buffer
	h := &snapshotHead{id: goldenID, end: w.end, accounts: uint64(f.accounts.n), totals: f.totals}
	if err := writeSnapshot(&out, h, f.accounts.each); err != nil {
		t.Fatal(err)
	}
	if err := w.control(kindSeal); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestGoldenFormat holds the bytes of segments and snapshots: what once was written
// must be readable for ever.
func TestGoldenFormat(t *testing.T) {
	t.Parallel()
	d := disktest.New(disktest.Faults{})
	snapshot := goldenLedger(t, d)
	segment := bytes.TrimRight(d.Bytes(segmentName(1)), "\x00")
	for name, got := range map[string][]byte{"segment": segment, "snapshot": snapshot} {
		file := filepath.Join("testdata", name+".hex")
		text := hex.Dump(got)
		if *update {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if text != string(want) {
			t.Errorf("the bytes of a %s are not those of %s:\n%s", name, file, text)
		}
	}
}

// TestGoldenIsRead opens a ledger of the golden bytes.
func TestGoldenIsRead(t *testing.T) {
	t.Parallel()
	for _, withSnapshot := range []bool{false, true} {
		w := newWorld(t, disktest.Faults{})
		w.cfg = small()
		snapshot := goldenLedger(t, w.disk)
		if withSnapshot {
			w.disk.Put(snapshotName(10), snapshot)
		}
		for _, o := range goldenOrders() {
			w.tried[o.Tx] = o
		}
		l, err := open(t.Context(), w.dir, w.cfg, w.deps())
		if err != nil {
			t.Fatal(err)
		}
		if got := l.core.seq; got != 10 || l.snapshotSeq != 0 != withSnapshot {
			t.Errorf("%d postings, snapshot of %d", got, l.snapshotSeq)
		}
		if err := w.gone(t.Context(), l); err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestReferenceHasTheFormat looks for what the code writes in the tables of the
// reference page: widths, offsets, magics and bounds.
func TestReferenceHasTheFormat(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../../docs/reference/game-ledger.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	// Rows of the tables, in the order of the page: each is where the one before ends.
	for _, table := range []struct {
		name  string
		rows  []string
		bytes int
	}{
		{"## A segment, version 1", []string{"0|8|magic `" + segmentMagic, "8|4|version: 1", "12|4|reserved", "16|16|ledger id", "32|8|number of the segment", "40|8|seq of the first", "48|8|number of the first", "56|8|time of the last", "64|32|chain of the last", "96|8|length of the file", "104|20|reserved", "124|4|CRC-32C"}, segmentHeadBytes},
		{"### A batch", []string{"0|4|magic `" + batchMagic, "4|4|CRC of the ledger", "8|4|length of the batch, with this header; at most 16777216", "12|4|kind: 1 postings, 2 mark", "16|8|number of the batch", "24|8|seq of its first", "32|4|how many", "36|4|reserved", "40|32|chain", "72||the postings"}, batchHeadBytes},
		{"### A posting", []string{"0|4|length of the body", "4|4|CRC of the ledger", "8|1|version of the body: 1", "9|1|operation", "10|1|kind of points", "11|1|reserved", "12|8|seq", "20|8|time", "28|16|digest", "44|8|user", "52|8|user that", "60|8|amount", "68|8|reservation", "76|8|end of", "84|8|balance of the user", "92|8|balance of the other", "100|8|place of the user", "108|8|place of the other", "116|2|number of entries, at most 4616", "118|2|bytes of the transaction id, 1 to 192", "120|2|bytes of the reason, at most 256", "122|2|bytes of the credential's name, at most 96", "124||"}, recordHeadBytes + bodyHeadBytes},
		{"### An entry", []string{"0|1|class that the amount is taken", "1|1|class that it is given", "2|1|whose", "3|1|whose", "4|8|amount", "12|8|end of the lot", "20|8|reservation"}, entryBytes},
		{"## A snapshot, version 1", []string{"0|8|magic `" + snapshotMagic, "8|4|version: 1", "12|4|reserved", "16|16|ledger id", "32|8|seq", "40|8|time", "48|8|number of the batch", "56|8|where the next batch", "64|32|chain", "96|8|number of accounts", "104|8|reserved", "112|96|sums", "208|12|reserved", "220|4|CRC-32C"}, snapshotHeadBytes},
	} {
		_, rest, ok := strings.Cut(page, table.name)
		if !ok {
			t.Errorf("the page has no part %q", table.name)
			continue
		}
		lines := strings.Split(rest, "\n")
		next, end := 0, 0
		for _, row := range table.rows {
			cells := strings.SplitN(row, "|", 3)
			offset, width := number(t, cells[0]), number(t, cells[1])
			if offset != end {
				t.Errorf("%s: a row at %d, and the one before ends at %d", table.name, offset, end)
			}
			end = offset + width
			want := "| " + cells[0] + " | " + cells[1] + " | "
			if cells[1] == "" {
				want = "| " + cells[0] + " | | "
			}
			for next < len(lines) && !strings.HasPrefix(lines[next], want+cells[2]) {
				next++
			}
			if next == len(lines) {
				t.Errorf("%s: no row begins with %q, in its order", table.name, want+cells[2])
				break
			}
		}
		if end != table.bytes {
			t.Errorf("%s: %d bytes, and the code has %d", table.name, end, table.bytes)
		}
	}
	if game.EntriesMax != 4616 || game.TxBytesMax != 192 || game.ReasonBytesMax != 256 || game.ByBytesMax != 96 || batchBytesMax != 16777216 || game.HoldsMax != 32 || game.ClassCount != 13 {
		t.Error("a bound changed: the page names it")
	}
}

// number reads a cell; an empty one is 0.
func number(t *testing.T, cell string) int {
	t.Helper()
	if cell == "" {
		return 0
	}
	n, err := strconv.Atoi(cell)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
