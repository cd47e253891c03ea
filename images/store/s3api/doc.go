// Package s3api speaks the subset of Amazon S3 that clients need to keep originals
// where this service finds them: objects (put, get, head, delete, copy), lists,
// multipart uploads, and what clients ask before they do any of it.
//
// Words. A bucket is an origin, or what lies below a prefix of it; buckets come from
// the configuration, so they are neither made nor removed here. An operation is a
// method and what the query names (route.go has the table). What is not in the
// table is NotImplemented, and so is every header that asks for a promise that is
// not kept (encryption, locks); what is advice (storage class, tags, ACLs, the
// content type, which is found out) is passed over.
//
// Invariants: nothing is done before the signature is verified (package sigv4);
// what a body or a query may cost is bounded before it is read; each error is one
// row of the table in errors.go; a pair that is read-only changes nothing.
//
// Differences from S3 that a client can see. Keys are paths: no empty segment, no
// "." or "..", and "a" and "a/b" cannot both be objects of a directory. ETags of
// objects that were put by hand are no MD5, and have a "-" so that clients do not
// take them for one. There are no versions.
package s3api
