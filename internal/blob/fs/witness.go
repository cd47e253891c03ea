package fs

import (
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/internal/blob"
)

// witness is a file by its identity: one system call looks whether its name
// still leads to it.
//
// The names were resolved below the directory when the witness was made. Later
// the kernel resolves them as it likes, and may be led out of the directory by a
// link that was put there since; but then it arrives at another file, or at the
// same one, which has not been changed, moved or linked, because ctime is compared.
type witness struct {
	store  *Store
	key    string
	absent []string
	is     identity
}

// identity tells a file in one state from every other file and state.
type identity struct {
	dev, ino     uint64
	size         int64
	mtime, ctime syscall.Timespec
}

// Witness implements blob.Witnesser for regular files; what lies behind a
// symbolic link is left to Stat.
func (s *Store) Witness(in blob.Info, absent []string) (blob.Witness, bool) {
	w := &witness{store: s, key: in.Key, absent: slices.Clone(absent)}
	for _, key := range append([]string{in.Key}, absent...) {
		if blob.CheckKey(key) != nil {
			return nil, false
		}
	}
	var st unix.Stat_t
	if !s.look(w.key, &st) || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, false
	}
	w.is = identify(&st)
	// The witness is of the file that in tells of, and that file is reached
	// without leaving the directory.
	if now, err := s.root.Lstat(w.key); err != nil || info(w.key, now).ETag != in.ETag || !w.Holds() {
		return nil, false
	}
	return w, true
}

// Holds implements blob.Witness.
func (w *witness) Holds() bool {
	var st unix.Stat_t
	for _, key := range w.absent {
		if err := w.store.lstat(key, &st); err != unix.ENOENT {
			return false
		}
	}
	return w.store.look(w.key, &st) && identify(&st) == w.is
}

func (s *Store) look(key string, st *unix.Stat_t) bool { return s.lstat(key, st) == nil }

// lstat asks about a key without following it where it is a link.
func (s *Store) lstat(key string, st *unix.Stat_t) error {
	for {
		if err := unix.Fstatat(int(s.dir.Fd()), key, st, unix.AT_SYMLINK_NOFOLLOW); err != unix.EINTR {
			return err
		}
	}
}

func identify(st *unix.Stat_t) identity {
	return identity{dev: st.Dev, ino: st.Ino, size: st.Size,
		mtime: syscall.Timespec{Sec: st.Mtim.Sec, Nsec: st.Mtim.Nsec}, ctime: syscall.Timespec{Sec: st.Ctim.Sec, Nsec: st.Ctim.Nsec}}
}
