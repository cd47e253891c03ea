package zookeeper

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/kamado/kamado/internal/lock"
)

// data is what a znode holds: JSON, so that people can read it with ZooKeeper's own tools.
type data struct {
	Holder  string `json:"holder"`
	Session string `json:"session"`
	Token   uint64 `json:"token"`
	TermMs  int64  `json:"term_ms"`
}

func encode(l lock.Lease) ([]byte, error) {
	return json.Marshal(data{Holder: l.Holder, Session: l.Session, Token: l.Token, TermMs: l.Term.Milliseconds()})
}

// decode reads what a znode holds. What this package did not write is an error:
// a lock must not be free because somebody wrote over it.
func decode(b []byte) (lock.Lease, error) {
	var d data
	if err := json.Unmarshal(b, &d); err != nil {
		return lock.Lease{}, fmt.Errorf("no lease: %v", err)
	}
	l := lock.Lease{Holder: d.Holder, Session: d.Session, Token: d.Token, Term: time.Duration(d.TermMs) * time.Millisecond}
	if d.Token == 0 || d.Token > 1<<63-1 || d.TermMs < lock.TermMin.Milliseconds() || d.TermMs > lock.TermMax.Milliseconds() || (d.Holder == "") != (d.Session == "") {
		return lock.Lease{}, fmt.Errorf("no lease: token %d, term %d ms", d.Token, d.TermMs)
	}
	return l, nil
}

const hexDigits = "0123456789abcdef"

// child is the name of a lock's znode: bytes other than letters, digits, "-" and
// "_" are "%" and two hexadecimal digits, as ZooKeeper takes neither "/", nor "." alone, nor control characters.
func child(name string) string {
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// lockName is the inverse of child; false for a znode that child would not name.
func lockName(child string) (string, bool) {
	b := make([]byte, 0, len(child))
	for i := 0; i < len(child); i++ {
		c := child[i]
		if c != '%' {
			if !plain(c) {
				return "", false
			}
			b = append(b, c)
			continue
		}
		if i+2 >= len(child) {
			return "", false
		}
		high, low := strings.IndexByte(hexDigits, child[i+1]), strings.IndexByte(hexDigits, child[i+2])
		if high < 0 || low < 0 || plain(byte(high<<4|low)) {
			return "", false
		}
		b = append(b, byte(high<<4|low))
		i += 2
	}
	return string(b), len(b) > 0 && len(b) <= lock.NameBytesMax
}
