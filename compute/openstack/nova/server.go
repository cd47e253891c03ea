package nova

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
)

// instance gives an instance of the caller's that is still there.
func instance(tx *compute.Tx, who compute.Caller, id string) (*compute.Instance, error) {
	i, err := tx.Instances.Get(id)
	if err != nil {
		return nil, unknown(err, "Instance %s could not be found.", id)
	}
	if !who.Owns(i.ProjectID) || !i.Deleted.IsZero() {
		return nil, notFound("Instance %s could not be found.", id)
	}
	return i, nil
}

// find gives the path's instance in a view of its own.
func (c *call) find() (*compute.Instance, error) {
	var i *compute.Instance
	err := c.read(func(tx *compute.Tx) (err error) {
		i, err = instance(tx, c.Caller, c.PathValue("id"))
		return err
	})
	return i, err
}

// depth is how much of a server an answer has.
type depth uint8

const (
	// brief: after an update or a rebuild, before 2.75
	brief depth = iota
	// detail: in lists
	detail
	// full: a single one
	full
)

// serverWriter writes servers of one answer: what is the same for all is looked
// up once.
type serverWriter struct {
	*call
	e          encoder
	base       string // of this service's links
	origin     string
	hosts      map[string]*compute.Host
	tx         *compute.Tx
	withSecret bool // user data under its own name, as rebuild has it
}

func (c *call) serverWriter(tx *compute.Tx) *serverWriter {
	return &serverWriter{call: c, base: c.base(), origin: openstack.Origin(c.Request.Request, c.api.Public),
		hosts: map[string]*compute.Host{}, tx: tx}
}

// hostID hides a host's name from tenants, and still tells two of theirs apart.
func hostID(i *compute.Instance) string {
	if i.HostID == "" {
		return ""
	}
	sum := sha256.Sum224([]byte(i.ProjectID + i.HostID))
	return hex.EncodeToString(sum[:])
}

const (
	layoutStamp = `2006-01-02T15:04:05Z`
	layoutMicro = `2006-01-02T15:04:05.000000`
)

// server writes one server without the braces around it.
func (w *serverWriter) server(i *compute.Instance, d depth) error {
	e, status := &w.e, i.Status()
	e.str("id", i.ID)
	e.str("name", i.Name)
	e.str("status", status)
	e.str("tenant_id", i.ProjectID)
	e.str("user_id", i.UserID)
	e.pairs("metadata", i.Metadata)
	e.str("hostId", hostID(i))
	w.image(i)
	w.flavor(&i.Flavor)
	e.time("created", layoutStamp, i.Created)
	e.time("updated", layoutStamp, i.Updated)
	w.addresses(i, d != brief)
	e.str("accessIPv4", i.AccessIPv4)
	e.str("accessIPv6", i.AccessIPv6)
	w.links(i.ID)
	disk := i.DiskConfig
	if disk == "" {
		disk = "MANUAL"
	}
	e.str("OS-DCF:diskConfig", disk)
	if progressShown(status) {
		e.int("progress", i.Progress)
	}
	w.fault(i, status)
	w.versioned(i, d)
	if d == brief {
		return nil
	}
	w.extended(i)
	return w.attributes(i)
}

func (w *serverWriter) links(id string) {
	e := &w.e
	e.key("links")
	e.open('[')
	e.link("self", w.base+"/v2.1/servers/"+id)
	e.link("bookmark", w.base+"/servers/"+id)
	e.close(']')
}

// image is what the server started from; empty when that is a volume.
func (w *serverWriter) image(i *compute.Instance) {
	e := &w.e
	if i.ImageID == "" {
		e.str("image", "")
		return
	}
	e.key("image")
	e.open('{')
	e.str("id", i.ImageID)
	e.key("links")
	e.open('[')
	e.link("bookmark", w.base+"/images/"+i.ImageID)
	e.close(']')
	e.close('}')
}

// flavor is a link until 2.46, and the size itself from 2.47 on.
func (w *serverWriter) flavor(f *compute.Flavor) {
	e := &w.e
	e.key("flavor")
	e.open('{')
	if w.v < 47 {
		e.str("id", f.ID)
		e.key("links")
		e.open('[')
		e.link("bookmark", w.base+"/flavors/"+f.ID)
		e.close(']')
	} else {
		e.str("original_name", f.Name)
		e.int("vcpus", f.VCPUs)
		e.int("ram", f.MemoryMiB)
		e.int("disk", f.DiskGiB)
		e.int("ephemeral", f.EphemeralGiB)
		e.int("swap", f.SwapMiB)
		e.pairs("extra_specs", f.Extra)
	}
	e.close('}')
}

// addresses are by network, in the order in which the networks come first.
func (w *serverWriter) addresses(i *compute.Instance, extended bool) {
	e := &w.e
	e.key("addresses")
	e.open('{')
	for n, a := range i.Addresses {
		if networkBefore(i.Addresses[:n], a.Network) {
			continue
		}
		e.value(a.Network)
		e.b = append(e.b, ':')
		e.open('[')
		for _, b := range i.Addresses[n:] {
			if b.Network == a.Network {
				w.address(b, extended)
			}
		}
		e.close(']')
	}
	e.close('}')
}

func networkBefore(l []compute.InstanceAddress, network string) bool {
	for _, a := range l {
		if a.Network == network {
			return true
		}
	}
	return false
}

func (w *serverWriter) address(a compute.InstanceAddress, extended bool) {
	e := &w.e
	e.open('{')
	e.int("version", a.Version)
	e.str("addr", a.IP)
	if extended {
		e.str("OS-EXT-IPS:type", a.Type)
		e.str("OS-EXT-IPS-MAC:mac_addr", a.MAC)
	}
	e.close('}')
}

// fault is why a server is in error; its details are for administrators, and for
// everybody when it is not this program's own fault.
func (w *serverWriter) fault(i *compute.Instance, status string) {
	if i.Fault == nil || status != "ERROR" && status != "DELETED" {
		return
	}
	e := &w.e
	e.key("fault")
	e.open('{')
	e.int("code", i.Fault.Code)
	e.time("created", layoutStamp, i.Fault.Created)
	e.str("message", i.Fault.Message)
	if i.Fault.Details != "" && (w.Caller.Admin() || i.Fault.Code != http.StatusInternalServerError) {
		e.str("details", i.Fault.Details)
	}
	e.close('}')
}

// versioned writes what microversions added to every answer about a server.
func (w *serverWriter) versioned(i *compute.Instance, d depth) {
	e := &w.e
	if w.v >= 9 {
		e.bool("locked", i.Locked)
	}
	if w.v >= 19 {
		e.strOrNull("description", i.Description)
	}
	if w.v >= 26 {
		e.texts("tags", i.Tags)
	}
	if w.v >= 63 {
		if len(i.TrustedCerts) == 0 {
			e.key("trusted_image_certificates")
			e.null()
		} else {
			e.texts("trusted_image_certificates", i.TrustedCerts)
		}
	}
	if w.v >= 71 && d != detail {
		var groups []string
		if i.GroupID != "" {
			groups = []string{i.GroupID}
		}
		e.texts("server_groups", groups)
	}
	if w.v >= 73 {
		e.strOrNull("locked_reason", i.LockedReason)
	}
}

// extended writes what were extensions once.
func (w *serverWriter) extended(i *compute.Instance) {
	e := &w.e
	e.strOrNull("key_name", i.KeyName)
	drive := ""
	if i.ConfigDrive {
		drive = "True"
	}
	e.str("config_drive", drive)
	e.str("OS-EXT-AZ:availability_zone", i.Zone)
	e.strOrNull("OS-EXT-STS:task_state", string(i.Task))
	e.str("OS-EXT-STS:vm_state", string(i.VM))
	e.int("OS-EXT-STS:power_state", int(i.Power))
	e.time("OS-SRV-USG:launched_at", layoutMicro, i.Launched)
	e.time("OS-SRV-USG:terminated_at", layoutMicro, i.Deleted)
	e.key("os-extended-volumes:volumes_attached")
	e.open('[')
	e.close(']')
	if len(i.Groups) > 0 {
		e.key("security_groups")
		e.open('[')
		for _, g := range i.Groups {
			e.open('{')
			e.str("name", g)
			e.close('}')
		}
		e.close(']')
	}
}

// attributes writes what only administrators see, and the host name, which
// everybody sees from 2.90 on.
func (w *serverWriter) attributes(i *compute.Instance) error {
	e := &w.e
	admin := w.Caller.Admin()
	if w.v >= 90 || w.v >= 3 && admin {
		e.str("OS-EXT-SRV-ATTR:hostname", i.Hostname)
	}
	if !admin {
		return nil
	}
	e.strOrNull("OS-EXT-SRV-ATTR:host", i.HostID)
	e.strOrNull("OS-EXT-SRV-ATTR:hypervisor_hostname", i.HostID)
	e.str("OS-EXT-SRV-ATTR:instance_name", instanceName(i))
	if w.v >= 3 {
		e.str("OS-EXT-SRV-ATTR:reservation_id", i.Reservation)
		e.int("OS-EXT-SRV-ATTR:launch_index", i.LaunchIndex)
		e.str("OS-EXT-SRV-ATTR:kernel_id", i.ImageProps["kernel_id"])
		e.str("OS-EXT-SRV-ATTR:ramdisk_id", i.ImageProps["ramdisk_id"])
		e.str("OS-EXT-SRV-ATTR:root_device_name", "/dev/vda")
		if !w.withSecret {
			e.strOrNull("OS-EXT-SRV-ATTR:user_data", i.UserData)
		}
	}
	if w.v >= 16 {
		status, err := w.hostStatus(i.HostID)
		if err != nil {
			return err
		}
		e.str("host_status", status)
	}
	return nil
}

// instanceName is what the hypervisor calls the instance.
func instanceName(i *compute.Instance) string { return "instance-" + i.ID[:min(8, len(i.ID))] }

// hostStatus is how the host of an instance does.
func (w *serverWriter) hostStatus(id string) (string, error) {
	if id == "" {
		return "", nil
	}
	h, seen := w.hosts[id]
	if !seen {
		var err error
		if h, err = w.tx.Hosts.Get(id); compute.IsKind(err, compute.NotFound) {
			h = nil
		} else if err != nil {
			return "", err
		}
		w.hosts[id] = h
	}
	switch {
	case h == nil:
		return "UNKNOWN", nil
	case h.ForcedDown, !w.api.up(h):
		return "DOWN", nil
	case h.Disabled:
		return "MAINTENANCE", nil
	}
	return "UP", nil
}

// serverBody is {"server": {…}} at a depth, with more at its end.
func (c *call) serverBody(i *compute.Instance, d depth, more func(*encoder)) ([]byte, error) {
	var body []byte
	err := c.read(func(tx *compute.Tx) error {
		w := c.serverWriter(tx)
		w.withSecret = more != nil
		w.e.open('{')
		w.e.key("server")
		w.e.open('{')
		if err := w.server(i, d); err != nil {
			return err
		}
		if more != nil {
			more(&w.e)
		}
		w.e.close('}')
		w.e.close('}')
		body = w.e.b
		return nil
	})
	return body, err
}

func (a *API) showServer(c *call) error {
	var body []byte
	err := c.read(func(tx *compute.Tx) error {
		i, err := instance(tx, c.Caller, c.PathValue("id"))
		if err != nil {
			return err
		}
		w := c.serverWriter(tx)
		w.e.open('{')
		w.e.key("server")
		w.e.open('{')
		if err := w.server(i, full); err != nil {
			return err
		}
		w.e.close('}')
		w.e.close('}')
		body = w.e.b
		return nil
	})
	if err != nil {
		return err
	}
	return c.raw(http.StatusOK, body)
}
