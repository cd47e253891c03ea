package main

import (
	"errors"
	"fmt"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/images"
)

// The exit codes of every command. Scripts branch on them, so they never change meaning.
const (
	exitOK       = 0
	exitFailed   = 1 // the work was tried and did not succeed
	exitUsage    = 2 // the command line or the configuration is wrong; trying again does not help
	exitNotFound = 3 // the thing that was named does not exist
	exitRetry    = 4 // nothing is wrong with the request; the same command may succeed later
)

// exitError is an error that knows its exit code and, if there is one, what the person should do.
type exitError struct {
	code int
	err  error
	hint string // one sentence, or empty
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usagef makes an error of the command line.
func usagef(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// notFoundf makes an error for a named thing that does not exist.
func notFoundf(format string, args ...any) error {
	return &exitError{code: exitNotFound, err: fmt.Errorf(format, args...)}
}

// hinted adds what to do about an error, keeping its exit code.
func hinted(err error, hint string) error {
	return &exitError{code: exitCode(err), err: err, hint: hint}
}

// exitCode gives the code of the outermost error that has one, or else what the kind of a room's error means to a script;
// other errors are failures.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	var e *exitError
	if errors.As(err, &e) && e.code != exitFailed {
		return e.code
	}
	switch images.KindOf(err) {
	case images.NotFound:
		return exitNotFound
	case images.Exhausted, images.Unavailable, images.Timeout:
		return exitRetry
	}
	switch dns.KindOf(err) {
	case dns.Invalid, dns.TooLarge:
		return exitUsage
	case dns.NotFound:
		return exitNotFound
	case dns.Exhausted, dns.Unavailable:
		return exitRetry
	}
	switch game.KindOf(err) {
	case game.Invalid, game.TooLarge:
		return exitUsage
	case game.NotFound:
		return exitNotFound
	case game.Limited, game.Exhausted, game.Unavailable:
		return exitRetry
	}
	return exitFailed
}

// exitHint gives the hint of the outermost error that has one.
func exitHint(err error) string {
	var e *exitError
	for errors.As(err, &e) {
		if e.hint != "" {
			return e.hint
		}
		err = e.err
	}
	return ""
}
