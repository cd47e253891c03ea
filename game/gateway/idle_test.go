package gateway_test

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/game/gateway"
	"github.com/kamado/kamado/game/wire"
)

// TestIdleServer is the server of BenchmarkIdle, in a process of its own: its memory is that of connections alone.
func TestIdleServer(t *testing.T) {
	if os.Getenv("KAMADO_IDLE_SERVER") == "" {
		t.Skip("it is started by BenchmarkIdle")
	}
	h := &host{handle: echo}
	cfg := config()
	g, err := gateway.New(cfg, gateway.Deps{Log: slog.New(slog.DiscardHandler), Host: quiet{h}, Identity: &longTokens{}, Node: "here"})
	if err != nil {
		t.Fatal(err)
	}
	l, hl := listen(t), listen(t)
	go g.ServeTCP(t.Context(), l)
	go http.Serve(hl, g)
	go g.Run(t.Context())
	fmt.Printf("ADDR %s %s\n", l.Addr(), hl.Addr())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Fprintf(os.Stderr, "heap %d in use, %d after the last collection, stacks %d, goroutines %d\n", m.HeapAlloc, m.NextGC/2, m.StackInuse, runtime.NumGoroutine())
		if path := os.Getenv("KAMADO_IDLE_PROFILE"); path != "" {
			writeHeap(path)
		}
	}
}

func rss(pid int) int {
	b, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
	f := strings.Fields(string(b))
	n, _ := strconv.Atoi(f[1])
	return n * os.Getpagesize()
}

// ticks is the CPU that a process has used, in hundredths of a second.
func ticks(pid int) int {
	b, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return user + system
}

func BenchmarkIdle(b *testing.B) {
	const count = 5000
	for _, transport := range []string{"tcp", "websocket"} {
		b.Run(transport, func(b *testing.B) {
			for b.Loop() {
				bytes, cpu := idleCost(b, transport, count)
				b.ReportMetric(float64(bytes), "B/conn")
				b.ReportMetric(cpu, "cpu-us/conn/s")
			}
		})
	}
}

// idleCost is what an idle connection costs a server: memory, and microseconds of CPU a second.
func idleCost(b *testing.B, transport string, count int) (bytes int, cpu float64) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestIdleServer$")
	cmd.Env = append(os.Environ(), "KAMADO_IDLE_SERVER=1", "KAMADO_IDLE_PROFILE="+filepath.Join(os.TempDir(), "idle-"+transport+".prof"))
	cmd.Stderr = os.Stderr
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	r := bufio.NewReader(out)
	var addrs []string
	for addrs == nil {
		line, err := r.ReadString('\n')
		if err != nil {
			b.Fatal(err)
		}
		if rest, ok := strings.CutPrefix(line, "ADDR "); ok {
			addrs = strings.Fields(rest)
		}
	}
	w := &world{t: b, tcp: addrs[0], http: addrs[1]}
	login := func(n int) *client {
		c := w.dial(transport)
		c.hello(fmt.Sprintf("user %d %s", n, strings.Repeat("x", 300)), func(h *wire.Hello) {
			h.Agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
		})
		c.sendMessage(wire.CmdJoin, &wire.Join{Area: "plaza"})
		c.send(wire.CmdPing, number(1))
		c.want(wire.CmdPong, nil)
		c.send(wire.CmdPing, number(1))
		c.want(wire.CmdPong, nil)
		return c
	}
	var keep []net.Conn
	for n := range 100 {
		keep = append(keep, login(100000+n).nc)
	}
	time.Sleep(2 * time.Second)
	before := rss(cmd.Process.Pid)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for p := range 8 {
		wg.Go(func() {
			for n := p; n < count; n += 8 {
				c := login(2000 + n)
				c.r, c.bytes = nil, nil
				mu.Lock()
				keep = append(keep, c.nc)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	time.Sleep(3 * time.Second)
	used := ticks(cmd.Process.Pid)
	time.Sleep(5 * time.Second)
	cpu = float64(ticks(cmd.Process.Pid)-used) * 10_000 / 5 / float64(count+100)
	after := rss(cmd.Process.Pid)
	fmt.Fprintln(in, "dump")
	time.Sleep(time.Second)
	runtime.KeepAlive(keep)
	for _, c := range keep {
		defer c.Close()
	}
	return (after - before) / count, cpu
}
