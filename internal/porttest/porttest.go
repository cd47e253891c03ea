// Package porttest gives tests ports for programs that cannot be told to take a
// free one by themselves, and for servers that must come back where they were.
// It is for tests only; a server of ours that listens at once takes port 0.
//
// A port is only looked at, not held: between the look and the program's listening
// somebody else may take it. Who asks the system for any port, for a listener or
// for the near end of a connection, gets one of those above 32767
// (ip_local_port_range), so the ports given here lie below. What is left is that
// two processes of tests draw the same of these numbers within the same moment.
//
// Invariant: a process gets no port twice.
package porttest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// The range is first ≤ port < end.
const (
	first = 10_000
	end   = 32_768
)

// triesMax bounds the draws for one port.
const triesMax = 1000

var (
	mu    sync.Mutex
	given = map[int]bool{}
)

// Free gives a port on which nobody listens on 127.0.0.1, by TCP or by UDP.
func Free(t testing.TB) int {
	t.Helper()
	mu.Lock()
	defer mu.Unlock()
	for range triesMax {
		port := first + rand.IntN(end-first)
		if !given[port] && free(port) {
			given[port] = true
			return port
		}
	}
	t.Fatalf("no port from %d to %d is free", first, end-1)
	return 0
}

// Addrs gives n addresses on loopback, each with a free port of its own.
func Addrs(t testing.TB, n int) (addrs []string) {
	t.Helper()
	for range n {
		addrs = append(addrs, fmt.Sprint("127.0.0.1:", Free(t)))
	}
	return addrs
}

func free(port int) bool {
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return false
	}
	defer tcp.Close()
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return false
	}
	return udp.Close() == nil
}
