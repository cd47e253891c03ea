package codec_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/codec/sandbox"
)

// attemptsLeast is how many named ways out must have been tried, so that a
// report that grows short is seen.
const attemptsLeast = 140

// TestEscapes: from inside a worker as it runs in production nothing leads
// out.
func TestEscapes(t *testing.T) {
	for _, level := range sandbox.Levels() {
		t.Run(level.String(), func(t *testing.T) {
			p := newPool(t, func(c *codec.Config) { c.Path, c.Kill = faultyPath, false })
			p.SetLevels(level)
			tried := map[string]bool{}
			for page := 0; ; page++ {
				report, err := escape(t.Context(), p, fmt.Sprint(page))
				if errors.Is(err, codec.ErrNoWorker) {
					t.Skipf("needs a machine that allows level %q: %v", level, err)
				}
				if report == "no more" {
					break
				}
				for _, name := range checkNoEscape(t, report, err) {
					tried[name] = true
				}
			}
			if len(tried) < attemptsLeast {
				t.Errorf("%d ways were tried, want at least %d", len(tried), attemptsLeast)
			}
			s := p.Stats()
			t.Logf("%d ways tried; walls: %v; missing: %v", len(tried), s.Layers, s.Layers.Missing())
			const always = sandbox.Seccomp | sandbox.NoNewPrivs | sandbox.Rlimits
			if s.Layers&always != always {
				t.Errorf("walls that hold everywhere are missing: %v", s.Layers.Missing())
			}
			if level == sandbox.LevelFull && s.Layers != sandbox.All {
				t.Errorf("at the strongest level these are missing: %v", s.Layers.Missing())
			}
			if s.Died > 0 {
				t.Errorf("the worker died: %+v", s)
			}
		})
	}
}

// reports is the form in which a faulty worker tells of its attempts.
var reports = regexp.MustCompile(`(refused: .*; reached: .*|no more|which\?)$`)

// escape makes a worker try a page of ways out while it saves, when the memory
// of the answer is there too. The wish travels in the planes of a picture.
func escape(ctx context.Context, p *codec.Pool, page string) (string, error) {
	r := &codec.Raster{Frames: make([]codec.Frame, 1)}
	r.Frames[0].Picture.Reset(2, false, 64, 8, 1, 1)
	copy(r.Frames[0].Picture.Planes[0].Pix, "KAMADO-FAULT:escape:"+page+"\x00")
	_, err := p.Save(ctx, codec.SaveRequest{Raster: r, Format: images.WebP})
	if err == nil {
		return "", errors.New("no report")
	}
	return reports.FindString(err.Error()), err
}

// checkNoEscape gives the names of the attempts in a report.
func checkNoEscape(t *testing.T, report string, err error) []string {
	t.Helper()
	refused, reached, found := strings.Cut(strings.TrimPrefix(report, "refused: "), "; reached: ")
	if !found || reached != "" {
		t.Fatalf("report: %v", err)
	}
	t.Log(refused)
	return strings.Split(refused, ", ")
}

// TestUnforeseenCallKills: with Kill, which the other tests run under, a
// forbidden call ends the worker; so those tests would see one.
func TestUnforeseenCallKills(t *testing.T) {
	p := newPool(t, func(c *codec.Config) { c.Path = faultyPath })
	if _, err := escape(t.Context(), p, "0"); !errors.Is(err, codec.ErrCrashed) {
		t.Errorf("got %v, want a crash", err)
	}
	// The numbers of 32 bits end a worker in production too.
	p = newPool(t, func(c *codec.Config) { c.Path, c.Kill = faultyPath, false })
	if err := fault(t.Context(), p, "int80"); !errors.Is(err, codec.ErrCrashed) {
		t.Errorf("int 80: got %v, want a crash", err)
	}
}

// TestEachEscapeAlone, the long form: with Kill every way out ends its worker,
// or is one of the calls that libraries try in ordinary work and that are
// refused by name. So it is the filter that answers, not the kernel.
func TestEachEscapeAlone(t *testing.T) {
	if os.Getenv("KAMADO_TEST_ALL") != "1" {
		t.Skip("set KAMADO_TEST_ALL=1")
	}
	p := newPool(t, func(c *codec.Config) { c.Path, c.Log = faultyPath, nil })
	ended, refused := 0, 0
	for i := 0; ; i++ {
		report, err := escape(t.Context(), p, fmt.Sprintf("@%d", i))
		if report == "no more" || i > 500 {
			break
		}
		switch {
		case errors.Is(err, codec.ErrCrashed):
			ended++
		case strings.HasSuffix(report, "; reached: "):
			refused++
			t.Log(report)
		default:
			t.Errorf("attempt %d: %v", i, err)
		}
	}
	t.Logf("%d ended their worker, %d were refused", ended, refused)
	if ended < 100 || ended+refused < attemptsLeast || ended+refused > 2*attemptsLeast {
		t.Error("that is not what there is to try")
	}
}
