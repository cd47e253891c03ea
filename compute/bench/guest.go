package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/compute/guest"
)

// ratioMax is the target of this group: a guest of the cloud over one without.
const ratioMax = 1.10

// milestones are what a guest does, in its order.
var milestones = []string{"first DHCP packet", "metadata read", "SSH banner"}

// boot is one guest's way: how long it took to each milestone, and what QEMU
// spent until the last.
type boot struct {
	at  [3]time.Duration
	cpu time.Duration
}

// guest boots a real guest of the cloud and one without, in turns.
func (r *run) guest(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w boot guests on networks of their own without root", errCannot)
	}
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		return fmt.Errorf("%w boot guests without qemu-system-x86_64", errCannot)
	}
	parts, err := guest.Parts(r.cfg.Parts)
	if err != nil {
		return fmt.Errorf("%w make the guest: %w", errCannot, err)
	}
	files, err := guest.Build(ctx, parts, filepath.Join(r.dir, "guest"))
	if err != nil {
		return err
	}
	b, err := newBare(qemu, files, filepath.Join(r.dir, "bare"))
	if err != nil {
		return err
	}
	defer b.close()
	s, err := r.subject(ctx, "--hypervisor", "qemu")
	if err != nil {
		return err
	}
	defer s.stop()
	return r.alternate(ctx, s, b)
}

// alternate boots one after the other, the first of a round last in the next.
func (r *run) alternate(ctx context.Context, s *subject, b *bare) (err error) {
	c, err := newCloud(ctx, s)
	if err != nil {
		return err
	}
	defer func() {
		if e := c.clean(context.WithoutCancel(ctx)); err == nil {
			err = e
		}
	}()
	// A guest that does nothing keeps the network as it is between the rounds: bare QEMU's is made before, too.
	if _, err := c.paused(ctx); err != nil {
		return err
	}
	var ours, theirs []boot
	for round := range r.cfg.Rounds {
		sides := []func() error{
			func() error {
				one, err := c.boot(ctx)
				ours = append(ours, one)
				return err
			},
			func() error {
				one, err := r.bootBare(ctx, b, c)
				theirs = append(theirs, one)
				return err
			},
		}
		if round%2 == 1 {
			slices.Reverse(sides)
		}
		for _, side := range sides {
			if err := side(); err != nil {
				return err
			}
		}
		r.talkf("round %d: SSH after %.2f s, without a cloud %.2f s", round+1, ours[round].at[2].Seconds(), theirs[round].at[2].Seconds())
	}
	r.compare(ours, theirs)
	return nil
}

// compare makes rows of the ratios first, then of what they come from.
func (r *run) compare(ours, theirs []boot) {
	for i, name := range milestones {
		var ratios []float64
		var a, b []time.Duration
		for round := range ours {
			ratios = append(ratios, float64(ours[round].at[i])/float64(theirs[round].at[i]))
			a, b = append(a, ours[round].at[i]), append(b, theirs[round].at[i])
		}
		r.add(spread(GroupGuest, "create to "+name+", over bare QEMU", "x", ratios).atMost(ratioMax).
			because("%.0f ms, bare %.0f ms, medians of %d rounds", times("", "", a).Value, times("", "", b).Value, len(ours)))
	}
	// What else a machine does only adds to CPU time, so the least of either side is compared.
	a, b := leastCPU(ours), leastCPU(theirs)
	r.add(Row{Group: GroupGuest, Name: "CPU of QEMU until the SSH banner, over bare QEMU", Unit: "x", Value: float64(a) / float64(b), Count: len(ours)}.atMost(ratioMax).
		because("%.0f ms, bare %.0f ms, the least of %d rounds", ms(a), ms(b), len(ours)))
}

func leastCPU(boots []boot) time.Duration {
	return slices.MinFunc(boots, func(a, b boot) int { return cmp.Compare(a.cpu, b.cpu) }).cpu
}

// bootBare boots a guest without a cloud, of the same memory and disk.
func (r *run) bootBare(ctx context.Context, b *bare, c *cloud) (boot, error) {
	w, err := watchNamespace(b.ns, b.ns)
	if err != nil {
		return boot{}, err
	}
	defer w.close()
	cmd, began, err := b.boot(ctx, c.memoryMiB, c.diskGiB)
	if err != nil {
		return boot{}, fmt.Errorf("boot without a cloud: %w", err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed: that is no failure
	}()
	seen, err := w.see(ctx, r.cfg.Timeout)
	if err != nil {
		return boot{}, fmt.Errorf("boot without a cloud: %w", err)
	}
	return seen.since(began, cmd.Process.Pid), nil
}

func (s sighting) since(began time.Time, pid int) boot {
	spent, _ := cpuOf(pid) // 0 when it has just ended
	return boot{at: [3]time.Duration{s.dhcp.Sub(began), s.metadata.Sub(began), s.ssh.Sub(began)}, cpu: spent}
}

// cloud is a subject with what a guest of it needs.
type cloud struct {
	*subject
	request            object
	networkID          string
	routers, networks  []string // all that the subject made, to be cleaned away
	routerID           string
	memoryMiB, diskGiB int
}

// newCloud opens SSH in the member's own security group, and reads which network
// a guest will be on.
func newCloud(ctx context.Context, s *subject) (*cloud, error) {
	c := &cloud{subject: s}
	var err error
	if c.request, err = s.member.template(ctx, "m1.tiny"); err != nil {
		return nil, err
	}
	var answer struct{ Flavor struct{ RAM, Disk int } }
	if err := s.member.get(ctx, "/compute/v2.1/flavors/"+c.request["flavorRef"].(string), &answer); err != nil {
		return nil, err
	}
	c.memoryMiB, c.diskGiB = answer.Flavor.RAM, answer.Flavor.Disk
	group, err := s.member.byName(ctx, "/network/v2.0/security-groups", "security_groups", "default")
	if err != nil {
		return nil, err
	}
	err = s.member.post(ctx, "/network/v2.0/security-group-rules", object{"security_group_rule": object{
		"security_group_id": group, "direction": "ingress", "protocol": "tcp", "port_range_min": 22, "port_range_max": 22}}, nil)
	if err != nil {
		return nil, err
	}
	if c.networkID, err = s.member.byName(ctx, "/network/v2.0/networks", "networks", "default"); err != nil {
		return nil, err
	}
	admin, err := s.asAdmin(ctx)
	if err != nil {
		return nil, err
	}
	if c.networks, err = admin.ids(ctx, "/network/v2.0/networks", "networks"); err != nil {
		return nil, err
	}
	if c.routers, err = admin.ids(ctx, "/network/v2.0/routers", "routers"); err != nil {
		return nil, err
	}
	if c.routerID, err = admin.byName(ctx, "/network/v2.0/routers", "routers", "default-router"); err != nil {
		return nil, err
	}
	return c, nil
}

// ids lists the ids of a list.
func (c *client) ids(ctx context.Context, path, list string) ([]string, error) {
	var answer map[string]json.RawMessage
	if err := c.get(ctx, path, &answer); err != nil {
		return nil, err
	}
	var things []struct{ ID string }
	if err := json.Unmarshal(answer[list], &things); err != nil {
		return nil, fmt.Errorf("GET %s: %w", path, err)
	}
	var ids []string
	for _, t := range things {
		ids = append(ids, t.ID)
	}
	return ids, nil
}

// boot creates a server and watches its network. SSH is asked for from the
// router, so that it passes every filter.
func (c *cloud) boot(ctx context.Context) (boot, error) {
	ns, err := namespaceOf("net", c.networkID)
	if err != nil {
		return boot{}, err
	}
	defer ns.Close()
	router, err := namespaceOf("rtr", c.routerID)
	if err != nil {
		return boot{}, err
	}
	defer router.Close()
	w, err := watchNamespace(ns, router)
	if err != nil {
		return boot{}, err
	}
	defer w.close()
	began := time.Now()
	id, err := c.member.create(ctx, c.request)
	if err != nil {
		return boot{}, err
	}
	seen, err := w.see(ctx, c.cfg.Timeout)
	if err != nil {
		return boot{}, err
	}
	pids := processesNaming("qemu-system", id)
	if len(pids) != 1 {
		return boot{}, fmt.Errorf("%d processes of QEMU for server %s, not one", len(pids), id)
	}
	return seen.since(began, pids[0]), c.remove(ctx, id)
}

// remove deletes a server and waits until it is gone.
func (s *subject) remove(ctx context.Context, id string) error {
	if _, err := s.member.send(ctx, http.MethodDelete, "/compute/v2.1/servers/"+id, nil, nil); err != nil {
		return err
	}
	return s.until(ctx, "the end of a server", func() (bool, error) {
		_, err := s.member.show(ctx, id)
		if err != nil && strings.Contains(err.Error(), "status 404") {
			return len(processesNaming("qemu-system", id)) == 0, nil
		}
		return false, err
	})
}

// clean takes away every server, then stops the subject, then removes the
// namespaces of its networks and routers, and with them its card on the host.
func (c *cloud) clean(ctx context.Context) error {
	ids, err := c.member.ids(ctx, "/compute/v2.1/servers", "servers")
	for _, id := range ids {
		if e := c.remove(ctx, id); err == nil {
			err = e
		}
	}
	c.stop()
	for kind, list := range map[string][]string{"net": c.networks, "rtr": c.routers} {
		for _, id := range list {
			if e := removeNamespace(kind, id); err == nil {
				err = e
			}
		}
	}
	return err
}

func removeNamespace(kind, id string) error {
	found, _ := filepath.Glob(filepath.Join(namespaces, "*-"+kind+"-"+id)) // the pattern is right
	for _, path := range found {
		// The other end of a card on the host would keep it for a moment; asking for it is sure.
		if part := strings.Split(filepath.Base(path), "-"); len(part) > 1 {
			if l, err := netlink.LinkByName("kmd" + part[1]); err == nil {
				if err := netlink.LinkDel(l); err != nil {
					return fmt.Errorf("remove the host's card: %w", err)
				}
			}
		}
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("remove namespace %s: %w", path, err)
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}
