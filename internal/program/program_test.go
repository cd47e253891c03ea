package program_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/program"
	"github.com/kamado/kamado/internal/programtest"
)

// script writes a shell script and gives its path.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	programtest.Write(t, path, []byte("#!/bin/sh\n"+text+"\n"))
	return path
}

func TestRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, script string
		cmd          program.Command
		status       int
		output       string
		err          string
	}{
		{name: "success", script: "echo fine", output: "fine\n"},
		{name: "failure with words on both outputs", script: "echo a; echo b >&2; exit 3", status: 3, output: "a\nb\n", err: "exit status 3"},
		{name: "killed by a signal", script: "kill -TERM $$", status: 128 + 15, err: "exit status 143"},
		{name: "arguments are not interpreted", script: `echo "$1|$2"`, cmd: program.Command{Args: []string{"$(id); x", "*"}}, output: "$(id); x|*\n"},
		{name: "environment", script: `echo "$FACT-$KAMADO_TEST_SECRET"`, cmd: program.Command{Env: []string{"FACT=1"}}, output: "1-\n"},
		{name: "input", script: "cat", cmd: program.Command{Input: []byte("given")}, output: "given"},
		{name: "endless output is cut", script: "yes | head -c 100000", cmd: program.Command{OutputMax: 4}, output: "y\ny\n"},
		{name: "no input", script: "cat; echo end", output: "end\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.cmd.Path = script(t, c.script)
			r, err := program.Run(t.Context(), c.cmd)
			if r.Status != c.status || string(r.Output) != c.output || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("Run = %d %q, %v, want %d %q, %q", r.Status, r.Output, err, c.status, c.output, c.err)
			}
		})
	}
}

func TestEnvironmentHasNoSecrets(t *testing.T) {
	t.Setenv("KAMADO_TEST_SECRET", "s3cret")
	if env := program.Environment(); slices.ContainsFunc(env, func(e string) bool { return strings.Contains(e, "s3cret") }) {
		t.Errorf("Environment() = %q", env)
	}
}

func TestRunWhatCannotStart(t *testing.T) {
	t.Parallel()
	r, err := program.Run(t.Context(), program.Command{Path: "/nonexistent/program"})
	if !errors.Is(err, os.ErrNotExist) || r.Status != -1 {
		t.Errorf("Run = %v, %v", r, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := program.Run(ctx, program.Command{Path: "/bin/true"}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of ctx: %v", err)
	}
}

// gone says whether a process ended, also as somebody's zombie.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestTheWholeGroupIsKilled(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"when the time is over":     "sleep 1000 & echo $! >%s; wait",
		"when the program is done":  "sleep 1000 & echo $! >%s; exit 0",
		"though it ignores signals": "trap '' TERM INT HUP; sleep 1000 & echo $! >%s; while :; do sleep 1000; done",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			note := filepath.Join(t.TempDir(), "child")
			path := script(t, fmt.Sprintf(text, note))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				_, err := program.Run(ctx, program.Command{Path: path})
				ended <- err
			}()
			child := 0
			for deadline := time.Now().Add(10 * time.Second); child == 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) { // a condition is polled
				b, _ := os.ReadFile(note)
				child, _ = strconv.Atoi(strings.TrimSpace(string(b)))
			}
			done := strings.Contains(text, "exit 0")
			if !done {
				cancel()
			}
			err := <-ended
			if done != (err == nil) || !done && !errors.Is(err, program.ErrTime) {
				t.Errorf("Run = %v", err)
			}
			for deadline := time.Now().Add(5 * time.Second); !gone(child); time.Sleep(time.Millisecond) { // its new parent reaps it
				if time.Now().After(deadline) {
					syscall.Kill(child, syscall.SIGKILL) //nolint:errcheck // the test has failed already
					t.Fatalf("the child %d lives on", child)
				}
			}
		})
	}
}

func TestRunDoesNotWaitForThoseWhoLeft(t *testing.T) {
	t.Parallel()
	start := time.Now()
	// The one who left the group still holds the output.
	r, err := program.Run(t.Context(), program.Command{Path: script(t, "setsid sleep 60 & echo done")})
	if err != nil || string(r.Output) != "done\n" || time.Since(start) > 30*time.Second {
		t.Errorf("Run = %q, %v after %v", r.Output, err, time.Since(start))
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                          nil,
		"  a  b\tc\n":               {"a", "b", "c"},
		`'a b' "c d" e\ f`:          {"a b", "c d", "e f"},
		`a'b'"c"d`:                  {"abcd"},
		`'' ""`:                     {"", ""},
		`'\' "\"" \\`:               {`\`, `"`, `\`},
		`$HOME *;|`:                 {"$HOME", "*;|"},
		"/bin/echo 'it'\\''s' fine": {"/bin/echo", "it's", "fine"},
	} {
		got, err := program.Split(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("Split(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{`a\`: "backslash", `"a`: "quote", "a\x00": "zero byte", strings.Repeat("a ", 65): "64 words", strings.Repeat("a", 5000): "4096"} {
		if _, err := program.Split(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Split(%.20q) = %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{"", "echo", "./x", `"`} {
		if _, err := program.Parse(text); err == nil {
			t.Errorf("Parse(%q) took it", text)
		}
	}
}

func FuzzSplit(f *testing.F) {
	for _, s := range []string{"", "/bin/true a 'b c' \"d\\\"\"", `\`, "'", "a\x00b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words, err := program.Split(text)
		if err != nil {
			return
		}
		joined := program.Join(words)
		if again, err := program.Split(joined); len(joined) <= 4096 && (err != nil || !slices.Equal(words, again)) {
			t.Errorf("Split(Join(%q)) = %q, %v", words, again, err)
		}
	})
}
