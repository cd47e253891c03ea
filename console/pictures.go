package console

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
)

// The renditions that pages show of originals. JPEG needs no codec worker.
const (
	thumbOptions = "w:480,h:360,fit:crop,q:72,format:jpeg"
	stripOptions = "w:144,h:108,fit:crop,q:70,format:jpeg"
)

// pathKey carries the picture's path, signed, from picture to the proxy.
type pathKey struct{}

// newProxy passes pictures through: one origin for the browser, so that pages
// work through a tunnel to the console alone and scripts may read every
// header. What a person is logged in with never leaves the console.
func (c *Console) newProxy() (*httputil.ReverseProxy, error) {
	target, err := url.Parse(c.cfg.Images)
	if err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{
		Transport: c.cfg.Client.Transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			signed, _ := r.In.Context().Value(pathKey{}).(*url.URL)
			out := *target
			out.Path, out.RawPath, out.RawQuery = signed.Path, signed.RawPath, signed.RawQuery
			r.Out.URL, r.Out.Host = &out, ""
			keep := http.Header{}
			for _, name := range []string{"Accept", "Range", "If-None-Match", "If-Modified-Since"} {
				if v := r.In.Header.Values(name); len(v) > 0 {
					keep[name] = v
				}
			}
			r.Out.Header = keep
		},
		ModifyResponse: func(res *http.Response) error {
			// One listener, one policy; the rest of the headers is the picture's.
			for name := range res.Header {
				if strings.HasPrefix(name, "Access-Control-") || name == "Set-Cookie" || name == "Content-Security-Policy" || name == "X-Content-Type-Options" || name == "X-Request-Id" || name == "Timing-Allow-Origin" {
					res.Header.Del(name)
				}
			}
			// A browser's cache would show old bytes for an original that was
			// replaced; it asks again and gets 304.
			if res.StatusCode == http.StatusOK || res.StatusCode == http.StatusNotModified {
				res.Header.Set("Cache-Control", "private, no-cache")
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				c.cfg.Log.Warn("pass picture through", "error", err)
			}
			w.WriteHeader(http.StatusBadGateway)
		},
	}, nil
}

// picture delivers a rendition: /pictures/{options}/{key}, signed on the way.
func (c *Console) picture(w http.ResponseWriter, r *http.Request) {
	path := nativePath(r.PathValue("options"), r.PathValue("key"))
	signed, err := c.images.sign(r.Context(), path)
	if err != nil {
		c.pictureError(w, err)
		return
	}
	u, err := url.ParseRequestURI(signed)
	if err != nil {
		c.pictureError(w, err)
		return
	}
	c.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), pathKey{}, u)))
}

func (c *Console) pictureError(w http.ResponseWriter, err error) {
	status, detail := http.StatusBadGateway, ""
	if refused, ok := asStatus(err); ok {
		status, detail = refused.status, refused.detail
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "detail": detail}) // a client that left is nobody to tell
}

func nativePath(options, key string) string { return "/i/-/" + options + "/" + escapeKey(key) }

// written is a URL for a person to copy.
type written struct {
	URL    string `json:"url"`
	Signed bool   `json:"signed"`
	// Needed says that the URL works only with a signature, which is given to
	// the operator alone.
	Needed bool `json:"needed"`
}

// writtenURL answers with the URLs of a rendition, for the playground.
func (c *Console) writtenURL(w http.ResponseWriter, r *http.Request) {
	options, key := r.FormValue("options"), r.FormValue("key")
	native, err := c.write(r, nativePath(options, key))
	if err != nil {
		c.pictureError(w, err)
		return
	}
	answer := map[string]written{"native": native}
	if path, ok := tofuPath(options, key); ok {
		if answer["tofu"], err = c.write(r, path); err != nil {
			c.pictureError(w, err)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(answer) // a client that left is nobody to tell
}

// write signs a path for the operator, and shows it as it is to others.
func (c *Console) write(r *http.Request, path string) (written, error) {
	needed, err := c.images.mustSign(r.Context())
	if err != nil {
		return written{}, err
	}
	out := written{Needed: needed}
	if needed && c.cfg.Guard.Allowed(r) {
		if path, err = c.images.signPath(r.Context(), path); err != nil {
			return written{}, err
		}
		out.Signed = true
	}
	out.URL = c.cfg.ImagesPublic + path
	return out, nil
}

// tofuPath writes a rendition as a TOFU path, where that can say it: a width,
// perhaps a height, a quality and a format, and a key of two parts.
func tofuPath(options, key string) (string, bool) {
	kind, id, ok := strings.Cut(key, "/")
	if !ok || kind == "i" || strings.Contains(id, "/") {
		return "", false
	}
	value := map[string]string{}
	for item := range strings.SplitSeq(options, ",") {
		name, v, _ := strings.Cut(item, ":")
		switch name {
		case "w", "h", "fit", "q", "format":
			value[name] = v
		default:
			return "", false
		}
	}
	mode, known := map[string]string{"": "", "crop": "c", "shrink": "s"}[value["fit"]]
	if _, err := strconv.Atoi(value["w"]); err != nil || !known || value["format"] == "auto" {
		return "", false
	}
	size := value["w"]
	if value["h"] != "" {
		size += "x" + value["h"]
	}
	size += mode
	if value["q"] != "" {
		size += "q" + value["q"]
	}
	complete := value["h"] != "" && mode != "" && value["q"] != ""
	name := "any"
	switch {
	case value["format"] == "jpeg":
		name += ".jpg"
	case value["format"] != "":
		name += "." + value["format"]
	case complete:
		// Generation 1, told by what has the form of a signature.
		name = strings.Repeat("0", 32)
	}
	return "/" + escape(kind) + "/" + escape(id) + "/" + size + "/" + name, true
}
