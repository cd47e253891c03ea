package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kamado/kamado/images/bench"
)

// newImagesBenchCommand measures this very program beside the peers that are installed.
func newImagesBenchCommand(a *app) *cobra.Command {
	config := bench.Default()
	var peers string
	var markdown bool
	cmd := &cobra.Command{
		Use:   "bench --originals DIR",
		Short: "Measure the cost of a picture beside the peers that are installed",
		Long: `Measure the CPU of a picture, its bytes, its likeness to the original and the memory it takes: of this program as it
is served with every cache off, and of those peers that are installed (imgproxy, sharp, vipsthumbnail, ImageMagick,
nginx), on the same originals, alternating in one run. Only pictures that arrive whole and in the right size count; every ratio says
whether the quality rule holds: mean ssimulacra2 >= the peer's - 0.5, mean PSNR >= the peer's - 0.3 dB, bytes <= 1.03x.

Then the table of figures: each kind of work with what it costs, what is to be reached, and whether it is; beside the
classes of originals that is large originals with warm mezzanines, five sizes at once, equal requests at once, the slowest
of a hundred, memory, and finished renditions. --parts measures some of them.

The originals are DIR/{kind}/{id}.jpg, best 4:3. The npm packages sharp and calc-s2-rust are looked for in --peers,
$KAMADO_PEERS, .cache/peers, and .cache/peers beside the folder of this program; "./setup bench" puts them there. imgproxy is the
program of --imgproxy, $KAMADO_IMGPROXY, imgproxy/imgproxy in one of those folders, or the one on the path.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			program, release, err := measured()
			if err != nil {
				return err
			}
			config.Program, config.Version = program, release
			config.Peers = benchPeers(peers, a.getenv("KAMADO_PEERS"), program)
			config.Imgproxy = cmp.Or(config.Imgproxy, a.getenv("KAMADO_IMGPROXY"))
			config.Command, config.Talk = os.Args, a.benchTalk()
			if err := config.Validate(); err != nil {
				return usagef("%w", err)
			}
			report, err := bench.Run(cmd.Context(), config)
			switch {
			case errors.Is(err, os.ErrNotExist), errors.Is(err, bench.ErrNoOriginals):
				return notFoundf("%w", err)
			case err != nil:
				return err
			}
			if markdown {
				_, err := io.WriteString(a.stdout, report.Markdown())
				return err
			}
			return a.showPictures(report)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&config.Originals, "originals", "", "folder of {kind}/{id}.jpg")
	flags.StringVar(&peers, "peers", "", "folder whose node_modules holds sharp and calc-s2-rust")
	flags.StringSliceVar(&config.Only, "only", nil, "peers to measure, by name (default: all that are installed)")
	flags.StringVar(&config.Imgproxy, "imgproxy", "", "the imgproxy executable")
	flags.StringSliceVar(&config.Parts, "parts", nil, "parts to measure: "+strings.Join(bench.Parts, ", ")+" (default: all)")
	flags.BoolVar(&markdown, "markdown", false, "print the report as a piece of Markdown")
	flags.IntVar(&config.Rounds, "rounds", config.Rounds, "alternating rounds that count; one more warms up")
	flags.IntVar(&config.Repeat, "repeat", config.Repeat, "how often a round repeats each original, at another size each time")
	flags.IntVar(&config.Quality, "quality", config.Quality, "JPEG quality of the renditions")
	flags.DurationVar(&config.Timeout, "timeout", config.Timeout, "longest wait for one picture, and for a subject to start")
	_ = cmd.MarkFlagRequired("originals") // fails only for a flag that does not exist
	cmd.AddCommand(newImagesBenchStoreCommand(a), newImagesBenchVarnishCommand(a))
	return cmd
}

// newImagesBenchStoreCommand measures this very program in front of very many originals.
func newImagesBenchStoreCommand(a *app) *cobra.Command {
	config := bench.DefaultStore()
	cmd := &cobra.Command{
		Use:   "store --dir DIR",
		Short: "Measure a service in front of very many originals, and its restart",
		Long: `Measure a service in front of very many originals: they are made in DIR as names (hard links) of a few hundred small
files, {kind}/{id}.jpg, ten thousand to a kind; asked for by Zipf's law with the exponent 1 over all of them; and the
service, with its caches as they are by default, is killed in the middle and started again. Told are requests a second, where the
pictures came from, memory before and after, and the time from the start until it is ready; first with an eighth of the
originals, then with all, because neither memory nor the start may depend on their number.

DIR must not exist or be empty; it is removed at the end. Eight million names take about half a gigabyte.`,
		Example: "  kamado images bench store --dir /var/tmp/store --count 8000000 --requests 200000",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			program, release, err := measured()
			if err != nil {
				return err
			}
			config.Program, config.Version, config.Command, config.Talk = program, release, os.Args, a.benchTalk()
			if err := config.Validate(); err != nil {
				return usagef("%w", err)
			}
			report, err := bench.RunStore(cmd.Context(), config)
			if err != nil {
				return err
			}
			return a.showBench(report)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&config.Dir, "dir", "", "folder to make the originals in; removed at the end")
	flags.IntVar(&config.Count, "count", config.Count, "originals")
	flags.IntVar(&config.Files, "files", config.Files, "different files that the originals are names of")
	flags.IntVar(&config.Requests, "requests", config.Requests, "requests before the restart, and as many after it")
	flags.IntVar(&config.Concurrency, "concurrency", config.Concurrency, "requests at once")
	flags.DurationVar(&config.Timeout, "timeout", config.Timeout, "longest wait for one picture, and for the service to become ready")
	_ = cmd.MarkFlagRequired("dir") // fails only for a flag that does not exist
	return cmd
}

// newImagesBenchVarnishCommand compares a tier of Varnish with none.
func newImagesBenchVarnishCommand(a *app) *cobra.Command {
	config := bench.DefaultTier()
	cmd := &cobra.Command{
		Use:   "varnish --originals DIR",
		Short: "Measure a tier of Varnish in front against none",
		Long: `Measure what a tier of Varnish costs and saves: the CPU of a request, of all processes, through Varnish and this program
without caches; of this program with its own caches; with its cache in memory alone, as that Varnish has it; and without
any. The requests are the same in all four, by Zipf's law with the exponent 1 over so many renditions that 50, 80 and 90 %
of them were asked for before.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			program, release, err := measured()
			if err != nil {
				return err
			}
			config.Program, config.Version, config.Command, config.Talk = program, release, os.Args, a.benchTalk()
			if err := config.Validate(); err != nil {
				return usagef("%w", err)
			}
			report, err := bench.RunTier(cmd.Context(), config)
			switch {
			case errors.Is(err, os.ErrNotExist), errors.Is(err, bench.ErrNoOriginals):
				return notFoundf("%w", err)
			case err != nil:
				return err
			}
			return a.showBench(report)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&config.Originals, "originals", "", "folder of {kind}/{id}.jpg")
	flags.IntVar(&config.Requests, "requests", config.Requests, "requests of each arrangement at each hit rate")
	flags.IntVar(&config.Rounds, "rounds", config.Rounds, "alternating rounds")
	flags.DurationVar(&config.Timeout, "timeout", config.Timeout, "longest wait for one picture, and for a program to start")
	_ = cmd.MarkFlagRequired("originals") // fails only for a flag that does not exist
	return cmd
}

// showPictures prints what each class cost, then the table of figures.
func (a *app) showPictures(report *bench.Report) error {
	if a.output != outputJSON {
		head, rows := report.Table()
		if err := (table{head: head, rows: rows}).write(a.stdout); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout)
	}
	return a.showBench(figuresFirst{report})
}

// figuresFirst is a report whose table is that of the figures.
type figuresFirst struct{ *bench.Report }

func (r figuresFirst) Table() (head []string, rows [][]string) { return r.RowTable() }

// benchPeers are the folders that may hold the npm packages, the named ones first.
func benchPeers(flag, env, program string) []string {
	var folders []string
	for _, folder := range []string{
		flag, env, filepath.Join(".cache", "peers"), filepath.Join(filepath.Dir(filepath.Dir(program)), ".cache", "peers"),
	} {
		if folder != "" {
			folders = append(folders, folder)
		}
	}
	return folders
}
