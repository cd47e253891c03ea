package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The summary stays readable whatever happens: these bound what it quotes.
const (
	outputLinesMax = 200 // lines quoted of one failed test; the first ones are dropped
	slowestMax     = 10  // packages listed by time
	stderrBytesMax = 8000
)

// event is one line of `go test -json` (cmd/internal/test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Elapsed    float64
	Output     string
}

// outcome is how a test ended; running means that its end was never seen.
type outcome uint8

const (
	running outcome = iota
	passed
	failed
	skipped
)

// test is one test, subtest or check.
type test struct {
	pkg, name string
	end       outcome
	output    []string
	seen      bool // an event named it; else its name is only a part of a subtest's with a slash in its own
	parent    bool // has subtests
	childFail bool // a subtest of it failed
}

// pack is one package under test.
type pack struct {
	name    string
	elapsed float64
	failed  bool
	counted int // tests that failed in it
	ran     int
	output  []string
}

// report gathers everything; the zero value is not ready, use newReport.
type report struct {
	tests    []*test // in the order in which they started
	byName   map[string]*test
	packages map[string]*pack
	stray    []string // lines that are no JSON
	exits    int      // go commands that exited non-zero
	exitText []string
	stderr   []byte
}

func newReport() *report {
	return &report{byName: map[string]*test{}, packages: map[string]*pack{}}
}

// readChecks reads "verdict name seconds rest"; rest is the log's path when the
// verdict is fail, and the reason when it is skip.
func (r *report) readChecks(in io.Reader) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		field := strings.SplitN(lines.Text(), " ", 4)
		if len(field) != 4 {
			return fmt.Errorf("line %q has no four fields", lines.Text())
		}
		t := &test{pkg: "check", name: field[1]}
		seconds, _ := strconv.ParseFloat(field[2], 64)
		r.pack("check").elapsed += seconds
		switch field[0] {
		case "pass":
			t.end = passed
		case "skip":
			t.end, t.output = skipped, []string{field[3]}
		default:
			t.end = failed
			log, err := os.ReadFile(field[3])
			if err != nil {
				log = []byte(err.Error())
			}
			t.output = strings.Split(strings.TrimRight(string(log), "\n"), "\n")
		}
		r.tests = append(r.tests, t)
	}
	return lines.Err()
}

func (r *report) pack(name string) *pack {
	p := r.packages[name]
	if p == nil {
		p = &pack{name: name}
		r.packages[name] = p
	}
	return p
}

func (r *report) test(pkg, name string) *test {
	key := pkg + "\x00" + name
	t := r.byName[key]
	if t == nil {
		t = &test{pkg: pkg, name: name}
		r.byName[key] = t
		r.tests = append(r.tests, t)
		if i := strings.LastIndexByte(name, '/'); i > 0 {
			r.test(pkg, name[:i]).parent = true
		}
	}
	return t
}

// readEvents reads to the end of in. A line that is no JSON is "exit N MODULE"
// from ./setup, or stray output that is kept for the summary.
func (r *report) readEvents(in io.Reader, progress io.Writer) error {
	lines := bufio.NewReaderSize(in, 1<<16)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			r.readLine(line, progress)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) readLine(line []byte, progress io.Writer) {
	var e event
	if len(line) == 0 || line[0] != '{' || json.Unmarshal(line, &e) != nil {
		text := strings.TrimRight(string(line), "\n")
		if strings.HasPrefix(text, "exit ") {
			r.exits++
			r.exitText = append(r.exitText, text)
		} else if text != "" {
			r.stray = append(r.stray, text)
		}
		return
	}
	switch {
	case e.Action == "build-output":
		// ImportPath may be "p [p.test]"; the package that fails names it.
		p := r.pack(strings.Fields(e.ImportPath)[0])
		p.output = append(p.output, strings.TrimRight(e.Output, "\n"))
	case e.Test != "":
		r.testEvent(e)
	case e.Package != "":
		r.packageEvent(e, progress)
	}
}

func (r *report) testEvent(e event) {
	t := r.test(e.Package, e.Test)
	t.seen = true
	switch e.Action {
	case "output":
		t.output = append(t.output, strings.TrimRight(e.Output, "\n"))
	case "pass":
		t.end = passed
	case "skip":
		t.end = skipped
	case "fail":
		t.end = failed
		for name, i := e.Test, strings.LastIndexByte(e.Test, '/'); i > 0; i = strings.LastIndexByte(name, '/') {
			name = name[:i]
			r.test(e.Package, name).childFail = true
		}
	}
}

func (r *report) packageEvent(e event, progress io.Writer) {
	p := r.pack(e.Package)
	switch e.Action {
	case "output":
		p.output = append(p.output, strings.TrimRight(e.Output, "\n"))
	case "pass", "fail", "skip":
		p.elapsed = e.Elapsed
		p.failed = e.Action == "fail"
		word := map[string]string{"pass": "ok", "fail": "FAIL", "skip": "none"}[e.Action]
		if e.Action != "skip" {
			fmt.Fprintf(progress, "%-5s %7.1fs  %s\n", word, e.Elapsed, e.Package)
		}
	}
}

// close turns what never ended into failures, and packages that failed without
// a failed test (they did not build, panicked, ran out of time) into one each.
func (r *report) close() {
	r.tests = slices.DeleteFunc(r.tests, func(t *test) bool { return !t.seen && t.pkg != "check" })
	for _, t := range r.tests {
		if t.end == running {
			t.end = failed
			t.output = append(t.output, "(never ended)")
		}
		p := r.pack(t.pkg)
		p.ran++
		if t.end == failed {
			p.counted++
		}
	}
	for _, name := range sortedKeys(r.packages) {
		p := r.packages[name]
		if p.failed && p.counted == 0 {
			r.tests = append(r.tests, &test{pkg: name, name: "(package)", end: failed, output: p.output})
		}
	}
	failures := 0
	for _, t := range r.tests {
		if t.end == failed && t.pkg != "check" {
			failures++
		}
	}
	if r.exits > 0 && failures == 0 {
		out := append(slices.Clone(r.exitText), strings.Split(tail(r.stderr, stderrBytesMax), "\n")...)
		r.tests = append(r.tests, &test{pkg: "go test", name: "(command)", end: failed, output: out})
	}
}

// counts reports whether t stands in the count: leaves, and parents that failed
// by themselves.
func (t *test) counts() bool {
	return !t.parent || (t.end == failed && !t.childFail)
}

// print writes the summary and reports whether all is well.
func (r *report) print(out io.Writer) bool {
	r.close()
	var count [4]int
	var ran int
	var skips, failures []*test
	for _, t := range r.tests {
		if !t.counts() {
			continue
		}
		count[t.end]++
		if t.pkg != "check" && t.end != skipped {
			ran++
		}
		switch t.end {
		case skipped:
			skips = append(skips, t)
		case failed:
			failures = append(failures, t)
		}
	}
	r.printSlowest(out)
	if len(skips) > 0 {
		fmt.Fprintf(out, "\nskipped:\n")
		for _, t := range skips {
			fmt.Fprintf(out, "  %s %s: %s\n", t.pkg, t.name, skipReason(t.output))
		}
	}
	if len(failures) > 0 {
		fmt.Fprintf(out, "\nfailed:\n")
		for _, t := range failures {
			fmt.Fprintf(out, "--- %s %s\n", t.pkg, t.name)
			for _, line := range lastLines(t.output, outputLinesMax) {
				fmt.Fprintf(out, "    %s\n", line)
			}
		}
	}
	for _, line := range lastLines(r.stray, outputLinesMax) {
		fmt.Fprintf(out, "stray: %s\n", line)
	}
	if ran == 0 {
		fmt.Fprintf(out, "\nno Go test ran: that is a failure\n")
		count[failed]++
	}
	fmt.Fprintf(out, "\n%d passed, %d failed, %d skipped\n", count[passed], count[failed], count[skipped])
	return count[failed] == 0
}

func (r *report) printSlowest(out io.Writer) {
	all := make([]*pack, 0, len(r.packages))
	for _, p := range r.packages {
		if p.elapsed >= 1 {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b *pack) int { return int(1000 * (b.elapsed - a.elapsed)) })
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(out, "\nslowest:\n")
	for _, p := range all[:min(slowestMax, len(all))] {
		fmt.Fprintf(out, "  %6.1fs  %s\n", p.elapsed, p.name)
	}
}

// skipReason is what t.Skip said: the last line in the frame that the testing
// package puts around it ("    file.go:12: reason"), else all that was printed.
func skipReason(output []string) string {
	var kept []string
	reason := ""
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		kept = append(kept, line)
		if framed := frame.FindStringSubmatch(line); framed != nil {
			reason = framed[1]
		}
	}
	switch {
	case reason != "":
		return reason
	case len(kept) == 0:
		return "no reason given"
	}
	return strings.Join(kept, "; ")
}

var frame = regexp.MustCompile(`^[A-Za-z0-9_]+\.go:[0-9]+: (.*)$`)

func lastLines(lines []string, most int) []string {
	if len(lines) <= most {
		return lines
	}
	dropped := fmt.Sprintf("(%d lines before these)", len(lines)-most)
	return append([]string{dropped}, lines[len(lines)-most:]...)
}

func tail(b []byte, most int) string {
	return string(bytes.TrimSpace(b[max(0, len(b)-most):]))
}

func sortedKeys(m map[string]*pack) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
