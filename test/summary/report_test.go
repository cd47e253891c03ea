package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSummary(t *testing.T) {
	tests := []struct {
		name   string
		events string
		checks string
		want   string // last line
		ok     bool
		says   []string
	}{
		{
			name: "passes are counted by leaves, and skips are named with their reason",
			events: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/one"}
{"Action":"pass","Package":"p","Test":"TestA/one"}
{"Action":"run","Package":"p","Test":"TestA/two"}
{"Action":"output","Package":"p","Test":"TestA/two","Output":"level=DEBUG msg=noise\n"}
{"Action":"output","Package":"p","Test":"TestA/two","Output":"    a_test.go:9: needs gcc\n"}
{"Action":"skip","Package":"p","Test":"TestA/two"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Elapsed":2.5}
`,
			want: "1 passed, 0 failed, 1 skipped", ok: true,
			says: []string{"p TestA/two: needs gcc", "2.5s  p"},
		},
		{
			name: "a failed subtest is quoted once, its parent is not counted beside it",
			events: `{"Action":"output","Package":"p","Test":"TestA/one","Output":"boom\n"}
{"Action":"fail","Package":"p","Test":"TestA/one"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p","Elapsed":1}
exit 1 .
`,
			want: "0 passed, 1 failed, 0 skipped", says: []string{"--- p TestA/one", "boom"},
		},
		{
			name: "a slash in a subtest's own name makes no test of its own",
			events: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/scale_1/8"}
{"Action":"fail","Package":"p","Test":"TestA/scale_1/8"}
{"Action":"fail","Package":"p","Test":"TestA"}
`,
			want: "0 passed, 1 failed, 0 skipped", says: []string{"--- p TestA/scale_1/8"},
		},
		{
			name: "a parent that fails by itself is counted",
			events: `{"Action":"pass","Package":"p","Test":"TestA/one"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}
`,
			want: "1 passed, 1 failed, 0 skipped",
		},
		{
			name: "a test whose end was never seen has failed",
			events: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}
`,
			want: "0 passed, 1 failed, 0 skipped", says: []string{"(never ended)"},
		},
		{
			name: "a package that does not build is one failure with the compiler's words",
			events: `{"Action":"pass","Package":"q","Test":"TestB"}
{"ImportPath":"p [p.test]","Action":"build-output","Output":"p.go:1: undefined: x\n"}
{"ImportPath":"p [p.test]","Action":"build-fail"}
{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}
`,
			want: "1 passed, 1 failed, 0 skipped", says: []string{"undefined: x"},
		},
		{
			name: "an exit without a failed test is a failure", events: `{"Action":"pass","Package":"q","Test":"TestB"}
exit 1 ./nested
`,
			want: "1 passed, 1 failed, 0 skipped", says: []string{"exit 1 ./nested"},
		},
		{name: "no test at all is a failure", want: "0 passed, 1 failed, 0 skipped", says: []string{"no Go test ran"}},
		{
			name:   "checks count, and a failed one shows its log",
			events: `{"Action":"pass","Package":"q","Test":"TestB"}` + "\n",
			checks: "pass gofmt 1 -\nfail vet 2 LOG\nskip shellcheck 0 needs shellcheck\n",
			want:   "2 passed, 1 failed, 1 skipped",
			says:   []string{"vet says no", "check shellcheck: needs shellcheck"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			log, checks := filepath.Join(dir, "log"), filepath.Join(dir, "checks")
			write(t, log, "vet says no\n")
			write(t, checks, strings.ReplaceAll(tt.checks, "LOG", log))
			var out bytes.Buffer
			ok, err := run(strings.NewReader(tt.events), &out, checks, filepath.Join(dir, "none"))
			if err != nil {
				t.Fatalf("run() = %v", err)
			}
			if ok != tt.ok {
				t.Errorf("run() = %v, want %v", ok, tt.ok)
			}
			text := out.String()
			lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
			if last := lines[len(lines)-1]; last != tt.want {
				t.Errorf("last line = %q, want %q", last, tt.want)
			}
			for _, s := range tt.says {
				if !strings.Contains(text, s) {
					t.Errorf("summary lacks %q:\n%s", s, text)
				}
			}
		})
	}
}

func TestChecksFileThatIsMalformedIsAnError(t *testing.T) {
	checks := filepath.Join(t.TempDir(), "checks")
	write(t, checks, "pass gofmt\n")
	if _, err := run(strings.NewReader(""), &bytes.Buffer{}, checks, ""); err == nil {
		t.Fatal("run() accepted a line without its fields")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
