package bench

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Schema names the form of a Report; it changes when a field changes meaning.
const Schema = "kamado-compute-bench/1"

// Report is everything that one run found out.
type Report struct {
	Schema  string    `json:"schema"`
	Started time.Time `json:"started"`
	Machine Machine   `json:"machine"`
	Version string    `json:"version"`
	Command []string  `json:"command"`
	Rows    []Row     `json:"rows"`
	Skipped []Skipped `json:"skipped"` // groups that could not be measured here, and why
	Notes   []string  `json:"notes"`
}

// Machine is what the figures belong to.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	// Load is the load average of the last minute when the run began: above
	// 1, others were at work, and figures are less sure.
	Load string `json:"load"`
	Root bool   `json:"root"`
	QEMU string `json:"qemu,omitempty"`
}

// Row is one figure.
type Row struct {
	Group string `json:"group"`
	Name  string `json:"name"`
	Unit  string `json:"unit"`
	// Value is the median where Count is more than one.
	Value float64  `json:"value"`
	Min   *float64 `json:"min,omitempty"`
	P99   *float64 `json:"p99,omitempty"`
	Max   *float64 `json:"max,omitempty"`
	Count int      `json:"count,omitempty"`
	// CPU is what the subject spent on one unit of the work, in ms of user and
	// system time.
	CPU *float64 `json:"cpu_ms,omitempty"`
	// Target bounds Value, and TargetP99 P99: at most, or at least when AtLeast.
	Target    *float64 `json:"target,omitempty"`
	TargetP99 *float64 `json:"target_p99,omitempty"`
	AtLeast   bool     `json:"at_least,omitempty"`
	Detail    string   `json:"detail,omitempty"`
}

// Skipped is a group that was not measured.
type Skipped struct {
	Group string `json:"group"`
	Why   string `json:"why"`
}

// Met says whether a row keeps its targets; a row without one does.
func (r Row) Met() bool {
	switch {
	case r.Target != nil && r.AtLeast && r.Value < *r.Target, r.Target != nil && !r.AtLeast && r.Value > *r.Target:
		return false
	case r.TargetP99 != nil && r.P99 != nil && *r.P99 > *r.TargetP99:
		return false
	}
	return true
}

// atMost gives the row with its target.
func (r Row) atMost(v float64) Row {
	r.Target = &v
	return r
}

// atMostP99 gives the row with the target of its 99th percentile.
func (r Row) atMostP99(v float64) Row {
	r.TargetP99 = &v
	return r
}

// atLeast gives the row with its target.
func (r Row) atLeast(v float64) Row {
	r.Target, r.AtLeast = &v, true
	return r
}

// cpu gives the row with the subject's time for each of n units.
func (r Row) cpu(spent time.Duration, n int) Row {
	if n > 0 {
		v := ms(spent) / float64(n)
		r.CPU = &v
	}
	return r
}

func (r Row) because(format string, args ...any) Row {
	r.Detail = fmt.Sprintf(format, args...)
	return r
}

// percentilesFrom is how many values a 99th percentile is worth telling for.
const percentilesFrom = 100

// spread makes a row of many values: median, least, largest, 99th percentile.
func spread(group, name, unit string, values []float64) Row {
	r := Row{Group: group, Name: name, Unit: unit, Count: len(values)}
	if len(values) == 0 {
		return r
	}
	sorted := slices.Sorted(slices.Values(values))
	r.Value = (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
	if len(sorted) > 1 {
		r.Min, r.Max = &sorted[0], &sorted[len(sorted)-1]
	}
	if len(sorted) >= percentilesFrom {
		p99 := percentile(sorted, 0.99)
		r.P99 = &p99
	}
	return r
}

// percentile gives the value that a part of the sorted values does not exceed.
func percentile(sorted []float64, part float64) float64 {
	return sorted[min(len(sorted)-1, int(part*float64(len(sorted))))]
}

// times makes a row of durations, in ms.
func times(group, name string, list []time.Duration) Row {
	values := make([]float64, len(list))
	for i, d := range list {
		values[i] = ms(d)
	}
	return spread(group, name, "ms", values)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func thisMachine() Machine {
	m := Machine{CPU: "unknown", Cores: runtime.NumCPU(), Root: os.Geteuid() == 0}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range bytes.Lines(b) {
			if key, value, _ := strings.Cut(string(line), ":"); strings.TrimSpace(key) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load, _, _ = strings.Cut(string(b), " ")
	}
	return m
}

// Table is the report as a person reads it: a head, and a line for each row.
func (r *Report) Table() (head []string, rows [][]string) {
	head = []string{"group", "what", "median", "p99", "unit", "CPU ms each", "target", "met"}
	for _, row := range r.Rows {
		line := []string{row.Group, row.Name, figure(&row.Value), figure(row.P99), row.Unit, figure(row.CPU), "", ""}
		if row.Target != nil || row.TargetP99 != nil {
			line[6], line[7] = target(row), "yes"
			if !row.Met() {
				line[7] = "no"
			}
		}
		rows = append(rows, line)
	}
	return head, rows
}

func target(r Row) string {
	sign := "<= "
	if r.AtLeast {
		sign = ">= "
	}
	var parts []string
	if r.Target != nil {
		parts = append(parts, sign+figure(r.Target))
	}
	if r.TargetP99 != nil {
		parts = append(parts, "p99 "+sign+figure(r.TargetP99))
	}
	return strings.Join(parts, ", ")
}

// figure gives three digits that mean something.
func figure(v *float64) string {
	switch {
	case v == nil:
		return "-"
	case *v >= 100 || *v == float64(int64(*v)):
		return fmt.Sprintf("%.0f", *v)
	case *v >= 10:
		return fmt.Sprintf("%.1f", *v)
	}
	return fmt.Sprintf("%.2f", *v)
}

// Lines are what a person needs beside the table.
func (r *Report) Lines() []string {
	lines := []string{fmt.Sprintf("%s, %d cores, Linux %s, load %s", r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Load)}
	for _, row := range r.Rows {
		if row.Detail != "" {
			lines = append(lines, fmt.Sprintf("%s, %s: %s", row.Group, row.Name, row.Detail))
		}
	}
	for _, s := range r.Skipped {
		lines = append(lines, fmt.Sprintf("%s: not measured: %s", s.Group, s.Why))
	}
	return append(lines, r.Notes...)
}
