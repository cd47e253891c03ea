package qemu_test

import (
	"context"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/compute/hypervisor"
)

// openTap makes a tap in a network namespace of its own, which ends with the tap,
// and lets the kernel send on it.
func openTap(t *testing.T, name string) *os.File {
	t.Helper()
	type result struct {
		tap *os.File
		err error
	}
	got := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		tap, err := func() (*os.File, error) {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return nil, err
			}
			fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
			if err != nil {
				return nil, err
			}
			req, err := unix.NewIfreq(name)
			if err != nil {
				return nil, err
			}
			req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
			if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
				return nil, err
			}
			link, err := netlink.LinkByName(name)
			if err != nil {
				return nil, err
			}
			return os.NewFile(uintptr(fd), "tap"), netlink.LinkSetUp(link)
		}()
		got <- result{tap, err}
	}()
	r := <-got
	if r.err != nil {
		t.Skipf("needs root and /dev/net/tun: %v", r.err)
	}
	return r.tap
}

func TestTapsAreHandedOverAndCounted(t *testing.T) {
	needQEMU(t)
	t.Parallel()
	dir := t.TempDir()
	e := open(t, dir)
	s := spec(t, "a")
	for _, port := range []string{"p0", "p1"} {
		tap := openTap(t, "tap-"+port)
		n := hypervisor.NIC{PortID: port, MAC: "fa:16:3e:00:00:0" + port[1:], MTU: 1450,
			Open: func(context.Context) (*os.File, error) { return tap, nil }}
		if port == "p0" {
			s.NICs = append(s.NICs, n)
			if err := e.Create(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		} else if err := e.AttachNIC(t.Context(), "a", n); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		var d hypervisor.Diagnostics
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-time.After(20 * time.Millisecond) {
			var err error
			if d, err = e.Diagnostics(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			if len(d.NICs) == 2 && d.NICs[0].RXPackets > 0 && d.NICs[1].RXBytes > 0 {
				break
			}
		}
		if len(d.NICs) != 2 || d.NICs[0].MAC != "fa:16:3e:00:00:00" || d.NICs[0].RXPackets == 0 || d.NICs[1].RXBytes == 0 {
			t.Errorf("cards %+v, want two that received", d.NICs)
		}
		letGo(e)
		e = open(t, dir)
	}
	destroyAll(t, e, dir)
}
