package nova

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/kamado/kamado/compute"
)

func (c *call) groupView(g *compute.ServerGroup, members []string) object {
	o := object{"id": g.ID, "name": g.Name, "members": list(members)}
	if c.v >= 13 {
		o["project_id"], o["user_id"] = g.ProjectID, g.UserID
	}
	if c.v >= 64 {
		rules := object{}
		if g.MaxPerHost > 0 {
			rules["max_server_per_host"] = g.MaxPerHost
		}
		o["policy"], o["rules"] = g.Policy, rules
	} else {
		o["policies"], o["metadata"] = []string{g.Policy}, object{}
	}
	return o
}

// liveMembers are the members of a group that are still there.
func liveMembers(tx *compute.Tx, g *compute.ServerGroup) ([]string, error) {
	if len(g.Members) == 0 {
		return nil, nil
	}
	rows, err := tx.Instances.List(compute.Query{Where: compute.Where{"id": g.Members, "live": true}})
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, i := range rows {
		ids = append(ids, i.ID)
	}
	slices.SortFunc(ids, func(a, b string) int { return slices.Index(g.Members, a) - slices.Index(g.Members, b) })
	return ids, nil
}

// serverGroup gives a group of the caller's.
func serverGroup(tx *compute.Tx, who compute.Caller, id string) (*compute.ServerGroup, error) {
	g, err := tx.ServerGroups.Get(id)
	if err != nil {
		return nil, unknown(err, "Instance group %s could not be found.", id)
	}
	if !who.Owns(g.ProjectID) {
		return nil, notFound("Instance group %s could not be found.", id)
	}
	return g, nil
}

func (a *API) listServerGroups(c *call) error {
	q := c.URL.Query()
	where := compute.Where{"project_id": c.Caller.ProjectID}
	if q.Has("all_projects") && c.Caller.Admin() {
		where = nil
	}
	offset := 0
	if text := q.Get("offset"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return mismatch("offset", text, "%s does not match '^[0-9]*$'", repr(text))
		}
		offset = n
	}
	p, err := c.page()
	if err != nil {
		return err
	}
	views := []object{}
	err = c.read(func(tx *compute.Tx) error {
		rows, err := tx.ServerGroups.List(compute.Query{Where: where})
		if err != nil {
			return err
		}
		rows = rows[min(offset, len(rows)):]
		for _, g := range rows[:min(p.limit, len(rows))] {
			members, err := liveMembers(tx, g)
			if err != nil {
				return err
			}
			views = append(views, c.groupView(g, members))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"server_groups": views})
}

func (a *API) showServerGroup(c *call) error {
	return c.read(func(tx *compute.Tx) error {
		g, err := serverGroup(tx, c.Caller, c.PathValue("id"))
		if err != nil {
			return err
		}
		members, err := liveMembers(tx, g)
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, object{"server_group": c.groupView(g, members)})
	})
}

// groupSchema is what a request for a server group holds in the microversion.
func (c *call) groupSchema() check {
	policies := []string{"affinity", "anti-affinity"}
	if c.v >= 15 {
		policies = append(policies, "soft-affinity", "soft-anti-affinity")
	}
	f := objectOf(fields{"name": name, "policies": listOf(oneOf(policies...), 1, 1)}, "name", "policies")
	if c.v >= 64 {
		f = objectOf(fields{"name": name, "policy": oneOf(policies...), "rules": objectOf(fields{"max_server_per_host": wholeNumber(1, flavorMax)})}, "name", "policy")
	}
	return objectOf(fields{"server_group": f}, "server_group")
}

func (a *API) createServerGroup(c *call) error {
	body, err := c.body(c.groupSchema())
	if err != nil {
		return err
	}
	in := sub(body, "server_group")
	g := &compute.ServerGroup{ID: compute.NewID(), Name: str(in, "name"), ProjectID: c.Caller.ProjectID, UserID: c.Caller.UserID,
		Policy: str(in, "policy"), MaxPerHost: num(sub(in, "rules"), "max_server_per_host"), Created: a.Now().UTC()}
	if p := stringsOf(in, "policies"); len(p) > 0 {
		g.Policy = p[0]
	}
	if g.MaxPerHost > 0 && g.Policy != "anti-affinity" {
		return invalid("Only anti-affinity policy supports rules.")
	}
	err = c.write(func(tx *compute.Tx) error {
		if err := tx.Charge(g.ProjectID, compute.QuotaServerGroups, 1); compute.IsKind(err, compute.OverQuota) {
			return compute.Errorf(compute.OverQuota, "Quota exceeded, too many server groups.")
		} else if err != nil {
			return err
		}
		return tx.ServerGroups.Insert(g)
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"server_group": c.groupView(g, nil)})
}

func (a *API) deleteServerGroup(c *call) error {
	err := c.write(func(tx *compute.Tx) error {
		g, err := serverGroup(tx, c.Caller, c.PathValue("id"))
		if err != nil {
			return err
		}
		if err := tx.Charge(g.ProjectID, compute.QuotaServerGroups, -1); err != nil {
			return err
		}
		return tx.ServerGroups.Delete(g.ID)
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}
