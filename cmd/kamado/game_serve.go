package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/game/server"
	"github.com/kamado/kamado/internal/eventlog"
	"github.com/kamado/kamado/internal/eventlog/segment"
	"github.com/kamado/kamado/internal/httpserver"
)

// gameFlags are the names of flags that are not the path of their setting.
var gameFlags = map[string]string{}

func newGameServeCommand(a *app) *cobra.Command {
	c := newConfiguration()
	cmd := &cobra.Command{
		Use:   "serve --data DIR",
		Short: "Run a server of players: users, points, entities, locks, and the world in which they meet",
		Long: `Serve runs one server of players. Its API, WebSockets (/v1/socket) and the demo world (/plaza/) are at --http; the same binary protocol over
TCP is at --tcp. By itself it keeps everything under --data: users and locks in SQLite, points in a log of its own,
entities in Pebble. With --database postgres://… several servers share users, locks and points; entities are shared with --entities-engine
jetstream or mongodb. With --core it keeps connections and areas
alone, and another server's users and points are meant.

The credential in DIR/service.token is that of the first service: the game's own program. The token in DIR/operator.token opens everything.`,
		Example: `  kamado game serve --http 127.0.0.1:7703 --data world
  curl -s -X POST http://127.0.0.1:7703/v1/users -d '{"provider":"guest"}'
  kamado game points grant 1001 500 --reason "welcome" --data world
  kamado game points show 1001 --data world
  kamado game serve --http 127.0.0.1:7763 --data node-b --node b --core http://127.0.0.1:7703 --core-token-file world/game/node.token`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.load(a); err != nil {
				return err
			}
			if err := startSmall(); err != nil {
				a.talkf("kamado game: idle connections take 2 KB more each: %v", err)
			}
			return a.serveGame(cmd.Context(), c)
		},
	}
	flags := cmd.Flags()
	c.set.BindFlags(flags, "game", gameFlags)
	c.bindShared(flags)
	return cmd
}

// smallStacks has goroutines begin with the smallest stack. The runtime otherwise begins them with the average of all, rounded up, which is 4 KB: one that
// waits for a quiet client needs less than 2. Measured with thousands of idle connections: 4.1 KB of stack each, and 2.1 with it.
const smallStacks = "adaptivestackstart=0"

// startSmall begins the process anew with smallStacks, which the runtime reads at its start alone. It returns when that is in force, or cannot be.
func startSmall() error {
	settings := os.Getenv("GODEBUG")
	if strings.Contains(settings, "adaptivestackstart=") {
		return nil // also when somebody wants it otherwise
	}
	if settings != "" {
		settings += ","
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GODEBUG=") })
	return syscall.Exec(exe, os.Args, append(env, "GODEBUG="+settings+smallStacks))
}

// gameMemory collects seldom: requests are small and many, and an order's garbage is gone when it is answered. Under full load it
// costs some 40 MiB, against a twentieth of the processor's time.
var gameMemory = memoryPolicy{gc: 100, sparing: true}

// gameInFlight is how many requests may be in work: each waits for the disk, together with all others.
const gameInFlight = 8192

// serveGame runs a server of players until ctx ends.
func (a *app) serveGame(ctx context.Context, c *configuration) error {
	return serveRoom(ctx, a, c, gameMemory, a.addGame, func(l *roomListener[*server.Server]) string {
		said := fmt.Sprintf("kamado game: the API is at %s, the plaza at %s/plaza/", l.URL(), l.URL())
		if at := l.room.TCPAddr(); at != "" {
			said += ", the binary protocol over TCP at " + at
		}
		if c.Game.Core != "" {
			return said + "; users and points are kept by " + c.Game.Core
		}
		return said + "; the service's credential is in " + filepath.Join(c.Data, server.ServiceTokenFile)
	})
}

// addGame adds a server of players to the parts of a process.
func (a *app) addGame(ctx context.Context, p *process) (*roomListener[*server.Server], error) {
	return addRoom(ctx, p, roomPlan[*server.Server]{
		name: "game", addr: p.cfg.Game.HTTP,
		build: func(data string, log *eventlog.Log) (*server.Server, error) {
			deps := server.Deps{
				Log: p.tel.Log, Registerer: p.tel.Registry, Guard: p.guard, Audit: playerAudit(log), Event: playerEvents(log), Reports: p.reports,
				Pictures: p.pictures, WhyNoPictures: p.noPictures,
			}
			if p.nodes != nil { // a nil *nodeNames would be a registrar that is not nil
				deps.Registrar = p.nodes
			}
			return server.New(ctx, server.Options{Config: p.cfg.Game, Data: data, Version: version}, deps)
		},
		opened: func(room *server.Server, srv *httpserver.Server) error { return room.Open(ctx, srv.URL()) },
		limit: func(cfg *httpserver.Config) {
			cfg.BodyBytesMax, cfg.InFlightMax = max(cfg.BodyBytesMax, server.BodyBytesMax), max(cfg.InFlightMax, gameInFlight)
		},
	})
}

// playerAudit writes down which service or operator asked for which change about players.
func playerAudit(log *eventlog.Log) api.Audit {
	return func(r *http.Request, who, action, subject string, err error) {
		attributes := map[string]string{"action": action, "outcome": "success", "remote": r.RemoteAddr}
		if err != nil {
			attributes["outcome"] = game.KindOf(err).String()
		}
		log.Offer(eventlog.Event{Room: "game", Type: "audit", Actor: eventText(who, segment.FieldBytesMax), RequestID: httpserver.RequestID(r), Subject: eventText(subject, segment.FieldBytesMax), Attributes: attributes})
	}
}

// playerEvents gives what happens to players to the event log.
func playerEvents(log *eventlog.Log) api.Events {
	return func(e api.Event) {
		for k, v := range e.Attributes {
			e.Attributes[k] = eventText(v, eventDetailMax)
		}
		log.Offer(eventlog.Event{Room: "game", Type: e.Type, Actor: eventText(e.Actor, segment.FieldBytesMax), RequestID: e.RequestID, Subject: eventText(e.Subject, segment.FieldBytesMax), Attributes: e.Attributes})
	}
}
