package registry_test

import (
	"bufio"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/registry"
	"github.com/kamado/kamado/compute/store"
	"github.com/kamado/kamado/internal/blob/fs"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

// childDir names the room of a child process that is to be killed.
const childDir = "KAMADO_TEST_REGISTRY_DIR"

// TestKill lets processes die in the middle of an upload and of a stage.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	for _, how := range []string{"upload", "stage"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledChild$", "-test.v")
		cmd.Env = append(os.Environ(), childDir+"="+dir, "KAMADO_TEST_REGISTRY_HOW="+how)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		id := ""
		for s := bufio.NewScanner(out); id == "" && s.Scan(); {
			_, id, _ = strings.Cut(s.Text(), "under way: ")
		}
		must(t, cmd.Process.Kill())
		_ = cmd.Wait()
		if id == "" {
			t.Fatal("the child said nothing")
		}
		r := reopen(t, dir)
		if m := r.get(t, id); m.Status == compute.ImageQueued {
			t.Errorf("the %s was not under way", how)
		}
		if len(r.files(t)) == 0 {
			t.Errorf("the killed %s left nothing to sweep", how)
		}
		must(t, r.Recover(t.Context()))
		if m := r.get(t, id); m.Status != compute.ImageQueued || m.Key != "" {
			t.Errorf("after the next start the image is %s", m.Status)
		}
		if files := r.files(t); len(files) != 0 {
			t.Errorf("after the next start %q are left", files)
		}
		must(t, r.Delete(t.Context(), alice, id))
	}
}

// reopen opens a room whose database lies in its directory.
func reopen(t *testing.T, dir string) *room {
	t.Helper()
	r := &room{dir: filepath.Join(dir, "images"), own: filepath.Join(dir, "registry")}
	must(t, os.MkdirAll(r.dir, 0o700))
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, "db", "db"))
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	r.store, err = store.Open(t.Context(), db)
	must(t, err)
	blobs, err := fs.Open(r.dir)
	must(t, err)
	t.Cleanup(func() { must(t, blobs.Close()) })
	r.blobs = blobs
	r.Service = registry.New(r.store, blobs, r.own, registry.Default(), slog.New(slog.DiscardHandler))
	return r
}

// TestKilledChild is the process that TestKill kills: it uploads for ever.
func TestKilledChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		return // not the child: nothing to do
	}
	r := reopen(t, dir)
	m := r.create(t, alice, "raw")
	pr, pw := io.Pipe()
	go func() {
		_, _ = pw.Write(noise(3 << 20))
		_, _ = os.Stdout.WriteString("\nunder way: " + m.ID + "\n")
	}()
	if os.Getenv("KAMADO_TEST_REGISTRY_HOW") == "stage" {
		t.Fatal(r.Stage(t.Context(), m.ID, pr, -1))
	}
	_, err := r.Upload(t.Context(), m.ID, pr, -1)
	t.Fatal(err)
}
