package netns

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// EtherTypes (IEEE 802 numbers) and protocols that the rules speak of.
const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherIPv6 = 0x86dd

	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
)

// Where the fields of headers lie, in bytes.
const (
	offIPv4Src, offIPv4Dst    = 12, 16
	offIPv6Src, offIPv6Dst    = 8, 24
	offARPSenderMAC, offARPOp = 8, 6
	offARPSenderIP            = 14
	offEtherDst, offEtherSrc  = 0, 6
	offSrcPort, offDstPort    = 0, 2
	offICMPType, offNDTarget  = 0, 8
	ndAdvert, ndRedirect      = 136, 137
	raAdvert, icmpUnreachable = 134, 3
	marksEgress, marksIngress = 0x0000ffff, 0xffff0000
	ctDNAT                    = 1 << 5 // IPS_DST_NAT (linux/netfilter/nf_conntrack_common.h)
)

var be = binary.BigEndian

func be16(v uint16) []byte { return be.AppendUint16(nil, v) }

func mark(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

// payload loads n bytes of a packet into register 1.
func payload(base expr.PayloadBase, off, n int) expr.Any {
	return &expr.Payload{OperationType: expr.PayloadLoad, DestRegister: 1, Base: base, Offset: uint32(off), Len: uint32(n)}
}

const (
	link      = expr.PayloadBaseLLHeader
	inet      = expr.PayloadBaseNetworkHeader
	transport = expr.PayloadBaseTransportHeader
)

var baseNames = map[expr.PayloadBase]string{link: "link", inet: "net", transport: "trans"}

// field compares bytes of a packet.
func field(base expr.PayloadBase, off int, want []byte) stmt {
	return stmt{fmt.Sprintf("@%s+%d==%s", baseNames[base], off, hex.EncodeToString(want)), []expr.Any{
		payload(base, off, len(want)), &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: want}}}
}

// prefix compares an address in a packet with a prefix.
func prefix(off int, p netip.Prefix) stmt {
	want := p.Masked().Addr().AsSlice()
	n := len(want)
	s := stmt{text: fmt.Sprintf("@net+%d in %s", off, p.Masked()), exprs: []expr.Any{payload(inet, off, n)}}
	if p.Bits() < n*8 {
		m := net.CIDRMask(p.Bits(), n*8)
		s.exprs = append(s.exprs, &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: uint32(n), Mask: m, Xor: make([]byte, n)})
	}
	s.exprs = append(s.exprs, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: want})
	return s
}

// between compares a 16-bit field with a range, ends included.
func between(off int, low, high uint16) stmt {
	if low == high {
		return field(transport, off, be16(low))
	}
	return stmt{fmt.Sprintf("@trans+%d in %d-%d", off, low, high), []expr.Any{payload(transport, off, 2),
		&expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: be16(low), ToData: be16(high)}}}
}

// inSet looks an address of the packet up in a set.
func inSet(off, n int, name string) stmt {
	return stmt{fmt.Sprintf("@net+%d in @%s", off, name), []expr.Any{payload(inet, off, n), &expr.Lookup{SourceRegister: 1, SetName: name}}}
}

// types makes a set of types of ICMPv6, and typeIn looks into it.
func types(name string, list ...byte) *set {
	s := &set{name: name, key: nftables.TypeICMP6Type}
	for _, t := range list {
		s.elems = append(s.elems, element{text: strconv.Itoa(int(t)), key: []byte{t}})
	}
	return s
}

func typeIn(name string) stmt {
	return stmt{"icmp type in @" + name, []expr.Any{payload(transport, offICMPType, 1), &expr.Lookup{SourceRegister: 1, SetName: name}}}
}

func etherType(v uint16) stmt {
	return stmt{fmt.Sprintf("type %#04x", v), []expr.Any{&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: be16(v)}}}
}

func proto(v uint8) stmt {
	return stmt{fmt.Sprintf("proto %d", v), []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{v}}}}
}

// ifname pads a name as the kernel compares it.
func ifname(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

func iif(name string) stmt {
	return stmt{"iif " + name, []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: ifname(name)}}}
}

func oif(name string) stmt {
	return stmt{"oif " + name, []expr.Any{&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: ifname(name)}}}
}

func oifNot(name string) stmt {
	return stmt{"oif not " + name, []expr.Any{&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: ifname(name)}}}
}

// vmap goes where a map of verdicts leads; on when it leads nowhere.
func vmap(key expr.MetaKey, text, name string) stmt {
	return stmt{text + " vmap @" + name, []expr.Any{&expr.Meta{Key: key, Register: 1},
		&expr.Lookup{SourceRegister: 1, SetName: name, DestRegister: 0, IsDestRegSet: true}}}
}

// markVmap is vmap on a part of the mark.
func markVmap(mask uint32, name string) stmt {
	return stmt{fmt.Sprintf("mark&%#08x vmap @%s", mask, name), []expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mark(mask), Xor: mark(0)},
		&expr.Lookup{SourceRegister: 1, SetName: name, DestRegister: 0, IsDestRegSet: true}}}
}

// markIs compares the whole mark.
func markIs(v uint32) stmt {
	return stmt{fmt.Sprintf("mark==%#x", v), []expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: mark(v)}}}
}

func markIsNot(v uint32) stmt {
	return stmt{fmt.Sprintf("mark!=%#x", v), []expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: mark(v)}}}
}

// setMark writes the bits of mask.
func setMark(mask, v uint32) stmt {
	return stmt{fmt.Sprintf("mark&%#08x=%#x", mask, v), []expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mark(^mask), Xor: mark(v)},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1}}}
}

// ctBits is met when a field of the connection has one of bits.
func ctBits(key expr.CtKey, text string, bits uint32) stmt {
	return stmt{text, []expr.Any{&expr.Ct{Key: key, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mark(bits), Xor: mark(0)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: mark(0)}}}
}

// markAny is met when a part of the mark is neither zero nor one value.
func markAny(mask, but uint32) stmt {
	s := stmt{fmt.Sprintf("mark&%#08x not 0", mask), []expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mark(mask), Xor: mark(0)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: mark(0)}}}
	if but != 0 {
		s.text += fmt.Sprintf(", %#08x", but)
		s.exprs = append(s.exprs, &expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: mark(but)})
	}
	return s
}

// The states of connections that rules ask for.
func ctNew() stmt { return ctBits(expr.CtKeySTATE, "ct new", expr.CtStateBitNEW) }
func ctEstablished() stmt {
	return ctBits(expr.CtKeySTATE, "ct established,related", expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
}
func ctInvalid() stmt    { return ctBits(expr.CtKeySTATE, "ct invalid", expr.CtStateBitINVALID) }
func ctTranslated() stmt { return ctBits(expr.CtKeySTATUS, "ct dnat", ctDNAT) }

// toHost redirects a frame to the bridge itself, whomever it was for.
func toHost(mac net.HardwareAddr) stmt {
	return stmt{"to host " + mac.String(), []expr.Any{
		&expr.Immediate{Register: 1, Data: mac},
		&expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: 1, Base: link, Offset: offEtherDst, Len: 6},
		&expr.Immediate{Register: 1, Data: []byte{unix.PACKET_HOST}},
		&expr.Meta{Key: expr.MetaKeyPKTTYPE, SourceRegister: true, Register: 1}}}
}

// nat translates to the address that a map has for the one at off.
func nat(kind expr.NATType, off int, name string) stmt {
	text := map[expr.NATType]string{expr.NATTypeDestNAT: "dnat", expr.NATTypeSourceNAT: "snat"}[kind]
	return stmt{fmt.Sprintf("%s @net+%d map @%s", text, off, name), []expr.Any{payload(inet, off, 4),
		&expr.Lookup{SourceRegister: 1, DestRegister: 1, IsDestRegSet: true, SetName: name},
		&expr.NAT{Type: kind, Family: unix.NFPROTO_IPV4, RegAddrMin: 1}}}
}

// snatTo translates the sender to one address.
func snatTo(a netip.Addr) stmt {
	return stmt{"snat to " + a.String(), []expr.Any{&expr.Immediate{Register: 1, Data: a.AsSlice()},
		&expr.NAT{Type: expr.NATTypeSourceNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1}}}
}

// over is met by what comes faster than a rate.
func over(perSecond uint64) stmt {
	return stmt{fmt.Sprintf("over %d/s", perSecond), []expr.Any{&expr.Limit{Type: expr.LimitTypePkts, Unit: expr.LimitTimeSecond,
		Rate: perSecond, Burst: uint32(2 * perSecond), Over: true}}}
}

func verdict(kind expr.VerdictKind, text, to string) stmt {
	return stmt{text, []expr.Any{&expr.Verdict{Kind: kind, Chain: to}}}
}

func accept() stmt           { return verdict(expr.VerdictAccept, "accept", "") }
func drop() stmt             { return verdict(expr.VerdictDrop, "drop", "") }
func back() stmt             { return verdict(expr.VerdictReturn, "return", "") }
func jump(chain string) stmt { return verdict(expr.VerdictJump, "jump "+chain, chain) }
func goTo(chain string) stmt { return verdict(expr.VerdictGoto, "goto "+chain, chain) }

// leads makes an element of a map of verdicts.
func leads(text string, key []byte, kind expr.VerdictKind, to string) element {
	shown := to
	if to == "" {
		shown = "accept"
	}
	return element{text: text + " : " + shown, key: key, verdict: &expr.Verdict{Kind: kind, Chain: to}}
}

var (
	hookPrerouting = func(priority int) *hook {
		return &hook{nftables.ChainTypeFilter, nftables.ChainHookPrerouting, "prerouting", priority, true}
	}
	hookInput = func(priority int) *hook {
		return &hook{nftables.ChainTypeFilter, nftables.ChainHookInput, "input", priority, true}
	}
	hookForward = func(priority int, drop bool) *hook {
		return &hook{nftables.ChainTypeFilter, nftables.ChainHookForward, "forward", priority, drop}
	}
	hookOutput = func(priority int) *hook {
		return &hook{nftables.ChainTypeFilter, nftables.ChainHookOutput, "output", priority, false}
	}
	hookNATPre = func() *hook {
		return &hook{nftables.ChainTypeNAT, nftables.ChainHookPrerouting, "nat prerouting", -100, false}
	}
	hookNATPost = func() *hook {
		return &hook{nftables.ChainTypeNAT, nftables.ChainHookPostrouting, "nat postrouting", 100, false}
	}
	hookCount       = &hook{nftables.ChainTypeFilter, nftables.ChainHookInput, "input", countPriority, false}
	hookMarkInbound = func() *hook {
		return &hook{nftables.ChainTypeFilter, nftables.ChainHookPrerouting, "mangle prerouting", -150, false}
	}
)
