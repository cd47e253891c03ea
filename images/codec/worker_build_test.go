package codec_test

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/kamado/kamado/images/codec"
)

// workerPath is the executable kamado-codec that TestMain built, faultyPath
// the one that does forbidden things when a file asks for them; buildError
// says why there is none.
var (
	workerPath, faultyPath string
	buildError             error
)

// envDir passes the directory of the built workers to this test run again as
// another user.
const envDir = "KAMADO_CODEC_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(envDir); dir != "" {
		workerPath, faultyPath = filepath.Join(dir, "kamado-codec"), filepath.Join(dir, "kamado-codec-faulty")
		os.Exit(m.Run())
	}
	dir, err := os.MkdirTemp("", "kamado-codec-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Chmod(dir, 0o755) // workers may run as another user
	workerPath, faultyPath = filepath.Join(dir, "kamado-codec"), filepath.Join(dir, "kamado-codec-faulty")
	for path, tags := range map[string]string{workerPath: "", faultyPath: "codecfault"} {
		build := exec.Command("go", "build", "-tags", tags, "-o", path, "github.com/kamado/kamado/cmd/kamado-codec")
		if out, err := build.CombinedOutput(); err != nil {
			buildError = fmt.Errorf("build kamado-codec: %w\n%s", err, out)
		}
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// newPool starts a pool on the worker of this checkout, by default with every
// unforeseen system call deadly.
func newPool(t testing.TB, change func(*codec.Config)) *codec.Pool {
	t.Helper()
	if buildError != nil {
		if exec.Command("pkg-config", "--exists", "vips").Run() != nil {
			t.Skip("needs libvips-dev (./setup test installs it)")
		}
		t.Fatal(buildError)
	}
	c := codec.Config{Path: workerPath, Workers: 2, Kill: true, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))}
	if change != nil {
		change(&c)
	}
	p, err := codec.NewPool(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}
