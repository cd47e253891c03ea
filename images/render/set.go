package render

import (
	"context"

	"github.com/kamado/kamado/images"
)

// Outcome is what became of one rendition of a set.
type Outcome struct {
	Result Result // valid when Err is nil
	Err    error  // one of those of Render
}

// RenderSet makes several renditions of one original, in the order of wants,
// from as few decodes as they need. An error of one is not an error of the others.
// What a rendition of a set looks like does not depend on the set; its bytes
// may.
func (r *Renderer) RenderSet(ctx context.Context, src []byte, wants []images.Rendition) []Outcome {
	out := make([]Outcome, len(wants))
	for i, want := range wants {
		out[i].Result, out[i].Err = r.Render(ctx, src, want)
	}
	return out
}
