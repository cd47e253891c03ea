package fabric

import (
	"crypto/rand"
	"encoding/hex"
	"net/netip"
	"slices"

	"github.com/kamado/kamado/compute"
)

// How many addresses are tried before the taken ones are read: the ones behind
// the last that was given, then some anywhere. With half of a pool taken at random
// all of them fail once in 2^24 times; reading costs a row for each taken address.
const (
	probesNext   = 8
	probesRandom = 16
)

// cursorID names the setting that holds the last address that a subnet gave.
func cursorID(subnetID string) string { return "fabric.last/" + subnetID }

// allocate takes a free address of a subnet's pools for a port: the one behind
// the last that was given, so that an address rests before it is somebody else's.
// ok is false when all are taken.
func (w *work) allocate(sub *compute.Subnet, portID string) (ip string, ok bool, err error) {
	spans := spansOf(sub)
	if len(spans) == 0 {
		return "", false, nil
	}
	cursor, err := w.tx.Settings.Get(cursorID(sub.ID))
	if err != nil && !compute.IsKind(err, compute.NotFound) {
		return "", false, err
	}
	addr := spans[0].first
	if cursor != nil {
		if lastGiven, err := netip.ParseAddr(cursor.Value); err == nil {
			addr = following(spans, lastGiven)
		}
	}
	for range probesNext {
		if taken, err := w.taken(sub.ID, addr); err != nil {
			return "", false, err
		} else if !taken {
			return addr.String(), true, w.give(sub, addr, portID, cursor)
		}
		addr = following(spans, addr)
	}
	for range probesRandom {
		addr = anywhere(spans)
		if taken, err := w.taken(sub.ID, addr); err != nil {
			return "", false, err
		} else if !taken {
			return addr.String(), true, w.give(sub, addr, portID, cursor)
		}
	}
	addr, ok, err = w.scan(sub.ID, spans)
	if err != nil || !ok {
		return "", false, err
	}
	return addr.String(), true, w.give(sub, addr, portID, cursor)
}

// scan finds a free address by reading all that are taken: it looks at one more
// address than these at most.
func (w *work) scan(subnetID string, spans []span) (netip.Addr, bool, error) {
	rows, err := w.tx.Addresses.List(compute.Query{Where: compute.Where{"subnet_id": subnetID}})
	if err != nil {
		return netip.Addr{}, false, err
	}
	taken := make(map[string]bool, len(rows))
	for _, r := range rows {
		taken[r.IP] = true
	}
	for _, s := range spans {
		for a := s.first; a.IsValid() && s.contains(a); a = a.Next() {
			if !taken[a.String()] {
				return a, true, nil
			}
		}
	}
	return netip.Addr{}, false, nil
}

func (w *work) taken(subnetID string, a netip.Addr) (bool, error) {
	_, err := w.tx.Addresses.Get(compute.AddressID(subnetID, a.String()))
	if compute.IsKind(err, compute.NotFound) {
		return false, nil
	}
	return true, err
}

// give takes an address and remembers it as the last that was given.
func (w *work) give(sub *compute.Subnet, a netip.Addr, portID string, cursor *compute.Setting) error {
	if err := w.take(sub, a.String(), portID); err != nil {
		return err
	}
	row := &compute.Setting{ID: cursorID(sub.ID), Value: a.String()}
	if cursor == nil {
		return w.tx.Settings.Insert(row)
	}
	return w.tx.Settings.Update(row)
}

// take takes one address for a port.
func (w *work) take(sub *compute.Subnet, ip, portID string) error {
	err := w.tx.Addresses.Insert(&compute.Address{ID: compute.AddressID(sub.ID, ip), SubnetID: sub.ID, IP: ip, PortID: portID})
	if compute.IsKind(err, compute.Conflict) {
		return fail(compute.Conflict, "IpAddressAlreadyAllocated", "IP address %s already allocated in subnet %s", ip, sub.ID)
	}
	return err
}

// following gives the address of the pools behind one, the first behind the last.
func following(spans []span, a netip.Addr) netip.Addr {
	for i, s := range spans {
		if s.contains(a) {
			if a != s.end {
				return a.Next()
			}
			return spans[(i+1)%len(spans)].first
		}
	}
	return spans[0].first
}

// anywhere gives an address of one of the pools.
func anywhere(spans []span) netip.Addr {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	s := spans[int(random[0])%len(spans)]
	return s.at(randomPlace(random, s.size()))
}

// exhausted is the answer when a network has no address left.
func exhausted(networkID string) error {
	return fail(compute.Exhausted, "IpAddressGenerationFailure", "No more IP addresses available on network %s.", networkID)
}

// macTries is how often a MAC is drawn before a network counts as full of them.
const macTries = 16

// newMAC draws a MAC that no port of the network has, with OpenStack's own prefix
// (locally administered, unicast).
func (w *work) newMAC(networkID string) (string, error) {
	for range macTries {
		var b [3]byte
		_, _ = rand.Read(b[:])
		h := hex.EncodeToString(b[:])
		mac := "fa:16:3e:" + h[:2] + ":" + h[2:4] + ":" + h[4:]
		n, err := w.tx.Ports.Count(compute.Query{Where: compute.Where{"mac": networkID + "/" + mac}})
		if err != nil {
			return "", err
		}
		if n == 0 {
			return mac, nil
		}
	}
	return "", fail(compute.Exhausted, "MacAddressGenerationFailure", "Unable to generate unique mac on network %s.", networkID)
}

// FixedRequest is a fixed address as a request asks for it: either may be empty.
type FixedRequest struct{ SubnetID, IP string }

// chooseFixed takes the addresses that a port of a network asks for; kept are
// those that it has already and keeps. It returns them in the order asked.
func (w *work) chooseFixed(p *compute.Port, asked []FixedRequest, kept []compute.FixedIP) ([]compute.FixedIP, error) {
	if len(asked) > fixedIPsMax {
		return nil, invalid("Exceeded maximum amount of fixed ips per port: %d", fixedIPsMax)
	}
	subnets, err := w.subnetsOf(p.NetworkID)
	if err != nil {
		return nil, err
	}
	kept = slices.Clone(kept)
	var got []compute.FixedIP
	for _, f := range asked {
		if i := slices.IndexFunc(kept, func(k compute.FixedIP) bool {
			return (f.IP == "" || sameAddress(f.IP, k.IP)) && (f.SubnetID == "" || f.SubnetID == k.SubnetID)
		}); i >= 0 {
			got = append(got, kept[i])
			kept = slices.Delete(kept, i, i+1)
			continue
		}
		sub, err := w.subnetFor(p.NetworkID, subnets, f)
		if err != nil {
			return nil, err
		}
		fixed, err := w.takeAsked(p, sub, f)
		if err != nil {
			return nil, err
		}
		got = append(got, fixed)
	}
	return got, nil
}

func sameAddress(a, b string) bool {
	x, err1 := netip.ParseAddr(a)
	y, err2 := netip.ParseAddr(b)
	return err1 == nil && err2 == nil && x == y
}

// subnetFor finds the subnet that an asked address is on.
func (w *work) subnetFor(networkID string, subnets []*compute.Subnet, f FixedRequest) (*compute.Subnet, error) {
	if f.SubnetID == "" && f.IP == "" {
		return nil, invalid("IP allocation requires subnet_id or ip_address")
	}
	var addr netip.Addr
	if f.IP != "" {
		a, err := netip.ParseAddr(f.IP)
		if err != nil || a.Zone() != "" {
			return nil, fail(compute.Invalid, "HTTPBadRequest", "Invalid input for fixed_ips. Reason: '%s' is not a valid IP address.", f.IP)
		}
		addr = a
	}
	for _, sub := range subnets {
		prefix := prefixOf(sub)
		if f.SubnetID != "" && sub.ID != f.SubnetID {
			continue
		}
		if f.IP == "" {
			return sub, nil
		}
		first, end := usable(prefix)
		if (span{first, end}).contains(addr) || addr.Is6() && addr == prefix.Addr() {
			return sub, nil
		}
		if f.SubnetID != "" {
			return nil, fail(compute.Invalid, "InvalidIpForSubnet", "IP address %s is not a valid IP for the specified subnet.", f.IP)
		}
	}
	if f.SubnetID != "" {
		return nil, invalid("Failed to create port on network %s, because fixed_ips included invalid subnet %s", networkID, f.SubnetID)
	}
	return nil, fail(compute.Invalid, "InvalidIpForNetwork", "IP address %s is not a valid IP for any of the subnets on the specified network.", f.IP)
}

// takeAsked takes an address of a subnet for a port: the one asked for, the one
// that its card makes, or any.
func (w *work) takeAsked(p *compute.Port, sub *compute.Subnet, f FixedRequest) (compute.FixedIP, error) {
	none := compute.FixedIP{}
	if auto(sub) && p.DeviceOwner != compute.OwnerRouterInterface && p.DeviceOwner != compute.OwnerRouterGateway {
		own := eui64(prefixOf(sub), p.MAC).String()
		if f.IP != "" && !sameAddress(f.IP, own) {
			return none, fail(compute.Invalid, "AllocationOnAutoAddressSubnet",
				"IPv6 address %s cannot be directly assigned to a port on subnet %s as the subnet is configured for automatic addresses", f.IP, sub.ID)
		}
		return compute.FixedIP{SubnetID: sub.ID, IP: own}, w.take(sub, own, p.ID)
	}
	if f.IP != "" {
		ip := netip.MustParseAddr(f.IP).String() // subnetFor parsed it
		return compute.FixedIP{SubnetID: sub.ID, IP: ip}, w.take(sub, ip, p.ID)
	}
	ip, ok, err := w.allocate(sub, p.ID)
	if err != nil {
		return none, err
	}
	if !ok {
		return none, exhausted(p.NetworkID)
	}
	return compute.FixedIP{SubnetID: sub.ID, IP: ip}, nil
}

// anyFixed takes the addresses of a port that asked for none: one of IPv4 and one
// of IPv6 from the pools, and one of each subnet whose cards make their own.
func (w *work) anyFixed(p *compute.Port) ([]compute.FixedIP, error) {
	subnets, err := w.subnetsOf(p.NetworkID)
	if err != nil || len(subnets) == 0 {
		return nil, err
	}
	subnets, err = serving(subnets, p)
	if err != nil {
		return nil, err
	}
	var got []compute.FixedIP
	for _, version := range []int{4, 6} {
		var tried bool
		var found *compute.FixedIP
		for _, sub := range subnets {
			if sub.IPVersion != version || auto(sub) {
				continue
			}
			tried = true
			ip, ok, err := w.allocate(sub, p.ID)
			if err != nil {
				return nil, err
			}
			if ok {
				found = &compute.FixedIP{SubnetID: sub.ID, IP: ip}
				break
			}
		}
		if found != nil {
			got = append(got, *found)
		} else if tried {
			return nil, exhausted(p.NetworkID)
		}
	}
	for _, sub := range subnets {
		if auto(sub) && p.DeviceOwner != compute.OwnerRouterGateway {
			fixed, err := w.takeAsked(p, sub, FixedRequest{})
			if err != nil {
				return nil, err
			}
			got = append(got, fixed)
		}
	}
	return got, nil
}

// serving gives the subnets that serve the owner of a port: those that name it,
// else those that name nobody.
func serving(subnets []*compute.Subnet, p *compute.Port) ([]*compute.Subnet, error) {
	var named, open []*compute.Subnet
	for _, sub := range subnets {
		switch {
		case len(sub.ServiceTypes) == 0:
			open = append(open, sub)
		case p.DeviceOwner != "" && slices.Contains(sub.ServiceTypes, p.DeviceOwner):
			named = append(named, sub)
		}
	}
	if len(named) > 0 {
		return named, nil
	}
	if len(open) == 0 {
		return nil, fail(compute.Conflict, "IpAddressGenerationFailureNoMatchingSubnet",
			"No valid service subnet for the given device owner, network_id %s, service_type %s.", p.NetworkID, p.DeviceOwner)
	}
	return open, nil
}

// dropFixed takes one address from a port.
func (w *work) dropFixed(p *compute.Port, f compute.FixedIP) error {
	if err := w.tx.Addresses.Delete(compute.AddressID(f.SubnetID, f.IP)); err != nil {
		return err
	}
	p.FixedIPs = slices.DeleteFunc(p.FixedIPs, func(o compute.FixedIP) bool { return o == f })
	if err := w.loosenFloating(p.ID, f.IP); err != nil {
		return err
	}
	return w.storePort(p)
}

// addAutoAddresses gives the cards of a network their addresses on a new subnet
// where they make them.
func (w *work) addAutoAddresses(sub *compute.Subnet) error {
	if !auto(sub) {
		return nil
	}
	ports, err := w.tx.Ports.List(compute.Query{Where: compute.Where{"network_id": sub.NetworkID}})
	if err != nil {
		return err
	}
	for _, p := range ports {
		switch p.DeviceOwner {
		case compute.OwnerRouterInterface, compute.OwnerRouterGateway, compute.OwnerFloatingIP:
			continue
		}
		fixed, err := w.takeAsked(p, sub, FixedRequest{})
		if err != nil {
			return err
		}
		p.FixedIPs = append(p.FixedIPs, fixed)
		if err := w.storePort(p); err != nil {
			return err
		}
	}
	return nil
}
