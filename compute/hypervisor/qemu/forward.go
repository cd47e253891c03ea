package qemu

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/kamado/kamado/compute/hypervisor"
)

var _ hypervisor.Forwarder = (*Engine)(nil)

// Forward makes list the forwards of a card.
func (e *Engine) Forward(ctx context.Context, id, portID string, list []hypervisor.Forward) error {
	d, release, err := e.take(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	if !on(d.current()) {
		return d.stateError()
	}
	if !slices.ContainsFunc(d.spec().NICs, func(n hypervisor.NIC) bool { return n.PortID == portID && n.Open == nil && n.User != nil }) {
		return fmt.Errorf("domain %s has no user-mode card of port %s: %w", id, portID, hypervisor.ErrState)
	}
	return d.forward(ctx, portID, list)
}

// forwardAll makes the forwards of a fresh process. One that cannot be made is
// told, and the guest starts without it.
func (d *domain) forwardAll(ctx context.Context, s hypervisor.Spec) error {
	for _, n := range s.NICs {
		if n.Open != nil || n.User == nil {
			continue
		}
		err := d.forward(ctx, n.PortID, n.User.Forward)
		if ctx.Err() != nil {
			return err
		}
		d.tellForwards(n.PortID, err)
	}
	return nil
}

// tellForwards logs what could not be forwarded.
func (d *domain) tellForwards(portID string, err error) {
	if err != nil {
		d.log.Warn("a guest's port could not be forwarded", "port", portID, "error", err)
	}
}

// forward makes list the forwards of a card of the process. The record names
// them before they are made and until they are gone: a kill in between leaves
// none that nobody knows. Preconditions: the verb lock is held, the process answers.
func (d *domain) forward(ctx context.Context, portID string, list []hypervisor.Forward) error {
	d.mu.Lock()
	have := d.rec.Forwards[portID]
	d.mu.Unlock()
	var bad error
	want := slices.DeleteFunc(slices.Clone(list), func(f hypervisor.Forward) bool {
		err := checkForward(f)
		bad = errors.Join(bad, err)
		return err != nil
	})
	if slices.Equal(have, want) {
		return bad
	}
	both := slices.Clone(have)
	for _, f := range want {
		if !slices.Contains(both, f) {
			both = append(both, f)
		}
	}
	if err := d.keepForwards(portID, both); err != nil {
		return err
	}
	var errs []error
	left := slices.DeleteFunc(slices.Clone(both), func(f hypervisor.Forward) bool {
		if slices.Contains(want, f) {
			return false
		}
		err := d.unlead(ctx, portID, f)
		errs = append(errs, err)
		return err == nil
	})
	left = slices.DeleteFunc(left, func(f hypervisor.Forward) bool {
		if slices.Contains(have, f) {
			return false
		}
		// An earlier attempt may have made it, and been killed before it said so.
		err := d.unlead(ctx, portID, f)
		if err == nil {
			err = d.lead(ctx, portID, f)
		}
		errs = append(errs, err)
		return err != nil && ctx.Err() == nil
	})
	d.log.Info("a guest's ports are forwarded", "port", portID, "forwards", described(left))
	return errors.Join(bad, errors.Join(errs...), d.keepForwards(portID, left))
}

// described gives forwards for people: "tcp 127.77.0.3:20022 to 22".
func described(list []hypervisor.Forward) string {
	var words []string
	for _, f := range list {
		words = append(words, fmt.Sprintf("%s %s to %d", f.Protocol, f.Listen, f.Port))
	}
	return strings.Join(words, ", ")
}

func (d *domain) keepForwards(portID string, list []hypervisor.Forward) error {
	return d.keep(false, func(r *record) {
		if r.Forwards = maps.Clone(r.Forwards); r.Forwards == nil {
			r.Forwards = map[string][]hypervisor.Forward{}
		}
		r.Forwards[portID] = list
	})
}

// checkForward refuses what would be read otherwise by QEMU's monitor, which
// takes these commands as lines of text.
func checkForward(f hypervisor.Forward) error {
	at, err := netip.ParseAddrPort(f.Listen)
	if err != nil || !at.Addr().Is4() || at.Port() == 0 || f.Port < 1 || f.Port > 65535 || f.Protocol != "tcp" && f.Protocol != "udp" {
		return fmt.Errorf("%w: forward of %s %q to port %d", hypervisor.ErrSpec, f.Protocol, f.Listen, f.Port)
	}
	return nil
}

// lead adds a forward.
func (d *domain) lead(ctx context.Context, portID string, f hypervisor.Forward) error {
	said, err := d.monitor(ctx, fmt.Sprintf("hostfwd_add %s %s:%s-:%d", netdevID(portID), f.Protocol, f.Listen, f.Port))
	if err == nil && said != "" { // silent when it was done
		err = errors.New(said)
	}
	if err != nil {
		return fmt.Errorf("forward %s %s to port %d: %w", f.Protocol, f.Listen, f.Port, err)
	}
	return nil
}

// unlead ends a forward; one that is not there has ended.
func (d *domain) unlead(ctx context.Context, portID string, f hypervisor.Forward) error {
	said, err := d.monitor(ctx, fmt.Sprintf("hostfwd_remove %s %s:%s", netdevID(portID), f.Protocol, f.Listen))
	if err == nil && !strings.HasSuffix(said, "removed") && !strings.HasSuffix(said, "not found") {
		err = errors.New(said)
	}
	if err != nil {
		return fmt.Errorf("end the forward of %s %s: %w", f.Protocol, f.Listen, err)
	}
	return nil
}

// monitor has a line read by QEMU's monitor for people: forwards have no
// command of the protocol.
func (d *domain) monitor(ctx context.Context, line string) (string, error) {
	var said string
	err := d.command(ctx, "human-monitor-command", node{"command-line": line}, &said)
	return strings.TrimSpace(said), err
}
