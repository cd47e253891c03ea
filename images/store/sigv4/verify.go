package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	timeFormat = "20060102T150405Z"
	dayFormat  = "20060102"
	service    = "s3"
	terminator = "aws4_request"

	// SkewMax is how far a request's clock may be off.
	SkewMax = 15 * time.Minute
	// ExpiresMax is the longest life of a presigned URL.
	ExpiresMax = 7 * 24 * time.Hour

	headersMax = 64       // signed headers of one request
	authMax    = 8 << 10  // bytes of an Authorization header
	queryMax   = 16 << 10 // bytes of a query
)

// Payload is in which form the body comes, as x-amz-content-sha256 says.
type Payload uint8

// The forms.
const (
	Hashed          Payload = iota // SHA-256 of the body
	Unsigned                       // UNSIGNED-PAYLOAD
	Chunked                        // STREAMING-AWS4-HMAC-SHA256-PAYLOAD
	ChunkedTrailer                 // STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER
	UnsignedTrailer                // STREAMING-UNSIGNED-PAYLOAD-TRAILER
)

var payloads = map[string]Payload{
	"UNSIGNED-PAYLOAD":                           Unsigned,
	"STREAMING-AWS4-HMAC-SHA256-PAYLOAD":         Chunked,
	"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": ChunkedTrailer,
	"STREAMING-UNSIGNED-PAYLOAD-TRAILER":         UnsignedTrailer,
}

// Verifier verifies requests. Safe for concurrent use.
type Verifier struct {
	Keys   *Keys
	Region string           // that clients must sign for; empty: any
	Now    func() time.Time // nil: time.Now
}

// Signed is a request whose signature is right.
type Signed struct {
	AccessKey string
	ReadOnly  bool
	Presigned bool
	Payload   Payload

	sum     string // hex, of a Hashed body
	seed    string // hex
	key     []byte // for chunks
	context string // "date\nscope\n": the middle of a string to sign
}

// claim is what a request says of its signature, not yet verified.
type claim struct {
	access, day, region string
	signed              []string // sorted, lower case
	signature           string
	at                  time.Time
	expires             time.Duration // presigned only
	presigned           bool
	payload             string
}

func (c *claim) scope() string { return c.day + "/" + c.region + "/" + service + "/" + terminator }

// Verify checks the signature of a request. The error is an *Error. The body is
// not read: Signed.Body does that.
func (v *Verifier) Verify(r *http.Request) (*Signed, error) {
	if len(r.URL.RawQuery) > queryMax {
		return nil, ErrQuery
	}
	c, err := parseClaim(r)
	if err != nil {
		return nil, err
	}
	if err := v.checkTime(c); err != nil {
		return nil, err
	}
	if v.Region != "" && c.region != v.Region {
		return nil, &Error{ErrMalformed.Code, ErrMalformed.Status, "the region of the signature is wrong; expecting '" + v.Region + "'"}
	}
	if err := checkSigned(r, c.signed); err != nil {
		return nil, err
	}
	p, known := v.Keys.pairs[c.access]
	if !known {
		return nil, ErrAccessKey
	}
	request, err := canonicalRequest(r, c.signed, c.payload)
	if err != nil {
		return nil, err
	}
	s := &Signed{AccessKey: c.access, ReadOnly: p.readOnly, Presigned: c.presigned}
	s.key = signingKey(p.secret, c.day, c.region)
	s.context = c.at.Format(timeFormat) + "\n" + c.scope() + "\n"
	s.seed = sign(s.key, algorithm+"\n"+s.context+hash(request))
	if subtle.ConstantTimeCompare([]byte(s.seed), []byte(c.signature)) != 1 {
		return nil, ErrSignature
	}
	form, streaming := payloads[c.payload]
	if s.Payload = form; !streaming {
		s.Payload, s.sum = Hashed, c.payload
	}
	return s, nil
}

func (v *Verifier) checkTime(c *claim) error {
	now := time.Now()
	if v.Now != nil {
		now = v.Now()
	}
	if !c.presigned {
		if d := now.Sub(c.at); d > SkewMax || d < -SkewMax {
			return ErrSkew
		}
		return nil
	}
	if c.at.Sub(now) > SkewMax {
		return ErrNotYet
	}
	if now.After(c.at.Add(c.expires)) {
		return ErrExpired
	}
	return nil
}

// parseClaim reads the header or the query, whichever there is.
func parseClaim(r *http.Request) (*claim, error) {
	header := r.Header.Get("Authorization")
	presigned := strings.Contains(r.URL.RawQuery, "X-Amz-Algorithm=")
	switch {
	case header != "" && presigned:
		return nil, &Error{"InvalidArgument", 400, "only one way of signing is allowed: the Authorization header or the URL"}
	case presigned:
		return parseQuery(r)
	case strings.HasPrefix(header, "AWS4-ECDSA-"):
		return nil, ErrECDSA
	case strings.HasPrefix(header, "AWS "), strings.Contains(r.URL.RawQuery, "AWSAccessKeyId="):
		return nil, ErrVersion
	case header != "":
		return parseHeader(r, header)
	}
	return nil, ErrAnonymous
}

// parseHeader reads
// AWS4-HMAC-SHA256 Credential=A/day/region/s3/aws4_request, SignedHeaders=a;b, Signature=hex.
func parseHeader(r *http.Request, header string) (*claim, error) {
	rest, ok := strings.CutPrefix(header, algorithm)
	if !ok || len(header) > authMax {
		return nil, ErrMalformed
	}
	fields := map[string]string{}
	for field := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(field), "=")
		if _, twice := fields[name]; !ok || twice {
			return nil, ErrMalformed
		}
		fields[name] = value
	}
	c := &claim{signature: fields["Signature"], payload: r.Header.Get("X-Amz-Content-Sha256")}
	if len(fields) != 3 || !c.credential(fields["Credential"]) || !c.headers(fields["SignedHeaders"]) || !hexSum(c.signature) {
		return nil, ErrMalformed
	}
	if !knownPayload(c.payload) {
		return nil, ErrNoPayload
	}
	if !c.date(r.Header) {
		return nil, ErrDate
	}
	if c.at.Format(dayFormat) != c.day {
		return nil, ErrMalformed
	}
	return c, nil
}

// date reads X-Amz-Date, or Date where that is not sent.
func (c *claim) date(h http.Header) bool {
	var err error
	if text := h.Get("X-Amz-Date"); text != "" {
		c.at, err = time.Parse(timeFormat, text)
	} else if c.at, err = http.ParseTime(h.Get("Date")); err != nil {
		c.at, err = time.Parse(timeFormat, h.Get("Date"))
	}
	c.at = c.at.UTC()
	return err == nil
}

// parseQuery reads the X-Amz-* parameters of a presigned URL.
func parseQuery(r *http.Request) (*claim, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, ErrQuery
	}
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"} {
		if len(q[name]) != 1 {
			return nil, ErrQuery
		}
	}
	c := &claim{presigned: true, signature: q.Get("X-Amz-Signature"), payload: "UNSIGNED-PAYLOAD"}
	if q.Get("X-Amz-Algorithm") != algorithm || !c.credential(q.Get("X-Amz-Credential")) || !c.headers(q.Get("X-Amz-SignedHeaders")) || !hexSum(c.signature) {
		return nil, ErrQuery
	}
	if c.at, err = time.Parse(timeFormat, q.Get("X-Amz-Date")); err != nil || c.at.Format(dayFormat) != c.day {
		return nil, ErrQuery
	}
	seconds, err := strconv.ParseUint(q.Get("X-Amz-Expires"), 10, 32)
	c.expires = time.Duration(seconds) * time.Second
	if err != nil || seconds == 0 || c.expires > ExpiresMax {
		return nil, ErrQuery
	}
	// A client may bind the body to the URL all the same.
	for _, p := range []string{r.Header.Get("X-Amz-Content-Sha256"), q.Get("X-Amz-Content-Sha256")} {
		if p != "" {
			c.payload = p
		}
	}
	if !knownPayload(c.payload) {
		return nil, ErrNoPayload
	}
	return c, nil
}

// credential reads access/day/region/s3/aws4_request.
func (c *claim) credential(s string) bool {
	parts := strings.Split(s, "/")
	if len(parts) != 5 || parts[3] != service || parts[4] != terminator {
		return false
	}
	c.access, c.day, c.region = parts[0], parts[1], parts[2]
	_, err := time.Parse(dayFormat, c.day)
	return err == nil && c.access != "" && len(c.access) <= AccessBytesMax && c.region != "" && len(c.region) <= 64 && printable(c.region)
}

// headers reads the names of the signed headers, in the order in which they are
// signed: sorted, without doubles.
func (c *claim) headers(s string) bool {
	c.signed = strings.Split(s, ";")
	if len(c.signed) > headersMax || !slices.IsSorted(c.signed) {
		return false
	}
	for i, name := range c.signed {
		if name == "" || name != strings.ToLower(name) || !printable(name) || i > 0 && name == c.signed[i-1] {
			return false
		}
	}
	return true
}

func knownPayload(s string) bool {
	_, known := payloads[s]
	return known || hexSum(s)
}

// hexSum says whether s is a SHA-256 in lower-case hex.
func hexSum(s string) bool {
	if len(s) != 2*sha256.Size {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return false
		}
	}
	return true
}

// signingKey is "Calculate signature", step 1: HMACs over day, region, service.
func signingKey(secret, day, region string) []byte {
	key := []byte("AWS4" + secret)
	for _, s := range []string{day, region, service, terminator} {
		key = mac(key, s)
	}
	return key
}

func mac(key []byte, s string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = io.WriteString(h, s) // hash.Hash: never an error
	return h.Sum(nil)
}

func sign(key []byte, s string) string { return hex.EncodeToString(mac(key, s)) }

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
