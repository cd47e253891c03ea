package qemu

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kamado/kamado/compute/hypervisor"
)

// unplugWait is how long a guest may take to let go of a card. One that does not
// (it is paused, or boots, or never heard of hot-plugging) keeps a card that
// leads nowhere until its next start.
const unplugWait = 5 * time.Second

// AttachNIC adds a card to a domain that is on.
func (e *Engine) AttachNIC(ctx context.Context, id string, n hypervisor.NIC) error {
	if err := n.Validate(); err != nil {
		return err
	}
	d, release, err := e.take(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	if !on(d.current()) {
		return d.stateError()
	}
	s := d.spec()
	if slices.ContainsFunc(s.NICs, func(have hypervisor.NIC) bool { return have.PortID == n.PortID }) {
		return nil
	}
	if d.slots(true)[n.PortID] != 0 { // detached before, and the guest was busy then
		_ = d.command(ctx, "device_del", node{"id": cardID(n.PortID)}, nil) // refused while the first request is not forgotten
		d.awaitUnplug(ctx, n.PortID)
	}
	slots := d.slots(true)
	if slots[n.PortID] != 0 {
		return fmt.Errorf("domain %s has not let go of the card of port %s: %w", id, n.PortID, hypervisor.ErrState)
	}
	if err := d.plug(ctx, s, n, slots); err != nil {
		return fmt.Errorf("attach port %s to domain %s: %w", n.PortID, id, err)
	}
	return nil
}

// plug adds the card to the process and to the record.
func (d *domain) plug(ctx context.Context, s hypervisor.Spec, n hypervisor.NIC, slots map[string]int) error {
	kind, err := machineOf(s)
	if err != nil {
		return err
	}
	used := map[int]bool{}
	for _, slot := range slots {
		used[slot] = true
	}
	slot, err := freeSlot(used)
	if err != nil {
		return err
	}
	dev, err := cardDevice(s, n, kind, slot)
	if err != nil {
		return err
	}
	fd, name := "", ""
	if n.Open != nil {
		tap, err := n.Open(ctx)
		if err != nil {
			return fmt.Errorf("open the tap: %w", err)
		}
		defer tap.Close()
		name, fd = tapName(tap), d.freshName("tap")
		if err := d.command(ctx, "getfd", node{"fdname": fd}, nil, tap); err != nil {
			return err
		}
	}
	if err := d.command(ctx, "netdev_add", netdev(n, fd), nil); err != nil {
		return err
	}
	if err := d.command(ctx, "device_add", dev, nil); err != nil {
		return errors.Join(err, d.command(ctx, "netdev_del", node{"id": netdevID(n.PortID)}, nil))
	}
	err = d.keep(true, func(r *record) {
		r.Spec.NICs = append(slices.Clone(r.Spec.NICs), n)
		if r.Slots = maps.Clone(r.Slots); r.Slots == nil {
			r.Slots = map[string]int{}
		}
		r.Slots[n.PortID] = slot
		if r.Taps = maps.Clone(r.Taps); r.Taps == nil {
			r.Taps = map[string]string{}
		}
		r.Taps[n.PortID] = name
	})
	if err == nil && n.User != nil {
		d.tellForwards(n.PortID, d.forward(ctx, n.PortID, n.User.Forward))
	}
	return err
}

// freshName gives a name that the process has not seen from us: an earlier
// engine may have used small numbers, so they begin with the time.
func (d *domain) freshName(what string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counter++
	return fmt.Sprintf("%s-%d-%d", what, time.Now().UnixNano(), d.counter)
}

// DetachNIC takes a card away: the guest is asked to let go of it, and whether it
// does or not, the card is cut off from its network when this returns.
func (e *Engine) DetachNIC(ctx context.Context, id, portID string) error {
	d, release, err := e.take(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	if !on(d.current()) {
		return d.stateError()
	}
	if !slices.ContainsFunc(d.spec().NICs, func(have hypervisor.NIC) bool { return have.PortID == portID }) {
		return nil
	}
	err = d.command(ctx, "device_del", node{"id": cardID(portID)}, nil)
	if err != nil && !strings.Contains(err.Error(), "already in the process of unplug") {
		return fmt.Errorf("detach port %s of domain %s: %w", portID, id, err)
	}
	d.awaitUnplug(ctx, portID)
	if err := d.command(ctx, "netdev_del", node{"id": netdevID(portID)}, nil); err != nil {
		return fmt.Errorf("detach port %s of domain %s: %w", portID, id, err)
	}
	return d.keep(true, func(r *record) {
		r.Forwards = maps.Clone(r.Forwards)
		delete(r.Forwards, portID)
		r.Spec.NICs = slices.DeleteFunc(slices.Clone(r.Spec.NICs), func(have hypervisor.NIC) bool { return have.PortID == portID })
	})
}

// awaitUnplug waits until the guest let go of a card, for a while.
func (d *domain) awaitUnplug(ctx context.Context, portID string) {
	if d.current() != hypervisor.Running {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, unplugWait)
	defer cancel()
	for {
		d.mu.Lock()
		_, there := d.rec.Slots[portID]
		changed, over := d.changed, d.proc == nil
		d.mu.Unlock()
		if !there || over {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// cardGone takes note that the guest let go of a card. Preconditions: mu is held.
func (d *domain) cardGone(device string) {
	port, ok := strings.CutPrefix(device, cardID(""))
	if !ok || d.rec == nil {
		return
	}
	r := *d.rec
	r.Slots = maps.Clone(r.Slots)
	delete(r.Slots, port)
	d.rec = &r // written with the next change; until then a suspend after a restart is refused
}

// leaving says whether the guest has a card that the record has not.
func (d *domain) leaving() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.rec.Slots) > len(d.rec.Spec.NICs)
}
