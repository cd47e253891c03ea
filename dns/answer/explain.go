package answer

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/kamado/kamado/dns"
)

// Explanation tells why a question is answered as it is.
type Explanation struct {
	Name   dns.Name
	Type   dns.Type
	Client netip.Addr
	// Views and Location are what the client's address means here.
	Views    []string
	Location string
	// Zone is where the answer comes from; empty: none of ours.
	Zone dns.Name
	Kind dns.ZoneKind
	// Source is the name whose set was answered: Name, or a wildcard; empty when there is none.
	Source dns.Name
	Set    dns.Set
	// Choices are the owned records of the set, and whether each may be answered to this question.
	Choices []dns.Choice
	// Rule is what decided, for people.
	Rule string

	RCode     string
	Extended  string // the extended error (RFC 8914); empty: none
	Truncated bool   // over UDP
	Answer    []dns.RR
	Authority []dns.RR
	Extra     []dns.RR
}

// Explain answers a question as Answer does, over UDP with EDNS, and says why.
// sets gives what is known of a name.
func (t *Table) Explain(name dns.Name, typ dns.Type, client netip.AddrPort, random uint64, now time.Time, sets func(dns.Name) dns.Set) Explanation {
	e := Explanation{Name: name, Type: typ, Client: client.Addr().Unmap()}
	client = netip.AddrPortFrom(e.Client, client.Port())
	packet := packetOf(name, typ)
	wire, verdict := t.Answer(Query{Packet: packet, Client: client, Random: random, Now: uint32(now.Unix())}, nil)
	r := reply{t: t, query: Query{Packet: packet, Client: client}}
	r.read(packet)
	r.clientClass, _ = t.views.clients.find(e.Client)
	r.mask = t.views.classes[r.clientClass]
	for i, v := range t.views.names {
		if r.mask>>i&1 != 0 {
			e.Views = append(e.Views, v)
		}
	}
	e.Location = t.location(e.Client)
	if z := t.find(&r.question, r.count); z != nil {
		e.Zone, e.Kind = z.name, z.kind
		r.source(z, &e)
	}
	if e.Source != "" {
		e.Set = sets(e.Source)
		e.Choices = t.choose(&e.Set, typ, r.mask, now)
	}
	e.read(wire)
	if verdict > Proven {
		e.Rule = fmt.Sprintf("not answered here: %v", verdict)
	} else if e.Rule == "" {
		e.Rule = t.rule(&e)
	}
	return e
}

// packetOf is a query with EDNS and RD.
func packetOf(name dns.Name, typ dns.Type) []byte {
	b := []byte{0, 0, flagRD, 0, 0, 1, 0, 0, 0, 0, 0, 1}
	b = name.AppendWire(b)
	b = binary.BigEndian.AppendUint16(b, uint16(typ))
	b = append(b, 0, classIN, 0, 0, byte(dns.TypeOPT))
	b = binary.BigEndian.AppendUint16(b, UDPBytesDefault)
	return append(b, 0, 0, 0, 0, 0, 0)
}

func (t *Table) location(client netip.Addr) string {
	number, _ := t.places.find(client)
	for label, n := range t.compile.places { // written once, by New
		if n == number {
			return label
		}
	}
	return ""
}

// source finds the name whose set answers.
func (r *reply) source(z *zone, e *Explanation) {
	for i := r.count - z.name.Labels(); i >= 0; i-- {
		n, ok := r.at(z, r.suffix(i))
		if !ok || n == nil || n.kind == 0 || i == 0 && n.kind&kindCut == 0 {
			continue
		}
		name, _, _ := dns.NameFromWire(r.suffix(i)) // it was read before
		if n.kind&kindCut != 0 && (i > 0 || r.typ != dns.TypeDS) {
			e.Source, e.Rule = name, fmt.Sprintf("%s is delegated: its servers are named", name)
			return
		}
		if n.kind&kindDNAME != 0 && i > 0 {
			e.Source, e.Rule = name, fmt.Sprintf("all names below %s are others' (DNAME)", name)
			return
		}
	}
	if _, ok := r.at(z, r.name[:r.length]); ok || r.length == len(z.apex) {
		e.Source = e.Name
		return
	}
	if _, ok := r.lookup(z); !ok {
		return
	}
	for name := e.Name; name != z.name; name = name.Parent() {
		if _, ok := r.at(z, name.Parent().AppendWire(nil)); ok || name.Parent() == z.name {
			e.Source = "*." + name.Parent()
			return
		}
	}
}

// rule says what decided where no rule about names did.
func (t *Table) rule(e *Explanation) string {
	alias := false
	for _, rr := range e.Answer {
		alias = alias || rr.Type == dns.TypeCNAME && e.Type != dns.TypeCNAME
	}
	switch {
	case e.Zone == "":
		return "the name lies in no zone of this server, and the client may not use the forwarders"
	case e.RCode != "NOERROR" && e.RCode != "NXDOMAIN":
		return "the client may not ask: its network is not allowed"
	case e.Truncated:
		return "the answer is too large for UDP: the client is to ask over TCP"
	case alias:
		return "the name is an alias (CNAME)"
	case e.Source == "":
		return "the name does not exist for this client"
	case len(e.Answer) == 0 && e.Extended == extendedNames[codeNotReady]:
		return fmt.Sprintf("no record lives, and the fallback is %v", e.Set.Policy.Fallback)
	case len(e.Answer) == 0:
		return fmt.Sprintf("the name exists, and has no record of type %v", e.Type)
	case e.Extended == extendedNames[codeStale]:
		return fmt.Sprintf("no record lives; the fallback %v answers", e.Set.Policy.Fallback)
	case len(e.Choices) > 0:
		return fmt.Sprintf("balance %v, at most %d records", e.Set.Policy.Balance, e.Set.Policy.Most())
	case e.Source != e.Name:
		return fmt.Sprintf("the wildcard %s stands for the name", e.Source)
	}
	return "all records of the name and type"
}

// choose judges the owned records of a set, for people.
func (t *Table) choose(set *dns.Set, typ dns.Type, mask presence, now time.Time) []dns.Choice {
	decisions, _ := t.views.elect(set, typ, mask, nil)
	list := make([]dns.Choice, len(decisions))
	for i, d := range decisions {
		o := set.Owned[i]
		if d != outView && o.Type != typ {
			d = outType
		}
		list[i] = dns.Choice{Owned: o, Pick: d.picked(), Why: why(d, &o, now)}
	}
	return list
}

// Choose says which owned records of a set may be answered to a question, and why.
func (t *Table) Choose(set dns.Set, typ dns.Type, client netip.Addr, now time.Time) []dns.Choice {
	class, _ := t.views.clients.find(client.Unmap())
	return t.choose(&set, typ, t.views.classes[class], now)
}

// why is a decision for people.
func why(d decision, o *dns.Owned, now time.Time) string {
	since := ""
	if !o.Health.Since.IsZero() {
		since = fmt.Sprintf(" for %v", now.Sub(o.Health.Since).Round(time.Second))
	}
	said := ""
	if o.Health.Output != "" {
		said = ": " + o.Health.Output
	}
	switch d {
	case outType:
		return "of another type than was asked for"
	case outView:
		return fmt.Sprintf("only clients of the view %q see it", o.View)
	case outOwner:
		return fmt.Sprintf("its owner %s is dead", o.Owner)
	case outUnhealthy:
		return fmt.Sprintf("%v, unhealthy%s%s", o.Tier, since, said)
	case outUnknown:
		return fmt.Sprintf("%v, its check has not passed yet", o.Tier)
	case outBackup:
		return "a backup, and a master or secondary lives"
	case outWeight:
		return "of weight 0, and others of its tier are not"
	case pickedFallback:
		return "not alive; answered because nothing is"
	}
	if o.Check.Spec == "" {
		return fmt.Sprintf("%v, its owner %s lives", o.Tier, o.Owner)
	}
	return fmt.Sprintf("%v, healthy%s", o.Tier, since)
}

var extendedNames = map[extended]string{codeStale: "Stale Answer", codeNotReady: "Not Ready", codeProhibited: "Prohibited",
	codeNotAuthoritative: "Not Authoritative", codeNotSupported: "Not Supported"}

var rcodeNames = map[uint16]string{0: "NOERROR", rcodeFormat: "FORMERR", rcodeServer: "SERVFAIL", rcodeName: "NXDOMAIN",
	rcodeNotImplemented: "NOTIMP", rcodeRefused: "REFUSED", rcodeTooLong: "YXDOMAIN", rcodeBadVersion: "BADVERS", rcodeBadCookie: "BADCOOKIE"}

// read takes a response of ours apart.
func (e *Explanation) read(msg []byte) {
	if len(msg) < headerBytes {
		return
	}
	rcode := uint16(msg[3] & 15)
	e.Truncated = msg[2]&flagTC != 0
	at := skipName(msg, headerBytes) + 4
	for i, list := range []*[]dns.RR{&e.Answer, &e.Authority, &e.Extra} {
		for range binary.BigEndian.Uint16(msg[6+2*i:]) {
			next := skipRecord(msg, at)
			fixed := skipName(msg, at)
			if next < 0 {
				return
			}
			data := msg[fixed+10 : next]
			t := dns.Type(binary.BigEndian.Uint16(msg[fixed:]))
			if t == dns.TypeOPT {
				rcode |= uint16(msg[fixed+4]) << 4
				e.Extended = extendedOf(data)
			} else {
				var name [dns.NameBytesMax + 1]byte
				n, _ := expand(msg, at, name[:])
				owner, _, _ := dns.NameFromWire(name[:n]) // we wrote it
				*list = append(*list, dns.RR{Name: owner, Type: t, TTL: binary.BigEndian.Uint32(msg[fixed+4:]), Data: plain(msg, t, fixed+10, next)})
			}
			at = next
		}
	}
	e.RCode = rcodeNames[rcode]
}

// extendedOf names the extended error among options.
func extendedOf(options []byte) string {
	for len(options) >= 4 {
		code, length := binary.BigEndian.Uint16(options), int(binary.BigEndian.Uint16(options[2:]))
		if code == optionExtended && length >= 2 && 4+length <= len(options) {
			return extendedNames[extended(options[5])]
		}
		options = options[min(4+length, len(options)):]
	}
	return ""
}

// plain is the data of a record without pointers.
func plain(msg []byte, t dns.Type, at, end int) []byte {
	names := 0
	if t == dns.TypeSOA {
		names = 2
	} else if in := compressible(t); in >= 0 {
		return append(append([]byte(nil), msg[at:at+in]...), plainNames(msg, at+in, 1)...)
	}
	data := plainNames(msg, at, names)
	for range names {
		at = skipName(msg, at)
	}
	return append(data, msg[at:end]...)
}

func plainNames(msg []byte, at, names int) (data []byte) {
	for range names {
		var name [dns.NameBytesMax + 1]byte
		n, _ := expand(msg, at, name[:])
		data = append(data, name[:n]...)
		at = skipName(msg, at)
	}
	return data
}
