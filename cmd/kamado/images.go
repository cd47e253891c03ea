package main

import "github.com/spf13/cobra"

// newImagesCommand is the parent of everything about pictures: serving them, and signing and writing their URLs.
func newImagesCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "images",
		Short: "Deliver pictures at any size from one original each",
	}
	cmd.AddCommand(newImagesServeCommand(a), newImagesSignCommand(a), newImagesURLCommand(a), newImagesImportCommand(a), newImagesReplayCommand(a), newImagesBenchCommand(a), newImagesUploadCommand(a), newImagesGrantCommand(a))
	cmd.AddCommand(newImagesOrderCommands(a)...)
	return cmd
}
