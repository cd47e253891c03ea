package answer

import (
	"encoding/binary"

	"github.com/kamado/kamado/dns"
)

// chaos is what is told of the server itself in class CHAOS: by name in wire form, TXT data.
type chaos map[string][]byte

func newChaos(c Config) chaos {
	m := chaos{}
	tell := func(text string, names ...dns.Name) {
		for _, n := range names {
			if text != "" {
				m[string(n.AppendWire(nil))] = append([]byte{byte(len(text))}, text...)
			}
		}
	}
	tell(c.Version, "version.bind", "version.server")
	tell(c.Server, "hostname.bind", "id.server")
	return m
}

// chaos answers about the server itself (RFC 4892).
func (r *reply) chaos() {
	data, ok := r.t.chaos[string(r.name[:r.length])]
	if !ok {
		r.fail(rcodeRefused, codeNotAuthoritative)
		return
	}
	r.authoritative = true
	if r.typ != dns.TypeTXT && r.typ != dns.TypeANY {
		return
	}
	b := append(r.out, pointer, headerBytes, 0, byte(dns.TypeTXT), 0, classCHAOS, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	b = append(b, data...)
	if len(b)-r.base > r.limit {
		r.truncate()
		return
	}
	r.out = b
	r.an++
}
