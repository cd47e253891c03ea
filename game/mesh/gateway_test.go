package mesh_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/gateway"
	"github.com/kamado/kamado/game/mesh"
	"github.com/kamado/kamado/game/wire"
)

// doorman knows the nodes' service, and one that has not the scope.
type doorman struct{ gateway.Identity }

func (doorman) Authenticate(_ context.Context, token string) (game.Principal, error) {
	switch token {
	case credential:
		return game.Principal{Kind: game.ByService, Service: "nodes", Scopes: game.ScopeAdmin}, nil
	case "small":
		return game.Principal{Kind: game.ByService, Service: "small", Scopes: game.ScopePoints}, nil
	}
	return game.Principal{}, game.Errorf(game.Unauthenticated, "nobody")
}

// hall gives nodes to the mesh, as the server does. There is no world.
type hall struct{ mesh *mesh.Mesh }

func (h hall) Opened(s *gateway.Session) {
	if s.Node() == "" || !s.Principal().Has(game.ScopeAdmin) {
		s.Close(wire.Reason_REASON_TOKEN, "", nil)
		return
	}
	a, err := h.mesh.Accept(s.Node(), func() { s.Close(wire.Reason_REASON_REPLACED, "", nil) })
	if err != nil {
		s.Close(wire.Reason_REASON_FULL, err.Error(), nil)
		return
	}
	s.SetValue(a)
}

func (h hall) Handle(s *gateway.Session, cmd wire.Command, body []byte) {
	if a, ok := s.Value().(*mesh.Arrival); ok && a.Handle(cmd, body) != nil {
		s.Close(wire.Reason_REASON_INVALID, "", nil)
	}
}

func (h hall) Closed(s *gateway.Session, _ wire.Reason) {
	if a, ok := s.Value().(*mesh.Arrival); ok {
		a.Closed()
	}
}

func (hall) Cut(*gateway.Session)     {}
func (hall) Resumed(*gateway.Session) {}

// behind puts a mesh behind a real gateway at an address that is known before.
func behind(t *testing.T, handler func() http.Handler) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler().ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	return "ws" + strings.TrimPrefix(server.URL, "http") + "/v1/socket"
}

// TestNodesMeetThroughGateways: the links go through the gateway as it is, with hundreds of words a second.
func TestNodesMeetThroughGateways(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	nodes := map[string]*node{}
	for _, name := range []string{"a", "b"} {
		var g atomic.Pointer[gateway.Gateway]
		n := start(t, dir, name, func(_ *mesh.Config, d *mesh.Deps) {
			d.Node.WebSocket = behind(t, func() http.Handler {
				if g.Load() == nil {
					return http.NotFoundHandler()
				}
				return g.Load()
			})
		})
		front, err := gateway.New(game.DefaultGateway(), gateway.Deps{
			Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Identity: doorman{}, Node: name, Host: hall{n.mesh},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- front.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		g.Store(front)
		nodes[name] = n
	}
	a, b := nodes["a"], nodes["b"]
	meet(t, a, b)
	a.mesh.Here(1001, true, game.Copy{})
	eventually(t, "b hears of the user", func() bool { return b.where(1001) == "a" })
	// Many more than a client might send. A word may be lost with its link on a machine that stands still: then there are more.
	const words = 3000
	eventually(t, "the words arrive", func() bool {
		for range 100 {
			b.mesh.Tell(1001, wire.CmdWhispered, nil)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.words) >= words
	})
}
