package control

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/schedule"
)

// noHost is what Nova says when nothing can take an instance; the space at its
// end is Nova's too.
const noHost = "No valid host was found. "

// order is a CreateRequest with what it names looked up.
type order struct {
	CreateRequest
	who    compute.Caller
	flavor *compute.Flavor
	image  *compute.MachineImage
	key    *compute.Keypair
	group  *compute.ServerGroup
	place  schedule.Request
}

// Create makes instances and gives their rows, which a job then makes active. It
// makes as many of Max as the quota allows, but not less than Min. An instance
// for which there is no host is made in the state "error".
func (c *Controller) Create(ctx context.Context, who compute.Caller, q CreateRequest) ([]*compute.Instance, error) {
	q.Min = max(q.Min, 1)
	q.Max = max(q.Max, q.Min)
	if q.Max > c.cfg.BatchMax {
		return nil, compute.Errorf(compute.Invalid, "At most %d instances may be created by one request.", c.cfg.BatchMax)
	}
	if err := c.busy(); err != nil {
		return nil, err
	}
	if q.Host != "" && !c.hosts.has(q.Host) {
		return nil, compute.Errorf(compute.Invalid, "Compute host %s could not be found.", q.Host)
	}
	if q.Zone != "" && !slices.Contains(c.hosts.zones(), q.Zone) {
		return nil, compute.Errorf(compute.Invalid, "The requested availability zone is not available")
	}
	o := &order{CreateRequest: q, who: who}
	if err := c.deps.Store.Read(ctx, o.lookUp); err != nil {
		return nil, err
	}
	if o.AdminPass == "" {
		o.AdminPass = NewPassword()
	}
	places := c.reserve(o)
	defer func() {
		for _, host := range places {
			c.hosts.drop(host, o.place.Claim)
		}
	}()
	var made []*compute.Instance
	err := c.write(ctx, func(w *change) (err error) {
		made, err = c.insert(w, o, places)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, row := range made {
		if row.VM == compute.VMError {
			c.metrics.noHost.Inc()
			continue
		}
		c.metrics.placed.Inc()
		c.submitNew(row)
	}
	return made, nil
}

// lookUp reads what a request names. What goes away a moment later would have
// been there a moment before: nobody can tell.
func (o *order) lookUp(tx *compute.Tx) (err error) {
	if o.flavor, err = flavorFor(tx, o.who, o.FlavorID); err != nil {
		return err
	}
	if o.ImageID == "" {
		return compute.Errorf(compute.Invalid, "Invalid imageRef provided.")
	}
	if o.image, err = imageFor(tx, o.who, o.ImageID, o.flavor); err != nil {
		return err
	}
	if o.KeyName != "" {
		if o.key, err = keyFor(tx, o.who, o.KeyName); err != nil {
			return err
		}
	}
	if err := checkMetadata(tx, o.who.ProjectID, len(o.Metadata)); err != nil {
		return err
	}
	o.place = schedule.Request{Claim: claimOf(o.flavor), Zone: o.Zone, Host: o.Host, Extra: o.flavor.Extra}
	if o.SameHost != nil {
		if o.place.Only, err = hostsOf(tx, o.who, o.SameHost); err != nil {
			return err
		}
	}
	if o.place.Not, err = hostsOf(tx, o.who, o.DifferentHost); err != nil {
		return err
	}
	if o.GroupID != "" {
		return o.lookUpGroup(tx)
	}
	return nil
}

func (o *order) lookUpGroup(tx *compute.Tx) error {
	g, err := tx.ServerGroups.Get(o.GroupID)
	if compute.IsKind(err, compute.NotFound) || err == nil && !o.who.Owns(g.ProjectID) {
		return compute.Errorf(compute.Invalid, "Instance group %s could not be found.", o.GroupID)
	}
	if err != nil {
		return err
	}
	o.group = g
	o.place.Group = &schedule.Group{Policy: g.Policy, MaxPerHost: g.MaxPerHost, Members: map[string]int{}}
	for _, id := range g.Members {
		row, err := tx.Instances.Get(id)
		if compute.IsKind(err, compute.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if row.Deleted.IsZero() && row.HostID != "" {
			o.place.Group.Members[row.HostID]++
		}
	}
	return nil
}

// flavorFor gives a flavor that a caller may use.
func flavorFor(tx *compute.Tx, who compute.Caller, id string) (*compute.Flavor, error) {
	f, err := tx.Flavors.Get(id)
	if compute.IsKind(err, compute.NotFound) || err == nil && (f.Disabled || !f.Public && !who.Admin() && !slices.Contains(f.Access, who.ProjectID)) {
		return nil, compute.Errorf(compute.Invalid, "Flavor %s could not be found.", id)
	}
	return f, err
}

// imageFor gives a machine image that a caller may boot with a flavor.
func imageFor(tx *compute.Tx, who compute.Caller, id string, f *compute.Flavor) (*compute.MachineImage, error) {
	m, err := tx.MachineImages.Get(id)
	if compute.IsKind(err, compute.NotFound) || err == nil && !m.Visible(who) {
		return nil, compute.Errorf(compute.Invalid, "Can not find requested image")
	}
	if err != nil {
		return nil, err
	}
	const gib = 1 << 30
	switch {
	case m.Status != compute.ImageActive:
		return nil, compute.Errorf(compute.Invalid, "Image %s is not active.", id)
	case m.MinRAM > f.MemoryMiB:
		return nil, compute.Errorf(compute.Invalid, "Flavor's memory is too small for requested image.")
	case f.DiskGiB == 0: // the disk is as large as the image
		return m, nil
	case m.MinDisk > f.DiskGiB:
		return nil, compute.Errorf(compute.Invalid, "Flavor's disk is smaller than the minimum size specified in image metadata. "+
			"Flavor disk is %d bytes, minimum size is %d bytes.", f.DiskGiB*gib, m.MinDisk*gib)
	case max(m.Size, m.VirtualSize) > int64(f.DiskGiB)*gib:
		return nil, compute.Errorf(compute.Invalid, "Flavor's disk is too small for requested image. Flavor disk is %d bytes, image is %d bytes.",
			f.DiskGiB*gib, max(m.Size, m.VirtualSize))
	}
	return m, nil
}

func keyFor(tx *compute.Tx, who compute.Caller, name string) (*compute.Keypair, error) {
	k, err := tx.Keypairs.Get(compute.KeypairID(who.UserID, name))
	if compute.IsKind(err, compute.NotFound) {
		return nil, compute.Errorf(compute.Invalid, "Invalid key_name provided.")
	}
	return k, err
}

func checkMetadata(tx *compute.Tx, project string, n int) error {
	if n == 0 {
		return nil
	}
	limit, err := tx.Limit(project, compute.QuotaMetadata)
	if err != nil {
		return err
	}
	if limit != compute.Unlimited && n > limit {
		return &compute.Error{Kind: compute.OverQuota, Name: "MetadataLimitExceeded",
			Detail: fmt.Sprintf("Maximum number of metadata items exceeds %d", limit)}
	}
	return nil
}

// hostsOf gives the hosts that a hint's instances are on.
func hostsOf(tx *compute.Tx, who compute.Caller, ids []string) ([]string, error) {
	var hosts []string
	for _, id := range ids {
		row, err := owned(tx, who, id)
		if compute.IsKind(err, compute.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, row.HostID)
	}
	return hosts, nil
}

// reserve picks places for the most instances, "" where there is none, before
// the write: it then only has to look at the rows of those hosts. A server group
// is placed within the write, where its members hold still.
func (c *Controller) reserve(o *order) []string {
	places := make([]string, o.Max)
	if o.group != nil {
		return places
	}
	for i := range places {
		host, _ := c.hosts.pick(c.cfg.Ratios, &o.place)
		if host == "" {
			break
		}
		places[i] = host
	}
	return places
}

// insert makes the rows, as many as the quota allows.
func (c *Controller) insert(w *change, o *order, places []string) ([]*compute.Instance, error) {
	n, err := affordable(w.tx, o)
	if err != nil {
		return nil, err
	}
	if err := w.tx.ChargeAll(o.who.ProjectID, o.charges(n)); err != nil {
		return nil, err
	}
	if o.group != nil { // anew: this function may run twice, and members come and go
		if err := o.lookUpGroup(w.tx); err != nil {
			return nil, err
		}
	}
	made := make([]*compute.Instance, 0, n)
	reservation := "r-" + compute.NewHexID()[:8]
	for i := range n {
		row := o.row(w.at, i, reservation)
		row.ConfigDrive = row.ConfigDrive || c.cfg.ConfigDriveAlways
		if err := c.placeNew(w, o, row, places[i]); err != nil {
			return nil, err
		}
		if err := w.tx.Instances.Insert(row); err != nil {
			return nil, err
		}
		made = append(made, row)
	}
	if o.group != nil {
		return made, o.join(w.tx, made)
	}
	return made, nil
}

// join makes new instances members of their server group.
func (o *order) join(tx *compute.Tx, made []*compute.Instance) error {
	limit, err := tx.Limit(o.who.ProjectID, compute.QuotaGroupMembers)
	if err != nil {
		return err
	}
	for _, row := range made {
		o.group.Members = append(o.group.Members, row.ID)
	}
	if limit != compute.Unlimited && len(o.group.Members) > limit {
		return &compute.Error{Kind: compute.OverQuota, Name: "OverQuota", Detail: "Quota exceeded, too many servers in group"}
	}
	return tx.ServerGroups.Update(o.group)
}

// charges is the quota that n instances take.
func (o *order) charges(n int) []compute.Charge {
	return []compute.Charge{{Resource: compute.QuotaInstances, N: n}, {Resource: compute.QuotaCores, N: n * o.flavor.VCPUs},
		{Resource: compute.QuotaRAM, N: n * o.flavor.MemoryMiB}}
}

// affordable gives how many instances the quota allows, when that is at least
// the least that were asked for; else the most, so that charging them fails.
func affordable(tx *compute.Tx, o *order) (int, error) {
	if o.Max == o.Min {
		return o.Max, nil
	}
	n := o.Max
	for _, each := range o.charges(1) {
		limit, err := tx.Limit(o.who.ProjectID, each.Resource)
		if err != nil {
			return 0, err
		}
		used, err := tx.Used(o.who.ProjectID, each.Resource)
		if err != nil {
			return 0, err
		}
		if limit != compute.Unlimited && each.N > 0 {
			n = min(n, (limit-used)/each.N)
		}
	}
	if n < o.Min {
		return o.Max, nil
	}
	return n, nil
}

// row is the i-th instance of a request.
func (o *order) row(at time.Time, i int, reservation string) *compute.Instance {
	id, name := compute.NewID(), o.Name
	if o.Max > 1 {
		name += "-" + strconv.Itoa(i+1)
	}
	row := &compute.Instance{
		ID: id, Name: name, Description: o.Description, Hostname: o.Hostname, ProjectID: o.who.ProjectID, UserID: o.who.UserID,
		VM: compute.VMBuilding, Task: compute.TaskSpawning, Flavor: *o.flavor, ImageID: o.image.ID, ImageProps: maps.Clone(o.image.Properties),
		Metadata: maps.Clone(o.Metadata), UserData: o.UserData, Files: o.Files, AdminPass: o.AdminPass, ConfigDrive: o.ConfigDrive,
		AccessIPv4: o.AccessIPv4, AccessIPv6: o.AccessIPv6, Reservation: reservation, LaunchIndex: i, DiskConfig: o.DiskConfig,
		Tags: slices.Clone(o.Tags), GroupID: o.GroupID, TrustedCerts: o.TrustedCerts, Created: at, Updated: at, Generation: 1,
	}
	row.Flavor.Access = nil // who may use a flavor is nobody's instance's
	if row.Hostname == "" {
		row.Hostname = compute.Hostname(name, id)
	}
	if row.DiskConfig == "" {
		row.DiskConfig = "MANUAL"
	}
	if o.key != nil {
		row.KeyName, row.PublicKey = o.key.Name, o.key.PublicKey
	}
	return row
}

// placeNew puts a new row on a host and on its networks, or into the state
// "error" when there is no host.
func (c *Controller) placeNew(w *change, o *order, row *compute.Instance, hint string) error {
	host, err := c.find(w, &o.place, hint)
	if err != nil {
		return err
	}
	if host != "" {
		if err := w.move(host, o.place.Claim, 1); err != nil {
			return err
		}
	}
	row.HostID, row.Zone = host, o.Zone
	action, err := w.newAction(o.who, row, "create", false)
	if err != nil {
		return err
	}
	if host == "" {
		row.VM, row.Task = compute.VMError, compute.TaskNone
		row.Fault = &compute.Fault{Code: 500, Message: noHost, Created: w.at}
		return w.endAction(action, "", compute.Errorf(compute.Exhausted, noHost))
	}
	row.Zone = c.hosts.zone(host)
	row.TaskArgs = map[string]string{argAction: action}
	if g := o.place.Group; g != nil {
		g.Members[host]++
	}
	w.network = w.network || host == c.deps.HostID
	return c.deps.Fabric.Plug(w.tx, o.who, row, o.Networks, o.SecurityGroups, host)
}

// find gives a host with room by its row in this write: the one that was picked,
// else any. "": none has.
func (c *Controller) find(w *change, q *schedule.Request, hint string) (string, error) {
	if hint != "" {
		if fits, err := c.room(w, hint, q); err != nil || fits {
			return hint, err
		}
	}
	if w.all == nil {
		var err error
		if w.all, err = w.tx.Hosts.List(compute.Query{}); err != nil {
			return "", err
		}
	}
	for i, row := range w.all {
		if changed := w.hosts[row.ID]; changed != nil {
			w.all[i] = changed
		}
	}
	host, why := c.hosts.choose(c.cfg.Ratios, q, w.all)
	if host == "" {
		c.log.Debug("no host for an instance", "why", reasons(why))
	}
	return host, nil
}

// reasons says how many hosts each filter dropped.
func reasons(why map[schedule.Reason]int) string {
	var parts []string
	for _, r := range slices.Sorted(maps.Keys(why)) {
		parts = append(parts, fmt.Sprintf("%d %s", why[r], r))
	}
	return strings.Join(parts, ", ")
}

// passwordLetters are those that nobody takes for another.
const passwordLetters = "23456789abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"

// NewPassword makes a password of 12 letters and digits, as Nova does: 69 bits.
func NewPassword() string {
	var raw [12]byte
	out := make([]byte, 0, len(raw))
	for len(out) < len(raw) {
		_, _ = rand.Read(raw[:]) // never fails (crypto/rand)
		for _, b := range raw {
			// Bytes past the last whole multiple would favour the first letters.
			if int(b) < 256/len(passwordLetters)*len(passwordLetters) && len(out) < len(raw) {
				out = append(out, passwordLetters[int(b)%len(passwordLetters)])
			}
		}
	}
	return string(out)
}
