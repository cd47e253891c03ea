package main

import "github.com/spf13/cobra"

// newComputeCommand is the parent of everything about machines.
func newComputeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "compute",
		Short: "Run a private cloud that speaks OpenStack",
	}
	cmd.AddCommand(newComputeServeCommand(a), newComputeImageCommand(a), newComputeAdminCommand(a), newComputeBenchCommand(a), newComputePurgeCommand(a))
	cmd.AddCommand(newComputeVerbCommands(a)...)
	return cmd
}
