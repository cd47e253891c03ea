package dnspeer

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/porttest"
)

// Handler answers one message; write sends a message of the answer.
type Handler func(packet []byte, client netip.AddrPort, stream bool, write func([]byte) error)

// Serve puts a handler behind UDP and TCP of one port on loopback until the test ends.
func Serve(t testing.TB, handle Handler) netip.AddrPort {
	t.Helper()
	udp, tcp := listen(t)
	var wg sync.WaitGroup
	wg.Go(func() { serveUDP(udp, handle) })
	wg.Go(func() { serveTCP(tcp, &wg, handle) })
	t.Cleanup(func() {
		udp.Close()
		tcp.Close()
		wg.Wait()
	})
	return udp.LocalAddr().(*net.UDPAddr).AddrPort()
}

// listen finds a port that is free for UDP and TCP.
func listen(t testing.TB) (*net.UDPConn, net.Listener) {
	t.Helper()
	for range 20 {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(tcp.Addr().(*net.TCPAddr).AddrPort()))
		if err == nil {
			return udp, tcp
		}
		tcp.Close()
	}
	t.Fatal("no port is free for UDP and TCP")
	return nil, nil
}

// Port gives a port on loopback that was free for UDP and TCP just now.
func Port(t testing.TB) netip.AddrPort {
	t.Helper()
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(porttest.Free(t)))
}

func serveUDP(udp *net.UDPConn, handle Handler) {
	buf := make([]byte, 65535)
	for {
		n, from, err := udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		handle(append([]byte(nil), buf[:n]...), from, false, func(b []byte) error {
			_, err := udp.WriteToUDPAddrPort(b, from)
			return err
		})
	}
}

func serveTCP(l net.Listener, wg *sync.WaitGroup, handle Handler) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(30 * time.Second))
			for {
				packet, err := readFrame(c)
				if err != nil {
					return
				}
				handle(packet, c.RemoteAddr().(*net.TCPAddr).AddrPort(), true, func(b []byte) error {
					_, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
					return err
				})
			}
		})
	}
}

// readFrame reads a message behind its length (RFC 1035 4.2.2).
func readFrame(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	packet := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(r, packet)
	return packet, err
}

// Ask sends one packet over UDP or TCP and gives the first message of the answer.
func Ask(t testing.TB, server netip.AddrPort, packet []byte, stream bool) []byte {
	t.Helper()
	network := "udp"
	if stream {
		network = "tcp"
	}
	c, err := net.Dial(network, server.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if stream {
		packet = append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
	}
	if _, err := c.Write(packet); err != nil {
		t.Fatal(err)
	}
	if stream {
		answer, err := readFrame(c)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	buf := make([]byte, 65535)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}
