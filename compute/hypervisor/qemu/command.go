package qemu

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"

	"github.com/kamado/kamado/compute/hypervisor"
)

// PCI slots of the machine. They are fixed, so that a guest finds its devices
// where they were when cards come and go, and its suspended memory fits.
const (
	slotVideo = iota + 2 // 0 is the host bridge, 1 the ISA bridge
	slotWatchdog
	slotRNG
	slotBalloon
	slotSerial
	slotDisk // and one for each further disk, disksMax in all
)

const (
	disksMax = 5 // rescue, root, ephemeral, swap, config drive
	// slotNIC is the first card's. On q35, whose own bus takes nothing while it runs, it is that of a bridge, and cards are behind it.
	slotNIC = slotDisk + disksMax
	// slotNICs are the slots for cards: more than these cannot be attached.
	slotNICs = 18
)

// busCards is the bus behind the bridge of a q35.
const busCards = "cards"

// inherit collects what a process gets as descriptors, and the arguments that
// name them.
type inherit struct {
	args  []string
	files []*os.File
	sets  int
	taps  map[string]string // names of taps, by port
}

// fd gives the number that f will have in the process. The file is closed with
// the others after the start.
func (in *inherit) fd(f *os.File) int {
	in.files = append(in.files, f)
	return len(in.files) + 2 // after standard input, output and error
}

// set gives f a name that QEMU opens as a file.
func (in *inherit) set(f *os.File) string {
	in.sets++
	in.add("-add-fd", fmt.Sprintf("fd=%d,set=%d", in.fd(f), in.sets))
	return fmt.Sprintf("/dev/fdset/%d", in.sets)
}

func (in *inherit) add(args ...string) { in.args = append(in.args, args...) }

// addf adds an option with a value.
func (in *inherit) addf(option, format string, args ...any) {
	in.add(option, fmt.Sprintf(format, args...))
}

func (in *inherit) close() {
	for _, f := range in.files {
		_ = f.Close()
	}
}

// node is one block node, as blockdev-add takes it.
type node map[string]any

// blockdev adds a node.
func (in *inherit) blockdev(n node) {
	b, err := json.Marshal(n)
	if err != nil {
		panic("block nodes are plain values: " + err.Error())
	}
	in.add("-blockdev", string(b))
}

// fileNode is the lowest node of a disk.
func fileNode(name, path string, readOnly bool) node {
	return node{"driver": "file", "node-name": name, "filename": path, "read-only": readOnly, "auto-read-only": false, "discard": "unmap"}
}

// formatNode is a node that reads another as a format, named, never guessed. Its
// backing is named too, or said to be none, whatever its header says.
func formatNode(name, format, file, backing string, readOnly bool) node {
	n := node{"driver": format, "node-name": name, "file": file, "read-only": readOnly, "discard": "unmap"}
	if format == "qcow2" {
		n["backing"] = nil
		if backing != "" {
			n["backing"] = backing
		}
	}
	return n
}

// base adds the arguments that each process has: nothing that was not asked for,
// in the sandbox, with its directory in the command line.
func (in *inherit) base(id, dir string) {
	in.addf("-name", "guest=%s", id)
	in.add("-no-user-config", "-nodefaults", "-display", "none",
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-L", dir, "-S")
}

// chardev adds a socket on which the process listens.
func (in *inherit) chardev(id string, socket *os.File, more string) {
	in.addf("-chardev", "socket,id=%s,fd=%d,server=on,wait=off%s", id, in.fd(socket), more)
}

// machine adds what the guest sees, except disks and cards.
func (in *inherit) machine(s hypervisor.Spec, accel string) error {
	kind, err := machineOf(s)
	if err != nil {
		return err
	}
	own := ""
	if isQ35(kind) {
		own = ",sata=off,smbus=off" // nothing is attached there, and firmware and guest would look
	}
	in.addf("-machine", "%s,usb=off,vmport=off,dump-guest-core=off,mem-merge=off%s", kind, own)
	if accel == KVM {
		in.add("-accel", "kvm", "-cpu", "host")
	} else {
		in.add("-accel", "tcg,thread=multi", "-cpu", "max")
	}
	in.addf("-smp", "%d", s.VCPUs)
	in.addf("-m", "%d", s.MemoryMiB)
	in.add("-rtc", "base=utc", "-boot", "menu=off,strict=on", "-vga", "none", "-vnc", "none")
	in.addf("-device", "VGA,id=video,vgamem_mb=16,bus=%s,addr=%#x", busOf(kind), slotVideo)
	in.addf("-smbios", "type=1,manufacturer=Kamado,product=OpenStack Compute,family=Virtual Machine,serial=%s", s.ID)
	if len(s.ID) == 36 { // a UUID
		in.add("-uuid", s.ID)
	}
	in.add("-object", "rng-builtin,id=entropy")
	in.pci(kind, "virtio-rng-pci,id=rng,rng=entropy", slotRNG)
	in.pci(kind, "virtio-balloon-pci,id=balloon,deflate-on-oom=on,free-page-reporting=on", slotBalloon)
	in.pci(kind, "virtio-serial-pci,id=channels", slotSerial)
	in.add("-device", "virtserialport,bus=channels.0,nr=1,chardev=agent,id=agent,name=org.qemu.guest_agent.0")
	in.add("-device", "pvpanic", "-serial", "chardev:serial")
	return in.endings(s, kind)
}

// pci adds a device in a slot.
func (in *inherit) pci(kind, device string, slot int) {
	in.addf("-device", "%s,bus=%s,addr=%#x", device, busOf(kind), slot)
}

// endings says what happens when the guest powers off, restarts, panics or hangs.
func (in *inherit) endings(s hypervisor.Spec, kind string) error {
	action := extra(s, "hw_watchdog_action", "hw:watchdog_action")
	switch action {
	case "", "disabled":
		action = "none"
	case "reset", "poweroff", "pause", "none":
		in.pci(kind, "i6300esb,id=watchdog", slotWatchdog)
	default:
		return fmt.Errorf("%w: watchdog action %q", hypervisor.ErrUnsupported, action)
	}
	in.addf("-action", "reboot=reset,shutdown=pause,panic=none,watchdog=%s", action)
	return nil
}

// extra gives the first of the facts that is there.
func extra(s hypervisor.Spec, names ...string) string {
	for _, n := range names {
		if v := s.Extra[n]; v != "" {
			return v
		}
	}
	return ""
}

// machineDefault is q35. Its firmware tells the routing of interrupts in a table;
// that of pc computes it, and Linux asks for each device that a driver takes: in
// software 0.1 s and more for each.
const machineDefault = "q35"

// extraMachine is the fact of a spec that names a machine. The spec in a record
// always has it: what a guest has seen of its devices stays true when the default
// changes.
const extraMachine = "hw_machine_type"

// onMachine gives a spec that asks for a machine: for kind, when it did not.
func onMachine(s hypervisor.Spec, kind string) hypervisor.Spec {
	if extra(s, extraMachine) != "" {
		return s
	}
	s.Extra = maps.Clone(s.Extra)
	if s.Extra == nil {
		s.Extra = map[string]string{}
	}
	s.Extra[extraMachine] = kind
	return s
}

// machineOf gives the machine that a spec asks for.
func machineOf(s hypervisor.Spec) (string, error) {
	if bus := extra(s, "hw_disk_bus"); bus != "" && bus != "virtio" {
		return "", fmt.Errorf("%w: disk bus %q", hypervisor.ErrUnsupported, bus)
	}
	switch kind := extra(s, extraMachine); {
	case kind == "":
		return machineDefault, nil
	case kind == "pc", kind == "q35":
		return kind, nil
	case versioned(kind, "pc-i440fx-"), versioned(kind, "pc-q35-"):
		return kind, nil
	default:
		return "", fmt.Errorf("%w: machine type %q", hypervisor.ErrUnsupported, kind)
	}
}

// versioned says whether a machine's name is that prefix and a number.
func versioned(kind, prefix string) bool {
	v, ok := strings.CutPrefix(kind, prefix)
	return ok && v != "" && strings.Trim(v, "0123456789.") == ""
}

func isQ35(kind string) bool { return strings.Contains(kind, "q35") }

// busOf names the PCI bus of a machine.
func busOf(kind string) string {
	if isQ35(kind) {
		return "pcie.0"
	}
	return "pci.0"
}

// bridge adds the bridge behind which the cards of a q35 are.
func (in *inherit) bridge(kind string) {
	if isQ35(kind) {
		in.pci(kind, "pcie-pci-bridge,id="+busCards, slotNIC)
	}
}

// cardDevice gives the properties of a card, as device_add takes them.
func cardDevice(s hypervisor.Spec, n hypervisor.NIC, kind string, slot int) (node, error) {
	model := extra(s, "hw_vif_model")
	drivers := map[string]string{"": "virtio-net-pci", "virtio": "virtio-net-pci", "e1000": "e1000", "e1000e": "e1000e", "rtl8139": "rtl8139"}
	driver, ok := drivers[model]
	if !ok {
		return nil, fmt.Errorf("%w: card model %q", hypervisor.ErrUnsupported, model)
	}
	dev := node{"driver": driver, "id": cardID(n.PortID), "netdev": netdevID(n.PortID), "mac": n.MAC, "romfile": ""} // no boot ROM: it costs a second
	if driver == "virtio-net-pci" && n.MTU >= 68 {
		dev["host_mtu"] = n.MTU
	}
	if isQ35(kind) {
		dev["bus"], dev["addr"] = busCards, fmt.Sprintf("%#x", slot-slotNIC+1) // 0 is the bridge's own
	} else {
		dev["bus"], dev["addr"] = "pci.0", fmt.Sprintf("%#x", slot)
	}
	return dev, nil
}

func cardID(port string) string   { return "card-" + port }
func netdevID(port string) string { return "net-" + port }

// netdev gives the host's side of a card; fd names its tap. A card that has
// neither leads nowhere.
func netdev(n hypervisor.NIC, fd string) node {
	dev := node{"id": netdevID(n.PortID)}
	switch {
	case fd != "":
		dev["type"], dev["fd"] = "tap", fd
	case n.User != nil:
		dev["type"] = "user"
		userNet(*n.User, dev)
	default:
		dev["type"], dev["hubid"] = "hubport", 0
	}
	return dev
}

// userNet describes QEMU's own network stack. Its forwards are made later: with
// one that cannot be, QEMU would not start.
func userNet(u hypervisor.UserNet, dev node) {
	for key, v := range map[string]string{"net": u.CIDR, "host": u.Gateway, "dns": u.DNS, "dhcpstart": u.Address} {
		if v != "" {
			dev[key] = v
		}
	}
	dev["ipv6"] = false
}
