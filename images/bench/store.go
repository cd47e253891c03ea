package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/kamado/kamado/images/bench/zipf"
)

// StoreSchema names the form of a StoreReport.
const StoreSchema = "kamado-images-bench-store/1"

// StoreConfig says how many originals are stored and how they are asked for.
type StoreConfig struct {
	Program, Version string
	Command          []string
	Dir              string // a folder that does not exist or is empty; removed at the end
	Count            int    // originals; measured at an eighth of them, too
	Files            int    // different files that the originals are names of; more are made where they would have too many names
	Requests         int    // before the restart, and as many after it
	Concurrency      int
	Timeout          time.Duration // for one picture, and for the program to become ready
	Talk             io.Writer
}

// DefaultStore is a run of a few minutes. The full one has 8,000,000 originals.
func DefaultStore() StoreConfig {
	return StoreConfig{Count: 100_000, Files: 256, Requests: 50_000, Concurrency: 8, Timeout: 30 * time.Second}
}

// Validate complains about everything that is wrong at once.
func (c StoreConfig) Validate() error {
	var errs []error
	complain := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	complain(c.Program != "", "no program to measure given")
	complain(c.Dir != "", "no folder to make originals in given")
	complain(c.Count >= 8 && c.Count <= treeCountMax, "count %d is not in 8..%d", c.Count, treeCountMax)
	complain(c.Files >= 1 && c.Files <= 100_000, "files %d is not in 1..100000", c.Files)
	complain(c.Requests >= 1 && c.Requests <= 100_000_000, "requests %d is not in 1..100000000", c.Requests)
	complain(c.Concurrency >= 1 && c.Concurrency <= burstRequests, "concurrency %d is not in 1..%d", c.Concurrency, burstRequests)
	complain(c.Timeout > 0, "timeout %s is not positive", c.Timeout)
	return errors.Join(errs...)
}

// StoreReport is what one run found out.
type StoreReport struct {
	Schema  string     `json:"schema"`
	Started time.Time  `json:"started"`
	Machine Machine    `json:"machine"`
	Command []string   `json:"command"`
	Version string     `json:"version"`
	Layout  string     `json:"layout"`
	Runs    []StoreRun `json:"runs"` // an eighth of the originals first
	Rows    []Row      `json:"rows"`
}

// StoreRun is one number of originals.
type StoreRun struct {
	Originals    int        `json:"originals"`
	MadePerSec   float64    `json:"originals_made_per_second"`
	Before       StorePhase `json:"before_restart"`
	After        StorePhase `json:"after_restart"` // kill -9, and the caches on disk as they were
	RequestsEach int        `json:"requests_each"`
	Distinct     int        `json:"distinct_keys"`
	Lost         int        `json:"errors"` // requests without a picture, in both phases
	Concurrency  int        `json:"concurrency"`
}

// StorePhase is one life of the process.
type StorePhase struct {
	StartMS   float64 `json:"start_ms"`     // from its start until it is ready, by polls of 5 ms
	StartCPU  float64 `json:"start_cpu_ms"` // of the server until then: what a busy machine does not change
	RPS       float64 `json:"rps"`          // client and server on the same machine
	CPU       float64 `json:"cpu_ms"`       // of the server for a request
	Memory    float64 `json:"hits_memory"`
	Disk      float64 `json:"hits_disk"`
	Rendered  float64 `json:"rendered"` // shares of all requests; shared ones are counted here
	IdlePSS   int64   `json:"pss_idle_bytes"`
	LoadedPSS int64   `json:"pss_loaded_bytes"`
	Cached    int64   `json:"result_cache_bytes"` // in memory, at the end
}

// besideCache is the memory at the end less that of the result cache, which
// holds more the more different pictures were asked for, up to its bound. Its bytes count one and a
// half times: the program collects garbage when half as much as is in use has been added.
func (p StorePhase) besideCache() int64 { return p.LoadedPSS - p.Cached*3/2 }

// barStart and barGrowth are what the store has to reach: no scan at the start,
// and no memory for an original that nobody asks for. A tenth and 4 MB are what two runs
// of the same differ by.
var (
	barStart  = bar{false, 1000, "ms"}
	barGrowth = bar{false, 1.1, times}
)

const growthSlack = 4 << 20

// RunStore measures a service in front of very many originals, with its caches as they are by
// default, and kills it in the middle.
func RunStore(ctx context.Context, c StoreConfig) (report *StoreReport, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Talk == nil {
		c.Talk = io.Discard
	}
	if entries, err := os.ReadDir(c.Dir); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("%s is not empty", c.Dir)
	}
	tree := newTree(c.Dir, c.Count, c.Files)
	if err := os.MkdirAll(tree.originals(), 0o755); err != nil {
		return nil, err
	}
	defer func() {
		fmt.Fprintln(c.Talk, "removing the originals")
		err = errors.Join(err, tree.remove())
	}()
	if err := tree.room(); err != nil {
		return nil, err
	}
	if err := tree.sources(); err != nil { // before the clock of the names runs
		return nil, err
	}
	report = &StoreReport{
		Schema: StoreSchema, Started: time.Now().UTC().Truncate(time.Second), Machine: thisMachine(), Command: c.Command, Version: c.Version,
		Layout: fmt.Sprintf("{kind}/{id}.jpg, %d to a kind, names of %d files of %dx%d", treeFolder, tree.files, treeWidth, treeHeight),
	}
	made := 0
	for _, count := range []int{c.Count / 8, c.Count} {
		run, err := c.run(ctx, tree, made, count)
		if err != nil {
			return nil, err
		}
		report.Runs, made = append(report.Runs, run), count
	}
	report.setRows()
	return report, nil
}

// run makes the originals that are missing to count and measures two lives of
// a process in front of them.
func (c StoreConfig) run(ctx context.Context, tree originalTree, made, count int) (StoreRun, error) {
	run := StoreRun{Originals: count, RequestsEach: c.Requests, Concurrency: c.Concurrency}
	fmt.Fprintf(c.Talk, "%d originals: making them\n", count)
	begin := time.Now()
	if err := tree.grow(ctx, made, count); err != nil {
		return run, err
	}
	run.MadePerSec = float64(count-made) / time.Since(begin).Seconds()
	data := filepath.Join(tree.dir, fmt.Sprint("data-", count))
	defer os.RemoveAll(data)
	draws := newDraws(count, uint64(count))
	for _, phase := range []*StorePhase{&run.Before, &run.After} {
		fmt.Fprintf(c.Talk, "%d originals: %d requests\n", count, c.Requests)
		lost, err := c.phase(ctx, tree, data, draws, phase)
		if err != nil {
			return run, err
		}
		run.Lost += lost
	}
	run.Distinct = len(draws.seen)
	return run, nil
}

// phase is one life of the process, ended by kill -9.
func (c StoreConfig) phase(ctx context.Context, tree originalTree, data string, draws *draws, phase *StorePhase) (lost int, err error) {
	begin := time.Now()
	s, err := startVariant(ctx, Config{Program: c.Program, Originals: tree.originals(), Timeout: c.Timeout}, variant{
		results: true, mezzanine: true, watched: true, more: []string{"--data", data},
	})
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrKamado, err)
	}
	defer s.kill()
	phase.StartMS = float64(time.Since(begin)) / float64(time.Millisecond)
	if phase.IdlePSS, _, err = s.tree().pss(); err != nil {
		return 0, err
	}
	before, err := s.tree().cpu()
	if err != nil {
		return 0, err
	}
	phase.StartCPU = float64(before) / float64(time.Millisecond)
	begin = time.Now()
	lost = c.ask(ctx, s, tree, draws)
	took := time.Since(begin)
	after, err := s.tree().cpu()
	if err != nil {
		return lost, s.ended(err)
	}
	phase.RPS, phase.CPU = float64(c.Requests)/took.Seconds(), (after-before).Seconds()*1000/float64(c.Requests)
	if phase.LoadedPSS, _, err = s.tree().pss(); err != nil {
		return lost, s.ended(err)
	}
	m, err := s.metrics(ctx)
	if err != nil {
		return lost, err
	}
	share := func(outcomes ...string) (sum float64) {
		for _, o := range outcomes {
			sum += m[fmt.Sprintf("kamado_images_requests_total{outcome=%q}", o)]
		}
		return sum / float64(c.Requests)
	}
	phase.Cached = int64(m[metricCacheBytes])
	phase.Memory, phase.Disk, phase.Rendered = share("memory"), share("disk"), share("rendered", "shared")
	return lost, ctx.Err()
}

// ask sends the requests and counts those that gave no picture.
func (c StoreConfig) ask(ctx context.Context, s *served, tree originalTree, draws *draws) int {
	next := make(chan int, c.Concurrency)
	var wg sync.WaitGroup
	lost := make([]int, c.Concurrency)
	for worker := range c.Concurrency {
		wg.Go(func() {
			for i := range next {
				kind, id := tree.key(i)
				status, body, err := s.get(ctx, fmt.Sprintf("/%s/%s/160x120cq70/any.jpg", kind, id))
				if err != nil || status != http.StatusOK || len(body) == 0 {
					lost[worker]++
				}
			}
		})
	}
	for range c.Requests {
		if ctx.Err() != nil {
			break
		}
		next <- draws.next()
	}
	close(next)
	wg.Wait()
	sum := 0
	for _, n := range lost {
		sum += n
	}
	return sum
}

// draws gives the numbers of originals by Zipf's law. Ranks are spread over
// the whole tree, so that what is asked for often does not lie together.
type draws struct {
	law    zipf.Sampler
	random *rand.Rand
	count  int
	step   uint64 // prime to count, so that rank*step mod count hits every number once
	seen   map[int]struct{}
}

func newDraws(count int, seed uint64) *draws {
	step := int(float64(count)*0.6180339887) | 1 // the golden ratio sets neighbours far apart
	for gcd(step, count) != 1 {
		step += 2
	}
	return &draws{
		law: zipf.New(count), random: rand.New(rand.NewPCG(seed, 1)), count: count, step: uint64(step), seen: map[int]struct{}{},
	}
}

// number is the original of a rank.
func (d *draws) number(rank int) int { return int(uint64(rank-1) * d.step % uint64(d.count)) }

func (d *draws) next() int {
	i := d.number(d.law.Rank(d.random))
	d.seen[i] = struct{}{}
	return i
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func (r *StoreReport) setRows() {
	eighth, full := r.Runs[0], r.Runs[1]
	starts := spread([]float64{eighth.Before.StartMS, eighth.After.StartMS, full.Before.StartMS, full.After.StartMS})
	start := Row{Work: "start until ready, largest of four", Kamado: figure(starts.Max, "ms")}.decide(Spread{starts.Min, starts.Max, starts.Max}, barStart)
	growth := float64(full.Before.besideCache()-growthSlack) / float64(max(1, eighth.Before.besideCache()))
	memory := Row{
		Work:   fmt.Sprintf("memory beside the result cache after as many requests, %d originals over %d", full.Originals, eighth.Originals),
		Kamado: fmt.Sprintf("%.1f MB over %.1f MB", megabytes(full.Before.besideCache()), megabytes(eighth.Before.besideCache())),
	}.decide(Spread{growth, growth, growth}, barGrowth)
	r.Rows = []Row{start, memory}
	if lost := eighth.Lost + full.Lost; lost > 0 {
		r.Rows = append(r.Rows, Row{Work: "requests without a picture", Kamado: fmt.Sprint(lost), Verdict: NotReached, Reach: "0"})
	}
}

// Table has a line for each life of a process.
func (r *StoreReport) Table() (head []string, rows [][]string) {
	head = []string{"originals", "life", "start ms", "start CPU ms", "rps", "CPU ms", "from memory", "from disk", "rendered", "idle MB", "loaded MB", "of it cached"}
	for _, run := range r.Runs {
		for i, p := range []StorePhase{run.Before, run.After} {
			rows = append(rows, []string{
				fmt.Sprint(run.Originals), []string{"first", "after kill -9"}[i], fmt.Sprintf("%.0f", p.StartMS), fmt.Sprintf("%.0f", p.StartCPU), fmt.Sprintf("%.0f", p.RPS),
				fmt.Sprintf("%.3f", p.CPU), percent(p.Memory), percent(p.Disk), percent(p.Rendered),
				fmt.Sprintf("%.1f", megabytes(p.IdlePSS)), fmt.Sprintf("%.1f", megabytes(p.LoadedPSS)), fmt.Sprintf("%.1f", megabytes(p.Cached)),
			})
		}
	}
	return head, rows
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// Lines are what a person needs beside the table.
func (r *StoreReport) Lines() []string {
	lines := []string{
		fmt.Sprintf("%s, %d cores, Linux %s, load %s", r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Load),
		"kamado " + r.Version + ": kamado images serve, caches as by default, Zipf(1.0) over all originals", r.Layout,
	}
	for _, run := range r.Runs {
		lines = append(lines, fmt.Sprintf("%d originals, made %.0f a second; twice %d requests, %d at once, for %d different originals; %d without a picture",
			run.Originals, run.MadePerSec, run.RequestsEach, run.Concurrency, run.Distinct, run.Lost))
	}
	for _, row := range r.Rows {
		lines = append(lines, fmt.Sprintf("%s: %s, to reach %s: %s", row.Work, row.Kamado, row.Reach, row.Verdict))
	}
	return lines
}
