package program

import (
	"errors"
	"strings"
)

// Bounds of a command's text.
const (
	wordsMax = 64
	textMax  = 4096 // bytes
)

// Split reads words that are separated by spaces. Single quotes keep everything
// between them; inside double quotes, and outside of quotes, a backslash keeps
// the character after it. Nothing is expanded.
func Split(text string) ([]string, error) {
	if len(text) > textMax {
		return nil, errors.New("longer than 4096 bytes")
	}
	if strings.IndexByte(text, 0) >= 0 {
		return nil, errors.New("a zero byte cannot be passed to a program")
	}
	var words []string
	var word strings.Builder
	inWord, quote := false, byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && quote != '\'':
			if i++; i == len(text) {
				return nil, errors.New("ends after a backslash")
			}
			inWord = true
			word.WriteByte(text[i])
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, inWord = c, true
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		default:
			inWord = true
			word.WriteByte(c)
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote is not closed")
	}
	if inWord {
		words = append(words, word.String())
	}
	if len(words) > wordsMax {
		return nil, errors.New("more than 64 words")
	}
	return words, nil
}

// Join writes words so that Split reads them again.
func Join(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		if w == "" || strings.ContainsAny(w, " \t\n\r'\"\\") {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		quoted[i] = w
	}
	return strings.Join(quoted, " ")
}

// Parse reads a command: the absolute path of a program and its arguments.
func Parse(text string) (Command, error) {
	words, err := Split(text)
	if err != nil {
		return Command{}, err
	}
	if len(words) == 0 || !strings.HasPrefix(words[0], "/") {
		return Command{}, errors.New("want the absolute path of a program, then its arguments: /usr/local/bin/check --fast")
	}
	return Command{Path: words[0], Args: words[1:]}, nil
}
