package sql

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/sqldb"
)

// head is how far the ledger is.
type head struct {
	seq      uint64
	time     game.Instant
	accounts uint64
	totals   game.Totals
}

func readHead(r sqldb.Reader) (head, error) {
	var seq, time, accounts int64
	var totals string
	if err := r.QueryRow("SELECT seq, time, accounts, totals FROM points_head WHERE id = 1").Scan(&seq, &time, &accounts, &totals); err != nil {
		return head{}, err
	}
	return headOf(seq, time, accounts, totals)
}

func headOf(seq, time, accounts int64, totals string) (head, error) {
	h := head{seq: uint64(seq), time: game.Instant(time), accounts: uint64(accounts)}
	var list []game.Amount
	if err := json.Unmarshal([]byte(totals), &list); err != nil || len(list) > len(h.totals) {
		return h, fmt.Errorf("%w: the totals of the ledger are %.60q", errBroken, totals)
	}
	copy(h.totals[:], list)
	return h, nil
}

func (h *head) write(w sqldb.Writer) error {
	totals, err := json.Marshal(h.totals[:])
	if err != nil {
		return err
	}
	_, err = w.Exec("UPDATE points_head SET seq = ?, time = ?, accounts = ?, totals = ? WHERE id = 1", int64(h.seq), int64(h.time), int64(h.accounts), string(totals))
	return err
}

// lotRow is a lot in JSON: kind, end, amount.
type lotRow [3]int64

// holdRow is a reservation in JSON.
type holdRow struct {
	ID    uint64   `json:"id"`
	Until int64    `json:"until"`
	Lots  []lotRow `json:"lots"`
}

// accountRow is the body of an account.
type accountRow struct {
	Lots  []lotRow  `json:"lots,omitempty"`
	Holds []holdRow `json:"holds,omitempty"`
	Debt  int64     `json:"debt,omitempty"`
}

func lotRows(lots []game.Lot) []lotRow {
	rows := make([]lotRow, len(lots))
	for i, l := range lots {
		rows[i] = lotRow{int64(l.Kind), int64(l.Expires), int64(l.Amount)}
	}
	return rows
}

func lotsOf(rows []lotRow) []game.Lot {
	if len(rows) == 0 {
		return nil
	}
	lots := make([]game.Lot, len(rows))
	for i, r := range rows {
		lots[i] = game.Lot{Kind: game.PointKind(r[0]), Expires: game.Instant(r[1]), Amount: game.Amount(r[2])}
	}
	return lots
}

func accountBody(a *game.Account) (string, error) {
	row := accountRow{Lots: lotRows(a.Lots), Debt: int64(a.Debt)}
	for _, h := range a.Holds {
		row.Holds = append(row.Holds, holdRow{h.ID, int64(h.Until), lotRows(h.Lots)})
	}
	body, err := json.Marshal(row)
	return string(body), err
}

// scanner is *sql.Row and *sql.Rows.
type scanner interface{ Scan(...any) error }

const accountColumns = "uid, seq, body"

func scanAccount(s scanner) (*game.Account, error) {
	var uid, seq int64
	var body string
	if err := s.Scan(&uid, &seq, &body); err != nil {
		return nil, err
	}
	return accountOf(uid, seq, body)
}

func accountOf(uid, seq int64, body string) (*game.Account, error) {
	a := &game.Account{UID: game.UID(uid), Seq: uint64(seq)}
	var row accountRow
	if err := json.Unmarshal([]byte(body), &row); err != nil {
		return nil, fmt.Errorf("%w: account %v: %w", errBroken, a.UID, err)
	}
	a.Lots, a.Debt = lotsOf(row.Lots), game.Amount(row.Debt)
	for _, h := range row.Holds {
		a.Holds = append(a.Holds, game.Hold{ID: h.ID, Until: game.Instant(h.Until), Lots: lotsOf(h.Lots)})
	}
	return a, nil
}

// entryRow is an entry in JSON: from, its user, to, its user, amount, end, reservation.
type entryRow [7]int64

// postingRow is the body of a posting: what no column has.
type postingRow struct {
	Digest    string     `json:"digest"`
	Kind      uint8      `json:"kind,omitempty"`
	Until     int64      `json:"until,omitempty"`
	Reason    string     `json:"reason,omitempty"`
	By        string     `json:"by,omitempty"`
	Balance   int64      `json:"balance"`
	BalanceTo int64      `json:"balance_to,omitempty"`
	Entries   []entryRow `json:"entries"`
}

const postingColumns = "seq, time, tx, op, uid, to_uid, amount, hold, body"

func postingValues(p *game.Posting) ([]any, error) {
	row := postingRow{
		Digest: hex.EncodeToString(p.Digest[:]), Kind: uint8(p.Kind), Until: int64(p.Until), Reason: p.Reason, By: p.By,
		Balance: int64(p.Balance), BalanceTo: int64(p.BalanceTo), Entries: make([]entryRow, len(p.Entries)),
	}
	for i, e := range p.Entries {
		row.Entries[i] = entryRow{int64(e.From), int64(e.FromUID), int64(e.To), int64(e.ToUID), int64(e.Amount), int64(e.Expires), int64(e.Hold)}
	}
	body, err := json.Marshal(row)
	return []any{int64(p.Seq), int64(p.Time), escape(p.Tx), int64(p.Op), int64(p.UID), int64(p.To), int64(p.Amount), int64(p.Hold), string(body)}, err
}

// columns are those of a posting as they lie in the database.
type columns struct {
	seq, time                 int64
	tx                        string
	op, uid, to, amount, hold int64
	body                      string
}

func (c *columns) into() []any {
	return []any{&c.seq, &c.time, &c.tx, &c.op, &c.uid, &c.to, &c.amount, &c.hold, &c.body}
}

func scanPosting(s scanner) (*game.Posting, error) {
	var c columns
	if err := s.Scan(c.into()...); err != nil {
		return nil, err
	}
	return c.posting()
}

func (c *columns) posting() (*game.Posting, error) {
	p := &game.Posting{
		Seq: uint64(c.seq), Time: game.Instant(c.time), Op: game.Op(c.op), Tx: c.tx, UID: game.UID(c.uid), To: game.UID(c.to), Amount: game.Amount(c.amount), Hold: uint64(c.hold),
	}
	var row postingRow
	err := json.Unmarshal([]byte(c.body), &row)
	if err == nil && len(row.Digest) != 2*len(p.Digest) {
		err = fmt.Errorf("a digest of %d digits", len(row.Digest))
	}
	if err == nil {
		_, err = hex.Decode(p.Digest[:], []byte(row.Digest))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: posting %d: %w", errBroken, p.Seq, err)
	}
	p.Tx, p.Kind, p.Until, p.Reason, p.By = plain(p.Tx), game.PointKind(row.Kind), game.Instant(row.Until), row.Reason, row.By
	p.Balance, p.BalanceTo = game.Amount(row.Balance), game.Amount(row.BalanceTo)
	p.Entries = make([]game.Entry, len(row.Entries))
	for i, e := range row.Entries {
		p.Entries[i] = game.Entry{
			From: game.Class(e[0]), FromUID: game.UID(e[1]), To: game.Class(e[2]), ToUID: game.UID(e[3]), Amount: game.Amount(e[4]), Expires: game.Instant(e[5]), Hold: uint64(e[6]),
		}
		if c := &p.Entries[i]; c.From == 0 || c.From >= game.ClassCount || c.To == 0 || c.To >= game.ClassCount || c.Amount < 1 {
			return nil, fmt.Errorf("%w: posting %d: entry %v", errBroken, p.Seq, e)
		}
	}
	return p, nil
}

// PostgreSQL takes no zero byte in a text: it becomes \0, and a backslash two.
var (
	escaper = strings.NewReplacer(`\`, `\\`, "\x00", `\0`)
	plainer = strings.NewReplacer(`\\`, `\`, `\0`, "\x00")
)

func escape(text string) string { return escaper.Replace(text) }
func plain(text string) string  { return plainer.Replace(text) }

// in makes a list for IN of keys, in few sizes, so that the database keeps its
// statements prepared: the last key, or one that no row has, fills the size up.
func in(keys []any, none any) (string, []any) {
	last := none
	if len(keys) > 0 {
		last = keys[len(keys)-1]
	}
	n := roundUp(len(keys))
	for len(keys) < n {
		keys = append(keys, last)
	}
	return "(?" + strings.Repeat(", ?", n-1) + ")", keys
}

// rows asks and gives each row to fn.
func rows(r sqldb.Reader, query string, args []any, fn func(scanner) error) error {
	list, err := r.Query(query, args...)
	if err != nil {
		return err
	}
	defer list.Close()
	for list.Next() {
		if err := fn(list); err != nil {
			return err
		}
	}
	return list.Err()
}

// roundUp gives the power of two that is not less than n, at least 1.
func roundUp(n int) int {
	size := 1
	for size < n {
		size *= 2
	}
	return size
}

// table is a table that rows are put into. types has B for BIGINT and T for TEXT;
// the first column is a BIGINT that is greater than zero in every true row.
type table struct {
	name, columns, types, tail string
}

var (
	postingTable = table{"points_postings", postingColumns, "BBTBBBBBT", ""}
	accountTable = table{"points_accounts", "uid, seq, next_end, body", "BBBT", " ON CONFLICT (uid) DO UPDATE SET seq = excluded.seq, next_end = excluded.next_end, body = excluded.body"}
)

// put writes rows, in statements of few sizes: rows of zeros, which are left out by
// the database, fill the size up.
func (t table) put(w sqldb.Writer, list [][]any) error {
	for part := range slices.Chunk(list, rowsMax) {
		if err := t.putPart(w, part); err != nil {
			return err
		}
	}
	return nil
}

func (t table) putPart(w sqldb.Writer, list [][]any) error {
	size := roundUp(len(list))
	args := make([]any, 0, size*len(t.types))
	for _, row := range list {
		args = append(args, row...)
	}
	for range size - len(list) {
		for _, c := range t.types {
			if c == 'T' {
				args = append(args, "")
			} else {
				args = append(args, int64(0))
			}
		}
	}
	n, err := w.Exec(t.statement(size), args...)
	if err == nil && n != int64(len(list)) {
		return fmt.Errorf("%w: %d of %d rows of %s were written", errBroken, n, len(list), t.name)
	}
	return err
}

func (t table) statement(size int) string {
	var casts []string
	for _, c := range t.types {
		casts = append(casts, map[rune]string{'B': "CAST(? AS BIGINT)", 'T': "CAST(? AS TEXT)"}[c])
	}
	row := "(" + strings.Join(casts, ", ") + ")"
	return "INSERT INTO " + t.name + " (" + t.columns + ") SELECT * FROM (VALUES " + row + strings.Repeat(", "+row, size-1) + ") AS v WHERE column1 > 0" + t.tail
}
