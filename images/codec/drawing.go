package codec

import (
	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/svg"
)

// harmless gives what of a file goes to a worker: of a drawing what package
// svg leaves of it, of everything else all. Drawings are refused where the
// pool was not told to read them.
func (p *Pool) harmless(data []byte, f images.Format) ([]byte, error) {
	if f != images.SVG {
		return data, nil
	}
	if !p.c.SVG {
		return nil, images.Errorf(images.Unprocessable, "the original is a drawing (SVG), and drawings are not shown here: they are turned on by the configuration")
	}
	if len(data) == 0 {
		return nil, images.Errorf(images.Unprocessable, "the original is empty")
	}
	d, err := svg.Clean(data, svg.Limits{})
	return d.Data, err
}
