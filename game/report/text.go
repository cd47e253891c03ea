package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// barWidth is the length of the longest bar, in letters.
const barWidth = 40

// eighths are the parts of a letter that a bar can end with.
var eighths = []rune(" ▏▎▍▌▋▊▉")

// bar draws n as a part of most.
func bar(n, most int64) string {
	if n <= 0 || most <= 0 {
		return ""
	}
	parts := max(1, int(float64(n)/float64(most)*barWidth*8))
	text := strings.Repeat("█", parts/8)
	if rest := parts % 8; rest > 0 {
		text += string(eighths[rest])
	}
	return text
}

// line is a row of a plot.
type line struct {
	name string
	n    int64
	more string
}

func plot(b *strings.Builder, title string, lines []line) {
	fmt.Fprintf(b, "\n%s\n", title)
	var most int64
	width := 0
	for _, l := range lines {
		most, width = max(most, l.n), max(width, utf8.RuneCountInString(l.name))
	}
	if len(lines) == 0 {
		b.WriteString("  nothing\n")
	}
	for _, l := range lines {
		text := fmt.Sprintf("  %-*s %10d  %s", width, l.name, l.n, bar(l.n, most))
		if l.more != "" {
			text += "  " + l.more
		}
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
}

// WriteText writes a report for a terminal.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	t := r.Totals
	fmt.Fprintf(&b, "Players from %s to %s (UTC)\n", r.From, r.To)
	fmt.Fprintf(&b, "  %d active, %d new, %d sessions, %d messages, %d whispers, points in %d, out %d\n", t.Active, t.New, t.Sessions, t.Messages, t.Whispers, t.In, t.Out)
	var users, in, out, said []line
	for _, d := range r.Days {
		users = append(users, line{d.Day, d.Active, fmt.Sprintf("%d new", d.New)})
		in = append(in, line{d.Day, d.In, ""})
		out = append(out, line{d.Day, d.Out, ""})
	}
	for _, a := range r.Areas {
		said = append(said, line{a.Area, a.Messages, fmt.Sprintf("%d visits, %d s", a.Visits, a.Seconds)})
	}
	plot(&b, "Active users by day", users)
	b.WriteString("\nUsers who came back\n")
	if len(r.Retention) == 0 {
		b.WriteString("  nobody was new\n")
	}
	for _, c := range r.Retention {
		fmt.Fprintf(&b, "  %s %10d new", c.Day, c.Users)
		for i, age := range RetentionDays {
			fmt.Fprintf(&b, "   after %d d %s", age, share(c.Back[i], c.Users))
		}
		b.WriteString("\n")
	}
	plot(&b, "Points in by day", in)
	plot(&b, "Points out by day", out)
	var ops []line
	for _, f := range r.Points {
		ops = append(ops, line{f.Op, f.Amount, fmt.Sprintf("%d times", f.Count)})
	}
	plot(&b, "Points by operation", ops)
	plot(&b, "Messages by area", said)
	_, err := io.WriteString(w, b.String())
	return err
}

// share is a part in percent; "-" when it is not known.
func share(n, of int64) string {
	if n < 0 || of == 0 {
		return "   -"
	}
	return fmt.Sprintf("%3.0f%%", 100*float64(n)/float64(of))
}
