package guest

import (
	"context"
	"errors"
)

// Files are the parts of a machine image that is booted directly.
type Files struct {
	Kernel  string // an ELF file with a PVH entry, or a bzImage
	Ramdisk string // newc cpio, not compressed
	Disk    string // raw, an ext4 file system without a partition table
}

// CommandLine is the kernel's command line for images of this package.
const CommandLine = "console=tty0 console=ttyS0 root=/dev/vda"

// ErrNoParts: the directory holds no parts, or not all of them.
var ErrNoParts = errors.New("no parts of the machine image tiny (./setup build makes them)")

// Parts are gathered parts.
type Parts struct{ dir string }

// OpenParts finds parts that Collect gathered.
func OpenParts(dir string) (Parts, error) { return Parts{dir}, ErrNoParts }

// Build makes the machine image tiny in the directory out, which it makes.
func Build(ctx context.Context, p Parts, out string) (Files, error) { return Files{}, ErrNoParts }
