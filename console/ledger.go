package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// transactionsPage is the number of transactions on the ledger's page.
const transactionsPage = 30

// ledgerData is the ledger: the sum check, what waits, and what happened.
type ledgerData struct {
	Totals           totals
	Rows             []sumRow
	Added            int64 // the sum of all classes, added up here once more
	Approvals        []approval
	ApprovalsProblem *problem
	Transactions     []transaction // the newest first
	ListProblem      *problem
	Place            string // the newest place that is shown, when one was asked for
	Here, Older      string
	Unspent          unspentData
	Problem          *problem
	CLI, API         string
}

// Sound says that the ledger is in order.
func (d ledgerData) Sound() bool { return d.Totals.Sum == 0 && d.Added == 0 }

// sumRow is a row of the sum check. A nil amount stands for a class that is not of a kind.
type sumRow struct {
	Name       string // of the texts ledger.row_NAME and ledger.hint_NAME; empty: a class that this program does not know
	Class      string // the unknown one
	Free, Paid *int64
	All        int64
}

// sumRows are the rows of the sum check with the classes that they are made of: free, paid, of no kind.
var sumRows = []struct{ name, free, paid, none string }{
	{"issued", "issued-free", "issued-paid", ""},
	{"owned", "user-free", "user-paid", ""},
	{"held", "held-free", "held-paid", ""},
	{"debt", "", "", "user-debt"},
	{"spent", "spent-free", "spent-paid", ""},
	{"expired", "expired-free", "expired-paid", ""},
	{"revoked", "", "", "revoked"},
}

// rowsOf orders the classes for people, and adds all of them up. A class that is not known is a row of its own: a
// sum that left something out would prove nothing.
func rowsOf(classes map[string]int64) (rows []sumRow, sum int64) {
	known := map[string]bool{}
	amount := func(row *sumRow, class string) *int64 {
		if class == "" {
			return nil
		}
		v := classes[class]
		known[class] = true
		row.All += v
		return &v
	}
	for _, r := range sumRows {
		row := sumRow{Name: r.name}
		row.Free, row.Paid = amount(&row, r.free), amount(&row, r.paid)
		amount(&row, r.none)
		rows = append(rows, row)
	}
	var others []string
	for class, v := range classes {
		sum += v
		if !known[class] {
			others = append(others, class)
		}
	}
	slices.Sort(others)
	for _, class := range others {
		rows = append(rows, sumRow{Class: class, All: classes[class]})
	}
	return rows, sum
}

func (c *Console) ledger(w http.ResponseWriter, r *http.Request) {
	data, err := c.ledgerOf(r)
	if err != nil {
		c.fail(w, r, "ledger", err)
		return
	}
	if r.Header.Get("Hx-Request") != "true" { // it adds up every entry, and does not change
		c.askUnspent(r, &data.Unspent)
	}
	c.show(w, r, "ledger.html", "ledger-live", page{Title: "ledger.title", Section: "ledger", Data: data})
}

func (c *Console) ledgerOf(r *http.Request) (ledgerData, error) {
	ctx := r.Context()
	data := ledgerData{Here: "/ledger", CLI: "kamado game points sum" + c.roomFlags(c.cfg.Game), API: c.roomCurl(c.cfg.Game, http.MethodGet, "points/sum", "", nil)}
	if err := c.players.get(ctx, "points/sum", &data.Totals); err != nil {
		return data, err
	}
	data.Rows, data.Added = rowsOf(data.Totals.Classes)
	var open approvalPage
	data.ApprovalsProblem = missingPart(c.players.get(ctx, "points/approvals?state=open", &open))
	data.Approvals = open.Approvals
	last, err := strconv.ParseUint(data.Totals.Last, 10, 63)
	if err != nil {
		return data, fmt.Errorf("the last place of the ledger is %.40q", data.Totals.Last)
	}
	place := last
	if n, err := strconv.ParseUint(strings.TrimSpace(r.FormValue("place")), 10, 63); err == nil && n < last {
		place, data.Place = n, strconv.FormatUint(n, 10)
		data.Here = address("/ledger", url.Values{"place": {data.Place}})
	}
	data.Transactions, err = c.upTo(ctx, place)
	data.ListProblem = missingPart(err)
	if place > transactionsPage {
		data.Older = address("/ledger", url.Values{"place": {strconv.FormatUint(place-transactionsPage, 10)}}) + "#transactions"
	}
	return data, nil
}

// journal is a table of transactions: of all players, or of one.
type journal struct {
	List []transaction
	Of   string // UID; empty: of all
}

// upTo gives the transactions before a place and at it, the newest first.
func (c *Console) upTo(ctx context.Context, place uint64) ([]transaction, error) {
	after := uint64(0)
	if place > transactionsPage {
		after = place - transactionsPage
	}
	var answer transactionPage
	if err := c.players.get(ctx, fmt.Sprintf("points/transactions?after=%d&limit=%d", after, transactionsPage), &answer); err != nil {
		return nil, err
	}
	list := slices.DeleteFunc(answer.Transactions, func(t transaction) bool {
		seq, err := strconv.ParseUint(t.Seq, 10, 63)
		return err != nil || seq > place // it came after the last place was asked for
	})
	slices.Reverse(list)
	return list, nil
}

// unspentData is the question for what was unspent at the end of a day, and its answer.
type unspentData struct {
	Day, Zone string // 2026-09-30, +09:00
	Zones     []string
	Bases     []baseDay // days that reports are usually of
	Found     *unspent
	Open      bool // the day is not over yet
	Problem   *problem
	CLI       string
}

// baseDay is a day that reports are usually of, with the address of its report.
type baseDay struct{ Day, Link string }

// zoneUTC is where days end, unless something else is chosen.
const zoneUTC = "+00:00"

// zones are the offsets from UTC that are in use with whole hours, and some with half ones.
var zones = []string{
	"-11:00", "-10:00", "-09:00", "-08:00", "-07:00", "-06:00", "-05:00", "-04:00", "-03:00", "-02:00", "-01:00", zoneUTC, "+01:00", "+02:00", "+03:00", "+04:00",
	"+05:00", "+05:30", "+06:00", "+07:00", "+08:00", "+09:00", "+09:30", "+10:00", "+11:00", "+12:00", "+13:00", "+14:00",
}

// askUnspent fills in the question, and asks it if there is one.
func (c *Console) askUnspent(r *http.Request, data *unspentData) {
	now := time.Now()
	data.Day, data.Zone, data.Zones = strings.TrimSpace(r.FormValue("day")), strings.TrimSpace(r.FormValue("zone")), zones
	if !slices.Contains(zones, data.Zone) {
		data.Zone = zoneUTC
	}
	data.Bases = baseDays(now, data.Zone)
	if data.Day == "" {
		return
	}
	at, err := time.Parse(time.DateOnly+"Z07:00", data.Day+data.Zone)
	if err != nil {
		data.Problem = &problem{Text: "players.refused_bad", Detail: c.texts["ledger.day_bad"]}
		return
	}
	at = at.AddDate(0, 0, 1).Add(-time.Microsecond) // the last instant of the day
	data.Open = at.After(now)
	text := at.Format("2006-01-02T15:04:05.999999Z07:00")
	data.CLI = "kamado game points unspent --at " + shellQuote(text) + c.roomFlags(c.cfg.Game)
	var found unspent
	err = c.players.get(r.Context(), address("points/unspent", url.Values{"at": {text}}), &found)
	if data.Problem = missingPart(err); err == nil {
		data.Found = &found
	}
}

// baseDays are the last days of March and September that are over, the latest first.
func baseDays(now time.Time, zone string) (days []baseDay) {
	for year := now.Year(); len(days) < basesShown; year-- {
		for _, end := range []time.Time{time.Date(year, time.September, 30, 0, 0, 0, 0, time.UTC), time.Date(year, time.March, 31, 0, 0, 0, 0, time.UTC)} {
			if now.After(end.AddDate(0, 0, 2)) && len(days) < basesShown { // over in every zone
				day := end.Format(time.DateOnly)
				days = append(days, baseDay{day, address("/ledger", url.Values{"day": {day}, "zone": {zone}}) + "#unspent"})
			}
		}
	}
	return days
}

const basesShown = 2
