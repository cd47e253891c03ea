package images

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/kamado/kamado/internal/unit"
)

// Config is the [store] table of the configuration.
type Store struct {
	// Whether originals can be stored, read back and deleted at /originals/. Without an origin called default, and no other named here, they cannot.
	Uploads bool `toml:"uploads"`
	// Origin that /originals/ writes to.
	Origin string `toml:"origin"`
	// Web pages that may upload with signed URLs, as https://app.example.com; "*" is every page.
	AllowedOrigins []string `toml:"allowed_origins"`
	// Directory for uploads on their way. Empty: uploads under the data directory. Where it is in the file system of the origin's directory, nothing is copied.
	Dir string `toml:"dir"`
	// Largest original in bytes that may be stored. 0: as limits.max_bytes.
	MaxBytes unit.Bytes `toml:"max_bytes"`
	// Whether only pictures that can be shown are stored. Everything else is then 422.
	PicturesOnly bool `toml:"pictures_only"`
	// How many uploads come in at once.
	Concurrency int `toml:"concurrency"`
	// How many uploads may wait for their turn; one more is answered with 503 and Retry-After.
	Queue int `toml:"queue"`
	// How long a client may send, or take, no byte before it is cut off.
	Stall time.Duration `toml:"stall"`

	S3 StoreS3 `toml:"s3"`
}

// StoreS3 is the subset of S3. It is served when KeyFile is set.
type StoreS3 struct {
	// Address on which S3 is served, host:port. Empty: where pictures are, for requests to the host name in domain.
	HTTP string `toml:"http"`
	// Host name of the service, for buckets in the host name: bucket.domain. Empty: buckets are in the path only.
	Domain string `toml:"domain"`
	// Region that clients must sign for. Empty: any.
	Region string `toml:"region"`
	// File with the keys: on each line an access key, a secret, and optionally read-only.
	KeyFile string `toml:"key_file"`
	// Buckets by name. Empty: one bucket called originals, of the origin called default.
	Buckets map[string]Bucket `toml:"buckets"`
	// Smallest part of a multipart upload but the last.
	MinPart unit.Bytes `toml:"min_part"`
	// Most multipart uploads that are open.
	MaxUploads int `toml:"max_uploads"`
	// Most bytes of parts of all open multipart uploads.
	MaxPartBytes unit.Bytes `toml:"max_part_bytes"`
	// Age from which a multipart upload that is not completed is removed.
	UploadAge time.Duration `toml:"upload_age"`
}

// Bucket is what a bucket's name means.
type Bucket struct {
	// Name of the origin. Empty: default.
	Origin string `toml:"origin"`
	// Put before each key: "shop/". Clients of the bucket see only what is below it.
	Prefix string `toml:"prefix"`
}

// DefaultBucket is the name of the bucket that is there where none is configured.
const DefaultBucket = "originals"

// storeUploadsMax and storeAgeMax bound what a configuration may ask for.
const (
	storeUploadsMax = 100_000
	storeAgeMax     = 30 * 24 * time.Hour
)

// DefaultStore lets pictures in where somebody configures a way.
func DefaultStore() Store {
	return Store{
		Uploads: true, Origin: DefaultOrigin, PicturesOnly: true, Concurrency: 16, Queue: 64, Stall: 30 * time.Second,
		S3: StoreS3{MinPart: 5 * unit.MiB, MaxUploads: 1000, MaxPartBytes: 4 * unit.GiB, UploadAge: 24 * time.Hour},
	}
}

// Validate gives all complaints at once. origins are the names that there are.
func (c Store) Validate(origins func(name string) bool) error {
	var errs []error
	say := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Uploads && c.Origin != DefaultOrigin && !origins(c.Origin) {
		say("store.origin: there is no origin called %q", c.Origin)
	}
	for _, o := range c.AllowedOrigins {
		if u, err := url.Parse(o); o != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != o) {
			say("store.allowed_origins: %q is not a scheme and a host, as https://app.example.com", o)
		}
	}
	for _, n := range []struct {
		name string
		v    int64
		most int64
	}{
		{"concurrency", int64(c.Concurrency), 10_000}, {"queue", int64(c.Queue), 100_000}, {"stall", int64(c.Stall), int64(time.Hour)},
		{"s3.min_part", int64(c.S3.MinPart), int64(unit.GiB)}, {"s3.max_uploads", int64(c.S3.MaxUploads), storeUploadsMax},
		{"s3.max_part_bytes", int64(c.S3.MaxPartBytes), 1 << 60}, {"s3.upload_age", int64(c.S3.UploadAge), int64(storeAgeMax)},
	} {
		if n.v < 1 || n.v > n.most {
			say("store.%s must be more than 0 and at most %d, not %d", n.name, n.most, n.v)
		}
	}
	if c.MaxBytes < 0 {
		say("store.max_bytes must not be negative")
	}
	return errors.Join(append(errs, c.S3.validate(origins))...)
}

func (s StoreS3) validate(origins func(string) bool) error {
	var errs []error
	say := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.KeyFile == "" {
		if s.HTTP != "" || s.Domain != "" || len(s.Buckets) > 0 {
			say("store.s3 needs a key_file: nobody could sign a request")
		}
		return errors.Join(errs...)
	}
	if s.HTTP == "" && s.Domain == "" {
		say("store.s3 needs an address (http) or a host name (domain)")
	}
	if s.HTTP != "" && !strings.Contains(s.HTTP, ":") {
		say("store.s3.http: %q is not host:port", s.HTTP)
	}
	if s.Domain != strings.ToLower(s.Domain) || strings.ContainsAny(s.Domain, "/: ") {
		say("store.s3.domain: a host name in lower case without a port is wanted, not %q", s.Domain)
	}
	for name, b := range s.AllBuckets() {
		if !validBucket(name) {
			say("store.s3.buckets.%s: a name is of 3 to 63 of a-z, 0-9, - and ., and begins and ends with a letter or a digit", name)
		}
		if !origins(b.Origin) {
			say("store.s3.buckets.%s: there is no origin called %q", name, b.Origin)
		}
		if b.Prefix != "" && (!strings.HasSuffix(b.Prefix, "/") || CheckKey(strings.TrimSuffix(b.Prefix, "/")) != nil) {
			say("store.s3.buckets.%s: %q is not a prefix that ends in /", name, b.Prefix)
		}
	}
	return errors.Join(errs...)
}

// AllBuckets are the configured ones, or the one that is there without.
func (s StoreS3) AllBuckets() map[string]Bucket {
	if len(s.Buckets) == 0 {
		return map[string]Bucket{DefaultBucket: {Origin: DefaultOrigin}}
	}
	all := make(map[string]Bucket, len(s.Buckets))
	for name, b := range s.Buckets {
		if b.Origin == "" {
			b.Origin = DefaultOrigin
		}
		all[name] = b
	}
	return all
}

// validBucket is the rule of "Bucket naming rules", Amazon S3 User Guide, without
// its special cases.
func validBucket(s string) bool {
	if len(s) < 3 || len(s) > 63 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || i == len(s)-1 || c != '-' && c != '.') {
			return false
		}
	}
	return true
}
