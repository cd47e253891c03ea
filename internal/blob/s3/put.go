package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/kamado/kamado/internal/blob"
)

// uploadBytesPerSecondMin is the slowest line on which an upload is not given
// up. Unit: bytes per second.
const uploadBytesPerSecondMin = 256 << 10

// Put implements blob.Store. It holds Config.PartBytes in memory at most (more
// only above PartBytes * 10000, 160 GB as it is set by default), so that every attempt can
// send the same bytes again.
func (s *Store) Put(ctx context.Context, key string, r io.Reader, size int64, opt blob.PutOptions) (blob.Info, error) {
	if err := blob.CheckKey(key); err != nil {
		return blob.Info{}, err
	}
	if err := ctx.Err(); err != nil {
		return blob.Info{}, err
	}
	if size < 0 {
		return blob.Info{}, fmt.Errorf("put %q: %w: size %d", key, blob.ErrShort, size)
	}
	send := s.putWhole
	if size > s.cfg.PartBytes {
		send = s.putParts
	}
	etag, err := send(ctx, s.cfg.Prefix+key, r, size, opt)
	if err != nil {
		return blob.Info{}, fmt.Errorf("put %q: %w", key, err)
	}
	return blob.Info{Key: key, Size: size, ETag: etag, ModTime: time.Now()}, nil
}

// part is bytes in memory, ready to be sent more than once.
type part struct {
	data   []byte
	sha256 string // hexadecimal, of the signature
	crc32c string // base64, of x-amz-checksum-crc32c
}

const crc32cHeader = "x-amz-checksum-crc32c"

// readPart reads exactly len(buf) bytes, and nothing after them when last.
func readPart(r io.Reader, buf []byte, last bool) (part, error) {
	n, err := io.ReadFull(r, buf)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return part{}, fmt.Errorf("%w: reader ended %d bytes early", blob.ErrShort, len(buf)-n)
	}
	if err != nil {
		return part{}, err
	}
	if last {
		var more [1]byte
		if n, err := io.ReadFull(r, more[:]); n > 0 {
			return part{}, fmt.Errorf("%w: reader has more", blob.ErrShort)
		} else if err != io.EOF {
			return part{}, err
		}
	}
	sum := sha256.Sum256(buf)
	var crc [4]byte
	binary.BigEndian.PutUint32(crc[:], crc32.Checksum(buf, crc32.MakeTable(crc32.Castagnoli)))
	return part{data: buf, sha256: hex.EncodeToString(sum[:]), crc32c: base64.StdEncoding.EncodeToString(crc[:])}, nil
}

func (s *Store) uploadLimit(bytes int64) time.Duration {
	return s.cfg.Timeout + time.Duration(bytes/uploadBytesPerSecondMin)*time.Second
}

// putWhole sends an object in one request.
func (s *Store) putWhole(ctx context.Context, key string, r io.Reader, size int64, opt blob.PutOptions) (string, error) {
	p, err := readPart(r, make([]byte, size), true)
	if err != nil {
		return "", err
	}
	popt := minio.PutObjectOptions{ContentType: opt.ContentType, UserMetadata: map[string]string{crc32cHeader: p.crc32c}}
	var up minio.UploadInfo
	err = s.attempts(ctx, "put", s.uploadLimit(size), func(ctx context.Context) (err error) {
		up, err = s.core.PutObject(ctx, s.cfg.Bucket, key, bytes.NewReader(p.data), size, "", p.sha256, popt)
		return err
	})
	return up.ETag, err
}

// putParts sends an object in several requests; it appears with the last.
func (s *Store) putParts(ctx context.Context, key string, r io.Reader, size int64, opt blob.PutOptions) (etag string, err error) {
	var id string
	err = s.attempts(ctx, "put", s.cfg.Timeout, func(ctx context.Context) (err error) {
		id, err = s.core.NewMultipartUpload(ctx, s.cfg.Bucket, key, minio.PutObjectOptions{
			ContentType: opt.ContentType, UserMetadata: map[string]string{"x-amz-checksum-algorithm": "CRC32C"},
		})
		return err
	})
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			s.abort(ctx, key, id)
		}
	}()
	parts, err := s.sendParts(ctx, key, id, r, size)
	if err != nil {
		return "", err
	}
	var up minio.UploadInfo
	err = s.attempts(ctx, "put", s.uploadLimit(size), func(ctx context.Context) (err error) {
		up, err = s.core.CompleteMultipartUpload(ctx, s.cfg.Bucket, key, id, parts, minio.PutObjectOptions{})
		return err
	})
	return up.ETag, err
}

func (s *Store) sendParts(ctx context.Context, key, id string, r io.Reader, size int64) ([]minio.CompletePart, error) {
	partBytes := max(s.cfg.PartBytes, (size+partsMax-1)/partsMax)
	buf := make([]byte, partBytes)
	var parts []minio.CompletePart
	for sent := int64(0); sent < size; {
		n := min(partBytes, size-sent)
		p, err := readPart(r, buf[:n], sent+n == size)
		if err != nil {
			return nil, err
		}
		opt := minio.PutObjectPartOptions{Sha256Hex: p.sha256, CustomHeader: http.Header{crc32cHeader: {p.crc32c}}}
		var done minio.ObjectPart
		err = s.attempts(ctx, "put", s.uploadLimit(n), func(ctx context.Context) (err error) {
			done, err = s.core.PutObjectPart(ctx, s.cfg.Bucket, key, id, len(parts)+1, bytes.NewReader(p.data), n, opt)
			return err
		})
		if err != nil {
			return nil, err
		}
		parts = append(parts, minio.CompletePart{PartNumber: len(parts) + 1, ETag: done.ETag, ChecksumCRC32C: p.crc32c})
		sent += n
	}
	return parts, nil
}

// abort gives back the room of parts that will not become an object. It runs
// also when the caller has gone; what it cannot remove, a lifecycle rule of the
// bucket does.
func (s *Store) abort(ctx context.Context, key, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Timeout)
	defer cancel()
	_ = s.core.AbortMultipartUpload(ctx, s.cfg.Bucket, key, id)
}
