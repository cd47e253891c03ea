package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// errCannot is the cause when a machine lacks what a group needs.
var errCannot = errors.New("this machine cannot")

// run is one measurement.
type run struct {
	cfg    Config
	report *Report
	dir    string // for everything; removed at the end
	made   int    // directories in it
}

// measures are the groups' functions.
var measures = map[string]func(*run, context.Context) error{
	GroupStart: (*run).start, GroupAPI: (*run).api, GroupPages: (*run).pages, GroupSchedule: (*run).schedule, GroupGuest: (*run).guest, GroupAdopt: (*run).adopt,
}

// Run measures what the configuration names. A group for which the machine lacks
// something is told as skipped; any other failure ends the run.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "kamado-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	r := &run{cfg: cfg, dir: dir, report: &Report{Schema: Schema, Started: time.Now().UTC(), Machine: thisMachine(), Version: cfg.Version, Command: cfg.Command,
		Rows: []Row{}, Skipped: []Skipped{}, Notes: []string{}}}
	if out, err := exec.CommandContext(ctx, "qemu-system-x86_64", "--version").Output(); err == nil {
		r.report.Machine.QEMU, _, _ = strings.Cut(string(out), "\n")
	}
	for _, group := range Groups {
		if !slices.Contains(cfg.Only, group) {
			continue
		}
		r.talkf("measuring %s", group)
		if err := measures[group](r, ctx); errors.Is(err, errCannot) {
			r.report.Skipped = append(r.report.Skipped, Skipped{group, err.Error()})
		} else if err != nil {
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

func (r *run) add(rows ...Row) { r.report.Rows = append(r.report.Rows, rows...) }

// newDir names a directory of its own for each subject.
func (r *run) newDir() string {
	r.made++
	return filepath.Join(r.dir, fmt.Sprintf("data-%d", r.made))
}

// subject starts the program on a new directory, waits until it is ready, and
// takes the quotas away.
func (r *run) subject(ctx context.Context, args ...string) (*subject, error) {
	s, err := startSubject(ctx, r.cfg, r.newDir(), args...)
	if err != nil {
		return nil, err
	}
	if err = s.ready(ctx); err == nil {
		err = s.unbounded(ctx)
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// rest waits for a time in which nothing is asked.
func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
