package browser

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// fill writes into a field as a person does, in the place of what is in it.
func (p *page) fill(selector, text string) {
	p.t.Helper()
	eval[bool](p, fmt.Sprintf("(() => { const e = document.querySelector(%q); e.focus(); e.select(); return true; })()", selector))
	p.keys(text)
}

// follow clicks what leads to another page, and waits for it.
func (p *page) follow(selector string) {
	p.t.Helper()
	// Clicked as an element, not at a place: a page that refreshes may move it in between.
	p.wait(selector, fmt.Sprintf("document.querySelector(%q) !== null", selector))
	eval[bool](p, fmt.Sprintf("window.left = false; setTimeout(() => document.querySelector(%q).click()); true", selector))
	p.wait("the page behind "+selector, "window.left === undefined && document.readyState === 'complete'")
}

// text is what an element says, with single blanks.
func (p *page) text(selector string) string {
	p.t.Helper()
	return strings.Join(strings.Fields(eval[string](p, fmt.Sprintf("document.querySelector(%q)?.textContent ?? ''", selector))), " ")
}

// launchOne launches an instance by the form and waits until it is on.
func (p *page) launchOne(w world, name string) {
	p.t.Helper()
	p.visit(w.console + "/machines#launch")
	p.fill("[name=name]", name)
	p.follow("#launch-button")
	p.wait(name+" to be on", "document.querySelector('#machine-live .state')?.textContent.includes('ACTIVE')")
}

func TestMachines(t *testing.T) {
	w := start(t)
	w.needsTiny(t)
	p := open(t, w.link, 1360, 900, false)
	p.visit(w.console + "/machines")
	if text := p.text("#machine-rows"); !strings.Contains(text, "No instances yet") {
		t.Errorf("the list of none says %q", text)
	}
	if !eval[bool](p, "document.getElementById('launch').open") {
		t.Error("with no instance, the form is closed")
	}

	// The line for a shell follows the form.
	p.fill("[name=name]", "kitchen stove")
	p.wait("the name in the line", "document.getElementById('launch-line').textContent.endsWith(\"--wait 'kitchen stove'\")")
	p.keys(kb.Enter) // launches: it must not be another button of the form
	p.wait("the instance to be on", "document.querySelector('#machine-live .state')?.textContent.includes('ACTIVE')")
	if heading := p.text("h1"); heading != "kitchen stove" {
		t.Errorf("the page is of %q", heading)
	}
	p.wait("the prompt in the log", "document.getElementById('console-log').textContent.includes('login:')")

	// It is reached by two clicks.
	p.follow("#button-float")
	p.follow("#button-ssh")
	if line := p.text("#ssh-line"); !strings.HasPrefix(line, "ssh root@172.24.") {
		t.Errorf("the line for ssh is %q", line)
	}

	// What is typed stays while the page refreshes, and so does the focus.
	p.fill("#do-snapshot [name=name]", "cold")
	eval[int](p, `(() => { const s = new CSSStyleSheet(); s.replaceSync("#console-log { max-height: 80px !important; }"); document.adoptedStyleSheets = [s];
		const e = document.getElementById("console-log"); e.scrollTop = 30; return e.scrollTop; })()`)
	before := p.text("#machine-live .facts dd:nth-of-type(7)")
	p.wait("a newer page", fmt.Sprintf("document.querySelector('#machine-live .facts dd:nth-of-type(7)').textContent !== %q", before))
	if got := eval[string](p, "document.activeElement.name + '=' + document.activeElement.value"); got != "name=cold" {
		t.Errorf("after a refresh the focused field holds %q, want name=cold", got)
	}
	if at := eval[int](p, "document.getElementById('console-log').scrollTop"); at != 30 {
		t.Errorf("a refresh scrolled the log from 30 to %d", at)
	}
	p.follow("#button-snapshot")
	p.wait("the snapshot", "!!document.querySelector('[aria-labelledby=snapshots] li a')")
	p.follow("[aria-labelledby=snapshots] li a")
	if chosen := eval[string](p, "document.querySelector('[name=image]').selectedOptions[0].textContent"); chosen != "cold" {
		t.Errorf("the form's image is %q, want the snapshot", chosen)
	}
	p.fill("[name=name]", "copy")
	p.follow("#launch-button")
	p.wait("the copy to be on", "document.querySelector('#machine-live .state')?.textContent.includes('ACTIVE')")

	p.visit(w.console + "/machines")
	p.wait("a sparkline", "document.querySelectorAll('#machine-rows polyline').length === 2")
	p.wait("some points of it", "[...document.querySelectorAll('#machine-rows polyline')].every((l) => l.points.numberOfItems > 4)")
	p.do(chromedp.EmulateViewport(1360, 640))
	p.picture("instances.png")
	p.do(chromedp.EmulateViewport(1360, 900))

	// The map says who has which address, and stays open.
	p.visit(w.console + "/machines/networks")
	p.do(chromedp.Focus(chromedp.CSS("details summary")), chromedp.KeyEvent(kb.Enter))
	p.wait("the list of addresses", "document.querySelector('details').open")
	for _, name := range []string{"kitchen stove", "copy"} {
		if !eval[bool](p, fmt.Sprintf("[...document.querySelectorAll('.map .cell.instance')].some((c) => c.title.endsWith(': %s'))", name)) {
			t.Errorf("the map has no %s", name)
		}
	}
	eval[bool](p, "document.getElementById('network-maps').addEventListener('htmx:afterSwap', () => { window.refreshed = true; }); true")
	p.wait("a refresh", "window.refreshed")
	if !eval[bool](p, "document.querySelector('details').open") {
		t.Error("a refresh closed the list of addresses")
	}

	// Escape leaves the instance alone; the answer deletes it.
	p.visit(w.console + "/machines")
	p.follow("#machine-rows tbody a")
	p.click("#button-delete")
	p.wait("the question", "document.querySelector('dialog').open")
	p.keys(kb.Escape)
	p.wait("the question to go", "!document.querySelector('dialog').open")
	p.click("#button-delete")
	p.wait("the question", "document.querySelector('dialog').open")
	p.follow("#confirm-yes")
	p.wait("the instance to be gone", "document.querySelectorAll('#machine-rows tbody tr').length === 1")
	p.quiet()
}

// A display leads to another address than the console's: the policy must let
// the form go there.
func TestDisplayOpens(t *testing.T) {
	w := start(t)
	w.needsTiny(t)
	p := open(t, w.link, 1360, 900, false)
	p.launchOne(w, "screen")
	for _, kind := range []string{"vnc", "serial"} {
		at := eval[string](p, "location.href")
		eval[bool](p, fmt.Sprintf("document.getElementById('open-%s').removeAttribute('target'); true", kind))
		p.click("#button-" + kind)
		p.wait("the "+kind+" console", "location.pathname.startsWith('/console/') && document.getElementById('status')?.textContent.startsWith('Connected')")
		p.visit(at)
	}
	p.quiet()
}

func TestRefusalKeepsTheForm(t *testing.T) {
	w := start(t)
	w.needsTiny(t)
	p := open(t, w.link, 1360, 900, false)
	p.visit(w.console + "/machines")
	p.fill("[name=name]", "crowd")
	p.fill("[name=count]", "20")
	p.follow("#launch-button")
	if text := p.text(".problem"); !strings.Contains(text, "quota does not allow this") {
		t.Errorf("twenty instances: the page says %q", text)
	}
	if got := eval[string](p, "document.querySelector('[name=name]').value + ' ' + document.querySelector('[name=count]').value"); got != "crowd 20" {
		t.Errorf("the form holds %q, want what was filled in", got)
	}
}

func TestMachineImageIsUploaded(t *testing.T) {
	w := start(t)
	p := open(t, w.link, 1360, 900, false)
	p.visit(w.console + "/machines/images")
	// More than a form may have, made in the page.
	eval[bool](p, `(() => { const t = new DataTransfer(); t.items.add(new File([new Uint8Array(3 << 20)], "empty-disk.raw"));
		const f = document.querySelector("#upload [name=file]"); f.files = t.files; return f.dispatchEvent(new Event("change")); })()`)
	p.click("#upload .button")
	p.wait("the upload's end", "document.getElementById('upload-state').textContent === 'It is there.'")
	p.wait("the image in the list", "[...document.querySelectorAll('#image-rows th')].some((e) => e.textContent.trim() === 'empty-disk')")
	p.quiet()
}

// A page that nobody sees asks for nothing.
func TestHiddenPagesDoNotPoll(t *testing.T) {
	w := start(t)
	p := open(t, w.link, 1360, 900, false)
	p.visit(w.console + "/machines/hosts")
	got := eval[string](p, `new Promise((done) => {
		let asked = 0, tried = 0;
		addEventListener("htmx:beforeSend", () => { asked++; }, true);
		addEventListener("htmx:beforeRequest", () => { if (++tried === 2) queueMicrotask(() => {
			const hidden = asked;
			Object.defineProperty(document, "hidden", { value: false, configurable: true });
			addEventListener("htmx:beforeSend", () => done(hidden + " then " + asked), { capture: true, once: true });
			document.dispatchEvent(new Event("visibilitychange"));
		}); }, true);
		Object.defineProperty(document, "hidden", { value: true, configurable: true });
	})`)
	if got != "0 then 1" {
		t.Errorf("a hidden page asked %s times, want 0, and 1 when it is seen", got)
	}
	p.quiet()
}

// Pages fit everybody, by the rules of axe-core, and a phone.
func TestAccessibility(t *testing.T) {
	rules, err := os.ReadFile("../../.cache/browser/node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Skip("needs axe-core (./setup test installs it where npm is)")
	}
	w := start(t)
	w.needsTiny(t)
	p := open(t, w.link, 420, 900, true)
	p.launchOne(w, "one")
	pages := []string{strings.TrimPrefix(eval[string](p, "location.href"), w.console)}
	pages = append(pages, "/", "/images", "/images/playground?key=photos/dune.jpg", "/images/presets", "/images/traffic", "/images/stats", "/images/orders",
		"/machines", "/machines#launch", "/machines/images", "/machines/networks", "/machines/hosts", "/machines/projects", "/nowhere")
	for _, path := range pages {
		p.fits(w, path, string(rules))
	}
}

// fits visits a page and demands that axe-core finds nothing, and that it is no wider than a phone.
func (p *page) fits(w world, path, rules string) {
	p.t.Helper()
	p.visit(w.console + path)
	eval[bool](p, "(() => {"+rules+"\n})(); true")
	found := eval[[]string](p, `axe.run(document).then((r) => r.violations.flatMap((v) => v.nodes.map((n) => v.id + ": " + v.help + " " + n.target)))`)
	for _, violation := range found {
		p.t.Errorf("%s: %s", path, violation)
	}
	if wide := eval[int](p, "document.documentElement.scrollWidth"); wide > 420 {
		p.t.Errorf("%s is %d wide on a phone of 420", path, wide)
	}
}
