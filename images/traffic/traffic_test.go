package traffic_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/images/delivery"
	"github.com/kamado/kamado/images/traffic"
)

// clock is a time that the test moves.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func recorder() (*traffic.Recorder, *clock) {
	c := &clock{time.Date(2026, 5, 26, 19, 0, 30, 0, time.UTC)}
	return traffic.New(c.now), c
}

func TestMinutesAreCounted(t *testing.T) {
	t.Parallel()
	r, c := recorder()
	for _, e := range []delivery.Event{
		{Original: "a/1", Outcome: delivery.OutcomeMemory, Bytes: 10, Took: time.Millisecond},
		{Original: "a/1", Outcome: delivery.OutcomeNotModified},
		{Original: "a/1", Outcome: delivery.OutcomeRendered, Bytes: 30},
		{Original: "a/9", Outcome: delivery.OutcomeError, Status: 404, Detail: "there is no such original"},
	} {
		r.Observe(e)
	}
	c.t = c.t.Add(2 * time.Minute)
	r.Observe(delivery.Event{Original: "a/2", Outcome: delivery.OutcomeShared, Bytes: 5})
	got := r.Report(10)
	if len(got.Minutes) != 3 {
		t.Fatalf("%d minutes, want the first, an empty one and the last", len(got.Minutes))
	}
	if m := got.Minutes[0]; m.Requests != 4 || m.Hits != 2 || m.Rendered != 1 || m.Errors != 1 || m.Bytes != 40 || m.Time != time.Millisecond {
		t.Errorf("the first minute: %+v", m)
	}
	if got.Minutes[1].Requests != 0 || got.Minutes[2].Rendered != 1 {
		t.Errorf("the others: %+v", got.Minutes[1:])
	}
	if len(got.Errors) != 1 || got.Errors[0].Original != "a/9" || len(got.Top) != 2 || got.Top[0].Original != "a/1" || got.Top[0].Requests != 3 {
		t.Errorf("errors %+v, top %+v", got.Errors, got.Top)
	}
	c.t = c.t.Add(time.Hour)
	if got := r.Report(10); len(got.Minutes) != 0 {
		t.Errorf("an hour later %d minutes are told", len(got.Minutes))
	}
}

// TestTheMostAskedForAreFound: among a hundred thousand originals that are asked
// for once or twice, those with more than 1/256 of the requests are on top, in
// the right order, and their counts are right within their error.
func TestTheMostAskedForAreFound(t *testing.T) {
	t.Parallel()
	r, _ := recorder()
	rnd := rand.New(rand.NewPCG(1, 2))
	want := map[string]uint64{}
	ask := func(original string) {
		want[original]++
		r.Observe(delivery.Event{Original: original, Outcome: delivery.OutcomeMemory})
	}
	for i := range 200_000 {
		if n := rnd.IntN(100); n < 20 {
			ask(fmt.Sprintf("hot/%d", n/2)) // ten with 2 % each
		} else {
			ask(fmt.Sprintf("cold/%d", i%100_000))
		}
	}
	top := r.Report(10).Top
	for _, h := range top {
		if !strings.HasPrefix(h.Original, "hot/") {
			t.Errorf("%s is among the ten", h.Original)
		}
		if real := want[h.Original]; h.Requests < real || h.Requests-h.Error > real {
			t.Errorf("%s: %d (error %d), asked for %d times", h.Original, h.Requests, h.Error, real)
		}
	}
	if len(top) != 10 {
		t.Errorf("%d of ten", len(top))
	}
}

func TestTheSlowestAndTheLatestErrorsAreKept(t *testing.T) {
	t.Parallel()
	r, c := recorder()
	for i := range 100 {
		r.Observe(delivery.Event{Original: fmt.Sprint("a/", i), Outcome: delivery.OutcomeRendered, Took: time.Duration(i%50) * time.Millisecond})
		r.Observe(delivery.Event{Original: fmt.Sprint("b/", i), Outcome: delivery.OutcomeError, Status: 422, Detail: strings.Repeat("x", 10_000)})
	}
	got := r.Report(1)
	if len(got.Slowest) != 32 || got.Slowest[0].Took != 49*time.Millisecond || !slices.IsSortedFunc(got.Slowest, func(a, b traffic.Slow) int { return int(b.Took - a.Took) }) {
		t.Errorf("slowest: %d, first %v", len(got.Slowest), got.Slowest[0].Took)
	}
	if len(got.Errors) != 32 || got.Errors[0].Original != "b/99" || got.Errors[31].Original != "b/68" || len(got.Errors[0].Detail) > 400 {
		t.Errorf("errors: %d, first %s, last %s", len(got.Errors), got.Errors[0].Original, got.Errors[len(got.Errors)-1].Original)
	}
	c.t = c.t.Add(time.Hour)
	if n := len(r.Report(1).Slowest); n != 32 {
		t.Errorf("an hour later %d are told, want those of the hour before", n)
	}
	c.t = c.t.Add(time.Hour)
	if n := len(r.Report(1).Slowest); n != 0 {
		t.Errorf("two hours later %d are told", n)
	}
}

func TestInventedNamesPushNobodyOut(t *testing.T) {
	t.Parallel()
	r, _ := recorder()
	r.Observe(delivery.Event{Original: "real/1", Outcome: delivery.OutcomeMemory})
	for i := range 10_000 {
		r.Observe(delivery.Event{Original: fmt.Sprint("invented/", i), Outcome: delivery.OutcomeError, Status: 404})
	}
	if top := r.Report(10).Top; len(top) != 1 || top[0].Original != "real/1" {
		t.Errorf("top %+v", top)
	}
}

func BenchmarkObserve(b *testing.B) {
	r := traffic.New(nil)
	events := make([]delivery.Event, 4096)
	for i := range events {
		events[i] = delivery.Event{Original: fmt.Sprint("a/", i*i%1000), Outcome: delivery.OutcomeMemory, Bytes: 30_000, Took: time.Microsecond}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Observe(events[i%len(events)])
	}
}
