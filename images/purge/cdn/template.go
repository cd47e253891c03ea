package cdn

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/template"

	"golang.org/x/net/http/httpguts"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/purge"
)

// Bounds of what templates write. Unit: bytes.
const (
	urlMax    = 8 << 10
	headerMax = 16 << 10 // Fastly's bound of Surrogate-Key
	bodyMax   = 1 << 20
)

// Fields are what templates see. With several orders in a request, those of one
// order are the first's.
type Fields struct {
	Token  string   // surrogate key: "key-4f...", "kind-recipes"
	Tokens []string // of all orders of the request, each once
	Tag    string   // "key/default/recipes/1.jpg", "kind/recipes"
	Tags   []string
	ID     string
	Action string // purge, takedown or restore
	Scope  string // key, prefix, kind, owner, origin or all
	Origin string // with key and prefix
	Name   string // the key, the prefix, the name of the kind...
	Reason string
	Node   string // that took the order
	Secret string
}

func fieldsOf(orders []purge.Order, secret string) Fields {
	first := orders[0]
	f := Fields{
		Token: first.Target.Token(), Tag: first.Target.String(), ID: first.ID.String(), Action: first.Action.String(),
		Scope: first.Target.Scope.String(), Origin: first.Target.Source, Name: first.Target.Name, Reason: first.Reason,
		Node: first.ID.Node, Secret: secret,
	}
	seen := map[string]bool{}
	for _, o := range orders {
		if t := o.Target.Token(); !seen[t] {
			seen[t] = true
			f.Tokens = append(f.Tokens, t)
		}
		if t := o.Target.String(); !seen["/"+t] {
			seen["/"+t] = true
			f.Tags = append(f.Tags, t)
		}
	}
	return f
}

var functions = template.FuncMap{
	"json": func(v any) (string, error) { b, err := json.Marshal(v); return string(b), err },
	// query is a value in a query, path a key in a path: its slashes stay.
	"query": url.QueryEscape,
	"path":  func(s string) string { return (&url.URL{Path: s}).EscapedPath() },
	"join":  func(list []string, between string) string { return strings.Join(list, between) },
}

// call is the parsed templates of a hook.
type call struct {
	method  string
	url     *template.Template
	body    *template.Template // nil: none
	headers map[string]*template.Template
}

// rendered is a request that is ready.
type rendered struct {
	method, url, body string
	hasBody           bool
	header            http.Header
}

// parseCall parses the templates and tries them on an example.
func parseCall(cfg images.CDN) (*call, error) {
	c := &call{method: cfg.Method, headers: map[string]*template.Template{}}
	if !httpguts.ValidHeaderFieldName(cfg.Method) {
		return nil, fmt.Errorf("method: %.40q is none", cfg.Method)
	}
	var errs []error
	parse := func(what, text string) *template.Template {
		t, err := template.New(what).Funcs(functions).Option("missingkey=error").Parse(text)
		if err != nil {
			errs = append(errs, err)
		}
		return t
	}
	c.url = parse("url", cfg.URL)
	if cfg.Body != "" {
		c.body = parse("body", cfg.Body)
	}
	for name, text := range cfg.Headers {
		if !httpguts.ValidHeaderFieldName(name) {
			errs = append(errs, fmt.Errorf("headers: %.40q is no name of a header", name))
		}
		c.headers[name] = parse("header "+name, text)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	example := purge.Order{ID: purge.ID{Time: 1, Node: "node.0", Counter: 1}, Action: purge.Purge, Target: purge.Key(images.DefaultOrigin, "recipes/1.jpg"), Reason: "example"}
	_, err := c.render(fieldsOf([]purge.Order{example}, "secret"))
	return c, err
}

// render fills the templates in.
func (c *call) render(f Fields) (*rendered, error) {
	r := &rendered{method: c.method, header: http.Header{}}
	var err error
	if r.url, err = fill(c.url, f, urlMax); err != nil {
		return nil, err
	}
	u, err := url.Parse(r.url)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("url: it does not become one of http or https")
	}
	if c.body != nil {
		r.hasBody = true
		if r.body, err = fill(c.body, f, bodyMax); err != nil {
			return nil, err
		}
	}
	for name, t := range c.headers {
		v, err := fill(t, f, headerMax)
		if err != nil {
			return nil, err
		}
		if v = strings.TrimSpace(v); !httpguts.ValidHeaderFieldValue(v) {
			return nil, fmt.Errorf("headers.%s: it becomes no value of a header", name)
		}
		r.header.Set(name, v)
	}
	return r, nil
}

// errLong says that a template writes more than it may.
var errLong = errors.New("it becomes too long")

// bounded is a writer of at most max bytes.
type bounded struct {
	strings.Builder
	max int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.max {
		return 0, errLong
	}
	return b.Builder.Write(p)
}

func fill(t *template.Template, f Fields, max int) (string, error) {
	out := bounded{max: max}
	if err := t.Execute(&out, f); err != nil {
		return "", err
	}
	return out.String(), nil
}

// Examples are hooks for CDNs and caches of the field; places in capitals are to
// be filled in. nginx has none: it purges by whole URLs, if at all, and nobody
// knows which sizes of an original it holds; there the ETag, which has the
// revision stamp in it, tells at the next revalidation.
func Examples() map[string]images.CDN {
	return map[string]images.CDN{
		// With a vcl_recv that bans obj.http.Surrogate-Key by this expression.
		"varnish": {Method: "BAN", URL: "http://127.0.0.1:6081/", Headers: map[string]string{"X-Surrogate-Keys": `{{join .Tokens "|"}}`}, Batch: 32},
		"fastly":  {Method: "POST", URL: "https://api.fastly.com/service/SERVICE/purge", Headers: map[string]string{"Fastly-Key": "{{.Secret}}", "Surrogate-Key": `{{join .Tokens " "}}`}, Batch: 256},
		"cloudflare": {Method: "POST", URL: "https://api.cloudflare.com/client/v4/zones/ZONE/purge_cache",
			Headers: map[string]string{"Authorization": "Bearer {{.Secret}}", "Content-Type": "application/json"}, Body: `{"tags":{{json .Tokens}}}`, Batch: 30},
		// A program in between signs what Akamai wants signed.
		"akamai": {Method: "POST", URL: "http://127.0.0.1:9000/ccu/v3/delete/tag/production",
			Headers: map[string]string{"Content-Type": "application/json"}, Body: `{"objects":{{json .Tokens}}}`, Batch: 100},
	}
}
