package listen

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/dns"
)

// taken turns the error of a bind into one that a person can act on.
func taken(network string, addr netip.AddrPort, err error) error {
	e := &dns.Error{Op: fmt.Sprintf("listen on %s %s", network, addr), Kind: dns.Unavailable, Err: err}
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		e.Kind, e.Detail = dns.Conflict, holderText(findHolder("/proc", network, addr))
	case errors.Is(err, unix.EACCES):
		e.Kind, e.Detail = dns.Denied, fmt.Sprintf("port %d needs root or CAP_NET_BIND_SERVICE; or choose a port from 1024 on", addr.Port())
	case errors.Is(err, unix.EADDRNOTAVAIL):
		e.Kind, e.Detail = dns.Invalid, "no interface of this machine has the address"
	}
	return e
}

// holder is a process that has a socket.
type holder struct {
	name string
	pid  int
}

// resolvedName is what the kernel keeps of the name systemd-resolved: 15 bytes.
const resolvedName = "systemd-resolve"

func holderText(h holder) string {
	const other = "or choose another port"
	switch h.name {
	case "":
		return "the address is taken, by a process that only root may see; stop it, " + other
	case resolvedName:
		return fmt.Sprintf("the address is taken by systemd-resolved (process %d); set DNSStubListener=no in /etc/systemd/resolved.conf and restart it, %s", h.pid, other)
	}
	return fmt.Sprintf("the address is taken by %s (process %d); stop it, %s", h.name, h.pid, other)
}

// findHolder looks for the process whose socket excludes an address. proc is where the process file system lies.
func findHolder(proc, network string, addr netip.AddrPort) holder {
	for _, file := range []string{network, network + "6"} {
		b, err := os.ReadFile(filepath.Join(proc, "net", file))
		if err != nil {
			continue
		}
		for line := range bytes.Lines(b) {
			inode, ok := socketOf(string(line), network, addr)
			if !ok {
				continue
			}
			if h, ok := ownerOf(proc, inode); ok {
				return h
			}
		}
	}
	return holder{}
}

// socketOf gives the inode of a line of /proc/net/udp or tcp whose socket
// excludes an address: the same port, and the same host or all hosts on either side.
func socketOf(line, network string, addr netip.AddrPort) (inode string, ok bool) {
	const listening = "0A"
	f := strings.Fields(line) // sl, local_address, rem_address, st, …, inode at 9
	if len(f) < 10 || network == "tcp" && f[3] != listening {
		return "", false
	}
	host, port, ok := strings.Cut(f[1], ":")
	n, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || uint16(n) != addr.Port() {
		return "", false
	}
	b, err := hex.DecodeString(host)
	if err != nil || len(b)%4 != 0 {
		return "", false
	}
	for i := 0; i < len(b); i += 4 { // words in the machine's order, which is little-endian wherever we run
		b[i], b[i+1], b[i+2], b[i+3] = b[i+3], b[i+2], b[i+1], b[i]
	}
	a, ok := netip.AddrFromSlice(b)
	return f[9], ok && (a.IsUnspecified() || addr.Addr().IsUnspecified() || a.Unmap() == addr.Addr().Unmap())
}

// ownerOf finds the process that has a socket open.
func ownerOf(proc, inode string) (holder, bool) {
	want := "socket:[" + inode + "]"
	fds, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*")) // the pattern is right
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err != nil || to != want {
			continue
		}
		dir := filepath.Dir(filepath.Dir(fd))
		pid, _ := strconv.Atoi(filepath.Base(dir))
		name, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err == nil {
			return holder{name: strings.TrimSpace(string(name)), pid: pid}, true
		}
	}
	return holder{}, false
}
