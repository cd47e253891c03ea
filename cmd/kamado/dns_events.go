package main

import (
	"net/http"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/message"
	"github.com/kamado/kamado/internal/eventlog"
	"github.com/kamado/kamado/internal/eventlog/segment"
	"github.com/kamado/kamado/internal/httpserver"
)

// nameAudit writes down who asked for which change of names.
func nameAudit(log *eventlog.Log) func(r *http.Request, action, subject string, err error) {
	return func(r *http.Request, action, subject string, err error) {
		attributes := map[string]string{"action": action, "outcome": "success", "remote": r.RemoteAddr}
		if err != nil {
			attributes["outcome"] = dns.KindOf(err).String()
		}
		log.Offer(eventlog.Event{Room: "dns", Type: "audit", Actor: "operator", RequestID: httpserver.RequestID(r), Subject: eventText(subject, segment.FieldBytesMax), Attributes: attributes})
	}
}

// nameEvents gives what happened to names and members to the event log.
func nameEvents(log *eventlog.Log) func(dns.Event) {
	return func(e dns.Event) {
		attributes := map[string]string{}
		data := ""
		if e.Type != 0 {
			data, _ = message.FormatRData(e.Type, []byte(e.Data)) // what has no text is left out
			attributes["type"] = e.Type.String()
		}
		for _, a := range [...][2]string{{"data", data}, {"owner", e.Owner}, {"state", e.State}, {"before", e.Before}, {"text", e.Text}} {
			if a[1] != "" {
				attributes[a[0]] = eventText(a[1], eventDetailMax)
			}
		}
		subject := string(e.Name)
		if subject == "" {
			subject = e.Owner
		}
		log.Offer(eventlog.Event{Time: e.Time, Room: "dns", Type: "name." + string(e.Kind), Subject: eventText(subject, segment.FieldBytesMax), Attributes: attributes})
	}
}
