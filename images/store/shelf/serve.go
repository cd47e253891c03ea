package shelf

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/kamado/kamado/internal/blob"
)

// RateMin is how many bytes a second a body brings on average, not counting what
// the shelf itself takes, once Stall has passed: who sends a byte now and then would
// hold one of the few places for days. With 8 KiB/s, 64 MiB hold one for 2.3 hours at
// most. Unit: bytes per second.
const RateMin = 8 << 10

// Incoming is the body of a request without the server's one deadline for the
// whole: a client may take its time as long as bytes come, RateMin of them. The
// answer's deadline moves along.
func Incoming(w http.ResponseWriter, r *http.Request, stall time.Duration) io.Reader {
	return &incoming{body: r.Body, control: http.NewResponseController(w), stall: stall}
}

// answerMax is how long an answer may take after the last byte of its request:
// checking, syncing and purging included.
const answerMax = time.Minute

type incoming struct {
	body    io.Reader
	control *http.ResponseController
	stall   time.Duration
	moved   time.Time     // when the deadlines were set last
	waited  time.Duration // for the client
	got     int64         // bytes
}

func (in *incoming) Read(p []byte) (int, error) {
	// A deadline costs a system call's worth of work: not for each buffer.
	now := time.Now()
	if now.Sub(in.moved) > in.stall/8 {
		in.moved = now
		move(in.control, now.Add(in.stall))
	}
	n, err := in.body.Read(p)
	in.waited += time.Since(now)
	in.got += int64(n)
	if over := in.waited - in.stall; err == nil && over > 0 && float64(in.got) < RateMin*over.Seconds() {
		return n, fmt.Errorf("%w: %d bytes in %v", os.ErrDeadlineExceeded, in.got, in.waited)
	}
	var tooSlow interface{ Timeout() bool }
	if errors.As(err, &tooSlow) && tooSlow.Timeout() {
		err = fmt.Errorf("%w: %w", os.ErrDeadlineExceeded, err)
	}
	return n, err
}

// move sets the deadlines of a connection. One that has none (a test's recorder)
// has nothing to move.
func move(c *http.ResponseController, t time.Time) {
	_ = c.SetReadDeadline(t)
	_ = c.SetWriteDeadline(t.Add(answerMax)) // the answer comes after the last byte of the body
}

// Settle ends what Incoming and Serve did to the deadlines of a connection; defer it
// in each handler that uses them. net/http sets the next request's deadline itself
// only where the server has one.
func Settle(w http.ResponseWriter, r *http.Request) {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if ok && server.WriteTimeout == 0 {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // none to move in a test's recorder
	}
}

// Serving is how an object is shown.
type Serving struct {
	ETag   string      // which of the object's two, without quotes
	Header http.Header // further headers; replaces those that Serve sets
}

// Serve answers GET and HEAD of an object with its conditions and one range
// (RFC 9110 13, 14). header gives what the protocol adds. An error came before
// anything was written; what happens behind the head ends the connection.
func (s *Shelf) Serve(w http.ResponseWriter, r *http.Request, ref Ref, header func(Object) Serving) error {
	ctx := r.Context()
	o, err := s.Stat(ctx, ref)
	if err != nil {
		return err
	}
	v := header(o)
	h := w.Header()
	h.Set("ETag", `"`+v.ETag+`"`)
	h.Set("Last-Modified", o.ModTime.UTC().Format(http.TimeFormat))
	unchanged, err := ConditionOf(r.Header).Holds(o)
	if err != nil {
		return err
	}
	if unchanged {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	part, err := rangeOf(r, o)
	if err != nil {
		h.Set("Content-Range", fmt.Sprintf("bytes */%d", o.Size))
		return err
	}
	// Opened before the head is written, so that an error still has a status.
	var body *blob.Object
	if r.Method == http.MethodGet {
		was := o.ETag
		if o, body, err = s.OpenRange(ctx, ref, part.offset, part.length); err != nil {
			return err
		}
		defer body.Close()
		if o.ETag != was {
			return ErrConflict
		}
	}
	h.Set("Content-Type", s.MediaType(ctx, ref, o))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'") // what is no picture must not run as a page of ours
	h.Set("Accept-Ranges", "bytes")
	status, size := http.StatusOK, o.Size
	if part.length >= 0 {
		status, size = http.StatusPartialContent, part.length
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", part.offset, part.offset+part.length-1, o.Size))
	}
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	for name, values := range v.Header {
		h[name] = values
	}
	w.WriteHeader(status)
	if body != nil {
		s.counts.bytesOut.Add(uint64(s.send(w, body)))
	}
	return nil
}

// send copies the body as long as the client takes it. A body that breaks off
// breaks the connection off, so that the client does not take it for whole.
func (s *Shelf) send(w http.ResponseWriter, body io.Reader) (sent int64) {
	control := http.NewResponseController(w)
	for {
		_ = control.SetWriteDeadline(time.Now().Add(s.cfg.Stall)) // none to move in a test's recorder
		n, err := io.CopyN(w, body, copyBytes)
		sent += n
		if errors.Is(err, io.EOF) {
			return sent
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

// part is a range of bytes; length < 0: the whole object.
type part struct{ offset, length int64 }

// rangeOf reads Range and If-Range. Several ranges, or something that is none,
// mean the whole object, as RFC 9110 14.2 allows.
func rangeOf(r *http.Request, o Object) (part, error) {
	whole := part{0, -1}
	if given := r.Header.Get("If-Range"); given != "" && !matches(given, o) {
		t, err := http.ParseTime(given)
		if err != nil || !t.Equal(o.ModTime.Truncate(time.Second)) {
			return whole, nil
		}
	}
	return parseRange(r.Header.Get("Range"), o.Size)
}

// parseRange reads "bytes=first-last", "bytes=first-" or "bytes=-suffix"; the
// length is < 0 for what means the whole. The error wraps blob.ErrRange.
func parseRange(text string, size int64) (part, error) {
	whole := part{0, -1}
	spec, ok := strings.CutPrefix(text, "bytes=")
	first, last, found := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok || !found || strings.Contains(spec, ",") {
		return whole, nil
	}
	if first == "" {
		n, err := strconv.ParseUint(last, 10, 62)
		if err != nil {
			return whole, nil
		}
		if n == 0 || size == 0 {
			return whole, blob.ErrRange
		}
		n = min(n, uint64(size))
		return part{size - int64(n), int64(n)}, nil
	}
	from, err := strconv.ParseUint(first, 10, 62)
	if err != nil {
		return whole, nil
	}
	to := uint64(1<<62 - 1)
	if last != "" {
		if to, err = strconv.ParseUint(last, 10, 62); err != nil || to < from {
			return whole, nil
		}
	}
	if from >= uint64(size) {
		return whole, blob.ErrRange
	}
	return part{int64(from), min(int64(to)+1, size) - int64(from)}, nil
}
