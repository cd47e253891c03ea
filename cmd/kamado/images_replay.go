package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/replay"
	"github.com/kamado/kamado/images/server"
	"github.com/kamado/kamado/images/signature"
)

func newImagesReplayCommand(a *app) *cobra.Command {
	cfg := replay.Config{Concurrency: 4, Timeout: 30 * time.Second}
	var keyFile string
	cmd := &cobra.Command{
		Use:   "replay ACCESS.LOG --against URL",
		Short: "Send the requests of an access log to a service and compare the pictures",
		Long: `Replay sends the requests of an access log (common or combined form, JSON objects, or a path a line; "-" is standard input) to the service
of --against. With --reference it asks that service, too, and compares status, bytes and how the pictures look (a difference hash); without it
the status is compared with that of the log.

Paths are sent as they are in the log. With --signing-key-file they are signed anew.`,
		Example: `  kamado images replay access.log --against http://127.0.0.1:7701
  kamado images replay access.log --against http://127.0.0.1:7701 --reference http://10.0.0.5:8080 --rate 200`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.replaySigning(&cfg, keyFile); err != nil {
				return err
			}
			return a.replayLog(cmd.Context(), cfg, args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&cfg.Candidate, "against", "", "base URL of the service to try")
	flags.StringVar(&cfg.Reference, "reference", "", "base URL of the service that answers today")
	flags.IntVar(&cfg.Concurrency, "concurrency", cfg.Concurrency, "requests at once")
	flags.Float64Var(&cfg.Rate, "rate", 0, "requests a second (default: as fast as they are answered)")
	flags.IntVar(&cfg.Limit, "limit", 0, "requests of the log to send (default: all)")
	flags.DurationVar(&cfg.Timeout, "timeout", cfg.Timeout, "longest wait for one picture")
	flags.StringVar(&cfg.Accept, "accept", "", "Accept header of every request")
	flags.StringVar(&keyFile, "signing-key-file", "", "sign paths with the first key of this file")
	_ = cmd.MarkFlagRequired("against") // fails only for a flag that does not exist
	return cmd
}

// replaySigning makes paths be signed anew.
func (a *app) replaySigning(cfg *replay.Config, keyFile string) error {
	if keyFile == "" {
		return nil
	}
	keys, err := signature.Load(keyFile)
	if err != nil {
		return err
	}
	g, err := urlGrammar(a, "")
	if err != nil {
		return err
	}
	cfg.Rewrite = func(path string) (string, error) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return "", err
		}
		return g.Sign(u, time.Time{}, keys.Sign)
	}
	return nil
}

func (a *app) replayLog(ctx context.Context, cfg replay.Config, path string) error {
	if err := cfg.Validate(); err != nil {
		return usagef("%w", err)
	}
	in := a.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return notFoundf("%w", err)
		}
		defer f.Close()
		in = f
	}
	shrink := server.Shrinker()
	defer shrink.Close()
	cfg.Hash = func(ctx context.Context, data []byte) (uint64, error) { return looks(ctx, shrink, data) }
	if a.interactive() {
		cfg.Progress = func(done int) { a.progress(fmt.Sprintf("%d requests", done)) }
	}
	report, err := replay.Run(ctx, cfg, replay.NewLog(in))
	a.progress("")
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return a.show(report, replayTable(&report))
}

// looks is a difference hash: each of 64 bits says whether a pixel of the picture
// at 9x8 is brighter than its neighbour (N. Krawetz, "Kind of Like That", 2013).
func looks(ctx context.Context, shrink *server.Shrink, data []byte) (hash uint64, err error) {
	small, err := shrink.Render(ctx, data, images.Rendition{Width: 9, Height: 8, Fit: images.FitStretch, Format: images.PNG, Background: images.White, HasBackground: true})
	if err != nil {
		return 0, err
	}
	img, err := png.Decode(bytes.NewReader(small))
	if err != nil {
		return 0, err
	}
	for y := range 8 {
		for x := range 8 {
			hash <<= 1
			if luma(img, x, y) > luma(img, x+1, y) {
				hash |= 1
			}
		}
	}
	return hash, nil
}

func luma(img image.Image, x, y int) uint32 {
	r, g, b, _ := img.At(x, y).RGBA()
	return 299*r + 587*g + 114*b
}

func replayTable(r *replay.Report) table {
	t := table{head: []string{"WHAT", "VALUE"}}
	row := func(what, format string, args ...any) {
		t.rows = append(t.rows, []string{what, fmt.Sprintf(format, args...)})
	}
	row("requests", "%d in %v (%d lines of the log skipped)", r.Requests, r.Took.Round(time.Millisecond), r.Skipped)
	for _, status := range slices.Sorted(maps.Keys(r.Statuses)) {
		name := fmt.Sprint("status ", status)
		if status == 0 {
			name = "no answer"
		}
		row(name, "%d", r.Statuses[status])
	}
	row("another status", "%d", r.Different)
	if r.Compared > 0 {
		row("pictures compared", "%d", r.Compared)
		row("look alike", "%d", r.Alike)
		row("bytes", "%.3fx of the reference's", float64(r.Bytes[0])/float64(max(r.Bytes[1], 1)))
	}
	row("time p50, p99", "%v, %v", r.Times[0].P50.Round(time.Microsecond), r.Times[0].P99.Round(time.Microsecond))
	if r.Times[1].P50 > 0 {
		row("reference p50, p99", "%v, %v", r.Times[1].P50.Round(time.Microsecond), r.Times[1].P99.Round(time.Microsecond))
	}
	for _, d := range r.Worst {
		row("differs", "%s: status %d and %d, looks %d of 64, bytes %d and %d %s", d.Path, d.Statuses[0], d.Statuses[1], d.Distance, d.Bytes[0], d.Bytes[1], strings.TrimSpace(d.Why))
	}
	return t
}
