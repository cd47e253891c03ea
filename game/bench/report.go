package bench

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Schema names the form of a Report; it changes when a field changes meaning.
const Schema = "kamado-game-bench/1"

// Report is everything that one run found out.
type Report struct {
	Schema   string    `json:"schema"`
	Started  time.Time `json:"started"`
	Machine  Machine   `json:"machine"`
	Version  string    `json:"version"`
	Command  []string  `json:"command"`
	Settings Settings  `json:"settings"`
	Rows     []Row     `json:"rows"`
	Skipped  []Skipped `json:"skipped"` // what could not be measured here, and why
	Notes    []string  `json:"notes"`
	*Summary           // of points over the game's protocol; nil: they were not measured
}

// Summary repeats the row of points over the game's protocol by the most callers, for whoever reads one figure.
type Summary struct {
	Transport    string         `json:"transport"`
	Callers      int            `json:"callers"`
	OpsPerSecond float64        `json:"ops_per_second"` // acknowledged
	P50          float64        `json:"p50_ms"`
	P99          float64        `json:"p99_ms"`
	Max          float64        `json:"max_ms"`
	Operations   int            `json:"operations"` // acknowledged
	Errors       map[string]int `json:"errors"`
	ServerCPU    float64        `json:"server_cpu_us"`    // processor time of the server an operation; 0: not known
	GeneratorCPU float64        `json:"generator_cpu_us"` // and of the generator
	Checked      int            `json:"checked"`          // accounts that were compared
	Wrong        int            `json:"wrong"`            // and are not as acknowledged
	Sum          *int64         `json:"sum"`              // of all accounts
}

// sum up the row of points over a connection.
func (r *Report) sumUp(over string, row Row) {
	if r.Summary != nil && r.Summary.Callers > row.Callers {
		return
	}
	r.Summary = &Summary{Transport: over, Callers: row.Callers, OpsPerSecond: row.Rate, P50: row.P50, P99: row.P99, Max: row.Max, Operations: row.Acknowledged,
		Errors: map[string]int{}, ServerCPU: row.CPU, GeneratorCPU: row.Client, Checked: row.Accounts, Wrong: row.Wrong, Sum: row.Sum}
	maps.Copy(r.Summary.Errors, row.Errors)
}

// Machine is what the figures belong to.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	// Load is the load average of the last minute when the run began: above 1, others were at work, and figures are less sure.
	Load string `json:"load"`
}

// Settings repeats what was measured.
type Settings struct {
	Rounds int     `json:"rounds"`
	Round  float64 `json:"round_seconds"` // one load in one round
	Rate   float64 `json:"rate,omitempty"`
	Mix    string  `json:"mix"`
	Dir    string  `json:"dir"`
}

// Row is one subject under one load, or one kind of start.
type Row struct {
	Group   string `json:"group"`
	Subject string `json:"subject"`
	What    string `json:"what"` // an operation is, or a start ends with
	Callers int    `json:"callers,omitempty"`
	// Rate is acknowledged operations a second. P50, P99 and Max are the milliseconds of one: medians of the rounds,
	// and the longest of all. Acknowledged is how many there were in all rounds.
	Rate         float64 `json:"per_second,omitempty"`
	P50          float64 `json:"p50_ms,omitempty"`
	P99          float64 `json:"p99_ms,omitempty"`
	Max          float64 `json:"max_ms,omitempty"`
	Acknowledged int     `json:"acknowledged,omitempty"`
	// CPU is the microseconds of the subject's processor time an operation, or of a start; Client those of the generator.
	CPU    float64 `json:"cpu_us,omitempty"`
	Client float64 `json:"client_cpu_us,omitempty"`
	// Errors are answers that were no success by status or kind; "lost" are connections that ended before an answer, "behind"
	// operations of an open loop that were never sent.
	Errors map[string]int `json:"errors,omitempty"`
	// Accounts were compared with what was acknowledged, after Doubts had been settled; Wrong did not hold it. Of
	// entities, each is an account.
	Accounts int      `json:"checked,omitempty"`
	Doubts   int      `json:"doubts,omitempty"`
	Wrong    int      `json:"wrong"`
	Faults   []string `json:"faults,omitempty"` // the first that are wrong
	// Sum is the sum of all accounts of the ledger, which is zero. It is asked for behind loads over the game's protocol.
	Sum *int64 `json:"sum,omitempty"`
	// RateRatio, CPURatio and P99Ratio compare Kamado with the subject: medians of the ratios of each round. Missing on Kamado's own rows.
	RateRatio float64 `json:"rate_ratio,omitempty"`
	CPURatio  float64 `json:"cpu_ratio,omitempty"`
	P99Ratio  float64 `json:"p99_ratio,omitempty"`
	// Seconds is the median of starts. RSS is what the subject has resident behind the loads, or when it has been left
	// alone after a start, in MiB; what processes share is divided among them.
	Seconds float64 `json:"seconds,omitempty"`
	RSS     float64 `json:"rss_mib,omitempty"`
	// The targets; 0: none.
	RateLeast   float64 `json:"per_second_least,omitempty"`
	RatioLeast  float64 `json:"rate_ratio_least,omitempty"`
	SecondsMost float64 `json:"seconds_most,omitempty"`
	MemoryMost  float64 `json:"rss_mib_most,omitempty"`
}

// Skipped is what was not measured.
type Skipped struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// Met says whether a row keeps its targets; a row without one does, unless it is wrong.
func (r Row) Met() bool {
	return r.Wrong == 0 && r.Rate >= r.RateLeast && r.RateRatio >= r.RatioLeast && (r.SecondsMost == 0 || r.Seconds <= r.SecondsMost) && (r.MemoryMost == 0 || r.RSS <= r.MemoryMost)
}

func (r Row) aimed() bool { return r.RateLeast+r.RatioLeast+r.SecondsMost+r.MemoryMost > 0 }

// faultsMax bounds the faults that a row tells.
const faultsMax = 5

// wrong counts something that is not as it was acknowledged.
func (r *Row) wrong(format string, args ...any) {
	r.Wrong++
	if len(r.Faults) < faultsMax {
		r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
	}
}

func (r *Row) memory(pid int) {
	if pid == 0 {
		return
	}
	_, pss := memoryOf(pid)
	r.RSS = float64(pss) / (1 << 20)
}

func newReport(cfg *Config) *Report {
	return &Report{Schema: Schema, Started: time.Now().UTC(), Machine: thisMachine(), Version: cfg.Version, Command: cfg.Command,
		Settings: Settings{Rounds: cfg.Rounds, Round: cfg.round().Seconds(), Rate: cfg.Rate, Mix: cfg.Mix, Dir: cfg.Dir},
		Rows:     []Row{}, Skipped: []Skipped{}, Notes: []string{}}
}

func (r *Report) skip(what, why string) {
	if s := (Skipped{what, why}); !slices.Contains(r.Skipped, s) {
		r.Skipped = append(r.Skipped, s)
	}
}

// Err says that something is not as it was acknowledged. Missed targets are no error: they are told.
func (r *Report) Err() error {
	var errs []error
	for _, row := range r.Rows {
		if row.Wrong > 0 {
			errs = append(errs, fmt.Errorf("%s, %s by %d callers: %d of %d are not as acknowledged: %s", row.Group, row.Subject, row.Callers, row.Wrong, row.Accounts, strings.Join(row.Faults, "; ")))
		}
	}
	return errors.Join(errs...)
}

// rowsOf makes rows of rounds; the first subject is ours.
func rowsOf(group, what string, callers int, subjects []*subject) []Row {
	var rows []Row
	for i, s := range subjects {
		row := Row{Group: group, Subject: s.name, What: what, Callers: callers}
		row.fill(s.all)
		if i > 0 {
			row.beside(subjects[0].all, s.all)
		}
		if s.name == PeerFloor {
			row.What, row.Callers = fmt.Sprintf("append of %d B", floorBlock), 1
		}
		rows = append(rows, row)
	}
	return rows
}

func (r *Row) fill(rounds []measured) {
	var rate, p50, p99, cpu, client []float64
	for _, m := range rounds {
		n := float64(m.acknowledged())
		rate, cpu, client = append(rate, m.rate()), append(cpu, m.cpu), append(client, us(m.client)/n)
		p50, p99 = append(p50, ms(m.times.percentile(0.50))), append(p99, ms(m.times.percentile(0.99)))
		r.Max = max(r.Max, ms(time.Duration(m.times.max)))
		r.Acknowledged += m.acknowledged()
		for status, n := range m.errors() {
			if r.Errors == nil {
				r.Errors = map[string]int{}
			}
			r.Errors[status] += n
		}
	}
	r.Rate, r.P50, r.P99, r.CPU, r.Client = median(rate), median(p50), median(p99), median(cpu), median(client)
}

// beside fills the ratios of ours to theirs, round by round.
func (r *Row) beside(ours, theirs []measured) {
	var rate, cpu, p99 []float64
	for i := range ours {
		rate = append(rate, ours[i].rate()/theirs[i].rate())
		p99 = append(p99, ms(ours[i].times.percentile(0.99))/ms(theirs[i].times.percentile(0.99)))
		if theirs[i].cpu > 0 {
			cpu = append(cpu, ours[i].cpu/theirs[i].cpu)
		}
	}
	r.RateRatio, r.P99Ratio = median(rate), median(p99)
	if len(cpu) > 0 {
		r.CPURatio = median(cpu)
	}
}

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
	head = []string{"group", "subject", "what", "callers", "/s", "p50 ms", "p99 ms", "max ms", "CPU us", "client us", "start s", "RSS MiB", "ours/it /s", "CPU", "p99", "met"}
	for _, row := range r.Rows {
		line := []string{row.Group, row.Subject, row.What, figure(float64(row.Callers), "%.0f"), figure(row.Rate, "%.0f"), figure(row.P50, "%.2f"), figure(row.P99, "%.2f"), figure(row.Max, "%.1f"),
			figure(row.CPU, "%.1f"), figure(row.Client, "%.1f"), figure(row.Seconds, "%.3f"), figure(row.RSS, "%.1f"), figure(row.RateRatio, "%.2f"), figure(row.CPURatio, "%.2f"), figure(row.P99Ratio, "%.2f"), ""}
		if row.aimed() || row.Wrong > 0 {
			line[len(line)-1] = "yes"
			if !row.Met() {
				line[len(line)-1] = "no"
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

// busyLoad is the load average from which others are taken to be at work.
const busyLoad = 1.0

// Linux shares a busy processor among processes, or among sessions (sched(7), autogroup), not among programs.
const busyNote = "the machine was busy: a peer of many processes gets more of it than a server that is one, and rates say little; the ratio of CPU is surer"

// Lines are what a person needs beside the table.
func (r *Report) Lines() []string {
	lines := []string{fmt.Sprintf("%s, %d cores, Linux %s, load %s; directories in %s", r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Load, r.Settings.Dir)}
	for _, row := range r.Rows {
		who := fmt.Sprintf("%s, %s by %d callers", row.Group, row.Subject, row.Callers)
		for _, status := range slices.Sorted(maps.Keys(row.Errors)) {
			lines = append(lines, fmt.Sprintf("%s: %d x %s", who, row.Errors[status], status))
		}
		if row.Accounts > 0 {
			lines = append(lines, fmt.Sprintf("%s: %d acknowledged, %d in doubt and settled; %d checked, %d wrong", who, row.Acknowledged, row.Doubts, row.Accounts, row.Wrong))
		}
	}
	if load, err := strconv.ParseFloat(r.Machine.Load, 64); err == nil && load >= busyLoad {
		lines = append(lines, busyNote)
	}
	for _, s := range r.Skipped {
		lines = append(lines, fmt.Sprintf("%s: not measured: %s", s.What, s.Why))
	}
	return append(lines, r.Notes...)
}
