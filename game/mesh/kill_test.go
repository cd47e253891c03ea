package mesh_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// childEnv has the directory of the locks and the name of a node that runs as a process of its own.
const childEnv = "KAMADO_MESH_CHILD"

const childCopies = 8

func childCopy(name string, i int) game.Copy { return game.Copy{Area: name, Number: uint32(i + 1)} }

// TestChild is no test but the process that TestKilledProcess kills.
func TestChild(t *testing.T) {
	dir, name, ok := strings.Cut(os.Getenv(childEnv), " ")
	if !ok {
		t.Skip("it is the other process of TestKilledProcess")
	}
	n := start(t, dir, name)
	for i := range childCopies {
		at := childCopy(name, i)
		n.surely(t, at)
		n.mesh.Population(at, 1, 50)
		n.mesh.Here(game.UID(2000+i), true, game.Copy{})
		n.mesh.Here(game.UID(2000+i), true, at)
	}
	fmt.Fprintln(os.Stdout, "ready ws"+strings.TrimPrefix(n.server.URL, "http")+"/v1/socket")
	select {}
}

// child starts a node as a process, and gives the address of its socket.
func child(t *testing.T, dir, name string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childEnv+"="+dir+" "+name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it may be dead
		cmd.Wait()         //nolint:errcheck // it was killed
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if url, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			return cmd, url
		}
	}
	t.Fatal("the other process does not start")
	return nil, ""
}

// connect is a client that logs in. wait returns when the connection ends.
func connect(url string) (wait func(), err error) {
	conn, _, _, err := ws.DefaultDialer.Dial(context.Background(), url)
	if err != nil {
		return nil, err
	}
	b, err := wire.AppendMessage([]byte(wire.Magic), wire.CmdHello, 0, &wire.Hello{Protocol: 1, Token: credential})
	if err == nil {
		err = wsutil.WriteClientBinary(conn, b)
	}
	if err == nil {
		_, err = wsutil.ReadServerBinary(conn)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return func() {
		wsutil.ReadServerBinary(conn) //nolint:errcheck // it ends
		conn.Close()                  //nolint:errcheck // it has ended
	}, nil
}

// TestKilledProcess kills a process that runs copies: clients that lose it log in on another node, and their copies can be claimed there.
// The figure is from the kill to the claim, with everything in between.
func TestKilledProcess(t *testing.T) {
	t.Parallel()
	rounds := 1
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		rounds = 40
	}
	dir := t.TempDir()
	others := []*node{start(t, dir, "a"), start(t, dir, "b")}
	meet(t, others...)
	var took []time.Duration
	for round := range rounds {
		name := fmt.Sprintf("child%d", round)
		cmd, url := child(t, dir, name)
		for _, n := range others {
			eventually(t, "the other process is met", func() bool { return n.where(2000+childCopies-1) != "" && len(n.mesh.Elsewhere(name)) == childCopies })
		}
		back := make(chan time.Duration, childCopies)
		var killed time.Time
		ready := make(chan struct{})
		for i := range childCopies {
			lost, err := connect(url)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				<-ready
				lost()
				to := others[i%len(others)]
				if _, err := connect("ws" + strings.TrimPrefix(to.server.URL, "http") + "/v1/socket"); err != nil {
					t.Error(err)
				}
				_, err := to.claim(childCopy(name, i))
				for elsewhere(err) == name || rounds == 1 && game.KindOf(err) == game.Unavailable { // it was asked before the node was known to be lost: the client is sent there, and comes back
					if _, err := connect(url); err == nil { // (a busy machine may need several attempts, but where the figure is held)
						t.Error("the dead node welcomes a client")
					}
					_, err = to.claim(childCopy(name, i))
				}
				back <- time.Since(killed)
				if err != nil {
					t.Error(err)
				}
			}()
		}
		killed = time.Now()
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		close(ready)
		for range childCopies {
			took = append(took, <-back)
		}
		for _, n := range others {
			eventually(t, "the users of the dead are away", func() bool { return n.where(2000) == "" })
		}
	}
	slices.Sort(took)
	t.Logf("kill -9 to a claim elsewhere: median %v, p99 %v, most %v of %d", took[len(took)/2], took[len(took)*99/100], took[len(took)-1], len(took))
	if most := took[len(took)*99/100]; rounds > 1 && most > 3*time.Second {
		t.Errorf("p99 is %v, want 3s", most)
	}
}
