package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/kamado/kamado/console"
	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/server"
	"github.com/kamado/kamado/internal/operator"
)

// stageNodesMax bounds the further nodes of "kamado up": they are for looking at.
const stageNodesMax = 3

// stageReadyMax is how long a further node may take until it is among the others.
const stageReadyMax = 20 * time.Second

// stage runs further nodes of the world beside that of "kamado up", as processes of their own that can be killed. It satisfies console.Stage.
type stage struct {
	self  *server.Server // the node of this process, which is the core of the others
	core  string         // its address, scheme and host
	data  string         // absolute
	names *nodeNames     // nil: the nodes have no names

	mu    sync.Mutex
	nodes map[string]*stageNode
}

// stageNode is a process.
type stageNode struct {
	pid   int
	ended chan struct{} // closed when it has
	err   error         // why it could not be started; read after started
}

// Nodes lists the nodes that live.
func (s *stage) Nodes(context.Context) ([]console.StageNode, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []console.StageNode
	for _, n := range s.self.Nodes() {
		out := console.StageNode{Name: n.Name, WebSocket: n.WebSocket, Host: s.host(n.Name)}
		if one := s.nodes[n.Name]; one != nil && one.lives() {
			out.PID, out.Token = one.pid, s.token(n.Name)
		}
		list = append(list, out)
	}
	slices.SortFunc(list, func(a, b console.StageNode) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// token is that of a further node's operator; empty when it cannot be read.
func (s *stage) token(name string) string {
	t, err := operator.Read(filepath.Join(s.data, "nodes", name))
	if err != nil {
		return ""
	}
	return t.Reveal()
}

func (s *stage) host(name string) string {
	if s.names == nil {
		return ""
	}
	return strings.ToLower(name) + "." + worldUnder + "." + s.names.member.Domain().String()
}

func (n *stageNode) lives() bool {
	select {
	case <-n.ended:
		return false
	default:
		return true
	}
}

// Start starts one more node.
func (s *stage) Start(ctx context.Context) (string, error) {
	name, err := s.begin()
	if err != nil {
		return "", err
	}
	node, err := s.await(ctx, name)
	if err == nil && s.names != nil {
		err = s.names.Announce(ctx, node)
	}
	if err != nil {
		return "", errors.Join(err, s.Kill(ctx, name))
	}
	return name, nil
}

// begin starts the process of a node under a free name.
func (s *stage) begin() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	living, name := 0, ""
	for i := range stageNodesMax {
		candidate := "node-" + string(rune('b'+i))
		if one := s.nodes[candidate]; one != nil && one.lives() {
			living++
		} else if name == "" {
			name = candidate
		}
	}
	if living >= stageNodesMax {
		return "", fmt.Errorf("%d further nodes run already, which is the most: kill one first", living)
	}
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(s.data, "nodes", name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	out, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	defer out.Close()
	cmd := exec.Command(exe, "game", "serve", "--http", "127.0.0.1:0", "--data", dir, "--node", name, "--core", s.core,
		"--core-token-file", filepath.Join(s.data, "game", server.NodeTokenFile), "--world-cluster", game.ClusterOn, "--gateway-origins", s.origins())
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it is of no use without its core
	n, err := launch(cmd)
	if err != nil {
		return "", fmt.Errorf("start the node %s: %w", name, err)
	}
	s.nodes[name] = n
	return name, nil
}

// origins are those of the first node's plaza: its page goes on when its user is sent here. Of loopback both names are taken.
func (s *stage) origins() string {
	list := []string{s.core}
	if rest, ok := strings.CutPrefix(s.core, "http://127.0.0.1:"); ok {
		list = append(list, "http://localhost:"+rest)
	}
	return strings.Join(list, ",")
}

// launch starts a process on a thread that lives as long as it does: the system takes the end of that thread for the end of the parent.
func launch(cmd *exec.Cmd) (*stageNode, error) {
	n := &stageNode{ended: make(chan struct{})}
	started := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		n.err = cmd.Start()
		if n.err == nil {
			n.pid = cmd.Process.Pid
		}
		close(started)
		if n.err == nil {
			_ = cmd.Wait() // it is killed; how does not matter
		}
		close(n.ended)
	}()
	<-started
	return n, n.err
}

// await waits until a node is among the others.
func (s *stage) await(ctx context.Context, name string) (game.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, stageReadyMax)
	defer cancel()
	s.mu.Lock()
	one := s.nodes[name]
	s.mu.Unlock()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, n := range s.self.Nodes() {
			if n.Name == name {
				return n, nil
			}
		}
		select {
		case <-tick.C:
		case <-one.ended:
			return game.Node{}, fmt.Errorf("the node %s ended at once: %s says why", name, filepath.Join(s.data, "nodes", name, "log"))
		case <-ctx.Done():
			return game.Node{}, fmt.Errorf("the node %s is not among the others after %v: %s says why", name, stageReadyMax, filepath.Join(s.data, "nodes", name, "log"))
		}
	}
}

// Kill ends a node that Start started. Its records stay: its check has them leave the answers.
func (s *stage) Kill(_ context.Context, name string) error {
	s.mu.Lock()
	one := s.nodes[name]
	s.mu.Unlock()
	if one == nil || !one.lives() {
		return fmt.Errorf("no further node %s runs: only those that were started here are killed", strconv.Quote(name))
	}
	if err := syscall.Kill(one.pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill the node %s: %w", name, err)
	}
	<-one.ended
	return nil
}

// close ends all further nodes, and takes their names back.
func (s *stage) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, one := range s.nodes {
		if one.lives() {
			_ = syscall.Kill(one.pid, syscall.SIGKILL) // it has ended meanwhile
			<-one.ended
		}
		if s.names != nil {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			_ = s.names.Withdraw(ctx, name) // its check keeps it out of the answers anyway
			cancel()
		}
	}
}
