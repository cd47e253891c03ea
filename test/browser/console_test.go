package browser

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// shown is what stands on the playground's stage.
type shown struct {
	Options       string
	Width, Height int // of the picture that the browser decoded
	Bytes         int
}

// stage waits until the picture of the given options is there.
func (p *page) stage(options string) shown {
	p.t.Helper()
	p.wait("the picture of "+options, fmt.Sprintf("document.getElementById('play').dataset.shown === %q", options))
	return eval[shown](p, `(() => { const i = document.getElementById('picture'), d = document.getElementById('play').dataset;
		return { Options: d.shown, Width: i.naturalWidth, Height: i.naturalHeight, Bytes: +d.renderedBytes }; })()`)
}

// slide sets a slider as a drag does.
func (p *page) slide(name string, value int) {
	p.t.Helper()
	eval[bool](p, fmt.Sprintf(`(() => { const r = document.getElementById('%s-range'); r.value = %d; return r.dispatchEvent(new Event('input', { bubbles: true })); })()`, name, value))
}

// choose clicks a choice by its value.
func (p *page) choose(name, value string) {
	p.t.Helper()
	p.click(fmt.Sprintf(`input[name="%s"][value="%s"]`, name, value))
}

func TestPlayground(t *testing.T) {
	w := start(t)
	p := open(t, w.link, 1440, 1010, false)
	p.visit(w.console + "/images/playground?key=photos/nuthatch.jpg")

	first := p.stage("w:640,h:480,fit:crop,q:75,format:jpeg")
	if first.Width != 640 || first.Height != 480 {
		t.Errorf("the first picture is %dx%d, want 640x480", first.Width, first.Height)
	}
	if url := eval[string](p, "document.getElementById('url').dataset.url"); !strings.Contains(url, "/photos/nuthatch.jpg/640x480cq75/any.jpg?s=") {
		t.Errorf("its URL is %s, want a signed TOFU URL", url)
	}
	if legend := eval[string](p, "document.getElementById('legend').textContent"); !strings.Contains(legend, "decode") || !strings.Contains(legend, "encode") {
		t.Errorf("the time by stage is %q, want decoding and encoding in it", legend)
	}
	// The documentation's picture is taken when nothing else is being made, and of what was not made before.
	p.wait("the strip", "[...document.querySelectorAll('.strip img')].every((i) => i.complete && i.naturalWidth > 0)")
	p.slide("q", 72)
	p.stage("w:640,h:480,fit:crop,q:72,format:jpeg")
	p.picture("playground.png")
	p.slide("q", 75)
	first = p.stage("w:640,h:480,fit:crop,q:75,format:jpeg")

	p.slide("w", 320)
	if got := p.stage("w:320,h:480,fit:crop,q:75,format:jpeg"); got.Width != 320 || got.Height != 480 || got.Bytes == first.Bytes {
		t.Errorf("after the width's slider moved the picture is %+v, want it 320x480 and of another size in bytes", got)
	}
	p.choose("fit", "inside")
	inside := p.stage("w:320,h:480,q:75,format:jpeg")
	if inside.Width != 320 || inside.Height >= 480 {
		t.Errorf("fitted inside 320x480 the picture is %+v, want it lower", inside)
	}
	p.slide("q", 20)
	if got := p.stage("w:320,h:480,q:20,format:jpeg"); got.Bytes >= inside.Bytes {
		t.Errorf("at quality 20 the picture has %d bytes, at 75 %d", got.Bytes, inside.Bytes)
	}
	p.choose("format", "png")
	if got := p.stage("w:320,h:480,format:png"); got.Bytes <= inside.Bytes {
		t.Errorf("as PNG the photograph has %d bytes, as JPEG %d", got.Bytes, inside.Bytes)
	}
	if !eval[bool](p, "document.getElementById('q-range').disabled") {
		t.Error("PNG leaves the quality's slider on")
	}

	// By keyboard: a step to the right, then start again.
	p.choose("format", "jpeg")
	p.stage("w:320,h:480,q:20,format:jpeg")
	p.do(chromedp.Focus(chromedp.CSS("#w-range")), chromedp.KeyEvent(kb.ArrowRight))
	if got := p.stage("w:321,h:480,q:20,format:jpeg"); got.Width != 321 {
		t.Errorf("an arrow key made the picture %d wide, want 321", got.Width)
	}
	if at := eval[string](p, "location.search"); !strings.Contains(at, "w=321") {
		t.Errorf("the page's own address %s does not keep the width", at)
	}
	p.do(chromedp.Reload())
	p.stage("w:321,h:480,q:20,format:jpeg")
	p.click("button[type=reset]")
	p.stage("w:640,h:480,fit:crop,q:75,format:jpeg")
	p.quiet()
}

func TestPlaygroundForAReader(t *testing.T) {
	w := start(t)
	p := open(t, w.console+"/images/playground?key=photos/stream.jpg", 420, 900, true)
	if got := p.stage("w:640,h:480,fit:crop,q:75,format:jpeg"); got.Width != 640 {
		t.Errorf("a reader's picture is %+v", got)
	}
	if url := eval[string](p, "document.getElementById('url').dataset.url"); strings.Contains(url, "?s=") {
		t.Errorf("a reader is given the signed URL %s", url)
	}
	if eval[bool](p, "document.getElementById('unsigned').hidden") {
		t.Error("the page does not say that the URL needs a signature")
	}
	if wide := eval[int](p, "document.documentElement.scrollWidth"); wide > 420 {
		t.Errorf("on a phone of 420 the page is %d wide", wide)
	}
	p.quiet()
}

func TestGallery(t *testing.T) {
	w := start(t)
	p := open(t, w.console+"/images", 1360, 900, false)
	all := fmt.Sprintf("document.querySelectorAll('.photo img').length === %d", len(photographs))
	p.wait("all originals", all)
	p.wait("the thumbnails in sight", "[...document.querySelectorAll('.photo img')].slice(0, 8).every((i) => i.complete && i.naturalWidth === 480 && i.naturalHeight === 360)")
	if broken := eval[int](p, "document.querySelectorAll('.broken').length"); broken != 0 {
		t.Errorf("%d originals cannot be shown", broken)
	}

	// The key / leads to the filter; typing leaves what begins so.
	p.keys("/")
	p.keys("photos/d")
	p.wait("what begins with photos/d", "document.querySelectorAll('.photo img').length === 3")
	p.keys("andelion")
	p.wait("what begins with photos/dandelion", "document.querySelectorAll('.photo img').length === 1")
	p.click(".photo")
	p.stage("w:640,h:480,fit:crop,q:75,format:jpeg")
	p.quiet()
}

func TestOverviewIsLive(t *testing.T) {
	w := start(t)
	p := open(t, w.console+"/", 1360, 940, true)
	p.wait("a sample in every chart", "[...document.querySelectorAll('[data-value]')].every((v) => /[0-9]/.test(v.textContent))")
	if n := eval[int](p, "document.querySelectorAll('.chart canvas').length"); n != 4 {
		t.Errorf("the overview draws %d charts, want 4", n)
	}
	if text := eval[string](p, "document.querySelector('.table tbody tr').textContent"); !strings.Contains(text, "Ready") || strings.Contains(text, "Not ready") {
		t.Errorf("the first service is %q, want pictures ready", text) // machines wait for their first image
	}
	// Requests are counted while the page is open.
	eval[bool](p, `Promise.all([...Array(20).keys()].map((i) => fetch("/pictures/w:" + (100 + i) + "/photos/dune.jpg"))).then(() => true)`)
	p.wait("the requests in the chart", "parseFloat(document.querySelector('[data-chart=requests] [data-value]').textContent) > 0")
	p.quiet()
}

func TestThemeIsKept(t *testing.T) {
	w := start(t)
	p := open(t, w.console+"/images/stats", 1360, 900, false)
	ground := "getComputedStyle(document.body).backgroundColor"
	light := eval[string](p, ground)
	p.click("[data-theme-toggle]")
	dark := eval[string](p, ground)
	if dark == light {
		t.Fatalf("the theme's switch leaves the ground %s", light)
	}
	p.visit(w.console + "/images/presets")
	if got := eval[string](p, ground); got != dark {
		t.Errorf("on the next page the ground is %s, want %s", got, dark)
	}
	p.quiet()
}
