package glance

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
	"github.com/kamado/kamado/internal/blob"
)

// importMethod is the one way to import: from the staging directory.
const importMethod = "glance-direct"

// mine gives an image that the caller may change: upload asks before it reads.
func (s *service) mine(r *openstack.Request) (*compute.MachineImage, error) {
	m, err := s.Registry.Get(r.Context(), r.Caller, r.PathValue("id"))
	if err == nil && !r.Caller.Owns(m.ProjectID) {
		return nil, compute.Errorf(compute.Denied, "You are not authorized to complete this action: image %s belongs to another project.", m.ID)
	}
	return m, err
}

// octets refuses bodies that are not bytes.
func octets(r *openstack.Request) error {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "application/octet-stream" {
		return compute.Errorf(compute.UnsupportedMediaType, "The bytes of an image have the type application/octet-stream.")
	}
	return nil
}

// stallMax is how long a client may send or take nothing of an image's bytes. The
// bounds that a server sets on whole requests are lifted for them: an image
// takes as long as it takes.
const stallMax = 60 * time.Second

// steadyReader gives each read of a body stallMax.
type steadyReader struct {
	body    io.Reader
	control *http.ResponseController
}

func (s steadyReader) Read(p []byte) (int, error) {
	_ = s.control.SetReadDeadline(time.Now().Add(stallMax)) // a test's recorder has none
	n, err := s.body.Read(p)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		err = compute.Errorf(compute.TooLarge, "Image exceeds the maximum size of a request, %d bytes.", large.Limit)
	}
	return n, err
}

// steadyBody gives a request's body without a bound on the whole; done bounds the
// answer again.
func steadyBody(w http.ResponseWriter, r *openstack.Request) (body io.Reader, done func()) {
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Time{})
	return steadyReader{r.Body, control}, func() { _ = control.SetWriteDeadline(time.Now().Add(stallMax)) }
}

// steadyWriter gives each write of an answer stallMax.
type steadyWriter struct {
	io.Writer
	control *http.ResponseController
}

func (s steadyWriter) Write(p []byte) (int, error) {
	_ = s.control.SetWriteDeadline(time.Now().Add(stallMax))
	return s.Writer.Write(p)
}

func (s *service) upload(w http.ResponseWriter, r *openstack.Request) error {
	if err := octets(r); err != nil {
		return err
	}
	m, err := s.mine(r)
	if err != nil {
		return err
	}
	body, done := steadyBody(w, r)
	defer done()
	if _, err := s.Registry.Upload(r.Context(), m.ID, body, r.ContentLength); err != nil {
		return err
	}
	return noContent(w)
}

func (s *service) stage(w http.ResponseWriter, r *openstack.Request) error {
	if err := octets(r); err != nil {
		return err
	}
	m, err := s.mine(r)
	if err != nil {
		return err
	}
	body, done := steadyBody(w, r)
	defer done()
	if err := s.Registry.Stage(r.Context(), m.ID, body, r.ContentLength); err != nil {
		return err
	}
	return noContent(w)
}

// importStaged imports before it answers, so that a refusal reaches the client.
func (s *service) importStaged(w http.ResponseWriter, r *openstack.Request) error {
	var body struct {
		Method struct{ Name string }
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	if body.Method.Name != importMethod {
		return compute.Errorf(compute.Invalid, "Unknown import method name '%s'.", body.Method.Name)
	}
	m, err := s.mine(r)
	if err != nil {
		return err
	}
	if m.Status != compute.ImageUploading {
		return compute.Errorf(compute.Conflict, "Image needs to be in 'uploading' state to use 'glance-direct' method")
	}
	if _, err := s.Registry.Import(r.Context(), m.ID); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=UTF-8") // an empty text, which is no JSON
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (s *service) download(w http.ResponseWriter, r *openstack.Request) error {
	m, err := s.Registry.Get(r.Context(), r.Caller, r.PathValue("id"))
	if err != nil {
		return err
	}
	if m.Status != compute.ImageActive && m.Status != compute.ImageDeactivated {
		return noContent(w)
	}
	offset, length, part, err := parseRange(r.Header.Get("Range"), m.Size)
	if err != nil {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", m.Size))
		return err
	}
	if !part {
		offset, length = 0, -1
	}
	o, err := s.Registry.Open(r.Context(), r.Caller, m, offset, length)
	if err != nil {
		return err
	}
	defer o.Close()
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.FormatInt(o.Size, 10))
	h.Set("Accept-Ranges", "bytes")
	h.Set("X-Content-Type-Options", "nosniff")
	status := http.StatusOK
	if part {
		status = http.StatusPartialContent
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", offset, offset+o.Size-1, m.Size))
	} else {
		h.Set("Content-Md5", m.Checksum) // hexadecimal, as Glance has it
	}
	w.WriteHeader(status)
	if _, err := io.Copy(steadyWriter{w, http.NewResponseController(w)}, o); errors.Is(err, blob.ErrShort) || errors.Is(err, blob.ErrUnavailable) {
		s.Deps.Log.Warn("bytes of a machine image cut short", "image", m.ID, "request", openstack.RequestID(r.Request), "error", err)
		panic(http.ErrAbortHandler) // the status is out: only a broken connection tells the client
	}
	return nil
}

// parseRange reads a header Range of one range (RFC 9110 §14.1.2); part says
// whether there was one. Several ranges, or another unit, are the whole.
func parseRange(header string, size int64) (offset, length int64, part bool, err error) {
	spec, ok := strings.CutPrefix(strings.TrimSpace(header), "bytes=")
	if !ok || strings.Contains(spec, ",") {
		return 0, size, false, nil
	}
	first, last, ok := strings.Cut(strings.TrimSpace(spec), "-")
	from, ferr := strconv.ParseUint(first, 10, 63)
	to, lerr := strconv.ParseUint(last, 10, 63)
	bad := &compute.Error{Kind: compute.Invalid, Name: badRange, Detail: "The byte range passed in the 'Range' header did not match any available byte range in the image file."}
	switch {
	case !ok || first == "" && last == "" || first != "" && ferr != nil || last != "" && lerr != nil:
		return 0, 0, false, bad
	case first == "": // the last bytes
		n := min(int64(to), size)
		if n == 0 {
			return 0, 0, false, bad
		}
		return size - n, n, true, nil
	case int64(from) >= size || last != "" && to < from:
		return 0, 0, false, bad
	case last == "" || int64(to) >= size:
		return int64(from), size - int64(from), true, nil
	}
	return int64(from), int64(to) - int64(from) + 1, true, nil
}
