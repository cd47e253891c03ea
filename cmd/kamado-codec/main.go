// Command kamado-codec decodes and encodes pictures with C libraries, shut in
// so that a fault in them costs one request. It is started by kamado, which
// finds it beside its own executable, and talks to it over an inherited
// socket in the messages of package wire; by hand it only tells what it is.
//
// Order at start: load the library, warm every format up, close descriptors,
// empty root, limits, filter, self-test, Hello. From then on it answers one
// request after another until the socket closes. Files and pixels lie in
// memfds that come with a request and are unmapped at its end, so a worker at
// rest holds nothing of anybody's pictures.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/kamado/kamado/images/codec/sandbox"
)

// socket is the descriptor that the parent passes.
const socket = 3

func main() {
	worker := flag.Bool("worker", false, "serve requests on descriptor 3; only kamado itself starts it so")
	data := flag.Uint64("data-bytes", 0, "most `bytes` of memory; 0 for no limit")
	kill := flag.Bool("kill", false, "end at a system call that is not foreseen, instead of refusing it")
	svg := flag.Bool("svg", false, "draw SVG files too")
	flag.Usage = usage
	flag.Parse()
	if !*worker {
		usage()
		os.Exit(2)
	}
	// One thread runs Go; cores belong to the pool, which has a worker for each.
	runtime.GOMAXPROCS(1)
	runtime.LockOSThread()
	if err := serve(sandbox.Config{Socket: socket, DataBytes: *data, Kill: *kill, EmptyRoot: emptyRoot}, *svg); err != nil {
		fmt.Fprintf(os.Stderr, "kamado-codec: %v\n", err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintf(os.Stderr, "kamado-codec decodes and encodes pictures for kamado (%s).\n"+
		"kamado starts it by itself when it lies beside it; there is nothing to do by hand.\n", strings.TrimSpace(library()))
}
