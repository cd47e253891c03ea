package bench

import (
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

// TestIdle wants connections that are counted, and their memory read, over both transports. It judges no size: this process is its own server.
func TestIdle(t *testing.T) {
	t.Parallel()
	for _, over := range []string{OverWS, OverTCP} {
		s, srv := newWorldStandin(t)
		c := DefaultIdle()
		c.URL = "ws://" + srv.Listener.Addr().String() + socketPath
		if over == OverTCP {
			c.URL = "tcp://" + s.tcp.Addr().String()
		}
		c.Dir, c.Connections, c.Settle, c.Timeout = t.TempDir(), 40, 10*time.Millisecond, 20*time.Second
		r, err := Idle(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if r.Connections != 40 || r.ConnectFailures != 0 || r.LostConnections != 0 || r.Transport != over || r.PSSBefore <= 0 || r.PSSAfter <= 0 {
			t.Errorf("%+v", r)
		}
		b, err := json.Marshal(r)
		if err != nil || !strings.Contains(string(b), `"bytes_per_connection":`) || !strings.Contains(string(b), `"per_gib":`) || !strings.Contains(string(b), `"connections":40`) {
			t.Errorf("%s, %v", b, err)
		}
		if head, rows := r.Table(); len(rows) != 1 || len(head) != len(rows[0]) {
			t.Errorf("a table of %v and %v", head, rows)
		}
	}
}

func TestIdleFigures(t *testing.T) {
	t.Parallel()
	r := &IdleReport{}
	if err := r.fill(resident{10 << 20, 10 << 20}, resident{20 << 20, 20 << 20}, gate{in: 1025, lost: 1, failed: 3}); err != nil {
		t.Fatal(err)
	}
	if r.Connections != 1024 || r.Bytes != 10240 || r.PerGiB != (1<<30)/10240.0 || r.ConnectFailures != 3 || r.LostConnections != 1 {
		t.Errorf("%+v", r)
	}
}

// TestIdleNeedsAProcess wants a clear error where the server's process is not seen.
func TestIdleNeedsAProcess(t *testing.T) {
	t.Parallel()
	_, srv := newWorldStandin(t)
	c := DefaultIdle()
	c.URL, c.Dir, c.Connections, c.PID = "ws://"+srv.Listener.Addr().String(), t.TempDir(), 1, 1<<30
	if _, err := Idle(t.Context(), c); !errors.Is(err, errNoProcess) || !strings.Contains(err.Error(), "--pid") {
		t.Errorf("got %v", err)
	}
}

func TestListenerOf(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		l, err := net.Listen("tcp", at)
		if err != nil {
			continue // no IPv6 here
		}
		defer l.Close()
		a := netip.MustParseAddrPort(l.Addr().String())
		if a.Addr().IsUnspecified() {
			a = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), a.Port())
		}
		if pid, err := listenerOf(a); err != nil || pid != os.Getpid() {
			t.Errorf("who listens at %s is %d, %v, want %d", l.Addr(), pid, err, os.Getpid())
		}
	}
	if _, err := listenerOf(netip.MustParseAddrPort("127.0.0.1:1")); !errors.Is(err, errNoProcess) {
		t.Errorf("nobody listens at port 1: %v", err)
	}
}

// TestSources wants another address of the loopback when the ports of one are used up.
func TestSources(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := sources{each: 2}
	var from []string
	for range 5 {
		fd, err := s.connect(netip.MustParseAddrPort(l.Addr().String()))
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		from = append(from, host)
		c.Close()
		closeFD(t, fd)
	}
	if got := strings.Join(from, " "); got != "127.0.0.1 127.0.0.1 127.0.0.2 127.0.0.2 127.0.0.3" {
		t.Errorf("connections come from %s", got)
	}
}

func TestEnoughFiles(t *testing.T) {
	t.Parallel()
	if err := enoughFiles(10); err != nil {
		t.Error(err)
	}
	if err := enoughFiles(1 << 40); err == nil || !strings.Contains(err.Error(), "ulimit") {
		t.Errorf("got %v", err)
	}
}
