// Package s3 keeps objects in a bucket of any server that speaks the S3
// protocol, through minio-go. Requests are signed with signature version 4 when
// there are credentials, and sent without a signature when there are none.
//
// Vocabulary: a call is what the caller asked for; an attempt is one request of
// it. A call makes at most Config.Attempts attempts with a random wait between
// them. An attempt fails when no answer begins within Config.Timeout, and the
// body of an object fails when no byte arrives for Config.Stall.
//
// Invariant: what is not understood is blob.ErrUnavailable, never
// blob.ErrNotFound; a missing picture is cached, a sick server must not be.
// Puts carry a CRC-32C and a signed SHA-256 of their bytes; Gets compare the
// checksum that the server keeps (CRC-32, CRC-32C, CRC-64/NVME or SHA) behind
// the last byte. Without one, a length that a proxy made smaller cannot be told.
package s3
