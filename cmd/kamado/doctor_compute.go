package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/guest"
	computeserver "github.com/kamado/kamado/compute/server"
)

// hypervisorTimeout bounds the start of the smallest guest, also where KVM is
// there and does not run one.
const hypervisorTimeout = 20 * time.Second

func lookQEMU(ctx context.Context, d *doctor) finding {
	ctx, cancel := context.WithTimeout(ctx, hypervisorTimeout)
	defer cancel()
	info, err := computeserver.ProbeHypervisor(ctx, compute.AcceleratorTCG)
	if err == nil {
		return ok("QEMU %s", info.Version)
	}
	if d.cfg.Compute.Hypervisor == compute.HypervisorQEMU {
		return fail("apt-get install qemu-system-x86 qemu-utils, or compute.hypervisor = \"fake\"", "%v", err)
	}
	return warn("apt-get install qemu-system-x86 qemu-utils; without it instances only seem to run (--hypervisor fake)", "%v", err)
}

// lookKVM starts a guest of one sector: that the device is there does not say
// that guests run with it.
func lookKVM(ctx context.Context, d *doctor) finding {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	switch {
	case err == nil:
		f.Close()
	case errors.Is(err, os.ErrPermission):
		return warn("add this user to the group kvm: usermod -aG kvm USER; instances are emulated meanwhile, 10 to 20 times slower", "this user may not open /dev/kvm")
	default:
		return warn("instances are emulated, 10 to 20 times slower; load kvm_intel or kvm_amd, and in a virtual machine allow nesting", "no /dev/kvm")
	}
	ctx, cancel := context.WithTimeout(ctx, hypervisorTimeout)
	defer cancel()
	info, err := computeserver.ProbeHypervisor(ctx, compute.Auto)
	switch {
	case err != nil:
		return ok("/dev/kvm can be opened; no guest was tried without QEMU")
	case info.Accelerator != compute.AcceleratorKVM:
		_, why, _ := strings.Cut(strings.Join(info.Notes, "; "), "KVM: ")
		return warn("instances are emulated, 10 to 20 times slower; in a virtual machine, its host has to offer nested virtualization", "/dev/kvm is there, and of no use: %s", why)
	}
	return ok("a guest runs with /dev/kvm")
}

func lookGuest(_ context.Context, d *doctor) finding {
	dir := d.app.guestParts()
	p, err := guest.Parts(dir)
	if err != nil {
		return warn("./setup build gathers them from Debian's packages; without them the first start makes no machine image tiny and is never called ready", "no parts of the machine image tiny in %s", dir)
	}
	return ok("parts of the machine image tiny, Linux %s", p.Version())
}

func lookNetworks(context.Context, *doctor) finding {
	if os.Geteuid() != 0 {
		return warn("instances have user-mode networks, and do not reach each other; start kamado as root for real ones", "this is not root")
	}
	if err := computeserver.ProbeNetworks(); err != nil {
		return warn("instances have user-mode networks meanwhile; load what is missing (modprobe tun bridge veth nf_tables br_netfilter), in a container allow namespaces and /dev/net/tun",
			"real networks cannot be made: %v", err)
	}
	return ok("namespaces, bridges, taps and nftables with br_netfilter or its like")
}
