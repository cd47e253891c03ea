package codec_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/kamado/kamado/images/codec"
	"github.com/kamado/kamado/images/codec/sandbox"
	"github.com/kamado/kamado/internal/programtest"
)

// TestPlainUser runs TestEveryLevel again as a user without rights, when this
// run has them.
func TestPlainUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to become another user; TestEveryLevel has run as a plain user already")
	}
	newPool(t, nil)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(workerPath)
	again := filepath.Join(dir, "test") // where anybody may start it
	copyProgram(t, self, again)
	cmd := exec.Command(again, "-test.run=^TestEveryLevel$", "-test.v")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), envDir+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	programtest.Write(t, to, content)
}

// TestEveryLevel: whatever the machine forbids, workers do their work; a pool
// finds the strongest level by itself.
func TestEveryLevel(t *testing.T) {
	best := newPool(t, nil)
	if err := load(t.Context(), best, small()); err != nil {
		t.Fatal(err)
	}
	s := best.Stats()
	t.Logf("user %d, best level %v: %v; missing: %v", os.Geteuid(), s.Level, s.Layers, s.Layers.Missing())
	p := newPool(t, func(c *codec.Config) { c.Spare = -1 })
	p.SetLevels(sandbox.LevelPlain)
	if err := load(t.Context(), p, small()); err != nil {
		t.Errorf("without any namespace: %v", err)
	}
	if s := p.Stats(); s.Layers&sandbox.Seccomp == 0 || s.Layers&sandbox.UserNS != 0 {
		t.Errorf("without any namespace: %v", s.Layers)
	}
}

func TestExamine(t *testing.T) {
	newPool(t, nil)
	e, err := codec.Examine(t.Context(), codec.Config{Path: workerPath})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", e)
	if len(e.Loads) < 6 || len(e.Saves) < 3 || e.Library == "" || e.Layers&sandbox.Seccomp == 0 || e.Start <= 0 {
		t.Errorf("%+v", e)
	}
	if _, err := codec.Examine(t.Context(), codec.Config{Path: "/nonexistent/kamado-codec"}); !errors.Is(err, codec.ErrNoWorker) {
		t.Errorf("missing: %v", err)
	}
}
