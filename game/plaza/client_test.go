package plaza_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/evanw/esbuild/pkg/api"
)

// TestClient runs the tests of the client (game/client/testdata) in a browser.
func TestClient(t *testing.T) {
	t.Parallel()
	dir, err := filepath.Abs("../client/testdata")
	if err != nil {
		t.Fatal(err)
	}
	built := api.Build(api.BuildOptions{
		AbsWorkingDir: dir, EntryPoints: []string{"client.test.ts"}, Bundle: true, Format: api.FormatIIFE, GlobalName: "client", Target: api.ES2022, LogLevel: api.LogLevelSilent,
	})
	for _, m := range built.Errors {
		t.Fatalf("esbuild: %s (%+v)", m.Text, m.Location)
	}
	p := open(t, chromium(t), "about:blank", window{width: 400, height: 300})
	result := eval[struct {
		Ran    int
		Failed []string
	}](p, string(built.OutputFiles[0].Contents)+"\nclient.run()")
	for _, f := range result.Failed {
		t.Error(f)
	}
	if result.Ran < 15 {
		t.Errorf("only %d tests ran", result.Ran)
	}
	p.quiet()
}

// TestTypes has the TypeScript compiler look at all that a browser runs, where it is installed. Bundling does not.
func TestTypes(t *testing.T) {
	t.Parallel()
	tsc, err := exec.LookPath("tsc")
	if err != nil {
		if tsc, err = filepath.Abs("../../.cache/browser/node_modules/.bin/tsc"); err == nil {
			_, err = exec.LookPath(tsc)
		}
	}
	if err != nil {
		t.Skip("needs tsc, the TypeScript compiler (npm package typescript)")
	}
	if out, err := exec.Command(tsc, "-p", "src/tsconfig.json").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
