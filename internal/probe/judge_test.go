package probe_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/kamado/kamado/internal/probe"
)

// at is the moment n seconds after an epoch.
func at(n int) time.Time { return time.Unix(int64(1000+n), 0) }

// results makes results of a picture: + passed, - failed, ? undecided, ! a final failure, * a final success.
func results(picture string) []probe.Result {
	var list []probe.Result
	for i, c := range picture {
		r := probe.Result{At: at(i + 1), Text: string(c)}
		switch c {
		case '-', '!':
			r.Err = errors.New("down")
		case '?':
			r.Err = fmt.Errorf("%w: who knows", probe.ErrUndecided)
		}
		r.Final = c == '!' || c == '*'
		list = append(list, r)
	}
	return list
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		limits  probe.Limits
		picture string
		want    string // the state after each result: h, u, ? (unknown)
	}{
		{"one success makes it healthy, two failures unhealthy", probe.Limits{Healthy: 1, Unhealthy: 2}, "+-+--+", "hhhhuh"},
		{"before a threshold it is what it was at first", probe.Limits{Healthy: 3, Unhealthy: 2}, "++-+++", "?????h"},
		{"failures before a threshold too", probe.Limits{Healthy: 1, Unhealthy: 3}, "---", "??u"},
		{"initially healthy", probe.Limits{Healthy: 2, Unhealthy: 2, Initial: probe.Healthy}, "-+--", "hhhu"},
		{"initially unhealthy", probe.Limits{Healthy: 2, Unhealthy: 1, Initial: probe.Unhealthy}, "+-++", "uuuh"},
		{"a run must be unbroken", probe.Limits{Healthy: 2, Unhealthy: 3}, "++--+--+---", "?hhhhhhhhhu"},
		{"what is undecided breaks no run and counts for none", probe.Limits{Healthy: 2, Unhealthy: 2}, "+?+-?-?", "??hhhuu"},
		{"final results need no threshold", probe.Limits{Healthy: 5, Unhealthy: 5}, "*!*", "huh"},
		{"zero limits are one", probe.Limits{}, "+-", "hu"},
	} {
		j := probe.NewJudge(c.limits, at(0))
		got := ""
		last := j.Verdict()
		for _, r := range results(c.picture) {
			changed := j.Step(r)
			v := j.Verdict()
			got += map[probe.State]string{probe.Unknown: "?", probe.Healthy: "h", probe.Unhealthy: "u"}[v.State]
			if changed != (v.State != last.State) || changed && v.Since != r.At || !changed && v.Since != last.Since {
				t.Errorf("%s: after %q: changed %v, %+v", c.name, got, changed, v)
			}
			if v.Text != r.Text {
				t.Errorf("%s: it says %q, want %q", c.name, v.Text, r.Text)
			}
			last = v
		}
		if got != c.want {
			t.Errorf("%s: %s gives %s, want %s", c.name, c.picture, got, c.want)
		}
	}
}

func TestJudgeRemembers(t *testing.T) {
	t.Parallel()
	j := probe.NewJudge(probe.Limits{Healthy: 1, Unhealthy: 1}, at(0))
	for _, r := range results(strings.Repeat("+-", 20)) {
		j.Step(r)
	}
	h := j.History()
	if len(h) != probe.HistoryMax || h[len(h)-1].At != at(40) || h[len(h)-1].State != probe.Unhealthy || h[0].At != at(40-probe.HistoryMax+1) || h[0].Text != "+" {
		t.Errorf("History() = %+v", h)
	}
	if v := j.Verdict(); !v.Flapping || v.Results != 40 || v.Run != -1 || v.At != at(40) {
		t.Errorf("Verdict() = %+v", v)
	}
	// It stops flapping when the changes are long ago.
	j.Step(probe.Result{Err: errors.New("down"), At: at(40).Add(probe.FlapWindow)})
	if v := j.Verdict(); v.Flapping || v.Run != -2 {
		t.Errorf("long after: %+v", v)
	}
	slow := probe.NewJudge(probe.Limits{}, at(0))
	for i := range 20 {
		r := results(strings.Repeat("+-", 10))[i]
		r.At = at(0).Add(time.Duration(i+1) * 2 * time.Minute)
		if slow.Step(r); slow.Verdict().Flapping {
			t.Fatalf("a change every two minutes counts as flapping")
		}
	}
}

func TestClip(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "a": "a", "  a\r\n\tb\x00\x1b[31mc ": "a b [31mc", "竈\xff竈": "竈 竈",
		strings.Repeat("x", 300): strings.Repeat("x", 200), strings.Repeat("竈", 100): strings.Repeat("竈", 66),
	} {
		if got := probe.Clip(text); got != want || len(got) > probe.TextMax || !utf8.ValidString(got) {
			t.Errorf("Clip(%q) = %q, want %q", text, got, want)
		}
	}
}
