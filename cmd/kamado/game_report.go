package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/report"
	"github.com/kamado/kamado/internal/eventlog"
)

// reportFlags say what is reported, and from which logs.
type reportFlags struct {
	from, to, html string
	events         []string
	job            bool
}

func newGameReportCommand(a *app) *cobra.Command {
	c := newConfiguration()
	var f reportFlags
	cmd := &cobra.Command{
		Use: "report", Short: "Count players: who was there, who came back, points in and out, messages by area",
		Long: `Report reads the event log of the data directory, also while its server runs, and changes nothing. Days are UTC. --events names
other logs: directories of events of other servers, or stores of Parquet (s3://BUCKET/PREFIX?endpoint=URL).

What one machine cannot read is read by Spark: --job prints a program for spark-submit that counts the same from the same Parquet.`,
		Example: `  kamado game report --data world --from 2026-11-01
  kamado game report --data world --html report.html
  kamado game report --job > report.py && spark-submit report.py --events file://$PWD/world/events/parquet --from 2026-11-01 --to 2026-11-30`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.job {
				_, err := fmt.Fprint(a.stdout, report.Job)
				return err
			}
			if err := c.load(a); err != nil {
				return err
			}
			return a.reportPlayers(cmd.Context(), c, &f)
		},
	}
	flags := cmd.Flags()
	c.set.BindFlag(flags, "data", "data", "data directory of the server")
	flags.StringVar(&f.from, "from", "", "first day, YYYY-MM-DD (default: 29 days before the last)")
	flags.StringVar(&f.to, "to", "", "last day, YYYY-MM-DD (default: today)")
	flags.StringVar(&f.html, "html", "", "write a page with plots to this file")
	flags.StringArrayVar(&f.events, "events", nil, "event log to read, may be given several times (default: DATA/events)")
	flags.BoolVar(&f.job, "job", false, "print the Spark job that makes the same report")
	return cmd
}

func (a *app) reportPlayers(ctx context.Context, c *configuration, f *reportFlags) error {
	first, last, err := report.Period(f.from, f.to, time.Now())
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	source, closeAll, err := eventLogs(c, f.events)
	if err != nil {
		return err
	}
	defer closeAll()
	r, err := report.Make(ctx, source, first, last, time.Now())
	if err != nil {
		return err
	}
	if f.html != "" {
		if err := writeReport(f.html, &r); err != nil {
			return err
		}
		a.talkf("the report is in %s", f.html)
		return nil
	}
	if a.output == outputJSON {
		return writeJSON(a.stdout, r)
	}
	return r.WriteText(a.stdout)
}

func writeReport(path string, r *report.Report) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := r.WriteHTML(out); err != nil {
		_ = out.Close() // the page is broken anyway
		return err
	}
	return out.Close()
}

// eventLogs opens the logs that are named, or that of the data directory, to read them.
func eventLogs(c *configuration, names []string) (report.Source, func(), error) {
	if len(names) == 0 {
		names = []string{filepath.Join(c.Data, "events")}
	}
	var readers []*eventlog.Reader
	var closers []func() error
	closeAll := func() {
		for _, f := range closers {
			_ = f() // nothing was written
		}
	}
	for _, name := range names {
		address := c.Events.Store
		dir := name
		if isStore(name) {
			address, dir = name, ""
		} else if _, err := os.Stat(name); err != nil {
			closeAll()
			return nil, nil, &exitError{code: exitNotFound, err: err, hint: "--data names the data directory of a server that has run, --events an event log"}
		}
		store, closeStore, err := openTables(address, dir)
		if err != nil {
			closeAll()
			return nil, nil, err
		}
		closers = append(closers, closeStore)
		readers = append(readers, eventlog.NewReader(dir, store))
	}
	return report.Logs(readers...), closeAll, nil
}

// reports makes reports for the API from the log of this process.
func (p *process) reports(ctx context.Context, first, last time.Time) (report.Report, error) {
	if p.events == nil {
		return report.Report{}, game.Errorf(game.Unavailable, "this server keeps no events")
	}
	return report.Make(ctx, report.Logs(p.events.Reader()), first, last, time.Now())
}
