package fake_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/kamado/kamado/compute/hypervisor"
	"github.com/kamado/kamado/compute/hypervisor/fake"
)

func spec(id string) hypervisor.Spec {
	return hypervisor.Spec{ID: id, Name: "vm", VCPUs: 1, MemoryMiB: 64, Root: hypervisor.Disk{Bytes: 1 << 30}}
}

func TestSnapshotIsADiskThatQemuImgTakes(t *testing.T) {
	t.Parallel()
	img, err := exec.LookPath("qemu-img")
	if err != nil {
		t.Skip("needs qemu-img (./setup test installs it)")
	}
	for _, size := range []int64{1, 1 << 30, 20 << 30, 40 << 40} {
		e := fake.New(fake.Config{Dir: t.TempDir()})
		s := spec("a")
		s.Root.Bytes = size
		if err := e.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "snap.qcow2")
		if err := e.Snapshot(t.Context(), "a", file); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), img, "info", "-f", "qcow2", "--output=json", file).Output()
		if err != nil {
			t.Fatal(err)
		}
		var info struct {
			Size int64 `json:"virtual-size"`
		}
		if err := json.Unmarshal(out, &info); err != nil {
			t.Fatal(err)
		}
		if want := (size + 511) &^ 511; info.Size != want {
			t.Errorf("snapshot of %d bytes is a disk of %d, want %d", size, info.Size, want)
		}
		if out, err := exec.CommandContext(t.Context(), img, "check", "-f", "qcow2", file).CombinedOutput(); err != nil {
			t.Errorf("qemu-img check of a snapshot of %d bytes: %v: %s", size, err, out)
		}
	}
}

func TestFailIsTheVerbsError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	e := fake.New(fake.Config{Dir: t.TempDir(), Fail: func(_ context.Context, verb, _ string) error {
		if verb == "create" {
			return broken
		}
		return nil
	}})
	if err := e.Create(t.Context(), spec("a")); !errors.Is(err, broken) {
		t.Errorf("Create = %v, want the error of Fail", err)
	}
	if list, err := e.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("List after a failed Create = %v, %v, want nothing", list, err)
	}
}

func BenchmarkCreate(b *testing.B) {
	e := fake.New(fake.Config{Dir: b.TempDir()})
	i := 0
	for b.Loop() {
		i++
		if err := e.Create(b.Context(), spec(fmt.Sprintf("d-%d", i))); err != nil {
			b.Fatal(err)
		}
	}
}

func TestTenThousandDomainsAreFoundAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := fake.New(fake.Config{Dir: dir})
	const n = 10_000
	for i := range n {
		if err := e.Create(t.Context(), spec(fmt.Sprintf("d-%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	list, err := fake.New(fake.Config{Dir: dir}).List(t.Context())
	if err != nil || len(list) != n {
		t.Fatalf("List = %d domains, %v, want %d", len(list), err, n)
	}
	t.Logf("found %d domains in %v", n, time.Since(begun))
}

func TestHalfWrittenDomainsGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.json.new"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := fake.New(fake.Config{Dir: dir}).List(t.Context())
	if err != nil || len(list) != 0 {
		t.Errorf("domains = %v, %v, want none", list, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("what a crash cut is still there: %v, %v", left, err)
	}
}
