package report

import (
	"fmt"
	"html/template"
	"io"
	"strings"
)

// Sizes of a plot, in CSS pixels.
const (
	plotWidth  = 720
	plotHeight = 160
	plotLeft   = 56 // for the numbers of the axis
	plotBottom = 22 // for the days
)

// page is one HTML file without anything from elsewhere: it can be sent by mail.
var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Players {{.Report.From}} to {{.Report.To}}</title>
<meta name="viewport" content="width=device-width">
<style>
:root{color-scheme:light dark;--ink:#1c2330;--soft:#5b6675;--bar:#2b6cb0;--bar2:#c05621;--line:#d7dce3;--paper:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#a3adba;--bar:#63a4e8;--bar2:#f0955c;--line:#39424e;--paper:#14181e}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:800px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem}h2{font-size:1.05rem;margin:2rem 0 .4rem}
svg{max-width:100%;height:auto}svg text{font-size:11px;fill:var(--soft)}.b{fill:var(--bar)}.o{fill:var(--bar2)}.g{stroke:var(--line)}
table{border-collapse:collapse}td,th{padding:.2rem .9rem .2rem 0;text-align:right;font-variant-numeric:tabular-nums}td:first-child,th:first-child{text-align:left}
th{color:var(--soft);font-weight:500}tr{border-bottom:1px solid var(--line)}
</style></head><body>
<h1>Players from {{.Report.From}} to {{.Report.To}}</h1>
<p>{{.Report.Totals.Active}} active, {{.Report.Totals.New}} new, {{.Report.Totals.Sessions}} sessions, {{.Report.Totals.Messages}} messages. Days are UTC; made {{.Report.Made.Format "2006-01-02 15:04:05"}}.</p>
{{range .Plots}}<h2>{{.Title}}</h2>{{.SVG}}{{end}}
<h2>Users who came back</h2>
<table><tr><th>made on</th><th>users</th>{{range .Ages}}<th>after {{.}} d</th>{{end}}</tr>
{{range .Cohorts}}<tr><td>{{.Day}}</td><td>{{.Users}}</td>{{range .Back}}<td>{{.}}</td>{{end}}</tr>{{end}}</table>
<h2>Points by operation</h2>
<table><tr><th>operation</th><th>times</th><th>points</th></tr>{{range .Report.Points}}<tr><td>{{.Op}}</td><td>{{.Count}}</td><td>{{.Amount}}</td></tr>{{end}}</table>
<h2>Areas</h2>
<table><tr><th>area</th><th>visits</th><th>seconds</th><th>messages</th></tr>{{range .Report.Areas}}<tr><td>{{.Area}}</td><td>{{.Visits}}</td><td>{{.Seconds}}</td><td>{{.Messages}}</td></tr>{{end}}</table>
</body></html>
`))

// figure is a plot of the page.
type figure struct {
	Title string
	SVG   template.HTML // made of numbers and days only
}

type cohortRow struct {
	Day   string
	Users int64
	Back  []string
}

// WriteHTML writes a report as one page with its plots.
func (r *Report) WriteHTML(w io.Writer) error {
	value := func(f func(Day) int64) []int64 {
		list := make([]int64, len(r.Days))
		for i, d := range r.Days {
			list[i] = f(d)
		}
		return list
	}
	data := struct {
		Report  *Report
		Plots   []figure
		Ages    []int
		Cohorts []cohortRow
	}{Report: r, Ages: RetentionDays}
	for _, p := range []struct {
		title, class string
		of           func(Day) int64
	}{
		{"Active users by day", "b", func(d Day) int64 { return d.Active }},
		{"New users by day", "b", func(d Day) int64 { return d.New }},
		{"Points in by day", "b", func(d Day) int64 { return d.In }},
		{"Points out by day", "o", func(d Day) int64 { return d.Out }},
		{"Messages by day", "b", func(d Day) int64 { return d.Messages }},
	} {
		data.Plots = append(data.Plots, figure{p.title, r.svg(p.title, p.class, value(p.of))})
	}
	for _, c := range r.Retention {
		row := cohortRow{Day: c.Day, Users: c.Users}
		for i := range RetentionDays {
			row.Back = append(row.Back, strings.TrimSpace(share(c.Back[i], c.Users)))
		}
		data.Cohorts = append(data.Cohorts, row)
	}
	return page.Execute(w, data)
}

// svg draws bars, one for each day.
func (r *Report) svg(title, class string, values []int64) template.HTML {
	var most int64 = 1
	for _, v := range values {
		most = max(most, v)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s, at most %d">`, plotWidth, plotHeight, plotWidth, plotHeight, template.HTMLEscapeString(title), most)
	high := float64(plotHeight - plotBottom - 8)
	for _, part := range []float64{0, 0.5, 1} {
		y := 8 + high*(1-part)
		fmt.Fprintf(&b, `<line class="g" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%d</text>`, plotLeft, plotWidth, y, y, plotLeft-6, y+4, int64(float64(most)*part))
	}
	step := float64(plotWidth-plotLeft) / float64(max(1, len(values)))
	every := max(1, len(values)/8)
	for i, v := range values {
		x, h := plotLeft+step*float64(i), high*float64(v)/float64(most)
		fmt.Fprintf(&b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s: %d</title></rect>`, class, x+step*0.1, 8+high-h, step*0.8, h, r.Days[i].Day, v)
		if i%every == 0 {
			fmt.Fprintf(&b, `<text x="%.1f" y="%d">%s</text>`, x, plotHeight-4, r.Days[i].Day[5:])
		}
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) //nolint:gosec // numbers, days and our own titles
}
