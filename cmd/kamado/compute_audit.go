package main

import (
	"context"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/client"
	"github.com/kamado/kamado/compute/server"
	"github.com/kamado/kamado/internal/eventlog"
	"github.com/kamado/kamado/internal/eventlog/segment"
)

// Where the audit trail lies in the event log.
const (
	auditRoom = "compute"
	auditType = "audit"
)

// auditEvents writes down who asked for which change.
func auditEvents(log *eventlog.Log) func(compute.AuditEvent) {
	return func(e compute.AuditEvent) {
		log.Offer(eventlog.Event{
			Time: e.Time, Room: auditRoom, Type: auditType, Actor: e.UserID, RequestID: e.RequestID,
			Subject: eventText(e.TargetKind+"/"+e.TargetID, segment.FieldBytesMax),
			Attributes: map[string]string{
				"service": e.Service, "kind": eventText(e.TargetKind, eventDetailMax), "target": eventText(e.TargetID, eventDetailMax), "action": eventText(e.Action, eventDetailMax), "project": e.ProjectID,
				"outcome": e.Outcome, "status": strconv.Itoa(e.Status), "remote": e.Remote,
			},
		})
	}
}

// auditTrail reads what auditEvents wrote.
func auditTrail(log *eventlog.Log) func(context.Context, server.AuditQuery) ([]compute.AuditEvent, error) {
	return func(ctx context.Context, q server.AuditQuery) ([]compute.AuditEvent, error) {
		list, err := log.Query(ctx, eventlog.Query{
			Room: auditRoom, Type: auditType, Actor: q.UserID, RequestID: q.RequestID, Since: q.Since, Until: q.Until, Limit: q.Limit,
		})
		trail := make([]compute.AuditEvent, 0, len(list))
		for _, e := range list {
			status, _ := strconv.Atoi(e.Attributes["status"]) // 0 where there was none
			trail = append(trail, compute.AuditEvent{
				Time: e.Time, Service: e.Attributes["service"], UserID: e.Actor, ProjectID: e.Attributes["project"], Action: e.Attributes["action"],
				TargetKind: e.Attributes["kind"], TargetID: e.Attributes["target"], Outcome: e.Attributes["outcome"], Status: status, RequestID: e.RequestID, Remote: e.Attributes["remote"],
			})
		}
		return trail, err
	}
}

// adminAudit shows the trail.
func adminAudit(v *cloudVerbs) *cobra.Command {
	var limit int
	var user, since string
	return v.group("audit", "The trail of what was asked of the cloud",
		verb{use: "list", short: "List who asked for which change, the newest first",
			example: "  kamado compute admin audit list --since 2026-11-22T00:00:00Z --data cloud",
			flags: func(f *pflag.FlagSet) {
				f.IntVar(&limit, "limit", 20, "most events that are listed")
				f.StringVar(&user, "user", "", "id of a user: only what that one asked for")
				f.StringVar(&since, "since", "", "only what was asked from this time on, such as 2026-11-22T21:00:00Z")
			},
			run: func(ctx context.Context, c *client.Client, _ []string) error {
				q := url.Values{"limit": {strconv.Itoa(limit)}}
				for name, value := range map[string]string{"user_id": user, "since": since} {
					if value != "" {
						q.Set(name, value)
					}
				}
				list, err := c.List(ctx, "audit", "/v1/events?"+q.Encode(), "events")
				if err != nil {
					return err
				}
				return v.rows(list, col("TIME", "time"), col("USER", "user_id"), col("SERVICE", "service"), col("ACTION", "action"), col("TARGET", "target"),
					col("OUTCOME", "outcome"), col("STATUS", "status"), col("REQUEST", "request_id"))
			}})
}
