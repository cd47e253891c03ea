package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kamado/kamado/internal/blob"
)

// Defaults of Config.
const (
	DefaultCopies      = 16
	DefaultFailuresMax = 1000
	DefaultBytesMax    = 64 << 20
	DefaultAttempts    = 3
	DefaultEvery       = time.Second
)

// Bounds of Config.
const (
	copiesMax   = 1024
	failuresMax = 100_000
)

// Config says what is copied and how.
type Config struct {
	// From and To name the two stores in the checkpoint, without secrets: a
	// checkpoint of other stores is refused.
	From, To string
	// Prefix of the keys that are copied. Empty: all.
	Prefix string

	// Copies made at once, 1 to 1024; default 16. Memory is at most Copies times
	// BytesMax where objects are checked, else some buffers for each copy.
	Copies int
	// BytesMax is the largest object; larger ones fail. Default 64 MiB.
	BytesMax int64
	// Attempts for one key while a store is unavailable or cuts it short, 1 to
	// 10; default 3. Stores make attempts of their own besides.
	Attempts int

	// Checkpoint is the file of the checkpoint, with a ".lock" beside it. Empty: the
	// run cannot be resumed. A checkpoint of a run that went through everything
	// begins the next whole run.
	Checkpoint string
	// Failures is the file that the keys that failed are listed in, as JSON lines.
	// Empty: Checkpoint with ".failures" behind it, or none without a checkpoint.
	Failures string
	// FailuresMax ends the run when more keys failed; up to 100,000, default 1000.
	FailuresMax int

	// Verify compares the bytes of what the target has already with those of the
	// source. Without it an object of equal size counts as equal when the ETags
	// are equal, or when the target's is not older.
	Verify bool
	// Keep leaves alone whatever the target has, equal or not.
	Keep bool
	// Link makes hard links in place of copies. Both stores must be directories
	// of one file system, and nobody may write into the source's files after.
	Link bool
	// LinkDir is a directory of the same file system for links on their way, but no
	// part of the source; needed with Link. The directory .kamado-put of the target
	// will do.
	LinkDir string
	// Count lists the source a second time, so that the total is known early.
	Count bool

	// Every is how often progress is told and a checkpoint is written; default 1 s.
	Every time.Duration
}

// Deps are what a run uses.
type Deps struct {
	From, To blob.Store // both needed

	// Check, when set, looks at the bytes of an object before it is stored; what
	// it refuses fails. It is called concurrently and must not keep data.
	Check func(ctx context.Context, key string, data []byte) error

	// Bar, when set, gets a line for a terminal that is written over, and Lines
	// one JSON object a line: Progress. Errors of both are passed over.
	Bar, Lines io.Writer
}

// Progress is how far a run is. Counts include what earlier runs of the same
// checkpoint did; rates are those of the last minute of this run, and at its end
// of all of it.
type Progress struct {
	Done          int64         `json:"done"`    // keys: the sum of the five below
	Copied        int64         `json:"copied"`  // bytes were sent
	Linked        int64         `json:"linked"`  // a hard link was made
	Skipped       int64         `json:"skipped"` // the target had it
	Gone          int64         `json:"gone"`    // deleted from the source after it was listed
	Failed        int64         `json:"failed"`
	Bytes         int64         `json:"bytes"`       // of what was copied and linked
	Total         int64         `json:"total"`       // keys; -1: not listed yet
	TotalBytes    int64         `json:"total_bytes"` // -1: not listed yet
	KeysPerSecond float64       `json:"keys_per_second"`
	BytesPerSec   float64       `json:"bytes_per_second"`
	Took          time.Duration `json:"took_ns"` // of this run
	Left          time.Duration `json:"left_ns"` // estimate; -1: unknown
	Watermark     string        `json:"watermark"`
	End           bool          `json:"end"` // the last line of the run
}

// Report is the end of a run.
type Report struct {
	Progress
	Resumed bool // a checkpoint was found
	// Whole says that every key of the source was gone through; failures may be
	// among them.
	Whole    bool
	Failures []Failure // in the order of keys
}

// Failure is a key that could not be copied.
type Failure struct {
	Key   string `json:"key"`
	Error string `json:"error"` // without secrets, at most 512 bytes
}

var (
	// ErrFailures: more keys failed than FailuresMax allows.
	ErrFailures = errors.New("too many keys failed")
	// ErrLocked: another run uses the checkpoint.
	ErrLocked = errors.New("another run uses this checkpoint")
	// ErrCheckpoint: the checkpoint is of another run or cannot be read.
	ErrCheckpoint = errors.New("checkpoint cannot be used")
	// ErrLink: the stores cannot share files; run without Link.
	ErrLink = errors.New("source and target cannot share files")
)

func (c Config) withDefaults() Config {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&c.Copies, DefaultCopies)
	set(&c.Attempts, DefaultAttempts)
	set(&c.FailuresMax, DefaultFailuresMax)
	if c.BytesMax == 0 {
		c.BytesMax = DefaultBytesMax
	}
	if c.Every == 0 {
		c.Every = DefaultEvery
	}
	if c.Failures == "" && c.Checkpoint != "" {
		c.Failures = c.Checkpoint + ".failures"
	}
	return c
}

// Validate gives all complaints at once; zero means the default.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(blob.CheckPrefix(c.Prefix) == nil, "prefix %q cannot begin a key", c.Prefix)
	check(c.Copies >= 1 && c.Copies <= copiesMax, "copies %d: want 1 to %d", c.Copies, copiesMax)
	check(c.Attempts >= 1 && c.Attempts <= 10, "attempts %d: want 1 to 10", c.Attempts)
	check(c.FailuresMax >= 1 && c.FailuresMax <= failuresMax, "failures_max %d: want 1 to %d", c.FailuresMax, failuresMax)
	check(c.BytesMax > 0, "bytes_max %d: want more than 0", c.BytesMax)
	check(c.Every > 0, "every %v: want more than 0", c.Every)
	check(!c.Link || c.LinkDir != "", "link needs a link_dir of the same file system")
	return errors.Join(errs...)
}
