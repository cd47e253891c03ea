package server_test

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/compute/server"
)

// TestPurgeRefuses: what purge removes is tested with real guests and networks
// in test/compat/tempest.
func TestPurgeRefuses(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	dir := t.TempDir()
	if _, err := server.Purge(t.Context(), dir, log); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("purge of a directory without a cloud = %v, want that there is none", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "compute"), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "compute", "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Purge(t.Context(), dir, log); !errors.Is(err, server.ErrInUse) {
		t.Errorf("purge under a running server = %v, want %v", err, server.ErrInUse)
	}
}
