package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"iter"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// update makes the tests rewrite the pictures of the documentation.
var update = flag.Bool("update", false, "rewrite the pictures in docs/images")

// patience bounds one test. Starting Chromium on a busy machine of two cores takes some seconds of it.
const patience = 3 * time.Minute

// photographs are files of Debian's wallpaper packages, and the names they get here.
var photographs = map[string]string{
	"dandelion.jpg": "seeding_by_Clements_Engelhardt.jpg",
	"mountains.jpg": "picosdeeuropa_by_Aitzol_Berasategi.jpg",
	"stream.jpg":    "umang_by_Abhishek_Mudgal.jpg",
	"sunset.jpg":    "sunset_by_Aitzol_Berasategi.jpg",
	"autumn.jpg":    "aitzgorri_by_Aitzol_Berasategi.jpg",
	"friends.jpg":   "friends_by_Aitzol_Berasategi.jpg",
	"bridge.jpg":    "Bridge_by_Sander_Klootwijk.jpg",
	"dragonfly.jpg": "Dragonfly_by_Bolly.jpg",
	"nuthatch.jpg":  "Kleiber_by_Lukas_Baubkus.jpg",
	"fossa.jpg":     "Fossa_by_Jasper_Roks.jpg",
	"green.jpg":     "greentock_by_Peter_Nerlich.jpg",
	"meadow.jpg":    "mate/nature/GreenMeadow.jpg",
	"dune.jpg":      "mate/nature/Dune.jpg",
	"ladybird.jpg":  "mate/nature/LadyBird.jpg",
	"yellow.jpg":    "mate/nature/YellowFlower.jpg",
	"rain.jpg":      "mate/nature/RainDrops.jpg",
}

// originals fills a directory with pictures: photographs where the packages are, painted ones in the place of the others.
func originals(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "photos"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, source := range photographs {
		target := filepath.Join(dir, "photos", name)
		data, err := os.ReadFile(filepath.Join("/usr/share/backgrounds", source))
		if err == nil {
			err = os.WriteFile(target, data, 0o644)
		} else {
			err = paint(target, len(name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func paint(name string, seed int) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	img := image.NewRGBA(image.Rect(0, 0, 1600, 1000))
	for y := range 1000 {
		for x := range 1600 {
			wave := 0.5 + 0.5*math.Sin(float64(x*seed+y*y/9)/140)
			img.SetRGBA(x, y, color.RGBA{uint8(40 + 180*wave), uint8(60 + y/8), uint8(200 - 120*wave), 255})
		}
	}
	return jpeg.Encode(f, img, &jpeg.Options{Quality: 88})
}

// world is a running "kamado up".
type world struct {
	console string // scheme and host; machines run on the fake hypervisor
	cloud   string // scheme and host of the cloud's APIs
	game    string // scheme and host of the API of players
	data    string // its directory
	link    string // opens a session once
}

// program gives what is tested: the one that KAMADO_BIN names, or one that is built once, into a directory that outlives the tests that share it.
var program = sync.OnceValues(func() (string, error) {
	if built := os.Getenv("KAMADO_BIN"); built != "" {
		return built, nil
	}
	dir, err := os.MkdirTemp("", "kamado-browser-")
	if err != nil {
		return "", err
	}
	built := filepath.Join(dir, "kamado")
	build := exec.Command("go", "build", "-trimpath", "-o", built, "./cmd/kamado")
	build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	if worker, err := os.ReadFile("../../bin/kamado-codec"); err == nil {
		if err := os.WriteFile(filepath.Join(dir, "kamado-codec"), worker, 0o755); err != nil {
			return "", err
		}
	}
	return built, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if built, err := program(); err == nil && built != os.Getenv("KAMADO_BIN") {
		os.RemoveAll(filepath.Dir(built))
	}
	os.Exit(code)
}

// guestParts is where ./setup build leaves what the machine image tiny is made of.
const guestParts = "../../bin/guest"

// needsTiny waits for the machine image of the first start, and skips where there is none to launch from.
func (w world) needsTiny(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(guestParts, "manifest.json")); err != nil {
		t.Skip("needs the parts of the machine image tiny (./setup build gathers them)")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for tick := time.Tick(50 * time.Millisecond); ; {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.cloud+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("the cloud is not ready: %v", err)
		}
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return
		}
		<-tick
	}
}

// realGuests has instances run in QEMU, in the place of those that only seem to.
const realGuests = "KAMADO_COMPUTE_HYPERVISOR=qemu"

// start runs "kamado up" on free ports until the test ends. What is set in environ counts more than what every test has.
func start(t *testing.T, environ ...string) world {
	t.Helper()
	built, err := program()
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	cmd := exec.Command(built, "up", "-o", "json", "--data", data, "--originals", originals(t))
	cmd.Dir = t.TempDir()
	parts, err := filepath.Abs(guestParts)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "KAMADO_ADMIN=127.0.0.1:0", "KAMADO_IMAGES_HTTP=127.0.0.1:0", "KAMADO_CONSOLE_HTTP=127.0.0.1:0",
		"KAMADO_DNS_DNS=127.0.0.1:0", "KAMADO_DNS_HTTP=127.0.0.1:0", "KAMADO_GAME_HTTP=127.0.0.1:0", "KAMADO_COMPUTE_HTTP=127.0.0.1:0", "KAMADO_COMPUTE_HYPERVISOR=fake", "KAMADO_GUEST_PARTS="+parts)
	cmd.Env = append(cmd.Env, environ...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var talk strings.Builder
	cmd.Stderr = &talk
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("kamado up: %v\n%s", err, &talk)
		}
		if slices.Contains(environ, realGuests) { // they outlive their server on purpose
			if out, err := exec.Command(built, "compute", "purge", "--data", data, "--yes").CombinedOutput(); err != nil {
				t.Errorf("remove what the cloud left on this machine: %v\n%s", err, out)
			}
		}
	})
	var report struct {
		Services []struct{ Name, URL string }
		Console  string `json:"console_link"`
	}
	out := bufio.NewReader(stdout)
	if err := json.NewDecoder(out).Decode(&report); err != nil {
		t.Fatalf("up printed no report: %v\n%s", err, &talk)
	}
	go io.Copy(io.Discard, out)
	w := world{link: report.Console, data: data}
	for _, s := range report.Services {
		switch s.Name {
		case "console":
			w.console = s.URL
		case "compute":
			w.cloud = s.URL
		case "game":
			w.game = s.URL
		}
	}
	return w
}

// page is a tab, and what it complained about.
type page struct {
	context.Context
	t *testing.T

	mu         sync.Mutex
	complaints []string // guarded by mu
}

// open starts Chromium and opens an address in a window of the given size.
func open(t *testing.T, url string, width, height int64, dark bool) *page {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("needs chromium (./setup test installs it)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(int(width), int(height)),
		chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("hide-scrollbars", true))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	ctx, stopAllocator := chromedp.NewExecAllocator(ctx, options...)
	ctx, stopTab := chromedp.NewContext(ctx)
	p := &page{Context: ctx, t: t}
	messages := chromedp.Console(ctx)
	var listening sync.WaitGroup
	listening.Go(func() { p.listen(messages) })
	t.Cleanup(func() { stopTab(); stopAllocator(); cancel(); listening.Wait() })

	scheme := "light"
	if dark {
		scheme = "dark"
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	p.do(chromedp.EmulateViewport(width, height), chromedp.Navigate(url))
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

func (p *page) click(selector string) { p.t.Helper(); p.do(chromedp.Click(chromedp.CSS(selector))) }
func (p *page) keys(keys string)      { p.t.Helper(); p.do(chromedp.KeyEvent(keys)) }
func (p *page) visit(url string)      { p.t.Helper(); p.do(chromedp.Navigate(url)) }

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
	poll := chromedp.Poll[bool](condition, chromedp.WithPollingTimeout(time.Minute), chromedp.WithPollingInterval(50*time.Millisecond))
	_, err := chromedp.Run(p, poll)
	for err != nil && (strings.Contains(err.Error(), "context") || strings.Contains(err.Error(), "navigated")) && p.Err() == nil {
		_, err = chromedp.Run(p, poll) // a page gave way to the next one meanwhile
	}
	if err != nil {
		p.t.Fatalf("%s: %v\nthe page is at %s", what, err, eval[string](p, "location.href"))
	}
}

// picture takes a picture of the window, for the documentation, when asked to.
func (p *page) picture(name string) {
	p.t.Helper()
	if !*update {
		return
	}
	data, err := chromedp.Run(p, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	file := filepath.Join("../../docs/images", name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		p.t.Fatal(err)
	}
}
