// Package shelf is the one way in which bytes become an original, and the one
// place that changes originals: uploads, the S3 interface and copies all put,
// read and delete here.
//
// Words. A shelf holds the stores of several origins by name; a Ref names an
// object on it. A draft is a body on its way in: a file in the staging directory
// that no reader can see. A condition is what must be true of the object that a
// write replaces. A change is what a write did; it is told to whoever purges
// caches, and to the event log.
//
// Invariants.
//   - A body goes to the staging file as it arrives; memory per upload is one
//     buffer, whatever the body's size. Validation reads the file through a
//     mapping, so it holds no second copy either.
//   - What is announced about a body (length, checksums) and what a picture must
//     be is checked before the object appears. Nothing half is ever visible.
//   - When Put returns nil, the object is durable (blob.Store), and its change
//     was told. What a crash between the two leaves untold, the next process tells.
//   - Conditions hold against every other write through the same Shelf. Who
//     changes the directory by hand, or by another process, is not locked out.
//   - A staging file that its process left behind is removed by the next sweep;
//     a lock on the file tells it from one in use.
//
// Not for renditions or anything else that can be made again: those have caches.
package shelf
