package console

import (
	"embed"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

//go:embed text/*.toml
var textFiles embed.FS

// catalogue is every text of one language, by key.
type catalogue map[string]string

// loadCatalogue reads the texts of a language.
func loadCatalogue(language string) (catalogue, error) {
	data, err := textFiles.ReadFile("text/" + language + ".toml")
	if err != nil {
		return nil, fmt.Errorf("texts of %s: %w", language, err)
	}
	var tree map[string]any
	if err := toml.Unmarshal(data, &tree); err != nil {
		return nil, fmt.Errorf("texts of %s: %w", language, err)
	}
	c := catalogue{}
	c.flatten("", tree)
	return c, nil
}

func (c catalogue) flatten(prefix string, tree map[string]any) {
	for key, v := range tree {
		switch v := v.(type) {
		case string:
			c[prefix+key] = v
		case map[string]any:
			c.flatten(prefix+key+".", v)
		}
	}
}

// text gives the text of a key with {0}, {1}, ... replaced by the arguments. A
// key that has no text is an error, which the tests find: every page is
// rendered by one.
func (c catalogue) text(key string, args ...any) (string, error) {
	s, ok := c[key]
	if !ok {
		return "", fmt.Errorf("there is no text %q", key)
	}
	for i, arg := range args {
		s = strings.ReplaceAll(s, fmt.Sprintf("{%d}", i), fmt.Sprint(arg))
	}
	return s, nil
}

// word gives the text of a word that a service said, and the word itself where
// there is none: a service may be newer than its console.
func (c catalogue) word(prefix, word string) string {
	if s, ok := c[prefix+word]; ok {
		return s
	}
	return word
}

// under gives the texts whose keys begin with a prefix, without it: what a
// script of the page is given.
func (c catalogue) under(prefix string) map[string]string {
	part := map[string]string{}
	for key, s := range c {
		if rest, ok := strings.CutPrefix(key, prefix+"."); ok {
			part[rest] = s
		}
	}
	return part
}
