package dns

import (
	"fmt"
	"strconv"
	"strings"
)

// Type is the type of a resource record.
type Type uint16

// The types that rules of this room speak about; all others pass through.
const (
	TypeA     Type = 1
	TypeNS    Type = 2
	TypeCNAME Type = 5
	TypeSOA   Type = 6
	TypePTR   Type = 12
	TypeMX    Type = 15
	TypeTXT   Type = 16
	TypeAAAA  Type = 28
	TypeSRV   Type = 33
	TypeNAPTR Type = 35
	TypeDNAME Type = 39
	TypeOPT   Type = 41
	TypeDS    Type = 43
	TypeSSHFP Type = 44
	TypeRRSIG Type = 46
	TypeTLSA  Type = 52
	TypeSVCB  Type = 64
	TypeHTTPS Type = 65
	TypeTSIG  Type = 250
	TypeIXFR  Type = 251
	TypeAXFR  Type = 252
	TypeANY   Type = 255
	TypeCAA   Type = 257
)

var typeNames = map[Type]string{
	TypeA: "A", TypeNS: "NS", TypeCNAME: "CNAME", TypeSOA: "SOA", TypePTR: "PTR", TypeMX: "MX", TypeTXT: "TXT", TypeAAAA: "AAAA",
	TypeSRV: "SRV", TypeNAPTR: "NAPTR", TypeDNAME: "DNAME", TypeOPT: "OPT", TypeDS: "DS", TypeSSHFP: "SSHFP", TypeRRSIG: "RRSIG",
	TypeTLSA: "TLSA", TypeSVCB: "SVCB", TypeHTTPS: "HTTPS", TypeTSIG: "TSIG", TypeIXFR: "IXFR", TypeAXFR: "AXFR", TypeANY: "ANY", TypeCAA: "CAA",

	// No rule speaks about these; they have a name because master files write it.
	13: "HINFO", 17: "RP", 18: "AFSDB", 29: "LOC", 36: "KX", 37: "CERT", 42: "APL", 45: "IPSECKEY", 47: "NSEC", 48: "DNSKEY", 49: "DHCID",
	50: "NSEC3", 51: "NSEC3PARAM", 53: "SMIMEA", 55: "HIP", 59: "CDS", 60: "CDNSKEY", 61: "OPENPGPKEY", 62: "CSYNC", 63: "ZONEMD", 99: "SPF",
	108: "EUI48", 109: "EUI64", 256: "URI", 261: "RESINFO",
}

var typesByName = func() map[string]Type {
	m := make(map[string]Type, len(typeNames))
	for t, name := range typeNames {
		m[name] = t
	}
	return m
}()

// String is the mnemonic, or TYPEn (RFC 3597).
func (t Type) String() string {
	if name, ok := typeNames[t]; ok {
		return name
	}
	return "TYPE" + strconv.Itoa(int(t))
}

// ParseType reads a mnemonic or TYPEn, in any case.
func ParseType(text string) (Type, error) {
	up := strings.ToUpper(text)
	if t, ok := typesByName[up]; ok {
		return t, nil
	}
	if digits, ok := strings.CutPrefix(up, "TYPE"); ok {
		if n, err := strconv.ParseUint(digits, 10, 16); err == nil {
			return Type(n), nil
		}
	}
	return 0, fmt.Errorf("%q is no record type that is known here; any type can be written TYPEn", shorten(text))
}

// Data says whether records of the type can be stored: meta types, and those
// whose records only a server makes, cannot (RFC 6895 3.1).
func (t Type) Data() bool {
	return t != 0 && t != TypeOPT && t != TypeSOA && (t < 128 || t > 255)
}
