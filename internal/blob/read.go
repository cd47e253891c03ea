package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// ReadAll appends the whole body of o to dst with one read when the engine gives
// it in one piece. An object larger than bytesMax is ErrTooLarge before memory
// is spent; bytesMax <= 0 means no bound. It does not close o.
func ReadAll(dst []byte, o *Object, bytesMax int64) ([]byte, error) {
	if bytesMax > 0 && o.Size > bytesMax {
		return dst, fmt.Errorf("%w: %d bytes, limit %d", ErrTooLarge, o.Size, bytesMax)
	}
	n := len(dst)
	dst = slices.Grow(dst, int(o.Size))[:n+int(o.Size)]
	got, err := io.ReadFull(o, dst[n:])
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		// Engines say ErrShort by themselves; a body that does not is held to
		// the same promise here.
		err = fmt.Errorf("%w: %d of %d bytes", ErrShort, got, o.Size)
	}
	if err == nil {
		err = end(o)
	}
	return dst[:n+got], err
}

// end reads past the last byte, where an engine says whether the body was what
// the store announced.
func end(o *Object) error {
	var more [1]byte
	switch n, err := io.ReadFull(o, more[:]); {
	case n > 0:
		return fmt.Errorf("%w: more than %d bytes", ErrShort, o.Size)
	case errors.Is(err, io.EOF):
		return nil
	default:
		return err
	}
}

// GetAll reads the object under key into dst (see ReadAll) and gives its
// description.
func GetAll(ctx context.Context, s Store, key string, dst []byte, bytesMax int64) ([]byte, Info, error) {
	o, err := s.Get(ctx, key)
	if err != nil {
		return dst, Info{}, err
	}
	dst, err = ReadAll(dst, o, bytesMax)
	if cerr := o.Close(); err == nil && cerr != nil {
		err = cerr
	}
	return dst, Info{Key: key, Size: o.Size, ETag: o.ETag, ModTime: o.ModTime}, err
}
