package front

import "runtime"

// Defaults and bounds.
const (
	// DefaultTableBytes holds about 12,000 ready answers.
	DefaultTableBytes = 16 << 20
	// headBytesMax is the longest head that is answered here. Unit: bytes.
	headBytesMax = 8 << 10
	// targetBytesMax is the longest target with a ready answer, so that a
	// stranger's long URLs do not fill the table. Unit: bytes.
	targetBytesMax = 2 << 10
	// batchAnswers and batchBytes bound how much is answered with one write
	// to a client that sends requests without waiting.
	batchAnswers = 16
	batchBytes   = 256 << 10
	// loopsMax bounds the loops: beyond it the network is slower.
	loopsMax = 64
)

// Config says how much a Front may use. The zero value is the default.
type Config struct {
	// Loops is how many goroutines answer; default: one for each processor.
	Loops int
	// TableBytes bounds the memory of ready answers, without the pictures, which
	// belong to the result cache. Default 16 MiB.
	TableBytes int64
	// SheetBytes bounds the second copies of the pictures that are asked for most,
	// which the system sends without copying them once more for each client.
	// Default 32 MiB; negative: none.
	SheetBytes int64
}

func (c Config) withDefaults() Config {
	if c.Loops <= 0 {
		c.Loops = runtime.GOMAXPROCS(0)
	}
	c.Loops = min(c.Loops, loopsMax)
	if c.TableBytes <= 0 {
		c.TableBytes = DefaultTableBytes
	}
	if c.SheetBytes == 0 {
		c.SheetBytes = DefaultSheetBytes
	}
	c.SheetBytes = max(c.SheetBytes, 0)
	return c
}
