package gen_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/gateway"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world"
	"github.com/kamado/kamado/game/world/worldtest"
)

// host has a world behind a gateway.
type host struct{ *world.World }

func (h host) Opened(s *gateway.Session) { h.World.Opened(s) }
func (h host) Handle(s *gateway.Session, cmd wire.Command, body []byte) {
	h.World.Handle(s, cmd, body)
}
func (h host) Cut(s *gateway.Session)                     { h.World.Cut(s) }
func (h host) Resumed(s *gateway.Session)                 { h.World.Resumed(s) }
func (h host) Closed(s *gateway.Session, why wire.Reason) { h.World.Closed(s, why) }

// visitors are known by two tokens: that of a user, and that of the guest that signs in.
type visitors struct{ gateway.Identity }

func (visitors) Authenticate(_ context.Context, token string) (game.Principal, error) {
	uid, known := map[string]game.UID{"TOKEN": 1001, "GUEST": 1002}[token]
	if !known {
		return game.Principal{}, game.Errorf(game.Unauthenticated, "credential is not valid")
	}
	return game.Principal{Kind: game.ByUser, UID: uid, Expires: time.Now().Add(time.Hour)}, nil
}

func (visitors) CreateGuest(context.Context, string, game.Client) (game.Login, error) {
	return game.Login{UID: 1002, Created: true, Access: "GUEST", Refresh: "refresh", Session: "s", DeviceSecret: "secret"}, nil
}

// TestPeopleMeetWhoseClientIsMadeFromThePage runs a client that knows the page and no code of ours, against the gateway and
// the world.
func TestPeopleMeetWhoseClientIsMadeFromThePage(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("there is no python3 here to run a client that is not ours")
	}
	log := slog.New(slog.DiscardHandler)
	w, err := world.New(game.DefaultWorld(), world.Deps{Log: log, Entities: &worldtest.Entities{}, Node: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(game.DefaultGateway(), gateway.Deps{Log: log, Host: host{w}, Identity: visitors{}, Node: "n1", Tick: game.DefaultWorld().Tick})
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.HandlerFunc(g.ServeHTTP))
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })           //nolint:errcheck // it ends with the test
	running.Go(func() { g.Run(ctx) })           //nolint:errcheck // as above
	running.Go(func() { g.ServeTCP(ctx, tcp) }) //nolint:errcheck // as above
	defer func() { stop(); web.Close(); running.Wait() }()

	_, port, _ := net.SplitHostPort(strings.TrimPrefix(web.URL, "http://"))
	cmd := exec.CommandContext(ctx, "python3", "visit.py", fmt.Sprint(tcp.Addr().(*net.TCPAddr).Port), port)
	cmd.Dir = "testdata"
	cmd.Env = append(cmd.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "met") {
		t.Errorf("visit.py: %v\n%s", err, out)
	}
}
