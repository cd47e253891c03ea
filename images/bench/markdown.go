package bench

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Markdown is the report as a piece of a page: the machine, the versions, the
// command, the table of figures, and what each class cost.
func (r *Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured %s on %s, %d cores, Linux %s, load %s when it began.\n\n",
		r.Started.Format("2006-01-02"), r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Load)
	fmt.Fprintf(&b, "Command: `%s`\n\n", called(r.Command))
	for _, s := range r.Subjects {
		fmt.Fprintf(&b, "- %s %s: %s\n", s.Name, s.Version, s.How)
	}
	for _, a := range r.Absent {
		fmt.Fprintf(&b, "- %s was not measured: %s\n", a.Name, a.Why)
	}
	fmt.Fprintf(&b, "\nRenditions are %s up to %d pixels smaller or larger, JPEG of quality %d; %d alternating rounds; CPU is user and system time of all processes of a subject.\n\n",
		r.Settings.Size, r.Settings.Jitter, r.Settings.Quality, r.Settings.Rounds)
	writeTable(&b, r.RowTable)
	b.WriteString("\n### In detail\n\n")
	writeTable(&b, r.Table)
	b.WriteByte('\n')
	for _, line := range r.remarks() {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	return b.String()
}

// called names the program without the folder it lay in.
func called(words []string) string {
	if len(words) == 0 {
		return "kamado images bench"
	}
	return strings.Join(append([]string{filepath.Base(words[0])}, words[1:]...), " ")
}

func writeTable(b *strings.Builder, of func() ([]string, [][]string)) {
	head, rows := of()
	line := func(cells []string) {
		for _, cell := range cells {
			b.WriteString("| " + strings.ReplaceAll(cell, "|", `\|`) + " ")
		}
		b.WriteString("|\n")
	}
	line(head)
	b.WriteString(strings.Repeat("|---", len(head)) + "|\n")
	for _, row := range rows {
		line(row)
	}
}
