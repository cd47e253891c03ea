package bench

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Schema names the form of a Report; it changes when a field changes meaning.
const Schema = "kamado-images-bench/1"

// Report is everything that one run found out. Milliseconds are CPU time, user
// and system, of all processes of a subject, for one picture that counted.
type Report struct {
	Schema   string    `json:"schema"`
	Started  time.Time `json:"started"`
	Machine  Machine   `json:"machine"`
	Command  []string  `json:"command"`
	Settings Settings  `json:"settings"`
	Subjects []Subject `json:"subjects"`
	Absent   []Absent  `json:"absent"` // peers that were not measured, and why
	Classes  []Class   `json:"classes"`
	Memory   []Memory  `json:"memory"`
	Burst    *Burst    `json:"burst"`   // null when it was not measured; likewise the next three
	Latency  *Latency  `json:"latency"` // of 1 MP originals
	Cached   *Cached   `json:"cached"`
	Moire    *Moire    `json:"moire"`
	Rows     []Row     `json:"rows"` // the table of figures
	Notes    []string  `json:"notes"`
}

// Machine is what the figures belong to.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	// Load is the load average of the last minute when the run began: above
	// 1, others were at work, and figures are less sure.
	Load string `json:"load"`
}

// Settings repeats what was measured.
type Settings struct {
	Size    string `json:"size"` // of the renditions in the middle of the jitter
	Jitter  int    `json:"jitter_px"`
	Quality int    `json:"quality"`
	Rounds  int    `json:"rounds"`
	Repeat  int    `json:"repeat"`
}

// Subject is one thing that was measured.
type Subject struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	How     string `json:"how"`
}

// Absent is one peer that was not measured.
type Absent struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// Class is the result for originals of one size and coding.
type Class struct {
	Name      string     `json:"name"`
	Originals int        `json:"originals"`
	Results   []Result   `json:"results"`
	Ratios    []Compared `json:"ratios"`
}

// Result is one subject in one class.
type Result struct {
	Subject  string     `json:"subject"`
	Asked    int        `json:"asked"`   // renditions asked for in the rounds that count
	Counted  int        `json:"counted"` // of those, whole and of the right size
	Rejected []Rejected `json:"rejected,omitempty"`
	CPU      Spread     `json:"cpu_ms"`
	Bytes    float64    `json:"bytes_mean"`
	PSNR     float64    `json:"psnr_db_mean"`
	Score    *float64   `json:"ssimulacra2_mean"` // null when it was not measured
	ScoreMin *float64   `json:"ssimulacra2_min"`
	Broken   string     `json:"broken,omitempty"` // why the subject was measured no further
}

// Rejected is a reason why renditions did not count.
type Rejected struct {
	Why   string `json:"why"`
	Count int    `json:"count"`
}

// Compared is kamado over one peer in one class: below 1 kamado is cheaper.
// The quality is compared on the pictures that counted on both sides.
type Compared struct {
	Peer   string   `json:"peer"`
	CPU    Spread   `json:"cpu"`
	Bytes  float64  `json:"bytes"`
	PSNR   float64  `json:"psnr_db_difference"`
	Score  *float64 `json:"ssimulacra2_difference"`
	Rule   string   `json:"rule"` // met, broken, or not judged
	By     string   `json:"rule_by"`
	Broken []string `json:"rule_broken,omitempty"`
}

// Burst is how often an original was decoded when many asked for the same
// rendition of it at once, by the program's own metrics.
type Burst struct {
	Requests int    `json:"requests"`
	Counted  int    `json:"counted"`
	Decodes  Spread `json:"decodes"` // of a burst
}

// Latency is the 99th percentile of the time to a whole answer, in milliseconds
// of the clock, over the rounds; Ratio is kamado's over imgproxy's.
type Latency struct {
	Concurrency int     `json:"concurrency"`
	Requests    int     `json:"requests"` // of a subject in a round
	Counted     int     `json:"counted"`  // of all of kamado's
	Kamado      Spread  `json:"kamado_p99_ms"`
	Imgproxy    *Spread `json:"imgproxy_p99_ms"` // null when it was not measured
	Ratio       *Spread `json:"ratio"`
}

// Cached is how many finished renditions kamado delivers for a second of CPU,
// and nginx of the same bytes from a file: in each round the better of its
// configurations.
type Cached struct {
	Bytes  int    `json:"bytes"` // of the rendition
	Kamado Spread `json:"kamado_per_cpu_second"`
	Nginx  Spread `json:"nginx_per_cpu_second"`
	Ratio  Spread `json:"ratio"` // kamado's over nginx's
}

// Memory is the peak of a subject's processes while it makes the renditions of a
// class, started anew, with as many requests at once as there are cores.
type Memory struct {
	Subject     string `json:"subject"`
	Class       string `json:"class"`
	Concurrency int    `json:"concurrency"`
	Requests    int    `json:"requests"`
	Counted     int    `json:"counted"`
	Peak        int64  `json:"pss_peak_bytes"`
	Idle        int64  `json:"pss_idle_bytes"` // when ready, before the first request
	Processes   int    `json:"processes_max"`
	Samples     int    `json:"samples"`
}

// The three verdicts of Compared.Rule.
const (
	RuleMet       = "met"
	RuleBroken    = "broken"
	RuleNotJudged = "not judged"
)

func thisMachine() Machine {
	m := Machine{CPU: "unknown", Cores: runtime.NumCPU()}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.CPU = cpuModel(b)
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

// cpuModel reads the first "model name : …" line; arm64 has none and is named
// by its implementer and part numbers.
func cpuModel(cpuinfo []byte) string {
	var arm []string
	for line := range bytes.Lines(cpuinfo) {
		key, value, _ := strings.Cut(string(line), ":")
		switch key, value = strings.TrimSpace(key), strings.TrimSpace(value); key {
		case "model name":
			return value
		case "CPU implementer", "CPU part":
			if len(arm) < 2 {
				arm = append(arm, value)
			}
		}
	}
	if len(arm) > 0 {
		return "arm " + strings.Join(arm, " ")
	}
	return "unknown"
}

// Table is the report as a person reads it: a head, and a line for each subject
// in each class.
func (r *Report) Table() (head []string, rows [][]string) {
	head = []string{"class", "subject", "counted", "CPU ms", "kamado is", "bytes", "ssimulacra2", "PSNR dB", "quality rule"}
	for _, c := range r.Classes {
		for _, s := range c.Results {
			row := []string{c.Name, s.Subject, fmt.Sprintf("%d/%d", s.Counted, s.Asked), fmt.Sprintf("%.2f", s.CPU.Median),
				"", fmt.Sprintf("%.0f", s.Bytes), number(s.Score, "%.2f"), fmt.Sprintf("%.2f", s.PSNR), ""}
			for _, x := range c.Ratios {
				if x.Peer == s.Subject {
					row[4] = fmt.Sprintf("%.2fx (%.2f-%.2f)", x.CPU.Median, x.CPU.Min, x.CPU.Max)
					row[8] = strings.Join(append([]string{x.Rule}, x.Broken...), ": ")
				}
			}
			if s.Broken != "" {
				row[8] = "failed: " + s.Broken
			}
			rows = append(rows, row)
		}
	}
	return head, rows
}

// Lines are what a person needs beside the table.
func (r *Report) Lines() []string {
	lines := []string{fmt.Sprintf("%s, %d cores, Linux %s, load %s", r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Load)}
	for _, s := range r.Subjects {
		lines = append(lines, fmt.Sprintf("%s %s: %s", s.Name, s.Version, s.How))
	}
	for _, a := range r.Absent {
		lines = append(lines, fmt.Sprintf("%s: not measured: %s", a.Name, a.Why))
	}
	return append(lines, r.remarks()...)
}

// remarks are what the tables do not say: memory, what did not count, notes.
func (r *Report) remarks() []string {
	var lines []string
	for _, m := range r.Memory {
		lines = append(lines, fmt.Sprintf("memory, %s, %s, %d at once: %.1f MB at most in %d processes, %.1f MB idle (PSS)",
			m.Subject, m.Class, m.Concurrency, float64(m.Peak)/1e6, m.Processes, float64(m.Idle)/1e6))
	}
	for _, c := range r.Classes {
		for _, s := range c.Results {
			for _, w := range s.Rejected {
				lines = append(lines, fmt.Sprintf("%s, %s: %d did not count: %s", c.Name, s.Subject, w.Count, w.Why))
			}
		}
	}
	return append(lines, r.Notes...)
}

func number(v *float64, format string) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf(format, *v)
}
