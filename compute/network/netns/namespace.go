package netns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// namedDir is where named namespaces lie, as iproute2 has it: ip netns shows ours.
const namedDir = "/var/run/netns"

// namespace is an open network namespace. Close it: while it is open, the
// kernel keeps what is in it, even after it was removed.
type namespace struct {
	name string
	fd   netns.NsHandle
	*netlink.Handle
}

// listNamespaces gives the named namespaces that begin with prefix.
func listNamespaces(prefix string) ([]string, error) {
	entries, err := os.ReadDir(namedDir)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, nil
		}
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	var list []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			list = append(list, e.Name())
		}
	}
	return list, nil
}

// openNamespace opens a named namespace; os.ErrNotExist when there is none.
func openNamespace(name string) (*namespace, error) {
	fd, err := netns.GetFromPath(filepath.Join(namedDir, name))
	if err != nil {
		return nil, fmt.Errorf("open namespace %s: %w", name, err)
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(fd), &st); err != nil || st.Type != unix.NSFS_MAGIC {
		_ = fd.Close()
		return nil, fmt.Errorf("open namespace %s: only a file: %w", name, os.ErrNotExist)
	}
	h, err := netlink.NewHandleAt(fd, unix.NETLINK_ROUTE, unix.NETLINK_NETFILTER)
	if err != nil {
		_ = fd.Close()
		return nil, fmt.Errorf("open namespace %s: %w", name, err)
	}
	return &namespace{name: name, fd: fd, Handle: h}, nil
}

// makeNamespace opens a named namespace, and makes it when there is none.
func makeNamespace(name string) (ns *namespace, made bool, err error) {
	ns, err = openNamespace(name)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return ns, false, err
	}
	// A kill between the file and its mount leaves the file.
	if err := os.Remove(filepath.Join(namedDir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, false, fmt.Errorf("make namespace %s: %w", name, err)
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		fd, err := netns.NewNamed(name)
		if err == nil {
			err = fd.Close()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		return nil, false, fmt.Errorf("make namespace %s: %w", name, err)
	}
	ns, err = openNamespace(name)
	return ns, true, err
}

// removeNamespace removes a namespace and every link in it. A guest that still
// holds a tap sees it go.
func removeNamespace(name string) error {
	ns, err := openNamespace(name)
	if err == nil {
		// Explicitly, because a tap that a guest holds would keep the namespace and all in it alive.
		links, lerr := ns.LinkList()
		for _, l := range links {
			if l.Type() != "device" && l.Attrs().Name != "lo" {
				_ = ns.LinkDel(l)
			}
		}
		ns.Close()
		if lerr != nil {
			return fmt.Errorf("remove namespace %s: %w", name, lerr)
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	path := filepath.Join(namedDir, name)
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove namespace %s: %w", name, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove namespace %s: %w", name, err)
	}
	return nil
}

// dumpTries is how often a listing is asked for again that others' changes
// interrupted.
const dumpTries = 10

// steady lists until nothing changed meanwhile.
func steady[T any](list func() (T, error)) (T, error) {
	var got T
	var err error
	for range dumpTries {
		got, err = list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return got, err
		}
	}
	return got, err
}

// LinkList gives all links, in a steady listing. It hides Handle's.
func (n *namespace) LinkList() ([]netlink.Link, error) { return steady(n.Handle.LinkList) }

// Close lets the namespace go.
func (n *namespace) Close() {
	n.Handle.Close()
	_ = n.fd.Close()
}

// do calls f on a thread that is in the namespace: for sockets, taps and
// settings, which belong to the namespace of the thread that makes them.
func (n *namespace) do(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		own, err := netns.Get()
		if err != nil {
			done <- fmt.Errorf("enter namespace %s: %w", n.name, err)
			return // the locked thread ends here
		}
		defer func() { _ = own.Close() }()
		if err := netns.Set(n.fd); err != nil {
			done <- fmt.Errorf("enter namespace %s: %w", n.name, err)
			return
		}
		err = f()
		if back := netns.Set(own); back == nil {
			runtime.UnlockOSThread() // else the thread is lost to others, and ends
		}
		done <- err
	}()
	return <-done
}

// setting is a file below /proc/sys/net and what it must hold.
type setting struct{ path, value string }

// set writes the settings that differ and says how many did. An absent one is
// skipped when optional says so.
func (n *namespace) set(list []setting, optional bool) (changed int, err error) {
	err = n.do(func() error {
		var errs []error
		for _, s := range list {
			file := "/proc/sys/net/" + s.path
			b, err := os.ReadFile(file)
			if optional && errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err == nil && strings.TrimSpace(string(b)) == s.value {
				continue
			}
			if err := os.WriteFile(file, []byte(s.value), 0o644); err != nil {
				errs = append(errs, fmt.Errorf("set %s: %w", s.path, err))
				continue
			}
			changed++
		}
		return errors.Join(errs...)
	})
	return changed, err
}
