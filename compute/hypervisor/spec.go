package hypervisor

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
)

// Bounds of a spec: far above what a host has, so that a slip of the caller is
// told apart from a wish.
const (
	VCPUsMax     = 255
	MemoryMiBMax = 16 << 20 // 16 TiB
	DiskBytesMax = 64 << 40 // 64 TiB
	NICsMax      = 26
)

// ValidID says whether an id may be the name of a domain's directory: letters,
// digits and hyphens, at most 64 of them.
func ValidID(id string) bool {
	if id == "" || len(id) > 64 || id[0] == '-' {
		return false
	}
	return strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") == ""
}

// Validate tells everything in s that no engine could do; the errors wrap
// ErrSpec.
func (s Spec) Validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrSpec}, args...)...))
	}
	if !ValidID(s.ID) {
		bad("id %q", s.ID)
	}
	if s.VCPUs < 1 || s.VCPUs > VCPUsMax {
		bad("%d virtual CPUs, not 1 to %d", s.VCPUs, VCPUsMax)
	}
	if s.MemoryMiB < 1 || s.MemoryMiB > MemoryMiBMax {
		bad("%d MiB of memory, not 1 to %d", s.MemoryMiB, MemoryMiBMax)
	}
	disks := []Disk{s.Root}
	if s.Rescue != nil {
		disks = append(disks, *s.Rescue)
	}
	for _, d := range disks {
		if d.Bytes < 0 || d.Bytes > DiskBytesMax {
			bad("a disk of %d bytes", d.Bytes)
		}
		if d.Base != "" && d.BaseFormat != "raw" && d.BaseFormat != "qcow2" {
			bad("format %q of a disk's base, not raw or qcow2", d.BaseFormat)
		}
	}
	for _, n := range []int64{s.EphemeralBytes, s.SwapBytes} {
		if n < 0 || n > DiskBytesMax {
			bad("a disk of %d bytes", n)
		}
	}
	if s.Kernel == "" && (s.Ramdisk != "" || s.Append != "") {
		bad("a ramdisk or a command line without a kernel")
	}
	if strings.ContainsAny(s.Append, "\x00\n") {
		bad("a command line with control characters")
	}
	if len(s.NICs) > NICsMax {
		bad("%d address cards, more than %d", len(s.NICs), NICsMax)
	}
	for _, n := range s.NICs {
		if err := n.Validate(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Validate tells what is wrong with a card; the errors wrap ErrSpec.
func (n NIC) Validate() error {
	if !ValidID(n.PortID) {
		return fmt.Errorf("%w: id %q of a port", ErrSpec, n.PortID)
	}
	if m, err := net.ParseMAC(n.MAC); err != nil || len(m) != 6 {
		return fmt.Errorf("%w: MAC address %q", ErrSpec, n.MAC)
	}
	if n.MTU < 0 || n.MTU > 65535 {
		return fmt.Errorf("%w: MTU %d", ErrSpec, n.MTU)
	}
	return nil
}

// Tail gives the last lines of a console log, as Nova counts them: the pieces
// between line feeds, so that a final line feed is followed by an empty line.
// All of it when lines <= 0.
func Tail(log []byte, lines int) []byte {
	if lines <= 0 {
		return log
	}
	end := len(log)
	for range lines {
		i := bytes.LastIndexByte(log[:end], '\n')
		if i < 0 {
			return log
		}
		end = i
	}
	return log[end+1:]
}
