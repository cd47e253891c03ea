package nova

import (
	"net/http"
	"slices"

	"github.com/kamado/kamado/compute"
)

// pastInstance gives an instance of the caller's; one that is deleted only from
// 2.21 on, and for actions.
func (c *call) pastInstance(tx *compute.Tx) (*compute.Instance, error) {
	id := c.PathValue("id")
	i, err := tx.Instances.Get(id)
	if err != nil {
		return nil, unknown(err, "Instance %s could not be found.", id)
	}
	if !c.Caller.Owns(i.ProjectID) || c.v < 21 && !i.Deleted.IsZero() {
		return nil, notFound("Instance %s could not be found.", id)
	}
	return i, nil
}

func (c *call) actionView(a *compute.Action) object {
	o := object{"action": a.Name, "instance_uuid": a.InstanceID, "request_id": a.RequestID, "user_id": a.UserID, "project_id": a.ProjectID,
		"start_time": stampMicro(a.Started), "message": orNil(a.Message)}
	if c.v >= 58 {
		o["updated_at"] = stampMicro(a.Updated)
	}
	return o
}

func (a *API) listActions(c *call) error {
	p := page{limit: LimitMax}
	keep := &selection{where: compute.Where{}}
	var err error
	if c.v >= 58 {
		if p, err = c.page(); err != nil {
			return err
		}
		if err := c.times(keep); err != nil {
			return err
		}
	}
	views := []object{}
	last, more := "", false
	err = c.read(func(tx *compute.Tx) error {
		i, err := c.pastInstance(tx)
		if err != nil {
			return err
		}
		rows, err := tx.Actions.List(compute.Query{Where: compute.Where{"instance_id": i.ID}, Order: "-started"})
		if err != nil {
			return err
		}
		rows = slices.DeleteFunc(rows, func(a *compute.Action) bool { return !keep.keeps(&compute.Instance{Updated: a.Updated}) })
		rows, more, err = cut(p, rows, func(a *compute.Action) string { return a.RequestID })
		if err != nil {
			return err
		}
		for _, a := range rows {
			views, last = append(views, c.actionView(a)), a.RequestID
		}
		return nil
	})
	if err != nil {
		return err
	}
	o := object{"instanceActions": views}
	if more && c.v >= 58 {
		o["links"] = c.nextLink("/servers/"+c.PathValue("id")+"/os-instance-actions", last)
	}
	return c.json(http.StatusOK, o)
}

func (a *API) showAction(c *call) error {
	request := c.PathValue("request")
	return c.read(func(tx *compute.Tx) error {
		i, err := c.pastInstance(tx)
		if err != nil {
			return err
		}
		rows, err := tx.Actions.List(compute.Query{Where: compute.Where{"instance_id": i.ID, "request_id": request}})
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return notFound("Action for request_id %s on instance %s not found", request, i.ID)
		}
		o := c.actionView(rows[0])
		if c.v >= 51 || c.Caller.Admin() {
			o["events"] = c.eventViews(i, rows[0])
		}
		return c.json(http.StatusOK, object{"instanceAction": o})
	})
}

// eventViews are the steps of an action; where they ran and why they failed is for
// administrators.
func (c *call) eventViews(i *compute.Instance, a *compute.Action) []object {
	views := []object{}
	for _, e := range a.Events {
		o := object{"event": e.Name, "start_time": stampMicro(e.Started), "finish_time": stampMicro(e.Finished), "result": orNil(e.Result)}
		if c.Caller.Admin() {
			o["traceback"] = orNil(e.Traceback)
		}
		if c.v >= 62 {
			o["hostId"] = hostID(&compute.Instance{ProjectID: i.ProjectID, HostID: e.Host})
			if c.Caller.Admin() {
				o["host"] = e.Host
			}
		}
		if c.v >= 84 {
			o["details"] = nil
		}
		views = append(views, o)
	}
	return views
}

// The migrations of a server that are under way: none here takes time that could
// be shown (2.23 on).
func (a *API) listServerMigrations(c *call) error {
	if _, err := c.find(); err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"migrations": []object{}})
}

func (a *API) listMigrations(c *call) error {
	q := c.URL.Query()
	p := page{limit: LimitMax}
	var err error
	if c.v >= 59 {
		if p, err = c.page(); err != nil {
			return err
		}
	}
	var rows []*compute.Migration
	err = c.read(func(tx *compute.Tx) error {
		query := compute.Query{Order: "-created"}
		if s := q.Get("instance_uuid"); s != "" {
			query.Where = compute.Where{"instance_id": s}
		}
		rows, err = tx.Migrations.List(query)
		return err
	})
	if err != nil {
		return err
	}
	match := func(param, value string) bool { return q.Get(param) == "" || q.Get(param) == value }
	rows = slices.DeleteFunc(rows, func(m *compute.Migration) bool {
		host := q.Get("host")
		return !match("status", m.Status) || !match("migration_type", m.Type) || !match("source_compute", m.SourceHost) ||
			host != "" && host != m.SourceHost && host != m.DestHost ||
			c.v >= 80 && (!match("user_id", m.UserID) || !match("project_id", m.ProjectID))
	})
	rows, more, err := cut(p, rows, func(m *compute.Migration) string { return m.UUID })
	if err != nil {
		return err
	}
	views := []object{}
	for _, m := range rows {
		views = append(views, c.migrationView(m))
	}
	o := object{"migrations": views}
	if more && c.v >= 59 && len(rows) > 0 {
		o["migrations_links"] = c.nextLink("/os-migrations", rows[len(rows)-1].UUID)
	}
	return c.json(http.StatusOK, o)
}

func (c *call) migrationView(m *compute.Migration) object {
	n, ok := asInt(m.ID)
	if !ok {
		n = serial(m.ID)
	}
	o := object{"id": n, "status": m.Status, "instance_uuid": m.InstanceID, "source_node": orNil(m.SourceHost), "source_compute": orNil(m.SourceHost),
		"dest_node": orNil(m.DestHost), "dest_compute": orNil(m.DestHost), "dest_host": orNil(m.DestHost),
		"old_instance_type_id": serial(m.OldFlavor), "new_instance_type_id": serial(m.NewFlavor),
		"created_at": stampMicro(m.Created), "updated_at": stampMicro(m.Updated)}
	if c.v >= 23 {
		o["migration_type"] = m.Type
	}
	if c.v >= 59 {
		o["uuid"] = m.UUID
	}
	if c.v >= 80 {
		o["user_id"], o["project_id"] = m.UserID, m.ProjectID
	}
	return o
}
