package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/kamado/kamado/internal/blob"
)

// Store is a blob.Store and a blob.Ranger in a bucket.
type Store struct {
	cfg       Config
	core      *minio.Core
	transport *http.Transport
}

// Open prepares the store. It sends nothing: a server that is down is
// blob.ErrUnavailable for each call until it is up.
func Open(cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("s3 configuration: %w", err)
	}
	host, secure, err := cfg.endpoint()
	if err != nil {
		return nil, fmt.Errorf("s3 configuration: %w", err)
	}
	lookup := map[Addressing]minio.BucketLookupType{
		AddressingAuto: minio.BucketLookupAuto, AddressingPath: minio.BucketLookupPath, AddressingVirtual: minio.BucketLookupDNS,
	}[cfg.Addressing]
	transport := newTransport(cfg)
	core, err := minio.NewCore(host, &minio.Options{
		Creds:        credentials.NewStaticV4(cfg.AccessKey, string(cfg.SecretKey), string(cfg.SessionToken)),
		Secure:       secure,
		Region:       cfg.Region,
		BucketLookup: lookup,
		Transport:    transport,
		MaxRetries:   1, // attempts are counted here
	})
	if err != nil {
		return nil, fmt.Errorf("s3 client: %w", err)
	}
	return &Store{cfg: cfg, core: core, transport: transport}, nil
}

func newTransport(cfg Config) *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: cfg.Timeout, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: cfg.Timeout,
		MaxConnsPerHost:     cfg.Connections,
		MaxIdleConnsPerHost: cfg.Connections,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true, // an object's bytes are its bytes
	}
}

// Close ends idle connections, when no call is under way.
func (s *Store) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}

// Get implements blob.Store.
func (s *Store) Get(ctx context.Context, key string) (*blob.Object, error) {
	return s.get(ctx, key, minio.GetObjectOptions{Checksum: true}, 0)
}

// GetRange implements blob.Ranger. Checksums cover whole objects, so a range is
// checked by its length alone.
func (s *Store) GetRange(ctx context.Context, key string, offset, length int64) (*blob.Object, error) {
	if err := blob.CheckKey(key); err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, fmt.Errorf("get %q: %w: offset %d", key, blob.ErrRange, offset)
	}
	want := "bytes=" + strconv.FormatInt(offset, 10) + "-"
	switch {
	case length == 0:
		return s.emptyRange(ctx, key, offset)
	case length > 0 && offset+length > offset: // a sum that overflows means: to the end
		want += strconv.FormatInt(offset+length-1, 10)
	}
	var opt minio.GetObjectOptions
	opt.Set("Range", want)
	return s.get(ctx, key, opt, offset)
}

// emptyRange is the range that HTTP cannot say.
func (s *Store) emptyRange(ctx context.Context, key string, offset int64) (*blob.Object, error) {
	in, err := s.Stat(ctx, key)
	if err == nil && offset >= in.Size {
		err = fmt.Errorf("get %q: %w: offset %d, size %d", key, blob.ErrRange, offset, in.Size)
	}
	if err != nil {
		return nil, err
	}
	return &blob.Object{ReadCloser: http.NoBody, ETag: in.ETag, ModTime: in.ModTime}, nil
}

func (s *Store) get(ctx context.Context, key string, opt minio.GetObjectOptions, offset int64) (*blob.Object, error) {
	if err := blob.CheckKey(key); err != nil {
		return nil, err
	}
	var o *blob.Object
	err := s.call(ctx, "get", func() error {
		b := newBody(ctx, s.cfg.Timeout, s.cfg.Stall)
		r, in, header, err := s.core.GetObject(b.ctx, s.cfg.Bucket, s.cfg.Prefix+key, opt)
		if err == nil {
			err = checkPart(header, opt, offset)
		}
		if err == nil && in.Size < 0 {
			err = errors.New("answer without a length")
		}
		if err != nil {
			if r != nil {
				r.Close()
			}
			return b.fail(err)
		}
		b.begin(r, in.Size)
		o = &blob.Object{ReadCloser: b, Size: in.Size, ETag: in.ETag, ModTime: in.LastModified}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("get %q: %w", key, err)
	}
	return o, nil
}

// checkPart refuses an answer that is not the range that was asked for, such as
// the whole object from a server that knows no ranges.
func checkPart(answer http.Header, opt minio.GetObjectOptions, offset int64) error {
	if opt.Header().Get("Range") == "" {
		return nil
	}
	got := answer.Get("Content-Range")
	if !strings.HasPrefix(got, "bytes "+strconv.FormatInt(offset, 10)+"-") {
		return fmt.Errorf("asked for %s, answered with Content-Range %q", opt.Header().Get("Range"), got)
	}
	return nil
}

// Stat implements blob.Store.
func (s *Store) Stat(ctx context.Context, key string) (blob.Info, error) {
	if err := blob.CheckKey(key); err != nil {
		return blob.Info{}, err
	}
	var in minio.ObjectInfo
	err := s.attempts(ctx, "stat", s.cfg.Timeout, func(ctx context.Context) (err error) {
		in, err = s.core.StatObject(ctx, s.cfg.Bucket, s.cfg.Prefix+key, minio.StatObjectOptions{})
		return err
	})
	if err != nil {
		return blob.Info{}, fmt.Errorf("stat %q: %w", key, err)
	}
	return s.info(in, key), nil
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	err := s.attempts(ctx, "delete", s.cfg.Timeout, func(ctx context.Context) error {
		return s.core.RemoveObject(ctx, s.cfg.Bucket, s.cfg.Prefix+key, minio.RemoveObjectOptions{})
	})
	if err != nil && !errors.Is(err, blob.ErrNotFound) {
		return fmt.Errorf("delete %q: %w", key, err)
	}
	return nil
}

// List implements blob.Store. What the server lists but CheckKey refuses (a
// "directory" object whose key ends in "/") is passed over.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]blob.Info, error) {
	if err := blob.CheckPrefix(prefix); err != nil {
		return nil, err
	}
	if limit <= 0 || limit > blob.ListMax {
		limit = blob.ListMax
	}
	var found []blob.Info
	for {
		page, err := s.page(ctx, prefix, after, limit)
		if err != nil {
			return nil, fmt.Errorf("list %q: %w", prefix, err)
		}
		for _, in := range page {
			key := strings.TrimPrefix(in.Key, s.cfg.Prefix)
			after = max(after, key)
			if blob.CheckKey(key) == nil && len(found) < limit {
				found = append(found, s.info(in, key))
			}
		}
		if len(found) == limit || len(page) < limit {
			return found, nil
		}
	}
}

// page asks for at most limit objects after a key, in one call.
func (s *Store) page(ctx context.Context, prefix, after string, limit int) ([]minio.ObjectInfo, error) {
	opt := minio.ListObjectsOptions{Prefix: s.cfg.Prefix + prefix, Recursive: true, MaxKeys: limit}
	if after != "" {
		opt.StartAfter = s.cfg.Prefix + after
	}
	var page []minio.ObjectInfo
	err := s.attempts(ctx, "list", s.cfg.Timeout, func(ctx context.Context) error {
		page = page[:0]
		for in := range s.core.ListObjectsIter(ctx, s.cfg.Bucket, opt) {
			if in.Err != nil {
				return in.Err
			}
			if page = append(page, in); len(page) == limit {
				break
			}
		}
		return ctx.Err() // the iterator ends silently when the context does
	})
	return page, err
}

func (s *Store) info(in minio.ObjectInfo, key string) blob.Info {
	return blob.Info{Key: key, Size: in.Size, ETag: strings.Trim(in.ETag, `"`), ModTime: in.LastModified}
}
