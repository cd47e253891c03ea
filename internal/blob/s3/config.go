package s3

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/kamado/kamado/internal/blob"
)

// Secret is a credential. It prints as dots everywhere.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "******"
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// LogValue hides the secret from logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Addressing is where the bucket stands in a URL.
type Addressing string

// The ways of addressing. Auto is virtual for the large public clouds and path
// for every other endpoint.
const (
	AddressingAuto    Addressing = "auto"
	AddressingPath    Addressing = "path"    // https://host/bucket/key
	AddressingVirtual Addressing = "virtual" // https://bucket.host/key
)

// Config says which bucket to use and how long to wait for it.
type Config struct {
	// Endpoint is the server's URL, "http://host:port" or "https://host". Empty:
	// Amazon's for the region.
	Endpoint string `toml:"endpoint"`

	// Region that signatures name. Servers of one's own mostly accept the default.
	Region string `toml:"region"`

	// Bucket exists already; it is never made here.
	Bucket string `toml:"bucket"`

	// Prefix stands before every key and ends in "/", or is empty. It lets
	// several stores share a bucket.
	Prefix string `toml:"prefix"`

	// Addressing is auto, path or virtual.
	Addressing Addressing `toml:"addressing"`

	// AccessKey, SecretKey and SessionToken sign requests. With neither of the
	// first two, requests are not signed.
	AccessKey    string `toml:"access_key"`
	SecretKey    Secret `toml:"secret_key"`
	SessionToken Secret `toml:"session_token"`

	// Timeout of one attempt until its answer begins; an upload gets one second
	// more for each 256 KiB.
	Timeout time.Duration `toml:"timeout"`

	// Stall is how long the body of an object may give no byte.
	Stall time.Duration `toml:"stall"`

	// Attempts of one call, the first included. 1 to 10.
	Attempts int `toml:"attempts"`

	// BackoffMin and BackoffMax bound the wait before attempt n+1: a random time
	// up to min(BackoffMax, BackoffMin * 2^n), so with 100 ms and 2 s: up to
	// 200 ms, 400 ms, 800 ms ...
	BackoffMin time.Duration `toml:"backoff_min"`
	BackoffMax time.Duration `toml:"backoff_max"`

	// Connections to the server at once; a call waits for a free one.
	Connections int `toml:"connections"`

	// PartBytes is how much of an upload is held in memory, and the largest
	// object that is sent in one request. Larger ones are sent in parts.
	// Unit: bytes; at least 5 MiB ("Multipart upload limits", Amazon S3 User Guide).
	PartBytes int64 `toml:"part_bytes"`

	// OnRetry, when set, hears of each attempt that failed and will be made
	// again. It is called by the goroutine of the call and must not block.
	OnRetry func(op string, attempt int, err error) `toml:"-"`
}

// bucketName is the rule of "General purpose bucket naming rules", Amazon S3
// User Guide, as far as it is about characters.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// Bounds of Config.
const (
	attemptsMax  = 10
	partBytesMin = 5 << 20
	partBytesMax = 5 << 30
	partsMax     = 10000
)

// Default is a Config that lacks only the bucket.
func Default() Config {
	return Config{
		Region:      "us-east-1",
		Addressing:  AddressingAuto,
		Timeout:     10 * time.Second,
		Stall:       10 * time.Second,
		Attempts:    3,
		BackoffMin:  100 * time.Millisecond,
		BackoffMax:  2 * time.Second,
		Connections: 64,
		PartBytes:   16 << 20,
	}
}

// WithEnvironment fills what c leaves empty from the variables that other S3
// tools read too: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION,
// AWS_DEFAULT_REGION, and AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
// AWS_SESSION_TOKEN. The three credentials are taken together or not at all. A
// region equal to the default counts as empty.
func (c Config) WithEnvironment(getenv func(string) string) Config {
	first := func(names ...string) string {
		for _, n := range names {
			if v := getenv(n); v != "" {
				return v
			}
		}
		return ""
	}
	if c.Endpoint == "" {
		c.Endpoint = first("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
	}
	if c.Region == "" || c.Region == Default().Region {
		if r := first("AWS_REGION", "AWS_DEFAULT_REGION"); r != "" {
			c.Region = r
		}
	}
	if c.AccessKey == "" && c.SecretKey == "" {
		c.AccessKey = getenv("AWS_ACCESS_KEY_ID")
		c.SecretKey = Secret(getenv("AWS_SECRET_ACCESS_KEY"))
		c.SessionToken = Secret(getenv("AWS_SESSION_TOKEN"))
	}
	return c
}

// Validate gives all complaints at once.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	_, _, err := c.endpoint()
	check(err == nil, "endpoint: %w", err)
	check(bucketName.MatchString(c.Bucket), "bucket %q: want 3 to 63 of a-z, 0-9, \".\" and \"-\"", c.Bucket)
	check(c.Region != "", "region: missing")
	check(c.Prefix == "" || strings.HasSuffix(c.Prefix, "/") && blob.CheckPrefix(c.Prefix) == nil, "prefix %q: want segments that end in \"/\"", c.Prefix)
	check(len(c.Prefix) <= blob.KeyBytesMax/2, "prefix: %d bytes, limit %d", len(c.Prefix), blob.KeyBytesMax/2)
	switch c.Addressing {
	case AddressingAuto, AddressingPath, AddressingVirtual:
	default:
		check(false, "addressing %q: want auto, path or virtual", c.Addressing)
	}
	check((c.AccessKey == "") == (c.SecretKey == ""), "access_key and secret_key: want both or neither")
	check(c.Timeout > 0, "timeout %v: want more than 0", c.Timeout)
	check(c.Stall > 0, "stall %v: want more than 0", c.Stall)
	check(c.Attempts >= 1 && c.Attempts <= attemptsMax, "attempts %d: want 1 to %d", c.Attempts, attemptsMax)
	check(c.BackoffMin > 0 && c.BackoffMax >= c.BackoffMin, "backoff_min %v, backoff_max %v: want 0 < min <= max", c.BackoffMin, c.BackoffMax)
	check(c.Connections > 0, "connections %d: want at least 1", c.Connections)
	check(c.PartBytes >= partBytesMin && c.PartBytes <= partBytesMax, "part_bytes %d: want %d to %d", c.PartBytes, int64(partBytesMin), int64(partBytesMax))
	return errors.Join(errs...)
}

// endpoint gives host[:port] and whether it is spoken to by TLS.
func (c Config) endpoint() (host string, secure bool, err error) {
	if c.Endpoint == "" {
		return "s3." + c.Region + ".amazonaws.com", true, nil
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil {
		return "", false, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return "", false, fmt.Errorf("%q: want http://host:port or https://host", c.Endpoint)
	}
	return u.Host, u.Scheme == "https", nil
}
