package qemu

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// dirBoot keeps readable copies of kernels and ramdisks. Its name is no id.
const dirBoot = ".boot"

// bootCopiesMax bounds the copies that are kept; the oldest goes. A process that
// has one open keeps it.
const bootCopiesMax = 16

// bootCopy gives a copy of f that everybody may read, named by what f is: its
// file system, inode, size and time of change.
func (e *Engine) bootCopy(f *os.File, st unix.Stat_t) (*os.File, error) {
	dir := filepath.Join(e.dir, dirBoot)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, fmt.Sprintf("%x-%x-%x-%x.%09d", st.Dev, st.Ino, st.Size, st.Ctim.Sec, st.Ctim.Nsec))
	if ready, err := openPlain(name, os.O_RDONLY); err == nil {
		return ready, nil
	}
	part, err := os.CreateTemp(dir, "new-*")
	if err != nil {
		return nil, hostError(err)
	}
	defer part.Close()
	_, err = io.Copy(part, io.NewSectionReader(f, 0, st.Size))
	if err == nil {
		err = part.Chmod(0o444)
	}
	if err == nil {
		err = os.Rename(part.Name(), name)
	}
	if err != nil {
		_ = os.Remove(part.Name())
		return nil, hostError(fmt.Errorf("copy a kernel: %w", err))
	}
	e.dropBootCopies(dir)
	return openPlain(name, os.O_RDONLY)
}

// dropBootCopies removes the oldest copies beyond the bound.
func (e *Engine) dropBootCopies(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	var files []fs.FileInfo
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil {
			files = append(files, info)
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	for _, f := range files[min(len(files), bootCopiesMax):] {
		_ = os.Remove(filepath.Join(dir, f.Name()))
	}
}
