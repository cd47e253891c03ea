package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what is kept and read.
const (
	bodyMax     = 64 << 20 // bytes of one picture
	worstMax    = 20       // differences that are listed
	samplesMax  = 100_000  // times that are kept for the percentiles
	distanceMax = 6        // bits of the hash up to which two pictures look alike
)

// Config says what is sent where.
type Config struct {
	Candidate   string        // base URL of the service that is tried
	Reference   string        // base URL of the service that answers today; empty: the log's status is compared
	Concurrency int           // requests at once; at least 1
	Rate        float64       // requests a second; 0: as fast as they are answered
	Limit       int           // requests of the log; 0: all
	Timeout     time.Duration // of one request
	Accept      string        // header of every request; empty: none
	// Rewrite changes paths for the candidate, as a new signature needs it; nil: as
	// in the log. An error counts as a difference.
	Rewrite func(path string) (string, error)
	// Hash tells how a picture looks.
	Hash func(ctx context.Context, data []byte) (uint64, error)
	// Progress hears how many requests are done, about once a second; nil: nobody.
	Progress func(done int)
}

// Validate says whether the addresses are ones.
func (c Config) Validate() error {
	for _, base := range []string{c.Candidate, c.Reference} {
		if u, err := url.Parse(base); base != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "") {
			return fmt.Errorf("%q is not an address such as http://127.0.0.1:7701", base)
		}
	}
	if c.Candidate == "" {
		return errors.New("the service to try is not named")
	}
	return nil
}

// Report is what came back.
type Report struct {
	Requests  int            `json:"requests"`
	Skipped   int            `json:"skipped"`  // lines of the log that are no request for a picture
	Statuses  map[int]int    `json:"statuses"` // of the candidate; 0: no answer
	Different int            `json:"different_status"`
	Compared  int            `json:"compared"` // answered with a picture by both
	Alike     int            `json:"alike"`    // of those, look alike
	Bytes     [2]int64       `json:"bytes"`    // of those, sent by candidate and reference
	Times     [2]Percentiles `json:"times"`    // of candidate and reference
	Took      time.Duration  `json:"took_ns"`
	Worst     []Difference   `json:"worst"` // what differs most, at most 20
}

// Percentiles of the time to the last byte. Unit: nanoseconds.
type Percentiles struct {
	P50 time.Duration `json:"p50_ns"`
	P99 time.Duration `json:"p99_ns"`
}

// Difference is one request that was not answered alike.
type Difference struct {
	Path     string `json:"path"`
	Statuses [2]int `json:"statuses"` // candidate, and reference or log; 0: no answer
	Distance int    `json:"distance"` // bits of 64 in which the looks differ
	Bytes    [2]int `json:"bytes"`
	Why      string `json:"why,omitempty"`
}

// weight orders differences: no answer and other statuses before other looks.
func (d *Difference) weight() int {
	w := d.Distance
	if d.Why != "" || d.Statuses[0] != d.Statuses[1] {
		w += 1000
	}
	return w
}

// Run sends the requests of a log. It ends early with ctx, telling what came back
// until then.
func Run(ctx context.Context, cfg Config, log *Log) (Report, error) {
	if err := cfg.Validate(); err != nil {
		return Report{}, err
	}
	r := &replay{cfg: cfg, report: Report{Statuses: map[int]int{}, Worst: []Difference{}}}
	r.client = &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: max(cfg.Concurrency, 1), DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       cfg.Timeout,
	}
	defer r.client.CloseIdleConnections()
	began := time.Now()
	entries := make(chan Entry)
	var workers sync.WaitGroup
	for range max(cfg.Concurrency, 1) {
		workers.Go(func() {
			for e := range entries {
				r.one(ctx, e)
			}
		})
	}
	err := r.feed(ctx, log, entries)
	workers.Wait()
	r.report.Took, r.report.Skipped = time.Since(began), log.Skipped()
	for i := range r.times {
		r.report.Times[i] = percentiles(r.times[i])
	}
	return r.report, err
}

type replay struct {
	cfg    Config
	client *http.Client
	done   atomic.Int64

	mu     sync.Mutex
	report Report
	times  [2][]time.Duration
}

// feed gives the log's entries out, no faster than the rate.
func (r *replay) feed(ctx context.Context, log *Log, to chan<- Entry) error {
	defer close(to)
	began, told := time.Now(), time.Now()
	for n := 0; r.cfg.Limit == 0 || n < r.cfg.Limit; n++ {
		e, err := log.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		var turn <-chan time.Time
		if r.cfg.Rate > 0 {
			turn = time.After(time.Until(began.Add(time.Duration(float64(n) / r.cfg.Rate * float64(time.Second)))))
		}
		if turn != nil {
			select {
			case <-turn:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		select {
		case to <- e:
		case <-ctx.Done():
			return ctx.Err()
		}
		if r.cfg.Progress != nil && time.Since(told) > time.Second {
			told = time.Now()
			r.cfg.Progress(int(r.done.Load()))
		}
	}
	return nil
}

// answer is what one service said.
type answer struct {
	status  int
	picture bool
	body    []byte
	took    time.Duration
	err     error
}

func (r *replay) one(ctx context.Context, e Entry) {
	defer r.done.Add(1)
	d := Difference{Path: e.Path}
	path, err := e.Path, error(nil)
	if r.cfg.Rewrite != nil {
		path, err = r.cfg.Rewrite(e.Path)
	}
	var got, want answer
	if err != nil {
		got.err = err
	} else {
		got = r.get(ctx, r.cfg.Candidate, path)
	}
	want.status = e.Status
	if r.cfg.Reference != "" {
		want = r.get(ctx, r.cfg.Reference, e.Path)
	}
	if ctx.Err() != nil {
		return
	}
	d.Statuses, d.Bytes = [2]int{got.status, want.status}, [2]int{len(got.body), len(want.body)}
	if got.err != nil {
		d.Why = got.err.Error()
	}
	compared := got.picture && want.picture
	if compared {
		d.Distance, err = r.distance(ctx, got.body, want.body)
		if err != nil {
			d.Why = err.Error()
		}
	}
	r.note(&d, got, want, compared)
}

// note puts one request into the report.
func (r *replay) note(d *Difference, got, want answer, compared bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rep := &r.report
	rep.Requests++
	rep.Statuses[got.status]++
	different := want.status != 0 && got.status != want.status
	if different {
		rep.Different++
	}
	if compared {
		rep.Compared++
		rep.Bytes[0] += int64(len(got.body))
		rep.Bytes[1] += int64(len(want.body))
		if d.Distance <= distanceMax && d.Why == "" {
			rep.Alike++
		}
	}
	for i, took := range [2]time.Duration{got.took, want.took} {
		if took > 0 && len(r.times[i]) < samplesMax {
			r.times[i] = append(r.times[i], took)
		}
	}
	if different || d.Why != "" || d.Distance > distanceMax {
		rep.Worst = append(rep.Worst, *d)
		slices.SortStableFunc(rep.Worst, func(a, b Difference) int { return cmp.Compare(b.weight(), a.weight()) })
		rep.Worst = rep.Worst[:min(len(rep.Worst), worstMax)]
	}
}

func (r *replay) get(ctx context.Context, base, path string) (a answer) {
	began := time.Now()
	defer func() { a.took = time.Since(began) }()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+path, nil)
	if err != nil {
		return answer{err: err}
	}
	req.Header.Set("User-Agent", "kamado-replay")
	if r.cfg.Accept != "" {
		req.Header.Set("Accept", r.cfg.Accept)
	}
	res, err := r.client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	a.status = res.StatusCode
	a.body, a.err = io.ReadAll(io.LimitReader(res.Body, bodyMax))
	a.picture = a.err == nil && res.StatusCode == http.StatusOK && strings.HasPrefix(res.Header.Get("Content-Type"), "image/")
	return a
}

// distance is in how many bits of 64 the looks of two pictures differ.
func (r *replay) distance(ctx context.Context, a, b []byte) (int, error) {
	x, err := r.cfg.Hash(ctx, a)
	if err != nil {
		return 64, fmt.Errorf("the candidate's picture: %w", err)
	}
	y, err := r.cfg.Hash(ctx, b)
	if err != nil {
		return 64, fmt.Errorf("the reference's picture: %w", err)
	}
	return bits.OnesCount64(x ^ y), nil
}

func percentiles(times []time.Duration) (p Percentiles) {
	if len(times) == 0 {
		return p
	}
	slices.Sort(times)
	return Percentiles{P50: times[len(times)/2], P99: times[len(times)*99/100]}
}
