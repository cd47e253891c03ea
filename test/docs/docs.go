// Package docs runs what the documentation tells people to type, so that it
// stays true.
//
// Vocabulary: a block is a fenced piece of Markdown; its language is the first
// word after the fence. Blocks of a page with the language "sh" run in order in
// one shell, in a folder that looks like a checkout after ./setup build and
// ./setup up: bin/kamado, and a photograph at data/demo/originals/photos/1.jpg.
// A block "text" right after one holds lines that its output must contain, in
// that order; "…" in a line stands for anything. A block "console" is not run
// here: it holds what only a person or test/clean/run does, and every command
// in it must be one that test/clean/run knows.
//
// A comment "<!-- needs: … -->" names what a page cannot do without: programs,
// "root", "guest" (bin/guest, the parts of the machine image tiny), and "cloud":
// `kamado compute serve --data data`, which is then started first. A page that
// needs root runs in a network and a mount namespace of its own; without, its
// cloud is one whose guests only seem to run.
//
// Invariant: a page binds no fixed port. Ports 8701 to 8799 in the text become
// free ones, each the same everywhere on its page, and what a page leaves running is ended after it.
package docs

import (
	"fmt"
	"regexp"
	"strings"
)

// Block is one fenced block of a page.
type Block struct {
	Language string
	Text     string
	Line     int // of its first line in the page, from 1
}

// Blocks finds the fenced blocks of a page. An unclosed fence is an error,
// because everything after it would silently not be run.
func Blocks(page string) ([]Block, error) {
	var blocks []Block
	var open *Block
	for i, line := range strings.Split(page, "\n") {
		language, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open == nil:
			open = &Block{Language: language, Line: i + 2}
		case isFence:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.Text += line + "\n"
		}
	}
	if open != nil {
		return nil, fmt.Errorf("the block at line %d is not closed", open.Line)
	}
	return blocks, nil
}

// Missing gives the first line of want that does not come in output, after the
// lines before it; empty when all come.
func Missing(output, want string) string {
	lines := strings.Split(output, "\n")
	for _, w := range strings.Split(strings.TrimRight(want, "\n"), "\n") {
		pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(w)), "…", ".*") + "$"
		re := regexp.MustCompile(pattern)
		for len(lines) > 0 && !re.MatchString(strings.TrimSpace(lines[0])) {
			lines = lines[1:]
		}
		if len(lines) == 0 {
			return w
		}
		lines = lines[1:]
	}
	return ""
}

// Needs gives the words of a page's comment "<!-- needs: … -->".
func Needs(page string) []string {
	_, after, _ := strings.Cut(page, "<!-- needs:")
	words, _, found := strings.Cut(after, "-->")
	if !found {
		return nil
	}
	return strings.Fields(words)
}
