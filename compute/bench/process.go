package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpuOf is the user and system time that a process took so far.
func cpuOf(pid int) (time.Duration, error) {
	var ts unix.Timespec
	// The CPU-time clock of another process: clock_getcpuclockid(3) computes
	// exactly this, with 2 for "scheduler precision".
	if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
		return 0, fmt.Errorf("read the CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// memoryOf is the proportional memory of a process and all that descend from it
// in bytes, and how many processes these are. Shared pages are divided among
// those who share them.
func memoryOf(pid int) (pss int64, processes int, err error) {
	for _, p := range descendants(pid) {
		rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p))
		if err != nil {
			if p == pid {
				return 0, 0, err
			}
			continue // one that ended between the listing and now
		}
		processes++
		for line := range bytes.Lines(rollup) {
			if rest, ok := bytes.CutPrefix(line, []byte("Pss:")); ok {
				n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(string(rest)), "kB")), 10, 64)
				pss += n << 10
			}
		}
	}
	return pss, processes, nil
}

// descendants lists a process and its children's children.
func descendants(pid int) []int {
	children := map[int][]int{}
	entries, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	for _, entry := range entries {
		b, err := os.ReadFile(entry)
		if err != nil {
			continue
		}
		// proc(5): the name in parentheses may hold anything; the parent is the second field after it.
		field := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(field) < 2 {
			continue
		}
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(entry)))
		parent, _ := strconv.Atoi(field[1])
		children[parent] = append(children[parent], child)
	}
	pids := []int{pid}
	for i := 0; i < len(pids); i++ {
		pids = append(pids, children[pids[i]]...)
	}
	return pids
}

// processesNaming lists the processes whose command line holds a text, and whose
// program's name begins so.
func processesNaming(program, text string) []int {
	var pids []int
	entries, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is right
	for _, entry := range entries {
		b, err := os.ReadFile(entry)
		if err != nil || !bytes.Contains(b, []byte(text)) {
			continue
		}
		name, _, _ := bytes.Cut(b, []byte{0})
		if !strings.HasPrefix(filepath.Base(string(name)), program) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(entry))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
