package eventlog

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/kamado/kamado/internal/eventlog/segment"
)

// Names in the directory: 0000000000000001.seg is a segment; a name that goes on
// after .seg is bytes that were cut off one.
const (
	segmentSuffix = ".seg"
	tornSuffix    = ".torn"
)

func (l *Log) segmentPath(n uint64) string { return segmentPath(l.dir, n) }

func segmentPath(dir string, n uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016d%s", n, segmentSuffix))
}

// recover reads the manifest and brings the directory into the state in which
// the last process should have left it.
func (l *Log) recover() error {
	m, err := readManifest(l.dir)
	if err != nil {
		return err
	}
	if m.Log == "" {
		var id [8]byte
		rand.Read(id[:]) // never fails
		m = manifest{Version: manifestVersion, Log: hex.EncodeToString(id[:])}
		if err := writeManifest(l.dir, m); err != nil {
			return err
		}
	}
	l.manifest = m
	numbers, err := segmentNumbers(l.dir)
	if err != nil {
		return err
	}
	l.next = m.Compacted + 1
	for i, n := range numbers {
		l.next = max(l.next, n+1)
		if n <= m.Compacted {
			// The process ended between the manifest and the removal.
			if err := os.Remove(l.segmentPath(n)); err != nil {
				return err
			}
			continue
		}
		if i == len(numbers)-1 {
			if err := l.repair(n); err != nil {
				return fmt.Errorf("segment %d: %w", n, err)
			}
		}
		if fi, err := os.Stat(l.segmentPath(n)); err == nil {
			l.sizes[n] = fi.Size()
		}
	}
	return syncDir(l.dir)
}

// segmentNumbers lists the segments of a directory in ascending order.
func segmentNumbers(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		if n, err := strconv.ParseUint(name, 10, 63); ok && err == nil && n > 0 {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// repair cuts a segment to its valid prefix. What is cut off stays beside it,
// because a torn tail and damage in the middle look the same from here.
func (l *Log) repair(n uint64) error {
	path := l.segmentPath(n)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	valid, _, err := scan(f, nil)
	if err == nil {
		return nil
	}
	if !errors.Is(err, segment.ErrTorn) && !errors.Is(err, segment.ErrHeader) {
		return err
	}
	cut, kerr := keepTail(f, path+tornSuffix, valid)
	if kerr != nil {
		return fmt.Errorf("keep the torn tail: %w", kerr)
	}
	l.stats.torn.Add(1)
	l.log.Warn("event segment ended in a torn record", "segment", n, "valid_bytes", valid, "cut_bytes", cut, "cause", err.Error())
	if valid == 0 {
		return os.Remove(path) // the process ended before the header was whole
	}
	if err := f.Truncate(valid); err != nil {
		return err
	}
	return f.Sync()
}

// keepTail copies what follows valid to a file of its own and gives its length.
func keepTail(f *os.File, to string, valid int64) (int64, error) {
	if _, err := f.Seek(valid, io.SeekStart); err != nil {
		return 0, err
	}
	out, err := os.Create(to)
	if err != nil {
		return 0, err
	}
	cut, err := io.Copy(out, f)
	if err == nil {
		err = out.Sync()
	}
	return cut, errors.Join(err, out.Close())
}

// scan gives each event of a segment to visit (which may be nil), and the length
// of the valid prefix: 0 when not even the header is valid. The error is nil
// when the valid prefix is the whole file.
func scan(r io.Reader, visit func(Event)) (valid int64, events int, err error) {
	sr, err := segment.NewReader(r)
	if err != nil {
		return 0, 0, err
	}
	for {
		e, err := sr.Next()
		if err == io.EOF {
			return sr.Valid(), events, nil
		}
		if err != nil {
			return sr.Valid(), events, err
		}
		events++
		if visit != nil {
			visit(e)
		}
	}
}
