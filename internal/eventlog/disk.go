package eventlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// disk is what the writer asks of the file system; tests put one in its place
// that is full.
type disk interface {
	// Create makes a file that must not be there yet.
	Create(path string) (file, error)
}

// file is an append-only file.
type file interface {
	Write(p []byte) (int, error)
	Sync() error
	Truncate(size int64) error
	Seek(offset int64, whence int) (int64, error)
	Close() error
}

type osDisk struct{}

func (osDisk) Create(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err // not a nil *os.File in an interface
	}
	return f, nil
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// manifest says how far compaction came. It is one small file that is replaced
// whole.
type manifest struct {
	Version   int    `json:"version"`   // 1
	Log       string `json:"log"`       // identity of this log among those that share a store; 16 hexadecimal digits
	Compacted uint64 `json:"compacted"` // every segment up to this number lies in the store
}

const manifestVersion = 1

// readManifest gives the manifest; a zero one when there is none yet.
func readManifest(dir string) (manifest, error) {
	b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return manifest{}, nil
	}
	if err != nil {
		return manifest{}, err
	}
	var m manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return manifest{}, fmt.Errorf("manifest.json: %w", err)
	}
	if m.Version != manifestVersion || m.Log == "" {
		return manifest{}, fmt.Errorf("manifest.json: version %d, this program reads %d", m.Version, manifestVersion)
	}
	return m, nil
}

// writeManifest replaces the manifest: it is the old one or the new one after a
// crash, and the new one once this has returned.
func writeManifest(dir string, m manifest) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, "manifest.json.tmp")
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	if err := os.Rename(tmp, filepath.Join(dir, "manifest.json")); err != nil {
		return err
	}
	return syncDir(dir)
}
