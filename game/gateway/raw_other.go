//go:build !linux

package gateway

import (
	"errors"
	"net"
	"syscall"
)

const iovecsMax = 1024

type iovecs = []struct{}

// rawOf finds no way around the poller here: connections read and write with calls that wait.
func rawOf(net.Conn) syscall.RawConn { return nil }

func readNow(uintptr, []byte) (int, bool, error) { return 0, false, errors.ErrUnsupported }

func writeNow(uintptr, [][]byte, *iovecs) (int, error) { return 0, errors.ErrUnsupported }
