package plaza

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:generate go test -run ^TestBundle$ -update .

//go:embed static
var bundle embed.FS

// file is one file of the page.
type file struct {
	data      []byte
	gzip      []byte // nil: it is not smaller
	mediaType string
	etag      string
}

// files are what static holds. Only index.html and the alias of the client have a name without a hash.
type files struct {
	byName map[string]*file // "assets/main.ABCDEFGH.js", "client.ABCDEFGH.js"
	page   *file
	client string // name of the client library
}

var mediaTypes = map[string]string{
	".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".html": "text/html; charset=utf-8", ".svg": "image/svg+xml",
}

// gzipBytesMin is the size from which packing is worth it.
const gzipBytesMin = 512

// loadFiles reads what is embedded, so it can only fail on a program that was built wrongly.
func loadFiles(in fs.FS) *files {
	f := &files{byName: map[string]*file{}}
	err := fs.WalkDir(in, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(in, name)
		if err != nil {
			return err
		}
		mediaType, ok := mediaTypes[path.Ext(name)]
		if !ok {
			return fmt.Errorf("%s: of no known type", name)
		}
		one := &file{data: data, mediaType: mediaType, gzip: pack(data), etag: `"` + hashOf(data) + `"`}
		short := strings.TrimPrefix(name, "static/")
		switch {
		case short == "index.html":
			f.page = one
			return nil
		case strings.HasPrefix(short, "client."):
			f.client = short
		}
		f.byName[short] = one
		return nil
	})
	if err == nil && (f.page == nil || f.client == "") {
		err = fmt.Errorf("the page or the client library is missing")
	}
	if err != nil {
		panic("plaza: static files: " + err.Error())
	}
	return f
}

func pack(data []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level exists
	_, _ = w.Write(data)                                  // a Buffer takes all
	_ = w.Close()
	if len(data) < gzipBytesMin || b.Len() >= len(data) {
		return nil
	}
	return b.Bytes()
}

// forGood is for names with a hash: a year, RFC 8246.
const forGood = "public, max-age=31536000, immutable"

// send writes a file, packed where the client takes that.
func (f *file) send(w http.ResponseWriter, r *http.Request, cache string) {
	h := w.Header()
	h.Set("Content-Type", f.mediaType)
	h.Set("Cache-Control", cache)
	h.Set("X-Content-Type-Options", "nosniff")
	data := f.data
	if f.gzip != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r) {
			h.Set("Content-Encoding", "gzip")
			data = f.gzip
		}
	}
	if cache != forGood {
		h.Set("ETag", f.etag)
		if r.Header.Get("If-None-Match") == f.etag {
			h.Del("Content-Encoding")
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(data)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(data) // a client that left is nobody to tell
	}
}

func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		coding, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if coding == "gzip" && strings.ReplaceAll(q, " ", "") != "q=0" {
			return true
		}
	}
	return false
}

// policy is what the page may do: its own scripts and styles, no others, none in the text of the page.
func (p *Plaza) policy() string {
	connect, pictures := "ws: wss:", ""
	if len(p.Connect) > 0 {
		connect = strings.Join(p.Connect, " ")
	}
	if p.Pictures != nil && len(p.Pictures.Sources) > 0 {
		pictures = " " + strings.Join(p.Pictures.Sources, " ")
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:" + pictures +
		"; connect-src 'self' " + connect + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

func (p *Plaza) servePage(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", p.policy())
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	p.files.page.send(w, r, "no-cache")
}

// serveClient is the stable name of the client library. Any page may import it.
func (p *Plaza) serveClient(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	p.files.byName[p.files.client].send(w, r, "no-cache")
}

func (p *Plaza) serveFile(w http.ResponseWriter, r *http.Request) {
	f := p.files.byName[strings.TrimPrefix(r.URL.Path, "/plaza/")]
	if f == nil {
		w.Header().Set("Cache-Control", "no-store")
		http.NotFound(w, r)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/plaza/client.") {
		w.Header().Set("Access-Control-Allow-Origin", "*")
	}
	f.send(w, r, forGood)
}

// pageConfig is config.json: what the page cannot know.
type pageConfig struct {
	Images struct {
		Upload *string `json:"upload"` // where pictures are posted to; null: there is no place for them
		URL    *string `json:"url"`    // where they are shown, with {uid}, {picture} and {size}
		Why    string  `json:"why,omitempty"`
	} `json:"images"`
}

func (p *Plaza) serveConfig(w http.ResponseWriter, _ *http.Request) {
	var c pageConfig
	if p.Pictures != nil {
		upload, url := "picture", "picture/{uid}/{picture}/{size}"
		c.Images.Upload, c.Images.URL = &upload, &url
	} else {
		c.Images.Why = p.WhyNoPictures
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-cache")
	_ = json.NewEncoder(w).Encode(c) // a client that left is nobody to tell
}
