package console

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/kamado/kamado/internal/httpserver"
)

//go:embed templates/*.html
var templateFiles embed.FS

// Console is the web console. Safe for concurrent use.
type Console struct {
	cfg       Config
	images    *imagesAPI
	member    *cloudAPI // nil without a cloud, as admin
	admin     *cloudAPI
	names     *namesAPI // nil without names
	players   *roomAPI  // nil without players
	sparks    sparks
	texts     catalogue
	assets    *assets
	templates *template.Template
	proxy     *httputil.ReverseProxy
	streams   atomic.Int32
	guide     guide
	handler   http.Handler
}

// New builds a console. It asks no service anything until somebody looks.
func New(cfg Config) (*Console, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("configure console: %w", err)
	}
	if cfg.ImagesPublic == "" {
		cfg.ImagesPublic = cfg.Images
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: time.Minute}}
	}
	c := &Console{cfg: cfg, images: &imagesAPI{base: cfg.Images, token: cfg.Token, client: cfg.Client}}
	if cfg.Compute != "" {
		if c.cfg.ComputePublic == "" {
			c.cfg.ComputePublic = cfg.Compute
		}
		c.member = &cloudAPI{base: cfg.Compute, account: cfg.ComputeMember, client: cfg.Client}
		c.admin = &cloudAPI{base: cfg.Compute, account: cfg.ComputeAdmin, client: cfg.Client}
	}
	if cfg.DNS != "" {
		c.names = &namesAPI{roomAPI{"names", cfg.DNS, cfg.Token, cfg.Client}}
	}
	if cfg.Game != "" {
		c.players = &roomAPI{"players", cfg.Game, cfg.Token, cfg.Client}
	}
	var err error
	if c.texts, err = loadCatalogue("en"); err != nil {
		return nil, err
	}
	if c.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if c.templates, err = template.New("").Funcs(c.functions()).ParseFS(templateFiles, "templates/*.html"); err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	if c.proxy, err = c.newProxy(); err != nil {
		return nil, err
	}
	c.handler = c.routes()
	return c, nil
}

// Handler answers every path of the console's listener.
func (c *Console) Handler() http.Handler { return c.handler }

func (c *Console) routes() http.Handler {
	mux := http.NewServeMux()
	read := func(pattern string, h http.HandlerFunc) { mux.Handle("GET "+pattern, c.cfg.Guard.Reads(h)) }
	read("/{$}", c.overview)
	read("/live", c.live)
	read("/images", c.gallery)
	read("/images/playground", c.playground)
	read("/images/presets", c.presets)
	read("/images/stats", c.statistics)
	read("/images/traffic", c.traffic)
	read("/images/orders", c.orders)
	mux.Handle("POST /images/orders/{action}", c.cfg.Guard.Require(http.HandlerFunc(c.giveOrder)))
	read("/images/url", c.writtenURL)
	read("/pictures/{options}/{key...}", c.picture)
	if c.admin != nil {
		c.cloudRoutes(mux, read)
	}
	if c.names != nil {
		c.namesRoutes(mux, read)
	}
	if c.players != nil {
		c.playersRoutes(mux, read)
	}
	read("/", c.missing)
	mux.Handle("GET /static/", c.assets)
	mux.HandleFunc("GET /login", c.login)
	mux.Handle("POST /logout", c.cfg.Guard.Require(http.HandlerFunc(c.cfg.Guard.Logout)))
	mux.Handle("POST /login-link", c.cfg.Guard.Require(http.HandlerFunc(c.cfg.Guard.IssueLink)))
	return c.secure(smallBodies(httpserver.Routes(mux)))
}

// cloudRoutes are the pages of machines. Reading needs no login on this machine;
// changing something does.
func (c *Console) cloudRoutes(mux *http.ServeMux, read func(string, http.HandlerFunc)) {
	change := func(pattern string, h http.HandlerFunc) { mux.Handle("POST "+pattern, c.cfg.Guard.Require(h)) }
	read("/machines", c.machines)
	read("/machines/launch-line", c.launchLine)
	read("/machines/summary", c.machinesSummary)
	read("/machines/{id}", c.machine)
	read("/machines/images", c.machineImages)
	read("/machines/networks", c.networks)
	read("/machines/hosts", c.hosts)
	read("/machines/projects", c.projects)
	change("/machines", c.launch)
	change("/machines/keypairs", c.makeKey)
	change("/machines/{id}/do/{action}", c.act)
	change("/machines/{id}/open/{kind}", c.display)
	change("/machines/images/delete", c.deleteImage)
	change(uploadPath, c.uploadImage)
}

// Bounds of what a page sends. Only a machine image may be larger, as large as
// the listener takes.
const (
	formBytesMax = 1 << 20
	uploadPath   = "/machines/images/upload"
)

func smallBodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != uploadPath && r.Body != nil && r.Body != http.NoBody {
			r.Body = http.MaxBytesReader(w, r.Body, formBytesMax)
		}
		next.ServeHTTP(w, r)
	})
}

// secure sets the headers that every answer has. Scripts and styles come from
// this listener's files alone; pictures also from memory (blob:). A form may
// lead to the cloud's address: the displays of instances are there.
func (c *Console) secure(next http.Handler) http.Handler {
	forms := "'self'"
	if c.admin != nil {
		forms += " " + c.cfg.Compute
		if c.cfg.ComputePublic != c.cfg.Compute {
			forms += " " + c.cfg.ComputePublic
		}
	}
	policy := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; " +
		"form-action " + forms + "; base-uri 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// page is what the layout needs of every page.
type page struct {
	Title    string // key of a text
	Section  string // of the navigation: which entry is the current one
	Operator bool
	CSRF     string
	Version  string
	Cloud    bool              // whether there are machines to show
	Names    bool              // whether there are names to show
	Players  bool              // whether there are players to show
	Guided   bool              // whether the first five minutes are shown first
	Texts    map[string]string // for the page's script; nil: none
	Data     any
}

// show writes a page, or the fragment of it that htmx asked for.
func (c *Console) show(w http.ResponseWriter, r *http.Request, name, fragment string, p page) {
	w.Header().Set("Vary", "Hx-Request")
	if fragment != "" && r.Header.Get("Hx-Request") == "true" && r.Header.Get("Hx-History-Restore-Request") != "true" {
		name = fragment
	}
	c.showAs(w, r, http.StatusOK, name, p)
}

// showAs writes a page with a status.
func (c *Console) showAs(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	p.Operator, p.Version, p.Cloud, p.Names, p.Players = c.cfg.Guard.Allowed(r), c.cfg.Version, c.admin != nil, c.names != nil, c.players != nil
	p.CSRF, p.Guided = c.cfg.Guard.CSRFToken(r), c.cfg.Stage != nil
	c.render(w, status, name, p)
}

// render writes a template; nothing is sent when it fails half way.
func (c *Console) render(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := c.templates.ExecuteTemplate(&b, name, data); err != nil {
		c.cfg.Log.Error("render page", "template", name, "error", err)
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // a client that left is nobody to tell
}

// trouble is a page that says what went wrong in a person's words.
type trouble struct {
	Heading, Text string // keys of texts
	Detail        string // what the service said, may be empty
}

// fail shows an error of a service: it is down, or it refused.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, section string, err error) {
	t := trouble{Heading: "trouble.down", Text: "trouble.down_text"}
	status := http.StatusBadGateway
	var refused *errStatus
	if errors.As(err, &refused) {
		t = trouble{Heading: "trouble.refused", Text: "trouble.refused_text", Detail: refused.detail}
		if refused.status == http.StatusNotFound {
			t, status = trouble{Heading: "trouble.missing", Text: "trouble.missing_text"}, http.StatusNotFound
		}
	}
	c.cfg.Log.Warn("console page without its service", "path", r.URL.Path, "error", err)
	c.showAs(w, r, status, "trouble.html", page{Title: t.Heading, Section: section, Data: t})
}

func (c *Console) missing(w http.ResponseWriter, r *http.Request) {
	t := trouble{Heading: "trouble.missing", Text: "trouble.missing_text"}
	c.showAs(w, r, http.StatusNotFound, "trouble.html", page{Title: t.Heading, Data: t})
}

// functions are what templates can call.
func (c *Console) functions() template.FuncMap {
	return template.FuncMap{
		"t":        c.texts.text,
		"texts":    c.texts.under,
		"asset":    func(name string) (string, error) { return c.assets.url(name) },
		"age":      age,
		"gib":      gib,
		"link":     func(url, text, section, own, icon string) navLink { return navLink{url, text, icon, section == own} },
		"slider":   newSlider,
		"cache":    func(text string, s cacheStats) cacheCard { return cacheCard{text, s} },
		"journal":  func(list []transaction, of string) journal { return journal{list, of} },
		"decision": func(a approval, csrf string) decision { return decision{a, csrf} },
		"list":     func(items ...string) []string { return items },
		"bytes":    humanBytes,
		"word":     c.texts.word,
		"points":   points,
		"stamp":    stamp,
		"duration": duration,
		"brief":    brief,
		"seconds":  func(n int64) string { return duration(float64(n)) },
		"number":   humanNumber,
		"step":     func(number int, s *step, name string) stepHead { return stepHead{s, number, name} },
		"percent":  percent,
		"ratio":    ratio,
		"add":      func(a, b uint64) uint64 { return a + b },
		"thumb":    func(key string) string { return "/pictures/" + thumbOptions + "/" + escapeKey(key) },
		"strip":    func(key string) string { return "/pictures/" + stripOptions + "/" + escapeKey(key) },
		"play":     func(key string) string { return "/images/playground?key=" + url.QueryEscape(key) },
		"basename": func(key string) string { return key[strings.LastIndexByte(key, '/')+1:] },
		"dirname":  func(key string) string { return key[:strings.LastIndexByte(key, '/')+1] },
	}
}

// humanBytes writes a size as a person reads it: 1.2 MB, with powers of 1000
// as file managers do.
func humanBytes(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	v, i := float64(n), 0
	for v >= 999.5 && i < len(units)-1 {
		v, i = v/1000, i+1
	}
	digits := 0
	if i > 0 && v < 99.95 {
		digits = 1
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + " " + units[i]
}

// gib writes MiB as a person reads them.
func gib(mib int) string {
	switch {
	case mib < 1024:
		return strconv.Itoa(mib) + " MiB"
	case mib < 1<<20:
		return strings.TrimSuffix(strconv.FormatFloat(float64(mib)/1024, 'f', 1, 64), ".0") + " GiB"
	}
	return strings.TrimSuffix(strconv.FormatFloat(float64(mib)/(1<<20), 'f', 1, 64), ".0") + " TiB"
}

// age writes how long ago something was, in its largest unit.
func age(t time.Time) string {
	d := time.Since(t)
	switch {
	case t.IsZero() || d < 0:
		return "–"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}

// humanNumber groups digits by thousands with a thin space.
func humanNumber(v any) string {
	s := fmt.Sprint(v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u2009" + s[i:]
	}
	return s
}

// points writes an amount of points with its sign, in groups of three digits that
// stay on one line.
func points(v any) string {
	var n int64
	switch v := v.(type) {
	case int64:
		n = v
	case *int64:
		if v == nil {
			return ""
		}
		n = *v
	}
	s := strconv.FormatInt(n, 10)
	s, negative := strings.CutPrefix(s, "-")
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	if negative {
		return "\u2212" + s
	}
	return s
}

// stamp writes a time to the second, in UTC.
func stamp(t time.Time) string { return t.UTC().Format(time.DateTime) }

// brief is duration for what may take less than a millisecond.
func brief(seconds float64) string {
	if d := time.Duration(seconds * float64(time.Second)); d < time.Millisecond {
		return d.Round(time.Microsecond).String()
	}
	return duration(seconds)
}

// duration writes seconds in the units that a person reads.
func duration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d >= time.Second {
		return d.Round(time.Second).String()
	}
	return d.Round(time.Millisecond).String()
}

// ratio is part of whole, 0 where there is no whole; percent writes it.
func ratio(part, whole any) float64 {
	a, b := toFloat(part), toFloat(whole)
	if b == 0 {
		return 0
	}
	return a / b
}

func percent(part, whole any) string {
	if toFloat(whole) == 0 {
		return "–"
	}
	return strconv.FormatFloat(100*ratio(part, whole), 'f', 1, 64) + " %"
}

func toFloat(v any) float64 {
	switch v := v.(type) {
	case int:
		return float64(v)
	case int64:
		return float64(v)
	case uint64:
		return float64(v)
	}
	return 0
}

// navLink is an entry of the navigation.
type navLink struct {
	URL, Text, Icon string
	Current         bool
}

// cacheCard is a cache with its heading.
type cacheCard struct {
	Text  string
	Stats cacheStats
}

// slider is a range with a number beside it.
type slider struct {
	Name, Text            string
	Min, Max, Step, Value any
	Unit, Hint            string
}

func newSlider(name, text string, least, most, step, value any, unit, hint string) slider {
	return slider{name, text, least, most, step, value, unit, hint}
}
