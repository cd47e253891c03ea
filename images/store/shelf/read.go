package shelf

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/internal/blob"
)

// openTries bounds how often an object that is replaced between the look at its
// note and the opening of its bytes is looked at again.
const openTries = 5

// Stat describes an object.
func (s *Shelf) Stat(ctx context.Context, ref Ref) (Object, error) {
	o, err := s.stat(ctx, ref)
	if err != nil {
		return Object{}, fmt.Errorf("stat %s %q: %w", ref.Origin, ref.Key, err)
	}
	return o, nil
}

func (s *Shelf) stat(ctx context.Context, ref Ref) (Object, error) {
	store, err := s.origin(ref.Origin)
	if err != nil {
		return Object{}, err
	}
	if noter, ok := store.(blob.Noter); ok {
		note, in, err := noter.Note(ctx, ref.Key)
		return object(in, note), err
	}
	in, err := store.Stat(ctx, ref.Key)
	return object(in, nil), err
}

// Open opens an object, with the description of the same version of it. The
// caller closes the body.
func (s *Shelf) Open(ctx context.Context, ref Ref) (Object, *blob.Object, error) {
	return s.OpenRange(ctx, ref, 0, -1)
}

// OpenRange is Open of length bytes from offset (blob.Ranger).
func (s *Shelf) OpenRange(ctx context.Context, ref Ref, offset, length int64) (Object, *blob.Object, error) {
	store, err := s.origin(ref.Origin)
	if err != nil {
		return Object{}, nil, err
	}
	for range openTries {
		o, err := s.stat(ctx, ref)
		if err != nil {
			return Object{}, nil, err
		}
		body, err := openRange(ctx, store, ref.Key, offset, length)
		if err != nil {
			return Object{}, nil, err
		}
		if body.ETag == o.ETag {
			return o, body, nil
		}
		body.Close()
	}
	return Object{}, nil, ErrConflict
}

func openRange(ctx context.Context, store blob.Store, key string, offset, length int64) (*blob.Object, error) {
	if offset == 0 && length < 0 {
		return store.Get(ctx, key)
	}
	if ranger, ok := store.(blob.Ranger); ok {
		return ranger.GetRange(ctx, key, offset, length)
	}
	return nil, fmt.Errorf("%w: this origin gives no ranges", errors.ErrUnsupported)
}

// MediaType is the object's by what its first bytes are: what a client said of
// them is not believed.
func (s *Shelf) MediaType(ctx context.Context, ref Ref, o Object) string {
	if o.Format != images.FormatUnknown || o.Size == 0 {
		return o.Format.MediaType()
	}
	_, body, err := s.OpenRange(ctx, ref, 0, min(o.Size, images.SniffLength))
	if err != nil {
		return images.FormatUnknown.MediaType()
	}
	defer body.Close()
	head := make([]byte, body.Size)
	n, _ := io.ReadFull(body, head) // fewer bytes are a smaller head
	return images.Sniff(head[:n]).MediaType()
}

// List gives objects in the order of their keys (blob.Store), without their
// notes.
func (s *Shelf) List(ctx context.Context, origin, prefix, after string, limit int) ([]blob.Info, error) {
	store, err := s.origin(origin)
	if err != nil {
		return nil, err
	}
	list, err := store.List(ctx, prefix, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list %s %q: %w", origin, prefix, err)
	}
	return list, nil
}

// Entry adds what the note says to an entry of a list; an object that went
// meanwhile stays as the list said.
func (s *Shelf) Entry(ctx context.Context, origin string, in blob.Info) Object {
	if o, err := s.stat(ctx, Ref{origin, in.Key}); err == nil && o.ETag == in.ETag {
		return o
	}
	return object(in, nil)
}

// Delete removes an object if the condition holds. A missing one is no error,
// and its deletion is told again: the answer to the first may have been lost, and
// with it the purge.
func (s *Shelf) Delete(ctx context.Context, ref Ref, c Condition, by Actor) error {
	name, err := s.remove(ctx, ref, c)
	if err != nil {
		if !errors.Is(err, blob.ErrUnavailable) { // then it may be done all the same, and is told later
			s.forget(name)
		}
		s.failed(err, ref, by)
		return fmt.Errorf("delete %s %q: %w", ref.Origin, ref.Key, err)
	}
	s.tell(ctx, Change{Origin: ref.Origin, Key: ref.Key, How: Deleted, By: by})
	s.forget(name)
	return nil
}

// remove also gives what remember gave.
func (s *Shelf) remove(ctx context.Context, ref Ref, c Condition) (untold string, err error) {
	store, err := s.origin(ref.Origin)
	if err == nil {
		err = blob.CheckKey(ref.Key)
	}
	if err != nil {
		return "", err
	}
	defer s.lock(ref)()
	if c.set() {
		if _, err := s.check(ctx, ref, c); err != nil {
			return "", err
		}
	}
	untold = s.remember(ref, Deleted)
	return untold, store.Delete(ctx, ref.Key)
}

// Copy puts the bytes of from under to. fromIf is a condition of the source.
// meta replaces the source's metadata; nil keeps it.
func (s *Shelf) Copy(ctx context.Context, from, to Ref, fromIf Condition, w Write) (Object, error) {
	o, body, err := s.Open(ctx, from)
	if err != nil {
		return Object{}, err
	}
	defer body.Close()
	if unchanged, err := fromIf.Holds(o); err != nil || unchanged {
		return Object{}, ErrPrecondition
	}
	if w.Meta == nil {
		w.Meta = o.Meta
	}
	return s.Put(ctx, to, Body{Reader: body, Size: o.Size}, w)
}
