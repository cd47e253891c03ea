package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"time"
)

// The names of our own subjects.
const (
	subjectKamado = "Kamado"
	subjectStill  = "Kamado, nothing changes"
)

// The loads.
const (
	LoadDnsperf = "dnsperf"
	LoadBatched = "batched"
	// LoadSpread is the batched load from clientsMax clients: nothing that is sent together helps.
	LoadSpread = "batched, 64 clients"
)

// run is a measurement in work.
type run struct {
	cfg    Config
	dir    string
	files  files
	report *Report
}

// Run measures, and gives what it found; an error when Kamado itself could not be measured.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Talk == nil {
		cfg.Talk = io.Discard
	}
	dir, err := os.MkdirTemp("", "kamado-dns-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	r := &run{cfg: cfg, dir: dir, report: &Report{Schema: Schema, Started: time.Now(), Machine: thisMachine(), Version: cfg.Version, Command: cfg.Command}}
	if r.report.Machine.Cores <= max(cfg.ServerCore, cfg.LoadCore) {
		return nil, fmt.Errorf("there is no core %d: %d cores", max(cfg.ServerCore, cfg.LoadCore), r.report.Machine.Cores)
	}
	if r.files, err = writeFiles(dir, cfg.Names); err != nil {
		return nil, err
	}
	if slices.Contains(cfg.Only, GroupStatic) {
		if err := r.static(ctx); err != nil {
			return nil, err
		}
	}
	if slices.Contains(cfg.Only, GroupOwned) {
		if err := r.owned(ctx); err != nil {
			return nil, err
		}
	}
	return r.report, nil
}

func (r *run) talkf(format string, args ...any) { fmt.Fprintf(r.cfg.Talk, format+"\n", args...) }

func (r *run) skip(what string, why error) {
	r.report.Skipped = append(r.report.Skipped, Skipped{What: what, Why: why.Error()})
}

// static measures Kamado beside its peers.
func (r *run) static(ctx context.Context) error {
	ours, err := start(ctx, r.cfg, subjectKamado, r.cfg.Kamado, r.files)
	if err != nil {
		return err
	}
	subjects := []*subject{ours}
	defer func() {
		for _, s := range subjects {
			s.stop()
		}
	}()
	for _, name := range r.cfg.Peers {
		c, err := peer(ctx, name, r.dir)
		if err == nil {
			var s *subject
			if s, err = start(ctx, r.cfg, name, c, r.files); err == nil {
				subjects = append(subjects, s)
			}
		}
		if err != nil {
			r.skip(name, err)
		}
	}
	return r.compare(ctx, GroupStatic, subjects, func(row *Row) {
		if row.Load == LoadSpread {
			return // told; the targets are about dnsperf and the batched load
		}
		row.RateLeast = rateLeast[row.Subject]
		if row.Subject == PeerNSD && row.Load == LoadBatched {
			row.P99Most = p99Most
		}
	})
}

// owned measures Kamado with owned records that change beside the same without changes.
func (r *run) owned(ctx context.Context) error {
	if r.cfg.Owned.Program == "" || r.cfg.Still.Program == "" {
		r.skip(GroupOwned, errors.New("no command for it was given"))
		return nil
	}
	var subjects []*subject
	defer func() {
		for _, s := range subjects {
			s.stop()
		}
	}()
	for _, c := range []struct {
		name    string
		command Command
	}{{subjectKamado, r.cfg.Owned}, {subjectStill, r.cfg.Still}} {
		s, err := start(ctx, r.cfg, c.name, c.command, r.files)
		if err != nil {
			return err
		}
		subjects = append(subjects, s)
	}
	compare := func() error {
		return r.compare(ctx, GroupOwned, subjects, func(row *Row) {
			if row.Subject == subjectStill && row.Load != LoadSpread {
				row.RateLeast = changesLeast
			}
		})
	}
	if !r.cfg.Owned.API {
		return compare()
	}
	changes, err := r.feed(ctx, subjects, compare)
	for i := range r.report.Rows {
		if row := &r.report.Rows[i]; row.Group == GroupOwned && row.Subject == subjectKamado {
			row.Changes = changes
		}
	}
	return err
}

// measured is one round of one subject.
type measured struct {
	Result
	cpu float64 // microseconds an answer
}

// compare asks all subjects in turn, round after round; the first is ours.
func (r *run) compare(ctx context.Context, group string, subjects []*subject, target func(*Row)) error {
loads:
	for _, load := range []string{LoadDnsperf, LoadBatched, LoadSpread} {
		all := make([][]measured, len(subjects))
		for round := range r.cfg.Rounds + 1 { // the first one warms
			for k := range subjects {
				i := (k + round) % len(subjects)
				m, err := r.ask(ctx, load, subjects[i])
				if errors.Is(err, errMissing) {
					r.skip(group+" by "+load, err)
					continue loads
				}
				if err != nil {
					return fmt.Errorf("%s asks %s: %w", load, subjects[i].name, err)
				}
				if round > 0 {
					all[i] = append(all[i], m)
				}
			}
			r.talkf("%s, %s: round %d of %d", group, load, round, r.cfg.Rounds)
		}
		for i, s := range subjects {
			row := summary(all[i])
			row.Group, row.Load, row.Subject = group, load, s.name
			if i > 0 {
				row.beside(all[0], all[i])
				target(&row)
			}
			r.report.Rows = append(r.report.Rows, row)
		}
	}
	return r.memory(group, subjects)
}

// ask loads one subject once.
func (r *run) ask(ctx context.Context, load string, s *subject) (m measured, err error) {
	before := s.cpu()
	if load == LoadDnsperf {
		m.Result, err = dnsperf(ctx, r.cfg, s, r.files)
	} else {
		clients := 1
		if load == LoadSpread {
			clients = clientsMax
		}
		m.Result, err = Ask(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(s.port)), r.cfg.Names, r.cfg.Window, clients, r.cfg.LoadCore, r.cfg.Length, r.cfg.Check && s.name != PeerFloor)
	}
	if err == nil && m.Answered == 0 {
		err = errors.New("no answers")
	}
	if err != nil {
		return m, err
	}
	m.cpu = float64((s.cpu() - before).Nanoseconds()) / 1000 / float64(m.Answered)
	return m, ctx.Err()
}

// summary makes a row of rounds.
func summary(list []measured) Row {
	var row Row
	var rate, cpu, p50, p99 []float64
	sent, lost := 0, 0
	for _, m := range list {
		rate, cpu = append(rate, m.Rate()), append(cpu, m.cpu)
		p50, p99 = append(p50, us(m.P50)), append(p99, us(m.P99))
		sent, lost = sent+m.Sent, lost+m.Lost
		row.Wrong += m.Wrong
	}
	row.Rate, row.CPU, row.P50, row.P99 = median(rate), median(cpu), median(p50), median(p99)
	row.Lost = float64(lost) / float64(sent)
	return row
}

// beside fills the ratios of ours to theirs, round by round.
func (row *Row) beside(ours, theirs []measured) {
	var rate, cpu, p99 []float64
	for i := range ours {
		rate, cpu = append(rate, ours[i].Rate()/theirs[i].Rate()), append(cpu, ours[i].cpu/theirs[i].cpu)
		if theirs[i].P99 > 0 {
			p99 = append(p99, us(ours[i].P99)/us(theirs[i].P99))
		}
	}
	row.RateRatio, row.CPURatio = median(rate), median(cpu)
	if len(p99) > 0 {
		row.P99Ratio = median(p99)
	}
}

func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// memory reads what the subjects take behind the rounds.
func (r *run) memory(group string, subjects []*subject) error {
	for _, s := range subjects {
		pss, rss := s.memory()
		for i := range r.report.Rows {
			if row := &r.report.Rows[i]; row.Group == group && row.Subject == s.name {
				row.Memory, row.Resident = float64(pss)/(1<<20), float64(rss)/(1<<20)
			}
		}
	}
	return nil
}
