package bench

import (
	"bufio"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

//go:embed peers/*.mjs
var scripts embed.FS

// node is a Node.js process that answers a line of JSON with a line of JSON.
// It is for one caller at a time.
type node struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	lines  chan []byte // closed when the process has said its last
	failed error       // valid once lines is closed
}

// answerBytesMax bounds a line: a rendition in base64 is well below it.
const answerBytesMax = 64 << 20

// startNode runs one of the embedded scripts with the folder that holds
// node_modules and a folder to work in, and decodes its first line into hello.
func startNode(ctx context.Context, c Config, script, peers, work string, hello any) (*node, error) {
	program, err := exec.LookPath("node")
	if err != nil {
		return nil, errors.New("node is not installed")
	}
	text, err := scripts.ReadFile("peers/" + script)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(work, script)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, err
	}
	n := &node{cmd: exec.CommandContext(ctx, program, path, peers, work), lines: make(chan []byte)}
	said := &tailWriter{}
	n.cmd.Stderr = said
	if n.stdin, err = n.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := n.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := n.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start node: %w", err)
	}
	go n.read(stdout, said)
	if err := n.receive(ctx, c.Timeout, hello); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// read hands lines over until the process ends; it ends with the process.
func (n *node) read(stdout io.Reader, said *tailWriter) {
	defer close(n.lines)
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, answerBytesMax)
	for lines.Scan() {
		n.lines <- append([]byte(nil), lines.Bytes()...)
	}
	n.failed = fmt.Errorf("node ended: %s", said.firstLine())
}

func (n *node) receive(ctx context.Context, timeout time.Duration, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case line, ok := <-n.lines:
		if !ok {
			return n.failed
		}
		return json.Unmarshal(line, answer)
	case <-ctx.Done():
		return fmt.Errorf("wait for node: %w", ctx.Err())
	}
}

// ask sends a question and decodes the answer to it.
func (n *node) ask(ctx context.Context, timeout time.Duration, question, answer any) error {
	line, err := json.Marshal(question)
	if err != nil {
		return err
	}
	if _, err := n.stdin.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("talk to node: %w", err)
	}
	return n.receive(ctx, timeout, answer)
}

// close ends the process: it exits at the end of its input.
func (n *node) close() error {
	n.stdin.Close()
	for range n.lines {
	}
	return n.cmd.Wait()
}
