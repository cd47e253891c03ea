package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
)

// person is the slog handler for a terminal: a line per record, with the time of day, the level, the message and the attributes.
//
//	15:04:05 INFO  listening  server=images address=127.0.0.1:7701
type person struct {
	level  slog.Leveler
	colour bool
	out    *lockedWriter
	prefix string // of keys: the open groups, each followed by a point
	attrs  string // already formatted, each after a space
}

// lockedWriter keeps the lines of concurrent records whole.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

// The escapes of levels, and the one that ends them.
const (
	escapeDim    = "\x1b[2m"
	escapeRed    = "\x1b[31m"
	escapeYellow = "\x1b[33m"
	escapeGreen  = "\x1b[32m"
	escapeEnd    = "\x1b[0m"
)

func (p *person) Enabled(_ context.Context, l slog.Level) bool { return l >= p.level.Level() }

func (p *person) WithGroup(name string) slog.Handler {
	if name == "" {
		return p
	}
	c := *p
	c.prefix += name + "."
	return &c
}

func (p *person) WithAttrs(attrs []slog.Attr) slog.Handler {
	var b bytes.Buffer
	for _, a := range attrs {
		appendAttr(&b, p.prefix, a)
	}
	c := *p
	c.attrs += b.String()
	return &c
}

func (p *person) Handle(_ context.Context, r slog.Record) error {
	var b bytes.Buffer
	if !r.Time.IsZero() {
		p.paint(&b, escapeDim, r.Time.Format(time.TimeOnly))
		b.WriteByte(' ')
	}
	p.paint(&b, levelEscape(r.Level), fmt.Sprintf("%-5s", r.Level))
	b.WriteByte(' ')
	b.WriteString(plain(r.Message))
	var rest bytes.Buffer
	rest.WriteString(p.attrs)
	r.Attrs(func(a slog.Attr) bool {
		appendAttr(&rest, p.prefix, a)
		return true
	})
	if rest.Len() > 0 {
		b.WriteByte(' ')
		p.paint(&b, escapeDim, rest.String())
	}
	b.WriteByte('\n')
	p.out.mu.Lock()
	defer p.out.mu.Unlock()
	_, err := p.out.w.Write(b.Bytes())
	return err
}

func (p *person) paint(b *bytes.Buffer, escape, text string) {
	if !p.colour {
		b.WriteString(text)
		return
	}
	b.WriteString(escape + text + escapeEnd)
}

func levelEscape(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return escapeRed
	case l >= slog.LevelWarn:
		return escapeYellow
	case l >= slog.LevelInfo:
		return escapeGreen
	}
	return escapeDim
}

func appendAttr(b *bytes.Buffer, prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, sub := range v.Group() {
			appendAttr(b, prefix, sub)
		}
		return
	}
	if a.Equal(slog.Attr{}) {
		return
	}
	b.WriteByte(' ')
	b.WriteString(prefix + a.Key)
	b.WriteByte('=')
	text := v.String()
	if err, ok := v.Any().(error); ok && err != nil {
		text = err.Error()
	}
	if strings.Contains(text, " ") {
		b.WriteString(strconv.Quote(text))
		return
	}
	b.WriteString(plain(text))
}

// plain quotes what would break the line or the terminal, or hide where a value ends.
func plain(s string) string {
	if s == "" {
		return `""`
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r == '"' || r == '=' || r != ' ' && !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}
