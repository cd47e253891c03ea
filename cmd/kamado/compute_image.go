package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/compute/guest"
	"github.com/kamado/kamado/internal/unit"
)

// newComputeImageCommand is the parent of what makes machine images.
func newComputeImageCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Make machine images that boot at once",
	}
	cmd.AddCommand(newComputeImageBuildCommand(a), newComputeImagePartsCommand(a), newComputeImageListCommand(a))
	return cmd
}

// guestParts is where ./setup build leaves the parts of machine image tiny: beside the program.
func (a *app) guestParts() string {
	if dir := a.getenv("KAMADO_GUEST_PARTS"); dir != "" {
		return dir
	}
	self, err := os.Executable()
	if err != nil {
		return "guest"
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	return filepath.Join(filepath.Dir(self), "guest")
}

func newComputeImageBuildCommand(a *app) *cobra.Command {
	var out, parts, mirror, release string
	var debian bool
	cmd := &cobra.Command{
		Use:   "build [--out DIR] [--debian]",
		Short: "Make a machine image: a kernel, a ramdisk and a disk",
		Long: `Build makes the machine image "tiny": Debian's kernel, busybox and dropbear, with an address by DHCP or config drive, and
root logged in by the keypair's key. It takes the parts that ./setup build gathered, no network and no root.

With --debian it makes a whole Debian with cloud-init and OpenSSH instead: that needs root, debootstrap and a mirror.

The three files are booted directly. To upload them:
  openstack image create --disk-format aki --container-format aki --file kernel tiny-kernel
  openstack image create --disk-format ari --container-format ari --file ramdisk tiny-ramdisk
  openstack image create --disk-format raw --container-format bare --file disk.raw --property kernel_id=ID --property ramdisk_id=ID tiny`,
		Example: `  kamado compute image build --out tiny
  sudo kamado compute image build --debian --out debian`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.buildMachineImage(cmd.Context(), func(ctx context.Context) (guest.Files, error) {
				if debian {
					return guest.BuildDebian(ctx, guest.Debian{Release: release, Mirror: mirror, Talk: a.talkf}, out)
				}
				if parts == "" {
					parts = a.guestParts()
				}
				p, err := guest.Parts(parts)
				if err != nil {
					return guest.Files{}, err
				}
				return guest.Build(ctx, p, out)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&out, "out", "tiny", "folder for the files, which is made")
	flags.StringVar(&parts, "parts", "", "folder with the parts of tiny (default: guest beside this program; $KAMADO_GUEST_PARTS)")
	flags.BoolVar(&debian, "debian", false, "make a whole Debian")
	flags.StringVar(&release, "release", "bookworm", "release of Debian")
	flags.StringVar(&mirror, "mirror", "http://deb.debian.org/debian", "mirror of Debian")
	return cmd
}

// machineImage is what "kamado compute image build -o json" prints.
type machineImage struct {
	Kernel      string  `json:"kernel"`
	Ramdisk     string  `json:"ramdisk"`
	Disk        string  `json:"disk"`
	CommandLine string  `json:"command_line"`
	Seconds     float64 `json:"seconds"`
}

func (a *app) buildMachineImage(ctx context.Context, build func(context.Context) (guest.Files, error)) error {
	began := time.Now()
	f, err := build(ctx)
	if err != nil {
		return err
	}
	took := time.Since(began)
	var rows [][]string
	for _, row := range [][2]string{{"kernel", f.Kernel}, {"ramdisk", f.Ramdisk}, {"disk", f.Disk}} {
		info, err := os.Stat(row[1])
		if err != nil {
			return err
		}
		rows = append(rows, []string{row[0], row[1], unit.Bytes(info.Size()).String()})
	}
	a.talkf("made in %.1f s; the kernel's command line: %s", took.Seconds(), f.CommandLine)
	return a.show(machineImage{f.Kernel, f.Ramdisk, f.Disk, f.CommandLine, took.Seconds()}, table{rows: rows})
}

func newComputeImagePartsCommand(a *app) *cobra.Command {
	var from []string
	var out string
	cmd := &cobra.Command{
		Use:   "parts [--from DIR...]",
		Short: "Gather the parts of machine image tiny from unpacked packages",
		Long: `Parts takes the kernel and its drivers, busybox, dropbear, the file system's tools and their libraries from folders that
Debian packages were unpacked into (dpkg-deb -x), the first folder that has one first. ./setup build runs it. Without --from it
says which parts are there.`,
		Example: `  apt-get download linux-image-6.1.0-56-cloud-amd64 && dpkg-deb -x linux-image-*.deb unpacked
  kamado compute image parts --from unpacked --from / --out guest`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				out = a.guestParts()
			}
			p, err := guest.Parts(out)
			if len(from) > 0 {
				p, err = guest.Collect(cmd.Context(), from, out)
			}
			if errors.Is(err, guest.ErrNoParts) {
				return notFoundf("%w", err)
			}
			if err != nil {
				return err
			}
			return a.show(map[string]any{"parts": out, "kernel": p.Version(), "packages": p.Packages()},
				table{rows: [][]string{{"parts", out}, {"kernel", p.Version()}}})
		},
	}
	cmd.Flags().StringArrayVar(&from, "from", nil, "folder that packages were unpacked into, or /; may be given again")
	cmd.Flags().StringVar(&out, "out", "", "folder for the parts, which is made anew (default: guest beside this program; $KAMADO_GUEST_PARTS)")
	return cmd
}
