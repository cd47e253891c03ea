package memcached

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		want answer
	}{
		{"VA 2 c7\r\nhi\r\n", answer{code: "VA", data: []byte("hi"), cas: 7}},
		{"VA 4 t-1 c18446744073709551615 f0\r\n\r\n\r\n\r\n", answer{code: "VA", data: []byte("\r\n\r\n"), cas: 1<<64 - 1}},
		{"VA 0\r\n\r\n", answer{code: "VA", data: []byte{}}},
		{"HD c1\r\n", answer{code: "HD", cas: 1}},
		{"HD\r\n", answer{code: "HD"}},
		{"EN\r\n", answer{code: "EN"}},
		{"NS c0\r\n", answer{code: "NS"}},
		{"EX\r\n", answer{code: "EX"}},
		{"NF\r\n", answer{code: "NF"}},
		{"MN\r\n", answer{code: "MN"}},
		{"SERVER_ERROR object too large for cache\r\n", answer{code: "SERVER_ERROR", text: "object too large for cache"}},
	} {
		got, err := readAnswer(bufio.NewReader(strings.NewReader(c.in)), 100)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("readAnswer(%q) = %v, %v, want %v", c.in, got, err, c.want)
		}
	}
	for _, in := range []string{"", "EN", "EN\n", "XX\r\n", "VA\r\n", "VA -1\r\n", "VA 101\r\n", "VA 2 c1\r\nhiho\r\n", "VA 2 cx\r\nhi\r\n", "HD c99999999999999999999\r\n", "VA 9 c1\r\nhi\r\n", strings.Repeat("x", 5000)} {
		if got, err := readAnswer(bufio.NewReader(strings.NewReader(in)), 100); err == nil {
			t.Errorf("readAnswer(%.40q) = %v, want an error", in, got)
		}
	}
}

// FuzzAnswer: an answer is read whole or refused, and holds no more than it may.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{"VA 2 c7\r\nhi\r\n", "HD c1\r\nEN\r\n", "SERVER_ERROR x\r\n", "VA 5 c1\r\nEN\r\n1\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		const most = 64
		in := bytes.NewReader(b)
		r := bufio.NewReaderSize(in, 128)
		for {
			a, err := readAnswer(r, most)
			if err != nil {
				if a.code != "" {
					t.Fatalf("an error and an answer: %v", a)
				}
				if !errors.Is(err, errGarbled) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatalf("error %v", err)
				}
				return
			}
			if len(a.data) > most || len(a.text) > 128 || a.code == "" {
				t.Fatalf("answer %v", a)
			}
		}
	})
}

func TestRingIsEvenAndStable(t *testing.T) {
	t.Parallel()
	three, four := newRing([]string{"a:1", "b:1", "c:1"}), newRing([]string{"a:1", "b:1", "c:1", "d:1"})
	const n = 30_000
	var share [4]int
	for i := range n {
		key := fmt.Sprint("entity.", i)
		before, after := three.at(key), four.at(key)
		share[after]++
		if after != before && after != 3 {
			t.Fatalf("key %s moved from server %d to %d, though only server 3 came", key, before, after)
		}
	}
	for s, got := range share {
		if got < n/4*70/100 || got > n/4*130/100 {
			t.Errorf("server %d has %d of %d keys, want a quarter to within 30%%", s, got, n)
		}
	}
}
