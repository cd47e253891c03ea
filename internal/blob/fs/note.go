package fs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/kamado/kamado/internal/blob"
)

// noteName is the extended attribute of a file that holds its note.
const noteName = "user.kamado.note"

// noteHeadBytes stand before the note: the size and the modification time (Unix
// nanoseconds) that the file had when the note was written, 8 bytes each, big
// endian. A file that somebody rewrites in place keeps its attributes, and the
// head tells that the note is about other bytes. The inode is left out, so that
// notes outlive a backup that keeps times and attributes.
const noteHeadBytes = 16

// writeNote gives an open file a note, and does without where that cannot be.
// The modification time does not change by it.
func writeNote(f *os.File, note []byte) error {
	if len(note) == 0 || len(note) > blob.NoteBytesMax {
		return nil
	}
	var st syscall.Stat_t
	if err := retry(func() error { return syscall.Fstat(int(f.Fd()), &st) }); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	value := append(noteHead(&st), note...)
	err := retry(func() error { return unix.Fsetxattr(int(f.Fd()), noteName, value, 0) })
	// ENOSPC and the like: no room among the file's attributes. That the disk is
	// full, the sync of the file tells.
	for _, e := range []error{syscall.EOPNOTSUPP, syscall.ENOSPC, syscall.E2BIG, syscall.ERANGE, syscall.EPERM, syscall.EACCES, syscall.EDQUOT, syscall.ENOSYS} {
		if errors.Is(err, e) {
			return nil
		}
	}
	return os.NewSyscallError("fsetxattr", err)
}

func noteHead(st *syscall.Stat_t) []byte {
	head := binary.BigEndian.AppendUint64(make([]byte, 0, noteHeadBytes+blob.NoteBytesMax), uint64(st.Size))
	return binary.BigEndian.AppendUint64(head, uint64(st.Mtim.Nano()))
}

// Note implements blob.Noter.
func (s *Store) Note(ctx context.Context, key string) ([]byte, blob.Info, error) {
	b, _, err := s.open(ctx, key)
	if err != nil {
		return nil, blob.Info{}, fmt.Errorf("note %q: %w", key, err)
	}
	defer b.Close()
	in := blob.Info{Key: key, Size: b.Size, ETag: b.ETag, ModTime: b.ModTime}
	var value [noteHeadBytes + blob.NoteBytesMax]byte
	n := 0
	err = retry(func() (err error) {
		n, err = unix.Fgetxattr(b.fd, noteName, value[:])
		return err
	})
	if err != nil || n <= noteHeadBytes {
		return nil, in, nil // none, one that is not ours, or no attributes here: an object without a note
	}
	size, nanos := binary.BigEndian.Uint64(value[:]), binary.BigEndian.Uint64(value[8:])
	if size != uint64(in.Size) || nanos != uint64(in.ModTime.UnixNano()) {
		return nil, in, nil
	}
	return value[noteHeadBytes:n:n], in, nil
}
