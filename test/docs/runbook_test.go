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
	eachSource(t, func(path, source string) {
		for _, m := range warning.FindAllStringSubmatch(source, -1) {
			found++
			if message := m[1] + m[2]; !strings.Contains(string(index), "`"+message+"`") {
				t.Errorf("docs/runbook/README.md does not know %q of %s", message, path)
			}
		}
	})
	if found < 10 {
		t.Errorf("found %d warnings in the source: the way they are written has changed", found)
	}
}

// metric finds the name of a metric where it is made.
var metric = regexp.MustCompile(`(?:Name: +|NewDesc\()"(kamado_[a-z_]+[a-z])"`)

// TestTheMetricsPageKnowsEveryMetric: a graph's name leads to its meaning.
func TestTheMetricsPageKnowsEveryMetric(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "reference", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	eachSource(t, func(path, source string) {
		for _, m := range metric.FindAllStringSubmatch(source, -1) {
			if m[1] == cookie {
				continue
			}
			found++
			if !strings.Contains(string(page), "`"+m[1]+"`") {
				t.Errorf("docs/reference/metrics.md does not know %s of %s", m[1], path)
			}
		}
	})
	if found < 10 {
		t.Errorf("found %d metrics in the source: the way they are made has changed", found)
	}
}

// cookie is the console's: it is named where a metric could be.
const cookie = "kamado_session"

// eachSource gives every file of the product.
func eachSource(t *testing.T, look func(path, source string)) {
	t.Helper()
	for _, folder := range []string{"cmd", "compute", "console", "dns", "game", "images", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			if err == nil {
				look(path, string(source))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
