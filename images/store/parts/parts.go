package parts

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kamado/kamado/images/store/shelf"
)

// NumberMax is the highest number of a part ("Amazon S3 multipart upload limits").
const NumberMax = 10_000

// Defaults of Config.
const (
	DefaultPartMin    = 5 << 20
	DefaultUploadsMax = 1000
	DefaultBytesMax   = 4 << 30
	DefaultAge        = 24 * time.Hour
)

const (
	sweepEvery  = 10 * time.Minute
	headFile    = "upload.json"
	newPrefix   = ".new-"
	gonePrefix  = ".gone-"
	headBytes   = 64 << 10 // of upload.json
	lockStripes = 64
)

// The conditions on which the protocol branches.
var (
	ErrNoUpload    = errors.New("no such upload")
	ErrPart        = errors.New("a part is not there or has another ETag")
	ErrOrder       = errors.New("parts are not in ascending order")
	ErrSmall       = errors.New("a part other than the last is too small")
	ErrNumber      = fmt.Errorf("a part's number is from 1 to %d", NumberMax)
	ErrManyUploads = errors.New("too many uploads are open")
	ErrManyBytes   = errors.New("the parts of all open uploads have too many bytes")
)

// Config bounds a Store.
type Config struct {
	// Dir is made when missing; it lies in the file system of the shelf's staging directory.
	Dir string
	// PartMin is the smallest part but the last. Default 5 MiB, S3's own.
	PartMin int64
	// UploadsMax bounds the open uploads, BytesMax all their parts together. Defaults 1000, 4 GiB.
	UploadsMax int
	BytesMax   int64
	// Age is when an upload that is not completed is removed, counted from its beginning. Default 24 h.
	Age time.Duration
}

// Upload is an open upload.
type Upload struct {
	ID      string            `json:"-"`
	Bucket  string            `json:"bucket"`
	Key     string            `json:"key"`
	Meta    map[string]string `json:"meta,omitempty"`
	Started time.Time         `json:"started"`
}

// Part is a part that is there.
type Part struct {
	Number  int
	ETag    string // MD5 in hex
	Size    int64  // bytes
	ModTime time.Time
}

// Store keeps uploads. Safe for concurrent use.
type Store struct {
	cfg   Config
	shelf *shelf.Shelf
	log   *slog.Logger

	// Counted anew by each sweep, and kept up to date in between: another process
	// with the same directory, while one takes over from the other, is seen late.
	uploads atomic.Int64
	bytes   atomic.Int64 // of parts on disk

	arriving atomic.Int64 // bytes of parts on their way in
	expired  atomic.Uint64

	seed maphash.Seed
	busy [lockStripes]sync.Mutex // of an upload: completing and removing
}

// Open opens the directory and counts what is there.
func Open(cfg Config, in *shelf.Shelf, log *slog.Logger) (*Store, error) {
	cfg.PartMin = cmp.Or(cfg.PartMin, DefaultPartMin)
	cfg.UploadsMax = cmp.Or(cfg.UploadsMax, DefaultUploadsMax)
	cfg.BytesMax = cmp.Or(cfg.BytesMax, DefaultBytesMax)
	cfg.Age = cmp.Or(cfg.Age, DefaultAge)
	if err := os.MkdirAll(cfg.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("multipart directory: %w", err)
	}
	s := &Store{cfg: cfg, shelf: in, log: log, seed: maphash.MakeSeed()}
	if err := s.sweep(time.Now()); err != nil {
		return nil, fmt.Errorf("multipart directory: %w", err)
	}
	return s, nil
}

// Run removes uploads that are too old, until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if err := s.sweep(now); err != nil {
				s.log.Warn("multipart uploads cannot be swept", "dir", s.cfg.Dir, "err", err)
			}
		}
	}
}

// sweep counts uploads and their bytes, and removes what is too old or half.
func (s *Store) sweep(now time.Time) error {
	names, err := os.ReadDir(s.cfg.Dir)
	if err != nil {
		return err
	}
	var uploads, bytes int64
	for _, name := range names {
		dir := filepath.Join(s.cfg.Dir, name.Name())
		if !validID(name.Name()) {
			st, err := name.Info()
			// A half-made one of a process at work is seconds old.
			if err == nil && now.Sub(st.ModTime()) > time.Minute && strings.HasPrefix(name.Name(), ".") {
				_ = os.RemoveAll(dir) // what stays, the next sweep takes
			}
			continue
		}
		// One that cannot be read just now, as without a free descriptor, is kept.
		u, err := s.head(name.Name())
		if errors.Is(err, ErrNoUpload) || err == nil && now.Sub(u.Started) > s.cfg.Age {
			if s.expire(u, name.Name()) {
				continue
			}
		}
		list, err := s.list(name.Name())
		if err != nil {
			continue // removed meanwhile
		}
		uploads++
		for _, p := range list {
			bytes += p.Size
		}
	}
	s.uploads.Store(uploads)
	s.bytes.Store(bytes)
	return nil
}

// expire removes an upload, unless it is being completed. false: it is still there.
func (s *Store) expire(u Upload, id string) bool {
	mu := s.mutex(id)
	if !mu.TryLock() {
		return false
	}
	defer mu.Unlock()
	if s.remove(id) != nil {
		return false // the next sweep tries again
	}
	s.expired.Add(1)
	s.log.Info("multipart upload was not completed and is removed", "bucket", u.Bucket, "key", u.Key, "started", u.Started)
	return true
}

// validID says whether s can be an id: what rand.Text gives (RFC 4648 base32).
func validID(s string) bool {
	if len(s) < 26 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !(c >= 'A' && c <= 'Z' || c >= '2' && c <= '7') {
			return false
		}
	}
	return true
}

func (s *Store) dir(id string) string { return filepath.Join(s.cfg.Dir, id) }

// Create begins an upload; it is durable when Create returns.
func (s *Store) Create(bucket, key string, meta map[string]string) (Upload, error) {
	u := Upload{ID: rand.Text(), Bucket: bucket, Key: key, Meta: meta, Started: time.Now().UTC()}
	if s.uploads.Add(1) > int64(s.cfg.UploadsMax) {
		s.uploads.Add(-1)
		return Upload{}, fmt.Errorf("%w: %d", ErrManyUploads, s.cfg.UploadsMax)
	}
	if err := s.create(u); err != nil {
		s.uploads.Add(-1)
		return Upload{}, fmt.Errorf("begin a multipart upload: %w", err)
	}
	return u, nil
}

func (s *Store) create(u Upload) error {
	text, err := json.Marshal(u)
	if err != nil {
		return err
	}
	temp := filepath.Join(s.cfg.Dir, newPrefix+u.ID)
	if err := os.Mkdir(temp, 0o750); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(temp, headFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err == nil {
		_, err = f.Write(text)
		err = errors.Join(err, f.Sync(), f.Close(), syncDir(temp))
	}
	if err == nil {
		err = os.Rename(temp, s.dir(u.ID))
	}
	if err != nil {
		_ = os.RemoveAll(temp) // what stays, the next sweep takes
		return err
	}
	return syncDir(s.cfg.Dir)
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// head reads what an upload is.
func (s *Store) head(id string) (Upload, error) {
	if !validID(id) {
		return Upload{}, ErrNoUpload
	}
	text, err := os.ReadFile(filepath.Join(s.dir(id), headFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Upload{}, ErrNoUpload
	}
	if err != nil {
		return Upload{}, err
	}
	u := Upload{}
	if len(text) > headBytes || json.Unmarshal(text, &u) != nil {
		return Upload{}, fmt.Errorf("%w: its description is damaged", ErrNoUpload)
	}
	u.ID = id
	return u, nil
}

// Find gives the upload of an id, if it is of this bucket and key.
func (s *Store) Find(bucket, key, id string) (Upload, error) {
	u, err := s.head(id)
	if err == nil && (u.Bucket != bucket || u.Key != key) {
		err = ErrNoUpload
	}
	return u, err
}

// partName and parsePart are the name of a part's file.
func partName(p Part) string { return fmt.Sprintf("%05d-%s-%d", p.Number, p.ETag, p.Size) }

func parsePart(name string) (Part, bool) {
	number, rest, _ := strings.Cut(name, "-")
	sum, size, _ := strings.Cut(rest, "-")
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > NumberMax {
		return Part{}, false
	}
	bytes, err := strconv.ParseInt(size, 10, 64)
	if _, herr := hex.DecodeString(sum); err != nil || herr != nil || bytes < 0 || len(sum) != 32 {
		return Part{}, false
	}
	p := Part{Number: n, ETag: sum, Size: bytes}
	return p, partName(p) == name
}

// list gives all parts on disk by number. A crash may leave two of one number;
// the one that came last comes last.
func (s *Store) list(id string) ([]Part, error) {
	names, err := os.ReadDir(s.dir(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoUpload
	}
	if err != nil {
		return nil, err
	}
	var list []Part
	for _, name := range names {
		p, ok := parsePart(name.Name())
		if !ok {
			continue
		}
		if st, err := name.Info(); err == nil {
			p.ModTime = st.ModTime()
			list = append(list, p)
		}
	}
	slices.SortStableFunc(list, func(a, b Part) int { return cmp.Or(a.Number-b.Number, a.ModTime.Compare(b.ModTime)) })
	return list, nil
}

// Parts lists the parts of an upload by number.
func (s *Store) Parts(bucket, key, id string) ([]Part, error) {
	if _, err := s.Find(bucket, key, id); err != nil {
		return nil, err
	}
	list, err := s.list(id)
	for i := 0; i+1 < len(list); {
		if list[i].Number == list[i+1].Number {
			list = slices.Delete(list, i, i+1)
			continue
		}
		i++
	}
	return list, err
}

// Uploads lists the open uploads of a bucket whose key begins with prefix, by key
// and id. It is at most Config.UploadsMax of them.
func (s *Store) Uploads(bucket, prefix string) ([]Upload, error) {
	names, err := os.ReadDir(s.cfg.Dir)
	if err != nil {
		return nil, err
	}
	var list []Upload
	for _, name := range names {
		if u, err := s.head(name.Name()); err == nil && u.Bucket == bucket && strings.HasPrefix(u.Key, prefix) {
			list = append(list, u)
		}
	}
	slices.SortFunc(list, func(a, b Upload) int { return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.ID, b.ID)) })
	return list, nil
}

// Stats is the state.
type Stats struct {
	Uploads int64  `json:"uploads"`
	Bytes   int64  `json:"bytes"`
	Expired uint64 `json:"expired"` // removed because of their age, since the start
}

// Stats reads the state.
func (s *Store) Stats() Stats { return Stats{s.uploads.Load(), s.bytes.Load(), s.expired.Load()} }
