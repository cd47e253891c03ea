package s3api

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/kamado/kamado/images/store/shelf"
	"github.com/kamado/kamado/internal/blob"
)

// keysMax is the most entries of one answer (ListObjectsV2).
const keysMax = 1000

// A list with a delimiter asks the store anew behind each common prefix, for
// jumpLimit objects at first: what lies below the next one is not wanted either.
const jumpLimit = 16

// beyond is a byte that is in no UTF-8: prefix+beyond is after every key that
// begins with prefix.
const beyond = "\xff"

// asked is what both versions of a list ask for.
type asked struct {
	prefix, delimiter string
	after             string // the last key or common prefix of the page before
	max               int
	urls              bool // names are URL-encoded in the answer
}

// entry is an object of a list.
type entry struct {
	Key          string
	LastModified string
	ETag         string
	Size         int64
	Owner        *owner `xml:",omitempty"`
	StorageClass string
}

type commonPrefix struct{ Prefix string }

// page is one answer.
type page struct {
	objects   []shelf.Object // keys as the client names them
	prefixes  []string
	truncated bool
	last      string // key or common prefix to go on behind
}

func (p *page) full(a *asked) bool { return len(p.objects)+len(p.prefixes) >= a.max }

func (c *call) asked() (*asked, error) {
	q := c.r.URL.Query()
	a := &asked{prefix: q.Get("prefix"), delimiter: q.Get("delimiter"), max: keysMax}
	if s := q.Get("max-keys"); s != "" {
		n, err := strconv.ParseUint(s, 10, 31)
		if err != nil {
			return nil, &fault{"InvalidArgument", 400, "max-keys is not a number"}
		}
		a.max = min(int(n), keysMax)
	}
	switch q.Get("encoding-type") {
	case "url":
		a.urls = true
	case "":
	default:
		return nil, &fault{"InvalidArgument", 400, "encoding-type is url or nothing"}
	}
	return a, nil
}

// name writes a key or prefix in the encoding that was asked for.
func (a *asked) name(s string) string {
	if !a.urls {
		return s
	}
	return escape(s)
}

// escape is the encoding of encoding-type=url: slashes stay.
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~/", c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// list gives one page: objects, and prefixes up to the delimiter in place of what
// lies below them, together in the order of their names.
func (c *call) list(a *asked) (*page, error) {
	p := &page{}
	if a.max == 0 {
		return p, nil
	}
	root := c.place.Prefix
	after, limit := a.after, a.max+1
	if after != "" {
		after = root + after
	}
	for {
		limit = min(limit, keysMax)
		infos, err := c.h.deps.Shelf.List(c.ctx(), c.place.Origin, root+a.prefix, after, limit)
		if errors.Is(err, blob.ErrInvalidKey) {
			return p, nil // a prefix of no key: nothing begins with it
		}
		if err != nil {
			return nil, err
		}
		jumped := false
		for _, in := range infos {
			key := in.Key[len(root):]
			below := a.common(key)
			if below != "" && below <= a.after {
				after, jumped = root+below+beyond, true // told on the page before
				break
			}
			if p.full(a) {
				p.truncated = true
				return p, nil
			}
			if below != "" {
				p.prefixes, p.last = append(p.prefixes, below), below
				after, jumped = root+below+beyond, true
				break
			}
			o := c.h.deps.Shelf.Entry(c.ctx(), c.place.Origin, in)
			o.Key = key
			p.objects, p.last = append(p.objects, o), key
			after = in.Key
		}
		switch {
		case jumped:
			limit = jumpLimit
		case len(infos) < limit:
			return p, nil
		default:
			limit *= 4 // no prefix for a while: objects are what is there
		}
	}
}

// common is the prefix that stands for key in a list with a delimiter; empty: key
// stands for itself.
func (a *asked) common(key string) string {
	if a.delimiter == "" {
		return ""
	}
	i := strings.Index(key[len(a.prefix):], a.delimiter)
	if i < 0 {
		return ""
	}
	return key[:len(a.prefix)+i+len(a.delimiter)]
}

func (p *page) contents(a *asked, owned bool) (list []entry) {
	for _, o := range p.objects {
		e := entry{Key: a.name(o.Key), LastModified: stamp(o.ModTime), ETag: `"` + o.MD5 + `"`, Size: o.Size, StorageClass: "STANDARD"}
		if owned {
			e.Owner = &theOwner
		}
		list = append(list, e)
	}
	return list
}

func (p *page) common(a *asked) (list []commonPrefix) {
	for _, s := range p.prefixes {
		list = append(list, commonPrefix{a.name(s)})
	}
	return list
}

// listed is the part of the answer that both versions share.
type listed struct {
	NS             string `xml:"xmlns,attr"`
	Name           string
	Prefix         string
	Delimiter      string `xml:",omitempty"`
	MaxKeys        int
	EncodingType   string `xml:",omitempty"`
	IsTruncated    bool
	Contents       []entry
	CommonPrefixes []commonPrefix
}

func (c *call) listed(a *asked, p *page, owned bool) listed {
	l := listed{
		NS: namespace, Name: c.bucket, Prefix: a.name(a.prefix), Delimiter: a.name(a.delimiter), MaxKeys: a.max,
		IsTruncated: p.truncated, Contents: p.contents(a, owned), CommonPrefixes: p.common(a),
	}
	if a.urls {
		l.EncodingType = "url"
	}
	return l
}

func (c *call) listV2() error {
	q := c.r.URL.Query()
	if q.Get("list-type") != "2" {
		return &fault{"InvalidArgument", 400, "list-type is 2"}
	}
	a, err := c.asked()
	if err != nil {
		return err
	}
	start, token := q.Get("start-after"), q.Get("continuation-token")
	a.after = start
	if q.Has("continuation-token") {
		last, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || len(last) == 0 || len(last) > blob.KeyBytesMax {
			return &fault{"InvalidArgument", 400, "the continuation token is not one that was given"}
		}
		a.after = string(last)
	}
	p, err := c.list(a)
	if err != nil {
		return err
	}
	answer := struct {
		XMLName xml.Name `xml:"ListBucketResult"`
		listed
		KeyCount              int
		StartAfter            string `xml:",omitempty"`
		ContinuationToken     string `xml:",omitempty"`
		NextContinuationToken string `xml:",omitempty"`
	}{listed: c.listed(a, p, q.Get("fetch-owner") == "true"), KeyCount: len(p.objects) + len(p.prefixes), StartAfter: a.name(start), ContinuationToken: token}
	if p.truncated {
		answer.NextContinuationToken = base64.RawURLEncoding.EncodeToString([]byte(p.last))
	}
	c.writeXML(http.StatusOK, answer)
	return nil
}

func (c *call) listV1() error {
	a, err := c.asked()
	if err != nil {
		return err
	}
	a.after = c.query("marker")
	p, err := c.list(a)
	if err != nil {
		return err
	}
	answer := struct {
		XMLName xml.Name `xml:"ListBucketResult"`
		listed
		Marker     string
		NextMarker string `xml:",omitempty"`
	}{listed: c.listed(a, p, true), Marker: a.name(a.after)}
	if p.truncated {
		answer.NextMarker = a.name(p.last)
	}
	c.writeXML(http.StatusOK, answer)
	return nil
}
