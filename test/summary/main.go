// Command summary reads what `go test -json` prints for one or more modules and
// ends in one summary: failures with their output, skips with their reasons,
// the slowest packages, and a last line "N passed, N failed, N skipped".
//
// Vocabulary: a check is one step of ./setup test that is no Go test (gofmt,
// vet, shellcheck); it comes from a file, a line each, and counts as one test.
// Only leaves are counted: a test with subtests stands for itself only when it
// failed and none of them did. It exits 1 when anything failed, and also when
// no test ran at all, because silence is not success.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	checks := flag.String("checks", "", "file of checks: `verdict name seconds log-or-reason` a line")
	stderr := flag.String("stderr", "", "file with what go test said besides its JSON")
	flag.Parse()
	ok, err := run(os.Stdin, os.Stdout, *checks, *stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
		os.Exit(1)
	}
	if !ok {
		os.Exit(1)
	}
}

// run reads events from in, talks to out while packages end, prints the summary
// and reports whether all is well.
func run(in io.Reader, out io.Writer, checksFile, stderrFile string) (bool, error) {
	r := newReport()
	if checksFile != "" {
		f, err := os.Open(checksFile)
		if err != nil {
			return false, fmt.Errorf("read the checks: %w", err)
		}
		defer f.Close()
		if err := r.readChecks(f); err != nil {
			return false, fmt.Errorf("read the checks: %w", err)
		}
	}
	if err := r.readEvents(in, out); err != nil {
		return false, fmt.Errorf("read the test events: %w", err)
	}
	if stderrFile != "" && r.exits > 0 {
		// Absent when no go test ran; then the count of tests tells.
		r.stderr, _ = os.ReadFile(stderrFile)
	}
	return r.print(out), nil
}
