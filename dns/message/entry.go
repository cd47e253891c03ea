package message

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// entryBytesMax bounds one record or directive of a master file, with the lines that parentheses join.
const entryBytesMax = 64 << 10

// entry is one record or directive of a master file without comments, parentheses and line ends.
type entry struct {
	text  string
	line  int  // where it begins, from 1
	blank bool // it begins with a blank: its owner is that of the record before (RFC 1035 5.1)
}

// entries splits a master file.
type entries struct {
	r    *bufio.Reader
	line int // of the last line that was read
	left *int64
}

// errZoneTooLarge stops the reading of a file and of all files around it.
var errZoneTooLarge = fmt.Errorf("more than %d bytes with all included files", ZoneBytesMax)

// next gives the next entry that is not empty; io.EOF at the end. After an error of
// form, which has the entry's line, the entry behind it can be read.
func (e *entries) next() (entry, error) {
	for {
		var join joiner
		at := e.line + 1
		for {
			line, err := e.readLine()
			if err == io.EOF && join.depth > 0 {
				return entry{line: at}, errors.New("an opening parenthesis that nothing closes")
			}
			if err != nil {
				return entry{line: e.line}, err
			}
			if err := join.add(line); err != nil {
				return entry{line: e.line}, err
			}
			if join.depth == 0 {
				break
			}
		}
		text := join.text.String()
		if strings.Trim(text, " \t") == "" {
			continue
		}
		return entry{text: text, line: at, blank: text[0] == ' ' || text[0] == '\t'}, nil
	}
}

// readLine gives the next line without its end; io.EOF when there is none.
func (e *entries) readLine() (string, error) {
	var b strings.Builder
	for {
		part, err := e.r.ReadSlice('\n')
		*e.left -= int64(len(part))
		if *e.left < 0 {
			return "", errZoneTooLarge
		}
		if b.Len()+len(part) <= entryBytesMax {
			b.Write(part)
		} else if b.Len() <= entryBytesMax {
			b.WriteString(strings.Repeat(" ", entryBytesMax+1)) // too long: read on to its end, and complain once
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF && len(part) == 0 && b.Len() == 0:
			return "", io.EOF
		case err != nil && err != io.EOF:
			return "", readError{err}
		}
		e.line++
		return strings.TrimSuffix(strings.TrimSuffix(b.String(), "\n"), "\r"), nil
	}
}

// readError is a fault of reading, after which nothing more is read.
type readError struct{ error }

func (e readError) Unwrap() error { return e.error }

// joiner puts the lines of one entry together.
type joiner struct {
	text  strings.Builder
	depth int // of parentheses
}

func (j *joiner) add(line string) error {
	if j.text.Len()+len(line) >= entryBytesMax {
		return fmt.Errorf("an entry of more than %d bytes", entryBytesMax)
	}
	quoted := false
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\\':
			if i+1 == len(line) {
				return errors.New("a backslash at the end of a line")
			}
			j.text.WriteByte(c)
			i++
			c = line[i]
		case c < ' ' && c != '\t' || c == 0x7f:
			return fmt.Errorf("the control character %#02x: it is written \\%03d", c, c)
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == ';':
			line = line[:i]
			continue
		case c == '(':
			j.depth++
			c = ' '
		case c == ')':
			if j.depth--; j.depth < 0 {
				return errors.New("a closing parenthesis that nothing opened")
			}
			c = ' '
		}
		j.text.WriteByte(c)
	}
	if quoted {
		return errors.New("a quoted string that does not end on its line")
	}
	if j.depth > 0 {
		j.text.WriteByte(' ')
	}
	return nil
}

// cut takes the first word, which blanks end; quotes and escapes are kept.
func cut(text string) (word, rest string) {
	text = strings.TrimLeft(text, " \t")
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case (c == ' ' || c == '\t') && !quoted:
			return text[:i], strings.TrimLeft(text[i:], " \t")
		}
	}
	return text, ""
}
