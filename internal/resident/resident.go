// Package resident keeps the memory of a long-lived process small. It is for
// processes that run on every machine beside what the machine is for.
//
// A program of many services touches most of its own file while it starts: the
// tables of every linked package are set up, whether the service is used or not.
// Those pages stay mapped and count as the process's memory although nothing
// needs them again. They are clean copies of the file, so the kernel may have
// them back at any time; what is needed after all is mapped again from its cache.
package resident

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Trim unmaps the pages of the program's own file that cannot have been written
// to: its code and its constants. Nothing is lost, and nothing need wait.
func Trim() error {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("find the program's pages: %w", err)
	}
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("find the program: %w", err)
	}
	var errs []error
	for lines := bufio.NewScanner(bytes.NewReader(maps)); lines.Scan(); {
		from, to, ok := readOnly(lines.Text(), exe)
		if !ok {
			continue
		}
		if _, _, e := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); e != 0 {
			errs = append(errs, fmt.Errorf("give back %x-%x: %w", from, to, e))
		}
	}
	return errors.Join(errs...)
}

// Busy is the processor time that the process has used, of the program and of the system for it; 0 where that cannot be
// asked.
func Busy() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// readOnly reads a line of /proc/self/maps (proc_pid_maps(5)), and takes those of
// the program's file that are mapped without the right to write.
func readOnly(line, exe string) (from, to uintptr, ok bool) {
	var perms, path string
	if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &perms); err != nil {
		return 0, 0, false
	}
	if i := strings.IndexByte(line, '/'); i >= 0 {
		path = line[i:]
	}
	return from, to, path == exe && strings.HasPrefix(perms, "r-") && from < to
}
