package qemu

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/compute/hypervisor"
)

// tapName gives the name of a tap by its descriptor; empty when it is none.
func tapName(f *os.File) string {
	req, err := unix.NewIfreq("")
	if err != nil {
		return ""
	}
	if err := unix.IoctlIfreq(int(f.Fd()), unix.TUNGETIFF, req); err != nil {
		return ""
	}
	return req.Name()
}

// tunGetNetworkNamespace is TUNGETDEVNETNS of linux/if_tun.h: _IO('T', 227).
const tunGetNetworkNamespace = 'T'<<8 | 227

// cardStats counts the traffic of the cards that are taps. The counters are the
// tap's, whose namespace nobody but the process's descriptor knows; what the tap
// sends, the guest receives. Cards of user-mode networking are not counted.
func (p *process) cardStats(s hypervisor.Spec, taps map[string]string) []hypervisor.NICStats {
	if len(taps) == 0 || !p.use() {
		return nil
	}
	defer p.unuse()
	fds := p.tapDescriptors()
	var list []hypervisor.NICStats
	for _, n := range s.NICs {
		fd, ok := fds[taps[n.PortID]]
		if !ok {
			continue
		}
		if st, err := p.tapStats(fd, taps[n.PortID]); err == nil {
			list = append(list, hypervisor.NICStats{MAC: n.MAC,
				RXBytes: int64(st.TxBytes), RXPackets: int64(st.TxPackets), RXErrors: int64(st.TxErrors),
				TXBytes: int64(st.RxBytes), TXPackets: int64(st.RxPackets), TXErrors: int64(st.RxErrors)})
		}
	}
	return list
}

// tapDescriptors finds the process's taps: the line iff of proc_pid_fdinfo names
// each.
func (p *process) tapDescriptors() map[string]int {
	dir := filepath.Join("/proc", strconv.Itoa(p.pid), "fdinfo")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	found := map[string]int{}
	for _, entry := range entries {
		b, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			continue
		}
		_, rest, ok := strings.Cut(string(b), "\niff:\t")
		name, _, _ := strings.Cut(rest, "\n")
		if fd, err := strconv.Atoi(entry.Name()); ok && err == nil && name != "" {
			found[name] = fd
		}
	}
	return found
}

// tapStats reads the counters of a tap in its namespace.
func (p *process) tapStats(fd int, name string) (*netlink.LinkStatistics, error) {
	tap, err := unix.PidfdGetfd(p.fd, fd, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(tap)
	space, err := unix.IoctlRetInt(tap, tunGetNetworkNamespace)
	if err != nil {
		return nil, err
	}
	defer unix.Close(space)
	h, err := netlink.NewHandleAt(netns.NsHandle(space), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	link, err := h.LinkByName(name)
	if err != nil {
		return nil, err
	}
	if link.Attrs().Statistics == nil {
		return nil, fmt.Errorf("tap %s has no counters", name)
	}
	return link.Attrs().Statistics, nil
}
