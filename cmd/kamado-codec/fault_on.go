//go:build codecfault

package main

/*
#include <stdlib.h>
void kc_fault(const char *kind);
*/
import "C"

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"
	"unsafe"

	"github.com/kamado/kamado/images/codec/wire"
	"golang.org/x/sys/unix"
)

// faultMark is how a file asks for a fault: "KAMADO-FAULT:segv".
var faultMark = []byte("KAMADO-FAULT:")

// fault looks into the first memfd of a request and does what it asks for.
func fault(id uint32, fds []int, length uint64) error {
	data, err := unix.Mmap(fds[0], 0, int(length), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	defer unix.Munmap(data)
	rest, found := bytes.CutPrefix(data, faultMark)
	if !found {
		return nil
	}
	kind, _, _ := strings.Cut(string(rest[:min(len(rest), 100)]), "\x00")
	switch kind {
	case "panic":
		panic("asked for")
	case "exit":
		os.Exit(7)
	case "sleep":
		time.Sleep(50 * time.Millisecond)
	case "flood":
		for range 1 << 16 {
			fmt.Fprintln(os.Stderr, "words that nobody wants to keep")
		}
	case "garbage":
		unix.Write(socket, []byte("no message at all"))
	case "stale": // the answer to another request
		unix.Write(socket, wire.Append(nil, id+1, wire.Fail{Code: wire.CodeInvalid, Text: "of another request"}))
	case "liar": // an answer to what nobody asked
		unix.Write(socket, wire.Append(nil, id, wire.Saved{Length: 1 << 30}))
	default:
		if page, found := strings.CutPrefix(kind, "escape:"); found {
			text := escape(page, fds)
			for _, fd := range fds {
				unix.Close(fd)
			}
			return &codecError{code: wire.CodeInvalid, text: text}
		}
		name := C.CString(kind)
		defer C.free(unsafe.Pointer(name))
		C.kc_fault(name)
	}
	return nil
}
