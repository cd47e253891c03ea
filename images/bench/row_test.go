package bench

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// measuredReport is one in which every part was measured: kamado takes 2.4 ms
// where imgproxy takes 8.4.
func measuredReport() *Report {
	class := func(name string, ours, theirs float64, rule string) Class {
		ratio := Spread{ours / theirs * 0.9, ours / theirs, ours / theirs * 1.1}
		return Class{Name: name, Results: []Result{
			{Subject: "kamado", CPU: Spread{ours, ours, ours}}, {Subject: "imgproxy", CPU: Spread{theirs, theirs, theirs}},
			{Subject: "sharp", CPU: Spread{theirs, theirs, theirs}}, {Subject: "imagemagick", CPU: Spread{40, 40, 40}},
		}, Ratios: []Compared{
			{Peer: "imgproxy", CPU: ratio, Rule: rule}, {Peer: "sharp", CPU: ratio, Rule: RuleMet},
			{Peer: "imagemagick", CPU: Spread{ours / 40, ours / 40, ours / 40}, Rule: RuleMet},
		}}
	}
	two := Spread{0.3, 0.35, 0.4}
	return &Report{
		Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Command: []string{"/somewhere/bin/kamado", "images", "bench"},
		Classes: []Class{class("1 MP", 2.4, 8.4, RuleMet), class("1 MP 4:4:4", 3, 9, RuleMet), class("12 MP", 9, 27, RuleBroken), class(classMezzanine, 3, 27, RuleMet)},
		Burst:   &Burst{Requests: 100, Counted: 100, Decodes: Spread{1, 1, 1}},
		Latency: &Latency{Kamado: Spread{10, 10, 10}, Imgproxy: &Spread{30, 30, 30}, Ratio: &two},
		Cached:  &Cached{Ratio: Spread{0.8, 0.85, 0.95}},
		Memory:  []Memory{{Subject: "kamado", Class: classMix, Peak: 42e6}, {Subject: "imgproxy", Class: classMix, Peak: 139e6}},
	}
}

func rowOf(t *testing.T, r *Report, work string) Row {
	t.Helper()
	i := slices.IndexFunc(r.Rows, func(row Row) bool { return strings.HasPrefix(row.Work, work) })
	if i < 0 {
		t.Fatalf("no row %q in %+v", work, r.Rows)
	}
	return r.Rows[i]
}

func TestRowsSayWhatIsReached(t *testing.T) {
	t.Parallel()
	r := measuredReport()
	r.setRows()
	for work, want := range map[string]string{
		"1 MP, at imgproxy": Reached, "1 MP, at libvips": Reached, "1 MP 4:4:4": NoBar, "3 MP, at imgproxy": NotMeasured,
		"12 MP, at imgproxy": NotReached, classMezzanine: Reached, "five sizes": NotMeasured, "100 equal": Reached,
		"moire": NotMeasured, "1 MP, ImageMagick": NotReached, "cached": NotReached, "peak": Reached, "p99": Reached, "cores": Reached,
	} {
		if got := rowOf(t, r, work); got.Verdict != want {
			t.Errorf("row %q = %+v, want %s", work, got, want)
		}
	}
	if row := rowOf(t, r, "1 MP, at imgproxy"); row.Figure.Median < 3.49 || row.Figure.Median > 3.51 || row.Reach != ">= 3.5x" {
		t.Errorf("row = %+v, figure %+v, want 3.5x", row, row.Figure)
	}
	if row := rowOf(t, r, "cores"); row.Kamado != "16.8 cores" || row.Theirs != "58.8 cores" {
		t.Errorf("row = %+v, want 16.8 cores against 58.8", row)
	}
}

// TestASpeedCountsOnlyUnderTheQualityRule: 12 MP is fast enough and breaks it.
func TestASpeedCountsOnlyUnderTheQualityRule(t *testing.T) {
	t.Parallel()
	r := measuredReport()
	r.setRows()
	if row := rowOf(t, r, "12 MP, at imgproxy"); row.Figure.Median < bar12MP.value || row.Verdict != NotReached {
		t.Errorf("row = %+v, want a fast one that does not count", row)
	}
	if row := rowOf(t, r, "12 MP, at libvips"); row.Rule != RuleMet || row.Verdict != Reached {
		t.Errorf("row = %+v, want one judged against sharp that is reached", row)
	}
	r.Burst.Decodes, r.Moire = Spread{1, 1, 2}, &Moire{PSNR: Spread{36, 41, 42}}
	r.setRows()
	if row := rowOf(t, r, "moire"); row.Verdict != NotReached {
		t.Errorf("row = %+v, want one bad rendition to be enough", row)
	}
	if row := rowOf(t, r, "100 equal"); row.Verdict != NotReached {
		t.Errorf("row = %+v, want one bad burst to be enough", row)
	}
}

func TestMarkdownHoldsWhatIsNeededToRepeatIt(t *testing.T) {
	t.Parallel()
	r := measuredReport()
	r.Subjects = []Subject{{"kamado", "1.2.3", "as it is served"}}
	r.Absent = []Absent{{"nginx", "it is not installed"}}
	r.setRows()
	page := r.Markdown()
	for _, want := range []string{
		"Measured 2026-01-02", "`kamado images bench`", "- kamado 1.2.3: ", "- nginx was not measured: ",
		"| work | kamado | peer | figure | reach | verdict | quality rule |\n|---|---|---|---|---|---|---|\n",
		"| 1 MP, at imgproxy's quality | 2.40 ms | imgproxy 8.40 ms | 3.5x (3.18-3.89) | >= 3.5x | reached | met |",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in:\n%s", want, page)
		}
	}
}

func TestParseMetrics(t *testing.T) {
	t.Parallel()
	m := parseMetrics([]byte("# HELP a b\na 1\nb{x=\"y z\"} 2.5e3\nnonsense\n c \n"))
	if len(m) != 2 || m["a"] != 1 || m[`b{x="y z"}`] != 2500 {
		t.Errorf("parseMetrics() = %v", m)
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	values := make([]float64, 200)
	for i := range values {
		values[i] = float64(200 - i)
	}
	if got := percentile(values, 0.99); got != 198 {
		t.Errorf("percentile(1..200, 0.99) = %g, want 198", got)
	}
	if percentile(nil, 0.99) != 0 || percentile([]float64{3}, 0.99) != 3 {
		t.Error("percentile of none or one is wrong")
	}
}

// TestCachedIsHeldAgainstTheBetterNginx: in each round.
func TestCachedIsHeldAgainstTheBetterNginx(t *testing.T) {
	t.Parallel()
	got := compareCached([]CachedCost{{Rounds: []float64{90, 90}}, {Rounds: []float64{100, 60}}, {Rounds: []float64{50, 120}}}, 30_000)
	if got.Ratio.Min != 0.75 || got.Ratio.Max != 0.9 || got.Nginx.Max != 120 || got.Bytes != 30_000 {
		t.Errorf("compareCached() = %+v, want 90/100 and 90/120", got)
	}
}

func TestSizesOfAreFiveOf43(t *testing.T) {
	t.Parallel()
	o := &original{}
	for round := range 2*jitterSteps + 1 {
		batch := sizesOf(Default(), []*original{o}, round)
		for _, j := range batch {
			if j.width*3 != j.height*4 || j.width < 100 || j.width > 504 {
				t.Errorf("round %d: %dx%d", round, j.width, j.height)
			}
		}
		if len(batch) != 5 {
			t.Errorf("round %d: %d sizes", round, len(batch))
		}
	}
}
