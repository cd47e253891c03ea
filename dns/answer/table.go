package answer

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/kamado/kamado/dns"
)

// Table is everything that this member answers with authority. All methods are
// safe for concurrent use; those that read take no lock.
type Table struct {
	config  Config
	views   views
	places  networks[uint16] // number of a client's location
	query   access
	forward access
	chaos   chaos
	nsid    []byte // the option, ready; nil: none

	zones *index[atomic.Pointer[zone]]
	// depths are the label counts of zones, most first.
	depths atomic.Pointer[[]uint8]

	mu      sync.Mutex // of writers
	compile compiler
}

// New makes an empty table.
func New(config Config) (*Table, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	if config.UDPBytesMax == 0 {
		config.UDPBytesMax = UDPBytesDefault
	}
	if config.AllowQuery == nil {
		config.AllowQuery = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	}
	v, err := newViews(config.Views)
	if err != nil {
		return nil, err
	}
	t := &Table{config: config, views: v, query: newAccess(config.AllowQuery), forward: newAccess(config.AllowForward),
		chaos: newChaos(config), zones: newIndex[atomic.Pointer[zone]](0)}
	t.depths.Store(&[]uint8{})
	if config.Server != "" {
		t.nsid = appendOption(nil, optionNSID, []byte(config.Server))
	}
	labels := slices.Sorted(maps.Values(config.Locations))
	labels = slices.Compact(labels)
	numbers, byPrefix := map[string]uint16{}, map[netip.Prefix]uint16{}
	for i, label := range labels {
		if label != "" {
			numbers[label] = uint16(i + 1)
		}
	}
	for p, label := range config.Locations {
		byPrefix[p] = numbers[label]
	}
	t.places = newNetworks(byPrefix)
	t.compile = compiler{views: &t.views, places: numbers}
	return t, nil
}

// serversTTL is the TTL of NS and SOA records that are not stored, in seconds.
const serversTTL = dns.TTLDefault

// PutZone makes a domain or shared zone appear, or replaces what is known of it
// beside its records. ns are the names of its servers, for a zone without NS
// records. When it appears below another zone, that zone forgets the names that
// now lie in this one: they have to be put again.
func (t *Table) PutZone(z dns.Zone, ns []dns.Name) {
	t.mu.Lock()
	defer t.mu.Unlock()
	apex := z.Apex.AppendWire(nil)
	s, ok := newStart(apex, soaData(z), max(serversTTL, z.SOA.Minimum))
	if !ok {
		panic("the SOA of " + string(z.Apex) + " has names that are none") // they were parsed
	}
	set := dns.Set{Name: z.Apex}
	for _, n := range ns {
		set.RRs = append(set.RRs, dns.RR{Name: z.Apex, Type: dns.TypeNS, TTL: serversTTL, Data: n.AppendWire(nil)})
	}
	if n := t.compile.node(apex, &set); n != nil {
		s.ns = n.set(dns.TypeNS)
	}
	if old := t.zone(apex); old != nil && old.kind != dns.StaticZone {
		old.start.Store(s)
		return
	}
	made := newZone(z.Apex, z.Kind, 0)
	made.start.Store(s)
	t.clear(apex)
	t.install(made)
}

// clear takes the names of a new zone out of the zone above.
func (t *Table) clear(apex []byte) {
	above := t.taker(apex)
	if above == nil {
		return
	}
	var gone []string
	for name, e := range above.names.each {
		if e.node.Load() != nil && strings.HasSuffix(name, string(apex)) && dnsUnder(name, apex) {
			gone = append(gone, name)
		}
	}
	for _, name := range gone {
		above.put([]byte(name), nil)
	}
}

// dnsUnder says whether a name that ends in the bytes of apex lies under it.
func dnsUnder(name string, apex []byte) bool {
	for len(name) > len(apex) {
		name = name[1+int(name[0]):]
	}
	return name == string(apex)
}

// PutStatic replaces a static zone as a whole. rrs has its SOA.
func (t *Table) PutStatic(apex dns.Name, rrs []dns.RR) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	z := newZone(apex, dns.StaticZone, len(rrs))
	sets := map[dns.Name]*dns.Set{}
	for _, rr := range rrs {
		if !rr.Name.Under(apex) {
			return &dns.Error{Kind: dns.Invalid, Detail: fmt.Sprintf("%s does not lie in the zone %s", rr.Name, apex)}
		}
		if rr.Type == dns.TypeSOA {
			s, ok := newStart(z.apex, rr.Data, rr.TTL)
			if !ok || rr.Name != apex {
				return &dns.Error{Kind: dns.Invalid, Detail: fmt.Sprintf("the SOA of the zone %s is none", apex)}
			}
			z.start.Store(s)
			continue
		}
		if sets[rr.Name] == nil {
			sets[rr.Name] = &dns.Set{Name: rr.Name}
		}
		sets[rr.Name].RRs = append(sets[rr.Name].RRs, rr)
	}
	if z.start.Load() == nil {
		return &dns.Error{Kind: dns.Invalid, Detail: fmt.Sprintf("the zone %s has no SOA", apex)}
	}
	for name, set := range sets {
		z.put(name.AppendWire(nil), t.compile.node(z.apex, set))
	}
	t.install(z)
	return nil
}

// install puts a zone in the place of the one with its name. Preconditions: mu is held.
func (t *Table) install(z *zone) {
	if p := t.zones.get(z.apex); p != nil {
		p.Store(z)
		return
	}
	it := &item[atomic.Pointer[zone]]{}
	it.value.Store(z)
	t.zones.put(z.apex, it)
	t.measure()
}

// measure finds the depths of zones. Preconditions: mu is held.
func (t *Table) measure() {
	var depths []uint8
	for _, p := range t.zones.each {
		depths = append(depths, uint8(p.Load().name.Labels()))
	}
	slices.Sort(depths)
	depths = slices.Compact(depths)
	slices.Reverse(depths)
	t.depths.Store(&depths)
}

// RemoveZone forgets a zone and its names. Names that now lie in the zone above have to be put again.
func (t *Table) RemoveZone(apex dns.Name) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.zones.remove(apex.AppendWire(nil))
	t.measure()
}

// Put replaces what is known of one name; an empty set removes it. False: it
// lies in no domain or shared zone, and nothing was done. The set is not kept.
func (t *Table) Put(set dns.Set) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	var buf [dns.NameBytesMax]byte
	name := set.Name.AppendWire(buf[:0])
	z := t.taker(name)
	if z == nil {
		return false
	}
	z.put(name, t.compile.node(z.apex, &set))
	return true
}

// taker is the zone that takes sets of a name. Preconditions: mu is held.
func (t *Table) taker(name []byte) *zone {
	for {
		if z := t.zone(name); z != nil && z.kind != dns.StaticZone {
			return z
		}
		if name[0] == 0 {
			return nil
		}
		name = name[1+int(name[0]):]
	}
}

// zone is the zone of an apex.
func (t *Table) zone(apex []byte) *zone {
	if p := t.zones.get(apex); p != nil {
		return p.Load()
	}
	return nil
}

// Zones lists the zones by name.
func (t *Table) Zones() []dns.Name {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []dns.Name
	for _, p := range t.zones.each {
		list = append(list, p.Load().name)
	}
	slices.Sort(list)
	return list
}

// ZoneOf is the zone that answers for a name.
func (t *Table) ZoneOf(name dns.Name) (dns.Name, bool) {
	q := question{}
	q.setName(name.AppendWire(nil))
	if z := t.find(&q, q.count); z != nil {
		return z.name, true
	}
	return "", false
}
