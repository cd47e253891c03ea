package bench

import (
	"fmt"
	"strconv"
	"time"
)

// IdleSchema names the form of an IdleReport; it changes when a field changes meaning.
const IdleSchema = "kamado-game-bench-idle/1"

// IdleReport is what idle connections cost.
type IdleReport struct {
	Schema    string    `json:"schema"`
	Started   time.Time `json:"started"`
	Machine   Machine   `json:"machine"`
	Version   string    `json:"version"`
	Command   []string  `json:"command"`
	URL       string    `json:"url"`
	Transport string    `json:"transport"`
	// Connections are those that were in when the memory was read; ConnectFailures did not come in, LostConnections ended before.
	Connections     int    `json:"connections"`
	ConnectFailures int    `json:"connect_failures"`
	LostConnections int    `json:"lost_connections"`
	Why             string `json:"why,omitempty"` // the first of them failed or ended
	// Bytes is what the server process and those below it have more in memory with the connections than without, for each of them: its own share
	// of pages (PSS). PerGiB is how many fit in 1 GiB by that. What the kernel keeps for a socket is not in it, in no program's figure.
	Bytes  float64 `json:"bytes_per_connection"`
	PerGiB float64 `json:"per_gib"`
	// Memory of the server process before and with the connections, in bytes.
	PSSBefore int64 `json:"pss_before_bytes"`
	PSSAfter  int64 `json:"pss_after_bytes"`
	RSSBefore int64 `json:"rss_before_bytes"`
	RSSAfter  int64 `json:"rss_after_bytes"`
	// Settle is how long the longer of the two waits for a memory at rest took; SettleLimit is its bound.
	Settle      float64 `json:"settle_seconds"`
	SettleLimit float64 `json:"settle_limit_seconds"`
	// ConnectSeconds is how long all took to come in, ConnectCPU the server's processor time for that.
	ConnectSeconds float64  `json:"connect_seconds"`
	ConnectCPU     float64  `json:"connect_cpu_seconds"`
	Notes          []string `json:"notes"`
}

func newIdleReport(cfg *IdleConfig, s *measuredServer) *IdleReport {
	return &IdleReport{Schema: IdleSchema, Started: time.Now().UTC(), Machine: thisMachine(), Version: cfg.Version, Command: cfg.Command,
		URL: s.endpoint.String(), Transport: s.endpoint.over, SettleLimit: cfg.Settle.Seconds(), Notes: []string{}}
}

func (r *IdleReport) settled(waited time.Duration) { r.Settle = max(r.Settle, waited.Seconds()) }

func (r *IdleReport) fill(before, after resident, g gate) error {
	r.Connections, r.ConnectFailures, r.LostConnections = g.in-g.lost, g.failed, g.lost
	if err := g.why(); err != nil {
		r.Why = err.Error()
	}
	r.PSSBefore, r.PSSAfter, r.RSSBefore, r.RSSAfter = before.pss, after.pss, before.rss, after.rss
	r.Bytes = float64(after.pss-before.pss) / float64(r.Connections)
	if r.Bytes > 0 {
		r.PerGiB = (1 << 30) / r.Bytes
	} else {
		r.Notes = append(r.Notes, "the memory did not grow: these are too few connections to tell what one costs")
	}
	if r.Settle >= r.SettleLimit {
		r.Notes = append(r.Notes, fmt.Sprintf("the server's memory was not at rest after %v s: the figure may be too high", r.SettleLimit))
	}
	return nil
}

// Table is the report as a person reads it.
func (r *IdleReport) Table() (head []string, rows [][]string) {
	return []string{"transport", "connections", "failed", "bytes each", "per GiB", "MiB before", "MiB after", "settle s", "connect s", "connect CPU s"},
		[][]string{{r.Transport, strconv.Itoa(r.Connections), strconv.Itoa(r.ConnectFailures), figure(r.Bytes, "%.0f"), figure(r.PerGiB, "%.0f"),
			figure(float64(r.PSSBefore)/(1<<20), "%.1f"), figure(float64(r.PSSAfter)/(1<<20), "%.1f"), figure(r.Settle, "%.0f"), figure(r.ConnectSeconds, "%.2f"), figure(r.ConnectCPU, "%.2f")}}
}

// Lines are what a person needs beside the table.
func (r *IdleReport) Lines() []string {
	lines := []string{fmt.Sprintf("%s, %d cores, Linux %s, load %s; %s", r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Load, r.URL)}
	if r.ConnectFailures+r.LostConnections > 0 {
		lines = append(lines, fmt.Sprintf("%d connections did not come in, %d ended later: %s", r.ConnectFailures, r.LostConnections, r.Why))
	}
	return append(lines, r.Notes...)
}
