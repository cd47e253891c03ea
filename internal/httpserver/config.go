package httpserver

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/kamado/kamado/internal/unit"
)

// Config is how one listener speaks HTTP. Every phase of a request has a time limit and every amount has a bound.
type Config struct {
	// Address to listen on, host:port. It is named by whoever builds the server, not in the shared section of the file.
	Addr string `toml:"-"`

	// How long a client may take to send the head of a request, counted from its first byte or from the connection.
	ReadHeaderTimeout time.Duration `toml:"read_header_timeout"`
	// How long a client may take to send a whole request, body included.
	ReadTimeout time.Duration `toml:"read_timeout"`
	// How long an answer may take from the end of the request's head to its last byte. Streams lift it for themselves.
	WriteTimeout time.Duration `toml:"write_timeout"`
	// How long a connection may stay open without a request.
	IdleTimeout time.Duration `toml:"idle_timeout"`

	// Most bytes in the head of a request: its line and its headers.
	HeaderBytesMax unit.Bytes `toml:"header_bytes_max"`
	// Most bytes in the body of a request.
	BodyBytesMax unit.Bytes `toml:"body_bytes_max"`
	// Most open connections; further ones are closed at once. Each costs about 10 KiB.
	ConnectionsMax int `toml:"connections_max"`
	// Most requests in work at the same time; further ones are answered 503 with Retry-After.
	InFlightMax int `toml:"in_flight_max"`

	// How long to answer as before, but not ready, after the process was asked to stop and before the listener closes:
	// the time a load balancer needs to notice.
	DrainDelay time.Duration `toml:"drain_delay"`
	// How long requests in work may take to finish after the listener closed. Then they are cut off.
	DrainTimeout time.Duration `toml:"drain_timeout"`

	// Which requests are logged: all, errors (status 500 and above) or off.
	AccessLog string `toml:"access_log"`
	// Whether HTTP/2 without TLS is spoken to clients that ask for it. With TLS it always is.
	H2C bool `toml:"h2c"`

	TLS TLSConfig `toml:"tls"`
}

// TLSConfig is where a listener's certificate comes from: two files, or an ACME directory. Empty means no TLS.
type TLSConfig struct {
	// File with the certificate and its chain, PEM. It is read again when it changes.
	CertFile string `toml:"cert_file"`
	// File with the private key, PEM.
	KeyFile string `toml:"key_file"`

	ACME ACMEConfig `toml:"acme"`
}

// ACMEConfig gets certificates from a certificate authority by ACME (RFC 8555), proving control of the names by TLS-ALPN-01
// on the listener itself, or by HTTP-01 on HTTPAddr.
type ACMEConfig struct {
	// Names to get certificates for. Naming one here accepts the authority's terms of service.
	Domains []string `toml:"domains"`
	// Address for the authority's notices; may be empty.
	Email string `toml:"email"`
	// Directory that keeps the account key and the certificates. Empty means "acme" under the data directory.
	CacheDir string `toml:"cache_dir"`
	// URL of the authority's directory. Empty means Let's Encrypt.
	DirectoryURL string `toml:"directory_url"`
	// File with the root certificates, PEM, that the authority's own server is trusted by. Empty means the system's.
	CAFile string `toml:"ca_file"`
	// Address that answers HTTP-01 challenges and redirects everything else to https, such as ":80". Empty means none.
	HTTPAddr string `toml:"http"`
	// Whether another listener of this process, with the same CacheDir, answers at HTTPAddr: only one can.
	HTTPElsewhere bool `toml:"-"`
}

// Values of Config.AccessLog.
const (
	AccessLogAll    = "all"
	AccessLogErrors = "errors"
	AccessLogOff    = "off"
)

// Default suits a service of small requests and answers on an open network.
func Default() Config {
	return Config{
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       60 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       120 * time.Second,
		HeaderBytesMax:    32 * unit.KiB,
		BodyBytesMax:      1 * unit.MiB,
		ConnectionsMax:    8192,
		InFlightMax:       1024,
		DrainTimeout:      30 * time.Second,
		AccessLog:         AccessLogAll,
	}
}

// Enabled says whether the listener speaks TLS.
func (c TLSConfig) Enabled() bool {
	return c.CertFile != "" || c.KeyFile != "" || len(c.ACME.Domains) > 0
}

// Validate gives all complaints at once.
func (c Config) Validate() error {
	var errs []error
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"read_header_timeout", c.ReadHeaderTimeout}, {"read_timeout", c.ReadTimeout}, {"write_timeout", c.WriteTimeout},
		{"idle_timeout", c.IdleTimeout}, {"drain_timeout", c.DrainTimeout},
	} {
		if d.value <= 0 {
			errs = append(errs, fmt.Errorf("%s is %v, must be positive", d.name, d.value))
		}
	}
	if c.DrainDelay < 0 {
		errs = append(errs, fmt.Errorf("drain_delay is %v, must not be negative", c.DrainDelay))
	}
	for _, n := range []struct {
		name  string
		value int64
		least int64
	}{
		{"header_bytes_max", int64(c.HeaderBytesMax), 4096}, {"body_bytes_max", int64(c.BodyBytesMax), 0},
		{"connections_max", int64(c.ConnectionsMax), 1}, {"in_flight_max", int64(c.InFlightMax), 1},
	} {
		if n.value < n.least {
			errs = append(errs, fmt.Errorf("%s is %d, must be at least %d", n.name, n.value, n.least))
		}
	}
	switch c.AccessLog {
	case AccessLogAll, AccessLogErrors, AccessLogOff:
	default:
		errs = append(errs, fmt.Errorf("access_log is %q, must be all, errors or off", c.AccessLog))
	}
	return errors.Join(append(errs, c.TLS.validate())...)
}

func (c TLSConfig) validate() error {
	var errs []error
	if (c.CertFile == "") != (c.KeyFile == "") {
		errs = append(errs, errors.New("tls.cert_file and tls.key_file must be given together"))
	}
	if c.CertFile != "" && len(c.ACME.Domains) > 0 {
		errs = append(errs, errors.New("tls.cert_file and tls.acme.domains exclude each other"))
	}
	if a := c.ACME; len(a.Domains) == 0 && (a.HTTPAddr != "" || a.Email != "" || a.DirectoryURL != "" || a.CAFile != "") {
		// Without names there is no TLS at all, which is the last thing that was meant.
		errs = append(errs, errors.New("tls.acme says how to get certificates, but tls.acme.domains names nothing to get them for"))
	}
	for _, d := range c.ACME.Domains {
		if !domain(d) {
			errs = append(errs, fmt.Errorf("tls.acme.domains has %q, must be names such as img.example.com", d))
		}
	}
	if a := c.ACME.HTTPAddr; a != "" {
		if _, _, err := net.SplitHostPort(a); err != nil {
			errs = append(errs, fmt.Errorf("tls.acme.http is %q, must be host:port, such as :80", a))
		}
	}
	if u := c.ACME.DirectoryURL; u != "" && !strings.HasPrefix(u, "https://") {
		errs = append(errs, fmt.Errorf("tls.acme.directory_url is %q, must begin with https://", u))
	}
	return errors.Join(errs...)
}

// domain says whether an authority could give a certificate for a name by the challenges that a listener can meet: letters,
// digits and dashes between single dots, and no wildcard.
func domain(name string) bool {
	labels := strings.Split(name, ".")
	for _, l := range labels {
		odd := func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
		}
		if l == "" || len(l) > 63 || strings.ContainsFunc(l, odd) {
			return false
		}
	}
	return len(labels) > 1 && len(name) <= 253
}
