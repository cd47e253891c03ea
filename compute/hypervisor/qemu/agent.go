package qemu

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/kamado/kamado/compute/hypervisor"
)

// agentTimeout is how long a guest agent may take to answer. A guest without one
// never does.
const agentTimeout = 3 * time.Second

// agentLineMax bounds what a guest may say in one line: it is not trusted.
const agentLineMax = 64 << 10

// SetPassword tells the guest agent a new password.
func (e *Engine) SetPassword(ctx context.Context, id, user, password string) error {
	d, release, err := e.take(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	if d.current() != hypervisor.Running {
		return d.stateError()
	}
	ctx, cancel := context.WithTimeout(ctx, agentTimeout)
	defer cancel()
	conn, err := dial(ctx, d.dir, sockAgent)
	if err != nil {
		return fmt.Errorf("guest agent of %s: %w", id, err)
	}
	defer conn.Close()
	end, _ := ctx.Deadline() // it has one: agentTimeout
	_ = conn.SetDeadline(end)
	err = setPassword(conn, user, password)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("no guest agent answers in %s: %w", id, hypervisor.ErrUnsupported)
	}
	if err != nil {
		return fmt.Errorf("guest agent of %s: %w", id, err)
	}
	return nil
}

// setPassword speaks to a guest agent: first a number that it must repeat, so
// that answers to earlier callers are told apart.
func setPassword(conn net.Conn, user, password string) error {
	lines := bufio.NewScanner(conn)
	lines.Buffer(make([]byte, 0, 4096), agentLineMax)
	number := time.Now().UnixNano() & (1<<52 - 1) // exact in any JSON
	if err := askAgent(conn, "guest-sync", node{"id": number}); err != nil {
		return err
	}
	for {
		got, err := agentAnswer(lines)
		if err != nil {
			return err
		}
		var n int64
		if json.Unmarshal(got, &n) == nil && n == number {
			break
		}
	}
	args := node{"username": user, "password": base64.StdEncoding.EncodeToString([]byte(password)), "crypted": false}
	if err := askAgent(conn, "guest-set-user-password", args); err != nil {
		return err
	}
	_, err := agentAnswer(lines)
	return err
}

func askAgent(conn net.Conn, command string, args node) error {
	b, err := json.Marshal(node{"execute": command, "arguments": args})
	if err != nil {
		return err
	}
	_, err = conn.Write(append(b, '\n'))
	return err
}

// agentAnswer reads one answer.
func agentAnswer(lines *bufio.Scanner) (json.RawMessage, error) {
	if !lines.Scan() {
		if err := lines.Err(); err != nil {
			return nil, err
		}
		return nil, errors.New("the agent hung up")
	}
	return parseAgent(lines.Bytes())
}

// parseAgent reads one line of a guest agent.
func parseAgent(line []byte) (json.RawMessage, error) {
	var answer struct {
		Return json.RawMessage `json:"return"`
		Error  *struct {
			Desc string `json:"desc"`
		} `json:"error"`
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return nil, fmt.Errorf("answer of the guest agent: %w", err)
	}
	if answer.Error != nil {
		return nil, fmt.Errorf("the guest agent says %q", answer.Error.Desc)
	}
	return answer.Return, nil
}
