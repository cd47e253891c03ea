package main

import (
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kamado/kamado/game/bench"
	"github.com/kamado/kamado/game/server"
)

// gameServeArgs start a server that is measured.
func gameServeArgs(program string) bench.Command {
	return bench.Command{Program: program, Args: []string{"game", "serve", "--http", "{http}", "--data", "{data}", "--log-level", "error"}}
}

// benchTarget is which server of the world is measured, as its flags say.
type benchTarget struct {
	*bench.Target
	data string
}

// bind gives a command the flags of a target.
func (t *benchTarget) bind(flags *pflag.FlagSet) {
	flags.StringVar(&t.URL, "url", "", "measure the server at this URL (ws://HOST:PORT/v1/socket, tcp://HOST:PORT)")
	flags.StringVar(&t.TokenFile, "token-file", "", "file with that server's credential of a service: without it, guests come in as people who are new do, and so many at once")
	flags.StringVar(&t.data, "data", "", "that server's data directory, when it is on this machine: its credential of a service is taken")
	flags.IntVar(&t.PID, "pid", 0, "process of that server on this machine (default: whoever listens there)")
	flags.StringVar(&t.Dir, "dir", "", "where directories are made (default: where temporary files are, unless that is memory)")
	flags.DurationVar(&t.Timeout, "timeout", t.Timeout, "longest wait for a server to start, and for connections that do not come in")
}

// fill says what is started when there is no URL.
func (t *benchTarget) fill(a *app) error {
	program, release, err := measured()
	if err != nil {
		return err
	}
	t.Version, t.Command, t.Talk = release, os.Args, a.benchTalk()
	t.Serve, t.TCP = gameServeArgs(program), wireArgs[:2]
	t.Serve.Args = append(t.Serve.Args, wireArgs[2:]...)
	if t.TokenFile == "" && t.data != "" {
		t.TokenFile = filepath.Join(t.data, server.ServiceTokenFile)
	}
	return nil
}

// newGameBenchFanoutCommand measures how moves come to others.
func newGameBenchFanoutCommand(a *app) *cobra.Command {
	config := bench.DefaultFanout()
	target := benchTarget{Target: &config.Target}
	var tick time.Duration
	cmd := &cobra.Command{
		Use:   "fanout",
		Short: "Measure how moves of avatars come to the others in their room, beside " + bench.PeerColyseus,
		Long: `Fanout has avatars walk in rooms, and counts deliveries: a position of one avatar, changed since, that another one of the room decoded. What comes back to the
mover, a position that was known, and one that is older than what was known do not count. Every avatar makes exactly rate x duration moves, by the clock, evenly spread; so
avatars x (room - 1) x rate x duration deliveries are expected. The time of each runs from when that very move was due, so that what is sent late is in the figures.

The server is this program as a process of its own, beside ` + bench.PeerColyseus + ` where Node.js is installed: npm fetches it, into a cache, and runs none of its scripts. Both have
the same avatars, and alternate. With --url, a server that runs already is measured, in one round and without peers unless they are asked for.

One or a few threads serve all connections of the generator. When they are the bottleneck, that is said, and the figures are not the server's.`,
		Example: `  kamado game bench fanout
  kamado game bench fanout --tick 0s --peers "" --avatars 120
  kamado game bench fanout --url ws://127.0.0.1:7703/v1/socket --avatars 300 --room 30 --rate 10 --duration 20s -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := target.fill(a); err != nil {
				return err
			}
			flags := cmd.Flags()
			if flags.Changed("tick") {
				config.Tick = []string{"--world-tick", tick.String()}
			}
			if config.URL != "" && !flags.Changed("peers") {
				config.Peers = nil
			}
			if config.URL != "" && !flags.Changed("rounds") {
				config.Rounds = 1
			}
			if err := config.Validate(); err != nil {
				return usagef("%w", err)
			}
			report, err := bench.Fanout(cmd.Context(), config)
			if err != nil {
				return err
			}
			return a.showBench(report)
		},
	}
	flags := cmd.Flags()
	target.bind(flags)
	flags.StringVar(&config.Over, "over", config.Over, "how a server that is started is spoken to: ws, tcp")
	flags.DurationVar(&tick, "tick", 0, "time between two rounds in which a server that is started tells moves; 0s: at once (default: the server's)")
	flags.StringSliceVar(&config.Peers, "peers", slices.Clone(config.Peers), "peers to measure, where they can run")
	flags.StringVar(&config.Cache, "cache", "", "where npm packages of peers are kept (default: below the user's cache directory)")
	flags.IntVar(&config.Avatars, "avatars", config.Avatars, "avatars in all rooms together")
	flags.IntVar(&config.Room, "room", config.Room, "avatars of one room; the last room has the rest")
	flags.Float64Var(&config.Rate, "rate", config.Rate, "moves of each avatar a second")
	flags.DurationVar(&config.Duration, "duration", config.Duration, "time for which all move, in all rounds together")
	flags.IntVar(&config.Rounds, "rounds", config.Rounds, "rounds, in each of which every subject is measured once (with --url: 1)")
	flags.StringVar(&config.Profiles, "profiles", "", "directory that gets a profile of the program's inside")
	return cmd
}

// newGameBenchIdleCommand measures what connections cost that do nothing.
func newGameBenchIdleCommand(a *app) *cobra.Command {
	config := bench.DefaultIdle()
	target := benchTarget{Target: &config.Target}
	cmd := &cobra.Command{
		Use:   "idle",
		Short: "Measure the memory of logged-in connections that do nothing",
		Long: `Idle opens connections, each logged in as a user of its own, and reads how much more memory the server process has then. Before and behind, it waits until that is at
rest: a server gives back in its own time what was garbage. What the kernel keeps for a socket is not in the figure.`,
		Example: `  kamado game bench idle --connections 5000 -o json
  kamado game bench idle --url tcp://127.0.0.1:7704 --connections 20000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := target.fill(a); err != nil {
				return err
			}
			if err := config.Validate(); err != nil {
				return usagef("%w", err)
			}
			report, err := bench.Idle(cmd.Context(), config)
			if err != nil {
				return err
			}
			return a.showBench(report)
		},
	}
	flags := cmd.Flags()
	target.bind(flags)
	flags.StringVar(&config.Over, "over", config.Over, "how a server that is started is spoken to: ws, tcp")
	flags.IntVar(&config.Connections, "connections", config.Connections, "connections, each of a user of its own")
	flags.DurationVar(&config.Settle, "settle", config.Settle, "longest wait for the server's memory to come to rest")
	return cmd
}
