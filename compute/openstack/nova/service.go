package nova

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"sort"
	"time"

	"github.com/kamado/kamado/compute"
)

// zoneInternal is where services are that run no instances.
const zoneInternal = "internal"

// The names of services. This program is all of them at once; clients look for
// these names.
const (
	binaryCompute   = "nova-compute"
	binaryScheduler = "nova-scheduler"
	binaryConductor = "nova-conductor"
)

// service is a part of the cloud as administrators see it: one for each host that
// runs instances, and the two that run beside.
type service struct {
	binary, zone string
	host         *compute.Host
}

func (s service) key() string { return s.binary + "/" + s.host.ID }

// derivedID makes a stable UUID out of a name, for things that clients know by
// one and that have none.
func derivedID(name string) string {
	sum := sha256.Sum256([]byte("kamado/" + name))
	sum[6] = sum[6]&0x0f | 0x80 // version 8: of our own making (RFC 9562 §5.8)
	sum[8] = sum[8]&0x3f | 0x80
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// up says whether a host's heartbeats are young.
func (a *API) up(h *compute.Host) bool {
	alive, _ := a.Control.HostUp(h.ID)
	return alive && !h.ForcedDown
}

// hosts gives all hosts by name.
func hosts(tx *compute.Tx) ([]*compute.Host, error) { return tx.Hosts.List(compute.Query{}) }

// services gives every service by host and name.
func services(tx *compute.Tx) ([]service, error) {
	all, err := hosts(tx)
	if err != nil {
		return nil, err
	}
	var list []service
	for i, h := range all {
		if i == 0 {
			list = append(list, service{binaryScheduler, zoneInternal, h}, service{binaryConductor, zoneInternal, h})
		}
		list = append(list, service{binaryCompute, h.Zone, h})
	}
	return list, nil
}

// heartbeat is when a host was last heard of.
func (a *API) heartbeat(h *compute.Host) time.Time {
	if _, at := a.Control.HostUp(h.ID); !at.IsZero() {
		return at
	}
	return h.Heartbeat
}

func (c *call) serviceView(s service) object {
	state, st := "down", "enabled"
	if c.api.up(s.host) {
		state = "up"
	}
	var reason any
	if s.binary == binaryCompute && s.host.Disabled {
		st, reason = "disabled", orNil(s.host.DisabledReason)
	}
	o := object{"binary": s.binary, "host": s.host.ID, "zone": s.zone, "status": st, "state": state,
		"updated_at": stampMicro(c.api.heartbeat(s.host)), "disabled_reason": reason, "id": serial(s.key())}
	if c.v >= 11 {
		o["forced_down"] = s.binary == binaryCompute && s.host.ForcedDown
	}
	if c.v >= 53 {
		o["id"] = derivedID(s.key())
	}
	return o
}

func (a *API) listServices(c *call) error {
	q := c.URL.Query()
	views := []object{}
	err := c.read(func(tx *compute.Tx) error {
		all, err := services(tx)
		if err != nil {
			return err
		}
		for _, s := range all {
			if h := q.Get("host"); h != "" && h != s.host.ID {
				continue
			}
			if b := q.Get("binary"); b != "" && b != s.binary {
				continue
			}
			views = append(views, c.serviceView(s))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"services": views})
}

// changeHost changes a host of the cloud by what an administrator wants.
func (c *call) changeHost(id string, change func(*compute.Host)) error {
	err := c.write(func(tx *compute.Tx) error {
		h, err := tx.Hosts.Get(id)
		if err != nil {
			return unknown(err, "Could not find binary %s on host %s.", binaryCompute, id)
		}
		change(h)
		return tx.Hosts.Update(h)
	})
	if err == nil {
		c.api.Control.HostsChanged()
	}
	return err
}

// putService is how clients before 2.53 enable and disable: by host and binary,
// with the verb in the path. From 2.53 on the last part of the path is an id.
func (a *API) putService(c *call) error {
	what := c.PathValue("what")
	if c.v >= 53 {
		return c.updateService(what)
	}
	f := fields{"host": text(1, 255), "binary": text(1, 255)}
	required := []string{"host", "binary"}
	switch {
	case what == "disable-log-reason":
		f["disabled_reason"] = text(1, 255)
		required = append(required, "disabled_reason")
	case what == "force-down" && c.v >= 11:
		f["forced_down"] = truth
		required = append(required, "forced_down")
	case what != "enable" && what != "disable":
		return notFound("Unknown action")
	}
	in, err := c.body(objectOf(f, required...))
	if err != nil {
		return err
	}
	host, binary := str(in, "host"), str(in, "binary")
	if binary != binaryCompute {
		return notFound("Could not find binary %s on host %s.", binary, host)
	}
	o := object{"host": host, "binary": binary}
	err = c.changeHost(host, func(h *compute.Host) {
		switch what {
		case "enable":
			h.Disabled, h.DisabledReason, o["status"] = false, "", "enabled"
		case "disable":
			h.Disabled, o["status"] = true, "disabled"
		case "disable-log-reason":
			h.Disabled, h.DisabledReason = true, str(in, "disabled_reason")
			o["status"], o["disabled_reason"] = "disabled", h.DisabledReason
		case "force-down":
			h.ForcedDown = yes(in, "forced_down")
			o["forced_down"] = h.ForcedDown
		}
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"service": o})
}

// findService gives a service by the id of the microversion.
func (c *call) findService(tx *compute.Tx, id string) (service, error) {
	all, err := services(tx)
	if err != nil {
		return service{}, err
	}
	for _, s := range all {
		if c.v >= 53 && derivedID(s.key()) == id || c.v < 53 && plainText(serialText(s.key())) == id {
			return s, nil
		}
	}
	return service{}, notFound("Service %s could not be found.", id)
}

// updateService changes a service by its id (2.53 on).
func (c *call) updateService(id string) error {
	in, err := c.body(objectOf(fields{"status": oneOf("enabled", "disabled"), "disabled_reason": text(1, 255), "forced_down": truth}))
	if err != nil {
		return err
	}
	if len(in) == 0 {
		return invalid("{} does not have enough properties")
	}
	if _, reason := in["disabled_reason"]; reason && str(in, "status") != "disabled" {
		return invalid("Specifying disabled_reason requires that status be \"disabled\".")
	}
	if !compute.IsID(id) {
		return invalid("Invalid uuid %s", id)
	}
	var view object
	err = c.write(func(tx *compute.Tx) error {
		s, err := c.findService(tx, id)
		if err != nil {
			return err
		}
		if s.binary != binaryCompute {
			return invalid("Updating a %s service is not supported. Only nova-compute services can be updated.", s.binary)
		}
		switch str(in, "status") {
		case "enabled":
			s.host.Disabled, s.host.DisabledReason = false, ""
		case "disabled":
			s.host.Disabled, s.host.DisabledReason = true, str(in, "disabled_reason")
		}
		if _, has := in["forced_down"]; has {
			s.host.ForcedDown = yes(in, "forced_down")
		}
		view = c.serviceView(s)
		return tx.Hosts.Update(s.host)
	})
	if err != nil {
		return err
	}
	c.api.Control.HostsChanged()
	return c.json(http.StatusOK, object{"service": view})
}

// deleteService forgets a host that is down and runs nothing.
func (a *API) deleteService(c *call) error {
	id := c.PathValue("what")
	err := c.write(func(tx *compute.Tx) error {
		s, err := c.findService(tx, id)
		if err != nil {
			return err
		}
		if s.binary != binaryCompute || c.api.up(s.host) {
			return conflict("Unable to delete service %s: it is up.", id)
		}
		n, err := tx.Instances.Count(compute.Query{Where: compute.Where{"host_id": s.host.ID, "live": true}})
		if err != nil {
			return err
		}
		if n > 0 {
			return conflict("Unable to delete compute service that is hosting instances. Migrate or delete the instances first.")
		}
		return tx.Hosts.Delete(s.host.ID)
	})
	if err != nil {
		return err
	}
	a.Control.HostsChanged()
	return c.empty(http.StatusNoContent)
}

// zones gives the zones that have hosts, each with whether one of them is usable.
func (a *API) zones(tx *compute.Tx) ([]string, map[string]bool, error) {
	all, err := hosts(tx)
	if err != nil {
		return nil, nil, err
	}
	usable := map[string]bool{}
	for _, h := range all {
		usable[h.Zone] = usable[h.Zone] || a.up(h) && !h.Disabled
	}
	names := make([]string, 0, len(usable))
	for z := range usable {
		names = append(names, z)
	}
	sort.Strings(names)
	return names, usable, nil
}

func (a *API) listZones(c *call) error {
	views := []object{}
	err := c.read(func(tx *compute.Tx) error {
		names, usable, err := a.zones(tx)
		for _, z := range names {
			views = append(views, object{"zoneName": z, "zoneState": object{"available": usable[z]}, "hosts": nil})
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"availabilityZoneInfo": views})
}

func (a *API) listZonesDetail(c *call) error {
	views := []object{}
	err := c.read(func(tx *compute.Tx) error {
		names, usable, err := a.zones(tx)
		if err != nil {
			return err
		}
		all, err := services(tx)
		if err != nil {
			return err
		}
		if len(names) > 0 {
			names, usable[zoneInternal] = append(names, zoneInternal), true
		}
		for _, z := range names {
			in := object{}
			for _, s := range all {
				if s.zone != z {
					continue
				}
				if in[s.host.ID] == nil {
					in[s.host.ID] = object{}
				}
				in[s.host.ID].(object)[s.binary] = object{"available": a.up(s.host), "active": s.binary != binaryCompute || !s.host.Disabled,
					"updated_at": stampMicro(a.heartbeat(s.host))}
			}
			views = append(views, object{"zoneName": z, "zoneState": object{"available": usable[z]}, "hosts": in})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, object{"availabilityZoneInfo": views})
}
