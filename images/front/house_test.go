package front_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/cache"
	"github.com/kamado/kamado/images/delivery"
	"github.com/kamado/kamado/images/front"
	"github.com/kamado/kamado/images/grammar"
	"github.com/kamado/kamado/images/origin"
	"github.com/kamado/kamado/images/queue"
	"github.com/kamado/kamado/images/signature"
	"github.com/kamado/kamado/internal/blob/fs"
	"github.com/kamado/kamado/internal/httpserver"
)

// pictureBytes is the length of every picture that painter makes.
const pictureBytes = 30_000

// painter makes pictures of a fixed length out of what it was asked.
type painter struct{}

func (painter) RenderSet(_ context.Context, src []byte, wants []images.Rendition) []delivery.Made {
	made := make([]delivery.Made, len(wants))
	for i, want := range wants {
		made[i].Format = want.Format
		if made[i].Format == images.FormatUnknown {
			made[i].Format = images.JPEG
		}
		made[i].Width, made[i].Height = 4, 3
		word := string(src) + want.String() + made[i].Format.String() + " "
		made[i].Data = []byte(strings.Repeat(word, pictureBytes/len(word)+1))[:pictureBytes]
	}
	return made
}

// house is a server over a directory of originals, with a front or without one.
type house struct {
	*httpserver.Server
	front  *front.Front // nil: net/http answers everything
	dir    string
	memory *cache.Memory[cache.Key, *delivery.Result]
	keys   *signature.Keys
	names  *grammar.Grammar
	reg    *prometheus.Registry

	mu     sync.Mutex
	events []delivery.Event
	heard  func(delivery.Event)

	stop  context.CancelFunc
	ended chan error
}

// settings change a house before it is built.
type settings struct {
	plain     bool // without a front
	dir       string
	http      httpserver.Config
	front     front.Config
	revisions origin.Revisions
	memory    int64
	log       *slog.Logger
	heard     func(delivery.Event) // hears of each event; nil: nobody
}

func newHouse(t testing.TB, set settings) *house {
	t.Helper()
	h := &house{dir: set.dir, heard: set.heard, reg: prometheus.NewRegistry(), ended: make(chan error, 1)}
	if h.dir == "" {
		h.dir = t.TempDir()
		h.put(t, "recipes/1.jpg", "one")
		h.put(t, "recipes/2", "two")
	}
	store, err := fs.Open(h.dir)
	must(t, err)
	t.Cleanup(func() { store.Close() })
	originals, err := origin.New(origin.Config{
		Sources: []origin.Source{{Name: "dir", Store: store}}, Routes: []origin.Route{{Source: "dir"}}, Revisions: set.revisions,
	})
	must(t, err)
	cfg := images.Default()
	names, err := cfg.Catalogue(nil)
	must(t, err)
	h.names, err = grammar.New(cfg, names)
	must(t, err)
	h.keys, err = signature.Parse(strings.NewReader(strings.Repeat("ab", 32)))
	must(t, err)
	if set.memory == 0 {
		set.memory = 8 << 20
	}
	if set.log == nil {
		set.log = slog.New(slog.DiscardHandler)
	}
	h.memory = cache.NewMemory[cache.Key, *delivery.Result](set.memory)
	deps := delivery.Deps{
		Parse: h.parse, Originals: originals, Renderer: painter{}, Places: queue.New(queue.Config{Places: 2, Waiting: 16}),
		Memory: h.memory, Events: h.note, Log: set.log,
	}
	web := httpserver.Deps{Name: "images", Log: set.log, Health: httpserver.NewHealth(set.log), Registerer: h.reg}
	if !set.plain {
		h.front = front.New(set.front)
		deps.Keeper, web.Front = h.front, h.front
		must(t, h.reg.Register(h.front))
	}
	pictures := delivery.New(delivery.Config{Caching: cfg.Caching, Negotiable: []images.Format{images.WebP}}, deps)
	if set.http.IdleTimeout == 0 {
		set.http = httpserver.Default()
		set.http.AccessLog = httpserver.AccessLogOff
	}
	set.http.Addr = "127.0.0.1:0"
	h.Server, err = httpserver.New(set.http, pictures, web)
	must(t, err)
	must(t, h.Listen(t.Context()))
	ctx, stop := context.WithCancel(context.Background())
	h.stop = sync.OnceFunc(stop)
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.ended <- h.Run(ctx)
	}()
	t.Cleanup(func() { // before the store is closed
		h.stop()
		<-done
	})
	return h
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (h *house) parse(r *http.Request) (images.Request, error) {
	req, err := h.names.Parse(r.URL, "")
	if err != nil || r.URL.Query().Get("unsigned") != "" {
		return req, err
	}
	return req, h.keys.Verify(&req, time.Now())
}

func (h *house) note(e delivery.Event) {
	h.mu.Lock()
	h.events = append(h.events, e)
	h.mu.Unlock()
	if h.heard != nil {
		h.heard(e)
	}
}

// sign gives the target of a picture.
func (h *house) sign(t testing.TB, target string, expires time.Time) string {
	t.Helper()
	u, err := url.Parse(target)
	must(t, err)
	signed, err := h.names.Sign(u, expires, h.keys.Sign)
	must(t, err)
	return signed
}

func (h *house) put(t testing.TB, name, content string) {
	t.Helper()
	path := filepath.Join(h.dir, filepath.FromSlash(name))
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	temp := path + ".new"
	must(t, os.WriteFile(temp, []byte(content), 0o644))
	must(t, os.Rename(temp, path))
}

// client is one connection.
type client struct {
	net.Conn
	in *bufio.Reader
	t  testing.TB
}

func (h *house) dial(t testing.TB) *client {
	t.Helper()
	c, err := net.Dial("tcp", h.Addr().String())
	must(t, err)
	t.Cleanup(func() { c.Close() })
	must(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	return &client{c, bufio.NewReader(c), t}
}

// say sends bytes.
func (c *client) say(text string) {
	c.t.Helper()
	_, err := io.WriteString(c, text)
	must(c.t, err)
}

// hear reads one answer to a request with the method.
func (c *client) hear(method string) *http.Response {
	c.t.Helper()
	r, err := http.ReadResponse(c.in, &http.Request{Method: method})
	must(c.t, err)
	b, err := io.ReadAll(r.Body)
	must(c.t, err)
	r.Body = io.NopCloser(bytes.NewReader(b))
	return r
}

// get asks for a target on this connection.
func (c *client) get(target string, lines ...string) *http.Response {
	c.t.Helper()
	c.say("GET " + target + " HTTP/1.1\r\nHost: pictures\r\n" + strings.Join(append(lines, "", ""), "\r\n"))
	return c.hear("GET")
}

// count reads a counter of the front.
func (h *house) count(t testing.TB, name, label string) float64 {
	t.Helper()
	families, err := h.reg.Gather()
	must(t, err)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if label == "" || len(m.GetLabel()) > 0 && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

func (h *house) answered(t testing.TB) float64 {
	return h.count(t, "kamado_images_front_requests_total", "answered")
}

// warm asks until the front answers.
func (h *house) warm(t testing.TB, target string, lines ...string) *http.Response {
	t.Helper()
	c := h.dial(t)
	var r *http.Response
	for range 3 {
		r = c.get(target, lines...)
	}
	return r
}

// mask hides what differs from answer to answer: the clock and fresh ids. The
// pictures have no line ends in them.
func mask(answer string) string {
	lines := strings.Split(answer, "\r\n")
	for i, line := range lines {
		for _, name := range []string{"Date: ", "Server-Timing: ", "X-Request-Id: "} {
			if strings.HasPrefix(line, name) {
				lines[i] = name
			}
		}
		if before, _, ok := strings.Cut(line, `"request_id":`); ok {
			lines[i] = before
		}
	}
	return strings.Join(lines, "\r\n")
}

// exchange sends raw bytes on a fresh connection and gives all that comes back
// until the server closes it, which the last request has to ask for.
func (h *house) exchange(t testing.TB, raw string) string {
	t.Helper()
	c := h.dial(t)
	c.say(raw)
	all, err := io.ReadAll(c.in)
	if err != nil && len(all) == 0 {
		t.Fatal(err)
	}
	return mask(string(all))
}

func said(r *http.Response) string {
	b, _ := io.ReadAll(r.Body)
	return string(b)
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// exchangeToEnd sends raw bytes and behind them a request that ends the
// connection, and gives all that comes back. False: the connection did not end,
// because the raw bytes took that request for something else.
func (h *house) exchangeToEnd(t testing.TB, raw string) (answer string, ok bool) {
	t.Helper()
	c := h.dial(t)
	must(t, c.SetDeadline(time.Now().Add(2*time.Second)))
	// A server that has heard enough closes early; then writing fails.
	_, _ = io.WriteString(c, raw+"\r\n\r\nGET /healthz HTTP/1.1\r\nHost: end\r\nConnection: close\r\n\r\n")
	all, err := io.ReadAll(c.in)
	return mask(string(all)), err == nil
}
