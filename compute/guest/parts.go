package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// partsFormat is raised when what Collect gathers changes, so that parts of
// another program are not built from.
const partsFormat = 2

// ErrNoParts: the directory holds no parts of this program's format, or not all.
var ErrNoParts = errors.New("no parts of machine image tiny (./setup build gathers them)")

// Gathered are parts: a directory with
//
//	manifest.json  a manifest, written last
//	kernel         an ELF kernel with a PVH entry, or a bzImage
//	modules/       drivers, not compressed
//	bin/           programs: of the guest, and mke2fs and debugfs
//	lib/           the libraries of all of them, and their loader
type Gathered struct {
	dir string
	manifest
}

// manifest says what parts there are.
type manifest struct {
	Format  int               `json:"format"`
	Release string            `json:"release"` // of the kernel, as uname -r says
	Modules map[string]Driver `json:"modules"` // by file name without .ko
	// Load holds the names of drivers in the order in which they can be loaded, by purpose.
	Load map[string][]string `json:"load"`
	// Libraries are the file names that the guest's programs need; Loader is one of them.
	Libraries []string          `json:"libraries"`
	Loader    string            `json:"loader"` // path in the guest: what the programs name as their interpreter
	Packages  map[string]string `json:"packages"`
}

// Driver is a module of the kernel.
type Driver struct {
	Needs []string `json:"needs,omitempty"`
}

// Parts finds parts that Collect gathered.
func Parts(dir string) (Gathered, error) {
	b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if errors.Is(err, os.ErrNotExist) {
		return Gathered{}, fmt.Errorf("%s: %w", dir, ErrNoParts)
	}
	if err != nil {
		return Gathered{}, err
	}
	p := Gathered{dir: dir}
	if err := json.Unmarshal(b, &p.manifest); err != nil {
		return Gathered{}, fmt.Errorf("read %s/manifest.json: %w", dir, err)
	}
	if p.Format != partsFormat {
		return Gathered{}, fmt.Errorf("%s holds parts of format %d, this program needs %d: %w", dir, p.Format, partsFormat, ErrNoParts)
	}
	return p, nil
}

// Version names the parts for people: the kernel's release.
func (p Gathered) Version() string { return p.Release }

// Packages are the versions of the packages that the parts come from.
func (p Gathered) Packages() map[string]string { return p.manifest.Packages }

func (p Gathered) path(elem ...string) string {
	return filepath.Join(append([]string{p.dir}, elem...)...)
}
