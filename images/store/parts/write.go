package parts

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/kamado/kamado/images/store/shelf"
)

// Put stores a part, in place of one of the same number. It is durable when Put
// returns nil; after an error the one before is still there.
func (s *Store) Put(ctx context.Context, bucket, key, id string, number int, b shelf.Body) (Part, error) {
	if number < 1 || number > NumberMax {
		return Part{}, ErrNumber
	}
	if _, err := s.Find(bucket, key, id); err != nil {
		return Part{}, err
	}
	list, err := s.list(id)
	if err != nil {
		return Part{}, err
	}
	var others int64
	for _, p := range list {
		if p.Number != number {
			others += p.Size
		}
	}
	b.Max = s.shelf.BytesMax() - others
	if b.Max <= 0 || b.Size > b.Max {
		return Part{}, fmt.Errorf("%w: the parts together have more than %d bytes", shelf.ErrTooLarge, s.shelf.BytesMax())
	}
	// Reserved before it comes, so that many at once do not pass the bound.
	reserved := b.Size
	if reserved < 0 {
		reserved = b.Max
	}
	defer func() { s.arriving.Add(-reserved) }()
	if s.arriving.Add(reserved)+s.bytes.Load() > s.cfg.BytesMax {
		return Part{}, fmt.Errorf("%w: limit %d", ErrManyBytes, s.cfg.BytesMax)
	}
	d, err := s.shelf.Receive(ctx, b)
	if err != nil {
		return Part{}, err
	}
	defer d.Close()
	p := Part{Number: number, ETag: hex.EncodeToString(d.MD5), Size: d.Size}
	if err := s.place(id, p, d, list); err != nil {
		return Part{}, err
	}
	return p, nil
}

// place moves a draft into the upload's directory and removes what it replaces.
func (s *Store) place(id string, p Part, d *shelf.Draft, before []Part) error {
	dir := s.dir(id)
	err := d.Move(filepath.Join(dir, partName(p)))
	if err == nil {
		err = syncDir(dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNoUpload // completed or aborted meanwhile
	}
	if err != nil {
		return err
	}
	s.bytes.Add(p.Size)
	for _, old := range before {
		if old.Number != p.Number {
			continue
		}
		if partName(old) == partName(p) {
			s.bytes.Add(-old.Size) // the rename replaced it
		} else if os.Remove(filepath.Join(dir, partName(old))) == nil {
			s.bytes.Add(-old.Size)
		}
	}
	return nil
}

// Named is a part as who completes names it.
type Named struct {
	Number int
	ETag   string // without quotes
}

// Assembly is the object that an upload becomes.
type Assembly struct {
	io.Reader
	Upload Upload
	Size   int64
	ETag   string // "hex-N": MD5 of the parts' MD5s and their number, as S3 makes it
}

// Complete hands the parts that are named to put, in one piece, and removes the
// upload when put gives nil. One Complete of an upload runs at a time.
func (s *Store) Complete(bucket, key, id string, named []Named, put func(*Assembly) error) error {
	defer s.lock(id)()
	u, err := s.Find(bucket, key, id)
	if err != nil {
		return err
	}
	list, err := s.list(id)
	if err != nil {
		return err
	}
	a, files, err := s.assemble(list, named)
	if err != nil {
		return err
	}
	a.Upload = u
	r := &reader{dir: s.dir(id), names: files}
	defer r.close()
	a.Reader = r
	if err := put(a); err != nil {
		return err
	}
	// The object is there. What cannot be removed now, its age removes.
	if err := s.remove(id); err != nil {
		s.log.Warn("completed multipart upload cannot be removed", "dir", s.dir(id), "err", err)
	}
	return nil
}

// assemble checks what is named against what is there.
func (s *Store) assemble(list []Part, named []Named) (*Assembly, []string, error) {
	there := make(map[string]Part, len(list))
	for _, p := range list {
		there[fmt.Sprint(p.Number, " ", p.ETag)] = p
	}
	if len(named) == 0 {
		return nil, nil, ErrPart
	}
	a, sums, files := &Assembly{}, md5.New(), make([]string, 0, len(named))
	for i, n := range named {
		if i > 0 && n.Number <= named[i-1].Number {
			return nil, nil, ErrOrder
		}
		p, ok := there[fmt.Sprint(n.Number, " ", n.ETag)]
		if !ok {
			return nil, nil, fmt.Errorf("%w: number %d", ErrPart, n.Number)
		}
		if p.Size < s.cfg.PartMin && i < len(named)-1 {
			return nil, nil, fmt.Errorf("%w: number %d has %d bytes, at least %d are wanted", ErrSmall, p.Number, p.Size, s.cfg.PartMin)
		}
		sum, err := hex.DecodeString(p.ETag)
		if err != nil {
			return nil, nil, ErrPart
		}
		_, _ = sums.Write(sum) // hash.Hash: never an error
		a.Size += p.Size
		files = append(files, partName(p))
	}
	a.ETag = fmt.Sprintf("%s-%d", hex.EncodeToString(sums.Sum(nil)), len(named))
	return a, files, nil
}

// reader reads files one after the other.
type reader struct {
	dir   string
	names []string
	file  *os.File
}

func (r *reader) Read(p []byte) (int, error) {
	for {
		if r.file == nil {
			if len(r.names) == 0 {
				return 0, io.EOF
			}
			f, err := os.Open(filepath.Join(r.dir, r.names[0]))
			if err != nil {
				return 0, err
			}
			r.file, r.names = f, r.names[1:]
		}
		n, err := r.file.Read(p)
		if errors.Is(err, io.EOF) {
			r.close()
			err = nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (r *reader) close() {
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
}

// Abort removes an upload.
func (s *Store) Abort(bucket, key, id string) error {
	defer s.lock(id)()
	if _, err := s.Find(bucket, key, id); err != nil {
		return err
	}
	if err := s.remove(id); err != nil {
		return fmt.Errorf("abort a multipart upload: %w", err)
	}
	return nil
}

func (s *Store) lock(id string) (unlock func()) {
	mu := s.mutex(id)
	mu.Lock()
	return mu.Unlock
}

func (s *Store) mutex(id string) *sync.Mutex { return &s.busy[maphash.String(s.seed, id)%lockStripes] }

// remove makes an upload go in one step, and then its files.
func (s *Store) remove(id string) error {
	var bytes int64
	list, err := s.list(id)
	if errors.Is(err, ErrNoUpload) {
		return nil
	}
	for _, p := range list {
		bytes += p.Size
	}
	gone := filepath.Join(s.cfg.Dir, gonePrefix+id)
	if err := os.Rename(s.dir(id), gone); err != nil {
		return err
	}
	s.uploads.Add(-1)
	s.bytes.Add(-bytes)
	return errors.Join(syncDir(s.cfg.Dir), os.RemoveAll(gone))
}
