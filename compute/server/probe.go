package server

import (
	"context"
	"os"

	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/hypervisor/qemu"
	"github.com/kamado/kamado/compute/network"
	"github.com/kamado/kamado/compute/network/netns"
	"github.com/kamado/kamado/compute/network/usermode"
)

// ProbeHypervisor looks for QEMU and boots a guest of a sector with it, as the
// room would. It is for examining a machine, not for serving.
func ProbeHypervisor(ctx context.Context, accelerator string) (hypervisor.Info, error) {
	dir, err := os.MkdirTemp("", "kamado-probe-")
	if err != nil {
		return hypervisor.Info{}, err
	}
	defer os.RemoveAll(dir)
	engine, err := qemu.New(qemu.Config{Dir: dir, Accelerator: accelerator})
	if err != nil {
		return hypervisor.Info{}, err
	}
	return engine.Info(ctx)
}

// ProbeNetworks says why real networks cannot be made on this machine, nil when
// they can. It leaves nothing.
func ProbeNetworks() error {
	_, err := netns.New(network.Config{Dir: os.TempDir()})
	return err
}

// UserModePort says at which port of a floating address on the loopback of this
// machine a guest's TCP port is: a host without root forwards it there.
func UserModePort(port int) int { return usermode.HostPort(port) }
