package gen_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamado/kamado/game/wire/gen"
)

var update = flag.Bool("update", false, "write the generated files")

// root is that of the module, from this folder.
const root = "../../.."

func TestGeneratedFilesAreFresh(t *testing.T) {
	outputs, err := gen.Outputs(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range outputs {
		path := filepath.Join(root, o.Path)
		is, err := os.ReadFile(path)
		switch {
		case bytes.Equal(is, o.Content):
		case *update:
			if err := os.WriteFile(path, o.Content, 0o644); err != nil {
				t.Fatal(err)
			}
		case err != nil:
			t.Error(err)
		default:
			t.Errorf("%s is stale; run go generate ./game/wire\n%s", o.Path, firstDifference(string(is), string(o.Content)))
		}
	}
}

// firstDifference shows the first line that differs.
func firstDifference(is, want string) string {
	a, b := strings.Split(is, "\n"), strings.Split(want, "\n")
	for i := range max(len(a), len(b)) {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return fmt.Sprintf("line %d\n- %s\n+ %s", i+1, x, y)
		}
	}
	return ""
}
