package journal

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/internal/disk"
)

// Names in the directory.
const (
	fileName    = "entries"
	compactName = "entries.compact" // being written by compaction
	rewriteName = "entries.rewrite" // being written after a failed write
	lockName    = "lock"
)

// lockDir takes the directory for this process. The lock goes with the process,
// however it ends.
func lockDir(dir string) (*disk.Lock, error) {
	l, err := disk.TakeLock(filepath.Join(dir, lockName))
	var held *disk.HeldError
	if errors.As(err, &held) {
		return nil, &dns.Error{
			Op: "open journal", Kind: dns.Conflict,
			Detail: fmt.Sprintf("%s is in use by process %s: stop it, or give this member another directory", dir, held.PID),
		}
	}
	return l, err
}

// failure is the error of an append that did not become durable.
func failure(op string, err error) error {
	if err == nil {
		return nil
	}
	var e *dns.Error
	if errors.As(err, &e) {
		return err
	}
	if disk.Full(err) {
		return &dns.Error{Op: op, Kind: dns.Exhausted, Detail: "the disk that keeps this member's entries is full", Err: err}
	}
	return &dns.Error{Op: op, Kind: dns.Unavailable, Detail: "the disk that keeps this member's entries fails", Err: err}
}
