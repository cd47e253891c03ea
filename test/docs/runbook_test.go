package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// warning finds the message of a line that logs a warning or an error.
var warning = regexp.MustCompile(`(?i:log)(?:\(\))?\.(?:Warn|Error)(?:Context)?\((?:[^,"]+, )?"([^"]+)"|slog\.Level(?:Warn|Error), "([^"]+)"`)

// TestTheRunbookKnowsEveryWarning: whoever is woken by a message finds it.
func TestTheRunbookKnowsEveryWarning(t *testing.T) {
	index, err := os.ReadFile(filepath.Join(root, "docs", "runbook", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, folder := range []string{"cmd", "compute", "console", "images", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range warning.FindAllStringSubmatch(string(source), -1) {
				found++
				if message := m[1] + m[2]; !strings.Contains(string(index), "`"+message+"`") {
					t.Errorf("docs/runbook/README.md does not know %q of %s", message, path)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 10 {
		t.Errorf("found %d warnings in the source: the way they are written has changed", found)
	}
}
