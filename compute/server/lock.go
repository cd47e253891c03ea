package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// lockFile is held by the process that works on the directory.
const lockFile = "lock"

// ErrInUse: another process works on the same data.
var ErrInUse = errors.New("another kamado works on it")

// lock takes the directory until Close, or until the process ends however it
// does: two of them would start the same guests twice.
func (s *Server) lock() error {
	name := filepath.Join(s.dir, lockFile)
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("lock %s: %w", name, err)
		}
		who := make([]byte, 20)
		n, _ := f.Read(who) // without it the error says less
		return fmt.Errorf("data directory %s: %w (process %s): end it, or name another directory with --data",
			s.opts.Data, ErrInUse, strings.TrimSpace(string(who[:n])))
	}
	s.closers = append(s.closers, f.Close)
	if err := f.Truncate(0); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if _, err := fmt.Fprintln(f, os.Getpid()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
