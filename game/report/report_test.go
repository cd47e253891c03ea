package report_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/report"
)

// source is a log in memory.
type source map[string][]report.Event

func (s source) Days(context.Context) ([]string, error) { return slices.Sorted(maps.Keys(s)), nil }

func (s source) Day(_ context.Context, day string, visit func(report.Event)) error {
	for _, e := range s[day] {
		visit(e)
	}
	return nil
}

func (s source) add(day, kind, subject string, attributes ...string) {
	m := map[string]string{}
	for i := 0; i+1 < len(attributes); i += 2 {
		m[attributes[i]] = attributes[i+1]
	}
	at, _ := report.ParseDay(day)
	s[day] = append(s[day], report.Event{Time: at.Add(time.Duration(len(s[day])) * time.Second), Type: kind, Subject: subject, Attributes: m})
}

func day(text string) time.Time { d, _ := report.ParseDay(text); return d }

func TestReportOfAFewDays(t *testing.T) {
	t.Parallel()
	s := source{}
	s.add("2026-03-01", "user.created", "1001")
	s.add("2026-03-01", "user.created", "1002")
	s.add("2026-03-01", "points.grant", "1001", "amount", "100")
	s.add("2026-03-02", "session.open", "1001")
	s.add("2026-03-02", "world.enter", "1001", "area", "plaza")
	s.add("2026-03-02", "chat.say", "1001", "area", "plaza")
	s.add("2026-03-02", "chat.say", "1001", "area", "plaza")
	s.add("2026-03-02", "world.leave", "1001", "area", "plaza", "seconds", "90")
	s.add("2026-03-02", "points.reserve", "1001", "amount", "40")
	s.add("2026-03-02", "points.confirm", "1001", "amount", "40")
	s.add("2026-03-02", "user.banned", "1002") // somebody else did that to them
	s.add("2026-03-02", "audit", "/v1/users/1002")
	s.add("2026-03-08", "chat.whisper", "1002", "to", "1001")
	r, err := report.Make(t.Context(), s, day("2026-03-01"), day("2026-03-08"), day("2026-03-09"))
	if err != nil {
		t.Fatal(err)
	}
	if want := (report.Totals{Active: 2, New: 2, Sessions: 1, Messages: 2, Whispers: 1, In: 100, Out: 40}); r.Totals != want {
		t.Errorf("totals %+v, want %+v", r.Totals, want)
	}
	if len(r.Days) != 8 || r.Days[0] != (report.Day{Day: "2026-03-01", Active: 2, New: 2, In: 100}) || r.Days[1].Active != 1 || r.Days[2].Active != 0 {
		t.Errorf("days %+v", r.Days)
	}
	if want := []report.Cohort{{Day: "2026-03-01", Users: 2, Back: []int64{1, 1, -1}}}; !reflect.DeepEqual(r.Retention, want) {
		t.Errorf("retention %+v, want %+v", r.Retention, want)
	}
	if want := []report.Flow{{"confirm", 1, 40}, {"grant", 1, 100}, {"reserve", 1, 40}}; !reflect.DeepEqual(r.Points, want) {
		t.Errorf("points %+v, want %+v", r.Points, want)
	}
	if want := []report.Area{{"plaza", 1, 90, 2}}; !reflect.DeepEqual(r.Areas, want) {
		t.Errorf("areas %+v, want %+v", r.Areas, want)
	}
	// A day that is not over says nothing yet of who came back.
	r, err = report.Make(t.Context(), s, day("2026-03-01"), day("2026-03-02"), day("2026-03-02").Add(time.Hour))
	if err != nil || r.Retention[0].Back[0] != -1 {
		t.Errorf("retention on a day that is not over: %+v, %v", r.Retention, err)
	}
}

// world makes a random log of so many users over so many days.
func world(rng *rand.Rand, users, days int) source {
	s := source{}
	first := day("2026-01-10")
	for u := range users {
		uid := fmt.Sprint(1001 + u)
		born := rng.IntN(days)
		for d := born; d < days; d++ {
			name := first.AddDate(0, 0, d).Format(time.DateOnly)
			if d == born {
				s.add(name, "user.created", uid, "provider", "guest")
			}
			if rng.IntN(3) == 0 {
				continue
			}
			area := []string{"plaza", "garden", "shop"}[rng.IntN(3)]
			s.add(name, "session.open", uid, "transport", "websocket")
			s.add(name, "world.enter", uid, "area", area)
			for range rng.IntN(4) {
				s.add(name, "chat.say", uid, "area", area, "bytes", "12")
			}
			for _, op := range []string{"grant", "spend", "reserve", "confirm", "transfer", "expire"} {
				if rng.IntN(4) == 0 {
					s.add(name, "points."+op, uid, "amount", fmt.Sprint(rng.IntN(1000)), "kind", "free")
				}
			}
			s.add(name, "world.leave", uid, "area", area, "seconds", fmt.Sprint(rng.IntN(5000)))
		}
	}
	return s
}

// TestRetentionIsThatOfSets counts who came back a second way.
func TestRetentionIsThatOfSets(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := world(rand.New(rand.NewPCG(seed, 1)), 200, 40)
	r, err := report.Make(t.Context(), s, day("2026-01-10"), day("2026-02-18"), day("2026-03-01"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]map[string]bool{} // user: days
	made := map[string]string{}
	for name, events := range s {
		for _, e := range events {
			if e.Type == "points.grant" || e.Type == "points.expire" || e.Type == "world.leave" {
				continue // somebody else's doing, or the end of what was seen
			}
			if seen[e.Subject] == nil {
				seen[e.Subject] = map[string]bool{}
			}
			seen[e.Subject][name] = true
			if e.Type == "user.created" {
				made[e.Subject] = name
			}
		}
	}
	for _, c := range r.Retention {
		for i, age := range report.RetentionDays {
			then := day(c.Day).AddDate(0, 0, age)
			if then.After(day("2026-02-18")) {
				if c.Back[i] != -1 {
					t.Errorf("cohort %s after %d days: %d, want unknown", c.Day, age, c.Back[i])
				}
				continue
			}
			var n int64
			for uid, born := range made {
				if born == c.Day && seen[uid][then.Format(time.DateOnly)] {
					n++
				}
			}
			if c.Back[i] != n {
				t.Errorf("cohort %s after %d days: %d, want %d", c.Day, age, c.Back[i], n)
			}
		}
	}
}

func TestPeriods(t *testing.T) {
	t.Parallel()
	now := day("2026-11-28").Add(13 * time.Hour)
	first, last, err := report.Period("", "", now)
	if err != nil || first != day("2026-10-30") || last != day("2026-11-28") {
		t.Errorf("without ends: %v to %v, %v", first, last, err)
	}
	for _, c := range [][2]string{{"2026-02-30", ""}, {"", "yesterday"}, {"2026-03-02", "2026-03-01"}, {"2020-01-01", "2026-01-01"}} {
		if _, _, err := report.Period(c[0], c[1], now); game.KindOf(err) != game.Invalid {
			t.Errorf("from %q to %q: %v, want invalid", c[0], c[1], err)
		}
	}
}

func TestReportIsShown(t *testing.T) {
	t.Parallel()
	s := world(rand.New(rand.NewPCG(7, 7)), 50, 30)
	s.add("2026-01-12", "chat.say", "1001", "area", "<script>")
	r, err := report.Make(t.Context(), s, day("2026-01-10"), day("2026-02-08"), day("2026-03-01"))
	if err != nil {
		t.Fatal(err)
	}
	var text, html bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Active users by day", "2026-01-10", "█", "after 7 d", "Messages by area", "plaza", "confirm"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text has no %q:\n%s", want, &text)
		}
	}
	if err := r.WriteHTML(&html); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(html.String(), "<script>") || !strings.Contains(html.String(), "&lt;script&gt;") {
		t.Error("a name from outside stands in the page as it is")
	}
	if n := strings.Count(html.String(), "<svg"); n != 5 {
		t.Errorf("%d plots, want 5", n)
	}
	body := html.String()
	for body != "" { // each plot is well-formed XML
		_, rest, ok := strings.Cut(body, "<svg")
		if !ok {
			break
		}
		svg, after, _ := strings.Cut(rest, "</svg>")
		dec := xml.NewDecoder(strings.NewReader("<svg" + svg + "</svg>"))
		for {
			if _, err := dec.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		body = after
	}
	empty, err := report.Make(t.Context(), source{}, day("2026-01-10"), day("2026-01-11"), day("2026-03-01"))
	if err != nil || len(empty.Days) != 2 || empty.WriteText(io.Discard) != nil || empty.WriteHTML(io.Discard) != nil {
		t.Errorf("a log without events: %+v, %v", empty, err)
	}
}
