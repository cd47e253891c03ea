package usermode

import (
	"net"
	"os"
	"strconv"
	"strings"
)

// probeAddress is a loopback address that no pool of floating addresses holds:
// listening there fails only for who listens at every address.
const probeAddress = "127.255.255.254"

// HostPort gives the port of a floating address at which a guest's TCP port is
// forwarded on this machine.
func HostPort(port int) int { return hostPort("tcp", port, firstPort(), busyEverywhere) }

// hostPort moves a port that a guest's process could not listen on.
func hostPort(protocol string, port, start int, busy func(string, int) bool) int {
	if port < start || busy(protocol, port) {
		return port + PortOffset
	}
	return port
}

// firstPort gives the first port that a guest's process may listen on. As root it
// is the same: guests run under a uid without capabilities.
func firstPort() int {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil {
		return portStart
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return portStart
	}
	return max(n, 1)
}

// busyEverywhere says whether somebody listens on a port at every address.
func busyEverywhere(protocol string, port int) bool {
	address := net.JoinHostPort(probeAddress, strconv.Itoa(port))
	if protocol == "udp" {
		c, err := net.ListenPacket("udp4", address)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	}
	l, err := net.Listen("tcp4", address)
	if err == nil {
		_ = l.Close()
	}
	return err != nil
}
