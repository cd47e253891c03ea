package bench

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestProcessorTimeOfChildrenThatAreGoneCounts: a tree has not worked less because one of it has ended.
func TestProcessorTimeOfChildrenThatAreGoneCounts(t *testing.T) {
	t.Parallel()
	child := exec.Command("sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; read line || true")
	end, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	worked := func() time.Duration { return cpuOf(child.Process.Pid) }
	for began, last := time.Now(), time.Duration(-1); worked() != last; time.Sleep(100 * time.Millisecond) {
		if last = worked(); time.Since(began) > 20*time.Second {
			t.Fatal("the child does not come to its end")
		}
	}
	alone, before := worked(), cpuOf(os.Getpid())
	end.Close()
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	if after := cpuOf(os.Getpid()); alone < 2*tickTime || after < before-2*tickTime {
		t.Errorf("%v before and %v after a child of %v was gone", before, after, alone)
	}
}
