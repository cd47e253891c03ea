package bench

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Target is what is measured: a server that is started, or one that runs.
type Target struct {
	// Serve starts the server. In its arguments {http} stands for the address to listen on, {data} for its directory; TCP are more arguments,
	// in which {tcp} stands for the address of the protocol over TCP.
	Serve Command
	TCP   []string
	// URL is a server that runs already, instead: ws://HOST:PORT/v1/socket, or tcp://HOST:PORT. TokenFile holds its service credential, where one
	// is needed. PID is its process on this machine; 0: it is looked for.
	URL       string
	TokenFile string
	PID       int

	Version  string        // of Kamado, for the report
	Command  []string      // as it was called, for the report
	Dir      string        // where directories are made; empty: a temporary place on a disk
	Profiles string        // directory for a profile of each load on our server; empty: none
	Timeout  time.Duration // for a server to start, and for connections that do not come in
	Talk     io.Writer     // progress for a person; discarded when nil
}

// config is the target in the form in which servers are started.
func (t *Target) config() *Config {
	return &Config{Serve: t.Serve, Dir: t.Dir, Profiles: t.Profiles, Timeout: t.Timeout}
}

func (t *Target) talkf(format string, args ...any) {
	if t.Talk != nil {
		_, _ = fmt.Fprintf(t.Talk, format+"\n", args...) // progress that nobody reads
	}
}

func (t *Target) validate(complain func(ok bool, format string, args ...any)) {
	complain(t.Serve.Program != "" || t.URL != "", "no program to measure given")
	complain(t.Timeout > 0, "timeout %s is not positive", t.Timeout)
	complain(t.PID >= 0, "pid %d is negative", t.PID)
	if t.URL != "" {
		_, err := parseEndpoint(t.URL)
		complain(err == nil, "%v", err)
	}
}

// complaints collects what is wrong.
type complaints struct{ errs []error }

func (c *complaints) complain(ok bool, format string, args ...any) {
	if !ok {
		c.errs = append(c.errs, fmt.Errorf(format, args...))
	}
}

func (c *complaints) err() error { return errors.Join(c.errs...) }

// The ways to speak the game's protocol.
const (
	OverWS  = "ws"
	OverTCP = "tcp"
)

// endpoint is where the game's protocol is spoken.
type endpoint struct {
	over string
	host string // with its port
	path string // of WebSocket; empty over TCP
}

func (e endpoint) String() string { return e.over + "://" + e.host + e.path }

// parseEndpoint reads ws://HOST:PORT/PATH or tcp://HOST:PORT.
func parseEndpoint(text string) (endpoint, error) {
	u, err := url.Parse(text)
	ok := err == nil && u.Hostname() != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
	switch {
	case ok && u.Scheme == OverWS:
		e := endpoint{OverWS, u.Host, u.Path}
		if e.path == "" {
			e.path = socketPath
		}
		if u.Port() == "" {
			e.host = net.JoinHostPort(u.Hostname(), "80")
		}
		return e, nil
	case ok && u.Scheme == OverTCP && u.Port() != "" && strings.Trim(u.Path, "/") == "":
		return endpoint{over: OverTCP, host: u.Host}, nil
	}
	return endpoint{}, fmt.Errorf("the URL %q is neither ws://HOST:PORT%s nor tcp://HOST:PORT (TLS is not measured)", text, socketPath)
}

// socketPath is where a server of the game upgrades to its protocol.
const socketPath = "/v1/socket"

// address finds the address of the endpoint's host.
func (e endpoint) address(ctx context.Context) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(e.host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("the host %q: %w", e.host, err)
	}
	n, err := net.DefaultResolver.LookupPort(ctx, "tcp", port)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("the host %q: %w", e.host, err)
	}
	list, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(list) == 0 {
		return netip.AddrPort{}, fmt.Errorf("the host %q: %w", e.host, err)
	}
	found := list[0]
	for _, a := range list { // 127.0.0.1 before ::1, since its net has many addresses
		if a.Unmap().Is4() {
			found = a
			break
		}
	}
	return netip.AddrPortFrom(found.Unmap(), uint16(n)), nil
}

// measuredServer is the server of a target, and how it is spoken to.
type measuredServer struct {
	*server
	endpoint endpoint
	target   netip.AddrPort
}

// open starts the target's server, or finds the one that runs. over says how one that is started is spoken to.
func (t *Target) open(ctx context.Context, over, dir string, more ...string) (*measuredServer, error) {
	if t.URL == "" {
		if over == OverTCP {
			more = append(append([]string{}, t.TCP...), more...)
		}
		s, err := startServer(ctx, t.config(), dir, more...)
		if err != nil {
			return nil, err
		}
		e := endpoint{OverWS, s.address, socketPath}
		if over == OverTCP {
			e = endpoint{over: OverTCP, host: s.tcp}
		}
		target, err := e.address(ctx)
		return &measuredServer{s, e, target}, err
	}
	e, err := parseEndpoint(t.URL)
	if err != nil {
		return nil, err
	}
	target, err := e.address(ctx)
	if err != nil {
		return nil, err
	}
	s := &server{pid: t.PID}
	service := ""
	if t.TokenFile != "" {
		b, err := os.ReadFile(t.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("read the credential of a service: %w", err)
		}
		service = strings.TrimSpace(string(b))
	}
	if e.over == OverWS {
		s.api, s.address = newAPI("http://"+e.host, service), e.host
	}
	return &measuredServer{s, e, target}, nil
}

// findProcess finds the server's process, when it is on this machine.
func (m *measuredServer) findProcess() (int, error) {
	if m.pid != 0 {
		return m.pid, nil
	}
	pid, err := listenerOf(m.target)
	m.pid = pid
	return pid, err
}

// end stops a server that was started.
func (m *measuredServer) end() {
	if m.api != nil {
		m.server.end()
	}
}

// Guests that a server without the credential of a service lets in are limited by their address: it says when to go on.
const guestTries = 20

// guests makes users, as people who are new do. Without HTTP there are none: they sign in on their connection.
func (m *measuredServer) guests(ctx context.Context, n int) ([]user, error) {
	users := make([]user, n)
	if m.api == nil {
		return users, nil
	}
	err := each(ctx, n, func(ctx context.Context, i int) (err error) {
		for range guestTries {
			users[i], err = m.api.guest(ctx, m.api.service)
			var e *apiError
			if !errors.As(err, &e) || e.status != http.StatusTooManyRequests && e.status != http.StatusServiceUnavailable {
				return err
			}
			if err := rest(ctx, max(e.retry, 100*time.Millisecond)); err != nil {
				return err
			}
		}
		return err
	})
	return users, err
}

// errNoProcess is a server whose process is not seen from here.
var errNoProcess = errors.New("the server's process is not found: give it with --pid")

// listenerOf finds the process of this machine that listens at an address, proc(5).
func listenerOf(at netip.AddrPort) (int, error) {
	inodes := map[string]bool{}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // a system without IPv6
		}
		for line := range bytes.Lines(b) {
			f := strings.Fields(string(line))
			const listens = "0A"
			if len(f) > 9 && f[3] == listens && sameListener(f[1], at) {
				inodes["socket:["+f[9]+"]"] = true
			}
		}
	}
	if len(inodes) == 0 {
		return 0, fmt.Errorf("nobody on this machine listens at %s: %w", at, errNoProcess)
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is right
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && inodes[to] {
			return strconv.Atoi(strings.Split(fd, "/")[2])
		}
	}
	return 0, fmt.Errorf("the process that listens at %s belongs to somebody else: %w", at, errNoProcess)
}

// sameListener says whether an address as /proc/net/tcp writes it, in words of the processor's byte order, takes connections to another one.
func sameListener(text string, at netip.AddrPort) bool {
	host, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(host)
	if n, _ := strconv.ParseUint(port, 16, 16); err != nil || uint16(n) != at.Port() || len(b)%4 != 0 {
		return false
	}
	for i := 0; i < len(b); i += 4 {
		b[i], b[i+1], b[i+2], b[i+3] = b[i+3], b[i+2], b[i+1], b[i] // little-endian
	}
	a, ok := netip.AddrFromSlice(b)
	return ok && (a.Unmap() == at.Addr().Unmap() || a.IsUnspecified())
}

// filesNeeded are files that a process has open beside its connections.
const filesNeeded = 200

// enoughFiles raises what this process may have open, and complains when it is too little.
func enoughFiles(connections int) error {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	want := uint64(connections + filesNeeded)
	if r.Cur >= want {
		return nil
	}
	if r.Max < want {
		return fmt.Errorf("%d connections need %d open files, and this process may have %d: raise the limit (ulimit -Hn, LimitNOFILE), of the server too", connections, want, r.Max)
	}
	r.Cur = r.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return fmt.Errorf("raise the limit of open files: %w", err)
	}
	return nil
}
