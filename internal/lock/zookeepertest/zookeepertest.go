// Package zookeepertest starts real ZooKeeper servers for a test, one or an
// ensemble, from Debian's package, on free ports of loopback. It is for tests
// alone: its servers do not wait for the disk, count time in short ticks, and let everybody in.
package zookeepertest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/pausetest"
	"github.com/kamado/kamado/internal/porttest"
)

const (
	java = "/usr/bin/java"
	jar  = "/usr/share/java/zookeeper.jar"
	logs = "/usr/share/java/slf4j-log4j12.jar:/usr/share/java/log4j-1.2.jar" // missing ones only silence it
	main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
)

// TickMs is what the servers count time in: the session of a client lasts for
// 2 to 20 ticks.
const TickMs = 200

// patience is how long servers may take to start or to elect a leader, on a busy machine.
const patience = 60 * time.Second

// Servers are running servers. Its methods are for the test's own goroutine.
type Servers struct {
	all []*server
}

type server struct {
	dir, addr string
	args      []string
	cmd       *exec.Cmd // nil: it does not run
	log       *output
	ended     chan struct{} // closed when cmd has ended
}

// output is what a server says, for a test that fails.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Start runs n servers, 1 or 3, until the test ends, and waits until they have a
// leader. It skips the test when ZooKeeper is not installed.
func Start(t *testing.T, n int) *Servers {
	t.Helper()
	for _, file := range []string{java, jar} {
		if _, err := os.Stat(file); err != nil {
			t.Skip("needs ZooKeeper (apt-get install -y libzookeeper-java default-jre-headless; ./setup test installs it)")
		}
	}
	s := &Servers{}
	var ports []int
	for range 3 * n {
		ports = append(ports, porttest.Free(t))
	}
	var members strings.Builder
	if n > 1 {
		for i := range n {
			p := ports[3*i:]
			fmt.Fprintf(&members, "server.%d=127.0.0.1:%d:%d:participant;127.0.0.1:%d\n", i+1, p[0], p[1], p[2])
		}
	} else {
		fmt.Fprintf(&members, "clientPortAddress=127.0.0.1\nclientPort=%d\n", ports[2])
	}
	for i := range n {
		v := &server{dir: t.TempDir(), addr: fmt.Sprintf("127.0.0.1:%d", ports[3*i+2]), log: &output{}}
		v.configure(t, i+1, members.String())
		s.all = append(s.all, v)
	}
	t.Cleanup(func() {
		for i := range s.all {
			s.Kill(t, i)
		}
	})
	for _, v := range s.all {
		v.start(t)
	}
	s.Ready(t, n)
	return s
}

func (v *server) configure(t *testing.T, id int, members string) {
	t.Helper()
	data := filepath.Join(v.dir, "data")
	cfg := fmt.Sprintf("tickTime=%d\ninitLimit=50\nsyncLimit=10\ndataDir=%s\nadmin.enableServer=false\n4lw.commands.whitelist=srvr\nmaxClientCnxns=0\n%s", TickMs, data, members)
	levels := "log4j.rootLogger=WARN, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\nlog4j.appender.out.layout=org.apache.log4j.PatternLayout\nlog4j.appender.out.layout.ConversionPattern=%d{ISO8601} %p %c{1} %m%n\n"
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"zoo.cfg": cfg, "log4j.properties": levels, "data/myid": fmt.Sprintln(id)} {
		if err := os.WriteFile(filepath.Join(v.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	v.args = []string{
		"-Xmx64m", "-Xss256k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-XX:-UsePerfData",
		"-Dzookeeper.forceSync=no", "-Dzookeeper.preAllocSize=64", "-Dzookeeper.jmx.log4j.disable=true", "-Djava.net.preferIPv4Stack=true",
		"-cp", v.dir + ":" + jar + ":" + logs, main, filepath.Join(v.dir, "zoo.cfg"),
	}
}

func (v *server) start(t *testing.T) {
	t.Helper()
	cmd := exec.Command(java, v.args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = v.dir, v.log, v.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	v.cmd, v.ended = cmd, make(chan struct{})
	go func(ended chan struct{}) {
		cmd.Wait() //nolint:errcheck // it was killed, or its log tells
		close(ended)
	}(v.ended)
}

// Addrs are the addresses for clients.
func (s *Servers) Addrs() (addrs []string) {
	for _, v := range s.all {
		addrs = append(addrs, v.addr)
	}
	return addrs
}

// Ready waits until n servers serve, one of which leads, or is the only one.
func (s *Servers) Ready(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) { // a condition is polled
		serving, leading := 0, 0
		for i := range s.all {
			switch s.mode(i) {
			case "leader", "standalone":
				leading++
				serving++
			case "follower":
				serving++
			}
		}
		if serving >= n && leading == 1 {
			return
		}
		for i, v := range s.all {
			if v.cmd == nil {
				continue
			}
			select {
			case <-v.ended:
				t.Fatalf("ZooKeeper server %d ended: %s", i, v.log)
			default:
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d ZooKeeper servers serve and %d lead: %s", serving, n, leading, s.all[0].log)
		}
	}
}

// mode asks a server what it is: "leader", "follower" or "standalone"; empty when
// it does not serve.
func (s *Servers) mode(i int) string {
	if s.all[i].cmd == nil {
		return ""
	}
	c, err := net.DialTimeout("tcp", s.all[i].addr, time.Second)
	if err != nil {
		return ""
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second)) //nolint:errcheck // a connection takes a deadline
	if _, err := io.WriteString(c, "srvr"); err != nil {
		return ""
	}
	answer, _ := io.ReadAll(c) //nolint:errcheck // what came tells
	for line := range strings.Lines(string(answer)) {
		if mode, ok := strings.CutPrefix(line, "Mode: "); ok {
			return strings.TrimSpace(mode)
		}
	}
	return ""
}

// Leader is the index of the server that leads.
func (s *Servers) Leader(t *testing.T) int {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) { // a condition is polled
		for i := range s.all {
			if m := s.mode(i); m == "leader" || m == "standalone" {
				return i
			}
		}
	}
	t.Fatal("no ZooKeeper server leads")
	return 0
}

// Kill ends a server at once, and Revive starts it again on what it kept.
func (s *Servers) Kill(t *testing.T, i int) {
	t.Helper()
	v := s.all[i]
	if v.cmd == nil {
		return
	}
	v.cmd.Process.Kill() //nolint:errcheck // it may be gone
	<-v.ended
	v.cmd = nil
}

// Revive starts a server that was killed.
func (s *Servers) Revive(t *testing.T, i int) {
	t.Helper()
	s.all[i].start(t)
}

// Pause stops a server where it is: its connections stay open and silent. Resume
// lets it go on.
func (s *Servers) Pause(t *testing.T, i int) {
	t.Helper()
	pausetest.Pause(t, s.all[i].cmd.Process.Pid)
}

// Resume lets a paused server go on.
func (s *Servers) Resume(t *testing.T, i int) {
	t.Helper()
	pausetest.Resume(t, s.all[i].cmd.Process.Pid)
}
