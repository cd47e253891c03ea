// Package probe finds out whether things live: it reads what to check, checks
// it, and decides from the results of several attempts. It knows no room.
//
// Vocabulary. A spec is one line of text that says what to check and how
// ("tcp:127.0.0.1:9000"); Parse reads it. An attempt is one check with one
// Result. A polled check makes an attempt at every interval. A held check keeps
// hold of what it watches (a connection, a process), so that its death is an event and not the next
// poll. A heartbeat check waits to be told (Beat). A Judge turns results into a
// Verdict by thresholds; it has no clock and no goroutine. A Runner runs one
// check, a Group many of them.
//
// Invariants. A check has at most one attempt at a time. An attempt ends within
// its timeout, and a program it started ends with it. What a result says is one
// line of at most TextMax bytes and holds no secret that a spec names: those lie
// in files. Names are resolved at each attempt. A verdict changes only by a
// result, and each change is dated.
//
// Start reading at spec.go, judge.go and runner.go. Not for measuring speed: an
// attempt tells alive from dead and no more.
package probe
