// Package murakumo reads murakumo.yml, the configuration of Murakumo 0.6.1, and
// says what it becomes here: settings, records, policies, and notes about what is
// otherwise. It changes nothing; whoever asked for the plan carries it out.
//
// Vocabulary. A key is a setting of that file, written as a path:
// "health-check/web/interval". A plan is all that the file becomes. A note is what
// a person should know about one key: what it became, or what takes its place.
//
// Invariants. Every key that Murakumo knows ends in the plan, as a setting, a
// record, a policy, or a note; a key that it does not know is an error. Errors and
// notes have the number of the line, and all errors of a file are told at once. A
// value that Murakumo refused is refused here, too.
package murakumo
