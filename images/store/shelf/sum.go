package shelf

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"net/http"
)

// Algorithm is a checksum that a client may announce.
type Algorithm string

// The algorithms, by the names that S3's headers give them: Content-MD5 and
// x-amz-checksum-NAME.
const (
	MD5       Algorithm = "md5"
	SHA1      Algorithm = "sha1"
	SHA256    Algorithm = "sha256"
	CRC32     Algorithm = "crc32"
	CRC32C    Algorithm = "crc32c"
	CRC64NVME Algorithm = "crc64nvme"
)

// Algorithms lists those of x-amz-checksum-NAME.
var Algorithms = []Algorithm{SHA1, SHA256, CRC32, CRC32C, CRC64NVME}

// nvme is the polynomial of "NVM Express NVM Command Set Specification 1.0c",
// 5.2.1.3.4, in reflected form.
const nvme = 0x9a6c9329ac4bc9b5

// New gives the hash of an algorithm; nil for one that is not known.
func (a Algorithm) New() hash.Hash {
	switch a {
	case MD5:
		return md5.New()
	case SHA1:
		return sha1.New()
	case SHA256:
		return sha256.New()
	case CRC32:
		return crc32.NewIEEE()
	case CRC32C:
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case CRC64NVME:
		return crc64.New(crc64.MakeTable(nvme))
	}
	return nil
}

// Size is how many bytes a value has; 0 for an algorithm that is not known.
func (a Algorithm) Size() int {
	switch a {
	case MD5:
		return md5.Size
	case SHA1:
		return sha1.Size
	case SHA256:
		return sha256.Size
	case CRC32, CRC32C:
		return crc32.Size
	case CRC64NVME:
		return crc64.Size
	}
	return 0
}

// Sum is a checksum of a body.
type Sum struct {
	Algorithm Algorithm
	Value     []byte // Invariant: Algorithm.Size() bytes
}

// ParseSum reads a value as headers carry it, in base64 (RFC 1864, and the S3 API
// reference for x-amz-checksum-*). MD5 and SHA-256 may be hexadecimal too, as
// s3cmd and people write them.
func ParseSum(a Algorithm, text string) (Sum, error) {
	size := a.Size()
	if size == 0 {
		return Sum{}, fmt.Errorf("checksum %q is not known", a)
	}
	if len(text) > 2*sha256.Size {
		return Sum{}, fmt.Errorf("checksum %s is not %d bytes", a, size)
	}
	if len(text) == 2*size && (a == MD5 || a == SHA256) {
		if v, err := hex.DecodeString(text); err == nil {
			return Sum{a, v}, nil
		}
	}
	v, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(v) != size {
		return Sum{}, fmt.Errorf("checksum %s is not %d bytes in base64", a, size)
	}
	return Sum{a, v}, nil
}

// Base64 is the value as headers carry it.
func (s Sum) Base64() string { return base64.StdEncoding.EncodeToString(s.Value) }

// hashes computes several checksums of what is written to it.
type hashes map[Algorithm]hash.Hash

// want adds an algorithm; one that is not known is passed over, and check
// refuses it.
func (h hashes) want(a Algorithm) {
	if h[a] == nil {
		if f := a.New(); f != nil {
			h[a] = f
		}
	}
}

// Write implements io.Writer; it never fails.
func (h hashes) Write(p []byte) (int, error) {
	for _, f := range h {
		_, _ = f.Write(p) // hash.Hash: never an error
	}
	return len(p), nil
}

// check compares announced sums. Plain comparison: a checksum is no secret.
func (h hashes) check(sums []Sum) error {
	for _, s := range sums {
		f := h[s.Algorithm]
		if f == nil {
			return fmt.Errorf("%w: %s was announced too late", ErrChecksum, s.Algorithm)
		}
		if string(f.Sum(nil)) != string(s.Value) {
			return fmt.Errorf("%w: %s", ErrChecksum, s.Algorithm)
		}
	}
	return nil
}

// Announced reads Content-MD5 and x-amz-checksum-*.
func Announced(h http.Header) ([]Sum, error) {
	var sums []Sum
	if text := h.Get("Content-MD5"); text != "" {
		s, err := ParseSum(MD5, text)
		if err != nil {
			return nil, err
		}
		sums = append(sums, s)
	}
	for _, a := range Algorithms {
		if text := h.Get("X-Amz-Checksum-" + string(a)); text != "" {
			s, err := ParseSum(a, text)
			if err != nil {
				return nil, err
			}
			sums = append(sums, s)
		}
	}
	return sums, nil
}
