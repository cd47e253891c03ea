// Command kamado is the whole of Kamado in one program: every service, its client side, and the way to configure and examine them.
//
// This package parses, wires and waits; it decides nothing. One file per subcommand; the scripts in testdata are its specification.
// What a command computes goes to standard output and nothing else does; all talk goes to standard error. The exit codes are
// those of exit.go.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(run())
}

// run is main without os.Exit, so that deferred calls happen.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal asks for an orderly end; with the handler gone, the second one ends the process at once.
	context.AfterFunc(ctx, stop)

	a := newApp(os.Stdin, os.Stdout, os.Stderr, os.Environ())
	return a.execute(ctx, os.Args[1:])
}
