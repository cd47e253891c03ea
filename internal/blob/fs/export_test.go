package fs

import "syscall"

// RefuseOpenat2 makes s behave as on a kernel without openat2.
func RefuseOpenat2(s *Store) {
	s.beneath = func(int, string) (int, error) { return -1, syscall.ENOSYS }
}
