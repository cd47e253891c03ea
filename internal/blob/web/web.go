package web

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/kamado/kamado/internal/blob"
)

// Store is a blob.Store of what web servers have, for reading.
type Store struct {
	cfg       Config
	allow     *allowList
	guard     *guard
	transport *http.Transport
	known     *memory

	redirects, retries atomic.Uint64
}

// Open prepares the store. It sends nothing: a server that is down is
// blob.ErrUnavailable for each call until it is up.
func Open(cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("web configuration: %w", err)
	}
	allow, err := newAllowList(cfg)
	if err != nil {
		return nil, fmt.Errorf("web configuration: %w", err)
	}
	networks, err := parseNetworks(cfg.AllowNetworks)
	if err != nil {
		return nil, fmt.Errorf("web configuration: %w", err)
	}
	g := &guard{allow: networks, ports: allow.allPorts()}
	return &Store{cfg: cfg, allow: allow, guard: g, transport: newTransport(cfg, g), known: newMemory()}, nil
}

// Close ends idle connections, when no call is under way.
func (s *Store) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}

// Stats are the counters of a Store since it was made.
type Stats struct {
	Refused   uint64 `json:"refused"`   // connections that the guard did not let happen
	Redirects uint64 `json:"redirects"` // followed
	Retries   uint64 `json:"retries"`   // attempts that failed and were made again
}

// Stats reads the counters.
func (s *Store) Stats() Stats {
	return Stats{s.guard.refused.Load(), s.redirects.Load(), s.retries.Load()}
}

// Get implements blob.Store.
func (s *Store) Get(ctx context.Context, key string) (*blob.Object, error) {
	targets, err := s.allow.targets(key, s.cfg.URLKeys)
	if err != nil {
		return nil, err
	}
	var o *blob.Object
	err = s.call(ctx, "get", func(n int) error {
		f := s.newFlight(ctx)
		o, err = s.open(f, targets[n%len(targets)])
		if err != nil {
			err = f.why(err)
			f.end()
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("get %q: %w", public(key), err)
	}
	return o, nil
}

// open asks for an object. Where the server tells its length and version, the
// bytes come as they are read; else they are all read first.
func (s *Store) open(f *flight, u *url.URL) (*blob.Object, error) {
	resp, err := s.follow(f.ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, err
	}
	if err := s.checkObject(resp); err != nil {
		discard(resp)
		return nil, err
	}
	size := resp.ContentLength
	b := s.newBody(f, resp.Body, size, digestOf(resp.Header))
	v := versionOf(resp.Header, size)
	if size >= 0 && v.etag != "" {
		return &blob.Object{ReadCloser: b, Size: size, ETag: v.etag, ModTime: v.modified}, nil
	}
	defer b.Close()
	data, err := io.ReadAll(io.LimitReader(b, s.cfg.BytesMax+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > s.cfg.BytesMax {
		return nil, s.tooLarge()
	}
	sum := sha256.Sum256(data)
	v = s.learn(u, resp.Header, int64(len(data)), sum[:])
	return &blob.Object{ReadCloser: newHeld(data), Size: int64(len(data)), ETag: v.etag, ModTime: v.modified}, nil
}

// learn gives the version of an object all of whose bytes were read, and
// remembers its size.
func (s *Store) learn(u *url.URL, h http.Header, size int64, sum []byte) version {
	v := versionOf(h, size)
	if v.etag == "" {
		v.etag = hashTag(sum)
	}
	s.known.add(u.String(), known{tag: h.Get("Etag"), since: h.Get("Last-Modified"), size: size, version: v})
	return v
}

func (s *Store) tooLarge() error {
	return &fault{word: blob.ErrTooLarge, err: fmt.Errorf("limit %d bytes", s.cfg.BytesMax)}
}

// checkObject refuses an answer that is no whole object.
func (s *Store) checkObject(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return s.statusFault(resp)
	}
	if coding := resp.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return unavailable(false, "asked for plain bytes, answered in the coding %.20q", coding)
	}
	if resp.ContentLength > s.cfg.BytesMax {
		return &fault{word: blob.ErrTooLarge, err: fmt.Errorf("%d bytes, limit %d", resp.ContentLength, s.cfg.BytesMax)}
	}
	if resp.ContentLength < 0 && !slices.Contains(resp.TransferEncoding, "chunked") && resp.Request.Method == http.MethodGet {
		// The end of the connection would be the end of the body: nothing tells
		// a whole one from one cut short.
		return unavailable(false, "answer without a length")
	}
	return nil
}

// Stat implements blob.Store. It asks by HEAD; where HEAD is refused, or does
// not tell enough, by GET.
func (s *Store) Stat(ctx context.Context, key string) (blob.Info, error) {
	targets, err := s.allow.targets(key, s.cfg.URLKeys)
	if err != nil {
		return blob.Info{}, err
	}
	var in blob.Info
	err = s.call(ctx, "stat", func(n int) error {
		f := s.newFlight(ctx)
		defer f.end()
		in, err = s.stat(f, targets[n%len(targets)])
		if err != nil {
			err = f.why(err)
		}
		return err
	})
	if err != nil {
		return blob.Info{}, fmt.Errorf("stat %q: %w", public(key), err)
	}
	in.Key = key
	return in, nil
}

func (s *Store) stat(f *flight, u *url.URL) (blob.Info, error) {
	if !s.known.headless(u.Host) {
		in, err := s.head(f, u)
		if !errors.Is(err, errAskByGet) {
			return in, err
		}
	}
	in, err := s.firstByte(f, u)
	if !errors.Is(err, errAskByGet) {
		return in, err
	}
	return s.readThrough(f, u)
}

// errAskByGet: this way of asking did not tell enough.
var errAskByGet = errors.New("ask another way")

// head asks by HEAD.
func (s *Store) head(f *flight, u *url.URL) (blob.Info, error) {
	resp, err := s.follow(f.ctx, http.MethodHead, u, nil)
	if err != nil {
		return blob.Info{}, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		s.known.setHeadless(u.Host)
		return blob.Info{}, errAskByGet
	case http.StatusForbidden, http.StatusUnauthorized, http.StatusBadRequest:
		// A URL that is signed for GET says so to HEAD.
		return blob.Info{}, errAskByGet
	}
	if err := s.checkObject(resp); err != nil {
		return blob.Info{}, err
	}
	if resp.ContentLength == 0 {
		return blob.Info{}, errAskByGet // many programs say so to HEAD, whatever they have
	}
	return s.told(u, resp.Header, resp.ContentLength)
}

// told is what a head says about an object of size bytes, size < 0: unknown.
// What is missing is taken from what was read of the same version before.
func (s *Store) told(u *url.URL, h http.Header, size int64) (blob.Info, error) {
	v := versionOf(h, size)
	if size >= 0 && v.etag != "" {
		return blob.Info{Size: size, ETag: v.etag, ModTime: v.modified}, nil
	}
	if k, ok := s.known.get(u.String()); ok && k.same(h) {
		return k.info(), nil
	}
	return blob.Info{}, errAskByGet
}

// firstByte asks for the first byte of an object; the head of the answer tells
// the rest. A version that is known already is not sent again.
func (s *Store) firstByte(f *flight, u *url.URL) (blob.Info, error) {
	ask := http.Header{"Range": {"bytes=0-0"}}
	k, ok := s.known.get(u.String())
	if ok {
		k.condition(ask)
	}
	resp, err := s.follow(f.ctx, http.MethodGet, u, ask)
	if err != nil {
		return blob.Info{}, err
	}
	defer discard(resp)
	switch resp.StatusCode {
	case http.StatusNotModified:
		if ok {
			return k.info(), nil
		}
	case http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable:
		size := rangeTotal(resp.Header.Get("Content-Range"))
		if size > s.cfg.BytesMax {
			return blob.Info{}, s.tooLarge()
		}
		return s.told(u, resp.Header, size)
	case http.StatusOK:
		if err := s.checkObject(resp); err != nil {
			return blob.Info{}, err
		}
		return s.told(u, resp.Header, resp.ContentLength)
	}
	return blob.Info{}, s.statusFault(resp)
}

// rangeTotal is the whole length in a Content-Range, as in "bytes 0-0/123" and
// "bytes */0" (RFC 9110 14.4); -1 when it is not told.
func rangeTotal(text string) int64 {
	_, total, ok := strings.Cut(text, "/")
	n, err := strconv.ParseInt(total, 10, 64)
	if !ok || err != nil || n < 0 {
		return -1
	}
	return n
}

// readThrough reads an object and keeps nothing but its length and hash.
func (s *Store) readThrough(f *flight, u *url.URL) (blob.Info, error) {
	resp, err := s.follow(f.ctx, http.MethodGet, u, nil)
	if err != nil {
		return blob.Info{}, err
	}
	if err := s.checkObject(resp); err != nil {
		discard(resp)
		return blob.Info{}, err
	}
	b := s.newBody(f, resp.Body, resp.ContentLength, digestOf(resp.Header))
	defer b.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(b, s.cfg.BytesMax+1))
	if err != nil {
		return blob.Info{}, err
	}
	if n > s.cfg.BytesMax {
		return blob.Info{}, s.tooLarge()
	}
	v := s.learn(u, resp.Header, n, sum.Sum(nil))
	return blob.Info{Size: n, ETag: v.etag, ModTime: v.modified}, nil
}

// Put implements blob.Store: it cannot be done.
func (s *Store) Put(context.Context, string, io.Reader, int64, blob.PutOptions) (blob.Info, error) {
	return blob.Info{}, readOnly("put")
}

// Delete implements blob.Store: it cannot be done.
func (s *Store) Delete(context.Context, string) error { return readOnly("delete") }

// List implements blob.Store: it cannot be done.
func (s *Store) List(context.Context, string, string, int) ([]blob.Info, error) {
	return nil, readOnly("list")
}

func readOnly(op string) error {
	return fmt.Errorf("%s: %w: a web server is only read", op, errors.ErrUnsupported)
}
