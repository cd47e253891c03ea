package front

import (
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Bounds of sheets.
const (
	// DefaultSheetBytes holds about 1,000 pictures of 30 KB.
	DefaultSheetBytes = 32 << 20
	// sheetsMax bounds the descriptors that sheets take.
	sheetsMax = 1024
	// sheetBytesMin is the least picture that sending without a copy pays for:
	// it costs a system call more. Unit: bytes.
	sheetBytesMin = 8 << 10
	// sheetAfter is after how many answers a picture gets a sheet: making one
	// costs as much as is saved in four answers.
	sheetAfter = 8
)

// sheet is a picture in a file that exists in memory alone, so that the system
// sends its pages and copies nothing. It is never written to again, and its
// pages live until the last client has them, also when it is closed before:
// this is what memory of the program could not promise.
type sheet struct {
	fd   int
	size int
	refs atomic.Int32 // the table's and one for each answer under way; 0: closed
}

// newSheet writes a picture into a sheet. The caller holds one reference.
func newSheet(data []byte) (*sheet, error) {
	fd, err := unix.MemfdCreate("picture", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	for done := 0; done < len(data); {
		n, err := unix.Write(fd, data[done:])
		if err != nil && err != unix.EINTR {
			_ = unix.Close(fd) // nothing was lost
			return nil, os.NewSyscallError("write", err)
		}
		done += max(n, 0)
	}
	s := &sheet{fd: fd, size: len(data)}
	s.refs.Store(1)
	return s, nil
}

// hold takes a reference. False: the sheet is closed.
func (s *sheet) hold() bool {
	for {
		n := s.refs.Load()
		if n == 0 {
			return false
		}
		if s.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release gives a reference back.
func (s *sheet) release() {
	if s.refs.Add(-1) == 0 {
		_ = unix.Close(s.fd) // only its memory goes
	}
}

// sheets are the sheets of the hottest ready answers within a bound. An entry that
// was not asked for since the hand went by last loses its sheet first.
type sheets struct {
	max int64 // bytes; 0: no sheets

	mu    sync.Mutex
	ring  []*entry
	hand  int
	bytes int64
}

// take gives the sheet of an entry with a reference, nil when there is none.
func (e *entry) take() *sheet {
	s := e.sheet.Load()
	if s == nil || !s.hold() {
		return nil
	}
	if !e.hot.Load() {
		e.hot.Store(true)
	}
	return s
}

// serve counts an answer of an entry and makes a sheet when it is due.
func (t *sheets) serve(e *entry, data []byte) {
	if t.max == 0 || len(data) < sheetBytesMin || int64(len(data)) > t.max/8 || e.served.Add(1)%sheetAfter != 0 {
		return
	}
	s, err := newSheet(data)
	if err != nil {
		return // no descriptor or no memory is left: answers are copied
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.gone || e.sheet.Load() != nil {
		s.release()
		return
	}
	for len(t.ring) > 0 && (t.bytes+int64(s.size) > t.max || len(t.ring) >= sheetsMax) {
		t.evict()
	}
	e.sheet.Store(s)
	e.sheetAt = len(t.ring)
	t.ring = append(t.ring, e)
	t.bytes += int64(s.size)
}

// evict takes one sheet away. Preconditions: mu is held, there is one.
func (t *sheets) evict() {
	for {
		if t.hand >= len(t.ring) {
			t.hand = 0
		}
		if e := t.ring[t.hand]; !e.hot.Swap(false) {
			t.remove(e)
			return
		}
		t.hand++
	}
}

// remove takes the sheet of an entry away. Preconditions: mu is held, it has one.
func (t *sheets) remove(e *entry) {
	s := e.sheet.Swap(nil)
	last := len(t.ring) - 1
	t.ring[e.sheetAt] = t.ring[last]
	t.ring[e.sheetAt].sheetAt = e.sheetAt
	t.ring[last] = nil
	t.ring = t.ring[:last]
	t.bytes -= int64(s.size)
	s.release()
}

// forget is called when an entry leaves the table.
func (t *sheets) forget(e *entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.gone = true
	if e.sheet.Load() != nil {
		t.remove(e)
	}
}

// size counts what is held.
func (t *sheets) size() (count int, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.ring), t.bytes
}
