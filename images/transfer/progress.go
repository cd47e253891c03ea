package transfer

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// samplesMax is how many of the last tellings the rate is of: a minute by default.
const samplesMax = 60

// sample is how far the run was at a moment.
type sample struct {
	at          time.Time
	done, bytes int64
}

// tell shows progress and writes checkpoints until ctx ends. A checkpoint that
// cannot be written ends the run: it would have to be done again.
func (r *run) tell(ctx context.Context, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(r.cfg.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := r.point.save(r.tally.state(false)); err != nil {
			cancel(err)
			return
		}
		r.show(r.progress(false))
	}
}

// progress reads how far the run is.
func (r *run) progress(end bool) Progress {
	t := r.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	c, now := t.counts, time.Now()
	p := Progress{
		Done: c.Done, Copied: c.Copied, Linked: c.Linked, Skipped: c.Skipped, Gone: c.Gone, Failed: c.Failed, Bytes: c.Bytes,
		Total: t.total, TotalBytes: t.totalBytes, Took: now.Sub(r.began), Left: -1, Watermark: t.watermark, End: end,
	}
	since := sample{r.began, t.base, t.baseBytes}
	if !end && len(t.samples) > 0 {
		since = t.samples[0]
	}
	if seconds := now.Sub(since.at).Seconds(); seconds > 0 {
		p.KeysPerSecond = float64(c.Done-since.done) / seconds
		p.BytesPerSec = float64(c.Bytes-since.bytes) / seconds
	}
	if t.samples = append(t.samples, sample{now, c.Done, c.Bytes}); len(t.samples) > samplesMax {
		t.samples = t.samples[1:]
	}
	switch left := p.Total - p.Done; {
	case end, p.Total < 0:
	case left <= 0:
		p.Left = 0
	case p.KeysPerSecond > 0:
		p.Left = time.Duration(float64(left) / p.KeysPerSecond * float64(time.Second))
	}
	return p
}

// show writes progress in the two forms.
func (r *run) show(p Progress) {
	if r.deps.Bar != nil {
		ending := ""
		if p.End {
			ending = "\n"
		}
		_, _ = fmt.Fprintf(r.deps.Bar, "\r%s\x1b[K%s", p, ending)
	}
	if r.deps.Lines != nil {
		if line, err := json.Marshal(p); err == nil {
			_, _ = r.deps.Lines.Write(append(line, '\n'))
		}
	}
}

// barWidth is the width of the bar. Unit: characters.
const barWidth = 20

// String is progress in one line for a person.
func (p Progress) String() string {
	var b strings.Builder
	if p.Total > 0 {
		full := int(min(p.Done, p.Total) * barWidth / p.Total)
		fmt.Fprintf(&b, "[%s%s] %5.1f %%  ", strings.Repeat("#", full), strings.Repeat("-", barWidth-full), 100*float64(min(p.Done, p.Total))/float64(p.Total))
	}
	b.WriteString(thousands(p.Done))
	if p.Total >= 0 {
		b.WriteString(" of " + thousands(p.Total))
	}
	fmt.Fprintf(&b, "  %s  %s/s  %s/s", size(float64(p.Bytes)), thousands(int64(p.KeysPerSecond)), size(p.BytesPerSec))
	if p.Failed > 0 {
		b.WriteString("  failed " + thousands(p.Failed))
	}
	switch {
	case p.End:
		b.WriteString("  took " + p.Took.Round(time.Second).String())
	case p.Left >= 0:
		b.WriteString("  left " + p.Left.Round(time.Second).String())
	}
	return b.String()
}

// thousands writes 1234567 as 1,234,567.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// size writes bytes with a binary unit.
func size(n float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	i := 0
	for n >= 1024 && i < len(units)-1 {
		n, i = n/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%.0f B", n)
	}
	return fmt.Sprintf("%.1f %s", n, units[i])
}
