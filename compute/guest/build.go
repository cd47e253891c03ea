package guest

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Files are the parts of a machine image that is booted directly.
type Files struct {
	Kernel  string // an ELF file with a PVH entry, or a bzImage
	Ramdisk string // newc cpio, not compressed
	Disk    string // raw, an ext4 file system without a partition table
	// CommandLine is what the kernel is to be told.
	CommandLine string
}

// CommandLine is the kernel's command line of tiny, from what
// was measured under emulation (2.3 GHz, from QEMU's start to the first program):
// a trusted clock and no self-tests of ciphers save 0.25 s, hurried grace periods
// 0.15 s, and silence 0.1 s. The guest has one user, root, from whom no
// processor's mitigation protects anything.
const CommandLine = "root=/dev/vda console=tty0 console=ttyS0 quiet mitigations=off tsc=reliable no_timer_check" +
	" cryptomgr.notests rcupdate.rcu_expedited=1 random.trust_cpu=on net.ifnames=0 panic=10"

// TinyMemoryMiB is the least memory that tiny boots with: its kernel takes 34 MiB,
// its ramdisk 5.
const TinyMemoryMiB = 96

// diskMiB is the size of tiny's disk. The file system grows to the size of the
// disk that a flavor gives it when it first boots.
const diskMiB = 24

// tree is what the guest has beside its programs: scripts and tables.
//
//go:embed all:tree
var tree embed.FS

// Build makes the machine image tiny in the folder out, which it makes: the files
// kernel, ramdisk and disk.raw. What is there is replaced when all three are done.
func Build(ctx context.Context, p Gathered, out string) (Files, error) {
	if p.Format != partsFormat {
		return Files{}, ErrNoParts
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return Files{}, err
	}
	work, err := os.MkdirTemp(out, "build-")
	if err != nil {
		return Files{}, err
	}
	defer os.RemoveAll(work)
	b := &builder{parts: p, dir: work}
	steps := []struct {
		what string
		do   func(context.Context) error
	}{
		{"kernel", b.kernel}, {"ramdisk", b.ramdisk}, {"disk", b.disk},
	}
	for _, step := range steps {
		if err := step.do(ctx); err != nil {
			return Files{}, fmt.Errorf("make the %s of machine image tiny: %w", step.what, err)
		}
	}
	files := Files{filepath.Join(out, "kernel"), filepath.Join(out, "ramdisk"), filepath.Join(out, "disk.raw"), CommandLine}
	for _, file := range []string{files.Kernel, files.Ramdisk, files.Disk} {
		if err := os.Rename(filepath.Join(work, filepath.Base(file)), file); err != nil {
			return Files{}, err
		}
	}
	return files, nil
}

// builder makes the three files in a folder of its own.
type builder struct {
	parts Gathered
	dir   string
}

func (b *builder) path(elem ...string) string {
	return filepath.Join(append([]string{b.dir}, elem...)...)
}

func (b *builder) kernel(context.Context) error {
	from, err := os.Open(b.parts.path("kernel"))
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(b.path("kernel"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from) // by the kernel: it has tens of MiB
	return errors.Join(err, to.Close())
}

// ramdisk holds busybox, the drivers and the program that loads them.
func (b *builder) ramdisk(context.Context) error {
	f, err := os.Create(b.path("ramdisk"))
	if err != nil {
		return err
	}
	defer f.Close()
	c := newCPIO(f)
	for _, dir := range []string{"bin", "dev", "modules", "proc", "root", "sys"} {
		c.dir(dir)
	}
	busybox, err := os.ReadFile(b.parts.path("bin", "busybox"))
	if err != nil {
		return err
	}
	c.file("bin/busybox", 0o755, busybox)
	for _, applet := range []string{"cttyhack", "insmod", "mount", "mv", "setsid", "sh", "switch_root", "usleep"} {
		c.symlink("bin/"+applet, "busybox")
	}
	start, err := tree.ReadFile("tree/ramdisk/init")
	if err != nil {
		return err
	}
	c.file("init", 0o755, start)
	for _, purpose := range purposeOrder {
		c.file("modules/"+purpose, 0o644, []byte(strings.Join(b.parts.Load[purpose], "\n")+"\n"))
		for _, name := range b.parts.Load[purpose] {
			body, err := os.ReadFile(b.parts.path("modules", name+".ko"))
			if err != nil {
				return err
			}
			c.file("modules/"+name+".ko", 0o644, body)
		}
	}
	if err := c.close(); err != nil {
		return err
	}
	return f.Close()
}

// disk is an ext4 file system of the guest's tree.
func (b *builder) disk(ctx context.Context) error {
	if err := b.plant(ctx); err != nil {
		return err
	}
	disk := b.path("disk.raw")
	f, err := os.Create(disk)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(diskMiB<<20), f.Close()); err != nil {
		return err
	}
	// Blocks of 4 KiB and tables reserved for 64 GiB, so that it can grow while it is mounted; a small journal.
	if err := b.run(ctx, nil, "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-m", "0", "-L", "tiny", "-J", "size=4",
		"-O", "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize",
		"-E", "lazy_itable_init=0,nodiscard,root_owner=0:0,resize=16777216",
		"-d", b.path("tree"), disk); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		return nil
	}
	return b.giveToRoot(ctx, disk)
}

// giveToRoot makes root the owner of every file, for builds by somebody else.
func (b *builder) giveToRoot(ctx context.Context, disk string) error {
	var script strings.Builder
	root := b.path("tree")
	err := filepath.WalkDir(root, func(file string, _ fs.DirEntry, err error) error {
		if err != nil || file == root {
			return err
		}
		name := strings.TrimPrefix(file, root)
		fmt.Fprintf(&script, "set_inode_field %s uid 0\nset_inode_field %s gid 0\n", name, name)
		return nil
	})
	if err != nil {
		return err
	}
	return b.run(ctx, strings.NewReader(script.String()), "debugfs", "-w", "-f", "-", disk)
}

// run runs a program of the parts by their own loader, with their own libraries:
// nothing of the host is needed.
func (b *builder) run(ctx context.Context, stdin *strings.Reader, name string, args ...string) error {
	args = append([]string{"--library-path", b.parts.path("lib"), b.parts.path("bin", name)}, args...)
	cmd := exec.CommandContext(ctx, b.parts.path("lib", filepath.Base(b.parts.Loader)), args...)
	cmd.Env = []string{"MKE2FS_CONFIG=/dev/null", "PATH=/nonexistent"}
	if stdin != nil {
		cmd.Stdin = stdin
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, tail(out))
	}
	return nil
}

// tail is the end of what a program said, for an error.
func tail(b []byte) string {
	const most = 500
	if len(b) > most {
		b = b[len(b)-most:]
	}
	return strings.TrimSpace(string(b))
}

// plant makes the guest's tree in the folder tree.
func (b *builder) plant(ctx context.Context) error {
	for dir, perm := range map[string]fs.FileMode{
		"bin": 0o755, "dev": 0o755, "etc/dropbear": 0o700, "lib": 0o755, "lib64": 0o755, "mnt": 0o755, "proc": 0o755, "root/.ssh": 0o700,
		"run": 0o755, "sys": 0o755, "tmp": 0o777 | fs.ModeSticky, "usr": 0o755, "var/lib/guest": 0o700, "var/log": 0o755,
	} {
		if err := os.MkdirAll(b.path("tree", dir), 0o755); err != nil {
			return err
		}
		if err := os.Chmod(b.path("tree", dir), perm); err != nil {
			return err
		}
	}
	if err := os.Chmod(b.path("tree", "root"), 0o700); err != nil {
		return err
	}
	if err := b.plantTree(); err != nil {
		return err
	}
	if err := b.plantPrograms(ctx); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"etc/passwd":        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
		"etc/group":         "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
		"etc/shadow":        "root:*:20000:0:99999:7:::\nnobody:*:20000:0:99999:7:::\n",
		"etc/hostname":      "tiny\n",
		"etc/hosts":         "127.0.0.1 localhost\n::1 localhost\n",
		"etc/shells":        "/bin/sh\n",
		"etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n",
		"etc/issue":         "Kamado tiny, Linux \\r, on \\l\n\n",
		"etc/profile":       "export PATH=/bin:/sbin:/usr/bin:/usr/sbin\nPS1='\\u@\\h:\\w# '\n",
		"etc/os-release":    "ID=tiny\nNAME=\"Kamado tiny\"\nPRETTY_NAME=\"Kamado tiny (Linux " + b.parts.Release + ")\"\n",
		"etc/resolv.conf":   "",
	} {
		perm := fs.FileMode(0o644)
		if name == "etc/shadow" {
			perm = 0o600
		}
		if err := plantFile(b.path("tree", name), []byte(text), perm); err != nil {
			return err
		}
	}
	return nil
}

// plantTree writes the scripts and tables.
func (b *builder) plantTree() error {
	const top = "tree/disk"
	return fs.WalkDir(tree, top, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := b.path("tree", strings.TrimPrefix(name, top))
		if e.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		body, err := tree.ReadFile(name)
		if err != nil {
			return err
		}
		perm := fs.FileMode(0o644)
		if strings.HasPrefix(string(body), "#!") {
			perm = 0o755
		}
		return plantFile(to, body, perm)
	})
}

// plantPrograms puts the programs into /bin, with a link for each of busybox's
// names, and the libraries where the loader looks.
func (b *builder) plantPrograms(ctx context.Context) error {
	for _, name := range guestPrograms {
		if err := b.plantCopy(b.parts.path("bin", name), "bin/"+name); err != nil {
			return err
		}
	}
	for _, name := range b.parts.Libraries {
		to := "lib/" + name
		if name == path.Base(b.parts.Loader) {
			to = b.parts.Loader
		}
		if err := b.plantCopy(b.parts.path("lib", name), to); err != nil {
			return err
		}
	}
	out, err := exec.CommandContext(ctx, b.parts.path("bin", "busybox"), "--list").Output()
	if err != nil {
		return fmt.Errorf("list what busybox can do: %w", err)
	}
	own := slices.Concat(guestPrograms, []string{"sudo"})
	for _, applet := range strings.Fields(string(out)) {
		if slices.Contains(own, applet) {
			continue
		}
		if err := os.Symlink("busybox", b.path("tree", "bin", applet)); err != nil {
			return err
		}
	}
	for link, target := range map[string]string{"sbin": "bin", "usr/bin": "../bin", "usr/sbin": "../bin"} {
		if err := os.Symlink(target, b.path("tree", link)); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) plantCopy(from, to string) error {
	body, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return plantFile(b.path("tree", to), body, 0o755)
}

// plantFile writes a file with exactly that mode.
func plantFile(name string, body []byte, perm fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(name, body, perm); err != nil {
		return err
	}
	return os.Chmod(name, perm)
}
