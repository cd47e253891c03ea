package console

import (
	"cmp"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// reportsData is a report with its plots.
type reportsData struct {
	From, To  string // as they were asked for
	Periods   []reportPeriod
	Found     *playersReport
	Plots     []barPlot
	HTML      string // address of the report as a file
	JSON      string
	Problem   *problem
	Style     template.CSS // of the file; empty on the page
	CLI, API  string
	AsJob     string // how a program of Spark counts the same
	Retention []int  // ages of cohorts, days
}

// reportPeriod is a period that is often asked for.
type reportPeriod struct {
	Text string // key of a text
	Link string
}

// retentionDays are the ages at which the service looks at cohorts.
var retentionDays = []int{1, 7, 30}

// commonDays are the lengths of the periods that the page offers.
var commonDays = []struct {
	text string
	days int
}{{"reports.week", 7}, {"reports.month", 30}, {"reports.quarter", 90}}

func (c *Console) reports(w http.ResponseWriter, r *http.Request) {
	data, err := c.reportOf(r)
	if err != nil {
		c.fail(w, r, "reports", err)
		return
	}
	c.show(w, r, "reports.html", "", page{Title: "reports.title", Section: "reports", Data: data})
}

func (c *Console) reportOf(r *http.Request) (reportsData, error) {
	data := reportsData{From: strings.TrimSpace(r.FormValue("from")), To: strings.TrimSpace(r.FormValue("to")), Retention: retentionDays}
	q := url.Values{}
	data.CLI = "kamado game report --data " + c.dataDir()
	if data.From != "" {
		q.Set("from", data.From)
		data.CLI += " --from " + shellQuote(data.From)
	}
	if data.To != "" {
		q.Set("to", data.To)
		data.CLI += " --to " + shellQuote(data.To)
	}
	data.AsJob = data.CLI + " --html report.html"
	data.API = c.roomCurl(c.cfg.Game, http.MethodGet, address("reports", q), "", nil)
	today := time.Now().UTC()
	for _, p := range commonDays {
		from := today.AddDate(0, 0, 1-p.days).Format(time.DateOnly)
		data.Periods = append(data.Periods, reportPeriod{p.text, address("/reports", url.Values{"from": {from}, "to": {today.Format(time.DateOnly)}})})
	}
	var found playersReport
	err := c.players.get(r.Context(), address("reports", q), &found)
	if data.Problem = playerRefusal(err); err != nil {
		if data.Problem != nil {
			return data, nil
		}
		return data, err
	}
	data.Found, data.Plots = &found, plotsOf(&found)
	file := func(as string) string {
		return address("/reports/file", url.Values{"from": {found.From}, "to": {found.To}, "as": {as}})
	}
	data.HTML, data.JSON = file("html"), file("json")
	return data, nil
}

// dataDir is the data directory in lines for a shell.
func (c *Console) dataDir() string {
	if i := strings.LastIndexByte(c.cfg.TokenFile, '/'); i > 0 {
		return shellQuote(c.cfg.TokenFile[:i])
	}
	return "data"
}

// reportFile is a report to be kept: one page with everything in it, or JSON.
func (c *Console) reportFile(w http.ResponseWriter, r *http.Request) {
	data, err := c.reportOf(r)
	if err != nil || data.Found == nil {
		c.fail(w, r, "reports", cmp.Or(err, error(&errStatus{http.StatusBadRequest, detailOfProblem(data.Problem)})))
		return
	}
	name := "players-" + data.Found.From + "-" + data.Found.To
	if r.FormValue("as") == "json" {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Disposition", `attachment; filename="`+name+`.json"`)
		out := json.NewEncoder(w)
		out.SetIndent("", "  ")
		_ = out.Encode(data.Found) // a client that left is nobody to tell
		return
	}
	at, err := c.assets.url("report.css")
	if err != nil {
		c.fail(w, r, "reports", err)
		return
	}
	data.Style = template.CSS(c.assets.files[at].data) // a file of this program
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`.html"`)
	c.render(w, http.StatusOK, "report-file.html", page{Title: "reports.title", Data: data})
}

func detailOfProblem(p *problem) string {
	if p == nil {
		return ""
	}
	return p.Detail
}

// Sizes of a plot, in units of its drawing.
const (
	plotWidth, plotHeight = 480, 170
	plotLeft, plotBottom  = 56, 24 // for the numbers and the days
	plotTop               = 10
)

// barPlot is one or two rows of numbers by day, as bars.
type barPlot struct {
	ID, Text string // key of the heading
	Series   []plotSeries
	Most     int64 // the top of the axis
	Days     []plotDay
	Bars     []plotBar
}

type plotSeries struct {
	Text   string // key; empty: there is only one
	Colour int
}

type plotDay struct {
	X   int
	Day string
}

type plotBar struct {
	X, Y, Width, Height float64
	Colour              int
	Day                 string
	Value               int64
}

// Width and the others are places of the drawing.
func (barPlot) Width() int  { return plotWidth }
func (barPlot) Height() int { return plotHeight }
func (barPlot) Left() int   { return plotLeft }
func (barPlot) Top() int    { return plotTop }
func (barPlot) Ground() int { return plotHeight - plotBottom }
func (barPlot) Under() int  { return plotHeight - 6 }

// plotsOf draws what a report has by day.
func plotsOf(r *playersReport) []barPlot {
	values := func(f func(reportDay) int64) []int64 {
		list := make([]int64, len(r.Days))
		for i, d := range r.Days {
			list[i] = f(d)
		}
		return list
	}
	one := []plotSeries{{"", 0}}
	return []barPlot{
		plotOf(r, "active", one, values(func(d reportDay) int64 { return d.Active })),
		plotOf(r, "new", []plotSeries{{"", 3}}, values(func(d reportDay) int64 { return d.New })),
		plotOf(r, "points", []plotSeries{{"reports.points_in", 2}, {"reports.points_out", 0}}, values(func(d reportDay) int64 { return d.In }), values(func(d reportDay) int64 { return d.Out })),
		plotOf(r, "messages", []plotSeries{{"", 4}}, values(func(d reportDay) int64 { return d.Messages })),
	}
}

func plotOf(r *playersReport, id string, series []plotSeries, rows ...[]int64) barPlot {
	p := barPlot{ID: id, Text: "reports.plot_" + id, Series: series}
	for _, row := range rows {
		for _, v := range row {
			p.Most = max(p.Most, v)
		}
	}
	p.Most = roundUp(p.Most)
	n := len(r.Days)
	if n == 0 {
		return p
	}
	slot := float64(plotWidth-plotLeft) / float64(n)
	gap := min(slot/5, 6)
	wide := (slot - gap) / float64(len(rows))
	for i, d := range r.Days {
		for j, row := range rows {
			high := float64(plotHeight-plotBottom-plotTop) * float64(row[i]) / float64(p.Most)
			p.Bars = append(p.Bars, plotBar{
				X: plotLeft + float64(i)*slot + gap/2 + float64(j)*wide, Y: plotHeight - plotBottom - high, Width: wide, Height: high, Colour: series[j].Colour, Day: d.Day, Value: row[i],
			})
		}
	}
	step := max(1, (n+daysNamed-1)/daysNamed)
	for i := 0; i < n; i += step {
		p.Days = append(p.Days, plotDay{X: plotLeft + int((float64(i)+0.5)*slot), Day: r.Days[i].Day[min(len(r.Days[i].Day), len("2006-")):]})
	}
	return p
}

// daysNamed are the days below a plot at most.
const daysNamed = 6

// roundUp gives the top of an axis: 1, 2 or 5 times a power of ten.
func roundUp(n int64) int64 {
	for power := int64(1); ; power *= 10 {
		for _, digit := range []int64{1, 2, 5} {
			if digit*power >= n || power > 1e17 {
				return digit * power
			}
		}
	}
}

// Part writes a part of a cohort in percent; a number below zero is not known yet.
func (c reportCohort) Part(n int64) string {
	if n < 0 {
		return "–"
	}
	return percent(n, c.Users)
}
