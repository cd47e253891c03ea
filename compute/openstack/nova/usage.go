package nova

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/control"
)

// usageForms are the spellings of a time that usage reports take.
var usageForms = []string{"2006-01-02T15:04:05", "2006-01-02T15:04:05.999999", "2006-01-02 15:04:05.999999", "2006-01-02T15:04:05Z07:00", "2006-01-02"}

func usageTime(text string, otherwise time.Time) (time.Time, error) {
	if text == "" {
		return otherwise, nil
	}
	for _, form := range usageForms {
		if t, err := time.Parse(form, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, invalid("Datetime is in invalid format")
}

// usageSpan reads the time that a report is about: the last four weeks by default.
func (c *call) usageSpan() (from, to time.Time, err error) {
	q, now := c.URL.Query(), c.api.Now().UTC()
	if from, err = usageTime(q.Get("start"), now.Add(-28*24*time.Hour)); err != nil {
		return from, to, err
	}
	if to, err = usageTime(q.Get("end"), now); err != nil {
		return from, to, err
	}
	if !from.Before(to) {
		return from, to, invalid("Invalid start time. The start time cannot occur after the end time.")
	}
	return from, to, nil
}

func usageView(u control.ProjectUsage, full bool) object {
	round := func(f float64) float64 { return math.Round(f*1e6) / 1e6 }
	o := object{"tenant_id": u.ProjectID, "start": usageStamp(u.Start), "stop": usageStamp(u.Stop), "total_hours": round(u.Hours),
		"total_vcpus_usage": round(u.VCPUHours), "total_memory_mb_usage": round(u.MemoryMiBHours), "total_local_gb_usage": round(u.DiskGiBHours)}
	if !full {
		return o
	}
	rows := []object{}
	for _, i := range u.Instances {
		var ended any
		if !i.Ended.IsZero() {
			ended = usageStamp(i.Ended)
		}
		rows = append(rows, object{"instance_id": i.ID, "name": i.Name, "tenant_id": u.ProjectID, "flavor": i.Flavor, "state": i.State,
			"vcpus": i.VCPUs, "memory_mb": i.MemoryMiB, "local_gb": i.DiskGiB, "started_at": usageStamp(i.Started), "ended_at": ended,
			"hours": round(i.Hours), "uptime": int(i.Uptime.Seconds())})
	}
	o["server_usages"] = rows
	return o
}

func usageStamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000") }

// usagePage gives the part of usages that the client asked for (2.40 on): pages are
// of instances, in the order of their ids, and sums are of the page's. Clients ask
// for pages until one is empty.
func (c *call) usagePage(all []control.ProjectUsage) (part []control.ProjectUsage, last string, more bool, err error) {
	if c.v < 40 {
		return all, "", false, nil
	}
	p, err := c.page()
	if err != nil {
		return nil, "", false, err
	}
	type row struct {
		project int
		control.InstanceUsage
	}
	var rows []row
	for n, u := range all {
		for _, i := range u.Instances {
			rows = append(rows, row{n, i})
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.ID, b.ID) })
	if rows, more, err = cut(p, rows, func(r row) string { return r.ID }); err != nil {
		return nil, "", false, err
	}
	at := map[int]int{} // a project's place in part
	for _, r := range rows {
		n, seen := at[r.project]
		if !seen {
			n = len(part)
			at[r.project] = n
			u := all[r.project]
			part = append(part, control.ProjectUsage{ProjectID: u.ProjectID, Start: u.Start, Stop: u.Stop})
		}
		u := &part[n]
		u.Instances = append(u.Instances, r.InstanceUsage)
		u.Hours += r.Hours
		u.VCPUHours += r.Hours * float64(r.VCPUs)
		u.MemoryMiBHours += r.Hours * float64(r.MemoryMiB)
		u.DiskGiBHours += r.Hours * float64(r.DiskGiB)
		last = r.ID
	}
	return part, last, more, nil
}

// usages reads a page of what projects used; project empty: all.
func (c *call) usages(project string) (part []control.ProjectUsage, last string, more bool, err error) {
	from, to, err := c.usageSpan()
	if err != nil {
		return nil, "", false, err
	}
	all, err := c.api.Control.Usage(c.Context(), project, from, to)
	if err != nil {
		return nil, "", false, err
	}
	return c.usagePage(all)
}

func (a *API) listUsages(c *call) error {
	part, last, more, err := c.usages("")
	if err != nil {
		return err
	}
	full := c.URL.Query().Get("detailed") == "1"
	views := []object{}
	for _, u := range part {
		views = append(views, usageView(u, full))
	}
	o := object{"tenant_usages": views}
	if more {
		o["tenant_usages_links"] = c.nextLink("/os-simple-tenant-usage", last)
	}
	return c.json(http.StatusOK, o)
}

func (a *API) showUsage(c *call) error {
	project := c.PathValue("project")
	if !c.Caller.Owns(project) {
		return compute.Errorf(compute.Denied, "Policy doesn't allow os_compute_api:os-simple-tenant-usage:show to be performed.")
	}
	part, last, more, err := c.usages(project)
	if err != nil {
		return err
	}
	view := object{}
	for _, u := range part {
		if u.ProjectID == project && len(u.Instances) > 0 {
			view = usageView(u, true)
		}
	}
	o := object{"tenant_usage": view}
	if more {
		o["tenant_usage_links"] = c.nextLink("/os-simple-tenant-usage/"+project, last)
	}
	return c.json(http.StatusOK, o)
}

// showAuditLog answers for the periodic usage audit of old: none runs here, so no
// host is done. Usage reports and the audit trail tell what it told.
func (a *API) showAuditLog(c *call) error {
	key, end := "instance_usage_audit_logs", a.Now().UTC()
	if text := c.PathValue("before"); text != "" {
		t, err := time.Parse("2006-01-02 15:04:05", text)
		if err != nil {
			if t, err = time.Parse("2006-01-02 15:04:05.999999", text); err != nil {
				return invalid("Invalid timestamp for date %s", text)
			}
		}
		key, end = "instance_usage_audit_log", t
	}
	end = time.Date(end.Year(), end.Month(), 1, 0, 0, 0, 0, time.UTC)
	names := []string{}
	err := c.read(func(tx *compute.Tx) error {
		rows, err := hosts(tx)
		for _, h := range rows {
			names = append(names, h.ID)
		}
		return err
	})
	if err != nil {
		return err
	}
	const form = "2006-01-02 15:04:05"
	return c.json(http.StatusOK, object{key: object{"hosts_not_run": names, "log": object{}, "num_hosts": len(names), "num_hosts_done": 0,
		"num_hosts_not_run": len(names), "num_hosts_running": 0, "overall_status": fmt.Sprintf("0 of %d hosts done. 0 errors.", len(names)),
		"period_beginning": end.AddDate(0, -1, 0).Format(form), "period_ending": end.Format(form), "total_errors": 0, "total_instances": 0}})
}
