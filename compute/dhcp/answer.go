package dhcp

import (
	"net"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// Outcome is what became of a message; network.Metrics counts by it.
type Outcome string

// The outcomes.
const (
	Offered Outcome = "offer"
	Acked   Outcome = "ack"
	Naked   Outcome = "nak"
	Ignored Outcome = "ignored" // not for us, or from a card that we do not know
	Invalid Outcome = "invalid" // no DHCP message
)

// MessageMax bounds a message that is read, in bytes: an Ethernet frame.
const MessageMax = 1600

// Answer gives the frame that answers a frame, nil when there is nothing to
// say. server is the MAC that answers come from.
func (t Table) Answer(frame []byte, server net.HardwareAddr) (reply []byte, lease Lease, outcome Outcome) {
	f, ok := parseFrame(frame)
	if !ok || len(frame) > MessageMax {
		return nil, Lease{}, Invalid
	}
	m, err := dhcpv4.FromBytes(f.payload)
	if err != nil || m.OpCode != dhcpv4.OpcodeBootRequest || m.HWType != iana.HWTypeEthernet || len(m.ClientHWAddr) != 6 {
		return nil, Lease{}, Invalid
	}
	lease, ok = t[f.src.String()]
	// A relayed message (giaddr) is from another network; a card that asks for another card gets nothing.
	if !ok || m.ClientHWAddr.String() != lease.MAC || !m.GatewayIPAddr.IsUnspecified() && m.GatewayIPAddr != nil {
		return nil, Lease{}, Ignored
	}
	kind := lease.decide(m)
	if kind == dhcpv4.MessageTypeNone {
		return nil, lease, Ignored
	}
	r, to := lease.reply(m, kind)
	reply = appendFrame(nil, endpoint{server, lease.Server}, to, r.ToBytes())
	switch kind {
	case dhcpv4.MessageTypeOffer:
		return reply, lease, Offered
	case dhcpv4.MessageTypeNak:
		return reply, lease, Naked
	}
	return reply, lease, Acked
}

// decide says which message answers m (RFC 2131 §4.3), None for nothing.
func (l Lease) decide(m *dhcpv4.DHCPv4) dhcpv4.MessageType {
	switch m.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		return dhcpv4.MessageTypeOffer
	case dhcpv4.MessageTypeInform:
		return dhcpv4.MessageTypeAck
	case dhcpv4.MessageTypeRequest:
	default: // a release or decline changes nothing about a static lease
		return dhcpv4.MessageTypeNone
	}
	if id := m.ServerIdentifier(); id != nil && !id.IsUnspecified() && addr(id) != l.Server {
		if addr(id) != MetadataAddress { // it was ours before the subnet got a server's address
			return dhcpv4.MessageTypeNone // it took another server's offer
		}
	}
	wanted := addr(m.RequestedIPAddress())
	if !wanted.IsValid() || wanted.IsUnspecified() {
		wanted = addr(m.ClientIPAddr) // it renews
	}
	if wanted != l.Address {
		return dhcpv4.MessageTypeNak
	}
	return dhcpv4.MessageTypeAck
}

// reply builds the answer and says where it goes (RFC 2131 §4.1).
func (l Lease) reply(m *dhcpv4.DHCPv4, kind dhcpv4.MessageType) (*dhcpv4.DHCPv4, endpoint) {
	mac, _ := net.ParseMAC(l.MAC) // a table holds MACs that parse
	to := endpoint{mac, l.Address}
	everybody := endpoint{net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, netip.AddrFrom4([4]byte{255, 255, 255, 255})}
	r := &dhcpv4.DHCPv4{OpCode: dhcpv4.OpcodeBootReply, HWType: m.HWType, TransactionID: m.TransactionID, Flags: m.Flags,
		ClientHWAddr: m.ClientHWAddr, Options: dhcpv4.Options{}, ClientIPAddr: net.IPv4zero, YourIPAddr: net.IPv4zero,
		ServerIPAddr: net.IPv4zero, GatewayIPAddr: net.IPv4zero}
	r.UpdateOption(dhcpv4.OptMessageType(kind))
	if id := m.Options.Get(dhcpv4.OptionClientIdentifier); len(id) > 0 { // RFC 6842
		r.UpdateOption(dhcpv4.OptClientIdentifier(id))
	}
	if kind == dhcpv4.MessageTypeNak {
		r.UpdateOption(dhcpv4.OptServerIdentifier(ip(l.Server)))
		r.UpdateOption(dhcpv4.OptMessage("this address is not yours"))
		return r, everybody
	}
	r.ServerIPAddr = ip(l.Server)
	for _, o := range l.options() {
		r.UpdateOption(o)
	}
	for _, o := range l.Options {
		if x, ok := extra(o); ok {
			r.UpdateOption(x)
		}
	}
	renews := addr(m.ClientIPAddr) == l.Address
	if m.MessageType() == dhcpv4.MessageTypeInform {
		r.ClientIPAddr = m.ClientIPAddr
	} else {
		r.YourIPAddr = ip(l.Address)
		for _, o := range times() {
			r.UpdateOption(o)
		}
		if renews {
			r.ClientIPAddr = m.ClientIPAddr
		}
	}
	if m.IsBroadcast() && !renews {
		return r, everybody
	}
	return r, to
}

func addr(b net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a.Unmap()
}
