package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/kamado/kamado/game/plaza"
	"github.com/kamado/kamado/game/plaza/plazatest"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/internal/porttest"
)

// gameNode is a running "kamado game serve".
type gameNode struct {
	url  string // scheme and host
	data string
	kill func() // at once, as if its machine had lost power
}

// serveGame starts a server of players on a free port.
func serveGame(t *testing.T, flags ...string) *gameNode {
	t.Helper()
	built, err := program()
	if err != nil {
		t.Fatal(err)
	}
	n := &gameNode{data: t.TempDir(), url: fmt.Sprintf("http://127.0.0.1:%d", porttest.Free(t))}
	cmd := exec.Command(built, append([]string{"game", "serve", "--http", strings.TrimPrefix(n.url, "http://"), "--data", n.data}, flags...)...)
	cmd.Dir = t.TempDir()
	var talk strings.Builder
	cmd.Stdout, cmd.Stderr = &talk, &talk
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }() // how it ends is the test's business
	n.kill = func() { _ = cmd.Process.Kill(); <-ended }
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		<-ended
		if t.Failed() {
			t.Logf("kamado game serve %v:\n%s", flags, &talk)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for tick := time.Tick(50 * time.Millisecond); ; {
		if res, err := http.Get(n.url + "/readyz"); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return n
			}
		}
		select {
		case <-tick:
		case <-ended:
			t.Fatalf("kamado game serve ended:\n%s", &talk)
		case <-ctx.Done():
			t.Fatalf("kamado game serve is not ready:\n%s", &talk)
		}
	}
}

// sum is what all entries of the ledger add up to.
func (n *gameNode) sum(t *testing.T) (sum int64) {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(n.data, "operator.token"))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url+"/v1/points/sum", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var said struct{ Sum *int64 }
	if err := json.NewDecoder(res.Body).Decode(&said); err != nil || said.Sum == nil {
		t.Fatalf("the sum: %v, %d", err, res.StatusCode)
	}
	return *said.Sum
}

// another opens an address in a tab that shares nothing with the first one but the browser.
func (p *page) another(url string, width, height int64) *page {
	p.t.Helper()
	ctx, stop := chromedp.NewContext(p.Context, chromedp.WithNewBrowserContext())
	q := &page{Context: ctx, t: p.t}
	messages := chromedp.Console(ctx)
	var listening sync.WaitGroup
	listening.Go(func() { q.listen(messages) })
	p.t.Cleanup(func() { stop(); listening.Wait() })
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media); err != nil {
		p.t.Fatal(err)
	}
	q.do(chromedp.EmulateViewport(width, height), chromedp.Navigate(url))
	return q
}

// line is a wire between browsers and a server that can be cut.
type line struct {
	url string

	mu    sync.Mutex
	conns []net.Conn // guarded by mu
}

func lineTo(t *testing.T, n *gameNode) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{url: "http://" + listener.Addr().String()}
	var running sync.WaitGroup
	t.Cleanup(func() { listener.Close(); l.cut(); running.Wait() })
	running.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", strings.TrimPrefix(n.url, "http://"))
			if err != nil {
				near.Close()
				continue
			}
			l.mu.Lock()
			l.conns = append(l.conns, near, far)
			l.mu.Unlock()
			for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
				running.Go(func() {
					_, _ = io.Copy(way[0], way[1]) // until one side ends
					way[0].Close()
					way[1].Close()
				})
			}
		}
	})
	return l
}

// cut ends all connections; new ones are let through.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		c.Close()
	}
	l.conns = nil
}

// say types into the chat.
func (p *page) say(text string) {
	p.t.Helper()
	p.click("#say")
	p.keys(text + "\r")
}

// hears waits until the chat has a text so many times.
func (p *page) hears(text string, times int) {
	p.t.Helper()
	p.wait(fmt.Sprintf("%q in the chat", text), fmt.Sprintf("[...document.querySelectorAll('#log p')].filter((l) => l.textContent.includes(%q)).length === %d", text, times))
}

// meets waits until so many avatars are in sight.
func (p *page) meets(n int) {
	p.t.Helper()
	p.wait(fmt.Sprintf("%d avatars", n), fmt.Sprintf("!!globalThis.plaza?.scene.own && plaza.scene.actors.size === %d", n))
}

// goes enters an area by its button.
func (p *page) goes(area string) {
	p.t.Helper()
	p.click("#areas [data-area=" + area + "]")
	p.wait("the "+area, fmt.Sprintf("document.querySelector('#areas [aria-current]')?.dataset.area === %q && !!plaza.scene.own", area))
}

// press holds a key down for some time.
func (p *page) press(code string, ms int) {
	p.t.Helper()
	eval[bool](p, fmt.Sprintf(`(async () => { const e = (t) => document.body.dispatchEvent(new KeyboardEvent(t, { code: %q, key: %q, bubbles: true }));
		e("keydown"); await new Promise((r) => setTimeout(r, %d)); return e("keyup") || true; })()`, code, code, ms))
}

// TestTwoMeetInThePlaza has two browsers on a real server: they see each other walk, talk, whisper, make gestures and buy a hat, and the
// connection of one is cut.
func TestTwoMeetInThePlaza(t *testing.T) {
	n := serveGame(t)
	cable := lineTo(t, n)
	ann := open(t, cable.url+"/plaza/", 1280, 800, false)
	ann.meets(1)
	bob := ann.another(n.url+"/plaza/", 1280, 800)
	ann.meets(2)
	bob.meets(2)
	annUID, bobUID := eval[string](ann, "client.uid"), eval[string](bob, "client.uid")
	if annUID == bobUID {
		t.Fatalf("both windows are user %s", annUID)
	}
	seen := func(uid string) string {
		return fmt.Sprintf("[...plaza.scene.actors.values()].find((a) => a.uid === %q)", uid)
	}

	// Walking: the own avatar moves at once, the other sees it.
	before := eval[float64](bob, seen(annUID)+".pose.x")
	ann.press("ArrowRight", 700)
	if own := eval[float64](ann, "plaza.scene.own.pose.x"); own < before+40 {
		t.Errorf("the own avatar went from %.0f to %.0f", before, own)
	}
	ann.wait("the walk to be told", "plaza.scene.own.pose.gait === 0")
	target := eval[float64](ann, "Math.round(plaza.scene.own.pose.x)")
	bob.wait("to see where the other walked", fmt.Sprintf("Math.abs(%s.pose.x - %v) < 2", seen(annUID), target))

	ann.say("Hello over there!")
	bob.hears("Hello over there!", 1)
	ann.hears("Hello over there!", 1)
	bob.wait("a bubble", seen(annUID)+".bubble?.text === 'Hello over there!' || plaza.scene.frames > 0")
	eval[bool](bob, "document.getElementById('scene').focus(); true")
	bob.keys("3")
	ann.wait("a laugh", seen(bobUID)+".emote?.kind === 3")

	// A whisper, through the list of people.
	bob.click("#tab-people")
	bob.wait("the people", "document.querySelectorAll('#people button').length === 2")
	bob.click(fmt.Sprintf("#people [data-uid='%s']", annUID))
	bob.click("dialog .primary")
	bob.say("only for you")
	ann.wait("the whisper", "document.querySelector('#log .whisper')?.textContent.includes('only for you')")

	// A cut line: what was said meanwhile comes once.
	ann.wait("points", "document.getElementById('points-text').textContent === '500'")
	bob.click("#whisper-end")
	bob.click("#tab-chat")
	cable.cut()
	bob.say("said during the cut")
	ann.hears("said during the cut", 1)
	ann.wait("what happened to be told", "document.getElementById('story').textContent.includes('You missed nothing')")
	ann.say("back again")
	bob.hears("back again", 1)

	buyHat(t, n, ann)
	bob.goes("shop")
	bob.wait("the hat on the other", seen(annUID)+"?.look.hat === 'straw'")
	ann.quietBut("WebSocket")
	bob.quiet()
}

// buyHat goes to the shop, buys a straw hat and wears it.
func buyHat(t *testing.T, n *gameNode, p *page) {
	t.Helper()
	p.goes("shop")
	p.wait("the counter", "!document.getElementById('spot').hidden")
	p.click("#spot")
	p.click("dialog [data-item=straw]")
	p.wait("the hat", "document.querySelector('dialog .result')?.textContent.includes('Straw hat is yours')")
	if points := eval[string](p, "document.getElementById('points-text').textContent"); points != "380" {
		t.Errorf("after a hat for 120 the balance is %s", points)
	}
	if sum := n.sum(t); sum != 0 {
		t.Errorf("all entries of the ledger add up to %d", sum)
	}
	p.click("dialog [data-item=straw]")
	p.wait("to wear it", "plaza.scene.own?.look.hat === 'straw'")
	p.click("dialog .x")
}

// quietBut demands that the page complained about nothing that does not have a word.
func (p *page) quietBut(word string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.complaints {
		if !strings.Contains(c, word) {
			p.t.Errorf("the page complained: %s", c)
		}
	}
}

// TestPlazaOutlivesANode kills the node on which two browsers are: both go on in the plaza on the other one, as the same users, and say what happened.
// One has its page from the node that lives, and goes wherever it wants; the other is told where the page is now.
func TestPlazaOutlivesANode(t *testing.T) {
	core := serveGame(t, "--node", "node-a", "--world-cluster", "on", "--gateway-origins", "*")
	other := serveGame(t, "--node", "node-b", "--world-cluster", "on", "--gateway-origins", "*", "--core", core.url, "--core-token-file", filepath.Join(core.data, "game", "node.token"))
	bob := open(t, other.url+"/plaza/", 1280, 800, true)
	bob.meets(1)
	bob.wait("the other node", "client.node === 'node-b' && client.places.others.some((o) => o.node === 'node-a')")
	ann := bob.another(core.url+"/plaza/", 420, 900)
	ann.meets(2)
	ann.wait("to be where the plaza runs", "client.node === 'node-b' && document.getElementById('state-text').textContent.includes('node-b')")
	uid := eval[string](ann, "client.uid")
	other.kill()
	for _, p := range []*page{ann, bob} {
		p.wait("to be back", "client.node === 'node-a' && client.online && plaza.scene.actors.size === 2 && document.getElementById('story').textContent.includes('The node node-b is gone. You are back in the Plaza on node-a')")
		t.Log(eval[string](p, "document.getElementById('story').textContent"))
	}
	if now := eval[string](ann, "client.uid"); now != uid {
		t.Errorf("user %s came back as %s", uid, now)
	}
	ann.say("still here")
	bob.hears("still here", 1)
	ann.goes("garden")
	bob.click("#areas [data-area=garden]")
	bob.wait("to be told where the page is", "document.getElementById('story').textContent.includes('node-a has the page too')")
}

// roomPage is the page of docs/tutorial/room.md, word for word, with the addresses of this test.
func roomPage(t *testing.T, server string) string {
	t.Helper()
	tutorial, err := os.ReadFile("../../docs/tutorial/room.md")
	if err != nil {
		t.Fatal(err)
	}
	_, page, _ := strings.Cut(string(tutorial), "cat > room.html <<'END'\n")
	page, _, found := strings.Cut(page, "END\n")
	if !found {
		t.Fatal("docs/tutorial/room.md has no page")
	}
	return strings.ReplaceAll(page, "127.0.0.1:8701", strings.TrimPrefix(server, "http://"))
}

// TestTutorialRoom opens the tutorial's page twice, from another address than the server's: one walks and talks, the other sees it.
func TestTutorialRoom(t *testing.T) {
	address := fmt.Sprintf("127.0.0.1:%d", porttest.Free(t))
	n := serveGame(t, "--gateway-origins", "http://"+address)
	page := roomPage(t, n.url)
	site := &http.Server{Addr: address, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/room.html" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, page) // a browser that left is nobody to tell
	})}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- site.Serve(listener) }()
	t.Cleanup(func() { site.Close(); <-served })

	url := "http://" + address + "/room.html"
	ann := open(t, url, 640, 520, false)
	painted := func(x, y int) string {
		return fmt.Sprintf("document.getElementById('room').getContext('2d').getImageData(%d, %d, 1, 1).data[3] === 255", x, y)
	}
	ann.wait("to be in the room", painted(300, 200))
	bob := ann.another(url, 640, 520)
	bob.wait("to be in the room", painted(300, 200))
	at := eval[[]float64](ann, "(() => { const r = document.getElementById('room').getBoundingClientRect(); return [r.left, r.top]; })()")
	ann.do(chromedp.MouseClickXY(at[0]+120, at[1]+90))
	bob.wait("to see the other walk", painted(120, 90))
	bob.do(chromedp.SendKeys(chromedp.CSS("#text"), "Hello\r"))
	words := "(() => { const d = document.getElementById('room').getContext('2d').getImageData(260, 170, 80, 15).data; for (let i = 3; i < d.length; i += 4) if (d[i] > 0) return true; return false; })()"
	ann.wait("to see what the other says", words)
	ann.quietBut("favicon.ico")
	bob.quietBut("favicon.ico")
}

// TestRecordedSession records what a browser and a server say to each other, then plays each half without the other: the browser's against
// the server, and the server's to a browser.
func TestRecordedSession(t *testing.T) {
	n := serveGame(t)
	p := open(t, n.url+"/plaza/?record", 1280, 800, false)
	p.meets(1)
	p.wait("points", "document.getElementById('points-text').textContent === '500'")
	p.press("ArrowLeft", 300)
	p.say("on the record")
	p.hears("on the record", 1)
	p.goes("garden")
	text := eval[string](p, "String(carrier)")
	p.visit("about:blank")

	recording, err := plazatest.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	player := plazatest.Player{URL: "ws" + strings.TrimPrefix(n.url, "http") + "/v1/socket"}
	out := player.Play(ctx, t, recording)
	if out.Welcome == nil || out.Count(wire.CmdEntered) != 2 || out.Count(wire.CmdAnswer) < 2 || out.Count(wire.CmdSaid) != 1 || out.Count(wire.CmdRefused) != 0 {
		t.Errorf("the recorded client heard %d entered, %d answers, %d said, %d refused", out.Count(wire.CmdEntered), out.Count(wire.CmdAnswer), out.Count(wire.CmdSaid), out.Count(wire.CmdRefused))
	}

	// The other half: files alone, and nobody behind the socket.
	files := plaza.New(plaza.Deps{Log: slog.New(slog.DiscardHandler)}).Handler()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/plaza/recording.json" {
			_, _ = io.WriteString(w, text) // a browser that left is nobody to tell
			return
		}
		files.ServeHTTP(w, r)
	}))
	defer site.Close()
	p.visit(site.URL + "/plaza/?recording=recording.json")
	p.meets(1)
	p.hears("on the record", 1)
	p.goes("garden")
	p.visit("about:blank")
	p.quiet()
}

// TestProfilePicture uploads a photograph in the plaza of "kamado up", moves the slider of its size, and shows it to somebody else.
func TestProfilePicture(t *testing.T) {
	w := start(t)
	photo := filepath.Join(originals(t), "photos", "friends.jpg")
	ann := open(t, w.game+"/plaza/", 1280, 800, false)
	ann.meets(1)
	bob := ann.another(w.game+"/plaza/", 1280, 800)
	bob.meets(2)
	ann.click("#me")
	ann.wait("the wardrobe", "document.getElementById('picture-file') !== null")
	ann.do(chromedp.SetUploadFiles(chromedp.CSS("#picture-file"), []string{photo}))
	sized := func(px int) string {
		return fmt.Sprintf("(() => { const i = document.querySelector('dialog .picture img'); return i?.complete && i.naturalWidth === %d && i.naturalHeight === %d; })()", px, px)
	}
	ann.wait("the picture at 160", sized(160))
	for _, px := range []int{64, 317} {
		eval[bool](ann, fmt.Sprintf("(() => { const s = document.getElementById('picture-size'); s.value = %d; return s.dispatchEvent(new Event('input', { bubbles: true })); })()", px))
		ann.wait(fmt.Sprintf("the picture at %d", px), sized(px))
	}
	ann.click("#wear")
	ann.wait("it to be worn", "document.querySelector('dialog') === null && plaza.look.picture?.length > 30")
	uid := eval[string](ann, "client.uid")
	bob.click("#tab-people")
	bob.wait("the people", fmt.Sprintf("document.querySelector(\"#people [data-uid='%s']\") !== null && [...plaza.scene.actors.values()].some((a) => a.look.picture)", uid))
	bob.click(fmt.Sprintf("#people [data-uid='%s']", uid))
	bob.wait("the picture on the card", "(() => { const i = document.querySelector('dialog .card img'); return i?.complete && i.naturalWidth === 160; })()")
	ann.quiet()
	bob.quiet()
}

// TestOneUserInTwoWindows comes in as the same user twice: the first window is told, does not fight back, and comes in again when the person says so.
func TestOneUserInTwoWindows(t *testing.T) {
	n := serveGame(t)
	first := open(t, n.url+"/plaza/", 1000, 700, false)
	first.meets(1)
	secret, uid := eval[string](first, "sessionStorage.getItem('kamado.guest')"), eval[string](first, "client.uid")
	second := first.another(n.url+"/plaza/", 1000, 700)
	second.meets(2)
	eval[bool](second, fmt.Sprintf("sessionStorage.clear(); localStorage.setItem('kamado.guest', %q); true", secret))
	eval[bool](second, "location.hash = 'garden'; true")
	second.do(chromedp.Reload())
	second.wait("to be the same user", fmt.Sprintf("globalThis.client?.uid === %q && document.querySelector('#areas [aria-current]')?.dataset.area === 'garden'", uid))
	first.wait("to be told", "client.connection.state === 'ended' && document.getElementById('story').textContent.includes('another window')")
	first.click("#story button")
	first.wait("to be in again", "client.online && plaza.scene.actors.size === 1")
	second.wait("to be told", "client.connection.state === 'ended'")
	first.say("it is me")
	first.hears("it is me", 1)
}
