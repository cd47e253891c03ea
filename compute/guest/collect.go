package guest

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// The programs that are gathered, with where Debian 12 and 13 have them.
var (
	guestPrograms = []string{"busybox", "dropbear", "dropbearkey", "resize2fs"}
	buildPrograms = []string{"mke2fs", "debugfs"}
	programDirs   = []string{"usr/bin", "usr/sbin", "bin", "sbin"}
	libraryDirs   = []string{
		"usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib64", "lib64", "usr/lib", "lib",
	}
)

// collector gathers parts from folders that packages were unpacked into.
type collector struct {
	roots []string
	out   string
	libs  map[string]bool // that are copied
	manifest
}

// Collect gathers parts into the folder out, which it makes anew, from roots: the
// folders that packages were unpacked into, first one first; "/" may be one. A
// file "packages" in a root, lines of a name and a version, goes into the
// manifest. It takes about a second.
func Collect(ctx context.Context, roots []string, out string) (Gathered, error) {
	part := out + ".part"
	if err := os.RemoveAll(part); err != nil {
		return Gathered{}, err
	}
	for _, dir := range []string{"bin", "lib", "modules"} {
		if err := os.MkdirAll(filepath.Join(part, dir), 0o755); err != nil {
			return Gathered{}, err
		}
	}
	c := &collector{roots: roots, out: part, libs: map[string]bool{}, manifest: manifest{
		Format: partsFormat, Modules: map[string]Driver{}, Load: map[string][]string{}, Packages: map[string]string{},
	}}
	for _, step := range []func(context.Context) error{c.programs, c.kernel, c.packages, c.write} {
		if err := step(ctx); err != nil {
			return Gathered{}, errors.Join(err, os.RemoveAll(part))
		}
	}
	if err := os.RemoveAll(out); err != nil {
		return Gathered{}, err
	}
	if err := os.Rename(part, out); err != nil {
		return Gathered{}, err
	}
	return Parts(out)
}

// programs copies programs and libraries: those of the guest first, so that the
// manifest can name them.
func (c *collector) programs(context.Context) error {
	for _, name := range guestPrograms {
		if err := c.program(name); err != nil {
			return err
		}
	}
	c.Libraries = slices.Sorted(maps.Keys(c.libs))
	for _, name := range buildPrograms {
		if err := c.program(name); err != nil {
			return err
		}
	}
	if c.Loader == "" {
		return errors.New("no program names a loader")
	}
	return nil
}

func (c *collector) program(name string) error {
	body, err := c.find(programDirs, name)
	if err != nil {
		return err
	}
	if name == "busybox" {
		if needs, _, err := needed(body); err != nil || len(needs) > 0 {
			return fmt.Errorf("busybox is not static (package busybox-static has the one that is): %w", errors.Join(err, fmt.Errorf("needs %v", needs)))
		}
	}
	if err := os.WriteFile(filepath.Join(c.out, "bin", name), body, 0o755); err != nil {
		return err
	}
	return c.libraries(name, body)
}

// libraries copies what an ELF file needs, and what that needs.
func (c *collector) libraries(name string, body []byte) error {
	names, loader, err := needed(body)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if loader != "" {
		c.Loader = loader
		names = append(names, filepath.Base(loader))
	}
	for _, lib := range names {
		if c.libs[lib] {
			continue
		}
		c.libs[lib] = true
		body, err := c.find(libraryDirs, lib)
		if err != nil {
			return fmt.Errorf("%s needs %s: %w", name, lib, err)
		}
		if err := os.WriteFile(filepath.Join(c.out, "lib", lib), body, 0o755); err != nil {
			return err
		}
		if err := c.libraries(lib, body); err != nil {
			return err
		}
	}
	return nil
}

// needed gives the libraries that an ELF file names, and its loader.
func needed(body []byte) (libs []string, loader string, err error) {
	f, err := elf.NewFile(bytes.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	if f.Machine != elf.EM_X86_64 {
		return nil, "", fmt.Errorf("it is for %s; guests are x86-64", f.Machine)
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP || p.Filesz > 4096 {
			continue
		}
		path := make([]byte, p.Filesz)
		if _, err := p.ReadAt(path, 0); err != nil {
			return nil, "", err
		}
		loader = strings.TrimRight(string(path), "\x00")
	}
	libs, err = f.ImportedLibraries()
	return libs, loader, err
}

// find reads the first file of a name in any of dirs of any root.
func (c *collector) find(dirs []string, name string) ([]byte, error) {
	for _, root := range c.roots {
		for _, dir := range dirs {
			body, err := os.ReadFile(filepath.Join(root, dir, name))
			if err == nil || !errors.Is(err, fs.ErrNotExist) {
				return body, err
			}
		}
	}
	return nil, fmt.Errorf("%s is in none of %s: %w", name, strings.Join(c.roots, ", "), fs.ErrNotExist)
}

// kernel takes the kernel and its drivers from the first root that has them.
func (c *collector) kernel(ctx context.Context) error {
	for _, root := range c.roots {
		images, _ := filepath.Glob(filepath.Join(root, "boot", "vmlinuz-*-cloud-amd64"))
		if len(images) == 0 {
			continue
		}
		image := images[len(images)-1]
		c.Release = strings.TrimPrefix(filepath.Base(image), "vmlinuz-")
		for _, dir := range []string{"lib/modules", "usr/lib/modules"} {
			d, err := findDrivers(filepath.Join(root, dir, c.Release))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			if err := c.kernelImage(image); err != nil {
				return err
			}
			return c.drivers(ctx, d)
		}
		return fmt.Errorf("%s has no modules beside it", image)
	}
	return errors.New("no kernel in any of the folders: package linux-image-cloud-amd64 depends on the one to unpack")
}

func (c *collector) kernelImage(image string) error {
	body, err := os.ReadFile(image)
	if err != nil {
		return err
	}
	unpacked, err := extractKernel(body)
	if err == nil {
		body = unpacked
	} else if !errors.Is(err, errNotExtracted) {
		return fmt.Errorf("unpack %s: %w", image, err)
	}
	return os.WriteFile(filepath.Join(c.out, "kernel"), body, 0o644)
}

func (c *collector) drivers(ctx context.Context, d drivers) error {
	need := func(name string) ([]string, error) {
		body, err := c.readDriver(ctx, d.files[name])
		if err != nil {
			return nil, fmt.Errorf("driver %s: %w", name, err)
		}
		needs, err := driverNeeds(body)
		if err != nil {
			return nil, fmt.Errorf("driver %s: %w", name, err)
		}
		c.Modules[name] = Driver{needs}
		return needs, os.WriteFile(filepath.Join(c.out, "modules", name+".ko"), body, 0o644)
	}
	loaded := map[string]bool{}
	for _, purpose := range purposeOrder {
		list, err := d.order(purposes[purpose], need)
		if err != nil {
			return err
		}
		c.Load[purpose] = slices.DeleteFunc(list, func(name string) bool { return loaded[name] })
		for _, name := range list {
			loaded[name] = true
		}
	}
	return nil
}

// readDriver reads a module, which Debian 13 keeps compressed by xz; busybox
// unpacks it.
func (c *collector) readDriver(ctx context.Context, path string) ([]byte, error) {
	switch filepath.Ext(path) {
	case ".ko":
		return os.ReadFile(path)
	case ".xz":
		return exec.CommandContext(ctx, filepath.Join(c.out, "bin", "busybox"), "xz", "-dc", path).Output()
	}
	return nil, fmt.Errorf("%s is compressed in a way that is not read here", path)
}

func (c *collector) packages(context.Context) error {
	for _, root := range c.roots {
		b, err := os.ReadFile(filepath.Join(root, "packages"))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if name, version, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
				c.Packages[name] = version
			}
		}
	}
	return nil
}

func (c *collector) write(context.Context) error {
	b, err := json.MarshalIndent(c.manifest, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.out, "manifest.json"), append(b, '\n'), 0o644)
}
