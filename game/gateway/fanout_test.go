package gateway_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/gateway"
	"github.com/kamado/kamado/game/wire"
)

// TestFanoutReader is the clients of BenchmarkFanout, in a process of their own, so that the CPU that is counted is the server's.
func TestFanoutReader(t *testing.T) {
	addr, transport := os.Getenv("KAMADO_FANOUT_SERVER"), os.Getenv("KAMADO_FANOUT_TRANSPORT")
	if addr == "" {
		t.Skip("it is started by BenchmarkFanout")
	}
	w := &world{t: t, tcp: addr, http: addr}
	for i := range 30 {
		c := w.dial(transport)
		c.hello(fmt.Sprintf("user %d", i+1), nil)
		go io.Copy(io.Discard, c.nc)
	}
	fmt.Println("READY")
	io.Copy(io.Discard, os.Stdin)
}

// BenchmarkFanout is a room of thirty: one operation shows one shared frame to all. The frame has the rows of so many avatars.
func BenchmarkFanout(b *testing.B) {
	for _, transport := range []string{"tcp", "websocket"} {
		for _, rows := range []int{1, 30} {
			b.Run(fmt.Sprintf("%s/%d-rows", transport, rows), func(b *testing.B) { fanout(b, transport, rows) })
		}
	}
}

func fanout(b *testing.B, transport string, rows int) {
	h := &host{}
	w := start(b, func(c *game.GatewayConfig) { c.QueueBytes = 64 << 20; c.QueueBytesAll = 1 << 40 }, h)
	addr := w.tcp
	if transport == "websocket" {
		addr = w.http
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestFanoutReader$")
	cmd.Env = append(os.Environ(), "KAMADO_FANOUT_SERVER="+addr, "KAMADO_FANOUT_TRANSPORT="+transport)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	ready := make([]byte, 4096)
	for n := 0; !strings.Contains(string(ready[:n]), "READY"); {
		k, err := out.Read(ready[n:])
		if err != nil {
			b.Fatalf("%v: %s", err, ready[:n])
		}
		n += k
	}
	var room []*gateway.Session
	for i := range 30 {
		room = append(room, w.Session(game.UID(i+1)))
	}
	refused := 0
	user, before := cpu()
	b.ResetTimer()
	for b.Loop() {
		frames := wire.AppendFrame(nil, wire.CmdMoves, make([]byte, rows*wire.MovedBytes))
		for _, s := range room {
			if !s.Show(frames) {
				refused++
			}
		}
		for _, s := range room {
			s.Flush()
		}
	}
	b.StopTimer()
	userEnd, end := cpu()
	used := end - before
	n := float64(b.N * len(room))
	b.ReportMetric(float64(used.Nanoseconds())/n, "cpu-ns/write")
	b.ReportMetric(float64((userEnd-user).Nanoseconds())/n, "user-ns/write")
	b.ReportMetric(float64(refused)/n, "refused/write")
}

// cpu is what this process has used: outside of the kernel, and in all.
func cpu() (user, all time.Duration) {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u) //nolint:errcheck // it does not fail
	return time.Duration(u.Utime.Nano()), time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkWriteFloor is what the kernel alone takes for the same bytes: 30 sockets, one write each.
func BenchmarkWriteFloor(b *testing.B) {
	for _, size := range []int{15, 364} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			l := listen(b)
			defer l.Close()
			var wg sync.WaitGroup
			var all []*net.TCPConn
			for range 30 {
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					b.Fatal(err)
				}
				s, err := l.Accept()
				if err != nil {
					b.Fatal(err)
				}
				all = append(all, s.(*net.TCPConn))
				wg.Go(func() { io.Copy(io.Discard, c) })
			}
			p := make([]byte, size)
			for b.Loop() {
				for _, c := range all {
					c.Write(p)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*30), "ns/write")
			for _, c := range all {
				c.Close()
			}
			wg.Wait()
		})
	}
}
