package images

import (
	"fmt"
	"slices"
)

// Catalogue is what names in a URL can mean: the presets and the watermarks of
// the configuration, parsed.
type Catalogue struct {
	Presets    map[string]Rendition
	Watermarks map[string]Watermark
}

// Catalogue parses the configuration's names. versions holds, by name, what
// tells one content of a watermark's file from the next; it may be nil.
func (c Config) Catalogue(versions map[string]string) (Catalogue, error) {
	presets, err := c.ParsePresets()
	if err != nil {
		return Catalogue{}, err
	}
	marks := make(map[string]Watermark, len(c.Watermarks))
	for name, source := range c.Watermarks {
		w, err := source.watermark(name)
		if err != nil {
			return Catalogue{}, fmt.Errorf("watermarks.%s: %w", name, err)
		}
		w.Version = versions[name]
		marks[name] = w
	}
	return Catalogue{Presets: presets, Watermarks: marks}, nil
}

// ParsePresets reads all presets, or names the first wrong one by its name.
// They are not normalised: a URL may add to them.
func (c Config) ParsePresets() (map[string]Rendition, error) {
	presets := make(map[string]Rendition, len(c.Presets))
	for name, spelling := range c.Presets {
		if !ValidName(name) {
			return nil, fmt.Errorf("presets.%s: a name is of a-z, 0-9, - and _ and begins with a letter", name)
		}
		if spelling == Whole {
			spelling = ""
		}
		r, err := Rendition{}.With(spelling)
		if err != nil {
			return nil, fmt.Errorf("presets.%s: %w", name, err)
		}
		if mark := r.Watermark.Name; mark != "" {
			if _, ok := c.Watermarks[mark]; !ok {
				return nil, fmt.Errorf("presets.%s: there is no watermark called %q", name, mark)
			}
		}
		presets[name] = r
	}
	return presets, nil
}

// Preset finds a preset by name.
func (c Catalogue) Preset(name string) (Rendition, error) {
	r, ok := c.Presets[name]
	if !ok {
		return r, Invalidf("preset", "there is no preset called %q", clip(name))
	}
	return r, nil
}

// Names lists the presets in the order of the alphabet.
func (c Catalogue) Names() []string {
	names := make([]string, 0, len(c.Presets))
	for name := range c.Presets {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Complete fills in what a name in the rendition stands for, and normalises
// it: the watermark's place where the URL gave none, and its version always.
func (c Catalogue) Complete(r Rendition) (Rendition, error) {
	if name := r.Watermark.Name; name != "" {
		known, ok := c.Watermarks[name]
		if !ok {
			return r, Invalidf("watermark", "there is no watermark called %q", clip(name))
		}
		if r.Watermark == (Watermark{Name: name}) {
			r.Watermark = known
		}
		r.Watermark.Version = known.Version
	}
	return r.Normal(), nil
}
