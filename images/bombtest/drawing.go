package bombtest

import (
	"encoding/base64"
	"fmt"
	"strings"
)

func svgOf(inner string) []byte {
	return []byte(`<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="100" height="100">` + inner + `</svg>`)
}

// laughs: each step refers ten times to the one before. step writes the
// element, given its number, and inner a reference to another.
func laughs(levels int, step func(i int, ten string) string, inner func(i int) string) []byte {
	var b strings.Builder
	for i := range levels {
		b.WriteString(step(i, strings.Repeat(inner(i-1), 10)))
	}
	b.WriteString(inner(levels - 1))
	return svgOf(b.String())
}

func drawings() []Bomb {
	rect := `<rect width="9" height="9"/>`
	return []Bomb{
		{Name: "svg: billion laughs", Make: func() []byte {
			var b strings.Builder
			b.WriteString("<!DOCTYPE svg [<!ENTITY a0 \"ha\">")
			for i := 1; i < 10; i++ {
				fmt.Fprintf(&b, "<!ENTITY a%d \"%s\">", i, strings.Repeat(fmt.Sprintf("&a%d;", i-1), 10))
			}
			return append([]byte(b.String()+"]>"), svgOf("<desc>&a9;</desc>")...)
		}},
		{Name: "svg: one long entity a thousand times", Make: func() []byte {
			return append([]byte(`<!DOCTYPE svg [<!ENTITY a "`+strings.Repeat("a", 1<<20)+`">]>`), svgOf("<desc>"+strings.Repeat("&a;", 1000)+"</desc>")...)
		}},
		{Name: "svg: entity of another file", Make: func() []byte {
			return append([]byte(`<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///dev/zero">]>`), svgOf("<desc>&a;</desc>")...)
		}},
		{Name: "svg: use of use", Make: func() []byte {
			return laughs(10, func(i int, ten string) string { return fmt.Sprintf(`<g id="a%d">%s%s</g>`, i, ten, rect) },
				func(i int) string { return fmt.Sprintf(`<use xlink:href="#a%d"/>`, i) })
		}},
		{Name: "svg: pattern of pattern", Make: func() []byte {
			return laughs(10, func(i int, ten string) string {
				return fmt.Sprintf(`<pattern id="a%d" width="9" height="9" patternUnits="userSpaceOnUse">%s%s</pattern>`, i, ten, rect)
			}, func(i int) string { return fmt.Sprintf(`<rect width="9" height="9" fill="url(#a%d)"/>`, i) })
		}},
		{Name: "svg: mask of mask", Make: func() []byte {
			return laughs(10, func(i int, ten string) string { return fmt.Sprintf(`<mask id="a%d">%s%s</mask>`, i, ten, rect) },
				func(i int) string { return fmt.Sprintf(`<rect width="9" height="9" mask="url(#a%d)"/>`, i) })
		}},
		{Name: "svg: clip of clip", Make: func() []byte {
			return laughs(10, func(i int, ten string) string { return fmt.Sprintf(`<clipPath id="a%d">%s%s</clipPath>`, i, ten, rect) },
				func(i int) string { return fmt.Sprintf(`<rect width="9" height="9" clip-path="url(#a%d)"/>`, i) })
		}},
		{Name: "svg: marker of marker", Make: func() []byte {
			return laughs(10, func(i int, ten string) string { return fmt.Sprintf(`<marker id="a%d">%s%s</marker>`, i, ten, rect) },
				func(i int) string { return fmt.Sprintf(`<path d="M0 0h9v9" marker-mid="url(#a%d)"/>`, i) })
		}},
		{Name: "svg: a filter of layers on layers", Make: func() []byte {
			return svgOf(`<filter id="f">` + strings.Repeat(`<feGaussianBlur stdDeviation="9"/>`, 100) + `</filter>` + strings.Repeat(`<rect width="9" height="9" filter="url(#f)"/>`, 100))
		}},
		{Name: "svg: draws itself", Make: func() []byte { return svgOf(`<g id="a"><use xlink:href="#a"/></g>`) }},
		{Name: "svg: 100,000 deep", Make: func() []byte { return svgOf(strings.Repeat("<g>", 100_000)) }},
		{Name: "svg: 100,000 deep in what is left out", Make: func() []byte { return svgOf("<metadata>" + strings.Repeat("<g>", 100_000)) }},
		{Name: "svg: a million elements", Make: func() []byte { return svgOf(strings.Repeat("<g/>", 1_000_000)) }},
		{Name: "svg: a file of 16 MB", Make: func() []byte { return svgOf(strings.Repeat(" ", 16<<20)) }},
		{Name: "svg: box of 10^9", Make: func() []byte {
			return []byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000000000 1000000000"/>`)
		}},
		{Name: "svg: 30000x30000", Make: func() []byte { return []byte(`<svg xmlns="http://www.w3.org/2000/svg" width="30000" height="30000"/>`) }},
		{Name: "svg: not a number of pixels", Make: func() []byte { return []byte(`<svg xmlns="http://www.w3.org/2000/svg" width="1e400" height="9e99"/>`) }},
		{Name: "svg: a PNG of 30000x30000 inside", Make: func() []byte {
			b := pngOf(ihdr(30000, 30000, 8, 6, 0), chunk("IDAT", zeros(1<<20)), chunk("IEND", nil))
			return svgOf(`<image width="9" height="9" xlink:href="data:image/png;base64,` + base64.StdEncoding.EncodeToString(b) + `"/>`)
		}},
		{Name: "svg: a thousand PNGs inside", Make: func() []byte {
			b := pngOf(ihdr(3000, 3000, 1, 0, 0), chunk("IDAT", zeros(3000*376)), chunk("IEND", nil))
			return svgOf(strings.Repeat(`<image width="9" height="9" xlink:href="data:image/png;base64,`+base64.StdEncoding.EncodeToString(b)+`"/>`, 1000))
		}},
		{Name: "svg: texts that inflate inside", Harmless: true, Make: func() []byte {
			b := smallPNG(repeated(100, chunk("zTXt", join([]byte("a\x00\x00"), zeros(10<<20)))))
			return svgOf(`<image width="9" height="9" xlink:href="data:image/png;base64,` + base64.StdEncoding.EncodeToString(b) + `"/>`)
		}},
		{Name: "svg: dashes without number", Harmless: true, Make: func() []byte {
			return svgOf(`<path d="M0 0h9999999v9999999" stroke="#000" stroke-dasharray=".000001"/>`)
		}},
		{Name: "svg: turbulence", Harmless: true, Make: func() []byte {
			return svgOf(`<filter id="f"><feTurbulence baseFrequency=".5" numOctaves="999999"/></filter><rect width="99" height="99" filter="url(#f)"/>`)
		}},
		{Name: "svg: fourteen thousand rules", Make: func() []byte { return svgOf("<style>" + strings.Repeat(".a .b .c{fill:red}", 14_000) + "</style>") }},
		{Name: "svg: script", Harmless: true, Make: func() []byte { return svgOf(`<script>for(;;);</script>` + rect) }},
	}
}
