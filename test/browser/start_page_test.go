package browser

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// guestsRun says why a real guest cannot be booted by a short test here; empty: it can.
func guestsRun() string {
	if _, err := os.Stat(filepath.Join(guestParts, "manifest.json")); err != nil {
		return "the parts of the machine image tiny are missing (./setup build gathers them)"
	}
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		return "QEMU is not installed"
	}
	if os.Getuid() != 0 {
		return "only root makes networks that lead to a guest"
	}
	return ""
}

// done waits until a step of the first five minutes is green.
func (p *page) done(step string) {
	p.t.Helper()
	p.wait("the step "+step+" to be done", fmt.Sprintf("document.getElementById(%q)?.classList.contains('done')", step))
}

// TestFirstFiveMinutes does what the console tells a person to do first: two tabs in the plaza, a picture, a hat, a node that is killed, and a guest.
// No step is ticked off: each turns green because it happened.
func TestFirstFiveMinutes(t *testing.T) {
	var environ []string
	why := guestsRun()
	if why == "" {
		environ = append(environ, realGuests)
	}
	w := start(t, environ...)
	p := open(t, w.link, 1360, 900, false)
	p.wait("the link to lead to the first five minutes", "location.pathname === '/start'")
	if n := eval[int](p, "document.querySelectorAll('.step.done').length"); n != 0 {
		t.Errorf("%d steps are done before anything was", n)
	}
	if at := eval[string](p, "document.getElementById('to-plaza').href"); at != w.game+"/plaza/" {
		t.Errorf("the plaza is at %s, the page leads to %s", w.game+"/plaza/", at)
	}

	ann := p.another(w.game+"/plaza/", 1280, 800)
	ann.meets(1)
	p.wait("one to be there", "document.getElementById('meet-seen').textContent.includes(': 1')")
	bob := p.another(w.game+"/plaza/", 1280, 800)
	bob.meets(2)
	p.done("meet")

	putUpPicture(p, ann)
	if wrong := p.text("#start-sum"); wrong != "0" {
		t.Errorf("before anything was bought all accounts are %s", wrong)
	}
	ann.wait("points", "document.getElementById('points-text').textContent === '500'")
	buyHat(t, &gameNode{url: w.game, data: w.data}, ann)
	p.done("shop")
	if text := p.text("#shop-seen"); !strings.Contains(text, "straw, for 120 points") {
		t.Errorf("of the purchase the page says %q", text)
	}
	if sum := p.text("#start-sum"); sum != "0" {
		t.Errorf("after a purchase all accounts are %s", sum)
	}
	ann.goes("plaza")
	bob.meets(2)

	killNode(p, ann, bob)
	bootGuest(p, w, why)
	p.quiet()
}

// putUpPicture has a player choose a picture, and looks at it in two sizes.
func putUpPicture(p, player *page) {
	p.t.Helper()
	player.click("#me")
	player.wait("the wardrobe", "!!document.getElementById('picture-file')")
	eval[bool](player, `(async () => { const c = new OffscreenCanvas(600, 600), g = c.getContext("2d"); g.fillStyle = "#c2452d"; g.fillRect(0, 0, 600, 600); g.fillStyle = "#ffd875"; g.fillRect(150, 150, 300, 300);
		const blob = await c.convertToBlob({ type: "image/png" }), t = new DataTransfer(); t.items.add(new File([blob], "me.png", { type: "image/png" }));
		const f = document.getElementById("picture-file"); f.files = t.files; return f.dispatchEvent(new Event("change")); })()`)
	player.wait("the picture", "document.querySelector('dialog .frame img')?.naturalWidth === 160")
	player.click("#wear")
	p.done("picture")
	p.wait("the picture in the page", "document.querySelector('.shown img')?.naturalWidth === 96 && document.querySelector('[data-shown]').textContent.startsWith('96 × 96 pixels')")
	eval[bool](p, `(() => { const r = document.querySelector(".shown input"); r.value = 240; return r.dispatchEvent(new Event("input", { bubbles: true })); })()`)
	p.wait("another size", "document.querySelector('.shown img').naturalWidth === 240 && document.querySelector('[data-shown]').textContent.startsWith('240 × 240 pixels')")
}

// killNode starts a node beside the first, sees both players there, kills it, and sees them and the names come back.
func killNode(p, ann, bob *page) {
	p.t.Helper()
	p.click("#button-node")
	p.wait("the players on the other node", "document.querySelector('#stage-node-b td')?.textContent === '2' && !document.getElementById('button-kill-node-b').disabled")
	for _, q := range []*page{ann, bob} {
		q.wait("to be on the other node", "client.node === 'node-b' && plaza.scene.actors.size === 2")
	}
	if text := p.text("#stage-node-b"); !strings.Contains(text, "node-b.world.kamado.test 127.0.0.1") {
		p.t.Errorf("of the second node the page says %q", text)
	}
	if n := eval[int](p, "document.querySelectorAll('#world-answers code').length"); n != 2 {
		p.t.Errorf("the world's name has %d nodes, want 2: %s", n, p.text("#world-answers"))
	}
	uid := eval[string](ann, "client.uid")
	p.click("#button-kill-node-b")
	p.done("node")
	p.t.Log(p.text("#moments"))
	for moment, want := range map[string]string{"names": "node-b.world.kamado.test left the answers", "world": "_nodes.world.kamado.test had only the living", "back": "2, were back after"} {
		if text := p.text("#moment-" + moment); !strings.Contains(text, want) {
			p.t.Errorf("after the kill the page says %q, want %q", text, want)
		}
	}
	for _, q := range []*page{ann, bob} {
		q.wait("to be back", "client.node !== 'node-b' && client.online && plaza.scene.actors.size === 2")
	}
	if now := eval[string](ann, "client.uid"); now != uid {
		p.t.Errorf("user %s came back as %s", uid, now)
	}
}

// bootGuest boots a guest and waits for its name; where none runs, the page must say so.
func bootGuest(p *page, w world, why string) {
	p.t.Helper()
	if why != "" {
		if state := p.text("#guest-state"); state != "Off here" || p.text("#guest .why") == "" {
			p.t.Errorf("no guest runs here, and the page says %q: %q", state, p.text("#guest .why"))
		}
		p.t.Log("no guest was booted: " + why)
		return
	}
	p.wait("a machine image", "document.getElementById('button-guest')?.disabled === false")
	p.follow("#button-guest")
	p.done("guest")
	name := p.text("#guest-answer")
	if name == "" || !strings.Contains(p.text("#guest .facts"), "guest.kamado.vm.kamado.test") {
		p.t.Errorf("the guest is at %q: %s", name, p.text("#guest .facts"))
	}
	p.follow("#button-reach")
	p.wait("how to log in", "document.getElementById('guest-ssh')?.textContent.startsWith('ssh root@')")
}

// TestWorldPages looks at who is where, kicks somebody, and asks for the protocol and a report.
func TestWorldPages(t *testing.T) {
	w := start(t)
	p := open(t, w.link, 1360, 900, false)
	ann := p.another(w.game+"/plaza/", 1280, 800)
	ann.meets(1)
	p.visit(w.console + "/world")
	p.wait("the copy", "!!document.getElementById('copy-plaza.1')")
	p.wait("the connection", "document.querySelectorAll('[id^=connection-]').length === 1")
	p.fill("#notice-form [name=text]", "the rice is ready")
	p.follow("#button-notice")
	ann.wait("the notice", "document.body.textContent.includes('the rice is ready')")
	if text := p.text(".note"); text != "Everybody was told." {
		t.Errorf("after a notice the page says %q", text)
	}

	p.follow("[id='copy-plaza.1'] a")
	p.wait("the spot", "document.querySelectorAll('.spot circle').length === 1")
	at := eval[string](p, "document.querySelector('.spot circle').getAttribute('cx')")
	ann.press("ArrowRight", 500)
	p.wait("the spot to move", fmt.Sprintf("document.querySelector('.spot circle').getAttribute('cx') !== %q", at))

	p.visit(w.console + "/world")
	uid := eval[string](ann, "client.uid")
	eval[bool](p, fmt.Sprintf("document.querySelector(\"form[action='/world/connections/%s/kick'] button\").click(); true", uid))
	p.wait("the question", "document.querySelector('dialog').open")
	p.follow("#confirm-yes")
	if text := p.text(".note"); text != "The connection has ended." {
		t.Errorf("after a kick the page says %q", text)
	}

	p.visit(w.console + "/protocol")
	p.wait("the example", "document.querySelectorAll('.frames li').length === 4")
	p.fill("#hex", "06 0a 02 0a 02 68 69 ff")
	p.wait("what was pasted", "document.querySelectorAll('.frames li').length === 1 && document.querySelector('.frames').textContent.includes('\"hi\"')")
	p.keys("\b\b")
	p.fill("#find-command [name=q]", "whisper")
	p.wait("the commands that are found", "document.querySelectorAll('.commands li').length > 0 && document.querySelectorAll('.commands li').length < 6")

	// Events reach the log's Parquet within seconds at the latest; the figures may be 0 before.
	p.visit(w.console + "/reports")
	if n := eval[int](p, "document.querySelectorAll('.bars-by-day').length"); n != 4 {
		t.Errorf("the report has %d plots, want 4", n)
	}
	if kind := eval[string](p, "fetch(document.getElementById('as-html').href).then((r) => r.text())"); !strings.Contains(kind, "<svg") {
		t.Error("the report as a file has no plots")
	}
	p.quiet()
	p.fitsLightAndDark(w)
}

// fitsLightAndDark asks axe-core about the pages of the world: each in one scheme, and in both in the long form.
func (p *page) fitsLightAndDark(w world) {
	p.t.Helper()
	rules, err := os.ReadFile("../../.cache/browser/node_modules/axe-core/axe.min.js")
	if err != nil {
		p.t.Log("axe-core is not here (./setup test installs it where npm is)")
		return
	}
	bob := p.another(w.game+"/plaza/", 800, 600)
	bob.meets(1)
	p.do(chromedp.EmulateViewport(420, 900))
	all := os.Getenv("KAMADO_TEST_ALL") != ""
	for i, scheme := range []string{"light", "dark"} {
		media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
		if _, err := chromedp.Call(p, emulation.SetEmulatedMedia, media); err != nil {
			p.t.Fatal(err)
		}
		for j, path := range []string{"/start", "/world", "/world/areas/plaza.1", "/reports", "/protocol?q=say"} {
			if all || i == j%2 {
				p.fits(w, path, string(rules))
			}
		}
	}
}
