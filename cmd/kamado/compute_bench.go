package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/compute/bench"
)

// newComputeBenchCommand measures this very program.
func newComputeBenchCommand(a *app) *cobra.Command {
	config := bench.Default()
	var all bool
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what the cloud costs: memory, starts, requests, lists, scheduling, guests",
		Long: `Measure this program as its clients see it. It is started as a process of its own, on a free port of the loopback and in a
directory of its own that is removed again; no installation that exists is touched.

The groups of figures are:
  start     nothing to a usable API and to ready, tokens, memory at rest
  api       show, list and create a server, one request after the other
  pages     10,000 servers: memory, and pages of their list
  schedule  servers a second on 1,000 simulated hosts for 64 clients, and whether any host gave out too much
  guest     create to the first DHCP packet, metadata and SSH of a real guest, beside QEMU without a cloud (root, QEMU)
  adopt     100 paused guests that a killed server finds again (QEMU)
Without --only or --all, start and api are measured, in less than a minute.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			program, release, err := measured()
			if err != nil {
				return err
			}
			config.Program, config.Version, config.Command = program, release, os.Args
			if all {
				config.Only = bench.Groups
			}
			config.Parts = a.guestParts()
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
	flags.BoolVar(&all, "all", false, "measure every group; it takes minutes")
	flags.IntVar(&config.Rounds, "rounds", config.Rounds, "starts, and boots of a guest on either side")
	flags.IntVar(&config.Requests, "requests", config.Requests, "requests of a kind in group api")
	flags.IntVar(&config.Servers, "servers", config.Servers, "servers of group pages")
	flags.IntVar(&config.Hosts, "hosts", config.Hosts, "simulated hosts of group schedule")
	flags.IntVar(&config.Schedule, "schedule", config.Schedule, "servers of each part of group schedule")
	flags.IntVar(&config.Clients, "clients", config.Clients, "clients of group schedule")
	flags.IntVar(&config.Guests, "guests", config.Guests, "paused guests of group adopt")
	flags.StringVar(&config.Profiles, "profiles", "", "directory that gets profiles of the program in groups api, pages and schedule")
	flags.DurationVar(&config.Timeout, "timeout", config.Timeout, "longest wait for one thing")
	cmd.MarkFlagsMutuallyExclusive("only", "all")
	return cmd
}
