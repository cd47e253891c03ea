package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/kamado/kamado/game"
)

// listed is a registrar in memory.
type listed struct {
	nodes []game.Node
	err   error
}

func (l *listed) Announce(_ context.Context, n game.Node) error {
	if l.err == nil {
		l.nodes = append(l.nodes, n)
	}
	return l.err
}

func (l *listed) Withdraw(context.Context, string) error { l.nodes = nil; return l.err }

func (l *listed) Nodes(context.Context) ([]game.Node, error) { return l.nodes, l.err }

// TestNamesThatAreAwayKeepNoNodeOut: the locks decide, and what is said of the other registrar is said once.
func TestNamesThatAreAwayKeepNoNodeOut(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	locks, names := &listed{}, &listed{err: errors.New("no member")}
	r := &registrars{NodeRegistrar: locks, more: names, log: slog.New(slog.NewTextHandler(&said, nil))}
	for range 3 {
		if err := r.Announce(t.Context(), game.Node{Name: "a", WebSocket: "ws://a"}); err != nil {
			t.Fatalf("a node is kept out by names: %v", err)
		}
	}
	if n := strings.Count(said.String(), "not told by name"); n != 1 {
		t.Errorf("said %d times", n)
	}
	for range 3 { // a registrar that takes names and does not answer is away all the time, and not by turns
		names.err = nil
		_ = r.Announce(t.Context(), game.Node{Name: "a", WebSocket: "ws://a"})
		names.err = errors.New("no answer")
		_, _ = r.Nodes(t.Context())
	}
	if n := strings.Count(said.String(), "not told by name"); n > 2 {
		t.Errorf("said %d times", n)
	}
	names.err, names.nodes = nil, []game.Node{{Name: "a", WebSocket: "ws://elsewhere"}, {Name: "b", WebSocket: "ws://b"}}
	locks.nodes = locks.nodes[:1]
	list, err := r.Nodes(t.Context())
	if err != nil || len(list) != 2 || list[0].WebSocket != "ws://a" || list[1].Name != "b" {
		t.Errorf("together they know %v, %v", list, err)
	}
	if !strings.Contains(said.String(), "told by name again") {
		t.Error("its return is not said")
	}
	locks.err = errors.New("locks are away")
	if err := r.Announce(t.Context(), game.Node{Name: "a"}); err == nil {
		t.Error("a node is announced without locks")
	}
	locks.nodes, names.nodes = nil, nil
	if _, err := r.Nodes(t.Context()); err == nil {
		t.Error("nobody knows a node, and that is no error")
	}
	if err := r.Withdraw(t.Context(), "a"); err == nil {
		t.Error("what is not withdrawn is not told")
	}
}
