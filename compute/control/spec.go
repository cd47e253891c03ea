package control

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/hypervisor"
)

const (
	gib = int64(1) << 30
	mib = int64(1) << 20
)

// kernelArgs is the command line of a kernel that is booted directly, unless the
// image's property os_command_line says another: the root disk is the first one,
// and the console that a log is kept of is the last that is named.
const kernelArgs = "root=/dev/vda console=tty0 console=ttyS0"

// spec says how an instance's domain is to be.
func (c *Controller) spec(ctx context.Context, i *compute.Instance) (hypervisor.Spec, error) {
	s := hypervisor.Spec{ID: i.ID, Name: i.Name, VCPUs: i.Flavor.VCPUs, MemoryMiB: i.Flavor.MemoryMiB,
		EphemeralBytes: int64(i.Flavor.EphemeralGiB) * gib, SwapBytes: int64(i.Flavor.SwapMiB) * mib, Extra: extra(i)}
	base, err := c.deps.Images.Base(ctx, bootImage(i))
	if err != nil {
		return s, fmt.Errorf("get the machine image: %w", err)
	}
	s.Root = root(base, i.Flavor.DiskGiB)
	boot(&s, base, i.ImageProps)
	if i.RescueImageID != "" {
		rescue, err := c.deps.Images.Base(ctx, i.RescueImageID)
		if err != nil {
			return s, fmt.Errorf("get the machine image for the rescue: %w", err)
		}
		disk := root(rescue, 0)
		s.Rescue = &disk
		props, err := c.imageProps(ctx, i, i.RescueImageID)
		if err != nil {
			return s, err
		}
		boot(&s, rescue, props)
	}
	if s.NICs, err = c.nics(ctx, i); err != nil {
		return s, err
	}
	if i.ConfigDrive && c.deps.ConfigDrive != nil {
		if s.ConfigDrive, err = c.deps.ConfigDrive(ctx, i); err != nil {
			return s, fmt.Errorf("make the config drive: %w", err)
		}
	}
	return s, nil
}

// bootImage is the image that an instance's disk is made of: a shelved one's was
// saved.
func bootImage(i *compute.Instance) string {
	if i.ShelvedImageID != "" {
		return i.ShelvedImageID
	}
	return i.ImageID
}

// root is a disk of a flavor's size, or of the image's when the flavor says none.
func root(b Base, diskGiB int) hypervisor.Disk {
	return hypervisor.Disk{Base: b.Path, BaseFormat: b.Format, Bytes: max(int64(diskGiB)*gib, b.VirtualSize)}
}

// imageProps are the properties of an image: those that an instance of it keeps,
// else as they are now; none when it is gone.
func (c *Controller) imageProps(ctx context.Context, i *compute.Instance, id string) (map[string]string, error) {
	if id == i.ImageID {
		return i.ImageProps, nil
	}
	var props map[string]string
	err := c.deps.Store.Read(ctx, func(tx *compute.Tx) error {
		m, err := tx.MachineImages.Get(id)
		if compute.IsKind(err, compute.NotFound) {
			return nil
		}
		if err == nil {
			props = m.Properties
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the machine image: %w", err)
	}
	return props, nil
}

// boot sets a direct boot when the image has a kernel.
func boot(s *hypervisor.Spec, b Base, props map[string]string) {
	s.Kernel, s.Ramdisk, s.Append = b.Kernel, b.Ramdisk, ""
	if b.Kernel == "" {
		return
	}
	if s.Append = props["os_command_line"]; s.Append == "" {
		s.Append = kernelArgs
	}
}

// extra is what flavor and image say of the hardware: the image's hw_… as they
// are, the flavor's hw:… as hw_…; the flavor wins.
func extra(i *compute.Instance) map[string]string {
	e := map[string]string{}
	for k, v := range i.ImageProps {
		if strings.HasPrefix(k, "hw_") || strings.HasPrefix(k, "os_") {
			e[k] = v
		}
	}
	for k, v := range i.Flavor.Extra {
		if k, ok := strings.CutPrefix(k, "hw:"); ok {
			e["hw_"+k] = v
		}
	}
	return e
}

// nics are the cards of an instance's ports, in their order.
func (c *Controller) nics(ctx context.Context, i *compute.Instance) ([]hypervisor.NIC, error) {
	if len(i.Ports) == 0 {
		return nil, nil
	}
	list := make([]hypervisor.NIC, 0, len(i.Ports))
	err := c.deps.Store.Read(ctx, func(tx *compute.Tx) error {
		list = list[:0]
		for _, id := range i.Ports {
			nic, err := c.nic(tx, id)
			if compute.IsKind(err, compute.NotFound) {
				continue // deleted by its user, while it was plugged
			}
			if err != nil {
				return err
			}
			list = append(list, nic)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the ports: %w", err)
	}
	return list, nil
}

func (c *Controller) nic(tx *compute.Tx, portID string) (hypervisor.NIC, error) {
	p, err := tx.Ports.Get(portID)
	if err != nil {
		return hypervisor.NIC{}, err
	}
	n, err := tx.Networks.Get(p.NetworkID)
	if err != nil {
		return hypervisor.NIC{}, err
	}
	nic := hypervisor.NIC{PortID: p.ID, MAC: p.MAC, MTU: n.MTU}
	if nic.User = c.deps.Network.User(p.ID); nic.User == nil {
		nic.Open = func(ctx context.Context) (*os.File, error) { return c.deps.Network.Open(ctx, p.ID) }
	} else if len(nic.User.Forward) > 0 {
		c.forwards.add(p.ID) // what the start cannot forward is tried again after it
		c.net.kick()
	}
	return nic, nil
}

// settleNetwork waits until the network engine made what the instance's ports
// need. Simulated hosts have no network.
func (c *Controller) settleNetwork(ctx context.Context, i *compute.Instance) error {
	if c.lazyNetwork || len(i.Ports) == 0 || i.HostID != c.deps.HostID {
		return nil
	}
	return c.net.wait(ctx, c.net.last())
}
