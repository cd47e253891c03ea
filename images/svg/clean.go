package svg

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/kamado/kamado/images"
)

// Limits bound what a drawing may be. Zero values mean the defaults.
type Limits struct {
	Bytes        int   // of the file; 0: 4 MiB
	Elements     int   // in the file, those that are left out included; 0: 30,000
	Depth        int   // of elements inside each other; 0: 100
	Cost         int64 // elements drawn once references are followed, those that need a layer as 50; 0: 200,000
	Inside       int   // bytes of all pictures inside; 0: 4 MiB
	InsidePixels int64 // of all pictures inside; 0: 16,000,000
}

func (l Limits) withDefaults() Limits {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.Bytes, 4<<20)
	set(&l.Elements, 30_000)
	set(&l.Depth, 100)
	set(&l.Inside, 4<<20)
	if l.Cost == 0 {
		l.Cost = 200_000
	}
	if l.InsidePixels == 0 {
		l.InsidePixels = 16_000_000
	}
	return l
}

// Drawing is a drawing that may be drawn.
type Drawing struct {
	Data          []byte  // the file as Clean wrote it
	Width, Height float64 // its own size in pixels of CSS; 1..32,000
}

// Clean reads an SVG file and gives what may be drawn of it. The error is an
// *images.Error: Unprocessable for what is no drawing or is not shown,
// TooLarge for what is over a limit. data is only read.
func Clean(data []byte, l Limits) (Drawing, error) {
	l = l.withDefaults()
	if len(data) > l.Bytes {
		return Drawing{}, tooMuch("the drawing has more than %d bytes", l.Bytes)
	}
	// Each element has one or two of these; so what is far too much is not
	// even read.
	if bytes.Count(data, []byte("<")) > 2*l.Elements+1000 {
		return Drawing{}, tooMuch("the drawing has more than %d elements", l.Elements)
	}
	w := &walk{limits: l, xml: xml.NewDecoder(bytes.NewReader(data)), ids: map[string]int{}}
	if err := w.document(); err != nil {
		return Drawing{}, err
	}
	c := costs{nodes: w.nodes, ids: w.ids, sheet: &w.sheet}
	if err := c.total(0); err != nil {
		return Drawing{}, err
	}
	if c.nodes[0].cost > l.Cost {
		return Drawing{}, tooMuch("drawing it takes more than %d elements", int(l.Cost))
	}
	return Drawing{Data: w.file(), Width: w.width, Height: w.height}, nil
}

func refused(text string) error { return images.Errorf(images.Unprocessable, "%s", text) }

func tooMuch(format string, bound any) error {
	return &images.Error{Op: "clean drawing", Kind: images.TooLarge, Part: "svg", Detail: fmt.Sprintf(format, bound)}
}

// walk is the way through one file.
type walk struct {
	limits Limits
	xml    *xml.Decoder
	bare   bool // the file names no namespace at all

	root          string // attributes of the outermost element
	width, height float64
	body          bytes.Buffer
	sheet         sheet
	nodes         []node
	ids           map[string]int
	seen          int // elements
	insideBytes   int
	insidePixels  int64
}

func (w *walk) token() (xml.Token, error) {
	t, err := w.xml.Token()
	var syntax *xml.SyntaxError
	switch {
	case err == nil:
		return t, nil
	case errors.Is(err, io.EOF):
		return nil, refused("the file is no drawing: it ends too early")
	case errors.As(err, &syntax) && strings.Contains(syntax.Msg, "entity"):
		return nil, images.Wrap(images.Unprocessable, "clean drawing", "drawings with entities are not read", err)
	case strings.Contains(err.Error(), "encoding"):
		return nil, images.Wrap(images.Unprocessable, "clean drawing", "drawings are read in UTF-8 only", err)
	}
	return nil, images.Wrap(images.Unprocessable, "clean drawing", "the original is not an SVG file that can be read", err)
}

// document reads up to the end of the outermost element.
func (w *walk) document() error {
	for {
		t, err := w.token()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.Directive:
			// A document type by name alone is a custom; one with
			// declarations is how a kilobyte becomes a gigabyte.
			if !bytes.HasPrefix(t, []byte("DOCTYPE")) || bytes.ContainsAny(t, "[") {
				return refused("drawings with entities are not read")
			}
		case xml.StartElement:
			w.bare = t.Name.Space == ""
			if t.Name.Local != "svg" || !w.ours(t.Name.Space) {
				return refused("the file is no drawing: it begins with the element " + strconv.QuoteToASCII(t.Name.Local[:min(len(t.Name.Local), 40)]))
			}
			return w.outermost(t)
		}
	}
}

func (w *walk) ours(space string) bool { return space == spaceSVG || w.bare && space == "" }

func (w *walk) outermost(t xml.StartElement) error {
	given := map[string]string{}
	kept := t
	kept.Attr = nil
	for _, a := range t.Attr {
		if a.Name.Space == "" {
			switch a.Name.Local {
			case "width", "height", "viewBox":
				given[a.Name.Local] = a.Value
				continue
			case "x", "y":
				continue
			}
		}
		kept.Attr = append(kept.Attr, a)
	}
	var box string
	var err error
	if w.width, w.height, box, err = size(given); err != nil {
		return err
	}
	w.seen = 1
	n, written, _, err := w.attributes(kept, elements["svg"])
	if err != nil {
		return err
	}
	w.nodes = append(w.nodes, n)
	w.name(0)
	w.root = fmt.Sprintf(` width="%s" height="%s"`, number(w.width), number(w.height))
	if box != "" {
		w.root += ` viewBox="` + box + `"`
	}
	w.root += written
	return w.children(0, 1)
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// name registers the identity of a node; the first of equals counts.
func (w *walk) name(i int) {
	if id := w.nodes[i].id; id != "" {
		if _, taken := w.ids[id]; !taken {
			w.ids[id] = i
		}
	}
}

// children reads up to the end of an element and keeps what may be in it.
func (w *walk) children(parent, depth int) error {
	for {
		t, err := w.token()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.Directive:
			return refused("drawings with entities are not read")
		case xml.EndElement:
			return nil
		case xml.StartElement:
			if err := w.element(t, parent, depth+1); err != nil {
				return err
			}
		}
	}
}

// count counts an element in, or says that it is one too many.
func (w *walk) count(depth int) error {
	if w.seen++; w.seen > w.limits.Elements {
		return tooMuch("the drawing has more than %d elements", w.limits.Elements)
	}
	if depth > w.limits.Depth {
		return tooMuch("elements are nested more than %d deep", w.limits.Depth)
	}
	return nil
}

func (w *walk) element(t xml.StartElement, parent, depth int) error {
	if err := w.count(depth); err != nil {
		return err
	}
	if w.ours(t.Name.Space) && textual[t.Name.Local] {
		return refused("the drawing has text, which needs the fonts of the machine: turn it into paths")
	}
	kind, known := elements[t.Name.Local]
	if !known || !w.ours(t.Name.Space) {
		return w.skip(depth)
	}
	if t.Name.Local == "style" {
		return w.style(depth)
	}
	n, written, keep, err := w.attributes(t, kind)
	if err != nil {
		return err
	}
	if !keep {
		return w.skip(depth)
	}
	i := len(w.nodes)
	w.nodes = append(w.nodes, n)
	w.nodes[parent].children = append(w.nodes[parent].children, i)
	w.name(i)
	w.body.WriteString("<" + n.name + written + ">")
	if err := w.children(i, depth); err != nil {
		return err
	}
	w.body.WriteString("</" + n.name + ">")
	return nil
}

// skip reads up to the end of an element that is left out.
func (w *walk) skip(depth int) error {
	for inner := depth; ; {
		t, err := w.token()
		if err != nil {
			return err
		}
		switch t.(type) {
		case xml.Directive:
			return refused("drawings with entities are not read")
		case xml.StartElement:
			inner++
			if err := w.count(inner); err != nil {
				return err
			}
		case xml.EndElement:
			if inner == depth {
				return nil
			}
			inner--
		}
	}
}

func (w *walk) style(depth int) error {
	var text strings.Builder
	for {
		t, err := w.token()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.CharData:
			text.Write(t)
		case xml.StartElement:
			if err := w.skip(depth + 1); err != nil {
				return err
			}
		case xml.EndElement:
			return w.sheet.add(text.String())
		}
	}
}

// file puts the parts together.
func (w *walk) file() []byte {
	var b bytes.Buffer
	b.Grow(w.body.Len() + 512)
	b.WriteString(`<svg xmlns="` + spaceSVG + `" xmlns:xlink="` + spaceXLink + `"` + w.root + `>`)
	if len(w.sheet.rules) > 0 {
		b.WriteString("<style>")
		for _, rule := range w.sheet.rules {
			b.WriteString(escaped.Replace(rule))
		}
		b.WriteString("</style>")
	}
	b.Write(w.body.Bytes())
	b.WriteString("</svg>")
	return b.Bytes()
}

// escaped is text for an element or for an attribute in double quotes.
var escaped = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "\t", " ", "\n", " ", "\r", " ")
