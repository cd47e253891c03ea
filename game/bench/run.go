package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// subjectKamado is the name of our own subject.
const subjectKamado = "Kamado"

// run is a measurement in work.
type run struct {
	cfg     *Config
	pattern []operation
	dir     string // for what needs one; removed at the end
	made    int    // directories in it
	report  *Report
}

// measures are the groups' functions.
var measures = map[string]func(*run, context.Context) error{
	GroupPoints: (*run).points, GroupEntities: (*run).entities, GroupStart: (*run).start, GroupRecovery: (*run).recovery,
}

// Run measures what the configuration names, and gives what it found. An error is
// something that could not be measured; what was measured and is wrong, is told by Report.Err.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Dir == "" {
		cfg.Dir = diskDir()
	}
	dir, err := os.MkdirTemp(cfg.Dir, "kamado-game-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if cfg.Profiles != "" {
		if err := os.MkdirAll(cfg.Profiles, 0o700); err != nil {
			return nil, err
		}
	}
	r := &run{cfg: &cfg, dir: dir, report: newReport(&cfg)}
	if r.pattern, err = parseMix(cfg.Mix); err != nil {
		return nil, err
	}
	if inMemory(dir) {
		r.note("%s lies in memory: nothing here says what a disk does", cfg.Dir)
	}
	for _, group := range Groups {
		if !slices.Contains(cfg.Only, group) {
			continue
		}
		r.talkf("measuring %s", group)
		if err := measures[group](r, ctx); err != nil {
			return nil, fmt.Errorf("measure %s: %w", group, err)
		}
	}
	return r.report, nil
}

func (r *run) talkf(format string, args ...any) {
	if r.cfg.Talk != nil {
		_, _ = fmt.Fprintf(r.cfg.Talk, format+"\n", args...) // progress that nobody reads
	}
}

func (r *run) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.report.Notes, text) {
		r.report.Notes = append(r.report.Notes, text)
	}
}

// newDir names a directory of its own for each server.
func (r *run) newDir() string {
	r.made++
	return filepath.Join(r.dir, fmt.Sprintf("data-%d", r.made))
}

// server gives the server that is measured: a new one on an empty directory, or the one that the URL names.
func (r *run) server(ctx context.Context) (*server, error) {
	if r.cfg.URL == "" {
		var more []string
		if slices.Contains(r.pattern, opTransfer) {
			more = append(more, r.cfg.Transfers...)
		}
		if slices.ContainsFunc(r.cfg.Over, func(over string) bool { return over != OverHTTP }) {
			more = append(more, r.cfg.Wire...)
		}
		return startServer(ctx, r.cfg, r.newDir(), more...)
	}
	u, e, err := r.cfg.addresses()
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(r.cfg.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("read the credential of a service: %w", err)
	}
	s := &server{api: newAPI(u.String(), strings.TrimSpace(string(b))), address: u.Host, pid: r.cfg.PID}
	if u.Port() == "" {
		s.address += ":80"
	}
	if e.over == OverTCP {
		s.tcp = e.host
	}
	if target, err := e.address(ctx); s.pid == 0 && e.over != "" && err == nil {
		if s.pid, err = listenerOf(target); err != nil {
			r.note("processor time of the server is not in the figures: %v", err)
		}
	}
	return s, nil
}

// subject is what is loaded in turn with others.
type subject struct {
	name string
	pid  int // 0: none that is known
	ask  func(ctx context.Context, length time.Duration) (*loaded, error)
	all  []measured
	end  func() // nil: nothing ends with it
}

// measured is one round of one subject.
type measured struct {
	*loaded
	cpu float64 // microseconds of the subject's time an operation; 0: not known
}

// warmMax bounds the round that does not count.
const warmMax = time.Second

// rounds loads all subjects in turn, round after round. The first is ours; a profile is
// taken of it in the first round that counts.
func (r *run) rounds(ctx context.Context, name string, s *server, subjects []*subject) error {
	for round := range r.cfg.Rounds + 1 { // the first one warms
		for k := range subjects {
			i := (k + round) % len(subjects)
			length := r.cfg.round()
			if round == 0 {
				length = min(length, warmMax)
			}
			work := func() error { return r.ask(ctx, subjects[i], length, round > 0) }
			var err error
			if i == 0 && round == 1 {
				err = s.profile(r.cfg.Profiles, name, length, work)
			} else {
				err = work()
			}
			if err != nil {
				return fmt.Errorf("ask %s: %w", subjects[i].name, s.process.why(err))
			}
		}
		r.talkf("%s: round %d of %d", name, round, r.cfg.Rounds)
	}
	return nil
}

// ask loads one subject once.
func (r *run) ask(ctx context.Context, s *subject, length time.Duration, counts bool) error {
	before := cpuOf(s.pid)
	seen, err := s.ask(ctx, length)
	if err != nil {
		return err
	}
	if seen.acknowledged() == 0 {
		return fmt.Errorf("no operation was acknowledged: %v: %w", seen.errors(), errNothing)
	}
	m := measured{loaded: seen}
	if s.pid != 0 {
		m.cpu = us(cpuOf(s.pid)-before) / float64(seen.acknowledged())
	}
	if counts {
		s.all = append(s.all, m)
	}
	return ctx.Err()
}

// errNothing is a load that did nothing.
var errNothing = errors.New("nothing to measure")

func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
