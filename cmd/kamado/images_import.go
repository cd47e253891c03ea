package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/transfer"
	"github.com/kamado/kamado/internal/blob"
	"github.com/kamado/kamado/internal/blob/fs"
	"github.com/kamado/kamado/internal/blob/s3"
	"github.com/kamado/kamado/internal/unit"
)

// importFlags are the flags of "images import".
type importFlags struct {
	cfg        transfer.Config
	checkpoint string
	any        bool // not only pictures
}

func newImagesImportCommand(a *app) *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import FROM TO",
		Short: "Copy a tree or a bucket of originals, and go on where it stopped",
		Long: `Import copies originals from one place to another; each is a directory or a bucket (s3://BUCKET/PREFIX?endpoint=URL&region=R, credentials
in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY). What the target has already, equal in size and not older, is
left alone (--verify compares the bytes, --keep never overwrites). Keys that cannot be copied are listed in a file and do not stop the rest.

How far it is stands in --checkpoint: run the same command again after a stop, however it came to be, and it goes on there. Only files that
begin as pictures are taken, unless --any is given. The time left is known when FROM has been listed; --count lists it first. A server that
delivers TO need not be stopped.`,
		Example: `  kamado images import /mnt/nfs/photos originals
  kamado images import 's3://old-bucket/photos?endpoint=https://s3.eu-west-1.amazonaws.com&region=eu-west-1' originals --copies 64
  kamado images import /srv/photos /srv/originals --link`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.importOriginals(cmd.Context(), &f, args[0], args[1])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.cfg.Prefix, "prefix", "", "only keys that begin so")
	flags.IntVar(&f.cfg.Copies, "copies", transfer.DefaultCopies, "copies made at once")
	flags.StringVar(&f.checkpoint, "checkpoint", "import.checkpoint", "file that says how far it is; empty: it cannot go on after a stop")
	flags.IntVar(&f.cfg.FailuresMax, "failures", transfer.DefaultFailuresMax, "stop when more keys than this cannot be copied")
	flags.BoolVar(&f.cfg.Verify, "verify", false, "compare the bytes of what the target has already")
	flags.BoolVar(&f.cfg.Keep, "keep", false, "never overwrite what the target has")
	flags.BoolVar(&f.cfg.Link, "link", false, "make hard links: both are directories of one file system, and nobody changes the files of FROM afterwards")
	flags.BoolVar(&f.cfg.Count, "count", false, "list FROM first, so that the time left is known from the beginning")
	flags.BoolVar(&f.any, "any", false, "take files that are not pictures, too")
	return cmd
}

func (a *app) importOriginals(ctx context.Context, f *importFlags, from, to string) error {
	cfg := f.cfg
	cfg.From, cfg.To, cfg.Checkpoint = a.placeName(from), a.placeName(to), f.checkpoint
	cfg.BytesMax = int64(images.DefaultLimits().MaxBytes)
	source, closeSource, err := a.openPlace(from)
	if err != nil {
		return fmt.Errorf("open %s: %w", a.placeName(from), err)
	}
	defer closeSource()
	target, closeTarget, err := a.openPlace(to)
	if err != nil {
		return fmt.Errorf("open %s: %w", a.placeName(to), err)
	}
	defer closeTarget()
	if cfg.Link {
		cfg.LinkDir = filepath.Join(to, blob.ReservedSegment)
		if err := os.MkdirAll(cfg.LinkDir, 0o750); err != nil {
			return err
		}
	}
	deps := transfer.Deps{From: source, To: target}
	if !f.any {
		deps.Check = isPicture
	}
	if a.interactive() {
		deps.Bar = a.stderr
	} else {
		deps.Lines = a.stderr
	}
	report, err := transfer.Run(ctx, cfg, deps)
	if report.Took > 0 {
		if shown := a.showImport(report); err == nil {
			err = shown
		}
	}
	switch {
	case err == nil && report.Failed > 0:
		err = hinted(fmt.Errorf("originals that could not be copied: %d", report.Failed), "they are listed in "+f.checkpoint+".failures; run the command again to try them again")
	case errors.Is(err, context.Canceled) && f.checkpoint != "":
		err = hinted(errors.New("stopped"), "run the same command again to go on")
	}
	return err
}

// isPicture refuses what does not begin as a picture.
func isPicture(_ context.Context, _ string, data []byte) error {
	if images.Sniff(data[:min(len(data), images.SniffLength)]) == images.FormatUnknown {
		return errors.New("it is not a picture in a format that is known here (--any takes it all the same)")
	}
	return nil
}

func (a *app) showImport(r transfer.Report) error {
	if a.output == outputJSON {
		return writeJSON(a.stdout, r)
	}
	_, err := fmt.Fprintf(a.stdout, "%d originals: %d copied, %d linked, %d were there, %d gone meanwhile, %d failed; %s in %v\n",
		r.Done, r.Copied, r.Linked, r.Skipped, r.Gone, r.Failed, human(unit.Bytes(r.Bytes)), r.Took.Round(time.Millisecond))
	return err
}

// placeName is a place in its one spelling, without what must not be shown. The address of a bucket holds no secrets, and its endpoint
// belongs to it: two servers have buckets of the same name, and a checkpoint of one says nothing about the other.
func (a *app) placeName(place string) string {
	if strings.HasPrefix(place, "s3:") {
		cfg, err := s3.ParseURL(place)
		if err != nil {
			return "s3://..." // nobody knows where a secret stands in it
		}
		endpoint := ""
		if u, err := url.Parse(cfg.WithEnvironment(a.getenv).Endpoint); err == nil { // without credentials, which are refused elsewhere
			endpoint = u.Scheme + "://" + u.Host
		}
		return "s3://" + cfg.Bucket + "/" + cfg.Prefix + "?endpoint=" + endpoint
	}
	if abs, err := filepath.Abs(place); err == nil {
		return abs
	}
	return place
}

// openPlace opens a directory or a bucket.
func (a *app) openPlace(place string) (blob.Store, func() error, error) {
	if !strings.HasPrefix(place, "s3:") {
		store, err := fs.Open(place)
		if err != nil {
			return nil, nil, err
		}
		return store, store.Close, nil
	}
	cfg, err := s3.ParseURL(place)
	if err != nil {
		return nil, nil, usagef("%w", err)
	}
	store, err := s3.Open(cfg.WithEnvironment(a.getenv))
	if err != nil {
		return nil, nil, err
	}
	return store, store.Close, nil
}
