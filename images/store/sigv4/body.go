package sigv4

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	hashes "hash"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Bounds of the aws-chunked form. Clients send chunks of 8 KiB to some MiB; a
// chunk is not held in memory, so its size is bounded by the body's alone.
const (
	lineBytesMax    = 4 << 10 // of a chunk's head or a line of the trailer
	trailerLinesMax = 16
)

// Body is the body of a signed request as its client meant it.
type Body struct {
	io.Reader
	Size int64 // bytes that Reader gives; -1: not known before

	trailer *chunks
}

// Trailer gives what came behind the chunks, by lower-case name; call it after
// io.EOF. Empty for a body without one.
func (b *Body) Trailer() map[string]string {
	if b.trailer == nil {
		return nil
	}
	return b.trailer.trailer
}

// TrailerNames are the names that the request announces for its trailer, in lower
// case.
func TrailerNames(h http.Header) []string {
	var names []string
	for name := range strings.SplitSeq(strings.Join(h.Values("X-Amz-Trailer"), ","), ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// Body reads the body of the request that s is of from raw: undoes chunks, and
// checks what is signed of it. What it gives before its io.EOF is not yet
// verified, so nothing may be done with it that cannot be undone.
func (s *Signed) Body(r *http.Request, raw io.Reader) (*Body, error) {
	switch s.Payload {
	case Unsigned:
		return &Body{Reader: raw, Size: r.ContentLength}, nil
	case Hashed:
		return &Body{Reader: &hashed{raw: raw, sum: sha256.New(), want: s.sum}, Size: r.ContentLength}, nil
	}
	size, err := strconv.ParseUint(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 62)
	if err != nil {
		return nil, ErrLength
	}
	c := &chunks{
		raw: bufio.NewReaderSize(raw, lineBytesMax), left: int64(size), signed: s.Payload != UnsignedTrailer,
		key: s.key, context: s.context, previous: s.seed, sum: sha256.New(), names: TrailerNames(r.Header),
	}
	c.trailing = s.Payload != Chunked
	if len(c.names) > trailerLinesMax || !c.trailing && len(c.names) > 0 {
		return nil, ErrTrailer
	}
	return &Body{Reader: c, Size: int64(size), trailer: c}, nil
}

// hashed compares the SHA-256 of all bytes with the signed one.
type hashed struct {
	raw  io.Reader
	sum  hashes.Hash
	want string // hex
}

func (h *hashed) Read(p []byte) (int, error) {
	n, err := h.raw.Read(p)
	_, _ = h.sum.Write(p[:n]) // hash.Hash: never an error
	if errors.Is(err, io.EOF) && hex.EncodeToString(h.sum.Sum(nil)) != h.want {
		err = ErrPayload
	}
	return n, err
}

// chunks undoes the aws-chunked form:
//
//	chunk   = size-in-hex [";chunk-signature=" hex] CRLF bytes CRLF
//	last    = "0" [";chunk-signature=" hex] CRLF
//	trailer = *(name ":" value CRLF) ["x-amz-trailer-signature:" hex CRLF]
//	body    = *chunk last [trailer] CRLF
//
// minio-go ends a name and its value by LF alone and puts an empty line before the
// signature of the trailer; S3 takes that, and so does this.
//
// Invariant: it gives at most the announced size, and io.EOF only after the end
// was read and everything signed was verified.
type chunks struct {
	raw      *bufio.Reader
	signed   bool
	trailing bool
	key      []byte
	context  string   // "date\nscope\n"
	previous string   // signature that the next one builds on; hex
	names    []string // that the trailer may and must have

	left    int64 // bytes of the body that are still to come
	chunk   int64 // of the present chunk that are still to come
	within  bool
	claimed string // signature of the present chunk
	sum     hashes.Hash
	trailer map[string]string
	err     error // sticky
}

func (c *chunks) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.read(p)
	if err != nil {
		c.err = err
	}
	return n, err
}

func (c *chunks) read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if !c.within {
		if err := c.head(); err != nil {
			return 0, err
		}
		if c.chunk == 0 {
			return 0, c.end()
		}
	}
	if int64(len(p)) > c.chunk {
		p = p[:c.chunk]
	}
	n, err := c.raw.Read(p)
	c.chunk -= int64(n)
	c.left -= int64(n)
	if c.signed {
		_, _ = c.sum.Write(p[:n]) // hash.Hash: never an error
	}
	if c.chunk == 0 {
		c.within = false
		return n, errors.Join(c.verify(), c.crlf())
	}
	return n, cut(err)
}

// cut makes an end that comes too early one that is told from a good one.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// rawLine reads up to LF, which is left out. Bytes that are no line of at most
// lineBytesMax are ErrChunk.
func (c *chunks) rawLine() (string, error) {
	b, err := c.raw.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", ErrChunk
	case err != nil:
		return "", cut(err)
	}
	return string(b[:len(b)-1]), nil
}

// line reads up to CRLF, which is left out.
func (c *chunks) line() (string, error) {
	text, err := c.rawLine()
	if err != nil {
		return "", err
	}
	text, ok := strings.CutSuffix(text, "\r")
	if !ok {
		return "", ErrChunk
	}
	return text, nil
}

func (c *chunks) crlf() error {
	text, err := c.line()
	if err == nil && text != "" {
		err = ErrChunk
	}
	return err
}

// head reads the head of the next chunk.
func (c *chunks) head() error {
	text, err := c.line()
	if err != nil {
		return err
	}
	digits, extension, _ := strings.Cut(text, ";")
	size, err := strconv.ParseUint(strings.TrimSpace(digits), 16, 62)
	if err != nil || len(digits) > 16 {
		return ErrChunk
	}
	if int64(size) > c.left || size == 0 && c.left > 0 {
		return ErrChunkLarge
	}
	c.chunk, c.within = int64(size), true
	if !c.signed {
		return nil // an extension there means nothing (RFC 9112 7.1.1)
	}
	signature, ok := strings.CutPrefix(extension, "chunk-signature=")
	if !ok || !hexSum(signature) {
		return ErrChunk
	}
	c.claimed = signature
	c.sum.Reset()
	return nil
}

// verify compares the signature of the chunk whose bytes were read.
func (c *chunks) verify() error {
	if !c.signed {
		return nil
	}
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // SHA-256 of nothing
	return c.compare("AWS4-HMAC-SHA256-PAYLOAD", empty+"\n"+hex.EncodeToString(c.sum.Sum(nil)), c.claimed)
}

func (c *chunks) compare(kind, text, claimed string) error {
	want := sign(c.key, kind+"\n"+c.context+c.previous+"\n"+text)
	if subtle.ConstantTimeCompare([]byte(want), []byte(claimed)) != 1 {
		return ErrChunkSigned
	}
	c.previous = want
	return nil
}

// end reads what follows the last chunk's head.
func (c *chunks) end() error {
	if err := c.verify(); err != nil {
		return err
	}
	if !c.trailing {
		if err := c.crlf(); err != nil {
			return err
		}
		return io.EOF
	}
	if err := c.readTrailer(); err != nil {
		return err
	}
	return io.EOF
}

// readTrailer reads the lines up to the empty one, and checks that they are those
// announced and signed.
func (c *chunks) readTrailer() error {
	const signatureName = "x-amz-trailer-signature"
	trailer, signed := map[string]string{}, ""
	var canonical strings.Builder
	for n := 0; ; n++ {
		text, err := c.rawLine()
		if err != nil {
			return err
		}
		if text = strings.TrimSuffix(text, "\r"); text == "" && (!c.signed || signed != "") {
			break
		}
		if text == "" && n <= trailerLinesMax {
			continue
		}
		name, value, ok := strings.Cut(text, ":")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if !ok || n == trailerLinesMax+1 {
			return ErrTrailer
		}
		if name == signatureName && c.signed {
			signed = value
			continue
		}
		if _, twice := trailer[name]; twice || !slices.Contains(c.names, name) {
			return ErrTrailer
		}
		trailer[name] = value
		fmt.Fprintf(&canonical, "%s:%s\n", name, value)
	}
	if len(trailer) != len(c.names) {
		return ErrTrailer
	}
	if c.signed {
		if err := c.compare("AWS4-HMAC-SHA256-TRAILER", hash(canonical.String()), signed); err != nil {
			return err
		}
	}
	c.trailer = trailer
	return nil
}
