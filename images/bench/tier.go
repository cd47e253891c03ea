package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/kamado/kamado/images/bench/zipf"
)

// TierSchema names the form of a TierReport.
const TierSchema = "kamado-images-bench-tier/1"

// TierConfig says what a tier of Varnish is measured with.
type TierConfig struct {
	Program, Version string
	Command          []string
	Originals        string        // folder of {kind}/{id}.jpg; those of the smallest class are asked for
	HitRates         []float64     // 0..1
	Requests         int           // of one arrangement at one hit rate
	Rounds           int           // alternating rounds
	Timeout          time.Duration // for one picture, and for a program to become ready
	Talk             io.Writer
}

// DefaultTier is a run of some minutes.
func DefaultTier() TierConfig {
	return TierConfig{HitRates: []float64{0.5, 0.8, 0.9}, Requests: 1500, Rounds: 3, Timeout: 30 * time.Second}
}

// Validate complains about everything that is wrong at once.
func (c TierConfig) Validate() error {
	var errs []error
	complain := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	complain(c.Program != "", "no program to measure given")
	complain(c.Originals != "", "no folder of originals given")
	complain(c.Requests >= 10 && c.Requests <= 1_000_000, "requests %d is not in 10..1000000", c.Requests)
	for _, rate := range c.HitRates {
		complain(rate > 0 && rate < 1, "hit rate %g is not between 0 and 1", rate)
	}
	complain(c.Rounds >= 1 && c.Rounds <= 100, "rounds %d is not in 1..100", c.Rounds)
	complain(c.Timeout > 0, "timeout %s is not positive", c.Timeout)
	return errors.Join(errs...)
}

// TierReport is what one run found out: the CPU of a request of each
// arrangement at each hit rate.
type TierReport struct {
	Schema  string    `json:"schema"`
	Started time.Time `json:"started"`
	Machine Machine   `json:"machine"`
	Command []string  `json:"command"`
	Version string    `json:"version"`
	Varnish string    `json:"varnish"`
	Costs   []Cost    `json:"costs"`
}

// Cost is one arrangement at one hit rate. Milliseconds are CPU time, user and
// system, for a request, whoever answered it.
type Cost struct {
	HitRate     float64 `json:"hit_rate"` // what was aimed at
	Hits        float64 `json:"hits"`     // what the requests gave: the share that was asked for before
	Arrangement string  `json:"arrangement"`
	Varnish     Spread  `json:"varnish_ms"`
	Kamado      Spread  `json:"kamado_ms"`
	Sum         Spread  `json:"sum_ms"`
	PSS         int64   `json:"pss_bytes"` // of all processes at the end of the last round
	Counted     int     `json:"counted"`
	Asked       int     `json:"asked"`
}

// The arrangements. In each the same requests come in the same order to caches that
// are empty and large enough for all, so that what misses is the same in all.
const (
	tierVarnish = "Varnish before kamado without caches"
	tierOwn     = "kamado with its own caches"
	tierMemory  = "kamado with its cache in memory alone" // as Varnish here has it: nothing is left after a restart
	tierNone    = "kamado without caches"
)

var tierArrangements = []string{tierVarnish, tierOwn, tierMemory, tierNone}

// tierConcurrency is how many requests are on the way at once.
const tierConcurrency = 4

// varnishConfig keeps pictures as long as they say and takes nothing else from
// its defaults away. Argument: the port of kamado.
const varnishConfig = `vcl 4.1;
backend kamado { .host = "127.0.0.1"; .port = "%s"; }
`

// RunTier compares a tier of Varnish with none.
func RunTier(ctx context.Context, c TierConfig) (*TierReport, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Talk == nil {
		c.Talk = io.Discard
	}
	varnishd, err := exec.LookPath("varnishd")
	if err != nil {
		return nil, errors.New("varnishd is not installed (Debian: varnish)")
	}
	originals, _, err := readCorpus(c.Originals)
	if err != nil {
		return nil, err
	}
	group := classes(originals)[0]
	work, err := os.MkdirTemp("", "kamado-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a folder to work in: %w", err)
	}
	defer os.RemoveAll(work)
	version, _, _ := strings.Cut(says(ctx, varnishd, "-V"), " revision")
	report := &TierReport{
		Schema: TierSchema, Started: time.Now().UTC().Truncate(time.Second), Machine: thisMachine(), Command: c.Command, Version: c.Version,
		Varnish: strings.TrimPrefix(version, "varnishd ("),
	}
	for _, rate := range c.HitRates {
		batch, hits, err := tierJobs(group, c.Requests, rate)
		if err != nil {
			return nil, err
		}
		costs := make([]*tierCost, len(tierArrangements))
		for i, name := range tierArrangements {
			costs[i] = &tierCost{Cost: Cost{HitRate: rate, Hits: hits, Arrangement: name}}
		}
		for round := range c.Rounds {
			for i := range costs {
				cost := costs[(i+round)%len(costs)]
				fmt.Fprintf(c.Talk, "hit rate %.0f %%, round %d of %d: %s\n", 100*rate, round+1, c.Rounds, cost.Arrangement)
				if err := c.measure(ctx, varnishd, work, batch, cost); err != nil {
					return nil, fmt.Errorf("%s: %w", cost.Arrangement, err)
				}
			}
		}
		for _, cost := range costs {
			report.Costs = append(report.Costs, cost.result())
		}
	}
	return report, nil
}

// tierCost gathers the rounds of one Cost.
type tierCost struct {
	Cost
	varnish, kamado, sum []float64
}

func (c *tierCost) result() Cost {
	c.Varnish, c.Kamado, c.Sum = spread(c.varnish), spread(c.kamado), spread(c.sum)
	return c.Cost
}

// An original has as many renditions as these sizes times these qualities.
const (
	tierWidth     = 400 // of the smallest
	tierSizes     = 60
	tierQualities = 40
	tierQuality   = 50 // the least
)

// tierJobs are requests by Zipf's law over as many renditions as give the hit
// rate, the same at each call, and the share of them that were asked for before.
func tierJobs(group []*original, requests int, rate float64) (batch []job, hits float64, err error) {
	ranks := zipf.RanksFor(requests, rate)
	if most := len(group) * tierSizes * tierQualities; ranks >= most {
		return nil, 0, fmt.Errorf("%d requests at a hit rate of %.0f %% need %d renditions, %d originals have %d", requests, 100*rate, ranks, len(group), most)
	}
	law, random, seen := zipf.New(ranks), rand.New(rand.NewPCG(uint64(requests), uint64(100*rate))), map[int]bool{}
	for range requests {
		rank := law.Rank(random)
		if seen[rank] {
			hits++
		}
		seen[rank] = true
		i := rank / len(group)
		width := tierWidth + aspectWidth*(i%tierSizes)
		batch = append(batch, job{
			original: group[rank%len(group)], width: width, height: width / aspectWidth * aspectHeight, quality: tierQuality + i/tierSizes,
		})
	}
	return batch, hits / float64(requests), nil
}

// measure does one round of one arrangement with processes of its own.
func (c TierConfig) measure(ctx context.Context, varnishd, work string, batch []job, cost *tierCost) error {
	config := Config{Program: c.Program, Originals: c.Originals, Timeout: c.Timeout}
	v := variant{results: cost.Arrangement == tierOwn || cost.Arrangement == tierMemory}
	if cost.Arrangement == tierMemory {
		v.more = []string{"--result-cache-disk", "0", "--result-cache-memory", "2GiB"}
	}
	kamado, err := startVariant(ctx, config, v)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKamado, err)
	}
	defer kamado.close()
	front, trees := kamado, []tree{kamado.tree()}
	if cost.Arrangement == tierVarnish {
		if front, err = startVarnish(ctx, config, varnishd, work, kamado); err != nil {
			return err
		}
		defer front.close()
		trees = append(trees, front.tree())
	}
	before, err := cpuOf(trees)
	if err != nil {
		return err
	}
	for _, o := range front.load(ctx, batch, tierConcurrency) {
		if cost.Asked++; o.why == "" {
			cost.Counted++
		}
	}
	after, err := cpuOf(trees)
	if err != nil {
		return err
	}
	perRequest := func(i int) float64 { return (after[i] - before[i]).Seconds() * 1000 / float64(len(batch)) }
	own, tier := perRequest(0), 0.0
	if len(trees) > 1 {
		tier = perRequest(1)
	}
	cost.kamado, cost.varnish, cost.sum = append(cost.kamado, own), append(cost.varnish, tier), append(cost.sum, own+tier)
	cost.PSS = 0
	for _, t := range trees {
		pss, _, err := t.pss()
		if err != nil {
			return err
		}
		cost.PSS += pss
	}
	return ctx.Err()
}

func cpuOf(trees []tree) ([]time.Duration, error) {
	var all []time.Duration
	for _, t := range trees {
		cpu, err := t.cpu()
		if err != nil {
			return nil, err
		}
		all = append(all, cpu)
	}
	return all, nil
}

// varnishd with a cache in memory that holds every picture of a run.
func startVarnish(ctx context.Context, c Config, varnishd, work string, kamado *served) (*served, error) {
	work, err := os.MkdirTemp(work, "varnish-")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	vcl := filepath.Join(work, "kamado.vcl")
	port := kamado.base[strings.LastIndexByte(kamado.base, ':')+1:]
	if err := os.WriteFile(vcl, fmt.Appendf(nil, varnishConfig, port), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, varnishd, "-F", "-j", "none", "-n", filepath.Join(work, "varnish"), "-a", address, "-s", "malloc,2g", "-f", vcl)
	s := newServed(c, "varnish", "http://"+address, cmd, kamado.path)
	return s, s.start(ctx, "/readyz")
}

// Table has a line for each arrangement at each hit rate.
func (r *TierReport) Table() (head []string, rows [][]string) {
	head = []string{"hit rate", "arrangement", "Varnish ms", "kamado ms", "sum ms", "over own caches", "memory MB", "counted"}
	for _, c := range r.Costs {
		over := "-"
		for _, own := range r.Costs {
			if own.HitRate == c.HitRate && own.Arrangement == tierOwn && own.Sum.Median > 0 {
				over = fmt.Sprintf("%.2fx", c.Sum.Median/own.Sum.Median)
			}
		}
		rows = append(rows, []string{
			percent(c.Hits), c.Arrangement, fmt.Sprintf("%.3f", c.Varnish.Median), fmt.Sprintf("%.3f", c.Kamado.Median),
			fmt.Sprintf("%.3f (%.3f-%.3f)", c.Sum.Median, c.Sum.Min, c.Sum.Max), over, fmt.Sprintf("%.0f", megabytes(c.PSS)),
			fmt.Sprintf("%d/%d", c.Counted, c.Asked),
		})
	}
	return head, rows
}

// Lines are what a person needs beside the table.
func (r *TierReport) Lines() []string {
	return []string{
		fmt.Sprintf("%s, %d cores, Linux %s, load %s", r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Load),
		fmt.Sprintf("kamado %s; %s, its cache in memory; CPU of all processes for a request, Zipf(1.0), %d at once, caches empty at first and large enough for all",
			r.Version, r.Varnish, tierConcurrency),
	}
}
