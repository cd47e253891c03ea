package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/game/bench"
	"github.com/kamado/kamado/game/server"
)

// newGameBenchCommand measures this very program, or a server that runs.
func newGameBenchCommand(a *app) *cobra.Command {
	config, data := bench.Default(), ""
	cmd := &cobra.Command{
		Use:   "bench [GROUP...]",
		Short: "Measure durable transfers of points, beside PostgreSQL and the disk, and more",
		Long: `Bench starts this program as a process of its own, on a free port of the loopback and in a directory of its own, and asks it as clients do: each caller
is a user with a token and a connection. Beside it, alternating in the same run on the same disk, stand ` + bench.PeerPostgres + ` (where it is installed) with one function
a transfer, and a bare loop of ` + bench.PeerFloor + `. At the end every account is compared with what was acknowledged. Figures are medians over the rounds.

The groups of figures are:
  points    durable transfers of points a second
  entities  durable puts of entities a second
  start     from nothing to the first login, and the memory that takes
  recovery  from a killed server's directory to ready: needs --ledger, and writes in it
Without a group, all but recovery are measured. With --url, a server that runs already is measured, without peers unless they are named. How moves come to
others, and what idle connections cost, are commands of their own below.

Points are asked for over HTTP, or over connections of the game's own protocol: --over tcp,http measures both ways in turn on one server, and a --url that is ws://… or
tcp://… that way alone. There each caller is logged in once, and the figures stand at the report's top too, with the ledger's sum behind it all.

A load is a closed loop: a caller asks again when he is answered. With --rate it is an open one: requests come by the clock, and the time of each runs from
when it was due, so that a slow answer is not hidden by the requests that it held up.`,
		Example: `  kamado game bench points --callers 64 --duration 10s -o json
  kamado game bench points --url http://127.0.0.1:8080 --token-file data/game/service.token --rate 5000
  kamado game bench points --over tcp,http --callers 64,1024
  kamado game bench points --url tcp://127.0.0.1:8081 --api http://127.0.0.1:8080 --data data --callers 1024 -o json`,
		ValidArgs: bench.Groups,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				config.Only = args
			}
			program, release, err := measured()
			if err != nil {
				return err
			}
			config.Version, config.Command = release, os.Args
			config.Serve = gameServeArgs(program)
			config.Transfers, config.Wire = []string{"--points-transfers"}, wireArgs
			config.Talk = a.benchTalk()
			if flags := cmd.Flags(); config.URL != "" {
				if !flags.Changed("peers") {
					config.Peers = nil
				}
				if scheme, _, _ := strings.Cut(config.URL, "://"); !flags.Changed("over") && slices.Contains(bench.Overs, scheme) {
					config.Over = []string{scheme}
				}
				if config.TokenFile == "" && data != "" {
					config.TokenFile = filepath.Join(data, server.ServiceTokenFile)
				}
				if len(args) == 0 && !flags.Changed("only") {
					config.Only = []string{bench.GroupPoints}
				}
			}
			if err := config.Validate(); err != nil {
				return usagef("%w", err)
			}
			report, err := bench.Run(cmd.Context(), config)
			if err != nil {
				return err
			}
			if err := a.showBench(report); err != nil {
				return err
			}
			return report.Err()
		},
	}
	gameBenchFlags(cmd, &config)
	cmd.Flags().StringVar(&data, "data", "", "that server's data directory, when it is on this machine: its credential of a service is taken")
	cmd.AddCommand(newGameBenchFanoutCommand(a), newGameBenchIdleCommand(a))
	return cmd
}

// wireArgs have a server that is measured take connections over TCP, and as many commands as callers can ask for.
var wireArgs = []string{"--tcp", "{tcp}", "--gateway-commands-per-second", "100000"}

// gameBenchFlags gives the command its flags.
func gameBenchFlags(cmd *cobra.Command, config *bench.Config) {
	flags := cmd.Flags()
	flags.StringSliceVar(&config.Only, "only", config.Only, "groups to measure, when none is an argument: "+strings.Join(bench.Groups, ", "))
	flags.StringSliceVar(&config.Peers, "peers", slices.Clone(config.Peers), "peers to measure, where they are installed")
	flags.StringVar(&config.URL, "url", "", "measure the server at this URL (http://HOST:PORT, ws://HOST:PORT/v1/socket, tcp://HOST:PORT)")
	flags.StringVar(&config.API, "api", "", "where that server's HTTP is, when the URL is tcp:// (http://HOST:PORT)")
	flags.StringSliceVar(&config.Over, "over", slices.Clone(config.Over), "ways to points, each measured in turn: "+strings.Join(bench.Overs, ", "))
	flags.StringVar(&config.TokenFile, "token-file", "", "file with that server's credential of a service: service.token in its data directory")
	flags.IntVar(&config.PID, "pid", 0, "process of that server on this machine, for its processor time and memory")
	flags.IntSliceVar(&config.Callers, "callers", config.Callers, "callers of points, one load each")
	flags.IntSliceVar(&config.EntityCallers, "entity-callers", config.EntityCallers, "callers of entities, one load each")
	flags.DurationVar(&config.Duration, "duration", config.Duration, "time that one subject is loaded by so many callers, in all rounds together")
	flags.IntVar(&config.Rounds, "rounds", config.Rounds, "rounds, in each of which every subject is loaded once; a shorter one before them warms")
	flags.Float64Var(&config.Rate, "rate", 0, "operations a second of an open loop (0: a closed loop)")
	flags.StringVar(&config.Mix, "mix", config.Mix, "what callers do with points: spends, grants, reserve-confirm, transfers, with shares: spends=8,grants=1")
	flags.IntVar(&config.EntityBytes, "entity-bytes", config.EntityBytes, "bytes of an entity")
	flags.IntVar(&config.Connections, "connections", config.Connections, "most connections to PostgreSQL: more callers wait for one")
	flags.IntVar(&config.Starts, "starts", config.Starts, "how often groups start and recovery start the program")
	flags.StringVar(&config.Ledger, "ledger", "", "data directory that group recovery starts on")
	flags.StringVar(&config.Dir, "dir", "", "where directories are made, on the disk that is measured (default: where temporary files are, unless that is memory)")
	flags.StringVar(&config.Profiles, "profiles", "", "directory that gets a profile of the program's inside for each load")
	flags.DurationVar(&config.Timeout, "timeout", config.Timeout, "longest wait for a server to start")
}
