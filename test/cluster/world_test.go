package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// Ports of every member, each at its own address.
const (
	dnsPort    = 5300
	gossipPort = 7300
	httpPort   = 8300
)

// world is a bridge in a namespace of its own, the hub, with members around it. The
// test speaks from the hub: what the bridge forwards between members may be lost or
// cut, what the hub says itself never is.
type world struct {
	t       *testing.T
	hub     string
	dir     string
	program string
	http    *http.Client
	out     io.Writer // of the whole test
	members []*member
}

// member is a process in a namespace.
type member struct {
	i    int // from 1; the last byte of its address
	node string
	ns   string
	dir  string
	cmd  *exec.Cmd
	udp  net.Conn // from the hub to its DNS
	id   uint16
}

func newWorld(t *testing.T, size int) *world {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	for tool, pkg := range map[string]string{"ip": "iproute2", "nft": "nftables"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: apt-get install %s", tool, pkg)
		}
	}
	w := &world{t: t, out: t.Output(), hub: fmt.Sprintf("kg%d", os.Getpid()), dir: t.TempDir(), program: built(t)}
	w.http = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(_ context.Context, network, addr string) (net.Conn, error) { return w.dial(network, addr) },
	}}
	w.namespace(w.hub)
	w.ip("-n", w.hub, "link", "add", "br0", "type", "bridge")
	w.ip("-n", w.hub, "addr", "add", "10.77.0.254/24", "dev", "br0")
	w.ip("-n", w.hub, "link", "set", "br0", "up")
	w.ip("-n", w.hub, "link", "set", "lo", "up")
	key, err := exec.Command(w.program, "dns", "key").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "cluster.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= size; i++ {
		m := &member{i: i, node: fmt.Sprint("n", i), ns: fmt.Sprint(w.hub, "n", i), dir: filepath.Join(w.dir, fmt.Sprint("n", i))}
		w.members = append(w.members, m)
		w.namespace(m.ns)
		w.ip("-n", w.hub, "link", "add", m.link(), "type", "veth", "peer", "name", "eth0", "netns", m.ns)
		w.ip("-n", w.hub, "link", "set", m.link(), "master", "br0", "up")
		w.ip("-n", m.ns, "addr", "add", m.addr()+"/24", "dev", "eth0")
		w.ip("-n", m.ns, "link", "set", "eth0", "up")
		w.ip("-n", m.ns, "link", "set", "lo", "up")
		w.start(m)
	}
	for _, m := range w.members {
		w.waitReady(m)
	}
	w.waitMembers("alive", size)
	return w
}

func (m *member) addr() string { return fmt.Sprint("10.77.0.", m.i) }
func (m *member) link() string { return fmt.Sprint("v", m.i) }

func (w *world) namespace(name string) {
	w.t.Helper()
	w.ip("netns", "add", name)
	w.t.Cleanup(func() { w.ip("netns", "del", name) })
}

func (w *world) ip(args ...string) string {
	w.t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// nft replaces the rules between members.
func (w *world) nft(rules ...string) {
	w.t.Helper()
	script := "table bridge k\ndelete table bridge k\n"
	if len(rules) > 0 {
		script += "table bridge k {\n chain f {\n  type filter hook forward priority 0;\n  " + strings.Join(rules, "\n  ") + "\n }\n}\n"
	}
	cmd := exec.Command("ip", "netns", "exec", w.hub, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("nft: %v: %s\n%s", err, out, script)
	}
}

// start runs a member; the process is the member's own, not ip's.
func (w *world) start(m *member) {
	w.t.Helper()
	at := func(port int) string { return net.JoinHostPort(m.addr(), strconv.Itoa(port)) }
	m.cmd = exec.Command("ip", "netns", "exec", m.ns, w.program, "dns", "serve", "--node", m.node, "--domain", "svc.test",
		"--dns", at(dnsPort), "--gossip", at(gossipPort), "--http", at(httpPort), "--data", m.dir,
		"--gossip-key-file", filepath.Join(w.dir, "cluster.key"), "--join", net.JoinHostPort("10.77.0.1", strconv.Itoa(gossipPort)))
	m.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir}
	said := &prefixed{prefix: m.node + ": ", out: w.out}
	m.cmd.Stdout, m.cmd.Stderr = said, said
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := m.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	if m.udp != nil {
		return
	}
	w.t.Cleanup(m.kill) // at the first start, so at the end of the whole test
	conn, err := w.dial("udp", at(dnsPort))
	if err != nil {
		w.t.Fatal(err)
	}
	m.udp = conn
	w.t.Cleanup(func() { conn.Close() })
}

// prefixed says whose line it is.
type prefixed struct {
	prefix string
	out    io.Writer
}

func (p *prefixed) Write(b []byte) (int, error) {
	for line := range bytes.Lines(b) {
		if _, err := fmt.Fprintf(p.out, "%s%s", p.prefix, line); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// kill ends the process without a word.
func (m *member) kill() {
	if m.cmd == nil {
		return
	}
	m.cmd.Process.Kill()
	m.cmd.Wait()
	m.cmd = nil
}

// dial opens a socket in the hub's namespace. Its thread comes back from there: were
// it to end, the system would take the members that it started for orphans.
func (w *world) dial(network, addr string) (net.Conn, error) {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	defer home.Close()
	hub, err := os.Open("/run/netns/" + w.hub)
	if err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	defer hub.Close()
	if err := unix.Setns(int(hub.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	conn, dialErr := net.DialTimeout(network, addr, 5*time.Second)
	if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, err // the thread stays locked, and ends with its goroutine
	}
	runtime.UnlockOSThread()
	return conn, dialErr
}

// api speaks to a member's API.
func (w *world) api(m *member, method, path string, body, answer any) error {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, fmt.Sprintf("http://%s:%d%s", m.addr(), httpPort, path), in)
	if err != nil {
		return err
	}
	token, err := os.ReadFile(filepath.Join(m.dir, "operator.token"))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	req.Header.Set("Content-Type", "application/json")
	resp, err := w.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, b)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(b, answer)
}

// add makes an owned record of a member.
func (w *world) add(m *member, name, addr string) {
	w.t.Helper()
	if err := w.api(m, http.MethodPost, "/v1/records", map[string]any{"name": name, "data": addr}, nil); err != nil {
		w.t.Fatalf("add %s at %s: %v", name, m.node, err)
	}
}

// ask asks a member for the addresses of a name, once; an answer that is lost is an error.
func (m *member) ask(name string) ([]string, error) {
	m.id++
	q := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: m.id},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name + ".svc.test."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	b, err := q.Pack()
	if err != nil {
		return nil, err
	}
	if _, err := m.udp.Write(b); err != nil {
		return nil, err
	}
	m.udp.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	buf := make([]byte, 4096)
	for {
		n, err := m.udp.Read(buf)
		if err != nil {
			return nil, err
		}
		var a dnsmessage.Message
		if err := a.Unpack(buf[:n]); err != nil {
			return nil, err
		}
		if a.ID != m.id {
			continue // of a question that was given up
		}
		var out []string
		for _, rr := range a.Answers {
			if body, ok := rr.Body.(*dnsmessage.AResource); ok {
				out = append(out, net.IP(body.A[:]).String())
			}
		}
		return out, nil
	}
}

// until waits for a condition on all of some members at the same time, and gives when the last of them fulfilled it.
func (w *world) until(what string, members []*member, limit time.Duration, cond func(m *member) bool) time.Time {
	w.t.Helper()
	type met struct {
		m  *member
		at time.Time
	}
	done := make(chan met, len(members))
	deadline := time.Now().Add(limit)
	for _, m := range members {
		go func() {
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for time.Now().Before(deadline) {
				if cond(m) {
					done <- met{m, time.Now()}
					return
				}
				<-tick.C
			}
			done <- met{m, time.Time{}}
		}()
	}
	var last time.Time
	for range members {
		r := <-done
		if r.at.IsZero() {
			w.t.Errorf("%s: not at %s within %v", what, r.m.node, limit)
		}
		if r.at.After(last) {
			last = r.at
		}
	}
	if w.t.Failed() {
		w.t.FailNow()
	}
	return last
}

// answers says whether a member answers a name with one address; with none when addr is empty.
func answers(name, addr string) func(*member) bool {
	return func(m *member) bool {
		got, err := m.ask(name)
		return err == nil && strings.Join(got, " ") == addr
	}
}

func (w *world) waitReady(m *member) {
	w.t.Helper()
	w.until("ready", []*member{m}, 60*time.Second, func(m *member) bool { return w.api(m, http.MethodGet, "/readyz", nil, nil) == nil })
}

// waitMembers waits until all running members count so many others and themselves in a state.
func (w *world) waitMembers(state string, count int) time.Time {
	w.t.Helper()
	return w.until(fmt.Sprint(count, " members ", state), w.running(), 60*time.Second, func(m *member) bool {
		return w.count(m, state) == count
	})
}

func (w *world) running() []*member {
	var out []*member
	for _, m := range w.members {
		if m.cmd != nil {
			out = append(out, m)
		}
	}
	return out
}

func (w *world) count(m *member, state string) int {
	var list struct {
		Members []struct{ State string } `json:"members"`
	}
	if err := w.api(m, http.MethodGet, "/v1/members", nil, &list); err != nil {
		return -1
	}
	n := 0
	for _, other := range list.Members {
		if other.State == state {
			n++
		}
	}
	return n
}

// traffic gives what members have sent so far, as the bridge counts it: frames of Ethernet.
func (w *world) traffic() (bytes, packets int64) {
	w.t.Helper()
	var links []struct {
		Name  string `json:"ifname"`
		Stats struct {
			Rx struct{ Bytes, Packets int64 } `json:"rx"`
		} `json:"stats64"`
	}
	if err := json.Unmarshal([]byte(w.ip("-n", w.hub, "-s", "-j", "link")), &links); err != nil {
		w.t.Fatal(err)
	}
	for _, l := range links {
		if strings.HasPrefix(l.Name, "v") {
			bytes, packets = bytes+l.Stats.Rx.Bytes, packets+l.Stats.Rx.Packets
		}
	}
	return bytes, packets
}

// built gives the program that KAMADO_BIN names, or builds it.
func built(t *testing.T) string {
	t.Helper()
	if program := os.Getenv("KAMADO_BIN"); program != "" {
		return program
	}
	program := filepath.Join(t.TempDir(), "kamado")
	cmd := exec.Command("go", "build", "-trimpath", "-o", program, "./cmd/kamado")
	cmd.Dir, cmd.Env = filepath.Join("..", ".."), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatal(errors.Join(err, errors.New(string(out))))
	}
	return program
}
