package audit

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Bounds of the search for transaction ids that are there twice.
const (
	idParts    = 64   // files; at the end one after the other is in memory: postings/64, 16 bytes each
	idRows     = 4096 // rows of one part that wait for its file: 64 × 4096 × 16 bytes = 4 MiB
	idRowBytes = 16
)

// ids finds transaction ids that are there twice. It keeps a hash and the place of
// each posting, in files once they are many; whoever has the same hash is looked at.
type ids struct {
	seed  maphash.Seed
	dir   string // for the files; made when it is needed
	made  string
	parts [idParts]idPart
}

type idPart struct {
	rows []idRow
	file *os.File
}

type idRow struct{ hash, place uint64 }

func newIDs(dir string) *ids { return &ids{seed: maphash.MakeSeed(), dir: dir} }

func (s *ids) add(tx []byte, place uint64) error {
	h := maphash.Bytes(s.seed, tx)
	p := &s.parts[h%idParts]
	p.rows = append(p.rows, idRow{h, place})
	if len(p.rows) < idRows {
		return nil
	}
	return s.spill(p, h%idParts)
}

func (s *ids) spill(p *idPart, number uint64) (err error) {
	if s.made == "" {
		if s.made, err = os.MkdirTemp(s.dir, "kamado-verify"); err != nil {
			return fmt.Errorf("a place for transaction ids: %w", err)
		}
	}
	if p.file == nil {
		if p.file, err = os.Create(filepath.Join(s.made, fmt.Sprint(number))); err != nil {
			return err
		}
	}
	b := make([]byte, 0, len(p.rows)*idRowBytes)
	for _, r := range p.rows {
		b = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, r.hash), r.place)
	}
	p.rows = p.rows[:0]
	_, err = p.file.Write(b)
	return err
}

// twice gives pairs of places whose ids have the same hash.
func (s *ids) twice(pair func(a, b uint64) error) error {
	for i := range s.parts {
		p := &s.parts[i]
		rows := p.rows
		if p.file != nil {
			if _, err := p.file.Seek(0, io.SeekStart); err != nil {
				return err
			}
			r := bufio.NewReader(p.file)
			var b [idRowBytes]byte
			for {
				if _, err := io.ReadFull(r, b[:]); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					return err
				}
				rows = append(rows, idRow{binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])})
			}
		}
		slices.SortFunc(rows, func(a, b idRow) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.place, b.place)) })
		for i := 1; i < len(rows); i++ {
			if rows[i].hash == rows[i-1].hash {
				if err := pair(rows[i-1].place, rows[i].place); err != nil {
					return err
				}
			}
		}
		p.rows = nil
	}
	return nil
}

func (s *ids) close() {
	for i := range s.parts {
		if f := s.parts[i].file; f != nil {
			f.Close() //nolint:errcheck // it is thrown away
		}
	}
	if s.made != "" {
		os.RemoveAll(s.made) //nolint:errcheck // in a folder of temporary files
	}
}
