package qemu

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// cgroupParent names the directory of the cgroup file system (version 2) in
// which the domains of one engine get theirs, so that whoever stops the service
// by its cgroup leaves guests alone.
func cgroupParent(installation uint32) (string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ") // proc_pid_mountinfo(5)
		fields := strings.Fields(before)
		if len(fields) < 5 || !strings.HasPrefix(after, "cgroup2 ") {
			continue
		}
		dir := filepath.Join(fields[4], fmt.Sprintf("kamado-%08x", installation))
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return "", fmt.Errorf("%s is not writable", fields[4])
		}
		_ = os.Remove(dir) // it comes with its first guest and goes with its last
		return dir, nil
	}
	return "", errors.New("no cgroup file system of version 2")
}

// cgroup makes the cgroup of a domain; empty when there are none.
func (e *Engine) cgroup(id string) string {
	if e.cgroups == "" {
		return ""
	}
	dir := filepath.Join(e.cgroups, id)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "" // the last guest left in this moment, or the host changed its mind
	}
	return dir
}
