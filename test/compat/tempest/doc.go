// Package tempest runs OpenStack's own acceptance tests, as Debian ships them,
// against the built program (see package cloud): `configure` writes their
// configuration, `run` runs a list of them, and the Go tests here do both on a
// cloud of their own.
//
// Vocabulary: an include list names tests by regular expressions, one a line;
// include.txt is what must pass. Validation is Tempest's word for logging in to
// guests, which only real ones can answer.
package tempest
