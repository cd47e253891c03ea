package message

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// generate reads "first-last[/step] owner [TTL] [class] type data" and makes a
// record for each number, which stands where the text has "$", or
// "${offset,width,base}" with a base of d, o, x, X, n or N (nibbles, the last one first).
func (z *zoneReader) generate(m *master, text string) error {
	word, template := cut(text)
	first, last, step, err := parseRange(word)
	if err != nil {
		return err
	}
	if owner, rest := cut(template); owner == "" || rest == "" {
		return errors.New("$GENERATE wants a range, an owner, a type and data")
	}
	for n := first; n <= last && !z.done; n += step {
		line, err := expand(template, n)
		if err != nil {
			return fmt.Errorf("$GENERATE: %w", err)
		}
		if err := z.record(m, line, false); err != nil {
			return fmt.Errorf("$GENERATE at %d: %w", n, err)
		}
	}
	return nil
}

func parseRange(word string) (first, last, step int64, err error) {
	word, by, stepped := strings.Cut(word, "/")
	from, to, ok := strings.Cut(word, "-")
	step = 1
	var errs [3]error
	first, errs[0] = strconv.ParseInt(from, 10, 32)
	last, errs[1] = strconv.ParseInt(to, 10, 32)
	if stepped {
		step, errs[2] = strconv.ParseInt(by, 10, 32)
	}
	if errors.Join(errs[:]...) != nil || !ok || first < 0 || last < first || step < 1 {
		return 0, 0, 0, fmt.Errorf("$GENERATE wants a range like 1-100 or 0-254/2, not %q", shorten(word))
	}
	if n := (last-first)/step + 1; n > generateMax {
		return 0, 0, 0, fmt.Errorf("$GENERATE of %d records, at most %d", n, generateMax)
	}
	return first, last, step, nil
}

// expand puts a number into a template. "$$" and "\$" are a dollar.
func expand(template string, n int64) (string, error) {
	var b strings.Builder
	for i := 0; i < len(template); i++ {
		c := template[i]
		rest := template[i+1:]
		switch {
		case c == '\\' && strings.HasPrefix(rest, "$"), c == '$' && strings.HasPrefix(rest, "$"):
			b.WriteByte('$')
			i++
		case c == '\\' && rest != "":
			b.WriteString(template[i : i+2])
			i++
		case c == '$' && strings.HasPrefix(rest, "{"):
			end := strings.IndexByte(rest, '}')
			if end < 0 {
				return "", errors.New("${ without }")
			}
			text, err := formatNumber(n, rest[1:end])
			if err != nil {
				return "", err
			}
			b.WriteString(text)
			i += 1 + end
		case c == '$':
			b.WriteString(strconv.FormatInt(n, 10))
		default:
			b.WriteByte(c)
		}
		if b.Len() > entryBytesMax {
			return "", fmt.Errorf("an entry of more than %d bytes", entryBytesMax)
		}
	}
	return b.String(), nil
}

// formatNumber reads "offset,width,base" and writes n so.
func formatNumber(n int64, modifier string) (string, error) {
	offset, rest, _ := strings.Cut(modifier, ",")
	width, base, _ := strings.Cut(rest, ",")
	off, err := strconv.ParseInt(offset, 10, 32)
	w := 0
	if err == nil && width != "" {
		w, err = strconv.Atoi(width)
	}
	if n += off; err != nil || w < 0 || w > 255 || n < 0 || n > math.MaxInt32 {
		return "", fmt.Errorf("${%s}: want ${offset,width,base}, width up to 255, and a number that is not negative", shorten(modifier))
	}
	switch base {
	case "", "d":
		return fmt.Sprintf("%0*d", w, n), nil
	case "o", "x", "X":
		return fmt.Sprintf("%0*"+base, w, n), nil
	case "n":
		return nibbles(fmt.Sprintf("%x", n), w), nil
	case "N":
		return nibbles(fmt.Sprintf("%X", n), w), nil
	}
	return "", fmt.Errorf("${%s}: base %q is none of d, o, x, X, n, N", shorten(modifier), base)
}

// nibbles writes hexadecimal digits as ip6.arpa has them; width counts digits and dots.
func nibbles(digits string, width int) string {
	var parts []string
	for i := len(digits) - 1; i >= 0; i-- {
		parts = append(parts, digits[i:i+1])
	}
	for len(parts)*2-1 < width {
		parts = append(parts, "0")
	}
	return strings.Join(parts, ".")
}
