package shelf

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"syscall"

	"github.com/kamado/kamado/internal/blob"
)

// validate shows the draft's bytes to the judge of pictures through a mapping: a
// header is a few pages, and pages of the file's cache are not memory of ours.
func (d *Draft) validate(ctx context.Context, judge func(context.Context, []byte) (Facts, error)) (facts Facts, err error) {
	if d.Size == 0 {
		return judge(ctx, nil)
	}
	data, err := syscall.Mmap(int(d.file.Fd()), 0, int(d.Size), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return Facts{}, fmt.Errorf("map the staging file: %w", err)
	}
	defer func() { err = errors.Join(err, syscall.Munmap(data)) }()
	// A page that the disk cannot give any more is a fault of memory (SIGBUS). It
	// must cost this upload, not the process.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if fault := recover(); fault != nil {
			if _, isFault := fault.(interface{ Addr() uintptr }); !isFault {
				panic(fault)
			}
			facts, err = Facts{}, fmt.Errorf("%w: the staging file cannot be read back: %v", blob.ErrUnavailable, fault)
		}
	}()
	return judge(ctx, data)
}
