package svg

import "strings"

// Namespaces (SVG 2, 5.1; XLink 1.1).
const (
	spaceSVG   = "http://www.w3.org/2000/svg"
	spaceXLink = "http://www.w3.org/1999/xlink"
)

// element says how an element of the SVG namespace is treated; one that has
// no entry is left out with all that is in it.
type element struct {
	as     string // written as; empty: under its own name
	weight int64  // of the cost, of one drawing of it without its children
	shape  bool   // is painted: fill, stroke and markers count once for each
	href   bool   // href names another element
}

// layer is the weight of what needs a picture of its own to be drawn into.
const layer = 50

var elements = map[string]element{
	"svg": {weight: 1}, "g": {weight: 1}, "defs": {weight: 1}, "symbol": {weight: 1}, "switch": {weight: 1},
	"a":      {weight: 1, as: "g"}, // its target is of no use in a picture
	"use":    {weight: 1, href: true},
	"path":   {weight: 1, shape: true},
	"rect":   {weight: 1, shape: true},
	"circle": {weight: 1, shape: true}, "ellipse": {weight: 1, shape: true},
	"line": {weight: 1, shape: true}, "polyline": {weight: 1, shape: true}, "polygon": {weight: 1, shape: true},
	"image":          {weight: layer, shape: true},
	"linearGradient": {weight: 1, href: true}, "radialGradient": {weight: 1, href: true}, "stop": {weight: 1},
	"pattern":  {weight: layer, href: true},
	"clipPath": {weight: 1}, "mask": {weight: layer}, "marker": {weight: 1},
	"filter":         {weight: layer},
	"feGaussianBlur": {weight: layer}, "feOffset": {weight: layer}, "feBlend": {weight: layer}, "feFlood": {weight: layer},
	"feColorMatrix": {weight: layer}, "feComposite": {weight: layer}, "feMerge": {weight: layer}, "feMergeNode": {weight: 1},
	"feDropShadow": {weight: 2 * layer}, "feComponentTransfer": {weight: layer},
	"feFuncR": {weight: 1}, "feFuncG": {weight: 1}, "feFuncB": {weight: 1}, "feFuncA": {weight: 1},
	"style": {},
}

// textual are elements that need fonts.
var textual = words("text tspan textPath tref altGlyph font-face glyph flowRoot")

// attributes that are not styles: geometry and what paint servers and filters
// are made of.
var attributes = words(`id class transform x y width height rx ry cx cy r x1 y1 x2 y2 d points pathLength viewBox
	preserveAspectRatio fx fy fr offset gradientUnits gradientTransform spreadMethod patternUnits patternContentUnits
	patternTransform clipPathUnits maskUnits maskContentUnits markerUnits markerWidth markerHeight orient refX refY
	filterUnits primitiveUnits in in2 result stdDeviation dx dy mode type values operator k1 k2 k3 k4 tableValues slope
	intercept amplitude exponent edgeMode version`)

// properties may stand in attributes, style attributes and style sheets.
var properties = words(`fill fill-opacity fill-rule stroke stroke-width stroke-opacity stroke-linecap stroke-linejoin
	stroke-miterlimit stroke-dasharray stroke-dashoffset opacity color display visibility overflow clip clip-path clip-rule
	mask mask-type filter marker marker-start marker-mid marker-end stop-color stop-opacity flood-color flood-opacity
	color-interpolation color-interpolation-filters shape-rendering image-rendering paint-order mix-blend-mode isolation
	enable-background vector-effect`)

// inherited are the properties with references that count for every shape
// below the element that has them.
var inherited = words("fill stroke marker marker-start marker-mid marker-end")

// functions may stand in values.
var functions = words("url rgb rgba hsl hsla matrix translate scale rotate skewx skewy rect")

func words(s string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(s) {
		set[w] = true
	}
	return set
}
