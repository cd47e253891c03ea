package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// address is where a service listens.
type address struct {
	network string // tcp or unix
	text    string // host:port, or a path
}

// parseAddress reads HOST:PORT. An empty host is this machine's loopback; port is
// the one that is meant when none is given, and "" makes it an error.
func parseAddress(text, port string) (address, error) {
	host := text
	if addr, err := netip.ParseAddr(text); err == nil && addr.Is6() && port != "" { // bare: its colons are no port
		return address{"tcp", net.JoinHostPort(text, port)}, nil
	}
	if strings.Contains(text, ":") {
		h, p, err := net.SplitHostPort(text)
		if err != nil {
			return address{}, fmt.Errorf("%q is no HOST:PORT (an IPv6 address is written [::1]:80)", shorten(text))
		}
		host, port = h, p
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if port == "" {
		return address{}, fmt.Errorf("%q has no port", shorten(text))
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return address{}, fmt.Errorf("port %q is no number from 1 to 65535", shorten(port))
	}
	if host == "" {
		host = "127.0.0.1"
	}
	if err := checkHost(host); err != nil {
		return address{}, err
	}
	return address{"tcp", net.JoinHostPort(host, port)}, nil
}

// parseService is parseAddress for services that may listen on a Unix socket.
func parseService(text, port string) (address, error) {
	path, ok := strings.CutPrefix(text, "unix:")
	if !ok {
		return parseAddress(text, port)
	}
	// sun_path has 108 bytes, with the zero at the end (unix(7)).
	if !strings.HasPrefix(path, "/") || len(path) > 107 {
		return address{}, errors.New("want the absolute path of a Unix socket, of at most 107 bytes")
	}
	return address{"unix", path}, nil
}

func checkHost(host string) error {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
	}
	if len(host) > 253 || strings.ContainsFunc(host, odd) {
		return fmt.Errorf("%q is neither a host name nor an address", shorten(host))
	}
	return nil
}

// dial connects; names are resolved now. The connection's deadline is that of
// ctx, and its end makes what waits on the connection return.
func dial(ctx context.Context, a address) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1} // an attempt is shorter than any keep-alive
	c, err := d.DialContext(ctx, a.network, a.text)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		c.SetDeadline(deadline) //nolint:errcheck // a connection that is closed fails at its use
	}
	return c, nil
}

// converse connects and talks.
func converse(ctx context.Context, a address, talk func(io.ReadWriter) (string, error)) (string, error) {
	c, err := dial(ctx, a)
	if err != nil {
		return "", err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // it may be closed
	defer stop()
	text, err := talk(c)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "", errors.New("connection was closed before the answer")
	}
	return text, err
}

// secretMax bounds a file that holds a secret, in bytes.
const secretMax = 8192

// readSecret reads a file that holds a password or a token. It is read at each
// attempt, so that it can be changed.
func readSecret(path string) (string, error) {
	f, _, err := openFile(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, secretMax+1))
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(b))
	if len(b) > secretMax || secret == "" || strings.ContainsAny(secret, "\r\n\x00") {
		return "", fmt.Errorf("%s: want one line", path)
	}
	return secret, nil
}

// openFile opens a regular file and does not wait for the writer of a pipe.
func openFile(path string) (*os.File, os.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", path)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}
