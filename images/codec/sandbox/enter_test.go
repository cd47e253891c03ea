package sandbox_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/images/codec/sandbox"
)

// When the first argument is this, the test program is the process inside.
const inside = "shut-in"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == inside {
		os.Exit(shutIn())
	}
	os.Exit(m.Run())
}

// shutIn enters and reports what it can still do.
func shutIn() int {
	left := os.NewFile(5, "left open") // passed by mistake
	layers, err := sandbox.Enter(sandbox.Config{Socket: 3, DataBytes: 1 << 30})
	if err != nil {
		fmt.Fprintln(os.Stderr, "enter:", err)
		return 1
	}
	if _, err := os.Open("/etc/passwd"); err == nil {
		fmt.Fprintln(os.Stderr, "opened a file")
		return 1
	}
	if _, err := net.Dial("udp", "127.0.0.1:9"); err == nil {
		fmt.Fprintln(os.Stderr, "made a socket")
		return 1
	}
	if err := exec.Command("/bin/true").Run(); err == nil {
		fmt.Fprintln(os.Stderr, "started a program")
		return 1
	}
	if _, err := left.Write([]byte("x")); err == nil {
		fmt.Fprintln(os.Stderr, "wrote to a descriptor left open")
		return 1
	}
	done := make(chan bool)
	go func() { time.Sleep(time.Millisecond); close(done) }() // timers and threads live on
	<-done
	fmt.Fprint(os.Stderr, "layers: ", layers)
	return 0
}

func TestEnter(t *testing.T) {
	for _, level := range sandbox.Levels() {
		t.Run(level.String(), func(t *testing.T) {
			program, err := os.Open("/proc/self/exe")
			if err != nil {
				t.Fatal(err)
			}
			defer program.Close()
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			defer w.Close()
			cmd := sandbox.Command(level, "/proc/self/fd/4", []string{inside}, []string{"GOMAXPROCS=2", "GODEBUG=containermaxprocs=0"}, w, program, w)
			var words bytes.Buffer
			cmd.Stderr = &words
			if err := sandbox.Start(cmd); err != nil {
				t.Skipf("needs a machine that allows level %q: %v", level, err)
			}
			if err := cmd.Wait(); err != nil {
				t.Fatalf("%v: %s", err, &words)
			}
			t.Log(&words)
			for _, wall := range []string{"seccomp", "no_new_privs", "rlimits"} {
				if !strings.Contains(words.String(), wall) {
					t.Errorf("no %s", wall)
				}
			}
		})
	}
}

// TestRefusedStartKeepsNothing: where a level is forbidden, trying it again
// and again costs no descriptor.
func TestRefusedStartKeepsNothing(t *testing.T) {
	open := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("needs /proc")
		}
		return len(list)
	}
	refused := func() {
		cmd := sandbox.Command(sandbox.LevelFull, "/bin/true", nil, nil)
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_SIGHAND // never without CLONE_VM: EINVAL everywhere
		if err := sandbox.Start(cmd); err == nil {
			cmd.Wait()
			t.Fatal("an impossible clone succeeded")
		}
	}
	refused() // the runtime opens what it keeps
	before := open()
	for range 8 {
		refused()
	}
	if after := open(); after > before {
		t.Errorf("%d descriptors after refused starts, %d before", after, before)
	}
}
