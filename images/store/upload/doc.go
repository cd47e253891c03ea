// Package upload is the plain way of storing originals: PUT, GET, HEAD and DELETE
// of /originals/{key}, and a list of them.
//
// Who may: the operator, by the credential that a guard checks; or whoever has an
// upload URL, which an application signs with the room's signing keys so that a
// browser can send a file without passing through it. Such a URL is good for one
// method and one key, up to a number of bytes and until a moment, as often as
// wanted until then; with new=1 only while the key is free.
//
// Invariants: a URL that allows anything but what was signed is refused before
// the body is read; bodies are judged by their bytes, not by what is said of them;
// an answer of success means that the original is durable and that its change was
// told (package shelf).
package upload
