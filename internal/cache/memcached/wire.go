package memcached

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// answer is what memcached says to one request (protocol.txt, "Meta Commands").
type answer struct {
	code string // VA, HD, EN, NF, NS, EX, MN, ERROR, CLIENT_ERROR or SERVER_ERROR
	data []byte // of VA; the caller's own
	cas  uint64 // flag c; 0: there is none
	text string // of an error
}

var errGarbled = errors.New("garbled answer")

// readAnswer takes one answer with at most dataMax bytes of data. The size of the
// reader bounds its line.
func readAnswer(r *bufio.Reader, dataMax int) (answer, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return answer{}, fmt.Errorf("%w: a line of more than %d bytes", errGarbled, r.Size())
	}
	if err != nil {
		return answer{}, err
	}
	line, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok {
		return answer{}, fmt.Errorf("%w: a line that does not end", errGarbled)
	}
	code, rest, _ := bytes.Cut(line, []byte(" "))
	a := answer{code: string(code)}
	size := -1
	switch a.code {
	case "HD", "EN", "NF", "NS", "EX", "MN":
	case "VA":
		var number []byte
		number, rest, _ = bytes.Cut(rest, []byte(" "))
		if size, err = strconv.Atoi(string(number)); err != nil || size < 0 || size > dataMax {
			return answer{}, fmt.Errorf("%w: a value of %.20q bytes", errGarbled, number)
		}
	case "ERROR", "CLIENT_ERROR", "SERVER_ERROR":
		a.text = string(rest)
		return a, nil
	default:
		return answer{}, fmt.Errorf("%w: %.20q", errGarbled, code)
	}
	for flag := range bytes.FieldsSeq(rest) {
		if flag[0] != 'c' {
			continue
		}
		if a.cas, err = strconv.ParseUint(string(flag[1:]), 10, 64); err != nil {
			return answer{}, fmt.Errorf("%w: flag %.20q", errGarbled, flag)
		}
	}
	if size < 0 {
		return a, nil
	}
	a.data = make([]byte, size+2)
	if _, err := io.ReadFull(r, a.data); err != nil {
		return answer{}, err
	}
	if !bytes.HasSuffix(a.data, []byte("\r\n")) {
		return answer{}, fmt.Errorf("%w: a value that does not end", errGarbled)
	}
	a.data = a.data[:size:size]
	return a, nil
}
