package pebble

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamado/kamado/internal/kv"
)

// TestAnEmptyStoreIsSmall: a game server without players is to stay below 40 MiB in
// all, so a process with a store and little else must need far less. Another
// process is measured, which does nothing but open one.
func TestAnEmptyStoreIsSmall(t *testing.T) {
	if dir := os.Getenv("KAMADO_PEBBLE_CHILD"); dir != "" {
		s, err := Open(dir, Default())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Put(t.Context(), kv.Key{Group: "u1", Name: "a"}, []byte("x"), kv.Any); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if kib, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				fmt.Println("resident", strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kib), "kB")))
			}
		}
		return
	}
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("no /proc here")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestAnEmptyStoreIsSmall$")
	cmd.Env = append(os.Environ(), "KAMADO_PEBBLE_CHILD="+filepath.Join(t.TempDir(), "kv"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, rest, _ := strings.Cut(string(out), "resident ")
	var kib int
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatalf("the child said %q", out)
	}
	most := 25 << 10
	if raceDetector {
		most *= 4 // its shadow memory
	}
	t.Logf("a process with an empty store has %d KiB resident", kib)
	if kib > most {
		t.Errorf("a process with an empty store has %d KiB resident, want at most %d", kib, most)
	}
}
