package svg

import (
	"math"
	"strconv"
	"strings"
)

// The size of a drawing that says none (CSS 2.2, 10.3.2), and the longest side
// that can be drawn, in pixels of CSS.
const (
	defaultWidth, defaultHeight = 300, 150
	sideMax                     = 32000
)

// units are lengths in pixels of CSS, 96 to the inch (CSS Values 3, 6.2).
var units = map[string]float64{"": 1, "px": 1, "pt": 96.0 / 72, "pc": 16, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96, "q": 96 / 101.6,
	"em": 16, "ex": 8}

// length reads a length; ok is false where there is none or it is a share.
func length(s string) (v float64, ok bool) {
	s = strings.TrimSpace(s)
	i := strings.LastIndexFunc(s, func(r rune) bool { return r >= '0' && r <= '9' || r == '.' }) + 1
	unit, known := units[strings.ToLower(strings.TrimSpace(s[i:]))]
	v, err := strconv.ParseFloat(s[:i], 64)
	return v * unit, err == nil && known && v > 0
}

// lengths are attributes and properties that hold lengths.
var lengths = words("x y width height rx ry cx cy r x1 y1 x2 y2 fx fy fr markerWidth markerHeight refX refY stroke-width stroke-dasharray stroke-dashoffset")

// inPixels writes lengths without units that depend on a resolution: what 1 mm
// is differs between renderers.
func inPixels(name, v string) string {
	if !lengths[name] || !strings.ContainsAny(v, "tcmniqTCMNIQ") {
		return v
	}
	fields := strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r' })
	for i, f := range fields {
		unit := strings.ToLower(strings.TrimLeft(f, "+-.0123456789eE"))
		number := strings.TrimSuffix(strings.ToLower(f), unit)
		factor, known := units[unit]
		n, err := strconv.ParseFloat(number, 64)
		if unit == "" || unit == "em" || unit == "ex" || !known || err != nil || math.Abs(n) > coordinateMax {
			continue
		}
		fields[i] = strconv.FormatFloat(n*factor, 'f', -1, 64)
	}
	return strings.Join(fields, " ")
}

// size is the width and height of a drawing, and the viewBox that goes with
// them (SVG 2, 8.2 and 8.12).
func size(attr map[string]string) (width, height float64, viewBox string, err error) {
	var box [4]float64
	fields := strings.FieldsFunc(attr["viewBox"], func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r' })
	boxed := len(fields) == 4
	for i := range fields[:min(len(fields), 4)] {
		v, parse := strconv.ParseFloat(fields[i], 64)
		box[i], boxed = v, boxed && parse == nil
		if math.Abs(v) > coordinateMax {
			return 0, 0, "", tooMuch("the viewBox is larger than %d", int(coordinateMax))
		}
	}
	boxed = boxed && box[2] > 0 && box[3] > 0
	width, hasWidth := length(attr["width"])
	height, hasHeight := length(attr["height"])
	switch {
	case hasWidth && hasHeight:
	case boxed && hasWidth:
		height = width * box[3] / box[2]
	case boxed && hasHeight:
		width = height * box[2] / box[3]
	case boxed:
		width, height = box[2], box[3]
	case hasWidth:
		height = defaultHeight
	case hasHeight:
		width = defaultWidth
	default:
		width, height = defaultWidth, defaultHeight
	}
	if !(width > 0 && height > 0 && width <= sideMax && height <= sideMax) {
		return 0, 0, "", tooMuch("a side is longer than %d pixels", sideMax)
	}
	if boxed {
		viewBox = strings.Join(fields, " ")
	}
	return max(width, 1), max(height, 1), viewBox, nil
}
