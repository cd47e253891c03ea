package guest

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
)

// cpio writes an archive that the kernel unpacks as its first file system: format
// "newc" (Documentation/driver-api/early-userspace/buffer-format.rst of Linux).
// Owners are root, times are 0, so that equal contents give equal bytes.
type cpio struct {
	w   *bufio.Writer
	n   int64 // bytes written
	ino int
	err error
}

func newCPIO(w io.Writer) *cpio { return &cpio{w: bufio.NewWriterSize(w, 1<<20)} }

// The file types of a mode (stat(2)).
const (
	cpioFile    = 0o100000
	cpioDir     = 0o040000
	cpioSymlink = 0o120000
)

func (c *cpio) dir(name string)             { c.entry(name, cpioDir|0o755, nil) }
func (c *cpio) symlink(name, target string) { c.entry(name, cpioSymlink|0o777, []byte(target)) }
func (c *cpio) file(name string, perm fs.FileMode, data []byte) {
	c.entry(name, cpioFile|int(perm.Perm()), data)
}

// entry writes a header of 6 + 13*8 hexadecimal digits, the name with a 0 after
// it and the data; name and data are filled up to a multiple of 4 bytes.
func (c *cpio) entry(name string, mode int, data []byte) {
	c.ino++
	c.printf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		c.ino, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
	c.fill(4)
	c.write(data)
	c.fill(4)
}

// close ends the archive.
func (c *cpio) close() error {
	c.ino = -1
	c.entry("TRAILER!!!", 0, nil)
	c.fill(512)
	if c.err != nil {
		return c.err
	}
	return c.w.Flush()
}

func (c *cpio) fill(to int64) {
	for c.n%to != 0 && c.err == nil {
		c.printf("\x00")
	}
}

func (c *cpio) printf(format string, args ...any) { c.write(fmt.Appendf(nil, format, args...)) }

func (c *cpio) write(b []byte) {
	if c.err != nil {
		return
	}
	n, err := c.w.Write(b)
	c.n += int64(n)
	c.err = err
}
