package bench

import (
	"fmt"
	"slices"
	"strings"
)

// Row is a line of the table of figures: one kind of work, what it costs here,
// what is to be reached, and whether it is.
type Row struct {
	Work    string   `json:"work"`
	Peer    string   `json:"peer,omitempty"` // whom it is compared with; empty: nobody
	Kamado  string   `json:"kamado"`         // what it cost, as a person reads it
	Theirs  string   `json:"theirs,omitempty"`
	Figure  *Spread  `json:"figure"` // what is compared with Reach; null when it was not measured
	Unit    string   `json:"unit"`   // of Figure: "x" is the peer's cost over kamado's where more is better
	Reach   string   `json:"reach"`  // empty: no bar is set
	Verdict string   `json:"verdict"`
	Rule    string   `json:"rule,omitempty"` // the quality rule, where it applies: met, broken, not judged
	Why     []string `json:"why,omitempty"`  // what broke the rule, or why nothing was measured
}

// The verdicts of a Row.
const (
	Reached     = "reached"
	NotReached  = "not reached"
	NoBar       = "no bar"
	NotMeasured = "not measured"
)

// bar is what a figure has to reach.
type bar struct {
	least bool // at least; else at most
	value float64
	unit  string
}

func (b bar) String() string {
	sign := "<="
	if b.least {
		sign = ">="
	}
	return sign + " " + figure(b.value, b.unit)
}

func (b bar) holds(v float64) bool {
	if b.least {
		return v >= b.value
	}
	return v <= b.value
}

// figure writes a value with its unit: "3.5x", "42 MB".
func figure(v float64, unit string) string {
	number := fmt.Sprintf("%.2f", v)
	if v >= 100 {
		number = fmt.Sprintf("%.0f", v)
	}
	if strings.Contains(number, ".") {
		number = strings.TrimSuffix(strings.TrimRight(number, "0"), ".")
	}
	if unit == times {
		return number + unit
	}
	return number + " " + unit
}

// times is the unit of ratios.
const times = "x"

// The bars of the project's table of figures, column "reach". Renditions are
// 480x360 at quality 70; ratios are the peer's CPU over kamado's.
var (
	bar1MP       = bar{true, 3.5, times}
	bar1MPLike   = bar{true, 2.8, times} // at libvips's quality
	bar3MP       = bar{true, 2.5, times}
	bar3MPLike   = bar{true, 2.2, times}
	bar12MP      = bar{true, 2.8, times}
	bar12MPLike  = bar{true, 2.0, times}
	barMezzanine = bar{true, 8, times}
	barSizes     = bar{true, 8, times}
	barBurst     = bar{false, 1.1, "decodes"}
	barMagick    = bar{true, 18, times}
	barCached    = bar{true, 0.9, times}
	barMemory    = bar{false, 60, "MB"}
	barLatency   = bar{false, 0.4, times}
	barCores     = bar{false, 21, "cores"}
	barMoire     = bar{true, 37, "dB"} // what an accurate Lanczos resize behind a reduced decode reaches on the zone plate
)

// coldRate is the requests a second that the last row asks cores for.
const coldRate = 7000

// decide fills figure and verdict. The quality rule, where there is one, has
// to be met for a figure to count.
func (r Row) decide(s Spread, b bar) Row {
	r.Figure, r.Unit, r.Reach = &s, b.unit, b.String()
	if r.Verdict = NotReached; b.holds(s.Median) && (r.Rule == "" || r.Rule == RuleMet) {
		r.Verdict = Reached
	}
	return r
}

// absent is a row that could not be measured.
func (r Row) absent(b bar, why string) Row {
	r.Kamado, r.Unit, r.Reach, r.Verdict, r.Why = "-", b.unit, b.String(), NotMeasured, []string{why}
	return r
}

// setRows makes the table of figures from what was measured.
func (r *Report) setRows() {
	r.Rows = nil
	add := func(rows ...Row) { r.Rows = append(r.Rows, rows...) }
	for _, size := range []struct {
		class      string
		fast, like bar
	}{{"1 MP", bar1MP, bar1MPLike}, {"3 MP", bar3MP, bar3MPLike}, {"12 MP", bar12MP, bar12MPLike}} {
		add(r.ratioRow(size.class, "imgproxy", "imgproxy", size.class+", at imgproxy's quality", size.fast),
			r.ratioRow(size.class, "imgproxy", "sharp", size.class+", at libvips's quality (sharp)", size.like))
	}
	for _, c := range r.Classes {
		if !slices.Contains([]string{"1 MP", "3 MP", "12 MP", classMezzanine, classSizes, classMulti}, c.Name) {
			row := r.ratioRow(c.Name, "imgproxy", "imgproxy", c.Name+", at imgproxy's quality", bar{least: true, unit: times})
			if row.Reach = ""; row.Figure != nil {
				row.Verdict = NoBar
			}
			add(row)
		}
	}
	add(r.ratioRow(classMezzanine, "imgproxy", "imgproxy", classMezzanine, barMezzanine),
		r.ratioRow(classSizes, "imgproxy", "imgproxy", classSizes, barSizes),
		r.ratioRow(classMulti, "imgproxy", "imgproxy", classMulti, barSizes),
		r.burstRow())
	for _, class := range []string{"12 MP", "3 MP", "1 MP"} {
		add(r.ratioRow(class, "imagemagick", "imagemagick", class+", ImageMagick's full decode", barMagick))
	}
	add(r.cachedRow(), r.memoryRow(), r.latencyRow(), r.coresRow(), r.moireRow())
}

// ratioRow is the CPU of a peer over kamado's in one class, under the quality
// rule against judge, who may be somebody else.
func (r *Report) ratioRow(class, peer, judge, work string, b bar) Row {
	row := Row{Work: work, Peer: peer}
	i := slices.IndexFunc(r.Classes, func(c Class) bool { return c.Name == class })
	if i < 0 {
		return row.absent(b, "no such originals, or the part was not asked for")
	}
	c := r.Classes[i]
	cpu, ok := c.compared(peer)
	if !ok {
		return row.absent(b, peer+" was not measured")
	}
	row.Kamado, row.Theirs = milliseconds(c.result("kamado").CPU.Median), milliseconds(c.result(peer).CPU.Median)
	if cpu.CPU.Median <= 0 {
		return row.absent(b, "no picture counted on both sides")
	}
	row.Rule, row.Why = RuleNotJudged, []string{judge + " was not measured"}
	if q, ok := c.compared(judge); ok {
		row.Rule, row.Why = q.Rule, q.Broken
	}
	return row.decide(Spread{Min: 1 / cpu.CPU.Max, Median: 1 / cpu.CPU.Median, Max: 1 / cpu.CPU.Min}, b)
}

func (c Class) compared(peer string) (Compared, bool) {
	for _, x := range c.Ratios {
		if x.Peer == peer {
			return x, true
		}
	}
	return Compared{}, false
}

func (c Class) result(subject string) Result {
	for _, s := range c.Results {
		if s.Subject == subject {
			return s
		}
	}
	return Result{}
}

func milliseconds(v float64) string { return fmt.Sprintf("%.2f ms", v) }

func (r *Report) burstRow() Row {
	row := Row{Work: fmt.Sprintf("%d equal requests at once", burstRequests)}
	if r.Burst == nil {
		return row.absent(barBurst, "the part was not asked for")
	}
	row.Kamado = figure(r.Burst.Decodes.Median, "decodes")
	if r.Burst.Counted != r.Burst.Requests {
		return row.absent(barBurst, fmt.Sprintf("%d of %d requests were answered", r.Burst.Counted, r.Burst.Requests))
	}
	row = row.decide(r.Burst.Decodes, barBurst)
	if !barBurst.holds(r.Burst.Decodes.Max) {
		row.Verdict = NotReached
	}
	return row
}

func (r *Report) cachedRow() Row {
	row := Row{Work: "cached 30 KB rendition, answers for a second of CPU over nginx's", Peer: "nginx"}
	if r.Cached == nil {
		return row.absent(barCached, "the part was not asked for, or nginx is not installed")
	}
	row.Kamado, row.Theirs = figure(r.Cached.Kamado.Median, "a second"), figure(r.Cached.Nginx.Median, "a second")
	return row.decide(r.Cached.Ratio, barCached)
}

func (r *Report) memoryRow() Row {
	row := Row{Work: "peak memory (PSS of all processes), 2 at once, 12 MP mix", Peer: "imgproxy"}
	for _, m := range r.Memory {
		switch {
		case m.Class != classMix:
		case m.Subject == "imgproxy":
			row.Theirs = figure(megabytes(m.Peak), "MB")
		default:
			row.Kamado = figure(megabytes(m.Peak), "MB")
			if m.Counted == m.Requests {
				row = row.decide(Spread{megabytes(m.Peak), megabytes(m.Peak), megabytes(m.Peak)}, barMemory)
			}
		}
	}
	if row.Figure == nil {
		return row.absent(barMemory, "no such originals, or the part was not asked for")
	}
	return row
}

func megabytes(n int64) float64 { return float64(n) / 1e6 }

func (r *Report) latencyRow() Row {
	row := Row{Work: fmt.Sprintf("p99 at concurrency %d, 1 MP, over imgproxy's", latencyConcurrency), Peer: "imgproxy"}
	if r.Latency == nil {
		return row.absent(barLatency, "no such originals, or the part was not asked for")
	}
	row.Kamado = milliseconds(r.Latency.Kamado.Median)
	if r.Latency.Imgproxy == nil {
		why := row.absent(barLatency, "imgproxy was not measured")
		why.Kamado = row.Kamado
		return why
	}
	row.Theirs = milliseconds(r.Latency.Imgproxy.Median)
	return row.decide(*r.Latency.Ratio, barLatency)
}

func (r *Report) coresRow() Row {
	row := Row{Work: fmt.Sprintf("cores for %d cold 1 MP requests a second", coldRate), Peer: "imgproxy"}
	i := slices.IndexFunc(r.Classes, func(c Class) bool { return c.Name == "1 MP" })
	if i < 0 || r.Classes[i].result("kamado").CPU.Median == 0 {
		return row.absent(barCores, "no such originals")
	}
	cores := func(of string) Spread {
		s := r.Classes[i].result(of).CPU
		return Spread{s.Min * coldRate / 1000, s.Median * coldRate / 1000, s.Max * coldRate / 1000}
	}
	row.Kamado = figure(cores("kamado").Median, "cores")
	if theirs := cores("imgproxy"); theirs.Median > 0 {
		row.Theirs = figure(theirs.Median, "cores")
	}
	return row.decide(cores("kamado"), barCores)
}

// RowTable is the table of figures as a person reads it.
func (r *Report) RowTable() (head []string, rows [][]string) {
	head = []string{"work", "kamado", "peer", "figure", "reach", "verdict", "quality rule"}
	for _, row := range r.Rows {
		value, peer := "-", row.Peer
		if row.Figure != nil {
			value = figure(row.Figure.Median, row.Unit)
			if row.Figure.Min != row.Figure.Max {
				value += fmt.Sprintf(" (%.2f-%.2f)", row.Figure.Min, row.Figure.Max)
			}
		}
		if row.Theirs != "" {
			peer += " " + row.Theirs
		}
		said := row.Rule
		if len(row.Why) > 0 {
			said = strings.TrimPrefix(said+": "+strings.Join(row.Why, "; "), ": ")
		}
		rows = append(rows, []string{row.Work, row.Kamado, peer, value, row.Reach, row.Verdict, said})
	}
	return head, rows
}
