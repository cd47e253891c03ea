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

// clockTick is the unit of the times in /proc/PID/stat; Linux fixes USER_HZ at
// 100 on every architecture that Go knows.
const clockTick = time.Second / 100

// tree is a process with all that descend from it, as one measured thing.
type tree struct{ pid int }

// cpu is the user and system time of the whole tree so far: the nanosecond
// clocks of those alive, and the ticks that the living have reaped.
func (t tree) cpu() (time.Duration, error) {
	var sum time.Duration
	pids, err := t.pids()
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		var ts unix.Timespec
		// The CPU-time clock of another process: clock_getcpuclockid(3)
		// computes exactly this, with 2 for "scheduler precision".
		clock := int32(^pid<<3 | 2)
		if err := unix.ClockGettime(clock, &ts); err != nil {
			if pid == t.pid {
				return 0, fmt.Errorf("read the CPU clock of process %d: %w", pid, err)
			}
			continue // a worker that ended between the listing and now
		}
		sum += time.Duration(ts.Nano())
		if s, err := readStat(pid); err == nil {
			sum += s.reaped
		}
	}
	return sum, nil
}

// pss is the proportional memory of the tree in bytes: shared pages are divided
// among those who share them, so that the sum is what the tree occupies.
func (t tree) pss() (int64, int, error) {
	pids, err := t.pids()
	if err != nil {
		return 0, 0, err
	}
	var sum int64
	for _, pid := range pids {
		rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			if pid == t.pid {
				return 0, 0, err
			}
			continue
		}
		sum += parsePss(rollup)
	}
	return sum, len(pids), nil
}

// parsePss reads the "Pss:  123 kB" line.
func parsePss(rollup []byte) int64 {
	for line := range bytes.Lines(rollup) {
		if rest, ok := bytes.CutPrefix(line, []byte("Pss:")); ok {
			n, _ := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte("kB")))), 10, 64)
			return n << 10
		}
	}
	return 0
}

// pids lists the tree, its root first.
func (t tree) pids() ([]int, error) {
	entries, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, entry := range entries {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(entry)))
		if s, err := readStat(pid); err == nil {
			children[s.parent] = append(children[s.parent], pid)
		}
	}
	pids := []int{t.pid}
	for i := 0; i < len(pids); i++ {
		pids = append(pids, children[pids[i]]...)
	}
	return pids, nil
}

// stat is what is used of /proc/PID/stat.
type stat struct {
	parent int
	reaped time.Duration // CPU of children that ended and were waited for
}

func readStat(pid int) (stat, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(string(b))
}

// parseStat reads proc(5): the name in parentheses may hold anything, so fields
// are counted after the last parenthesis; parent is 4, cutime 16, cstime 17.
func parseStat(text string) (stat, error) {
	i := strings.LastIndexByte(text, ')')
	if i < 0 {
		return stat{}, fmt.Errorf("process status %q has no name", text)
	}
	field := strings.Fields(text[i+1:])
	if len(field) < 15 {
		return stat{}, fmt.Errorf("process status %q is short", text)
	}
	parent, err1 := strconv.Atoi(field[1])
	user, err2 := strconv.ParseInt(field[13], 10, 64)
	system, err3 := strconv.ParseInt(field[14], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return stat{}, fmt.Errorf("process status %q is not numbers", text)
	}
	return stat{parent: parent, reaped: time.Duration(user+system) * clockTick}, nil
}
