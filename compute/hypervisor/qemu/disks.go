package qemu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/compute/disk"
	"github.com/kamado/kamado/compute/hypervisor"
)

const sector = 512

// attached is a disk as a process gets it.
type attached struct {
	name string // of its top node, and of its device
	file string // in the domain's directory
	base hypervisor.Disk
	iso  bool
}

// disks lists a spec's disks in the order in which the guest sees them.
func disks(s hypervisor.Spec) []attached {
	root := attached{name: "root", file: fileRoot, base: s.Root}
	list := []attached{root}
	if s.Rescue != nil {
		list = []attached{{name: "rescue", file: fileRescue, base: *s.Rescue}, root}
	}
	if s.EphemeralBytes > 0 {
		list = append(list, attached{name: "ephemeral", file: "ephemeral.qcow2", base: hypervisor.Disk{Bytes: s.EphemeralBytes}})
	}
	if s.SwapBytes > 0 {
		list = append(list, attached{name: "swap", file: "swap.qcow2", base: hypervisor.Disk{Bytes: s.SwapBytes}})
	}
	return list
}

// makeDisks makes the disks that are not there. One that is there is kept, as a
// guest has written to it.
func (d *domain) makeDisks(s hypervisor.Spec) error {
	for _, a := range disks(s) {
		if err := d.makeDisk(a); err != nil {
			return hostError(fmt.Errorf("disk %s of %s: %w", a.name, d.id, err))
		}
	}
	return nil
}

// makeDisk makes one disk under another name first: half a disk is never found.
func (d *domain) makeDisk(a attached) error {
	name := d.path(a.file)
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	part := name + ".new"
	if err := ignoreMissing(os.Remove(part)); err != nil {
		return err
	}
	size := (a.base.Bytes + sector - 1) &^ (sector - 1)
	if a.base.Base == "" {
		if err := disk.CreateEmpty(part, max(size, sector)); err != nil {
			return err
		}
		return os.Rename(part, name)
	}
	info, err := inspect(a.base)
	if err != nil {
		return err
	}
	base, err := filepath.Abs(a.base.Base)
	if err != nil {
		return err
	}
	if err := disk.CreateOverlay(part, base, a.base.BaseFormat, max(size, info.VirtualSize)); err != nil {
		return err
	}
	return os.Rename(part, name)
}

// openBase opens a base and reads what it is; what is not what it is said to be
// is refused. That is done before each start: QEMU would follow a qcow2 header
// to a data file of its own.
func openBase(b hypervisor.Disk) (*os.File, disk.Info, error) {
	f, err := openPlain(b.Base, os.O_RDONLY)
	if err != nil {
		return nil, disk.Info{}, err
	}
	st, err := f.Stat()
	var info disk.Info
	if err == nil {
		info, err = disk.Inspect(f, st.Size(), b.BaseFormat)
	}
	if err != nil {
		_ = f.Close()
		if disk.Refused(err) {
			err = fmt.Errorf("%w: %w", hypervisor.ErrNoImage, err)
		}
		return nil, info, err
	}
	return f, info, nil
}

// inspect reads what a base is.
func inspect(b hypervisor.Disk) (disk.Info, error) {
	f, info, err := openBase(b)
	if err == nil {
		_ = f.Close()
	}
	return info, err
}

// openPlain opens a plain file; a link, device or socket in its place is not
// followed, and one that is missing is ErrNoImage.
func openPlain(name string, flag int) (*os.File, error) {
	f, err := os.OpenFile(name, flag|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ELOOP) {
			return nil, fmt.Errorf("%w: %w", hypervisor.ErrNoImage, err)
		}
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%w: %s is no plain file", hypervisor.ErrNoImage, name)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// blockdevs adds the nodes of a spec's disks, with their files.
func (d *domain) blockdevs(in *inherit, list []attached) error {
	for _, a := range list {
		backing := ""
		if a.base.Base != "" {
			f, _, err := openBase(a.base)
			if err != nil {
				return fmt.Errorf("base of disk %s: %w", a.name, err)
			}
			backing = a.name + "-base"
			in.blockdev(fileNode(backing+"-file", in.set(f), true))
			in.blockdev(formatNode(backing, a.base.BaseFormat, backing+"-file", "", true))
		}
		format, flag := "qcow2", os.O_RDWR
		if a.iso {
			format, flag = "raw", os.O_RDONLY
		}
		f, err := openPlain(d.path(a.file), flag)
		if err != nil {
			return fmt.Errorf("disk %s: %w", a.name, err)
		}
		in.blockdev(fileNode(a.name+"-file", in.set(f), a.iso))
		in.blockdev(formatNode(a.name, format, a.name+"-file", backing, a.iso))
	}
	return nil
}

// diskDevices adds the devices of a spec's disks; the first is what it starts from.
func (in *inherit) diskDevices(list []attached, kind string) {
	for i, a := range list {
		boot := ""
		if i == 0 {
			boot = ",bootindex=1" // 0 is a kernel's
		}
		in.pci(kind, fmt.Sprintf("virtio-blk-pci,id=disk-%s,drive=%s%s", a.name, a.name, boot), slotDisk+i)
	}
}

// configDrive writes the config drive, 0600, and gives it as a disk.
func (d *domain) configDrive(iso []byte) ([]attached, error) {
	if len(iso) == 0 {
		return nil, nil
	}
	if pad := len(iso) % sector; pad != 0 {
		iso = append(iso[:len(iso):len(iso)], make([]byte, sector-pad)...)
	}
	if err := writeFile(d.path(fileConfig), iso, false); err != nil {
		return nil, hostError(fmt.Errorf("write the config drive of %s: %w", d.id, err))
	}
	return []attached{{name: "config", file: fileConfig, iso: true}}, nil
}

// bootFile opens a kernel or ramdisk so that a process under another uid can
// open it again by its descriptor, which takes that the file itself is readable
// by everybody (its directory need not be). One that is not is copied once.
func (e *Engine) bootFile(name string) (*os.File, error) {
	f, err := openPlain(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return f, nil
	}
	defer func() {
		if f != nil {
			_ = f.Close()
		}
	}()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, err
	}
	if st.Mode&0o004 != 0 {
		ready := f
		f = nil
		return ready, nil
	}
	return e.bootCopy(f, st)
}
