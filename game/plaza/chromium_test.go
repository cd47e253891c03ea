package plaza_test

import (
	"context"
	"flag"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// pictures is for people who want to see what the tests see.
var pictures = flag.String("pictures", "", "directory for pictures of the pages")

// patience bounds one test. Starting Chromium on a busy machine of two cores takes some seconds of it.
const patience = 2 * time.Minute

// page is a tab, and what it complained about.
type page struct {
	context.Context
	t *testing.T

	mu         sync.Mutex
	complaints []string // guarded by mu
}

// window is how a tab is opened.
type window struct {
	width, height int64
	scale         float64 // pixels of the screen for one of the page; 0: 1
	dark, calm    bool
	language      string // empty: en-US
	touch         bool
}

// shared is the browser of all tests of this package: starting one takes seconds. It is ended by TestMain.
var shared struct {
	once sync.Once
	ctx  context.Context
	stop func()
	err  error
}

func startShared() {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		return
	}
	dir, err := os.MkdirTemp("", "kamado-plaza-")
	if err != nil {
		shared.err = err
		return
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(dir),
		chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("hide-scrollbars", true))
	ctx, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stopBrowser := chromedp.NewContext(ctx)
	shared.ctx, shared.stop = ctx, func() { stopBrowser(); stopAllocator(); os.RemoveAll(dir) }
	_, shared.err = chromedp.Run(ctx, chromedp.Evaluate[bool]("true"))
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.stop != nil {
		shared.stop()
	}
	os.Exit(code)
}

// chromium gives the browser.
func chromium(t *testing.T) context.Context {
	t.Helper()
	shared.once.Do(startShared)
	switch {
	case shared.err != nil:
		t.Fatalf("start chromium: %v", shared.err)
	case shared.ctx == nil:
		t.Skip("needs chromium (./setup test installs it)")
	}
	return shared.ctx
}

// open opens an address in a tab that shares nothing with the others.
func open(t *testing.T, browser context.Context, url string, w window) *page {
	t.Helper()
	ctx, cancel := context.WithTimeout(browser, patience)
	ctx, stop := chromedp.NewContext(ctx, chromedp.WithNewBrowserContext())
	p := &page{Context: ctx, t: t}
	messages := chromedp.Console(ctx)
	var listening sync.WaitGroup
	listening.Go(func() { p.listen(messages) })
	t.Cleanup(func() { stop(); cancel(); listening.Wait() })

	scheme, motion := "light", "no-preference"
	if w.dark {
		scheme = "dark"
	}
	if w.calm {
		motion = "reduce"
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: motion}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	if w.language != "" {
		if _, err := chromedp.Call(ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: "Mozilla/5.0 Chrome", AcceptLanguage: w.language}); err != nil {
			t.Fatal(err)
		}
	}
	var how []chromedp.EmulateViewportOption
	if w.scale != 0 {
		how = append(how, chromedp.EmulateScale(w.scale))
	}
	if w.touch {
		how = append(how, chromedp.EmulateTouch)
	}
	p.do(chromedp.EmulateViewport(w.width, w.height, how...), chromedp.Navigate(url))
	return p
}

// listen collects errors of scripts, of the policy and of loading.
func (p *page) listen(messages iter.Seq2[chromedp.ConsoleMessage, error]) {
	for m, err := range messages {
		if err != nil {
			return // the tab is closed
		}
		if m.IsException() || m.Type == "error" || m.Type == "assert" {
			p.mu.Lock()
			p.complaints = append(p.complaints, m.String()+" "+m.URL)
			p.mu.Unlock()
		}
	}
}

// quiet demands that the page complained about nothing.
func (p *page) quiet() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.complaints {
		p.t.Errorf("the page complained: %s", c)
	}
}

func (p *page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// click clicks what a selector finds. A list may be drawn anew between finding and clicking: then what is there now is clicked.
func (p *page) click(selector string) {
	p.t.Helper()
	click := chromedp.Click(chromedp.CSS(selector))
	err := chromedp.Do(p, click)
	for tries := 1; err != nil && strings.Contains(err.Error(), "Could not find node") && tries < 20; tries++ {
		err = chromedp.Do(p, click) // the error says that nothing was clicked
	}
	if err != nil {
		p.t.Fatalf("click %s: %v", selector, err)
	}
}

// eval gives what a script says; of a promise, what it becomes.
func eval[T any](p *page, script string) T {
	p.t.Helper()
	out, err := chromedp.Run(p, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", script, err)
	}
	return out
}

// wait polls a condition until it holds.
func (p *page) wait(what, condition string) {
	p.t.Helper()
	poll := chromedp.Poll[bool](condition, chromedp.WithPollingTimeout(30*time.Second), chromedp.WithPollingInterval(50*time.Millisecond))
	_, err := chromedp.Run(p, poll)
	for err != nil && (strings.Contains(err.Error(), "context") || strings.Contains(err.Error(), "navigated")) && p.Err() == nil {
		_, err = chromedp.Run(p, poll) // a page gave way to the next one meanwhile
	}
	if err != nil {
		p.mu.Lock()
		complaints := strings.Join(p.complaints, "\n")
		p.mu.Unlock()
		p.t.Fatalf("%s: %v\nthe page complained: %s", what, err, complaints)
	}
}

// picture takes a picture of the window, when somebody wants to see it.
func (p *page) picture(name string) {
	p.t.Helper()
	if *pictures == "" {
		return
	}
	data, err := chromedp.Run(p, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*pictures, name+".png"), data, 0o644); err != nil {
		p.t.Fatal(err)
	}
}
