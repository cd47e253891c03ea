package svg_test

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"strings"
	"testing"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/svg"
)

const open = `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 40 30">`

func draw(inner string) string { return open + inner + "</svg>" }

// dataURL is a picture of a size as a drawing carries it.
func dataURL(t testing.TB, kind string, w, h int) string {
	t.Helper()
	var b bytes.Buffer
	m, err := image.NewGray(image.Rect(0, 0, w, h)), error(nil)
	if kind == "png" {
		err = png.Encode(&b, m)
	} else {
		err = jpeg.Encode(&b, m, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return "data:image/" + kind + ";base64," + base64.StdEncoding.EncodeToString(b.Bytes())
}

func clean(t *testing.T, text string) string {
	t.Helper()
	d, err := svg.Clean([]byte(text), svg.Limits{})
	if err != nil {
		t.Fatalf("%v\n%.300s", err, text)
	}
	return string(d.Data)
}

// TestWhatIsLeftOut: nothing that runs, listens, fetches or hides is in what
// comes out; the path beside it is.
func TestWhatIsLeftOut(t *testing.T) {
	for _, c := range []struct{ name, inner, never string }{
		{"script", `<script>alert(1)</script>`, "alert"},
		{"script of another prefix", `<x:script xmlns:x="http://www.w3.org/2000/svg">alert(1)</x:script>`, "alert"},
		{"HTML", `<foreignObject><body xmlns="http://www.w3.org/1999/xhtml"><script>alert(1)</script></body></foreignObject>`, "alert"},
		{"event attribute", `<g onclick="alert(1)" ONLOAD="alert(2)"/>`, "alert"},
		{"animation of a reference", `<use xlink:href="#p"><set attributeName="xlink:href" to="http://evil/x.svg#a"/></use>`, "evil"},
		{"link", `<a xlink:href="javascript:alert(1)"><path d="M0 0"/></a>`, "alert"},
		{"use of another file", `<use xlink:href="http://evil/x.svg#a"/>`, "evil"},
		{"use of another file, plain", `<use href="//evil/x.svg#a"/>`, "evil"},
		{"picture of another file", `<image href="file:///etc/passwd" width="1" height="1"/>`, "passwd"},
		{"drawing inside", `<image href="data:image/svg+xml;base64,PHN2Zy8+" width="1" height="1"/>`, "data:"},
		{"picture that is none", `<image href="data:image/png;base64,AAAA" width="1" height="1"/>`, "data:"},
		{"picture in a filter", `<filter id="f"><feImage href="http://evil/"/></filter>`, "evil"},
		{"paint of another file", `<rect fill="url(http://evil/#a)" width="1" height="1"/>`, "evil"},
		{"paint in a style", `<rect style="fill:url('http://evil/#a');stroke:red" width="1"/>`, "evil"},
		{"escaped style", `<rect style="fill:u\72l(http://evil/#a)"/>`, "evil"},
		{"commented style", `<rect style="fill:u/**/rl(http://evil/#a)"/>`, "evil"},
		{"cursor", `<rect style="cursor:url(http://evil/c.cur)"/>`, "evil"},
		{"import", `<style>@import url(http://evil/a.css); .a{fill:red}</style>`, "evil"},
		{"import with quotes", `<style>@import 'http://evil/a.css';</style>`, "evil"},
		{"font face", `<style>@font-face{font-family:x;src:url(http://evil/f.woff)} .a{fill:red}</style>`, "evil"},
		{"media with rules in it", `<style>@media all{.a{fill:url(http://evil/#x)}} .b{fill:red}</style>`, "evil"},
		{"rule with another file", `<style>.a{fill:url(http://evil/#x);stroke:red}</style>`, "evil"},
		{"rule cut off", `<style>.a{fill:url(http://evil/#x)</style>`, "evil"},
		{"style sheet closed early", `<style><![CDATA[.a{fill:red}</style><script>evil</script>]]></style>`, "<script"},
		{"style sheet by instruction", `<?xml-stylesheet href="http://evil/a.css"?>`, "evil"},
		{"handler", `<handler type="application/ecmascript">evil()</handler>`, "evil"},
		{"metadata", `<metadata><rdf:RDF xmlns:rdf="x">evil</rdf:RDF></metadata>`, "evil"},
		{"other namespace", `<sodipodi:namedview xmlns:sodipodi="http://sodipodi" evil="1"/>`, "evil"},
		{"base", `<g xml:base="http://evil/"/>`, "evil"},
		{"comment", `<!-- evil -->`, "evil"},
		{"title", `<title>evil</title><desc>evil</desc>`, "evil"},
		{"fine dashes", `<path d="M0 0h9" stroke-dasharray="0.00001"/>`, "dasharray"},
		{"huge coordinate", `<path d="M0 0h123456789"/>`, "123456789"},
		{"exponent", `<path d="M0 0h1e300"/>`, "1e300"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := clean(t, draw(c.inner+`<path id="p" d="M1 2L3 4z" fill="red"/>`))
			if strings.Contains(out, c.never) {
				t.Errorf("%q is in %s", c.never, out)
			}
			if !strings.Contains(out, `<path id="p" d="M1 2L3 4z" fill="red"></path>`) {
				t.Errorf("the path is not in %s", out)
			}
			if again := clean(t, out); again != out {
				t.Errorf("cleaned twice:\n%s\n%s", out, again)
			}
		})
	}
}

// TestWhatIsKept: what a drawing is made of comes through.
func TestWhatIsKept(t *testing.T) {
	for _, c := range []struct{ name, inner, want string }{
		{"gradient", `<linearGradient id="a" xlink:href="#b"><stop offset="0" style="stop-color:#fff"/></linearGradient><linearGradient id="b"/>`,
			`<linearGradient id="a" xlink:href="#b"><stop offset="0" style="stop-color:#fff"></stop></linearGradient>`},
		{"use", `<g id="g"/><use href="#g" x="3" transform="rotate(30 1 1)"/>`, `<use x="3" transform="rotate(30 1 1)" xlink:href="#g"></use>`},
		{"paint by name", `<rect id="r" fill="url(#r2) red" width="1"/>`, `fill="url(#r2) red"`},
		{"paint with quotes", `<rect style="fill : url( '#r2' ) ; x:y"/>`, `style="fill:url( '#r2' )"`},
		{"style sheet", `<style type="text/css"><![CDATA[ /* a */ .st0 , g > .b { fill:#FF0000 !important; behavior:url(#x) } ]]></style>`, `<style>.st0,g &gt; .b{fill:#FF0000}</style>`},
		{"filter", `<filter id="f" x="-10%"><feGaussianBlur in="SourceAlpha" stdDeviation="2"/></filter>`, `<feGaussianBlur in="SourceAlpha" stdDeviation="2">`},
		{"link's content", `<a href="http://x/"><circle r="1"/></a>`, `<g><circle r="1"></circle></g>`},
		{"lengths", `<rect x="1in" y="50%" width="72pt" rx="1em" style="stroke-width:25.4mm;stroke-dasharray:1in,6pt"/>`,
			`<rect x="96" y="50%" width="96" rx="1em" style="stroke-width:96;stroke-dasharray:96 8">`},
		{"dashes", `<path d="M0,0 1.5.5-3" stroke-dasharray="5, 3"/>`, `stroke-dasharray="5, 3"`},
		{"small numbers", `<path d="M0 0h1e-9"/>`, `1e-9`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if out := clean(t, draw(c.inner)); !strings.Contains(out, c.want) {
				t.Errorf("%s\nis not in\n%s", c.want, out)
			}
		})
	}
	for _, kind := range []string{"png", "jpeg"} {
		url := dataURL(t, kind, 5, 4)
		if out := clean(t, draw(`<image width="5" height="4" href="`+url+`"/>`)); !strings.Contains(out, url) {
			t.Errorf("a %s inside is gone: %s", kind, out)
		}
	}
}

func TestSize(t *testing.T) {
	for _, c := range []struct {
		attributes    string
		width, height float64
	}{
		{`width="40" height="30"`, 40, 30},
		{`width="1in" height="25.4mm"`, 96, 96},
		{`viewBox="0 0 40 30"`, 40, 30},
		{`viewBox="0,0,40,30" width="80"`, 80, 60},
		{`viewBox="0 0 40 30" height="60px"`, 80, 60},
		{`viewBox="0 0 40 30" width="100%" height="100%"`, 40, 30},
		{``, 300, 150},
		{`width="0" height="-3"`, 300, 150},
		{`viewBox="0 0 0 30"`, 300, 150},
		{`width="0.2" height="30"`, 1, 30},
	} {
		d, err := svg.Clean([]byte(`<svg xmlns="http://www.w3.org/2000/svg" `+c.attributes+`/>`), svg.Limits{})
		if err != nil || d.Width != c.width || d.Height != c.height {
			t.Errorf("%s: %vx%v, %v; want %vx%v", c.attributes, d.Width, d.Height, err, c.width, c.height)
		}
	}
}

// chain is a drawing in which each element uses the one before ten times.
func chain(levels int) string {
	var b strings.Builder
	b.WriteString(`<g id="a0"><path d="M0 0h1v1z"/></g>`)
	for i := 1; i <= levels; i++ {
		fmt.Fprintf(&b, `<g id="a%d">%s</g>`, i, strings.Repeat(fmt.Sprintf(`<use xlink:href="#a%d"/>`, i-1), 10))
	}
	return draw(b.String())
}

// reused: a reference of one kind in each step instead of use.
func reused(levels int, make func(i int) string) string {
	var b strings.Builder
	for i := range levels {
		b.WriteString(make(i))
	}
	return draw(b.String())
}

func TestWhatIsRefused(t *testing.T) {
	for _, c := range []struct {
		name, text string
		kind       images.Kind
	}{
		{"entities", `<!DOCTYPE svg [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]>` + draw(`<path d="&b;"/>`), images.Unprocessable},
		{"outside entity", `<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]>` + draw(`<path d="&a;"/>`), images.Unprocessable},
		{"unknown entity", draw(`<path d="&nbsp;"/>`), images.Unprocessable},
		{"document type inside", draw(`<!DOCTYPE x [<!ENTITY a "b">]>`), images.Unprocessable},
		{"text", draw(`<text>hello</text>`), images.Unprocessable},
		{"text in a definition", draw(`<defs><g><text>hello</text></g></defs>`), images.Unprocessable},
		{"another document", `<html xmlns="http://www.w3.org/1999/xhtml"/>`, images.Unprocessable},
		{"svg of another namespace", `<svg xmlns="http://example.com/"/>`, images.Unprocessable},
		{"another encoding", `<?xml version="1.0" encoding="UTF-16"?>` + draw(""), images.Unprocessable},
		{"cut off", open + `<g>`, images.Unprocessable},
		{"nothing", ``, images.Unprocessable},
		{"wrong order of ends", open + `<g></svg></g>`, images.Unprocessable},
		{"uses itself", draw(`<g id="a"><use href="#a"/></g>`), images.Unprocessable},
		{"uses itself on a detour", draw(`<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g>`), images.Unprocessable},
		{"pattern painted with itself", draw(`<pattern id="p"><rect fill="url(#p)"/></pattern>`), images.Unprocessable},
		{"pattern painted with itself by class", draw(`<style>.a{fill:url(#p)}</style><pattern id="p"><rect class="a"/></pattern>`), images.Unprocessable},
		{"billion laughs with use", chain(9), images.TooLarge},
		{"billion laughs with patterns", reused(12, func(i int) string {
			return fmt.Sprintf(`<pattern id="p%d">%s</pattern>`, i, strings.Repeat(fmt.Sprintf(`<rect fill="url(#p%d)"/>`, i-1), 10)) + fmt.Sprintf(`<rect fill="url(#p%d)"/>`, i)
		}), images.TooLarge},
		{"billion laughs with masks", reused(12, func(i int) string {
			return fmt.Sprintf(`<mask id="p%d">%s</mask>`, i, strings.Repeat(fmt.Sprintf(`<rect mask="url(#p%d)"/>`, i-1), 10)) + fmt.Sprintf(`<rect mask="url(#p%d)"/>`, i)
		}), images.TooLarge},
		{"pattern inherited by many", draw(`<pattern id="p">` + strings.Repeat(`<rect/>`, 500) + `</pattern><g fill="url(#p)">` + strings.Repeat(`<rect/>`, 1000) + `</g>`), images.TooLarge},
		{"marker at every corner", draw(`<marker id="m">` + strings.Repeat(`<rect/>`, 50) + `</marker><path marker-mid="url(#m)" d="M0 0` + strings.Repeat("h1", 9000) + `"/>`), images.TooLarge},
		{"deep", draw(strings.Repeat("<g>", 200) + strings.Repeat("</g>", 200)), images.TooLarge},
		{"deep in what is left out", draw("<metadata>" + strings.Repeat("<g>", 200) + strings.Repeat("</g>", 200) + "</metadata>"), images.TooLarge},
		{"deep by references", reused(400, func(i int) string { return fmt.Sprintf(`<g id="a%d"><use href="#a%d"/></g>`, i, i-1) }), images.TooLarge},
		{"many elements", draw(strings.Repeat("<g/>", 60_000)), images.TooLarge},
		{"many rules", draw("<style>" + strings.Repeat(".a{fill:red}", 3000) + "</style>"), images.TooLarge},
		{"huge", `<svg xmlns="http://www.w3.org/2000/svg" width="1000000" height="1000000"/>`, images.TooLarge},
		{"huge by its box", `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 999999 9"/>`, images.TooLarge},
		{"many pixels inside", draw(`<image href="` + dataURL(t, "png", 5000, 4000) + `"/>`), images.TooLarge},
		{"many bytes", draw("<!-- " + strings.Repeat("x", 5<<20) + "-->"), images.TooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := svg.Clean([]byte(c.text), svg.Limits{})
			var known *images.Error
			if !errors.As(err, &known) || known.Kind != c.kind || known.Detail == "" {
				t.Errorf("got kind %v: %v; want %v", images.KindOf(err), err, c.kind)
			}
		})
	}
}

// harmless walks what was written with another eye than the cleaner's.
func harmless(t *testing.T, out []byte) {
	t.Helper()
	if i := bytes.Index(out, []byte("<!")); i >= 0 {
		t.Fatalf("a declaration at %d: %s", i, out)
	}
	d := xml.NewDecoder(bytes.NewReader(out))
	for {
		token, err := d.Token()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatalf("not well formed: %v\n%s", err, out)
		}
		switch token := token.(type) {
		case xml.ProcInst:
			t.Fatalf("an instruction: %s", out)
		case xml.CharData:
			inert(t, string(token))
		case xml.StartElement:
			for _, never := range []string{"script", "foreignObject", "text", "set", "feImage", "a", "iframe"} {
				if strings.EqualFold(token.Name.Local, never) || token.Name.Space != "http://www.w3.org/2000/svg" {
					t.Fatalf("element %v in %s", token.Name, out)
				}
			}
			for _, a := range token.Attr {
				switch {
				case a.Name.Space == "xmlns", a.Name.Local == "xmlns":
				case a.Name.Local == "href":
					if !strings.HasPrefix(a.Value, "#") && !strings.HasPrefix(a.Value, "data:image/png;") && !strings.HasPrefix(a.Value, "data:image/jpeg;") {
						t.Fatalf("reference to %q in %s", a.Value, out)
					}
				case strings.HasPrefix(strings.ToLower(a.Name.Local), "on"):
					t.Fatalf("event %s in %s", a.Name.Local, out)
				default:
					inert(t, a.Value)
				}
			}
		}
	}
}

// inert: no style fetches anything.
func inert(t *testing.T, s string) {
	t.Helper()
	lower := strings.ToLower(s)
	for rest := lower; ; {
		_, after, found := strings.Cut(rest, "url(")
		if !found {
			break
		}
		if !strings.HasPrefix(strings.TrimLeft(after, " \t\r\n\"'"), "#") {
			t.Fatalf("url( in %q", s)
		}
		rest = after
	}
	for _, never := range []string{"@", "\\", "expression(", "javascript:", "image(", "image-set("} {
		if strings.Contains(lower, never) {
			t.Fatalf("%s in %q", never, s)
		}
	}
}

// FuzzClean: what comes out is harmless, and is left as it is when it is
// cleaned again.
func FuzzClean(f *testing.F) {
	f.Add([]byte(draw(`<style>.a,b>c{fill:url(#x)}</style><g id="a" class="a b" style="fill:red"><use href="#x"/></g><path id="x" d="M0 0z"/>`)))
	f.Add([]byte(draw(`<image href="` + dataURL(f, "png", 2, 2) + `"/><a href="x"><rect width="3" onclick="x"/></a><script>x</script>`)))
	f.Add([]byte(`<?xml version="1.0"?><!DOCTYPE svg><svg width="3mm"><g xmlns="http://www.w3.org/2000/svg"/></svg>`))
	f.Add([]byte(`<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>`))
	f.Add([]byte(chain(2)))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := svg.Clean(data, svg.Limits{})
		if err != nil {
			var known *images.Error
			if !errors.As(err, &known) || known.Kind != images.Unprocessable && known.Kind != images.TooLarge {
				t.Fatalf("error %v", err)
			}
			return
		}
		harmless(t, d.Data)
		again, err := svg.Clean(d.Data, svg.Limits{Bytes: 64 << 20})
		if err != nil || !bytes.Equal(again.Data, d.Data) || again.Width != d.Width || again.Height != d.Height {
			t.Fatalf("cleaned twice: %v\n%s\n%s", err, d.Data, again.Data)
		}
	})
}
