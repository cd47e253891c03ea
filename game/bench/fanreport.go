package bench

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// FanoutSchema names the form of a FanoutReport; it changes when a field changes meaning.
const FanoutSchema = "kamado-game-bench-fanout/1"

// FanoutReport is what a fan-out found out. The figures of our own server stand at its top.
type FanoutReport struct {
	Schema    string    `json:"schema"`
	Started   time.Time `json:"started"`
	Machine   Machine   `json:"machine"`
	Version   string    `json:"version"`
	Command   []string  `json:"command"`
	URL       string    `json:"url"`
	Transport string    `json:"transport"`
	TickMs    int       `json:"tick_ms"` // between two rounds of moves, as the server says; 0: at once
	Avatars   int       `json:"avatars"`
	Room      int       `json:"room"`
	Rooms     int       `json:"rooms"`
	Rate      float64   `json:"rate"`             // moves of one avatar a second
	Duration  float64   `json:"duration_seconds"` // of moving, in all rounds together
	Rounds    int       `json:"rounds"`
	Threads   int       `json:"generator_threads"`
	Fanned
	Peers   []Fanned  `json:"peers"`
	Skipped []Skipped `json:"skipped"` // peers that could not be measured here, and why
	Notes   []string  `json:"notes"`
}

// Fanned is one subject of a fan-out.
type Fanned struct {
	Subject string `json:"subject"`
	// Deliveries are positions of an avatar, changed since, that another one decoded; Expected is how many there are when all goes well:
	// for each move, one to each other avatar of the room. Missing is the difference: Superseded were replaced by a newer position of the
	// same avatar, Lost had not come when the grace behind the last move was over.
	Deliveries int `json:"deliveries"`
	Expected   int `json:"expected"`
	Missing    int `json:"missing"`
	Superseded int `json:"superseded"`
	Lost       int `json:"lost"`
	// Rows that are no deliveries: of the receiver's own avatar; of a position that it knew; of one that is older than what it knew; and
	// of one that nobody sent.
	Echoes  int `json:"echoes"`
	Repeats int `json:"repeats"`
	Stale   int `json:"stale"`
	Strays  int `json:"strays"`
	// Milliseconds from when a move was due until it was decoded: medians of the rounds, and the longest of all.
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
	// Connections that did not come in, and those that ended later.
	ConnectFailures int    `json:"connect_failures"`
	LostConnections int    `json:"lost_connections"`
	Why             string `json:"why,omitempty"` // the first of them failed or ended
	// Bytes came to all avatars while they moved.
	Bytes int64 `json:"bytes"`
	// ServerCPU is the processor time of the server (user and system) while avatars moved; 0: not known.
	ServerCPU    float64 `json:"server_cpu_seconds"`
	PerCPU       float64 `json:"deliveries_per_cpu_second"`
	GeneratorCPU float64 `json:"generator_cpu_seconds"`
	// Moves that were sent; not sent, because the connection was over; sent more than 5 ms late; and how late.
	Sends   int     `json:"sends"`
	Unsent  int     `json:"unsent"`
	Late    int     `json:"late_sends"`
	SendP99 float64 `json:"send_delay_p99_ms"`
	SendMax float64 `json:"send_delay_max_ms"`
	// GeneratorBound: the generator was the bottleneck, so that the figures say nothing of the server.
	GeneratorBound bool `json:"generator_bound"`
	// Kamado's deliveries per processor second, and p99, beside those of this subject: medians of the ratios of each round. Missing on Kamado's own.
	PerCPURatio float64 `json:"per_cpu_ratio,omitempty"`
	P99Ratio    float64 `json:"p99_ratio,omitempty"`
}

// lateMost is the part of moves that may be sent late: with more, the generator is the bottleneck.
const lateMost = 0.01

func newFanoutReport(cfg *FanoutConfig) *FanoutReport {
	return &FanoutReport{Schema: FanoutSchema, Started: time.Now().UTC(), Machine: thisMachine(), Version: cfg.Version, Command: cfg.Command,
		Avatars: cfg.Avatars, Room: cfg.Room, Rooms: len(cfg.roomSizes()), Rate: cfg.Rate, Duration: cfg.Duration.Seconds(), Rounds: cfg.Rounds, Threads: cfg.threads(),
		Peers: []Fanned{}, Skipped: []Skipped{}, Notes: []string{}}
}

func (r *FanoutReport) skip(what, why string) { r.Skipped = append(r.Skipped, Skipped{what, why}) }

func (r *FanoutReport) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.Notes, text) {
		r.Notes = append(r.Notes, text)
	}
}

// fill makes figures of rounds. The first subject is ours.
func (r *FanoutReport) fill(subjects []*fanSubject) {
	r.Fanned = fannedOf(subjects[0])
	for _, s := range subjects[1:] {
		f := fannedOf(s)
		f.beside(subjects[0].all, s.all)
		r.Peers = append(r.Peers, f)
	}
}

func fannedOf(s *fanSubject) Fanned {
	f := Fanned{Subject: s.name}
	var p50, p99 []float64
	var cpu, client time.Duration
	var delay histogram
	for i := range s.all {
		m := &s.all[i]
		f.Deliveries, f.Expected, f.Superseded = f.Deliveries+m.deliveries, f.Expected+m.expected, f.Superseded+m.superseded
		f.Echoes, f.Repeats, f.Stale, f.Strays = f.Echoes+m.echoes, f.Repeats+m.repeats, f.Stale+m.stale, f.Strays+m.strays
		f.Bytes, cpu, client = f.Bytes+m.bytes, cpu+m.cpu, client+m.client
		f.Sends, f.Unsent, f.Late = f.Sends+m.sent, f.Unsent+m.unsent, f.Late+m.late
		p50, p99 = append(p50, ms(m.times.percentile(0.50))), append(p99, ms(m.times.percentile(0.99)))
		f.Max = max(f.Max, ms(time.Duration(m.times.max)))
		delay.merge(&m.delay)
		f.ConnectFailures, f.LostConnections = m.gate.failed, m.gate.lost
		if err := m.gate.why(); err != nil {
			f.Why = err.Error()
		}
	}
	f.P50, f.P99 = median(p50), median(p99)
	f.Missing = f.Expected - f.Deliveries
	f.Lost = f.Missing - f.Superseded
	f.ServerCPU, f.GeneratorCPU = cpu.Seconds(), client.Seconds()
	if cpu > 0 {
		f.PerCPU = float64(f.Deliveries) / cpu.Seconds()
	}
	f.SendP99, f.SendMax = ms(delay.percentile(0.99)), ms(time.Duration(delay.max))
	f.GeneratorBound = float64(f.Late) > lateMost*float64(f.Sends)
	return f
}

// beside fills the ratios of ours to theirs, round by round.
func (f *Fanned) beside(ours, theirs []fanRound) {
	var cpu, p99 []float64
	for i := range min(len(ours), len(theirs)) {
		o, t := &ours[i], &theirs[i]
		if o.cpu > 0 && t.cpu > 0 && t.deliveries > 0 {
			cpu = append(cpu, float64(o.deliveries)/o.cpu.Seconds()/(float64(t.deliveries)/t.cpu.Seconds()))
		}
		if late := ms(t.times.percentile(0.99)); late > 0 {
			p99 = append(p99, ms(o.times.percentile(0.99))/late)
		}
	}
	if len(cpu) > 0 {
		f.PerCPURatio = median(cpu)
	}
	if len(p99) > 0 {
		f.P99Ratio = median(p99)
	}
}

// Table is the report as a person reads it.
func (r *FanoutReport) Table() (head []string, rows [][]string) {
	head = []string{"subject", "deliveries", "expected", "missing", "p50 ms", "p99 ms", "max ms", "/CPU s", "CPU s", "generator CPU s", "MiB", "late sends", "ours/it /CPU s", "p99"}
	for _, f := range append([]Fanned{r.Fanned}, r.Peers...) {
		rows = append(rows, []string{f.Subject, strconv.Itoa(f.Deliveries), strconv.Itoa(f.Expected), strconv.Itoa(f.Missing), figure(f.P50, "%.2f"), figure(f.P99, "%.2f"), figure(f.Max, "%.1f"),
			figure(f.PerCPU, "%.0f"), figure(f.ServerCPU, "%.2f"), figure(f.GeneratorCPU, "%.2f"), figure(float64(f.Bytes)/(1<<20), "%.1f"), strconv.Itoa(f.Late),
			figure(f.PerCPURatio, "%.2f"), figure(f.P99Ratio, "%.2f")})
	}
	return head, rows
}

// Lines are what a person needs beside the table.
func (r *FanoutReport) Lines() []string {
	tick := "at once"
	if r.TickMs > 0 {
		tick = fmt.Sprintf("every %d ms", r.TickMs)
	}
	lines := []string{
		fmt.Sprintf("%s, %d cores, Linux %s, load %s", r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Load),
		fmt.Sprintf("%d avatars in %d rooms of %d, %v moves a second each, for %v s in %d rounds; %s tells moves %s", r.Avatars, r.Rooms, r.Room, r.Rate, r.Duration, r.Rounds, r.URL, tick),
	}
	for _, f := range append([]Fanned{r.Fanned}, r.Peers...) {
		lines = append(lines, f.lines()...)
	}
	for _, s := range r.Skipped {
		lines = append(lines, fmt.Sprintf("%s: not measured: %s", s.What, s.Why))
	}
	return append(lines, r.Notes...)
}

func (f *Fanned) lines() (lines []string) {
	if f.Missing > 0 {
		lines = append(lines, fmt.Sprintf("%s: %d moves were replaced by a newer one before they were told, %d never came", f.Subject, f.Superseded, f.Lost))
	}
	if f.Repeats+f.Stale+f.Strays > 0 {
		lines = append(lines, fmt.Sprintf("%s: told and not counted: %d positions that were known, %d that were older, %d that nobody sent", f.Subject, f.Repeats, f.Stale, f.Strays))
	}
	if f.ConnectFailures+f.LostConnections > 0 {
		lines = append(lines, fmt.Sprintf("%s: %d connections did not come in, %d ended later: %s", f.Subject, f.ConnectFailures, f.LostConnections, f.Why))
	}
	if f.GeneratorBound {
		lines = append(lines, fmt.Sprintf("%s: the generator was the bottleneck: %d of %d moves were sent more than %v late (p99 %.1f ms). These times are not the server's: let avatars move less, or measure on a machine that is not busy",
			f.Subject, f.Late, f.Sends, lateAfter, f.SendP99))
	}
	return lines
}
