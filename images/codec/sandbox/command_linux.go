package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Level is a way to start the process, strong to weak.
type Level int

// The levels. Which ones a machine allows is found by trying: containers and
// distributions forbid namespaces in many ways, some only after the clone.
const (
	LevelFull       Level = iota // all namespaces, identity of nobody inside a user namespace
	LevelNoEmpty                 // the same without capabilities for an empty root
	LevelPrivileged              // root only: namespaces without a user namespace, set to nobody
	LevelNobody                  // root only: no namespaces, set to nobody
	LevelPlain                   // the parent's identity; the filter alone stands
	levelEnd
)

var levelNames = [levelEnd]string{"full", "full without empty root", "namespaces without user namespace", "other user only", "filter only"}

func (l Level) String() string { return levelNames[l] }

// nobody is the overflow user of Linux; inside a user namespace it is the only
// identity that exists.
const nobody = 65534

// envNamespaces carries the names of the parent's namespaces to Enter, which
// so learns which of its own are different.
const envNamespaces = "KAMADO_SANDBOX_PARENT"

var namespaceFiles = []struct {
	file  string
	layer Layers
}{
	{"user", UserNS}, {"mnt", MountNS}, {"pid", PIDNS}, {"net", NetNS}, {"ipc", IPCNS}, {"uts", UTSNS},
}

// Levels lists the levels worth trying for a process started by this one.
func Levels() []Level {
	if os.Geteuid() == 0 {
		return []Level{LevelFull, LevelNoEmpty, LevelPrivileged, LevelNobody, LevelPlain}
	}
	return []Level{LevelFull, LevelNoEmpty, LevelPlain}
}

// Command prepares a process at a level: nothing of the environment but env,
// no input, and files as descriptors 3 and up. The caller sets Stderr, and
// starts it with Start.
func Command(level Level, path string, args, env []string, files ...*os.File) *exec.Cmd {
	cmd := exec.Command(path, args...)
	var names []string
	for _, ns := range namespaceFiles {
		name, err := os.Readlink("/proc/self/ns/" + ns.file)
		if err != nil {
			name = "unknown"
		}
		names = append(names, name)
	}
	cmd.Env = append([]string{envNamespaces + "=" + strings.Join(names, " ")}, env...)
	cmd.Dir = "/"
	cmd.ExtraFiles = files
	cmd.SysProcAttr = attributes(level, os.Geteuid() == 0)
	return cmd
}

// Start starts a command that Command made.
//
// Where user namespaces are forbidden the clone fails, and syscall (Go 1.26)
// then keeps both ends of the pipe by which it would have told the child that
// its identities are mapped: two descriptors for every attempt, for ever. So
// the same clone is tried first without a mapping, for which there is no pipe.
func Start(cmd *exec.Cmd) error {
	if a := cmd.SysProcAttr; a != nil && a.UidMappings != nil {
		if err := tryClone(a.Cloneflags); err != nil {
			return fmt.Errorf("new namespaces: %w", err)
		}
	}
	return cmd.Start()
}

// tryClone makes a process with clone flags that ends at once: it has no
// program to run, and that there is none is what it comes to say.
func tryClone(flags uintptr) error {
	_, err := syscall.ForkExec("", []string{""}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Cloneflags: flags}})
	if err == syscall.ENOENT {
		return nil
	}
	return err
}

func attributes(level Level, root bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true}
	const all = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
	switch level {
	case LevelFull, LevelNoEmpty:
		a.Cloneflags = all | unix.CLONE_NEWUSER
		uid, gid := os.Geteuid(), os.Getegid()
		a.Credential = &syscall.Credential{Uid: nobody, Gid: nobody, NoSetGroups: !root}
		if root {
			uid, gid = nobody, nobody // outside it is nobody too, not root under another name
			a.GidMappingsEnableSetgroups = true
		}
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: uid, Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: gid, Size: 1}}
	case LevelPrivileged:
		a.Cloneflags = all
		a.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	case LevelNobody:
		a.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	if level == LevelFull || level == LevelPrivileged {
		a.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN}
	}
	return a
}
