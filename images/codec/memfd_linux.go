package codec

import (
	"fmt"

	"github.com/kamado/kamado/images/plane"
	"golang.org/x/sys/unix"
)

// memfd is anonymous memory with a descriptor that a worker can map. It lives
// for one request: closing it on both sides gives the memory back.
type memfd struct{ fd int }

func newMemfd(name string) (memfd, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // before Linux 6.3
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return memfd{-1}, fmt.Errorf("create memfd: %w", err)
	}
	return memfd{fd}, nil
}

func (m memfd) close() {
	if m.fd >= 0 {
		unix.Close(m.fd)
	}
}

func (m memfd) write(b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(m.fd, b)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("write memfd: %w", err)
		}
		b = b[n:]
	}
	return nil
}

// seal makes what was written unchangeable for everybody.
func (m memfd) seal() error {
	const seals = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(m.fd), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("seal memfd: %w", err)
	}
	return nil
}

// inputMemfd holds parts one after another, sealed.
func inputMemfd(parts ...[]byte) (memfd, error) {
	m, err := newMemfd("kamado-codec-in")
	if err != nil {
		return m, err
	}
	for _, b := range parts {
		if err == nil {
			err = m.write(b)
		}
	}
	if err == nil {
		err = m.seal()
	}
	if err != nil {
		m.close()
		return memfd{-1}, err
	}
	return m, nil
}

// outputMemfd is room of a fixed size for a worker to write to. Pages take
// memory only when they are written.
func outputMemfd(size int64) (memfd, error) {
	m, err := newMemfd("kamado-codec-out")
	if err != nil {
		return m, err
	}
	if err = unix.Ftruncate(m.fd, size); err == nil {
		_, err = unix.FcntlInt(uintptr(m.fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	}
	if err != nil {
		m.close()
		return memfd{-1}, fmt.Errorf("size memfd: %w", err)
	}
	return m, nil
}

// read copies len(b) bytes from offset on: once, so that a worker cannot
// change what has been looked at.
func (m memfd) read(b []byte, offset int64) error {
	for len(b) > 0 {
		n, err := unix.Pread(m.fd, b, offset)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("read memfd: %w", err)
		}
		if n == 0 {
			return fmt.Errorf("read memfd: ends %d bytes early", len(b))
		}
		b, offset = b[n:], offset+int64(n)
	}
	return nil
}

// planeBytes is the part of a plane that travels: whole rows with their
// stride, without the slack.
func planeBytes(p *plane.Plane) []byte { return p.Pix[:p.Stride*p.Height] }
