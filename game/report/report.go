// Package report counts what the event log tells of players: who was there, who came back, how points
// moved, and where people talked. The same counts are made by a Spark job over the same Parquet, for what
// one machine cannot read.
//
// Vocabulary. A user is active on a day (UTC) on which an event names the user as the one who signed in, opened a session,
// entered an area, talked or moved points. A cohort is the users that were made on a day; its
// retention after n days is the part of them that is active n days later. Points go in by grants and receipts,
// and out by spends, confirmed reservations, ends and charge-backs, as the room's programs saw them.
//
// Invariants. Nothing is written. Events that the log dropped under load are missing here: the ledger is the truth about
// points, and "kamado game ledger" reads it. Memory grows with the number of users, not of events.
package report

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kamado/kamado/game"
)

// Event is an event of the log, as far as reports need it.
type Event struct {
	Time       time.Time
	Type       string
	Subject    string
	Attributes map[string]string
}

// Source gives the events of players day by day. Days are UTC, YYYY-MM-DD.
type Source interface {
	Days(ctx context.Context) ([]string, error)
	// Day gives each event of a day once, in any order.
	Day(ctx context.Context, day string, visit func(Event)) error
}

// UsersMax bounds the users of whom a report remembers the first day, some 40 bytes each.
const UsersMax = 20_000_000

// DaysMax bounds the days of one report.
const DaysMax = 400

// RetentionDays are the ages at which cohorts are looked at.
var RetentionDays = []int{1, 7, 30}

// Report is what happened in a period, which is whole days. Points are summed by operation.
type Report struct {
	From      string    `json:"from"`
	To        string    `json:"to"` // the last day
	Days      []Day     `json:"days"`
	Retention []Cohort  `json:"retention"` // of the cohorts of the period
	Points    []Flow    `json:"points"`
	Areas     []Area    `json:"areas"`
	Totals    Totals    `json:"totals"`
	Made      time.Time `json:"made"`
}

// Day counts users of one day.
type Day struct {
	Day      string `json:"day"`
	Active   int64  `json:"active"`
	New      int64  `json:"new"`
	Sessions int64  `json:"sessions"`
	Messages int64  `json:"messages"`
	In       int64  `json:"points_in"`
	Out      int64  `json:"points_out"`
}

// Cohort is the users made on a day, and how many of them came again.
type Cohort struct {
	Day   string `json:"day"`
	Users int64  `json:"users"`
	// Back counts those active RetentionDays later; -1: that day is not over, or lies after the period.
	Back []int64 `json:"back"`
}

// Flow is the points of one operation.
type Flow struct {
	Op     string `json:"op"`
	Count  int64  `json:"count"`
	Amount int64  `json:"amount"`
}

// Area counts what happened in all copies of an area.
type Area struct {
	Area     string `json:"area"`
	Visits   int64  `json:"visits"`
	Seconds  int64  `json:"seconds"` // of visits that ended
	Messages int64  `json:"messages"`
}

// Totals are over the whole period.
type Totals struct {
	Active   int64 `json:"active"` // users that were active at all
	New      int64 `json:"new"`
	Sessions int64 `json:"sessions"`
	Messages int64 `json:"messages"`
	Whispers int64 `json:"whispers"`
	In       int64 `json:"points_in"`
	Out      int64 `json:"points_out"`
}

// pointsIn and pointsOut are the operations that make and end points; all others move them between users or hold them.
var (
	pointsIn  = []string{"grant"}
	pointsOut = []string{"spend", "confirm", "expire", "revoke"}
)

// activeTypes begin the events that say that their subject was there.
var activeTypes = []string{"user.created", "user.signed_in", "session.open", "world.enter", "chat.say", "chat.whisper", "points.spend", "points.reserve", "points.confirm", "points.transfer"}

// ParseDay reads YYYY-MM-DD.
func ParseDay(text string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return t, game.Errorf(game.Invalid, "%.40q is no day: want YYYY-MM-DD", text)
	}
	return t, nil
}

// Period are the days of a report, both ends among them. Empty ends are a month until today.
func Period(from, to string, now time.Time) (first, last time.Time, err error) {
	last = now.UTC().Truncate(24 * time.Hour)
	if to != "" {
		if last, err = ParseDay(to); err != nil {
			return
		}
	}
	first = last.AddDate(0, 0, -29)
	if from != "" {
		if first, err = ParseDay(from); err != nil {
			return
		}
	}
	switch n := int(last.Sub(first).Hours()/24) + 1; {
	case n < 1:
		err = game.Errorf(game.Invalid, "the period begins on %s and ends on %s", first.Format(time.DateOnly), last.Format(time.DateOnly))
	case n > DaysMax:
		err = game.Errorf(game.Invalid, "a period of %d days: at most %d", n, DaysMax)
	}
	return
}

// count is a report that is being made. Invariant: days are read in order.
type count struct {
	report Report
	made   map[uint64]int32 // user to the day on which it was made, as days since 1970
	ever   map[uint64]bool  // users that were active in the period
	flows  map[string]*Flow
	areas  map[string]*Area
}

// Make counts a period. Users that were made before it count as active, in no cohort.
func Make(ctx context.Context, s Source, first, last, now time.Time) (Report, error) {
	c := count{
		report: Report{From: first.Format(time.DateOnly), To: last.Format(time.DateOnly), Made: now.UTC().Truncate(time.Second), Retention: []Cohort{}},
		made:   map[uint64]int32{}, ever: map[uint64]bool{}, flows: map[string]*Flow{}, areas: map[string]*Area{},
	}
	have, err := s.Days(ctx)
	if err != nil {
		return Report{}, err
	}
	for d := first; !d.After(last); d = d.AddDate(0, 0, 1) {
		name := d.Format(time.DateOnly)
		if _, found := slices.BinarySearch(have, name); !found {
			c.close(d, now, map[uint64]bool{}, Day{Day: name})
			continue
		}
		if err := c.day(ctx, s, d, now); err != nil {
			return Report{}, err
		}
	}
	c.finish()
	return c.report, nil
}

// day reads one day.
func (c *count) day(ctx context.Context, s Source, d, now time.Time) error {
	out := Day{Day: d.Format(time.DateOnly)}
	active := map[uint64]bool{}
	full := false
	if err := s.Day(ctx, out.Day, func(e Event) {
		full = full || len(c.made) > UsersMax || len(active) > UsersMax
		if !full {
			c.event(&e, &out, active, dayNumber(d))
		}
	}); err != nil {
		return err
	}
	if full {
		return game.Errorf(game.TooLarge, "more than %d users are in the period: shorten it, or use the Spark job (kamado game report --job)", UsersMax)
	}
	c.close(d, now, active, out)
	return nil
}

func dayNumber(d time.Time) int32 { return int32(d.Unix() / 86400) }

// event counts one event.
func (c *count) event(e *Event, out *Day, active map[uint64]bool, today int32) {
	if uid, err := strconv.ParseUint(e.Subject, 10, 64); err == nil && uid != 0 && slices.Contains(activeTypes, e.Type) {
		active[uid] = true
		if e.Type == "user.created" {
			c.made[uid] = today
		}
	}
	switch e.Type {
	case "user.created":
		out.New++
	case "session.open":
		out.Sessions++
	case "chat.say":
		out.Messages++
		c.area(e).Messages++
	case "chat.whisper":
		c.report.Totals.Whispers++
	case "world.enter":
		c.area(e).Visits++
	case "world.leave":
		seconds, _ := strconv.ParseInt(e.Attributes["seconds"], 10, 64) // none: 0
		c.area(e).Seconds += seconds
	}
	if op, ok := strings.CutPrefix(e.Type, "points."); ok {
		c.points(op, e, out)
	}
}

func (c *count) points(op string, e *Event, out *Day) {
	amount, err := strconv.ParseInt(e.Attributes["amount"], 10, 64)
	if err != nil {
		return // an event about points that moves none
	}
	f := c.flows[op]
	if f == nil {
		f = &Flow{Op: op}
		c.flows[op] = f
	}
	f.Count++
	f.Amount += amount
	switch {
	case slices.Contains(pointsIn, op):
		out.In += amount
	case slices.Contains(pointsOut, op):
		out.Out += amount
	}
}

// area finds the row of an event's area.
func (c *count) area(e *Event) *Area {
	name := e.Attributes["area"]
	a := c.areas[name]
	if a == nil {
		a = &Area{Area: name}
		c.areas[name] = a
	}
	return a
}

// close ends a day: its cohort begins, and older ones are looked at.
func (c *count) close(d, now time.Time, active map[uint64]bool, out Day) {
	out.Active = int64(len(active))
	for uid := range active {
		c.ever[uid] = true
	}
	r := &c.report
	r.Days = append(r.Days, out)
	t := &r.Totals
	t.New += out.New
	t.Sessions += out.Sessions
	t.Messages += out.Messages
	t.In += out.In
	t.Out += out.Out
	cohort := Cohort{Day: out.Day, Users: out.New, Back: make([]int64, len(RetentionDays))}
	for i := range cohort.Back {
		cohort.Back[i] = -1
	}
	r.Retention = append(r.Retention, cohort)
	if !now.Before(d.AddDate(0, 0, 1)) { // the day is over
		c.back(active, dayNumber(d))
	}
}

// back counts who of older cohorts is here today.
func (c *count) back(active map[uint64]bool, today int32) {
	list := c.report.Retention
	for i, age := range RetentionDays {
		at := len(list) - 1 - age
		if at < 0 {
			continue
		}
		var n int64
		for uid := range active {
			if made, ok := c.made[uid]; ok && made == today-int32(age) {
				n++
			}
		}
		list[at].Back[i] = n
	}
}

func (c *count) finish() {
	r := &c.report
	r.Totals.Active = int64(len(c.ever))
	r.Points, r.Areas = []Flow{}, []Area{}
	for _, f := range c.flows {
		r.Points = append(r.Points, *f)
	}
	slices.SortFunc(r.Points, func(a, b Flow) int { return strings.Compare(a.Op, b.Op) })
	for _, a := range c.areas {
		r.Areas = append(r.Areas, *a)
	}
	slices.SortFunc(r.Areas, func(a, b Area) int { return strings.Compare(a.Area, b.Area) })
	r.Retention = slices.DeleteFunc(r.Retention, func(c Cohort) bool { return c.Users == 0 })
}
