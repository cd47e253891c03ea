package programtest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/internal/programtest"
)

// TestProgramsThatAreWrittenStart writes programs and starts them at once, beside
// others that do the same.
func TestProgramsThatAreWrittenStart(t *testing.T) {
	t.Parallel()
	dir, until := t.TempDir(), time.Now().Add(time.Second)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for n := 0; time.Now().Before(until) && !t.Failed(); n++ {
				path := filepath.Join(dir, fmt.Sprint(worker, "-", n))
				programtest.Write(t, path, []byte("#!/bin/sh\n"))
				if out, err := exec.Command(path).CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
				if err := os.Remove(path); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
