package front_test

import (
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestAnIdleConnectionIsSmall states what a connection costs that is kept open:
// less than 512 bytes of the program's memory, and no goroutine. It runs alone,
// because it looks at the whole program.
func TestAnIdleConnectionIsSmall(t *testing.T) {
	const connections, most = 2000, 512
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < 2*connections+500 {
		t.Skipf("needs %d descriptors, %d are allowed", 2*connections+500, limit.Cur)
	}
	h := newHouse(t, settings{})
	target := h.sign(t, "/recipes/1/10x10cq70/a.jpg", time.Time{})
	h.warm(t, target)
	addr := h.Addr().(*net.TCPAddr)
	request := []byte("HEAD " + target + " HTTP/1.1\r\nHost: pictures\r\n\r\n")
	answer, fds := make([]byte, 4096), make([]int, 0, connections)
	t.Cleanup(func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	})
	before, goroutines := held(), runtime.NumGoroutine()
	for range connections {
		// A bare descriptor, so that the clients' side takes nothing.
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		must(t, err)
		fds = append(fds, fd)
		must(t, unix.Connect(fd, &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte{127, 0, 0, 1}}))
		_, err = unix.Write(fd, request)
		must(t, err)
		n, err := unix.Read(fd, answer)
		if err != nil || n < 12 || string(answer[9:12]) != "200" {
			t.Fatalf("answer %q, %v", answer[:max(n, 0)], err)
		}
	}
	h.mu.Lock()
	h.events = nil
	h.mu.Unlock()
	each := float64(held()-before) / connections
	t.Logf("%.0f bytes for each of %d idle connections", each, connections)
	if each > most || runtime.NumGoroutine() > goroutines+20 {
		t.Errorf("an idle connection takes %.0f bytes, want at most %d; %d goroutines more", each, most, runtime.NumGoroutine()-goroutines)
	}
}

// held is the memory of heap and stacks that is in use.
func held() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
