package s3api

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/kamado/kamado/images/store/shelf"
	"github.com/kamado/kamado/images/store/sigv4"
)

// Bounds of XML bodies. Unit: bytes. 1000 keys of 1 KiB, escaped, and 10,000 parts
// with a checksum each fit.
const (
	deleteBytesMax   = 4 << 20
	completeBytesMax = 4 << 20
)

const sumPrefix = "x-amz-checksum-"

// body is the request's body as the shelf takes it: signature, chunks and announced
// checksums are judged on the way.
func (c *call) body() (shelf.Body, error) {
	in, err := c.signed.Body(c.r, shelf.Incoming(c.w, c.r, c.h.deps.Shelf.Stall()))
	if err != nil {
		return shelf.Body{}, err
	}
	b := shelf.Body{Reader: in, Size: in.Size}
	if b.Sums, err = shelf.Announced(c.r.Header); err != nil {
		return shelf.Body{}, errSum
	}
	b.Also = lateSums(c.r.Header)
	if len(b.Also) > 0 {
		b.Trailer = func() ([]shelf.Sum, error) { return parseTrailer(in.Trailer()) }
	}
	return b, nil
}

// lateSums are the checksums that the request announces for its trailer.
func lateSums(h http.Header) (list []shelf.Algorithm) {
	for _, name := range sigv4.TrailerNames(h) {
		if a, ok := strings.CutPrefix(name, sumPrefix); ok {
			list = append(list, shelf.Algorithm(a))
		}
	}
	return list
}

func parseTrailer(trailer map[string]string) (sums []shelf.Sum, err error) {
	for name, text := range trailer {
		a, ok := strings.CutPrefix(name, sumPrefix)
		if !ok {
			continue // not of the body's bytes
		}
		s, err := shelf.ParseSum(shelf.Algorithm(a), text)
		if err != nil {
			return nil, errSum
		}
		sums = append(sums, s)
	}
	return sums, nil
}

// readXML reads a small body whole, checks it as body does, and parses it into v.
// ofObject: x-amz-checksum-* speak of an object and not of this body.
func (c *call) readXML(v any, most int64, ofObject bool) error {
	b, err := c.body()
	if err != nil {
		return err
	}
	if ofObject {
		b.Sums = slices.DeleteFunc(b.Sums, func(s shelf.Sum) bool { return s.Algorithm != shelf.MD5 })
	}
	text, err := io.ReadAll(io.LimitReader(b.Reader, most+1))
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return shelf.ErrIncomplete
	case err != nil:
		return err
	case int64(len(text)) > most:
		return errXMLLarge
	}
	if err := b.Check(text); err != nil {
		return err
	}
	return parseXML(text, v)
}

// parseXML reads one document. encoding/xml expands no entities but XML's own five,
// so a document costs no more than its bytes.
func parseXML(text []byte, v any) error {
	d := xml.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(v); err != nil {
		return errXML
	}
	return nil
}

// echo tells the client which checksums were compared, as S3 does.
func (c *call) echo(b shelf.Body) {
	sums := b.Sums
	if b.Trailer != nil {
		late, err := b.Trailer()
		if err != nil {
			return // it was compared before
		}
		sums = append(sums, late...)
	}
	for _, s := range sums {
		if s.Algorithm != shelf.MD5 {
			c.w.Header().Set("X-Amz-Checksum-"+string(s.Algorithm), s.Base64())
			c.w.Header().Set("X-Amz-Checksum-Type", "FULL_OBJECT")
		}
	}
}
