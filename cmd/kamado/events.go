package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kamado/kamado/images/server"
	"github.com/kamado/kamado/internal/blob/fs"
	"github.com/kamado/kamado/internal/eventlog"
)

// addEvents opens the event log of the data directory (segments in DATA/events, Parquet in DATA/events/parquet) and adds it to
// the parts.
func (p *process) addEvents() (*eventlog.Log, error) {
	dir := filepath.Join(p.cfg.Data, "events")
	tables := filepath.Join(dir, "parquet")
	if err := os.MkdirAll(tables, 0o750); err != nil {
		return nil, err
	}
	store, err := fs.Open(tables)
	if err != nil {
		return nil, err
	}
	log, err := eventlog.Open(dir, store, eventlog.Default(), p.tel.Log)
	if err != nil {
		_ = store.Close() // nothing was written
		return nil, fmt.Errorf("open event log %s: %w", dir, err)
	}
	p.group.Add("events", log.Run)
	return log, nil
}

// pictureEvents gives each answered request for a picture to the event log. It does not wait: when the disk is slower than the
// requests, events are dropped and counted.
func pictureEvents(log *eventlog.Log) func(server.Event) {
	return func(e server.Event) {
		attributes := map[string]string{
			"outcome": e.Outcome.String(), "status": strconv.Itoa(e.Status), "bytes": strconv.Itoa(e.Bytes),
			"took_us": strconv.FormatInt(e.Took.Microseconds(), 10),
		}
		for _, a := range [...][2]string{
			{"format", e.Format}, {"rendition", e.Rendition}, {"grammar", e.Grammar}, {"origin", e.Origin}, {"detail", clipEvent(e.Detail)},
		} {
			if a[1] != "" {
				attributes[a[0]] = a[1]
			}
		}
		kind := "picture.delivered"
		if e.Refused() {
			kind = "picture.refused"
		}
		log.Offer(eventlog.Event{
			Time: e.Time, Room: "images", Type: kind, Subject: e.Original, RequestID: e.RequestID, Actor: e.Owner,
			Attributes: attributes,
		})
	}
}

// clipEvent keeps a text within what one field of an event holds, and within UTF-8.
func clipEvent(s string) string {
	const most = 1024
	return strings.ToValidUTF8(s[:min(len(s), most)], "?")
}
