package disk

import (
	"errors"
	"fmt"
	"io"
)

// The formats that images may have here, in Glance's words.
const (
	FormatRaw   = "raw"
	FormatQcow2 = "qcow2"
	FormatISO   = "iso"
	FormatAKI   = "aki" // a kernel
	FormatARI   = "ari" // an initial RAM disk
	FormatAMI   = "ami" // a file system without a partition table
)

const sector = 512

// Info is what an image is.
type Info struct {
	// Format is what QEMU is to be told: "raw" or "qcow2". Images declared iso, aki, ari and ami are raw.
	Format string
	// Found names what the bytes look like: "raw", "qcow2", "iso", "gpt", "mbr".
	Found string
	// VirtualSize is the size of the disk inside, a multiple of 512 bytes.
	VirtualSize int64
}

// Refusal is why an image is not taken. Reason is for its owner.
type Refusal struct {
	Declared, Found string
	Reason          string
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("image declared %s, found %s: %s", r.Declared, r.Found, r.Reason)
}

// Refused says whether err is a refusal: the image's fault and not a failed read.
func Refused(err error) bool {
	var r *Refusal
	return errors.As(err, &r)
}

// Inspect says what the size bytes of r are when they are taken as the declared
// format. Its error is a *Refusal, or that of r. It may be called on anything.
func Inspect(r io.ReaderAt, size int64, declared string) (Info, error) {
	img := &image{r: r, size: size, declared: declared}
	return img.inspect()
}
