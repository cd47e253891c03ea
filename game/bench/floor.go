package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// floorBlock is what the floor writes each time: a block of most file systems.
const floorBlock = 4 << 10

// syncLoop appends blocks to a file and waits for the disk after each, as one caller who
// does nothing else: no durable log without groups can be faster.
func syncLoop(ctx context.Context, dir string, length time.Duration) (*loaded, error) {
	f, err := os.Create(filepath.Join(dir, "floor"))
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, floorBlock)
	seen := &loaded{}
	before, began := ownCPU(), time.Now()
	for last := time.Duration(0); last < length && ctx.Err() == nil; {
		if _, err := f.Write(block); err != nil {
			return nil, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return nil, fmt.Errorf("sync the floor's file: %w", err)
		}
		now := time.Since(began)
		seen.times.add(int64(now - last))
		last = now
	}
	seen.took, seen.client = time.Since(began), ownCPU()-before
	return seen, ctx.Err()
}
