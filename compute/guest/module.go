package guest

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The drivers of the guest, by purpose. A name that the kernel has built in, or
// does not have at all, is left out; without the first three of early there is no
// guest.
var purposes = map[string][]string{
	// What the ramdisk loads to find the disk and the cards. virtio_rng comes before anything asks for randomness.
	"early": {"virtio_pci", "virtio_blk", "virtio_net", "virtio_rng", "crc32c_generic", "ext4"},
	// What the guest loads beside its start: memory that the host may take back, and the power button.
	"late": {"virtio_balloon", "button", "evdev"},
	// The file system of a config drive.
	"drive": {"isofs"},
	// Other disks and CD-ROM drives, for a root disk or a config drive that is not virtio's.
	"storage": {"virtio_scsi", "ata_piix", "ahci", "sd_mod", "sr_mod"},
}

// purposeOrder is the order in which purposes are loaded, if at all: a driver that
// an earlier one brings is not repeated in a later one.
var purposeOrder = []string{"early", "late", "drive", "storage"}

// requiredDrivers must be there, as a file or built in.
var requiredDrivers = []string{"virtio_pci", "virtio_blk", "virtio_net"}

// drivers is the modules of one unpacked kernel.
type drivers struct {
	files   map[string]string // by name with "_"
	builtin map[string]bool
}

// driverName is how the kernel calls a module file: "virtio-rng.ko.xz" is virtio_rng.
func driverName(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// findDrivers indexes a folder lib/modules/RELEASE.
func findDrivers(dir string) (drivers, error) {
	d := drivers{files: map[string]string{}, builtin: map[string]bool{}}
	b, err := os.ReadFile(filepath.Join(dir, "modules.builtin"))
	if err != nil {
		return d, err
	}
	for _, line := range strings.Fields(string(b)) {
		d.builtin[driverName(line)] = true
	}
	err = filepath.WalkDir(filepath.Join(dir, "kernel"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && strings.Contains(e.Name(), ".ko") && e.Type().IsRegular() {
			d.files[driverName(path)] = path
		}
		return err
	})
	return d, err
}

// order gives names and what they need, those that are needed first, once each.
// need says what a driver needs.
func (d drivers) order(names []string, need func(name string) ([]string, error)) ([]string, error) {
	var list []string
	var visit func(name string) error
	visit = func(name string) error {
		if slices.Contains(list, name) || d.files[name] == "" {
			return nil
		}
		needs, err := need(name)
		if err != nil {
			return err
		}
		for _, n := range needs {
			if d.files[n] == "" && !d.builtin[n] {
				return fmt.Errorf("driver %s needs %s, which this kernel lacks", name, n)
			}
			if err := visit(n); err != nil {
				return err
			}
		}
		list = append(list, name)
		return nil
	}
	for _, name := range names {
		if slices.Contains(requiredDrivers, name) && d.files[name] == "" && !d.builtin[name] {
			return nil, fmt.Errorf("this kernel lacks the driver %s", name)
		}
		if err := visit(name); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// driverNeeds reads the "depends=" of a module's section .modinfo: names with
// commas between them.
func driverNeeds(module []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(module))
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("a module without .modinfo")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for entry := range strings.SplitSeq(string(info), "\x00") {
		if list, ok := strings.CutPrefix(entry, "depends="); ok && list != "" {
			return strings.Split(strings.ReplaceAll(list, "-", "_"), ","), nil
		}
	}
	return nil, nil
}
