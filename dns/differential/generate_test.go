package differential

import (
	"fmt"
	"math/rand/v2"
	"strings"

	miekg "github.com/miekg/dns"
)

// maker makes a zone and questions about it, both from a seed.
type maker struct {
	rnd   *rand.Rand
	apex  string
	text  strings.Builder
	names []string // relative owner names that were made
	kinds map[string]string
}

var labels = []string{"a", "b", "c", "www", "mail", "x-1", "_tcp", "_sip", "long-label-that-goes-on-and-on", "0", `d\.ot`, `e\200f`}

// questionTypes are asked for.
var questionTypes = []uint16{
	miekg.TypeA, miekg.TypeA, miekg.TypeA, miekg.TypeAAAA, miekg.TypeAAAA, miekg.TypeTXT, miekg.TypeMX, miekg.TypeNS, miekg.TypeSOA, miekg.TypeCNAME,
	miekg.TypeSRV, miekg.TypeDS, miekg.TypeDNAME, miekg.TypeANY, miekg.TypePTR, miekg.TypeHTTPS, miekg.TypeCAA, 65280, 65281,
}

func newMaker(seed uint64, apex string) *maker {
	return &maker{rnd: rand.New(rand.NewPCG(seed, 1)), apex: apex, kinds: map[string]string{}}
}

func (m *maker) pick(list []string) string { return list[m.rnd.IntN(len(list))] }

// fresh is a name that has no records yet and does not lie below a DNAME; it may lie below a delegation.
func (m *maker) fresh() string {
	for {
		var parts []string
		for range 1 + m.rnd.IntN(4) {
			parts = append(parts, m.pick(labels))
		}
		if m.rnd.IntN(4) == 0 && len(m.names) > 0 {
			parts = append(parts[:1], m.pick(m.names))
		}
		name := strings.Join(parts, ".")
		if m.kinds[name] == "" && !m.belowDNAME(name) && len(name) < 150 && strings.Count(name, "*") == 0 {
			return name
		}
	}
}

func (m *maker) belowDNAME(name string) bool {
	for made, kind := range m.kinds {
		if kind == "dname" && strings.HasSuffix(name, "."+made) {
			return true
		}
	}
	return false
}

func (m *maker) line(format string, args ...any) { fmt.Fprintf(&m.text, format+"\n", args...) }

func (m *maker) made(name, kind string) string {
	m.names = append(m.names, name)
	m.kinds[name] = kind
	return name
}

// target is a name that data can point to: often one of the zone, sometimes one that is missing, or another's.
func (m *maker) target() string {
	switch n := m.rnd.IntN(10); {
	case n < 6 && len(m.names) > 0:
		return m.pick(m.names)
	case n < 8:
		return "missing." + m.pick(labels)
	case n == 8:
		return m.pick(labels) + ".other.example."
	}
	return "@"
}

// zone writes a master file.
func (m *maker) zone(names int) string {
	m.line("$TTL 300")
	m.line("$ORIGIN %s.", m.apex)
	m.line("@ SOA ns1 hostmaster 1 3600 600 86400 60")
	m.line("@ NS ns1\n@ NS ns2.sub\n@ NS ns.other.example.\n@ MX 10 mail.host\n@ TXT \"apex\"\n@ A 192.0.2.1")
	m.line("ns1 A 192.0.2.2\nns1 AAAA 2001:db8::2\nns2.sub A 192.0.2.3\nmail.host A 192.0.2.4")
	for _, n := range []string{"ns1", "ns2.sub", "mail.host"} {
		m.made(n, "data")
	}
	for range names {
		switch n := m.rnd.IntN(20); {
		case n < 8:
			m.data(m.made(m.fresh(), "data"))
		case n < 11:
			m.line("%s CNAME %s", m.made(m.fresh(), "cname"), m.target())
		case n < 14:
			m.wildcard()
		case n < 16:
			m.delegation()
		case n < 17:
			m.dname()
		case n < 18:
			m.chain()
		default:
			m.large(m.made(m.fresh(), "data"))
		}
	}
	return m.text.String()
}

// data writes one to four sets at a name.
func (m *maker) data(name string) {
	for _, i := range m.rnd.Perm(11)[:1+m.rnd.IntN(4)] {
		switch i {
		case 0, 1:
			for j := range 1 + m.rnd.IntN(3) {
				m.line("%s A 192.0.2.%d", name, 10*i+j+10)
			}
		case 2:
			m.line("%s AAAA 2001:db8::%x", name, m.rnd.IntN(0xffff))
		case 3:
			m.line("%s TXT \"%d\" \"second\"", name, m.rnd.IntN(1000))
		case 4:
			m.line("%s MX %d %s", name, m.rnd.IntN(100), m.target())
		case 5:
			m.line("%s SRV 1 2 %d %s", name, m.rnd.IntN(1000), m.target())
		case 6:
			m.line("%s PTR %s", name, m.target())
		case 7:
			m.line("%s HTTPS 1 . alpn=h2,h3 ipv4hint=192.0.2.%d", name, m.rnd.IntN(255))
		case 8:
			m.line("%s CAA 0 issue \"ca.example\"", name)
		case 9:
			m.line("%s TYPE65280 \\# 3 0a0b0c", name)
		case 10:
			m.line("%s NAPTR 1 2 \"s\" \"SIP+D2U\" \"\" %s", name, m.target())
		}
	}
}

func (m *maker) wildcard() {
	name := "*." + m.fresh()
	if m.rnd.IntN(4) == 0 {
		name = "*." + m.pick(labels)
	}
	if m.kinds[name] != "" || m.belowDNAME(name) {
		return
	}
	m.made(name, "wildcard")
	if m.rnd.IntN(3) == 0 {
		m.line("%s CNAME %s", name, m.target())
		return
	}
	m.data(name)
}

// delegation writes NS with glue below, glue beside, or none, and sometimes what it hides.
func (m *maker) delegation() {
	name := m.made(m.fresh(), "cut")
	for range 1 + m.rnd.IntN(2) {
		switch m.rnd.IntN(4) {
		case 0:
			m.line("%s NS ns.%s\nns.%s A 192.0.2.200\nns.%s AAAA 2001:db8::200", name, name, name, name)
		case 1:
			m.line("%s NS ns1", name)
		case 2:
			m.line("%s NS ns.elsewhere.example.", name)
		case 3:
			m.line("%s NS %s", name, name)
			m.line("%s A 192.0.2.201", name)
		}
	}
	if m.rnd.IntN(3) == 0 {
		m.line("%s DS 1 13 2 0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20", name)
	}
	if hidden := "hidden." + name; m.rnd.IntN(3) == 0 && m.kinds[hidden] == "" {
		m.line("%s A 192.0.2.202", m.made(hidden, "hidden"))
	}
}

// dname writes a DNAME at a name with nothing below.
func (m *maker) dname() {
	name := m.fresh()
	for _, n := range m.names {
		if strings.HasSuffix(n, "."+name) {
			return
		}
	}
	m.line("%s DNAME %s", m.made(name, "dname"), m.target())
	if m.rnd.IntN(2) == 0 {
		m.line("%s TXT \"beside\"", name)
	}
}

// chain writes CNAMEs that lead to each other, and sometimes back.
func (m *maker) chain() {
	names := []string{}
	for range 2 + m.rnd.IntN(4) {
		names = append(names, m.made(m.fresh(), "cname"))
	}
	for i, n := range names {
		switch {
		case i+1 < len(names):
			m.line("%s CNAME %s", n, names[i+1])
		case m.rnd.IntN(4) == 0:
			m.line("%s CNAME %s", n, names[0])
		default:
			m.line("%s CNAME %s", n, m.target())
		}
	}
}

// large writes sets that do not fit into small datagrams.
func (m *maker) large(name string) {
	for i := range 20 + m.rnd.IntN(60) {
		m.line("%s A 198.51.100.%d", name, i)
	}
	for i := range 3 + m.rnd.IntN(10) {
		m.line("%s TXT \"%d%s\"", name, i, strings.Repeat("x", 100+m.rnd.IntN(100)))
	}
}

// question is one question, and how it is asked.
type question struct {
	name   string // absolute
	typ    uint16
	size   uint16 // of EDNS; 0: no EDNS
	do     bool
	stream bool
}

func (q question) String() string {
	return fmt.Sprintf("%s %s size=%d do=%v stream=%v", q.name, miekg.Type(q.typ), q.size, q.do, q.stream)
}

// question makes a question about the zone.
func (m *maker) question() question {
	name := m.pick(m.names)
	switch m.rnd.IntN(12) {
	case 0, 1: // below
		name = m.pick(labels) + "." + name
	case 2: // far below
		name = "one.two." + name
	case 3: // above: often a name that exists without records
		if _, rest, ok := strings.Cut(name, "."); ok {
			name = rest
		}
	case 4: // beside
		if _, rest, ok := strings.Cut(name, "."); ok {
			name = "missing." + rest
		}
	case 5:
		name = "@"
	case 6: // an asterisk where there is none, or one
		name = "*." + name
	case 7:
		name = strings.Replace(name, "*", m.pick(labels), 1)
	case 8:
		name = "below." + strings.Replace(name, "*", "under", 1)
	}
	q := question{name: name + "." + m.apex + ".", typ: questionTypes[m.rnd.IntN(len(questionTypes))]}
	if name == "@" {
		q.name = m.apex + "."
	}
	if m.rnd.IntN(4) == 0 {
		q.name = m.shout(q.name)
	}
	q.size = []uint16{0, 512, 1232, 1232, 4096}[m.rnd.IntN(5)]
	q.do = q.size > 0 && m.rnd.IntN(4) == 0
	q.stream = m.rnd.IntN(5) == 0
	return q
}

// shout writes letters large at random.
func (m *maker) shout(name string) string {
	b := []byte(name)
	for i, c := range b {
		if c >= 'a' && c <= 'z' && m.rnd.IntN(2) == 0 {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}
