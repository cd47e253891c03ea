package nova

import (
	"encoding/json"
	"strconv"
	"time"
)

// encoder writes JSON by appending. Lists of a thousand servers are written with
// it: encoding/json would take longer than reading them from the store.
type encoder struct{ b []byte }

// comma goes before whatever is not the first in its object or list.
func (e *encoder) comma() {
	if n := len(e.b); n > 0 {
		switch e.b[n-1] {
		case '{', '[', ':':
		default:
			e.b = append(e.b, ',')
		}
	}
}

func (e *encoder) open(c byte)  { e.comma(); e.b = append(e.b, c) }
func (e *encoder) close(c byte) { e.b = append(e.b, c) }

// key writes the name of what follows; names here need no escapes.
func (e *encoder) key(name string) {
	e.comma()
	e.b = append(e.b, '"')
	e.b = append(e.b, name...)
	e.b = append(e.b, '"', ':')
}

// value writes a string.
func (e *encoder) value(s string) {
	e.comma()
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			b, _ := json.Marshal(s) // a string always marshals
			e.b = append(e.b, b...)
			return
		}
	}
	e.b = append(e.b, '"')
	e.b = append(e.b, s...)
	e.b = append(e.b, '"')
}

func (e *encoder) null() { e.comma(); e.b = append(e.b, "null"...) }

func (e *encoder) str(name, s string) { e.key(name); e.value(s) }

// strOrNull writes null for an empty string.
func (e *encoder) strOrNull(name, s string) {
	e.key(name)
	if s == "" {
		e.null()
		return
	}
	e.value(s)
}

func (e *encoder) int(name string, n int) {
	e.key(name)
	e.b = strconv.AppendInt(e.b, int64(n), 10)
}

func (e *encoder) bool(name string, v bool) {
	e.key(name)
	e.b = strconv.AppendBool(e.b, v)
}

// time writes a time by a layout, null for none.
func (e *encoder) time(name, layout string, t time.Time) {
	e.key(name)
	if t.IsZero() {
		e.null()
		return
	}
	e.b = append(e.b, '"')
	e.b = t.UTC().AppendFormat(e.b, layout)
	e.b = append(e.b, '"')
}

// texts writes a list of strings.
func (e *encoder) texts(name string, l []string) {
	e.key(name)
	e.open('[')
	for _, s := range l {
		e.value(s)
	}
	e.close(']')
}

// pairs writes an object of strings, its names escaped.
func (e *encoder) pairs(name string, m map[string]string) {
	e.key(name)
	e.open('{')
	for _, k := range sortedKeys(m) {
		e.value(k)
		e.b = append(e.b, ':')
		e.value(m[k])
	}
	e.close('}')
}

// link writes one link.
func (e *encoder) link(rel, href string) {
	e.open('{')
	e.str("rel", rel)
	e.str("href", href)
	e.close('}')
}
