package main

import (
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/dns/bench"
)

// newDNSBenchCommand measures this very program.
func newDNSBenchCommand(a *app) *cobra.Command {
	config := bench.Default()
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure answers a second, beside the DNS servers that are installed",
		Long: `Bench starts this program and each peer that is installed (` + strings.Join(config.Peers, ", ") + `) as processes of their own, on free ports of the
loopback, with the same zone, and asks them in turn: by dnsperf, where it is installed, and by a generator that sends in batches. Each has one thread
that answers, on one core; the load runs on another. Figures are medians over the rounds.

The groups of figures are:
  static  a zone of a master file, as the peers have it
  owned   owned records with tiers, weights and health, at rest and while 1,000 of them change a second`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			program, release, err := measured()
			if err != nil {
				return err
			}
			config.Version, config.Command = release, os.Args
			static := []string{"dns", "serve", "--dns", "{dns}", "--http", "{free}", "--data", "{dir}", "--threads", "1", "--node", "bench", "--log-level", "error"}
			config.Kamado = bench.Command{Program: program, Args: append(slices.Clone(static), "--domain", "kamado.test", "--zone-file", "{zone}={file}")}
			config.Owned = bench.Command{Program: program, Args: append(slices.Clone(static), "--domain", "{zone}"), API: true}
			config.Still = config.Owned
			config.Talk = a.benchTalk()
			if err := config.Validate(); err != nil {
				return usagef("%w", err)
			}
			report, err := bench.Run(cmd.Context(), config)
			if err != nil {
				return err
			}
			return a.showBench(report)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&config.Only, "only", config.Only, "groups to measure")
	flags.StringSliceVar(&config.Peers, "peers", slices.Clone(config.Peers), "peers to measure, where they are installed")
	flags.IntVar(&config.Names, "names", config.Names, "names in the zone")
	flags.IntVar(&config.Rounds, "rounds", config.Rounds, "rounds, in each of which every server is asked once")
	flags.DurationVar(&config.Length, "length", config.Length, "time that one server is asked in one round")
	flags.IntVar(&config.Window, "window", config.Window, "questions that wait for an answer at once")
	flags.IntVar(&config.ServerCore, "server-core", config.ServerCore, "processor on which the servers run")
	flags.IntVar(&config.LoadCore, "load-core", config.LoadCore, "processor on which the load runs")
	flags.BoolVar(&config.Check, "check", config.Check, "compare every answer with what is in the zone")
	return cmd
}
