// Package sigv4 verifies requests that are signed with AWS Signature Version 4 as
// S3 uses it: by the Authorization header or by a presigned URL, with a body that
// is hashed, unsigned, or sent in chunks that are signed one by one. It is the
// server's side only; clients have their own.
//
// Words. A pair is an access key, which names, and a secret, which signs; a pair
// may be read-only. A scope is the day, region and service that a signing key is
// derived for. The seed is the signature of the request, on which that of the
// first chunk is built, and each chunk's on the one before.
//
// Invariants: nothing of a request is believed before its signature is right;
// each x-amz-* header that is sent must be signed, or somebody on the way could
// add one; a body whose hash or whose chunks are not what was signed ends in an
// error and never in io.EOF; secrets never leave the package, a Keys prints as a
// number. Comparison takes the same time however much of a signature is right.
//
// Source: "Authenticating Requests (AWS Signature Version 4)", Amazon S3 API
// Reference, with its chapters on chunked uploads with and without trailers.
package sigv4
