package telemetry

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"
	"time"
)

// TestPersonKeepsTheContractOfHandlers reads the lines back into the nested maps that slogtest looks at.
func TestPersonKeepsTheContractOfHandlers(t *testing.T) {
	var b bytes.Buffer
	h := &person{level: slog.LevelInfo, out: &lockedWriter{w: &b}}
	err := slogtest.TestHandler(h, func() []map[string]any {
		var records []map[string]any
		for line := range strings.Lines(b.String()) {
			records = append(records, parseLine(strings.TrimSuffix(line, "\n")))
		}
		return records
	})
	if err != nil {
		t.Error(err)
	}
}

// parseLine reads what slogtest logs: values without spaces.
func parseLine(line string) map[string]any {
	rec := map[string]any{}
	words := strings.Fields(line)
	if _, err := time.Parse(time.TimeOnly, words[0]); err == nil {
		rec[slog.TimeKey] = words[0]
		words = words[1:]
	}
	rec[slog.LevelKey], words = words[0], words[1:]
	for _, w := range words {
		key, value, ok := strings.Cut(w, "=")
		if !ok {
			rec[slog.MessageKey] = w
			continue
		}
		m := rec
		path := strings.Split(key, ".")
		for _, g := range path[:len(path)-1] {
			sub, ok := m[g].(map[string]any)
			if !ok {
				sub = map[string]any{}
				m[g] = sub
			}
			m = sub
		}
		m[path[len(path)-1]] = value
	}
	return rec
}
