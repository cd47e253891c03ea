package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/compute/dhcp"
	"github.com/kamado/kamado/compute/disk"
	"github.com/kamado/kamado/compute/guest"
)

// bare is what somebody writes who needs one guest and no cloud: a bridge and a
// tap in a namespace, the least DHCP and metadata services that answer, and QEMU
// with the guest's kernel. What is made before a boot is not counted.
type bare struct {
	ns    netns.NsHandle
	qemu  string
	files guest.Files
	dir   string
	mac   net.HardwareAddr
	dhcp  *os.File
	web   *http.Server
	boots int
}

// The addresses of the bare guest's network, which only its namespace knows.
const (
	bareServer = "10.99.0.1/24"
	bareGuest  = "10.99.0.2"
	bareBridge = "br0"
	bareTap    = "tap0"
)

func newBare(qemu string, files guest.Files, dir string) (_ *bare, err error) {
	b := &bare{qemu: qemu, files: files, dir: dir, ns: -1, mac: net.HardwareAddr{0x02, 0, 0, 0, 0, 2}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	// A namespace without a name goes with the last that has it open.
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		var err error
		b.ns, err = netns.New()
		made <- err
	}()
	if err := <-made; err != nil {
		return nil, fmt.Errorf("make a namespace: %w", err)
	}
	if err := inside(b.ns, b.network); err != nil {
		return nil, fmt.Errorf("make the bare network: %w", err)
	}
	return b, nil
}

func (b *bare) network() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	off := false
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bareBridge, HardwareAddr: net.HardwareAddr{0x02, 0, 0, 0, 0, 1}}, MulticastSnooping: &off}
	if err := errors.Join(netlink.LinkSetUp(lo), netlink.LinkAdd(bridge)); err != nil {
		return err
	}
	for _, text := range []string{bareServer, dhcp.MetadataAddress.String() + "/32"} {
		addr, err := netlink.ParseAddr(text)
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(bridge, addr); err != nil {
			return err
		}
	}
	tap := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: bareTap, MasterIndex: bridge.Index}, Mode: netlink.TUNTAP_MODE_TAP, Flags: netlink.TUNTAP_NO_PI | netlink.TUNTAP_VNET_HDR}
	if err := netlink.LinkAdd(tap); err != nil {
		return err
	}
	if err := errors.Join(netlink.LinkSetUp(bridge), netlink.LinkSetUp(tap)); err != nil {
		return err
	}
	if err := b.serveDHCP(bridge.Index); err != nil {
		return err
	}
	l, err := net.Listen("tcp4", dhcp.MetadataAddress.String()+":80")
	if err != nil {
		return err
	}
	b.web = &http.Server{Handler: http.HandlerFunc(metadata), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = b.web.Serve(l) }() // until it is closed
	return nil
}

// metadata answers the one question without which the guest has no name.
func metadata(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/openstack/latest/meta_data.json" {
		http.NotFound(w, r)
		return
	}
	_, _ = io.WriteString(w, `{"uuid": "11111111-2222-4333-8444-555555555555", "hostname": "bare", "launch_index": 0, "meta": {}}`)
}

// serveDHCP answers on a bridge until the socket is closed.
func (b *bare) serveDHCP(bridge int) error {
	const ipv4 = unix.ETH_P_IP<<8&0xff00 | unix.ETH_P_IP>>8 // in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	b.dhcp = os.NewFile(uintptr(fd), "dhcp")
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: ipv4, Ifindex: bridge}); err != nil {
		return err
	}
	server := netip.MustParsePrefix(bareServer)
	table := dhcp.Table{b.mac.String(): dhcp.Lease{PortID: "bare", MAC: b.mac.String(), Address: netip.MustParseAddr(bareGuest), Prefix: server.Masked(),
		Server: server.Addr(), Gateway: server.Addr(), MTU: 1500, Hostname: "bare"}}
	go func() {
		buf := make([]byte, dhcp.MessageMax+1)
		for {
			n, err := b.dhcp.Read(buf)
			if err != nil {
				return
			}
			if reply, _, _ := table.Answer(buf[:n], net.HardwareAddr{0x02, 0, 0, 0, 0, 1}); reply != nil {
				_, _ = b.dhcp.Write(reply) // the guest asks again
			}
		}
	}()
	return nil
}

// bareMachine is the machine with which the guest starts fastest, without what
// nobody attaches anything to.
const bareMachine = "q35,sata=off,smbus=off"

// boot starts QEMU on a new disk over the image, with the memory and the disk of
// a flavor, and gives when it was asked for.
func (b *bare) boot(ctx context.Context, memoryMiB, diskGiB int) (*exec.Cmd, time.Time, error) {
	b.boots++
	overlay := filepath.Join(b.dir, fmt.Sprintf("disk-%d.qcow2", b.boots))
	var tap *os.File
	err := inside(b.ns, func() (err error) {
		tap, err = openTap(bareTap)
		return err
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	defer tap.Close()
	began := time.Now()
	if err := disk.CreateOverlay(overlay, b.files.Disk, disk.FormatRaw, int64(diskGiB)<<30); err != nil {
		return nil, began, err
	}
	cmd := exec.CommandContext(ctx, b.qemu, "-nodefaults", "-display", "none", "-M", bareMachine, "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1",
		"-m", fmt.Sprint(memoryMiB), "-serial", "file:"+filepath.Join(b.dir, "console.log"), "-device", "virtio-rng-pci",
		"-drive", "file="+overlay+",format=qcow2,if=virtio", "-kernel", b.files.Kernel, "-initrd", b.files.Ramdisk, "-append", b.files.CommandLine,
		"-netdev", "tap,id=net,fd=3", "-device", "virtio-net-pci,netdev=net,romfile=,mac="+b.mac.String())
	cmd.ExtraFiles = []*os.File{tap}
	return cmd, began, cmd.Start()
}

func (b *bare) close() {
	if b.web != nil {
		_ = b.web.Close()
	}
	if b.dhcp != nil {
		_ = b.dhcp.Close()
	}
	if b.ns >= 0 {
		_ = b.ns.Close()
	}
}

// openTap opens a tap of this thread's namespace.
func openTap(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a tap: %w", err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("open tap %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
