package blob

import (
	"context"
	"io"
	"time"
)

// ListMax bounds how many objects one List answers. Unit: objects. It is what
// an S3 server gives in one page.
const ListMax = 1000

// Info describes an object without its bytes.
type Info struct {
	Key     string
	Size    int64 // bytes, >= 0
	ETag    string
	ModTime time.Time // when the object was stored; resolution down to one second
}

// Object is an open object. The caller closes it, also after an error of Read.
// It is not for concurrent use.
type Object struct {
	// The body: exactly Size bytes and then io.EOF, or ErrShort or
	// ErrUnavailable at the place where it broke off. Read on until an error:
	// a checksum is compared behind the last byte.
	io.ReadCloser

	Size    int64  // bytes that the body gives: of the whole object, or of the range
	ETag    string // of the whole object
	ModTime time.Time
}

// PutOptions are advice that travels with an object.
type PutOptions struct {
	// ContentType is a media type. s3 keeps it for browsers that read the
	// bucket directly; fs drops it.
	ContentType string

	// Note is kept with the object by a store that is a Noter; others drop it.
	Note []byte
}

// Store keeps objects. All methods may be called concurrently. Every method
// answers ErrInvalidKey for a key that CheckKey refuses, ErrUnavailable when
// the store cannot be asked now, ErrDenied when it refuses us, and the
// context's own error when the context ended first.
type Store interface {
	// Get opens an object. Three things might happen:
	//  1. the object is there: the body reads from the version that was there
	//     when Get returned, whatever Put or Delete follow;
	//  2. ErrNotFound;
	//  3. another error: nothing is known about the object.
	// The context must live until the body is closed.
	Get(ctx context.Context, key string) (*Object, error)

	// Stat is Get without the bytes; the ETag is the one that Get gives.
	Stat(ctx context.Context, key string) (Info, error)

	// Put stores size bytes of r under key in place of what was there. When it
	// returns without an error the object is durable, and Get, Stat and List
	// of every client see it. After an error the old object is still whole;
	// only after ErrUnavailable or the end of the context may the new one have
	// been stored all the same, so a caller repeats the Put with the same bytes.
	// size must be exact and >= 0; else ErrShort, and nothing is stored.
	Put(ctx context.Context, key string, r io.Reader, size int64, opt PutOptions) (Info, error)

	// Delete removes an object. A missing object is no error, so that a Delete
	// whose answer was lost can be repeated.
	Delete(ctx context.Context, key string) error

	// List gives objects whose key begins with prefix and is greater than
	// after, in ascending byte order of the whole key. prefix need not end
	// at a "/"; both may be empty. At most limit objects are given; limit <= 0
	// or > ListMax means ListMax. The next page begins after the last key.
	// Fewer than limit objects means that there are no more. Objects that are
	// put or deleted during the call may be missing or not; all others are
	// given exactly once over the pages.
	List(ctx context.Context, prefix, after string, limit int) ([]Info, error)
}

// Ranger is the optional ability to read a part of an object without the rest.
// Both engines of this repository have it.
type Ranger interface {
	// GetRange is Get for length bytes from offset; length < 0 or past the
	// end means up to the end. Object.Size is the number of bytes that come.
	// ErrRange when offset is negative or not below the object's size.
	GetRange(ctx context.Context, key string, offset, length int64) (*Object, error)
}

// Walker is the optional ability to list everything in one go. It is for stores
// where a page costs more than its objects do: in a directory of n names, each
// page reads them all.
type Walker interface {
	// Walk calls visit with each object whose key begins with prefix and is
	// greater than after, in the order and with the promises of List. It ends
	// with visit's first error, which it returns as it is.
	Walk(ctx context.Context, prefix, after string, visit func(Info) error) error
}

// Linker is the optional ability to share whole files with a directory outside
// of the store without copying bytes: fs has it, for directories of its own file
// system. Both names are one file from then on, so nobody may write to it.
type Linker interface {
	// PutFile is Put of a regular file. The caller removes its own name of the file
	// when it likes. errors.ErrUnsupported, and nothing is stored, when the file
	// lies where it cannot be shared: Put its bytes instead.
	PutFile(ctx context.Context, key, file string) (Info, error)

	// LinkFile gives an object the further name file, which must not exist
	// (os.ErrExist), outside of the store; it stays when the object is deleted or
	// replaced. errors.ErrUnsupported when that cannot be: Get its bytes instead.
	LinkFile(ctx context.Context, key, file string) error
}

// NoteBytesMax bounds a note. Unit: bytes. ext4 keeps 4 KiB of extended attributes
// for a file, names and heads included; about 50 bytes of them lie in the inode
// itself and cost nothing.
const NoteBytesMax = 3 << 10

// Noter is the optional ability to keep a note with an object: bytes of the
// caller's that come with the object and go with it. fs has it where the file
// system has extended attributes.
//
// A note is advice, as PutOptions are: a store that cannot keep it, or a note of
// more than NoteBytesMax bytes, leaves an object without one. So who reads notes
// needs a way to do without.
type Noter interface {
	// PutFileNote is Linker.PutFile of a file that nobody else uses, and the object
	// has the note from its first moment.
	PutFileNote(ctx context.Context, key, file string, note []byte) (Info, error)

	// Note is Stat, and the note that the object was put with: nil when it has
	// none, or when its bytes were changed in place since.
	Note(ctx context.Context, key string) ([]byte, Info, error)
}
