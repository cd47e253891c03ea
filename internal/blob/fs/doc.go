// Package fs keeps objects as plain files below one directory: the key is the
// path. A tree that a person filled by hand is a store, and a store is a tree
// that a person can read.
//
// Nothing leaves the directory: every path is resolved below an open os.Root,
// so a symbolic link is followed only when it stays inside, and one that leads
// out is an object that is not there. Only regular files are objects; names
// that blob.CheckKey refuses are not listed.
//
// A Put writes to a file of its own in blob.ReservedSegment, syncs it, renames
// it over the key and syncs the directory, so that a crash leaves either the
// old object or the new one, and at most a file that the next Put of any
// process sweeps away. The store therefore lies in one file system: a mount
// below the directory can be read but not written.
//
// A note lies in an extended attribute of the object's own file (note.go), so it
// appears and goes in the same step as the bytes, and a person who moves or
// removes the file leaves nothing behind.
//
// Two differences from an object store cannot be hidden: "a" and "a/b" cannot
// both be objects (ErrInvalidKey), and a file that another program rewrites in
// place while it is read gives a mixture. Replace files by rename.
package fs
