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

// Trim unmaps the pages of the program's own file that are its code and its constants. Nothing is lost, and nothing need
// wait. Pages that cannot be written now but were, as the tables that a dynamic linker fills before it closes them
// (RELRO), are copies that the file does not have: their mappings are left alone.
func Trim() error {
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("find the program's pages: %w", err)
	}
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("find the program: %w", err)
	}
	var errs []error
	for _, m := range clean(maps, exe) {
		if _, _, e := unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED); e != 0 {
			errs = append(errs, fmt.Errorf("give back %x-%x: %w", m.from, m.to, e))
		}
	}
	return errors.Join(errs...)
}

// mapping is a range of addresses.
type mapping struct{ from, to uintptr }

// clean reads /proc/self/smaps (proc_pid_smaps(5)): the mappings of the program's file without the right to write of which
// every page is still that of the file.
func clean(maps []byte, exe string) (found []mapping) {
	var now mapping
	wanted, own, fields := false, uint64(0), 0 // own: kB that are not the file's, in memory or swapped out: two fields
	end := func() {
		if wanted && fields == 2 && own == 0 {
			found = append(found, now)
		}
	}
	for lines := bufio.NewScanner(bytes.NewReader(maps)); lines.Scan(); {
		line := lines.Text()
		name, rest, isField := strings.Cut(line, ":")
		if !isField || strings.ContainsAny(name, " -") {
			end()
			now.from, now.to, wanted = readOnly(line, exe)
			fields, own = 0, 0
			continue
		}
		if name == "Anonymous" || name == "Swap" {
			var kB uint64
			if _, err := fmt.Sscan(rest, &kB); err == nil {
				fields++
				own += kB
			}
		}
	}
	end()
	return found
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

// readOnly reads the first line of a mapping (proc_pid_maps(5)), and takes those of
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
