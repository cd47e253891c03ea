package bench

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"
)

// The classes beside those of the originals.
const (
	classMezzanine = "12 MP, mezzanine warm"
	classSizes     = "five sizes of one 12 MP original, five requests at once"
	classMulti     = "five sizes of one 12 MP original, /multi"
)

// parts measures what is asked for beside the classes. What needs originals of
// a class that is not there is left out.
func (b *bench) parts(ctx context.Context, groups [][]*original) error {
	find := func(class string) []*original {
		for _, group := range groups {
			if group[0].class == class {
				return group
			}
		}
		return nil
	}
	small, large := find("1 MP"), find("12 MP")
	for _, part := range []struct {
		name  string
		of    []*original
		doing func(context.Context, []*original) error
	}{
		{PartMezzanine, large, b.mezzanines},
		{PartSizes, large, b.sizes},
		{PartBurst, large, b.burst},
		{PartLatency, small, b.latency},
	} {
		if len(part.of) == 0 || !b.config.measures(part.name) {
			continue
		}
		if err := part.doing(ctx, part.of); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	if b.config.measures(PartMoire) {
		if err := b.moire(ctx); err != nil {
			return fmt.Errorf("%s: %w", PartMoire, err)
		}
	}
	if b.config.measures(PartCached) {
		return b.cached(ctx)
	}
	return nil
}

// cachedConnections is how many connections ask for the finished rendition.
const cachedConnections = 16

// cached measures a finished rendition beside nginx. Without nginx the report
// says so.
func (b *bench) cached(ctx context.Context) error {
	fmt.Fprintln(b.config.Talk, "a finished rendition, beside nginx")
	costs, size, err := MeasureCached(ctx, CachedConfig{
		Program: b.config.Program, Connections: []int{cachedConnections}, Rounds: b.config.Rounds, Length: cachedLength,
		LoadCPU: min(1, runtime.NumCPU()-1), // the servers have processor 0 to themselves where there are two
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		b.note("a finished rendition was not measured: %v", err)
		return nil
	}
	b.report.Cached = compareCached(costs, size)
	return nil
}

// cachedLength is how long one subject answers in a round.
const cachedLength = time.Second

// compareCached holds kamado, the first, against the better of nginx's
// configurations in each round.
func compareCached(costs []CachedCost, size int) *Cached {
	var ours, theirs []float64
	for round, v := range costs[0].Rounds {
		best := 0.0
		for _, peer := range costs[1:] {
			best = max(best, peer.Rounds[round])
		}
		ours, theirs = append(ours, v), append(theirs, best)
	}
	return &Cached{Bytes: size, Kamado: spread(ours), Nginx: spread(theirs), Ratio: spread(ratios(ours, theirs))}
}

// besideImgproxy is a subject with imgproxy, where it is measured.
func (b *bench) besideImgproxy(s subject) []subject {
	subjects := []subject{s}
	for _, peer := range b.subjects {
		if peer.name() == "imgproxy" {
			subjects = append(subjects, peer)
		}
	}
	return subjects
}

// note tells of something that could not be measured, and why.
func (b *bench) note(format string, args ...any) {
	b.report.Notes = append(b.report.Notes, fmt.Sprintf(format, args...))
}

// mezzanines measures large originals whose mezzanines are made: each is asked
// for once, and when all were made the rounds begin.
func (b *bench) mezzanines(ctx context.Context, group []*original) error {
	s, err := startVariant(ctx, b.config, variant{mezzanine: true, watched: true})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKamado, err)
	}
	defer s.close()
	if _, _, err := s.render(ctx, jobs(b.config, group, 0)); err != nil {
		return err
	}
	err = s.await(ctx, func(m metrics) bool { return m[metricMade]+m[metricFailed]+m[metricDropped] >= float64(len(group)) })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		b.note("not every original has a mezzanine: %v", err)
	}
	class, err := b.measure(ctx, classMezzanine, len(group), b.besideImgproxy(s), func(round int) []job { return jobs(b.config, group, round) })
	b.report.Classes = append(b.report.Classes, class)
	return err
}

// sizesOf are the five sizes of an original that are asked for together, the
// largest of them the size of all other rows: sixths of it, 4:3 in whole steps.
func sizesOf(c Config, group []*original, round int) []job {
	var out []job
	for i, o := range group {
		step := (round+5*i)%(2*jitterSteps+1) - jitterSteps
		for _, sixths := range []int{2, 3, 4, 5, 6} {
			n := c.Width*sixths/6/aspectWidth + step
			out = append(out, job{original: o, quality: c.Quality, width: aspectWidth * n, height: aspectHeight * n})
		}
	}
	return out
}

// together is a subject that is asked for all jobs of one original at once.
type together struct {
	*served
	set func(ctx context.Context, set []job) []outcome
}

func (t *together) render(ctx context.Context, batch []job) ([]outcome, time.Duration, error) {
	before, err := t.tree().cpu()
	if err != nil {
		return nil, 0, t.ended(err)
	}
	var outcomes []outcome
	for rest := batch; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].original == rest[0].original {
			n++
		}
		outcomes = append(outcomes, t.set(ctx, rest[:n])...)
		if rest = rest[n:]; ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
	}
	after, err := t.tree().cpu()
	if err != nil {
		return nil, 0, t.ended(err)
	}
	return outcomes, after - before, nil
}

// ordinary asks by as many ordinary requests as there are jobs.
func ordinary(s *served) *together {
	return &together{served: s, set: func(ctx context.Context, set []job) []outcome { return s.load(ctx, set, len(set)) }}
}

// sizes measures five sizes at once, by ordinary requests and by /multi. A
// program without /multi is told of and measured by requests alone.
func (b *bench) sizes(ctx context.Context, group []*original) error {
	s, err := startVariant(ctx, b.config, variant{})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKamado, err)
	}
	defer s.close()
	ways := []struct {
		class string
		by    subject
	}{{classSizes, ordinary(s)}}
	switch offered, err := s.offersMulti(ctx); {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrKamado, err)
	case offered:
		ways = append(ways, struct {
			class string
			by    subject
		}{classMulti, &together{served: s, set: s.multi}})
	default:
		b.note("the program offers no several sizes in one request (POST %s)", multiPath)
	}
	for _, way := range ways {
		subjects := b.besideImgproxy(way.by)
		for i, peer := range subjects[1:] {
			subjects[i+1] = ordinary(peer.(*served)) // imgproxy is one; nobody else is beside
		}
		class, err := b.measure(ctx, way.class, len(group), subjects, func(round int) []job { return sizesOf(b.config, group, round) })
		if err != nil {
			return err
		}
		b.report.Classes = append(b.report.Classes, class)
	}
	return nil
}

// burstRequests is how many ask for the same rendition at once.
const burstRequests = 100

// burst has many ask at once for a rendition that nobody asked for before, and
// counts how often the original was decoded. The result cache is on and cold.
func (b *bench) burst(ctx context.Context, group []*original) error {
	s, err := startVariant(ctx, b.config, variant{results: true, watched: true})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKamado, err)
	}
	defer s.close()
	var decodes []float64
	result := Burst{}
	for round := range b.config.Rounds {
		fmt.Fprintf(b.config.Talk, "%d equal requests: round %d of %d\n", burstRequests, round+1, b.config.Rounds)
		before, err := s.metrics(ctx)
		if err != nil {
			return err
		}
		j := jobs(b.config, group[round%len(group):], round)[0]
		for _, o := range s.load(ctx, slices.Repeat([]job{j}, burstRequests), burstRequests) {
			if result.Requests++; o.why == "" {
				result.Counted++
			}
		}
		after, err := s.metrics(ctx)
		if err != nil {
			return err
		}
		decodes = append(decodes, after[metricDecodes]-before[metricDecodes])
	}
	result.Decodes = spread(decodes)
	b.report.Burst = &result
	return ctx.Err()
}

// The latency of a round is over as many requests as give it a 99th percentile.
const (
	latencyConcurrency = 4
	latencyRequests    = 1000
)

// latency measures p99 of kamado and of imgproxy, alternating.
func (b *bench) latency(ctx context.Context, group []*original) error {
	s, err := startVariant(ctx, b.config, variant{})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKamado, err)
	}
	defer s.close()
	subjects := b.besideImgproxy(s)
	p99 := make([][]float64, len(subjects))
	result := Latency{Concurrency: latencyConcurrency, Requests: latencyRequests}
	for round := -1; round < b.config.Rounds; round++ { // the first warms up
		fmt.Fprintf(b.config.Talk, "p99: round %d of %d\n", round+1, b.config.Rounds)
		var batch []job
		for i := 0; len(batch) < latencyRequests; i++ {
			batch = append(batch, jobs(b.config, group, (round+1)*latencyRequests+i)...)
		}
		for i := range subjects {
			i = (i + round + 1) % len(subjects)
			times, counted := subjects[i].(*served).times(ctx, batch[:latencyRequests], latencyConcurrency)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if round < 0 {
				continue
			}
			p99[i] = append(p99[i], percentile(times, 0.99))
			if i == 0 {
				result.Counted += counted
			}
		}
	}
	result.Kamado = spread(p99[0])
	if len(subjects) > 1 {
		peer, ratio := spread(p99[1]), spread(ratios(p99[0], p99[1]))
		result.Imgproxy, result.Ratio = &peer, &ratio
	}
	b.report.Latency = &result
	return nil
}

// times gives how long each of a batch took, in milliseconds, and how many counted.
func (s *served) times(ctx context.Context, batch []job, concurrency int) (took []float64, counted int) {
	took = make([]float64, len(batch))
	outcomes := make([]outcome, len(batch))
	next := make(chan int)
	var wg sync.WaitGroup
	for range concurrency {
		wg.Go(func() {
			for i := range next {
				begin := time.Now()
				outcomes[i] = s.one(ctx, batch[i])
				took[i] = float64(time.Since(begin)) / float64(time.Millisecond)
			}
		})
	}
	for i := range batch {
		next <- i
	}
	close(next)
	wg.Wait()
	for _, o := range outcomes {
		if o.why == "" {
			counted++
		}
	}
	return took, counted
}

// percentile is the smallest value that at least the share of all are not above.
func percentile(values []float64, share float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	return v[min(len(v)-1, max(0, int(math.Ceil(share*float64(len(v))))-1))]
}
