package nova

import (
	"maps"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"time"

	"github.com/kamado/kamado/compute"
)

func (c *call) aggregateView(g *compute.Aggregate, full bool) object {
	n, _ := strconv.Atoi(g.ID) // its ids are numbers: nextNumber made them
	o := object{"id": n, "name": g.Name, "availability_zone": orNil(g.Zone), "created_at": stampMicro(g.Created),
		"updated_at": stampMicro(g.Updated), "deleted_at": nil, "deleted": false}
	if c.v >= 41 {
		o["uuid"] = g.UUID
	}
	if full {
		meta := maps.Clone(pairs(g.Metadata))
		if g.Zone != "" {
			meta["availability_zone"] = g.Zone
		}
		o["hosts"], o["metadata"] = list(g.Hosts), meta
	}
	return o
}

func (a *API) listAggregates(c *call) error {
	var rows []*compute.Aggregate
	err := c.read(func(tx *compute.Tx) (err error) {
		rows, err = tx.Aggregates.List(compute.Query{})
		return err
	})
	if err != nil {
		return err
	}
	sort.Slice(rows, func(i, j int) bool {
		return len(rows[i].ID) < len(rows[j].ID) || len(rows[i].ID) == len(rows[j].ID) && rows[i].ID < rows[j].ID
	})
	views := []object{}
	for _, g := range rows {
		views = append(views, c.aggregateView(g, true))
	}
	return c.json(http.StatusOK, object{"aggregates": views})
}

func aggregate(tx *compute.Tx, id string) (*compute.Aggregate, error) {
	g, err := tx.Aggregates.Get(id)
	return g, unknown(err, "Aggregate %s could not be found.", id)
}

func (a *API) showAggregate(c *call) error {
	return c.read(func(tx *compute.Tx) error {
		g, err := aggregate(tx, c.PathValue("id"))
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, object{"aggregate": c.aggregateView(g, true)})
	})
}

// nextNumber gives the number after the last that a kind of thing has had.
func nextNumber(tx *compute.Tx, kind string) (string, error) {
	key := "next/" + kind
	row, err := tx.Settings.Get(key)
	if compute.IsKind(err, compute.NotFound) {
		return "1", tx.Settings.Insert(&compute.Setting{ID: key, Value: "1"})
	}
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(row.Value)
	if err != nil {
		return "", err
	}
	row.Value = strconv.Itoa(n + 1)
	return row.Value, tx.Settings.Update(row)
}

// zoneName takes the name of a zone: without the colon that forced hosts have.
func zoneName(path string, v any) error {
	if err := name(path, v); err != nil {
		return err
	}
	return matching(`^[^:]*$`, 255)(path, v)
}

func (a *API) createAggregate(c *call) error {
	body, err := c.body(objectOf(fields{"aggregate": objectOf(fields{"name": name, "availability_zone": orNull(zoneName)}, "name")}, "aggregate"))
	if err != nil {
		return err
	}
	in := sub(body, "aggregate")
	g := &compute.Aggregate{UUID: compute.NewID(), Name: str(in, "name"), Zone: str(in, "availability_zone"), Created: a.Now().UTC()}
	err = c.write(func(tx *compute.Tx) error {
		if err := freeAggregate(tx, g); err != nil {
			return err
		}
		if g.ID, err = nextNumber(tx, "aggregate"); err != nil {
			return err
		}
		return tx.Aggregates.Insert(g)
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"aggregate": c.aggregateView(g, false)})
}

// freeAggregate says that another aggregate has the name.
func freeAggregate(tx *compute.Tx, g *compute.Aggregate) error {
	same, err := tx.Aggregates.List(compute.Query{Where: compute.Where{"name": g.Name}})
	if err != nil {
		return err
	}
	if slices.ContainsFunc(same, func(o *compute.Aggregate) bool { return o.ID != g.ID }) {
		return conflict("Aggregate %s already exists.", g.Name)
	}
	return nil
}

// changeAggregate changes the path's aggregate, brings its hosts' zones in line,
// and answers with it.
func (c *call) changeAggregate(change func(*compute.Tx, *compute.Aggregate) error) error {
	var g *compute.Aggregate
	err := c.write(func(tx *compute.Tx) (err error) {
		if g, err = aggregate(tx, c.PathValue("id")); err != nil {
			return err
		}
		before := slices.Clone(g.Hosts)
		if err := change(tx, g); err != nil {
			return err
		}
		g.Updated = c.api.Now().UTC().Truncate(time.Second)
		if err := tx.Aggregates.Update(g); err != nil {
			return err
		}
		return c.api.rezone(tx, append(before, g.Hosts...))
	})
	if err != nil {
		return err
	}
	c.api.Control.HostsChanged()
	return c.json(http.StatusOK, object{"aggregate": c.aggregateView(g, true)})
}

// rezone gives hosts the zone of the aggregates that they are in.
func (a *API) rezone(tx *compute.Tx, ids []string) error {
	all, err := tx.Aggregates.List(compute.Query{})
	if err != nil {
		return err
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		zone := a.Zone
		for _, g := range all {
			if g.Zone != "" && slices.Contains(g.Hosts, id) {
				zone = g.Zone
			}
		}
		h, err := tx.Hosts.Get(id)
		if compute.IsKind(err, compute.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if h.Zone == zone {
			continue
		}
		h.Zone = zone
		if err := tx.Hosts.Update(h); err != nil {
			return err
		}
	}
	return nil
}

func (a *API) updateAggregate(c *call) error {
	body, err := c.body(objectOf(fields{"aggregate": objectOf(fields{"name": name, "availability_zone": orNull(zoneName)})}, "aggregate"))
	if err != nil {
		return err
	}
	in := sub(body, "aggregate")
	if len(in) == 0 {
		return mismatch("aggregate", in, "{} does not have enough properties")
	}
	return c.changeAggregate(func(tx *compute.Tx, g *compute.Aggregate) error {
		if n := str(in, "name"); n != "" {
			g.Name = n
		}
		if _, has := in["availability_zone"]; has {
			if err := zoneIsFree(tx, g, str(in, "availability_zone"), g.Hosts); err != nil {
				return err
			}
			g.Zone = str(in, "availability_zone")
		}
		return freeAggregate(tx, g)
	})
}

// zoneIsFree says that a host would be in two zones.
func zoneIsFree(tx *compute.Tx, g *compute.Aggregate, zone string, hosts []string) error {
	if zone == "" {
		return nil
	}
	all, err := tx.Aggregates.List(compute.Query{})
	if err != nil {
		return err
	}
	for _, o := range all {
		if o.ID == g.ID || o.Zone == "" || o.Zone == zone {
			continue
		}
		for _, h := range hosts {
			if slices.Contains(o.Hosts, h) {
				return conflict("Host %s is already in availability zone %s.", h, o.Zone)
			}
		}
	}
	return nil
}

func (a *API) deleteAggregate(c *call) error {
	err := c.write(func(tx *compute.Tx) error {
		g, err := aggregate(tx, c.PathValue("id"))
		if err != nil {
			return err
		}
		if len(g.Hosts) > 0 {
			return conflict("Cannot remove host aggregate %s: it is not empty.", g.ID)
		}
		return tx.Aggregates.Delete(g.ID)
	})
	if err != nil {
		return err
	}
	a.Control.HostsChanged()
	return c.empty(http.StatusOK)
}

// aggregateAction adds a host, takes one away, or sets metadata.
func (a *API) aggregateAction(c *call) error {
	host := objectOf(fields{"host": text(1, 255)}, "host")
	facts := objectOf(fields{"metadata": metadataOrNull}, "metadata")
	body, err := c.body(objectOf(fields{"add_host": host, "remove_host": host, "set_metadata": facts}))
	if err != nil {
		return err
	}
	if len(body) != 1 {
		return invalid("There is no such action: %s", repr(sortedKeys(body)))
	}
	verb := sortedKeys(body)[0]
	in := sub(body, verb)
	return c.changeAggregate(func(tx *compute.Tx, g *compute.Aggregate) error {
		switch verb {
		case "add_host":
			return addHost(tx, g, str(in, "host"))
		case "remove_host":
			h := str(in, "host")
			if !slices.Contains(g.Hosts, h) {
				return notFound("Aggregate %s has no host %s.", g.ID, h)
			}
			g.Hosts = slices.DeleteFunc(g.Hosts, func(o string) bool { return o == h })
			return nil
		}
		return setAggregateFacts(tx, g, sub(in, "metadata"))
	})
}

func addHost(tx *compute.Tx, g *compute.Aggregate, host string) error {
	if _, err := tx.Hosts.Get(host); err != nil {
		return unknown(err, "Compute host %s could not be found.", host)
	}
	if slices.Contains(g.Hosts, host) {
		return conflict("Host %s already exists in aggregate %s.", host, g.ID)
	}
	if err := zoneIsFree(tx, g, g.Zone, []string{host}); err != nil {
		return err
	}
	g.Hosts = append(g.Hosts, host)
	return nil
}

// metadataOrNull takes metadata whose null values take a key away.
func metadataOrNull(path string, v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return metadata(path, v)
	}
	set := map[string]any{}
	for k, value := range m {
		if value == nil {
			value = ""
		}
		set[k] = value
	}
	return metadata(path, set)
}

func setAggregateFacts(tx *compute.Tx, g *compute.Aggregate, in map[string]any) error {
	facts := maps.Clone(pairs(g.Metadata))
	for k, v := range in {
		s, _ := v.(string)
		switch {
		case k == "availability_zone":
			if err := zoneIsFree(tx, g, s, g.Hosts); err != nil {
				return err
			}
			g.Zone = s
		case v == nil:
			delete(facts, k)
		default:
			facts[k] = s
		}
	}
	if len(facts) > extraMax {
		return invalid("An aggregate has at most %d facts.", extraMax)
	}
	g.Metadata = facts
	return nil
}
