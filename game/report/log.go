package report

import (
	"context"
	_ "embed"
	"maps"
	"slices"

	"github.com/kamado/kamado/internal/eventlog"
)

// Job is the Spark job that makes the same report: a Python program for spark-submit.
//
//go:embed spark/report.py
var Job string

// room is the room of players in the event log.
const room = "game"

// logs are the event logs of one or more servers as a source.
type logs []*eventlog.Reader

// Logs reads reports from event logs. Several servers may have one each, or share a store, which is then given once.
func Logs(readers ...*eventlog.Reader) Source { return logs(readers) }

func (l logs) Days(ctx context.Context) ([]string, error) {
	days := map[string]bool{}
	for _, r := range l {
		list, err := r.Days(ctx, room)
		if err != nil {
			return nil, err
		}
		for _, d := range list {
			days[d] = true
		}
	}
	return slices.Sorted(maps.Keys(days)), nil
}

func (l logs) Day(ctx context.Context, day string, visit func(Event)) error {
	for _, r := range l {
		if err := r.Day(ctx, room, day, func(e eventlog.Event) {
			visit(Event{Time: e.Time, Type: e.Type, Subject: e.Subject, Attributes: e.Attributes})
		}); err != nil {
			return err
		}
	}
	return nil
}
