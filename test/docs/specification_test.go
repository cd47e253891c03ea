package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestSpecificationNamesTestsThatExist: a promise whose test is gone is no promise.
func TestSpecificationNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "SPECIFICATION.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z0-9/]+): (Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(text), -1)
	if len(named) < 20 {
		t.Fatalf("found %d tests in SPECIFICATION.md: its form has changed", len(named))
	}
	for _, m := range named {
		if !hasTest(t, filepath.Join(root, m[1]), m[2]) {
			t.Errorf("SPECIFICATION.md names %s of %s, which does not exist", m[2], m[1])
		}
	}
}

func hasTest(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(?m)^func ` + name + `\(`)
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if declared.Match(source) {
			return true
		}
	}
	return false
}
