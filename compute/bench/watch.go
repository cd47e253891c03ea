package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// namespaces is where named network namespaces lie, as iproute2 has it.
const namespaces = "/var/run/netns"

// inside calls f on a thread that is in a network namespace: for sockets and
// devices, which belong to the namespace of the thread that makes them.
func inside(ns netns.NsHandle, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := netns.Set(ns)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// namespaceOf opens the namespace of a network ("net") or router ("rtr") of the
// subject. Its name ends in the kind and the id, which are like no other's.
func namespaceOf(kind, id string) (netns.NsHandle, error) {
	found, _ := filepath.Glob(filepath.Join(namespaces, "*-"+kind+"-"+id)) // the pattern is right
	if len(found) != 1 {
		return -1, fmt.Errorf("%d namespaces of %s %s, not one", len(found), kind, id)
	}
	return netns.GetFromPath(found[0])
}

// sighting is when a guest was first seen to do something.
type sighting struct{ dhcp, metadata, ssh time.Time }

// watch sees every packet of a namespace: the first DHCP message that a guest
// sends, and the first answer of the metadata service. Then it asks for the SSH
// banner from a namespace until one comes.
type watch struct {
	socket *os.File
	from   netns.NsHandle // where SSH is asked from
}

// watchNamespace begins to look; everything from now on is seen.
func watchNamespace(ns, from netns.NsHandle) (*watch, error) {
	w := &watch{from: from}
	err := inside(ns, func() error {
		const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in network order
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, all)
		if err == nil {
			w.socket = os.NewFile(uintptr(fd), "packets")
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("watch packets: %w", err)
	}
	return w, nil
}

func (w *watch) close() { _ = w.socket.Close() }

// metadataIP is where the metadata service answers.
var metadataIP = net.IPv4(169, 254, 169, 254).To4()

// see reads packets until both were seen, and gives the guest's address; then
// waits for its SSH.
func (w *watch) see(ctx context.Context, limit time.Duration) (sighting, error) {
	var s sighting
	deadline := time.Now().Add(limit)
	if err := w.socket.SetReadDeadline(deadline); err != nil {
		return s, err
	}
	buf := make([]byte, 1<<16)
	var guest net.IP
	for guest == nil {
		n, err := w.socket.Read(buf)
		now := time.Now()
		if errors.Is(err, unix.ENETDOWN) {
			continue
		}
		if err != nil {
			return s, fmt.Errorf("wait for the guest's packets (DHCP seen: %t): %w", !s.dhcp.IsZero(), err)
		}
		protocol, ip, payload := datagram(buf[:n])
		switch {
		case protocol == unix.IPPROTO_UDP && s.dhcp.IsZero() && len(payload) > 8 && binary.BigEndian.Uint16(payload[2:]) == 67:
			s.dhcp = now
		case protocol == unix.IPPROTO_TCP && ip.src().Equal(metadataIP) && answers(payload):
			s.metadata, guest = now, ip.dst()
		}
	}
	err := w.banner(ctx, guest, deadline)
	s.ssh = time.Now()
	return s, err
}

// header is an IPv4 header.
type header []byte

func (h header) src() net.IP { return net.IP(h[12:16]) }
func (h header) dst() net.IP { return net.IP(append([]byte(nil), h[16:20]...)) }

// datagram finds the protocol, the IPv4 header and what follows in an Ethernet
// frame; 0 when there is none.
func datagram(frame []byte) (protocol int, ip header, payload []byte) {
	const ethernet = 14
	if len(frame) < ethernet+20 || binary.BigEndian.Uint16(frame[12:]) != 0x0800 {
		return 0, nil, nil
	}
	b := frame[ethernet:]
	length := int(b[0]&0x0f) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	if length < 20 || total < length || total > len(b) {
		return 0, nil, nil
	}
	return int(b[9]), header(b[:length]), b[length:total]
}

// answers says whether a TCP segment begins a good answer of a web server.
func answers(segment []byte) bool {
	if len(segment) < 20 {
		return false
	}
	length := int(segment[12]>>4) * 4
	if length < 20 || length > len(segment) || binary.BigEndian.Uint16(segment) != 80 {
		return false
	}
	text := string(segment[length:min(len(segment), length+16)])
	return strings.HasPrefix(text, "HTTP/1.") && strings.HasSuffix(strings.TrimSpace(text[:min(12, len(text))]), " 200")
}

// sshEvery is how often SSH is asked for. A guest refuses at once while nobody
// listens there.
const sshEvery = 5 * time.Millisecond

// banner connects from the namespace until the guest says who its SSH is.
func (w *watch) banner(ctx context.Context, guest net.IP, deadline time.Time) error {
	return inside(w.from, func() error {
		var last error
		for time.Now().Before(deadline) && ctx.Err() == nil {
			if last = w.greeted(guest); last == nil {
				return nil
			}
			time.Sleep(sshEvery) // this thread is in the namespace: a timer's channel would do no better
		}
		return fmt.Errorf("no SSH at %s: %w", guest, last)
	})
}

// greeted makes one attempt, by system calls: net's sockets would be made on
// another thread, in another namespace.
func (w *watch) greeted(guest net.IP) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	wait := unix.Timeval{Sec: 1}
	for _, option := range []int{unix.SO_SNDTIMEO, unix.SO_RCVTIMEO} {
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, option, &wait); err != nil {
			return err
		}
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: 22, Addr: [4]byte(guest.To4())}); err != nil {
		return err
	}
	buf := make([]byte, 64)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(buf[:n]), "SSH-") {
		return fmt.Errorf("it says %q", buf[:n])
	}
	return nil
}
