package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kamado/kamado/images/purge/fleet"
	"github.com/kamado/kamado/images/server"
	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/fs"
	"github.com/kamado/kamado/internal/blob/s3"
	"github.com/kamado/kamado/internal/eventlog"
	"github.com/kamado/kamado/internal/eventlog/segment"
)

// addEvents opens the event log of the data directory (segments in DATA/events, Parquet in DATA/events/parquet) and adds it to
// the parts. Services of one process share it.
func (p *process) addEvents() (*eventlog.Log, error) {
	if p.events != nil {
		return p.events, nil
	}
	dir := filepath.Join(p.cfg.Data, "events")
	store, closeStore, err := openTables(p.cfg.Events.Store, dir)
	if err != nil {
		return nil, fmt.Errorf("open the place of events: %w", err)
	}
	log, err := eventlog.Open(dir, store, p.cfg.Events, p.tel.Log)
	if err != nil {
		_ = closeStore() // nothing was written
		if errors.Is(err, eventlog.ErrInUse) {
			return nil, hinted(err, fmt.Sprintf("another kamado works on %s; name another directory with --data", p.cfg.Data))
		}
		return nil, err
	}
	if err := log.Register(p.tel.Registry); err != nil {
		return nil, fmt.Errorf("register metrics of the event log: %w", err)
	}
	p.group.Add("events", log.Run)
	p.events = log
	return log, nil
}

// openTables opens where Parquet is kept: a bucket, or beside the segments.
func openTables(address, dir string) (blob.Store, func() error, error) {
	if isStore(address) {
		cfg, err := s3.ParseURL(address)
		if err != nil {
			return nil, nil, err
		}
		store, err := s3.Open(cfg)
		return store, func() error { return nil }, err
	}
	tables := filepath.Join(dir, "parquet")
	if err := os.MkdirAll(tables, 0o750); err != nil {
		return nil, nil, err
	}
	store, err := fs.Open(tables)
	if err != nil {
		return nil, nil, err
	}
	return store, store.Close, nil
}

// isStore says whether a name is that of a bucket, and not of a directory.
func isStore(name string) bool { return strings.HasPrefix(name, "s3://") }

// pictureEvents gives each answered request for a picture to the event log. It does not wait: when the disk is slower than the
// requests, events are dropped and counted.
func pictureEvents(log *eventlog.Log) func(server.Event) {
	return func(e server.Event) {
		attributes := map[string]string{
			"outcome": e.Outcome.String(), "status": strconv.Itoa(e.Status), "bytes": strconv.Itoa(e.Bytes),
			"took_us": strconv.FormatInt(e.Took.Microseconds(), 10),
		}
		for _, a := range [...][2]string{
			{"format", e.Format}, {"rendition", e.Rendition}, {"grammar", e.Grammar}, {"origin", e.Origin}, {"detail", e.Detail},
		} {
			if a[1] != "" {
				attributes[a[0]] = eventText(a[1], eventDetailMax)
			}
		}
		kind := "picture.delivered"
		if e.Refused() {
			kind = "picture.refused"
		}
		log.Offer(eventlog.Event{
			Time: e.Time, Room: "images", Type: kind, Subject: eventText(e.Original, segment.FieldBytesMax), RequestID: e.RequestID,
			Actor:      eventText(e.Owner, segment.FieldBytesMax),
			Attributes: attributes,
		})
	}
}

// changeEvents gives originals that came, changed or went to the event log.
func changeEvents(log *eventlog.Log) func(server.Change) {
	return func(c server.Change) {
		log.Offer(eventlog.Event{
			Time: c.Time, Room: "images", Type: "original." + c.How.String(), Subject: eventText(c.Origin+"/"+c.Key, segment.FieldBytesMax),
			Actor: eventText(c.By.Name, segment.FieldBytesMax), RequestID: c.By.RequestID,
			Attributes: map[string]string{"via": c.By.Via, "bytes": strconv.FormatInt(c.Bytes, 10), "format": c.Format},
		})
	}
}

// orderEvents gives purges, takedowns and what became of them to the event log.
func orderEvents(log *eventlog.Log) func(fleet.Event) {
	return func(e fleet.Event) {
		attributes := map[string]string{}
		for _, a := range [...][2]string{{"peer", e.Peer}, {"reason", e.Order.Reason}} {
			if a[1] != "" {
				attributes[a[0]] = eventText(a[1], eventDetailMax)
			}
		}
		event := eventlog.Event{Time: e.Time, Room: "images", Type: "order." + string(e.Kind), Attributes: attributes}
		switch e.Kind {
		case fleet.EventIssued, fleet.EventArrived:
			event.Subject = eventText(e.Order.Target.String(), segment.FieldBytesMax)
			attributes["action"], attributes["id"] = e.Order.Action.String(), e.Order.ID.String()
		case fleet.EventSwept:
			attributes["removed"] = strconv.Itoa(e.Removed)
		}
		if e.Err != nil {
			attributes["detail"] = eventText(e.Err.Error(), eventDetailMax)
		}
		log.Offer(event)
	}
}

// eventDetailMax bounds an attribute of an event, in bytes.
const eventDetailMax = 1024

// eventText makes a text from outside fit into an event: what is no UTF-8 is written \xNN, and what is longer than most bytes
// ends in "…".
func eventText(s string, most int) string {
	if len(s) <= most && utf8.ValidString(s) {
		return s
	}
	const end = "…"
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		piece := s[:n]
		if r == utf8.RuneError && n == 1 {
			piece = fmt.Sprintf(`\x%02x`, s[0])
		}
		if b.Len()+len(piece) > most-len(end) {
			b.WriteString(end)
			break
		}
		b.WriteString(piece)
		s = s[n:]
	}
	return b.String()
}
