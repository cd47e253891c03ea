package netns

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// tunDevice is the clone device of taps.
const tunDevice = "/dev/net/tun"

// tapFlags: Ethernet frames, each behind a virtio header, so that a guest can
// leave checksums and segments to whoever receives. QEMU asks the device for them.
const tapFlags = unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR

// openTap opens a tap of a namespace, and makes it when there is none; it then
// stays when the file is closed. EBUSY when somebody has it open.
func openTap(ns *namespace, name string) (*os.File, error) {
	var fd int
	err := ns.do(func() error {
		var err error
		fd, err = unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("open %s: %w", tunDevice, err)
		}
		req, err := unix.NewIfreq(name)
		if err == nil {
			req.SetUint16(tapFlags)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
		}
		if err == nil {
			err = unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1)
		}
		if err != nil {
			_ = unix.Close(fd)
			return fmt.Errorf("open tap %s: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}
