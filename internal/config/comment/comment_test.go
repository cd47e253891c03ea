package comment

import (
	"maps"
	"reflect"
	"testing"
)

// settings is what the test reads the comments of.
type settings struct {
	// Where things are kept.
	// On this machine.
	Data string `toml:"data"`
	Size int    `toml:"size"` // How many.

	Inner inner `toml:"inner"`
	// Chosen by name.
	Places map[string]inner  `toml:"places"`
	Plain  map[string]inner  `toml:"plain"`
	Words  map[string]string `toml:"words"` // Names for words.
	Silent bool              `toml:"silent"`
	hidden bool
	Skip   bool `toml:"-"` // Not a setting.
}

// inner is a part.
type inner struct {
	// How deep.
	Depth int `toml:"depth"`
}

func TestExtract(t *testing.T) {
	got, err := Extract(reflect.TypeOf(settings{hidden: true}), "../../..", "github.com/kamado/kamado")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"data":           "Where things are kept.\nOn this machine.",
		"size":           "How many.",
		"inner":          "inner is a part.",
		"inner.depth":    "How deep.",
		"places.*":       "Chosen by name.",
		"places.*.depth": "How deep.",
		"plain.*":        "inner is a part.",
		"plain.*.depth":  "How deep.",
		"words":          "Names for words.",
	}
	if !maps.Equal(got, want) {
		t.Errorf("Extract = %q, want %q", got, want)
	}
}
