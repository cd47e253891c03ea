package replay

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
)

// lineMax bounds one line of a log. Unit: bytes.
const lineMax = 64 << 10

// Entry is one request of a log.
type Entry struct {
	Path   string // path and query
	Status int    // as the log says; 0: it does not
}

// Log reads the entries of an access log: lines in the common or the combined form
// of Apache and nginx, JSON objects with the field uri, request_uri, path or url
// and perhaps status, or paths alone. Other methods than GET and HEAD are left out.
type Log struct {
	lines   *bufio.Reader
	skipped int
}

// NewLog reads from r.
func NewLog(r io.Reader) *Log { return &Log{lines: bufio.NewReaderSize(r, lineMax)} }

// Skipped is how many lines were no request to be sent again.
func (l *Log) Skipped() int { return l.skipped }

// Next gives the next request, io.EOF at the end.
func (l *Log) Next() (Entry, error) {
	for {
		line, err := l.lines.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			l.skipped++
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = l.lines.ReadSlice('\n')
			}
			if err != nil {
				return Entry{}, err
			}
			continue
		case err != nil && len(line) == 0:
			return Entry{}, err
		}
		text := strings.TrimSpace(string(line))
		if e, ok := parseLine(text); ok {
			return e, nil
		}
		if text != "" && text[0] != '#' {
			l.skipped++
		}
		if err != nil {
			return Entry{}, err
		}
	}
}

func parseLine(text string) (Entry, bool) {
	switch {
	case text == "" || text[0] == '#':
		return Entry{}, false
	case text[0] == '/':
		path, _, _ := strings.Cut(text, " ")
		return Entry{Path: path}, true
	case text[0] == '{':
		return parseJSON(text)
	}
	// host ident user [time] "GET /path HTTP/1.1" status bytes ...
	_, rest, ok := strings.Cut(text, `"`)
	if !ok {
		return Entry{}, false
	}
	request, after, ok := strings.Cut(rest, `"`)
	if !ok {
		return Entry{}, false
	}
	e, ok := parseRequest(request)
	if fields := strings.Fields(after); ok && len(fields) > 0 {
		e.Status = status(fields[0])
	}
	return e, ok
}

func parseRequest(s string) (Entry, bool) {
	parts := strings.Split(s, " ")
	if len(parts) < 2 || parts[0] != "GET" && parts[0] != "HEAD" || !strings.HasPrefix(parts[1], "/") {
		return Entry{}, false
	}
	return Entry{Path: parts[1]}, true
}

func parseJSON(text string) (Entry, bool) {
	var fields map[string]any
	if json.Unmarshal([]byte(text), &fields) != nil {
		return Entry{}, false
	}
	if m, ok := fields["method"].(string); ok && m != "GET" && m != "HEAD" {
		return Entry{}, false
	}
	for _, name := range []string{"request_uri", "uri", "path", "url"} {
		if path, ok := fields[name].(string); ok && strings.HasPrefix(path, "/") {
			e := Entry{Path: path}
			switch s := fields["status"].(type) {
			case float64:
				e.Status = int(s)
			case string:
				e.Status = status(s)
			}
			return e, true
		}
	}
	request, _ := fields["request"].(string)
	return parseRequest(request)
}

// status reads an HTTP status; 0 when it is none.
func status(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 100 || n > 599 {
		return 0
	}
	return n
}
