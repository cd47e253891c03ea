package api

import (
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/delivery"
)

// multiBytesMax bounds the body of a request for many pictures.
const multiBytesMax = 256 << 10

// multiMax is how many requests for many pictures are in work at once. Each holds
// as many pictures as delivery.ManyMax requests until its client took them, so
// together they are like 1,024, the default of in_flight_max.
const multiMax = 16

// MultiRequest is the body of POST multi: paths of pictures with their queries
// and signatures, at most delivery.ManyMax.
type MultiRequest struct {
	Paths []string `json:"paths"`
}

// MultiAnswer is what POST multi gives, in the order of the paths.
type MultiAnswer struct {
	Pictures []Made `json:"pictures"`
}

// Made is what became of one path.
type Made struct {
	Path   string `json:"path"`
	Status int    `json:"status"` // HTTP
	Cache  string `json:"cache"`  // memory, disk, rendered, shared or error
	Format string `json:"format,omitempty"`
	Width  int    `json:"width,omitempty"`
	Height int    `json:"height,omitempty"`
	Bytes  int    `json:"bytes,omitempty"`
	ETag   string `json:"etag,omitempty"`
	Kind   string `json:"kind,omitempty"` // of the error
	Part   string `json:"part,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// multi makes several pictures at once: those of one original from one decode.
// Nobody needs a credential for it, because each path carries its own signature.
// The answer is JSON; who accepts multipart/mixed gets the pictures themselves.
func (a *api) multi(w http.ResponseWriter, r *http.Request) {
	urls, err := multiPaths(r)
	if err != nil {
		delivery.WriteProblem(w, r, err)
		return
	}
	select {
	case a.many <- struct{}{}:
		defer func() { <-a.many }()
	default:
		w.Header().Set("Retry-After", "1")
		delivery.WriteProblem(w, r, images.Errorf(images.Exhausted, "too many requests for many pictures are in work; try again in a second"))
		return
	}
	made := a.Many(r, urls)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if strings.Contains(r.Header.Get("Accept"), "multipart/mixed") {
		writeParts(w, made)
		return
	}
	answer := MultiAnswer{Pictures: make([]Made, len(made))}
	for i, m := range made {
		answer.Pictures[i] = describe(m)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // a client that left is nobody to tell
}

func multiPaths(r *http.Request) ([]*url.URL, error) {
	var req MultiRequest
	dec := json.NewDecoder(http.MaxBytesReader(nil, r.Body, multiBytesMax))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&req); err != nil || len(req.Paths) == 0 {
		return nil, images.Invalidf("body", "it is not {\"paths\": [\"/...\"]}")
	}
	if len(req.Paths) > delivery.ManyMax {
		return nil, images.Invalidf("paths", "%d are more than the %d of one request", len(req.Paths), delivery.ManyMax)
	}
	urls := make([]*url.URL, len(req.Paths))
	for i, path := range req.Paths {
		u, err := url.ParseRequestURI(path)
		if err != nil || !strings.HasPrefix(path, "/") || u.Host != "" {
			return nil, images.Invalidf("paths", "the one at %d does not begin with one slash", i)
		}
		urls[i] = u
	}
	return urls, nil
}

func describe(m delivery.One) Made {
	d := Made{Path: m.Path, Status: m.Status, Cache: m.Outcome.String(), Kind: m.Kind, Part: m.Part, Detail: m.Detail}
	if m.Status == http.StatusOK {
		d.Format, d.Width, d.Height, d.Bytes, d.ETag = m.Format.String(), m.Width, m.Height, len(m.Data), m.ETag
	}
	return d
}

// writeParts answers with one part a picture (RFC 2046): the picture with its
// own headers, or what is wrong as JSON. Status is the part's HTTP status.
func writeParts(w http.ResponseWriter, made []delivery.One) {
	parts := multipart.NewWriter(w)
	w.Header().Set("Content-Type", "multipart/mixed; boundary="+parts.Boundary())
	for _, m := range made {
		header := textproto.MIMEHeader{"Content-Location": {m.Path}, "Status": {strconv.Itoa(m.Status)}}
		body := m.Data
		if m.Status == http.StatusOK {
			header.Set("Content-Type", m.Format.MediaType())
			header.Set("Etag", m.ETag)
		} else {
			header.Set("Content-Type", "application/json")
			body, _ = json.Marshal(describe(m)) // a struct of texts and numbers
		}
		header.Set("Content-Length", strconv.Itoa(len(body)))
		part, err := parts.CreatePart(header)
		if err == nil {
			_, err = part.Write(body)
		}
		if err != nil {
			return // a client that left is nobody to tell
		}
	}
	_ = parts.Close()
}
