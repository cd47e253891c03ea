// Package store lets originals in: by PUT /originals/{key} with the operator's
// credential or a signed upload URL, and by a subset of S3 that aws, rclone,
// s3cmd and the libraries of applications speak. What they store lies in the
// origins that the service delivers renditions of.
//
// Words. An origin is a place of originals, by the name that the configuration
// gives it; a bucket is what S3 clients call one, or a part of it below a prefix.
// The shelf (package shelf) does the work that both ways share; s3api, upload and
// multipart are the ways; sigv4 is S3's signature.
//
// Invariants: nothing is stored that did not arrive whole with the checksums that
// were announced, and, with pictures_only, that is no picture within the limits;
// what was acknowledged is on disk; memory does not grow with the size of what is
// uploaded; each change is told once it is durable and before it is answered.
//
// This package is configuration and wiring. It opens no listener: the handlers
// are the caller's to mount.
package store
