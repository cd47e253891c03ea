package pausetest_test

import (
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/pausetest"
)

const childEnv = "KAMADO_TEST_PAUSE_CHILD"

func TestMain(m *testing.M) {
	if address := os.Getenv(childEnv); address != "" {
		tick(address)
		return
	}
	os.Exit(m.Run())
}

// tick writes bytes from several threads as fast as it can.
func tick(address string) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			n, err := net.Dial("tcp", address)
			for err == nil {
				_, err = n.Write([]byte{1})
			}
		})
	}
	wg.Wait()
}

// TestPause: nothing is said by a process after Pause has returned, and it speaks again after Resume.
func TestPause(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+l.Addr().String())
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()         //nolint:errcheck // it is killed
	defer child.Process.Kill() //nolint:errcheck // it may be gone
	var all [4]net.Conn
	for i := range all {
		if all[i], err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		defer all[i].Close()
	}
	for range 50 {
		pausetest.Pause(t, child.Process.Pid)
		for _, n := range all {
			drain(t, n)
		}
		for _, n := range all { // what came before is gone: nothing may have come since
			if got := drain(t, n); got > 0 {
				t.Fatalf("%d bytes came from a process that stands still", got)
			}
		}
		pausetest.Resume(t, child.Process.Pid)
		n := all[0]
		if err := n.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(n, make([]byte, 1)); err != nil {
			t.Fatalf("after Resume: %v", err)
		}
	}
}

// drain reads what is there, and says how much.
func drain(t *testing.T, n net.Conn) (got int) {
	t.Helper()
	b := make([]byte, 1<<20)
	for {
		if err := n.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		m, err := n.Read(b)
		got += m
		if err != nil {
			return got
		}
	}
}
