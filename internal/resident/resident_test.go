package resident_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/internal/resident"
)

// fileBytes is how much of files is mapped and present.
func fileBytes(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`RssFile:\s+(\d+) kB`).FindSubmatch(b)
	if m == nil {
		t.Skip("needs a kernel that tells RssFile")
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n << 10
}

// TestTrimGivesPagesBackAndLosesNothing: less is present, and code and constants are what they were.
func TestTrimGivesPagesBackAndLosesNothing(t *testing.T) {
	before := fileBytes(t)
	want := fmt.Sprintf("%v %q", map[string]int{"a": 1}, "text")
	if err := resident.Trim(); err != nil {
		t.Fatal(err)
	}
	after := fileBytes(t)
	if after >= before {
		t.Errorf("%d bytes of files are present after Trim, %d before", after, before)
	}
	if got := fmt.Sprintf("%v %q", map[string]int{"a": 1}, "text"); got != want {
		t.Errorf("after Trim: %s, want %s", got, want)
	}
}

// TestTrimKeepsWhatWasWritten: a page of the program's file that was written to and then closed, as the tables of a dynamic linker.
func TestTrimKeepsWhatWasWritten(t *testing.T) {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Skip("needs /proc")
	}
	defer f.Close()
	page, err := unix.Mmap(int(f.Fd()), 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(page) //nolint:errcheck // the process ends
	copy(page, "written")
	if err := unix.Mprotect(page, unix.PROT_READ); err != nil {
		t.Fatal(err)
	}
	if err := resident.Trim(); err != nil {
		t.Fatal(err)
	}
	if got := string(page[:7]); got != "written" {
		t.Errorf("after Trim %q, want what was written", got)
	}
}

func TestBusyIsTheTimeOfTheProcessor(t *testing.T) {
	before := resident.Busy()
	for began := time.Now(); resident.Busy()-before < 20*time.Millisecond; {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("%v of work count as %v", time.Since(began), resident.Busy()-before)
		}
	}
}
