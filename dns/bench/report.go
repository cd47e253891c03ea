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
const Schema = "kamado-dns-bench/1"

// Report is everything that one run found out.
type Report struct {
	Schema  string    `json:"schema"`
	Started time.Time `json:"started"`
	Machine Machine   `json:"machine"`
	Version string    `json:"version"`
	Command []string  `json:"command"`
	Rows    []Row     `json:"rows"`
	Skipped []Skipped `json:"skipped"` // what could not be measured here, and why
}

// Machine is what the figures belong to.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	// Load is the load average of the last minute when the run began: above 1, others were at work, and figures are less sure.
	Load string `json:"load"`
}

// Row is one subject under one load, or beside another.
type Row struct {
	Group   string `json:"group"`
	Load    string `json:"load"`
	Subject string `json:"subject"`
	// Rate is answers a second, CPU the microseconds of the subject's time that one took, P50 and P99 the
	// microseconds until it came (not known of dnsperf), Lost the part of questions without an answer, of all rounds.
	Rate  float64 `json:"rate"`
	CPU   float64 `json:"cpu_us"`
	P50   float64 `json:"p50_us,omitempty"`
	P99   float64 `json:"p99_us,omitempty"`
	Lost  float64 `json:"lost"`
	Wrong int     `json:"wrong"`
	// RateRatio, CPURatio and P99Ratio compare Kamado with the subject: medians of the ratios of each round. Missing on Kamado's own rows.
	RateRatio float64 `json:"rate_ratio,omitempty"`
	CPURatio  float64 `json:"cpu_ratio,omitempty"`
	P99Ratio  float64 `json:"p99_ratio,omitempty"`
	// Memory is the subject's proportional memory in MiB behind the rounds, Resident what lay in memory of all its processes.
	Memory   float64 `json:"pss_mib,omitempty"`
	Resident float64 `json:"rss_mib,omitempty"`
	// Changes of records a second, made meanwhile through the API.
	Changes float64 `json:"changes,omitempty"`
	// RateLeast and P99Most are the targets of the ratios; 0: none.
	RateLeast float64 `json:"rate_ratio_least,omitempty"`
	P99Most   float64 `json:"p99_ratio_most,omitempty"`
}

// Skipped is what was not measured.
type Skipped struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// Met says whether a row keeps its targets; a row without one does.
func (r Row) Met() bool {
	return (r.RateLeast == 0 || r.RateRatio >= r.RateLeast) && (r.P99Most == 0 || r.P99Ratio == 0 || r.P99Ratio <= r.P99Most) && r.Wrong == 0
}

// The targets of the ratios of rates, by peer, and of the late answers beside NSD.
var rateLeast = map[string]float64{PeerNSD: 1.00, PeerKnot: 1.05, PeerCoreDNS: 4, PeerFloor: 0.88}

const (
	p99Most = 1.1
	// changesLeast is what must be left of the rate while records change.
	changesLeast = 0.95
)

// median of what is not empty.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

func thisMachine() Machine {
	m := Machine{CPU: "unknown", Cores: runtime.NumCPU()}
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
	head = []string{"group", "load", "subject", "q/s", "CPU us", "p50 us", "p99 us", "lost %", "PSS MiB", "ours/it q/s", "CPU", "p99", "met"}
	for _, row := range r.Rows {
		line := []string{row.Group, row.Load, row.Subject, fmt.Sprintf("%.0f", row.Rate), fmt.Sprintf("%.2f", row.CPU), figure(row.P50, "%.0f"), figure(row.P99, "%.0f"),
			fmt.Sprintf("%.3f", 100*row.Lost), figure(row.Memory, "%.1f"), figure(row.RateRatio, "%.3f"), figure(row.CPURatio, "%.3f"), figure(row.P99Ratio, "%.2f"), ""}
		if row.RateLeast > 0 || row.Wrong > 0 {
			line[12] = "yes"
			if !row.Met() {
				line[12] = "no"
			}
		}
		rows = append(rows, line)
	}
	return head, rows
}

func figure(v float64, format string) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf(format, v)
}

// Lines are what a person needs beside the table.
func (r *Report) Lines() []string {
	lines := []string{fmt.Sprintf("%s, %d cores, Linux %s, load %s", r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Load)}
	for _, row := range r.Rows {
		if row.Changes > 0 {
			lines = append(lines, fmt.Sprintf("%s, %s: %.0f changes a second meanwhile", row.Group, row.Load, row.Changes))
		}
		if row.Wrong > 0 {
			lines = append(lines, fmt.Sprintf("%s, %s: %d wrong answers to %s", row.Group, row.Subject, row.Wrong, row.Load))
		}
	}
	for _, s := range r.Skipped {
		lines = append(lines, fmt.Sprintf("%s: not measured: %s", s.What, s.Why))
	}
	return lines
}
