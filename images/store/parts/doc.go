// Package parts keeps the parts of multipart uploads on disk until the upload is
// completed, aborted or too old.
//
// Words. An upload has an id that nobody can guess, a bucket and a key; a part has
// a number from 1 to 10,000 and an ETag, the MD5 of its bytes. Completing names
// parts by number and ETag and makes one object of them, in that order.
//
// The directory is the truth, so that uploads outlive a restart:
//
//	DIR/ID/upload.json            bucket, key, metadata, time
//	DIR/ID/00001-MD5-SIZE         a part
//	DIR/.new-ID, DIR/.gone-ID     half made, half removed: a sweep takes them
//
// Invariants: a part that was acknowledged is durable; a directory appears and
// goes by one rename, so an upload is there whole or not at all; the number of
// uploads and the bytes of all parts together are bounded; an upload that was
// completed is removed only after its object is durable, so that who did not hear
// the answer completes it again.
//
// Not for anything that must be kept: an upload is somebody's unfinished work.
package parts
