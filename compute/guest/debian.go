package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// debianMiB is the size of Debian's disk before a flavor gives it another.
const debianMiB = 2048

// debianPackages are what makes a base system a guest of a cloud.
var debianPackages = []string{
	"linux-image-cloud-amd64", "initramfs-tools", "systemd-sysv", "systemd-resolved", "udev", "dbus", "cloud-init", "openssh-server", "iproute2",
	"iputils-ping", "e2fsprogs", "sudo", "ca-certificates", "procps", "kmod",
}

// Debian says how to make a machine image of a whole Debian.
type Debian struct {
	Release string // bookworm, trixie
	Mirror  string
	Talk    func(format string, args ...any) // progress, for a person; may be nil
}

// BuildDebian makes the files of a Debian with cloud-init and OpenSSH in the
// folder out, which it makes. It needs root, debootstrap, mke2fs and a mirror,
// and takes minutes. It is booted directly, as tiny is.
func BuildDebian(ctx context.Context, d Debian, out string) (Files, error) {
	if os.Geteuid() != 0 {
		return Files{}, errors.New("a Debian is made by debootstrap, which needs root")
	}
	for _, program := range []string{"debootstrap", "mke2fs"} {
		if _, err := exec.LookPath(program); err != nil {
			return Files{}, fmt.Errorf("%s is missing: apt-get install -y debootstrap e2fsprogs: %w", program, err)
		}
	}
	if d.Talk == nil {
		d.Talk = func(string, ...any) {}
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return Files{}, err
	}
	work, err := os.MkdirTemp(out, "debian-")
	if err != nil {
		return Files{}, err
	}
	defer os.RemoveAll(work)
	root := filepath.Join(work, "root")
	d.Talk("debootstrap: Debian %s from %s", d.Release, d.Mirror)
	if err := tool(ctx, "debootstrap", "--variant=minbase", d.Release, root, d.Mirror); err != nil {
		return Files{}, err
	}
	d.Talk("installing its kernel, cloud-init and OpenSSH")
	if err := furnishDebian(ctx, root); err != nil {
		return Files{}, err
	}
	if err := dressDebian(ctx, root); err != nil {
		return Files{}, err
	}
	files := Files{filepath.Join(out, "kernel"), filepath.Join(out, "ramdisk"), filepath.Join(out, "disk.raw"), "root=/dev/vda console=tty0 console=ttyS0 net.ifnames=0 panic=10"}
	d.Talk("making its disk")
	return files, debianFiles(ctx, root, work, files)
}

// furnishDebian installs debianPackages, by the new system's own apt: debootstrap
// itself does not order what depends on each other. No daemon starts meanwhile.
func furnishDebian(ctx context.Context, root string) error {
	policy := filepath.Join(root, "usr/sbin/policy-rc.d")
	if err := plantFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
		return err
	}
	if err := tool(ctx, "chroot", append([]string{root, "apt-get", "install", "-qq", "-y", "--no-install-recommends"}, debianPackages...)...); err != nil {
		return err
	}
	return os.Remove(policy)
}

// dressDebian does what debootstrap leaves to an installer.
func dressDebian(ctx context.Context, root string) error {
	for name, text := range map[string]string{
		"etc/fstab":    "/dev/vda / ext4 defaults,noatime 0 1\n",
		"etc/hostname": "debian\n",
		"etc/cloud/cloud.cfg.d/90_kamado.cfg": "datasource_list: [ConfigDrive, OpenStack, None]\ndisable_root: false\nmanage_etc_hosts: true\nlocale: C.UTF-8\n" +
			"growpart: {mode: 'off'}\nresize_rootfs: true\nsystem_info:\n  network:\n    renderers: [networkd]\n",
		// What tells machines apart is made when they first boot.
		"etc/machine-id": "",
	} {
		if err := plantFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	keys, err := filepath.Glob(filepath.Join(root, "etc/ssh/ssh_host_*"))
	if err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(root, "var/cache/apt/archives/*.deb"))
	if err != nil {
		return err
	}
	for _, file := range append(keys, debs...) {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return tool(ctx, "chroot", root, "systemctl", "enable", "systemd-networkd", "serial-getty@ttyS0")
}

// debianFiles takes kernel and ramdisk out of a root and makes a disk of it.
func debianFiles(ctx context.Context, root, work string, f Files) error {
	for from, to := range map[string]string{"boot/vmlinuz-*": f.Kernel, "boot/initrd.img-*": f.Ramdisk} {
		found, err := filepath.Glob(filepath.Join(root, from))
		if err != nil || len(found) == 0 {
			return errors.Join(err, fmt.Errorf("the new Debian has no /%s", from))
		}
		body, err := os.ReadFile(found[len(found)-1])
		if err != nil {
			return err
		}
		if err := os.WriteFile(to, body, 0o644); err != nil {
			return err
		}
	}
	disk := filepath.Join(work, "disk.raw")
	if err := os.WriteFile(disk, nil, 0o644); err != nil {
		return err
	}
	if err := os.Truncate(disk, debianMiB<<20); err != nil {
		return err
	}
	if err := tool(ctx, "mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-L", "debian", "-d", root, disk); err != nil {
		return err
	}
	return os.Rename(disk, f.Disk)
}

// tool runs a program of the host, without asking anybody anything.
func tool(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, tail(out))
	}
	return nil
}
