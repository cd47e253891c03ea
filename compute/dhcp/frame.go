package dhcp

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// The ports of DHCP (RFC 2131 §4.1) and the sizes of headers in bytes.
const (
	serverPort   = 67
	clientPort   = 68
	ethernetSize = 14
	ipv4Size     = 20 // without options
	udpSize      = 8
)

// frame is what of an Ethernet frame (RFC 894) matters.
type frame struct {
	src     net.HardwareAddr
	payload []byte // of UDP; part of the frame's bytes
}

// endpoint is a sender or receiver.
type endpoint struct {
	mac  net.HardwareAddr
	addr netip.Addr
}

// parseFrame reads an Ethernet frame that holds an unfragmented UDP datagram
// for the server's port. The checksum of UDP is not looked at: a guest with
// checksum offload leaves it to a card that does not exist.
func parseFrame(b []byte) (frame, bool) {
	if len(b) < ethernetSize+ipv4Size+udpSize || binary.BigEndian.Uint16(b[12:]) != 0x0800 {
		return frame{}, false
	}
	src := net.HardwareAddr(b[6:12])
	b = b[ethernetSize:]
	header := int(b[0]&0x0f) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	if b[0]>>4 != 4 || header < ipv4Size || total > len(b) || total < header+udpSize {
		return frame{}, false
	}
	if b[9] != 17 || binary.BigEndian.Uint16(b[6:])&0x3fff != 0 { // UDP; no fragment
		return frame{}, false
	}
	b = b[header:total]
	length := int(binary.BigEndian.Uint16(b[4:]))
	if binary.BigEndian.Uint16(b[2:]) != serverPort || length < udpSize || length > len(b) {
		return frame{}, false
	}
	return frame{src: src, payload: b[udpSize:length]}, true
}

// appendFrame appends an Ethernet frame with a UDP datagram from the server's
// to the client's port.
func appendFrame(b []byte, from, to endpoint, payload []byte) []byte {
	start := len(b)
	b = append(b, to.mac...)
	b = append(b, from.mac...)
	b = append(b, 0x08, 0x00)
	head := len(b)
	// Version 4, 5 words; TOS 0xc0 (network control) as servers use; no fragments; TTL 64; UDP.
	b = append(b, 0x45, 0xc0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0)
	b = append(b, from.addr.AsSlice()...)
	b = append(b, to.addr.AsSlice()...)
	binary.BigEndian.PutUint16(b[head+2:], uint16(ipv4Size+udpSize+len(payload)))
	binary.BigEndian.PutUint16(b[head+10:], checksum(0, b[head:head+ipv4Size]))
	udp := len(b)
	b = append(b, 0, serverPort, 0, clientPort, 0, 0, 0, 0)
	b = append(b, payload...)
	size := uint16(len(b) - udp)
	binary.BigEndian.PutUint16(b[udp+4:], size)
	pseudo := sum(uint32(17)+uint32(size), b[head+12:head+20])
	check := checksum(pseudo, b[udp:])
	if check == 0 {
		check = 0xffff // RFC 768: zero says that there is none
	}
	binary.BigEndian.PutUint16(b[udp+6:], check)
	for len(b)-start < 60 {
		b = append(b, 0)
	}
	return b
}

// sum adds 16-bit words (RFC 1071).
func sum(s uint32, b []byte) uint32 {
	for ; len(b) > 1; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

func checksum(start uint32, b []byte) uint16 {
	s := sum(start, b)
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}
