package main

import (
	"io"
	"os"
)

// benchReport is what a room's bench found out.
type benchReport interface {
	Table() (head []string, rows [][]string)
	Lines() []string // remarks
}

// measured says which program is measured: this very one.
func measured() (program, release string, err error) {
	program, err = os.Executable()
	v := currentVersion()
	release = v.Version
	if v.Revision != "" {
		release += " " + v.Revision[:min(12, len(v.Revision))]
	}
	return program, release, err
}

// benchTalk is where a bench tells a person how far it is.
func (a *app) benchTalk() io.Writer {
	if a.interactive() {
		return a.stderr
	}
	return io.Discard
}

// showBench prints a report and its remarks.
func (a *app) showBench(report benchReport) error {
	head, rows := report.Table()
	if err := a.show(report, table{head: head, rows: rows}); err != nil {
		return err
	}
	for _, line := range report.Lines() {
		a.talkf("%s", line)
	}
	return nil
}
