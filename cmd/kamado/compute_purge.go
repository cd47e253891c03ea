package main

import (
	"errors"
	"log/slog"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/compute/server"
)

func newComputePurgeCommand(a *app) *cobra.Command {
	var data string
	var yes bool
	cmd := &cobra.Command{
		Use:   "purge --data DIR --yes",
		Short: "End all guests of a cloud and remove its networks from this machine",
		Long: `Purge is for the end of a cloud, before its directory is deleted: instances outlive their server on purpose, and so do network
namespaces, links and rules. It removes those that belong to DIR, with the disks of its instances, and nothing of other clouds.
No server may run on DIR.`,
		Example: `  kamado compute purge --data cloud --yes && rm -r cloud`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes {
				return errors.New("purge deletes the disks of all instances: say so with --yes")
			}
			dir, err := filepath.Abs(data)
			if err != nil {
				return err
			}
			purged, err := server.Purge(cmd.Context(), dir, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			a.talkf("kamado compute: ended instances: %d; removed the networks; %s may be deleted now", purged.Guests, dir)
			return nil
		},
	}
	cmd.Flags().StringVar(&data, "data", "data", "the directory of the cloud")
	cmd.Flags().BoolVar(&yes, "yes", false, "delete without asking again")
	return cmd
}
