package fs

import (
	"context"
	"syscall"

	"github.com/kamado/kamado/internal/blob"
)

// RefuseOpenat2 makes s behave as on a kernel without openat2.
func RefuseOpenat2(s *Store) {
	s.beneath = func(int, string) (int, error) { return -1, syscall.ENOSYS }
}

// WalkBy is Walk with namesMax names kept for each level.
func (s *Store) WalkBy(ctx context.Context, namesMax int, visit func(blob.Info) error) error {
	return s.walk(ctx, lister{namesMax: namesMax}, visit)
}
