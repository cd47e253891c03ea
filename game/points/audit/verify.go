package audit

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/kamado/kamado/game"
)

// problemsMax is how many problems a report has; further ones are only counted.
const problemsMax = 100

// Problem is something that is wrong.
type Problem struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"` // bytes from the beginning of the file
	Seq    uint64 `json:"seq,omitempty"`
	What   string `json:"what"`
}

func (p Problem) String() string {
	if p.Seq > 0 {
		return fmt.Sprintf("%s at %d, posting %d: %s", p.File, p.Offset, p.Seq, p.What)
	}
	return fmt.Sprintf("%s at %d: %s", p.File, p.Offset, p.What)
}

// Report is what Verify found.
type Report struct {
	Ledger    string       `json:"ledger"` // its id, in hexadecimal
	Segments  int          `json:"segments"`
	Bytes     int64        `json:"bytes"` // of headers and whole batches
	Batches   uint64       `json:"batches"`
	Postings  uint64       `json:"postings"`
	Accounts  uint64       `json:"accounts"`
	Open      int          `json:"open_reservations"`
	Last      game.Instant `json:"last_posting"`
	Classes   game.Totals  `json:"classes"`
	Sum       game.Amount  `json:"sum"`       // of all classes: 0
	Snapshots int          `json:"snapshots"` // that agree with the postings
	// End says how the log ends: clean, torn (a crash, or a ledger that is writing), or damaged.
	End      string    `json:"end"`
	EndFile  string    `json:"end_file"`
	EndAt    int64     `json:"end_offset"`
	Problems []Problem `json:"problems"`
	// Wrong is how many problems there are; Problems has the first of them.
	Wrong int `json:"wrong"`
}

// OK says whether nothing is wrong.
func (r *Report) OK() bool { return r.Wrong == 0 }

// VerifyConfig is how to verify. Zero values stand for the defaults.
type VerifyConfig struct {
	// Temp is a folder for what does not fit into memory: 16 bytes for each posting.
	// Default: the system's.
	Temp string
}

// verifier collects a Report.
type verifier struct {
	report *Report
	books  *books
	ids    *ids
	walk   *walk
	// check looks for what is known of the state behind the last batch; may be nil.
	check func() error
}

// Verify reads all of a ledger's directory, which may be in use, and says what is
// wrong. An error means that it could not be read.
func Verify(ctx context.Context, dir string, cfg VerifyConfig) (*Report, error) {
	snapshots, err := listSnapshots(dir)
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	segments, err := listSegments(dir)
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	v := newVerifier(folder(dir), cfg)
	defer v.ids.close()
	v.check = func() error {
		for len(snapshots) > 0 && snapshots[0].seq < v.walk.next.seq {
			if err := v.snapshot(dir, snapshots[0]); err != nil {
				return err
			}
			snapshots = snapshots[1:]
		}
		return nil
	}
	if err := v.run(ctx); err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	for _, s := range snapshots {
		if _, err := os.Stat(s.path(dir)); err == nil { // it may have made room for a later one
			v.wrong(Problem{File: s.name(), What: fmt.Sprintf("it is of posting %d, the log ends before", s.seq)})
		}
	}
	for _, number := range segments {
		if number > v.walk.at.segment+1 && v.report.End != endDamaged {
			v.wrong(Problem{File: segmentName(number), What: fmt.Sprintf("the log ends in segment %d, before it", v.walk.at.segment)})
		}
	}
	return v.report, nil
}

// listSegments gives the numbers of a directory's segments.
func listSegments(dir string) (numbers []uint64, err error) {
	files, err := os.ReadDir(dir)
	for _, f := range files {
		digits, ok := strings.CutSuffix(f.Name(), ".log")
		if number, err := strconv.ParseUint(digits, 10, 64); ok && err == nil && number > 0 && f.Name() == segmentName(number) {
			numbers = append(numbers, number)
		}
	}
	return numbers, err
}

func newVerifier(s shelf, cfg VerifyConfig) *verifier {
	v := &verifier{report: &Report{Problems: []Problem{}}, books: newBooks(), ids: newIDs(cfg.Temp)}
	v.walk = &walk{shelf: s, problem: v.problem, posting: v.posting, visit: func(*batch) error {
		v.report.Batches++
		if v.check != nil {
			return v.check()
		}
		return nil
	}, segment: func(segmentHead) error { v.report.Segments++; return nil }}
	return v
}

func (v *verifier) wrong(p Problem) {
	if v.report.Wrong++; len(v.report.Problems) < problemsMax {
		v.report.Problems = append(v.report.Problems, p)
	}
}

func (v *verifier) problem(at spot, err error) {
	v.wrong(Problem{File: segmentName(at.segment), Offset: at.offset, What: err.Error()})
}

func (v *verifier) posting(p *posting) error {
	v.report.Postings++
	for _, err := range v.books.post(p) {
		v.wrong(Problem{File: segmentName(p.place >> 32), Offset: int64(p.place & 0xffffffff), Seq: p.seq, What: err.Error()})
	}
	return v.ids.add(p.tx, p.place)
}

func (v *verifier) run(ctx context.Context) error {
	end, err := v.walk.run(ctx)
	if errors.Is(err, errBadHead) {
		end, err = endDamaged, nil
	}
	if err != nil {
		return err
	}
	if err := v.ids.twice(func(a, b uint64) error { return v.compareIDs(ctx, a, b) }); err != nil {
		return fmt.Errorf("look for transaction ids that are there twice: %w", err)
	}
	r := v.report
	r.Ledger, r.Bytes, r.End, r.EndFile, r.EndAt = hex.EncodeToString(v.walk.id[:]), v.walk.bytes, end, segmentName(v.walk.at.segment), v.walk.at.offset
	r.Accounts, r.Open, r.Last = uint64(len(v.books.users)), v.books.open, game.Instant(v.walk.next.time)
	for class, sum := range v.books.sums {
		r.Classes[class] = game.Amount(sum)
	}
	if r.Sum = game.Amount(v.books.total()); r.Sum != 0 {
		v.wrong(Problem{File: r.EndFile, Offset: r.EndAt, What: fmt.Sprintf("the sum of all accounts is %d, not 0", r.Sum)})
	}
	v.classes()
	return nil
}

// classes adds the accounts up once more, beside the sums of their classes.
func (v *verifier) classes() {
	var sums [game.ClassCount]int64
	for _, u := range v.books.users {
		for _, l := range u.lots {
			sums[game.UserFree+game.Class(l.kind)] += l.amount
		}
		for _, h := range u.holds {
			for _, l := range h.lots {
				sums[game.HeldFree+game.Class(l.kind)] += l.amount
			}
		}
		sums[game.UserDebt] -= u.debt
	}
	for class := game.UserFree; class <= game.UserDebt; class++ {
		if sums[class] != v.books.sums[class] {
			v.wrong(Problem{File: v.report.EndFile, Offset: v.report.EndAt, What: fmt.Sprintf("the accounts of class %v have %d, the entries say %d", class, sums[class], v.books.sums[class])})
		}
	}
}

// compareIDs looks at two postings whose ids have the same hash.
func (v *verifier) compareIDs(ctx context.Context, a, b uint64) error {
	first, err := v.idAt(ctx, a)
	if err != nil {
		return err
	}
	second, err := v.idAt(ctx, b)
	if err != nil {
		return err
	}
	if bytes.Equal(first, second) {
		v.wrong(Problem{File: segmentName(b >> 32), Offset: int64(b & 0xffffffff), What: fmt.Sprintf("transaction id %q is also that of the posting at %s", second, placeText(a))})
	}
	return nil
}

// idAt reads the transaction id of the posting at a place.
func (v *verifier) idAt(ctx context.Context, place uint64) ([]byte, error) {
	f, err := v.walk.shelf.open(ctx, place>>32)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := io.CopyN(io.Discard, f, int64(place&0xffffffff)); err != nil {
		return nil, err
	}
	b := make([]byte, postingBytesMin)
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, err
	}
	tx := make([]byte, le.Uint16(b[118:]))
	_, err = io.ReadFull(f, tx)
	return tx, err
}
