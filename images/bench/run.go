package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// ErrKamado says that the program under measurement could not be measured. The
// failure of a peer is no error: it is told in the report.
var ErrKamado = errors.New("kamado cannot be measured")

// bench is one run.
type bench struct {
	config   Config
	work     string // temporary folder
	subjects []subject
	judge    *judge
	report   *Report
}

// Run measures and gives the report. It starts processes on loopback addresses
// and ends them; it writes only to a temporary folder of its own.
func Run(ctx context.Context, c Config) (*Report, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Talk == nil {
		c.Talk = io.Discard
	}
	originals, notes, err := readCorpus(c.Originals)
	if err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp("", "kamado-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a folder to work in: %w", err)
	}
	defer os.RemoveAll(work)
	b := &bench{config: c, work: work, report: &Report{
		Schema: Schema, Started: time.Now().UTC().Truncate(time.Second), Machine: thisMachine(), Notes: notes, Command: c.Command,
		Settings: Settings{
			Size: fmt.Sprintf("%dx%d", c.Width, c.Height), Jitter: aspectWidth * jitterSteps,
			Quality: c.Quality, Rounds: c.Rounds, Repeat: c.Repeat,
		},
	}}
	defer b.close()
	if err := b.start(ctx); err != nil {
		return nil, err
	}
	groups := classes(originals)
	if c.measures(PartClasses) {
		for _, group := range groups {
			class, err := b.class(ctx, group)
			if err != nil {
				return nil, err
			}
			b.report.Classes = append(b.report.Classes, class)
		}
	}
	if err := b.parts(ctx, groups); err != nil {
		return nil, err
	}
	b.close() // before memory is measured: only one subject runs then
	if c.measures(PartMemory) {
		if err := b.memories(ctx, groups); err != nil {
			return nil, err
		}
	}
	b.report.setRows()
	return b.report, nil
}

// start brings up kamado, the judge and every peer that is there.
func (b *bench) start(ctx context.Context) error {
	fmt.Fprintln(b.config.Talk, "starting the subjects")
	kamado, err := startKamado(ctx, b.config)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKamado, err)
	}
	b.add(kamado, b.config.Version, "kamado images serve, every cache off, over HTTP, CPU of all its processes")
	if b.judge, err = startJudge(ctx, b.config, b.work); err != nil {
		return err
	}
	b.report.Notes = append(b.report.Notes, b.judge.notes...)
	peers := []struct {
		name, how string
		start     func() (subject, string, error)
	}{
		{"imgproxy", "over HTTP with as many workers as cores, its own defaults, originals from its local file system, no signatures", func() (subject, string, error) {
			return given(startImgproxy(ctx, b.config))
		}},
		{"sharp", "in a warm Node.js process, one thread, no HTTP, reading the original not counted", func() (subject, string, error) {
			return given(startSharp(ctx, b.config, b.work))
		}},
		{"vipsthumbnail", "a process for each picture, its start counted", func() (subject, string, error) {
			return given(findVipsthumbnail(ctx))
		}},
		{"imagemagick", "convert with a full decode, a process for each picture, its start counted", func() (subject, string, error) {
			return given(findMagick(ctx))
		}},
		{"nginx", "image_filter over HTTP, one process", func() (subject, string, error) {
			return given(startNginx(ctx, b.config, b.work))
		}},
	}
	for _, p := range peers {
		if len(b.config.Only) > 0 && !slices.Contains(b.config.Only, p.name) {
			continue
		}
		s, version, err := p.start()
		if err != nil {
			b.report.Absent = append(b.report.Absent, Absent{p.name, err.Error()})
			continue
		}
		b.add(s, version, p.how)
	}
	return ctx.Err()
}

// given turns a typed nil beside an error into a plain one.
func given[S subject](s S, version string, err error) (subject, string, error) {
	if err != nil {
		return nil, "", err
	}
	return s, version, nil
}

func (b *bench) add(s subject, version, how string) {
	b.subjects = append(b.subjects, s)
	b.report.Subjects = append(b.report.Subjects, Subject{Name: s.name(), Version: version, How: how})
}

// close ends all that was started; what a dying peer says is of no use.
func (b *bench) close() {
	for _, s := range b.subjects {
		_ = s.close()
	}
	b.subjects = nil
	if b.judge != nil {
		_ = b.judge.close()
		b.judge = nil
	}
}

// tally is what one subject did in one class.
type tally struct {
	subject  subject
	cpu      []float64 // ms per counted picture, a value for each round; 0 when none counted
	bytes    []float64
	asked    int
	rejected map[string]int
	judged   []outcome // of the first round, in the order of its jobs
	psnr     []float64 // likewise; of those that count
	score    []float64
	broken   error
}

// class runs the alternating rounds of one class with all subjects.
func (b *bench) class(ctx context.Context, group []*original) (Class, error) {
	return b.measure(ctx, group[0].class, len(group), b.subjects, func(round int) []job { return jobs(b.config, group, round) })
}

// measure runs alternating rounds and judges the pictures; kamado is the first
// of the subjects. Round 0 of batch warms up.
func (b *bench) measure(ctx context.Context, name string, originals int, subjects []subject, batch func(round int) []job) (Class, error) {
	tallies := make([]*tally, len(subjects))
	for i, s := range subjects {
		tallies[i] = &tally{subject: s, rejected: map[string]int{}}
	}
	for round := -1; round < b.config.Rounds; round++ {
		fmt.Fprintf(b.config.Talk, "%s: round %d of %d\n", name, round+1, b.config.Rounds)
		for i := range tallies {
			t := tallies[(i+round+1)%len(tallies)]
			if err := t.round(ctx, batch(round+1), round); err != nil {
				return Class{}, err
			}
		}
	}
	fmt.Fprintf(b.config.Talk, "%s: judging\n", name)
	for _, t := range tallies {
		if err := b.judgeTally(ctx, t, batch(1)); err != nil {
			return Class{}, err
		}
	}
	return classReport(name, originals, tallies), nil
}

// round does one batch. Round -1 warms up and is not counted; its failures will
// come again.
func (t *tally) round(ctx context.Context, batch []job, round int) error {
	if t.broken != nil {
		return nil
	}
	outcomes, cpu, err := t.subject.render(ctx, batch)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		t.broken = err
		return nil
	}
	if round < 0 {
		return nil
	}
	counted := 0
	for _, o := range outcomes {
		t.asked++
		if o.why != "" {
			t.rejected[o.why]++
			continue
		}
		counted++
		t.bytes = append(t.bytes, float64(len(o.jpeg)))
	}
	perPicture := 0.0
	if counted > 0 {
		perPicture = cpu.Seconds() * 1000 / float64(counted)
	}
	t.cpu = append(t.cpu, perPicture)
	if round == 0 {
		t.judged = outcomes
	}
	return nil
}

// judgeTally fills psnr and score, with a value for every job: NaN-free, 0 for
// jobs that did not count, which are left out of every mean.
func (b *bench) judgeTally(ctx context.Context, t *tally, batch []job) error {
	t.psnr, t.score = make([]float64, len(t.judged)), nil
	if b.judge.scores {
		t.score = make([]float64, len(t.judged))
	}
	for i, o := range t.judged {
		if o.why != "" {
			continue
		}
		decibel, score, scored, err := b.judge.likeness(ctx, batch[i], o.jpeg)
		if err != nil {
			return fmt.Errorf("judge %s: %w", t.subject.name(), err)
		}
		t.psnr[i] = decibel
		if scored {
			t.score[i] = score
		}
	}
	return nil
}

// classReport states the results and compares kamado, the first, with the rest.
func classReport(name string, originals int, tallies []*tally) Class {
	class := Class{Name: name, Originals: originals}
	for _, t := range tallies {
		class.Results = append(class.Results, t.result())
	}
	for _, peer := range tallies[1:] {
		class.Ratios = append(class.Ratios, compare(tallies[0], peer))
	}
	return class
}

func (t *tally) result() Result {
	q := t.quality(nil)
	r := Result{
		Subject: t.subject.name(), Asked: t.asked, Counted: len(t.bytes), CPU: spread(positive(t.cpu)),
		Bytes: mean(t.bytes), PSNR: q.psnr,
	}
	if q.scored {
		r.Score, r.ScoreMin = &q.score, &q.scoreMin
	}
	for why, n := range t.rejected {
		r.Rejected = append(r.Rejected, Rejected{why, n})
	}
	slices.SortFunc(r.Rejected, func(a, b Rejected) int { return b.Count - a.Count })
	if t.broken != nil {
		r.Broken = t.broken.Error()
	}
	return r
}

func positive(values []float64) []float64 {
	return slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return v == 0 })
}

// quality is the mean over the judged pictures that count in t and, when other
// is not nil, in other too.
func (t *tally) quality(other *tally) quality {
	var bytes, decibel, score []float64
	for i, o := range t.judged {
		if o.why != "" || (other != nil && (i >= len(other.judged) || other.judged[i].why != "")) {
			continue
		}
		bytes, decibel = append(bytes, float64(len(o.jpeg))), append(decibel, t.psnr[i])
		if t.score != nil {
			score = append(score, t.score[i])
		}
	}
	return quality{
		psnr: mean(decibel), score: mean(score), scoreMin: spread(score).Min, scored: len(score) > 0, bytes: mean(bytes),
	}
}

func compare(ours, peer *tally) Compared {
	x := Compared{Peer: peer.subject.name(), CPU: spread(ratios(ours.cpu, peer.cpu)), Rule: RuleNotJudged}
	a, b := ours.quality(peer), peer.quality(ours)
	if a.bytes == 0 || b.bytes == 0 {
		x.By = "no picture counted on both sides"
		return x
	}
	x.Bytes, x.PSNR = a.bytes/b.bytes, a.psnr-b.psnr
	if a.scored && b.scored {
		d := a.score - b.score
		x.Score = &d
	}
	x.By, x.Broken = rule(a, b)
	if n := len(ours.rejected); n > 0 {
		x.Broken = append(x.Broken, "not every picture of kamado counted")
	}
	x.Rule = RuleMet
	if len(x.Broken) > 0 {
		x.Rule = RuleBroken
	}
	return x
}
