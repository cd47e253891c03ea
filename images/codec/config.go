package codec

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// Config says how a Pool behaves. Zero values mean the defaults.
type Config struct {
	Path    string // the executable kamado-codec
	Workers int    // most workers with a request at a time; 0: one for each processor

	// Spare is how many workers are ready beyond those with a request, while
	// requests come; 0 means 1, negative none. A death then costs nobody the
	// 60 to 100 ms that starting one takes.
	Spare int

	Idle     time.Duration // a pool without requests for so long ends its workers; 0: 60 s
	Queue    int           // requests that may wait for a worker; 0: 256, negative: none
	Wait     time.Duration // how long one may wait; 0: 10 s
	Start    time.Duration // how long a start may take; 0: 20 s
	Time     time.Duration // how long one request may keep a worker; 0: 30 s
	Memory   uint64        // bytes of RLIMIT_DATA of a worker; 0: 512 MiB
	Output   int64         // most bytes of the planes or the file of one answer; 0: 512 MiB
	Requests int           // a worker ends after so many, against leaks in C; 0: 5000

	// SVG: drawings are read. What package images/svg leaves of one is drawn
	// by a worker at the wanted size; without SVG they are refused.
	SVG bool

	Kill bool         // workers die at system calls that nobody foresaw, instead of being refused: for tests
	Log  *slog.Logger // nil: none
}

// abandonGrace is how long a worker whose request was given up may take to
// finish it, instead of being killed: starting another costs more.
const abandonGrace = 250 * time.Millisecond

// startTries is how many starts in a row must fail until requests are told, if
// workers have started before.
const startTries = 3

// retryStart is how long a failed start is remembered: requests meanwhile get
// its error at once.
const retryStart = time.Second

// Executable is the path of kamado-codec beside the running program; an error
// that wraps ErrNoWorker when it is not there.
func Executable() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoWorker, err)
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	path := filepath.Join(filepath.Dir(self), "kamado-codec")
	return path, executable(path)
}

func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoWorker, err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return fmt.Errorf("%w: %s is not executable", ErrNoWorker, path)
	}
	return nil
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	count := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
		*n = max(*n, 0)
	}
	count(&c.Workers, runtime.GOMAXPROCS(0))
	count(&c.Spare, 1)
	count(&c.Queue, 256)
	count(&c.Requests, 5000)
	set(&c.Idle, 60*time.Second)
	set(&c.Wait, 10*time.Second)
	set(&c.Start, 20*time.Second)
	set(&c.Time, 30*time.Second)
	if c.Memory == 0 {
		c.Memory = 512 << 20
	}
	if c.Output == 0 {
		c.Output = 512 << 20
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}
