// Package blob says what a store of whole objects promises: bytes under a key,
// written in one piece and read whole or in ranges. Engines lie one level
// below it (fs: a plain directory, s3: any S3 server) and all pass the same
// suite, blobtest.Run; a promise that is not in the suite is not a promise.
//
// Vocabulary. A key is a path of one or more segments joined by "/" (CheckKey
// has the rules). An object is the bytes under a key together with their size,
// the moment they were stored and an ETag. An ETag is an opaque text without
// quotes that changes whenever the bytes do; two stores give different ETags
// for the same bytes, so it is compared only with one from the same store.
//
// Invariants: a Get sees the bytes of one Put, never a mixture and never a
// half-written object; a body that ends early ends in ErrShort, never in a
// silent io.EOF; an acknowledged Put is durable.
//
// Not for small mutable records (use a database), not for appending, and not
// for anything that needs a lock: the last Put wins.
package blob
