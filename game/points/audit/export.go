package audit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/points"
)

// Bounds of an export.
const (
	exportVersion  = 1
	exportLineMax  = 4 << 20 // bytes: a posting of the most entries has about 1 MiB
	exportPageSize = points.HistoryMax
)

// Lister is what an export needs of a ledger.
type Lister interface {
	Postings(ctx context.Context, after uint64, limit int) ([]*game.Posting, error)
}

// Period is a time from a moment up to before another; a zero is open.
type Period struct {
	From game.Instant `json:"from"`
	To   game.Instant `json:"to"`
}

func (p Period) has(t game.Instant) bool {
	return t >= p.From && (p.To == 0 || t < p.To)
}

// A line is an object with one of head, posting and end, and the hash of all lines so
// far: SHA-256 of the hash before (32 bytes, zeros before the first line) and the
// bytes of the value of its first member as they stand. The last line has the end, and the
// signature of its hash.

// exportHead is the value of the first line.
type exportHead struct {
	Format  string `json:"format"` // "kamado points"
	Version int    `json:"version"`
	Period
	Key string `json:"key"` // the public key, as PublicKey writes it
}

const exportFormat = "kamado points"

// exportEnd is the value of the last line.
type exportEnd struct {
	Postings uint64      `json:"postings"`
	Classes  game.Totals `json:"classes"` // by number of the class: what the postings of this export moved
	Sum      game.Amount `json:"sum"`     // 0
}

// exportPosting is the value of a line of a posting.
type exportPosting struct {
	Seq       uint64       `json:"seq"`
	Time      game.Instant `json:"time"`
	Op        string       `json:"op"`
	Tx        string       `json:"tx"`
	Digest    string       `json:"digest"`
	UID       game.UID     `json:"uid"`
	To        game.UID     `json:"to,omitempty"`
	Amount    game.Amount  `json:"amount"`
	Kind      string       `json:"kind,omitempty"`
	Hold      uint64       `json:"hold,omitempty"`
	Until     game.Instant `json:"until"`
	Reason    string       `json:"reason,omitempty"`
	By        string       `json:"by,omitempty"`
	Balance   game.Amount  `json:"balance"`
	BalanceTo game.Amount  `json:"balance_to"`
	Entries   []game.Entry `json:"entries"`
}

func exported(p *game.Posting) exportPosting {
	e := exportPosting{
		Seq: p.Seq, Time: p.Time, Op: p.Op.String(), Tx: p.Tx, Digest: hex.EncodeToString(p.Digest[:]), UID: p.UID, To: p.To, Amount: p.Amount, Hold: p.Hold, Until: p.Until,
		Reason: p.Reason, By: p.By, Balance: p.Balance, BalanceTo: p.BalanceTo, Entries: p.Entries,
	}
	if p.Op == game.OpGrant {
		e.Kind = p.Kind.String()
	}
	return e
}

// lines writes lines with their hashes.
type lines struct {
	w    *bufio.Writer
	hash [sha256.Size]byte
}

// next is the hash of a line behind one.
func next(before [sha256.Size]byte, value []byte) (h [sha256.Size]byte) {
	s := sha256.New()
	s.Write(before[:]) //nolint:errcheck // never fails
	s.Write(value)     //nolint:errcheck // never fails
	s.Sum(h[:0])
	return h
}

func (l *lines) write(name string, value any, key ed25519.PrivateKey) error {
	b, err := json.Marshal(value)
	if err != nil {
		return err
	}
	l.hash = next(l.hash, b)
	fmt.Fprintf(l.w, `{"%s":%s,"hash":"%x"`, name, b, l.hash)
	if key != nil {
		fmt.Fprintf(l.w, `,"signature":"%x"`, ed25519.Sign(key, l.hash[:]))
	}
	_, err = l.w.WriteString("}\n")
	return err
}

// ExportReport is what an export has.
type ExportReport struct {
	Period
	Key      string // the public key that signed it
	Postings uint64
	First    uint64 // places of the first and the last posting; 0 when there is none
	Last     uint64
	Classes  game.Totals
}

// Export writes the postings of a period, as lines of JSON, and signs them.
func Export(ctx context.Context, from Lister, p Period, w io.Writer, key ed25519.PrivateKey) (*ExportReport, error) {
	l := &lines{w: bufio.NewWriter(w)}
	r := &ExportReport{Period: p, Key: PublicKey(key)}
	if err := l.write("head", exportHead{exportFormat, exportVersion, p, r.Key}, nil); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	for after, over := uint64(0), false; !over; {
		page, err := from.Postings(ctx, after, exportPageSize)
		if err != nil {
			return nil, fmt.Errorf("export: %w", err)
		}
		over = len(page) == 0
		for _, posting := range page {
			if after = posting.Seq; p.To != 0 && posting.Time >= p.To { // times never go down
				over = true
				break
			}
			if !p.has(posting.Time) {
				continue
			}
			if err := l.write("posting", exported(posting), nil); err != nil {
				return nil, fmt.Errorf("export: %w", err)
			}
			r.count(posting.Seq, posting.Entries)
		}
	}
	if err := l.write("end", exportEnd{r.Postings, r.Classes, r.Classes.Sum()}, key); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	if err := l.w.Flush(); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return r, nil
}

func (r *ExportReport) count(seq uint64, entries []game.Entry) {
	if r.Postings++; r.First == 0 {
		r.First = seq
	}
	r.Last = seq
	r.Classes.Add(entries)
}

// exportLine is a line as it is read.
type exportLine struct {
	Head      json.RawMessage `json:"head"`
	Posting   json.RawMessage `json:"posting"`
	End       json.RawMessage `json:"end"`
	Hash      string          `json:"hash"`
	Signature string          `json:"signature"`
}

// readPosting is what VerifyExport looks at in a posting.
type readPosting struct {
	Seq     uint64       `json:"seq"`
	Time    game.Instant `json:"time"`
	Entries []readEntry  `json:"entries"`
}

type readEntry struct {
	From   string      `json:"from"`
	To     string      `json:"to"`
	Amount game.Amount `json:"amount"`
}

var classByName = func() map[string]game.Class {
	m := map[string]game.Class{}
	for c := game.UserFree; c < game.ClassCount; c++ {
		m[c.String()] = c
	}
	return m
}()

// VerifyExport reads an export, and fails with the line at which it is not what was
// signed. key is the one that the auditor knows; nil trusts the export's own, whose
// text the report has.
func VerifyExport(r io.Reader, key ed25519.PublicKey) (*ExportReport, error) {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), exportLineMax)
	v := &exportReader{report: &ExportReport{}, key: key}
	for s.Scan() {
		v.number++
		if err := v.line(s.Bytes()); err != nil {
			return nil, fmt.Errorf("export: line %d: %w", v.number, err)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("export: line %d: %w", v.number+1, err)
	}
	if !v.ended {
		return nil, fmt.Errorf("export: it ends at line %d without a signature", v.number)
	}
	return v.report, nil
}

type exportReader struct {
	report *ExportReport
	key    ed25519.PublicKey
	hash   [sha256.Size]byte
	number int
	time   game.Instant
	ended  bool
}

func (v *exportReader) line(b []byte) error {
	var l exportLine
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return err
	}
	name, value := "posting", l.Posting
	switch {
	case v.ended:
		return errors.New("it stands behind the end")
	case v.number == 1:
		name, value = "head", l.Head
	case l.End != nil:
		name, value = "end", l.End
	}
	v.hash = next(v.hash, value)
	// What was hashed must be all that the line says, byte by byte.
	want := fmt.Sprintf(`{"%s":%s,"hash":"%x"`, name, value, v.hash)
	if name == "end" {
		signature, _ := hex.DecodeString(l.Signature) // what is no text of Export's is not equal
		want += fmt.Sprintf(`,"signature":"%x"`, signature)
	}
	if value == nil || string(b) != want+"}" {
		return errors.New("its hash is not that of the lines up to it: something was changed, added or removed")
	}
	switch name {
	case "head":
		return v.head(value)
	case "end":
		return v.end(value, l.Signature)
	}
	return v.posting(value)
}

func (v *exportReader) head(value []byte) error {
	var h exportHead
	if err := json.Unmarshal(value, &h); err != nil {
		return err
	}
	if h.Format != exportFormat || h.Version != exportVersion {
		return fmt.Errorf("format %.30q, version %d: want %q, version %d", h.Format, h.Version, exportFormat, exportVersion)
	}
	own, err := ParsePublicKey(h.Key)
	if err != nil {
		return err
	}
	if v.key == nil {
		v.key = own
	}
	if !v.key.Equal(own) {
		return fmt.Errorf("it was signed with key %s, which is not the one that was given", h.Key)
	}
	v.report.Period, v.report.Key = h.Period, h.Key
	return nil
}

func (v *exportReader) posting(value []byte) error {
	var p readPosting
	if err := json.Unmarshal(value, &p); err != nil {
		return err
	}
	if p.Seq <= v.report.Last || p.Time < v.time || !v.report.has(p.Time) {
		return fmt.Errorf("posting %d at %v follows posting %d at %v, in a period from %v to %v", p.Seq, p.Time.Time(), v.report.Last, v.time.Time(), v.report.From.Time(), v.report.To.Time())
	}
	entries := make([]game.Entry, len(p.Entries))
	for i, e := range p.Entries {
		from, to := classByName[e.From], classByName[e.To]
		if from == 0 || to == 0 || e.Amount < 1 || e.Amount > 33*game.AmountMax {
			return fmt.Errorf("posting %d: %d points from %.20q to %.20q", p.Seq, e.Amount, e.From, e.To)
		}
		entries[i] = game.Entry{From: from, To: to, Amount: e.Amount}
	}
	v.time = p.Time
	v.report.count(p.Seq, entries)
	return nil
}

func (v *exportReader) end(value []byte, signature string) error {
	var e exportEnd
	if err := json.Unmarshal(value, &e); err != nil {
		return err
	}
	sig, err := hex.DecodeString(signature)
	if err != nil || !ed25519.Verify(v.key, v.hash[:], sig) {
		return errors.New("the signature is not that of the key")
	}
	if e.Postings != v.report.Postings || e.Classes != v.report.Classes || e.Sum != 0 || v.report.Classes.Sum() != 0 {
		return fmt.Errorf("it names %d postings and sum %d, there are %d with sum %d", e.Postings, e.Sum, v.report.Postings, v.report.Classes.Sum())
	}
	v.ended = true
	return nil
}
