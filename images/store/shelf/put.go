package shelf

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/queue"
	"github.com/kamado/kamado/internal/blob"
)

// copyBytes is the buffer of one upload. Unit: bytes.
const copyBytes = 256 << 10

// buffers holds those of uploads that are over; as many as Config.Places are in use.
var buffers = sync.Pool{New: func() any { return new([copyBytes]byte) }}

// Body is a body on its way in, and what was announced of it.
type Body struct {
	Reader io.Reader
	Size   int64 // bytes; -1: not announced
	Max    int64 // bytes allowed; 0, or more than the shelf's: the shelf's

	Sums []Sum // announced before the body
	// Also are algorithms of sums that come behind the body; Trailer, called when
	// the body has ended, gives those. nil: none.
	Also    []Algorithm
	Trailer func() ([]Sum, error)
}

// Write is what a put is to do besides storing the bytes.
type Write struct {
	If   Condition
	Meta map[string]string // kept beside the object; MetaBytesMax in all
	// Parts, when set, is what MD5 tells of an object that was put in parts.
	Parts string
	By    Actor
}

// Put stores a body under ref. The outcome is one of:
//  1. nil: the object is durable, every reader sees it, and its change was told;
//  2. an error of errors.go or blob, or validation's *images.Error: what was
//     there before is still there, whole; only after blob.ErrUnavailable may the
//     new one be there all the same.
func (s *Shelf) Put(ctx context.Context, ref Ref, b Body, w Write) (Object, error) {
	o, err := s.put(ctx, ref, b, w)
	if err != nil {
		s.failed(err, ref, w.By)
		return Object{}, fmt.Errorf("put %s %q: %w", ref.Origin, ref.Key, err)
	}
	s.counts.bytesIn.Add(uint64(o.Size))
	return o, nil
}

func (s *Shelf) put(ctx context.Context, ref Ref, b Body, w Write) (Object, error) {
	store, err := s.origin(ref.Origin)
	if err != nil {
		return Object{}, err
	}
	// All that can be refused without the body is refused before it is read.
	if err := blob.CheckKey(ref.Key); err != nil {
		return Object{}, err
	}
	if b.Size > s.limit(b) {
		return Object{}, fmt.Errorf("%w: %d bytes, limit %d", ErrTooLarge, b.Size, s.limit(b))
	}
	if w.If.set() {
		if _, err := s.check(ctx, ref, w.If); err != nil {
			return Object{}, err
		}
	}
	d, err := s.draft(ctx, b)
	if err != nil {
		return Object{}, err
	}
	defer d.Close()
	if s.cfg.PicturesOnly {
		if d.facts, err = d.validate(ctx, s.deps.Validate); err != nil {
			return Object{}, err
		}
	}
	o, change, err := s.commit(ctx, store, ref, d, w)
	if err != nil {
		if !errors.Is(err, blob.ErrUnavailable) { // then it may be done all the same, and is told later
			s.forget(d.untold)
		}
		return Object{}, err
	}
	d.Close() // its place is for others while caches are purged
	s.tell(ctx, change)
	s.forget(d.untold)
	return o, nil
}

func (s *Shelf) limit(b Body) int64 {
	if b.Max > 0 && b.Max < s.cfg.BytesMax {
		return b.Max
	}
	return s.cfg.BytesMax
}

// Draft is a whole body in the staging directory, its checksums compared. It holds
// one of the shelf's places until it is closed.
type Draft struct {
	Size int64
	MD5  []byte

	file   *os.File // locked, so that no sweep takes it
	places *queue.Queue
	moved  bool
	closed bool
	facts  Facts
	head   []byte // the first bytes, at most images.SniffLength
	untold string // what remember gave; empty: nothing is replaced
}

// Close gives the draft up, and its place to the next. It may be called again.
func (d *Draft) Close() {
	if d.closed {
		return
	}
	d.closed = true
	if !d.moved {
		_ = os.Remove(d.file.Name()) // a sweep takes what stays
	}
	d.file.Close()
	d.places.Release()
}

// Move makes the draft durable under another name in the file system of the
// staging directory; the directory there is the caller's to sync.
func (d *Draft) Move(path string) error {
	err := d.file.Sync()
	if err == nil {
		err = os.Rename(d.file.Name(), path)
	}
	d.moved = err == nil
	return disk(err)
}

// Receive takes in a body that is not, or not yet, an object: a part. The caller
// closes the draft.
func (s *Shelf) Receive(ctx context.Context, b Body) (*Draft, error) {
	if b.Size > s.limit(b) {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrTooLarge, b.Size, s.limit(b))
	}
	d, err := s.draft(ctx, b)
	if err != nil {
		s.failed(err, Ref{}, Actor{})
	}
	return d, err
}

// draft waits for a place and receives.
func (s *Shelf) draft(ctx context.Context, b Body) (*Draft, error) {
	if err := s.acquire(ctx); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(s.cfg.Dir, rand.Text()), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		s.places.Release()
		return nil, disk(err)
	}
	d := &Draft{file: f, places: s.places}
	if err = lockFile(f); err == nil {
		err = s.receive(ctx, d, b)
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// receive writes a body to the draft's file.
func (s *Shelf) receive(ctx context.Context, d *Draft, b Body) error {
	sums := hashes{}
	sums.want(MD5)
	for _, a := range b.Also {
		sums.want(a)
	}
	for _, announced := range b.Sums {
		sums.want(announced.Algorithm)
	}
	if err := s.fill(ctx, d, b, sums); err != nil {
		return err
	}
	if err := sums.check(b.Sums); err != nil {
		return err
	}
	if b.Trailer != nil {
		late, err := b.Trailer()
		if err == nil {
			err = sums.check(late)
		}
		if err != nil {
			return err
		}
	}
	d.MD5 = sums[MD5].Sum(nil)
	return nil
}

// fill copies the body to the draft, and to the checksums.
func (s *Shelf) fill(ctx context.Context, d *Draft, b Body, sums hashes) error {
	limit := s.limit(b)
	buffer := buffers.Get().(*[copyBytes]byte)
	defer buffers.Put(buffer)
	buf := buffer[:]
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := b.Reader.Read(buf)
		if d.Size += int64(n); d.Size > limit {
			return fmt.Errorf("%w: limit %d", ErrTooLarge, limit)
		}
		if room := images.SniffLength - len(d.head); room > 0 {
			d.head = append(d.head, buf[:min(n, room)]...)
		}
		_, _ = sums.Write(buf[:n])
		if _, werr := d.file.Write(buf[:n]); werr != nil {
			return disk(werr)
		}
		switch {
		case errors.Is(err, io.EOF) && (b.Size < 0 || d.Size == b.Size):
			return nil
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("%w: %d of %d bytes", ErrIncomplete, d.Size, b.Size)
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("%w after %d bytes", ErrStalled, d.Size)
		case err != nil:
			return err
		case b.Size >= 0 && d.Size > b.Size:
			return fmt.Errorf("%w: more than %d bytes", ErrIncomplete, b.Size)
		}
	}
}

// commit makes a draft the object, and says what changed by it.
func (s *Shelf) commit(ctx context.Context, store blob.Store, ref Ref, d *Draft, w Write) (Object, Change, error) {
	format := images.Sniff(d.head)
	note := note{parts: w.Parts, format: format, meta: w.Meta}
	copy(note.md5[:], d.MD5)
	text, err := note.encode()
	if err != nil {
		return Object{}, Change{}, err
	}
	how, in, err := s.place(ctx, store, ref, d, text, w.If)
	if err != nil {
		return Object{}, Change{}, err
	}
	o := object(in, text)
	if _, keeps := store.(blob.Noter); !keeps {
		o = object(in, nil)
	}
	o.Facts = d.facts
	o.Format, o.BodyMD5 = format, hex.EncodeToString(d.MD5)
	c := Change{Origin: ref.Origin, Key: ref.Key, How: how, By: w.By, Bytes: o.Size, ETag: o.ETag, Width: d.facts.Width, Height: d.facts.Height}
	if format != images.FormatUnknown {
		c.Format = format.String()
	}
	return o, c, nil
}

// place checks the condition and puts the draft in one step for other writers.
func (s *Shelf) place(ctx context.Context, store blob.Store, ref Ref, d *Draft, note []byte, c Condition) (How, blob.Info, error) {
	defer s.lock(ref)()
	how := Replaced
	switch there, err := s.check(ctx, ref, c); {
	case err != nil:
		return how, blob.Info{}, err
	case !there:
		how = Created
	default:
		d.untold = s.remember(ref, how)
	}
	in, err := blob.Info{}, errors.ErrUnsupported
	if linker, ok := store.(blob.Noter); ok {
		// The store takes the lock itself. Until it has, the file's age keeps sweeps away.
		if err := unlockFile(d.file); err != nil {
			return how, blob.Info{}, err
		}
		in, err = linker.PutFileNote(ctx, ref.Key, d.file.Name(), note)
	}
	if errors.Is(err, errors.ErrUnsupported) { // another file system, or not a directory at all
		if _, err = d.file.Seek(0, io.SeekStart); err == nil {
			opt := blob.PutOptions{ContentType: images.Sniff(d.head).MediaType(), Note: note}
			in, err = store.Put(ctx, ref.Key, d.file, d.Size, opt)
		}
	}
	return how, in, disk(err)
}

// disk tells a full disk from the other errors of a file.
func disk(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// Accepts says whether an object with this name and metadata could be stored, for
// uploads whose bytes come later.
func (s *Shelf) Accepts(ref Ref, meta map[string]string) error {
	if _, err := s.origin(ref.Origin); err != nil {
		return err
	}
	if err := blob.CheckKey(ref.Key); err != nil {
		return err
	}
	_, err := note{meta: meta}.encode()
	return err
}

// Check compares the announced checksums with a body that was read whole, for
// bodies that are not stored.
func (b Body) Check(data []byte) error {
	sums := hashes{}
	for _, s := range b.Sums {
		sums.want(s.Algorithm)
	}
	for _, a := range b.Also {
		sums.want(a)
	}
	_, _ = sums.Write(data)
	if err := sums.check(b.Sums); err != nil || b.Trailer == nil {
		return err
	}
	late, err := b.Trailer()
	if err != nil {
		return err
	}
	return sums.check(late)
}
