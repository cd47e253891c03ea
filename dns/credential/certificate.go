package credential

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/field"
)

// Fields of a certificate. The signature is the last field, over all bytes before it.
const (
	tagNode    = 1
	tagName    = 2 // one for each pattern
	tagRange   = 3 // one for each: the address's bytes, then the length of the prefix
	tagRights  = 4 // bits: 1 zones, 2 admin
	tagIssued  = 5 // Unix time, ms
	tagExpires = 6 // Unix time, ms; absent: never
	tagKey     = 7
	tagIssuer  = 8
	tagSig     = 255

	rightZones = 1
	rightAdmin = 2
)

// CertificateBytesMax bounds an encoded certificate: it must fit into an entry.
const CertificateBytesMax = 6 << 10

// signedAs stands before what is signed, so that no other signature can be taken for one of a certificate.
const signedAs = "kamado dns certificate\x00"

// Full gives the rights of a member that holds the cluster's key itself, and so
// could give itself any: all names and zones, all addresses, administration. Key is not set.
func Full(node string, issued time.Time) dns.Certificate {
	return dns.Certificate{
		Node: node, Names: []string{"*"}, Zones: true, Admin: true, Issued: issued.Truncate(time.Millisecond),
		Ranges: []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)},
	}
}

// check judges what a certificate says.
func check(c dns.Certificate) error {
	errs := []error{dns.CheckNode(c.Node)}
	if len(c.Names) > dns.PatternsMax || len(c.Ranges) > dns.PatternsMax {
		errs = append(errs, fmt.Errorf("%d names and %d ranges, at most %d of each", len(c.Names), len(c.Ranges), dns.PatternsMax))
	}
	for _, p := range c.Names {
		errs = append(errs, dns.CheckPattern(p))
		if strings.ContainsFunc(p, func(c rune) bool { return c <= ' ' || c > '~' }) {
			errs = append(errs, fmt.Errorf("pattern %q is not in printable letters; write others as \\DDD", p)) // files show it in a comment
		}
	}
	for _, p := range c.Ranges {
		if !p.IsValid() {
			errs = append(errs, errors.New("an address range that is none"))
		}
	}
	if len(c.Key) != ed25519.PublicKeySize {
		errs = append(errs, fmt.Errorf("a member's key of %d bytes, want %d", len(c.Key), ed25519.PublicKeySize))
	}
	if c.Issued.UnixMilli() <= 0 || !c.Expires.IsZero() && !c.Expires.After(c.Issued) {
		errs = append(errs, errors.New("a certificate must be issued after 1970, and expire after that"))
	}
	return errors.Join(errs...)
}

// Issue signs a certificate.
func (k Key) Issue(c dns.Certificate) (dns.Certificate, error) {
	c.Issuer = k.Public()
	c.Issued, c.Expires = c.Issued.Truncate(time.Millisecond), c.Expires.Truncate(time.Millisecond)
	if err := check(c); err != nil {
		return dns.Certificate{}, &dns.Error{Op: "issue a certificate", Kind: dns.Invalid, Detail: err.Error()}
	}
	c.Sig = ed25519.Sign(k.issuer(), append([]byte(signedAs), appendSigned(nil, c)...))
	if n := len(Encode(c)); n > CertificateBytesMax {
		return dns.Certificate{}, &dns.Error{Op: "issue a certificate", Kind: dns.TooLarge, Detail: fmt.Sprintf("it has %d bytes, at most %d", n, CertificateBytesMax)}
	}
	return c, nil
}

func appendSigned(b []byte, c dns.Certificate) []byte {
	b = field.AppendString(b, tagNode, c.Node)
	for _, p := range c.Names {
		b = field.AppendString(b, tagName, p)
	}
	for _, p := range c.Ranges {
		b = field.Append(b, tagRange, append(p.Addr().AsSlice(), byte(p.Bits())))
	}
	var rights uint64
	if c.Zones {
		rights |= rightZones
	}
	if c.Admin {
		rights |= rightAdmin
	}
	b = field.AppendUint(b, tagRights, rights)
	b = field.AppendUint(b, tagIssued, uint64(c.Issued.UnixMilli()))
	if !c.Expires.IsZero() {
		b = field.AppendUint(b, tagExpires, uint64(c.Expires.UnixMilli()))
	}
	b = field.Append(b, tagKey, c.Key)
	return field.Append(b, tagIssuer, c.Issuer)
}

// Encode writes a certificate with its signature.
func Encode(c dns.Certificate) []byte {
	return field.Append(appendSigned(nil, c), tagSig, c.Sig)
}

// Decode reads what Encode wrote, and passes over fields of later releases. It does not verify.
func Decode(b []byte) (dns.Certificate, error) {
	var c dns.Certificate
	if len(b) > CertificateBytesMax {
		return c, fmt.Errorf("a certificate of %d bytes, at most %d", len(b), CertificateBytesMax)
	}
	if err := field.Check(b); err != nil {
		return c, fmt.Errorf("a certificate that cannot be read: %w", err)
	}
	for tag, v := range field.All(b) {
		switch tag {
		case tagNode:
			c.Node = string(v)
		case tagName:
			c.Names = append(c.Names, string(v))
		case tagRange:
			if len(v) == 0 {
				return c, errors.New("a certificate with an empty range")
			}
			a, _ := netip.AddrFromSlice(v[:len(v)-1])
			c.Ranges = append(c.Ranges, netip.PrefixFrom(a, int(v[len(v)-1])))
		case tagRights:
			n := field.Uint(v)
			c.Zones, c.Admin = n&rightZones != 0, n&rightAdmin != 0
		case tagIssued:
			c.Issued = time.UnixMilli(int64(field.Uint(v))).UTC()
		case tagExpires:
			c.Expires = time.UnixMilli(int64(field.Uint(v))).UTC()
		case tagKey:
			c.Key = bytes.Clone(v)
		case tagIssuer:
			c.Issuer = bytes.Clone(v)
		case tagSig:
			c.Sig = bytes.Clone(v)
		}
	}
	if err := check(c); err != nil {
		return c, fmt.Errorf("a certificate that says nonsense: %w", err)
	}
	return c, nil
}

// skewMax is how far ahead of this clock a certificate may be issued: clocks differ.
const skewMax = time.Hour

// VerifyEncoded reads a certificate and says whether one of the issuers signed
// these bytes, unknown fields included. It does not look at the time.
func VerifyEncoded(b []byte, issuers [][]byte) (dns.Certificate, error) {
	c, err := Decode(b)
	if err != nil {
		return c, &dns.Error{Kind: dns.Denied, Detail: err.Error()}
	}
	signed := b[:len(b)-len(field.Append(nil, tagSig, c.Sig))]
	if !slices.ContainsFunc(issuers, func(i []byte) bool { return bytes.Equal(i, c.Issuer) }) {
		return c, &dns.Error{Kind: dns.Denied, Detail: fmt.Sprintf("the certificate of %s was issued by a key that is not in the ring", c.Node)}
	}
	if len(c.Issuer) != ed25519.PublicKeySize || !bytes.Equal(append(signed[:len(signed):len(signed)], field.Append(nil, tagSig, c.Sig)...), b) ||
		!ed25519.Verify(c.Issuer, append([]byte(signedAs), signed...), c.Sig) {
		return c, &dns.Error{Kind: dns.Denied, Detail: fmt.Sprintf("the certificate of %s has a wrong signature", c.Node)}
	}
	return c, nil
}

// Verify says whether a certificate is one of the issuers' and in force.
func Verify(c dns.Certificate, issuers [][]byte, now time.Time) error {
	if _, err := VerifyEncoded(Encode(c), issuers); err != nil {
		return err
	}
	return InForce(c, now)
}

// InForce says whether a certificate counts at this time.
func InForce(c dns.Certificate, now time.Time) error {
	if !c.Expires.IsZero() && !now.Before(c.Expires) {
		return &dns.Error{Kind: dns.Denied, Detail: fmt.Sprintf("the certificate of %s expired at %s", c.Node, c.Expires.UTC().Format(time.RFC3339))}
	}
	if c.Issued.After(now.Add(skewMax)) {
		return &dns.Error{Kind: dns.Denied, Detail: fmt.Sprintf("the certificate of %s is issued for %s, which is to come: is a clock wrong?", c.Node, c.Issued.UTC().Format(time.RFC3339))}
	}
	return nil
}
