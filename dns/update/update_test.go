package update_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	miekg "github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/message"
	"github.com/kamado/kamado/dns/update"
)

const (
	secret = "c2VjcmV0c2VjcmV0c2VjcmV0"
	keys   = "k.test:hmac-sha256:" + secret + "\n" + `key narrow.test { algorithm hmac-sha512; secret "` + secret + `"; names "*.dyn.shared.test"; };`
)

// member keeps zones in memory, as a node does on disk.
type member struct {
	mu    sync.Mutex
	zones []dns.Zone
	sets  map[dns.Name]dns.Set
	fail  error // of the next change
}

func newMember(t *testing.T) *member {
	t.Helper()
	m := &member{sets: map[dns.Name]dns.Set{}}
	for apex, kind := range map[dns.Name]dns.ZoneKind{"svc.test": dns.DomainZone, "shared.test": dns.SharedZone, "deep.shared.test": dns.SharedZone, "static.test": dns.StaticZone} {
		m.zones = append(m.zones, dns.Zone{Apex: apex, Kind: kind, SOA: dns.DefaultSOA(apex, "n1.svc.test", time.Second), Serial: 10})
	}
	for _, text := range []string{
		"shared.test. 60 IN NS n1.svc.test.", "shared.test. 60 IN NS n2.svc.test.", "www.shared.test. 60 IN A 192.0.2.1",
		"www.shared.test. 60 IN A 192.0.2.2", "www.shared.test. 60 IN TXT \"x\"", "alias.shared.test. 60 IN CNAME www.shared.test.",
		"tree.shared.test. 60 IN DNAME a.test.", "a.ent.shared.test. 60 IN A 192.0.2.3",
	} {
		rr := parse(t, text)
		set := m.sets[rr.Name]
		set.Name, set.RRs = rr.Name, append(set.RRs, rr)
		m.sets[rr.Name] = set
	}
	owned := dns.Owned{Record: dns.Record{RR: parse(t, "web.svc.test. 5 IN A 127.0.0.1")}, Owner: "n1"}
	also := owned
	also.Owner = "n2" // several members may own the same record
	m.sets["web.svc.test"] = dns.Set{Name: "web.svc.test", Owned: []dns.Owned{owned, also}}
	return m
}

func parse(t *testing.T, text string) dns.RR {
	t.Helper()
	theirs, err := miekg.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	rr, err := message.FromRR(theirs)
	if err != nil {
		t.Fatal(err)
	}
	return rr
}

func (m *member) Zones() []dns.Zone {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.zones)
}

func (m *member) ChangeZone(_ context.Context, zone dns.Name, judge func(func(dns.Name) dns.Set) ([]dns.Change, error)) (uint32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	changes, err := judge(func(name dns.Name) dns.Set { return m.sets[name] })
	if err != nil {
		return 0, err
	}
	if m.fail != nil {
		return 0, m.fail
	}
	if err := dns.ValidateChanges(zone, changes); err != nil {
		return 0, err
	}
	for _, c := range changes {
		m.change(c)
	}
	i := slices.IndexFunc(m.zones, func(z dns.Zone) bool { return z.Apex == zone })
	if len(changes) > 0 {
		m.zones[i].Serial++
	}
	return m.zones[i].Serial, nil
}

func (m *member) change(c dns.Change) {
	set := m.sets[c.Name]
	set.RRs = slices.DeleteFunc(slices.Clone(set.RRs), func(rr dns.RR) bool {
		switch c.Op {
		case dns.DeleteAll:
			return true
		case dns.DeleteSet:
			return rr.Type == c.Type
		}
		return rr.Type == c.Type && string(rr.Data) == string(c.Data)
	})
	if c.Op == dns.Add {
		for i := range set.RRs {
			if set.RRs[i].Type == c.Type {
				set.RRs[i].TTL = c.TTL
			}
		}
		set.RRs = append(set.RRs, c.RR)
	}
	set.Name = c.Name
	m.sets[c.Name] = set
}

// rows are the zone records of a name as lines.
func (m *member) rows(t *testing.T, name dns.Name) string {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	var rows []string
	for _, rr := range m.sets[name].RRs {
		text, err := message.FormatRData(rr.Type, rr.Data)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, fmt.Sprintf("%d %v %s", rr.TTL, rr.Type, text))
	}
	slices.Sort(rows)
	return strings.Join(rows, "; ")
}

func newHandler(t *testing.T, m update.Zones) *update.Handler {
	t.Helper()
	known, err := message.ParseKeys(keys, "keys")
	if err != nil {
		t.Fatal(err)
	}
	h, err := update.New(update.Config{Keys: known, Zones: m, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// msg is an update in the words of its sections: "prerequisite; …" and "change; …".
func msg(t *testing.T, zone string, prerequisites, changes string) *miekg.Msg {
	t.Helper()
	var m miekg.Msg
	m.SetUpdate(zone)
	m.SetEdns0(1232, false)
	m.Answer, m.Ns = section(t, prerequisites), section(t, changes)
	return &m
}

// section reads records; one of class ANY or NONE may have no data, which miekg/dns writes "CLASS255" and "CLASS254".
func section(t *testing.T, text string) (rrs []miekg.RR) {
	t.Helper()
	for line := range strings.SplitSeq(text, ";") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		f := strings.SplitN(line, " ", 5)
		class := map[string]uint16{"IN": 1, "CH": 3, "NONE": 254, "ANY": 255}[f[2]]
		typ, ok := miekg.StringToType[f[3]]
		if !ok {
			t.Fatalf("no type %s", f[3])
		}
		var ttl uint32
		if _, err := fmt.Sscan(f[1], &ttl); err != nil {
			t.Fatal(err)
		}
		if len(f) < 5 {
			rrs = append(rrs, &miekg.ANY{Hdr: miekg.RR_Header{Name: f[0], Rrtype: typ, Class: class, Ttl: ttl}})
			continue
		}
		rr, err := miekg.NewRR(strings.Join([]string{f[0], f[1], "IN", f[3], f[4]}, " "))
		if err != nil {
			t.Fatal(err)
		}
		rr.Header().Class = class
		rrs = append(rrs, rr)
	}
	return rrs
}

// send signs a message and gives the answer.
func send(t *testing.T, h *update.Handler, m *miekg.Msg, key string, at time.Time) *miekg.Msg {
	t.Helper()
	packet, err := m.Pack()
	if key != "" {
		algorithm := map[string]string{"narrow.test.": miekg.HmacSHA512}[key]
		if algorithm == "" {
			algorithm = miekg.HmacSHA256
		}
		m.SetTsig(key, algorithm, 300, at.Unix())
		packet, _, err = miekg.TsigGenerate(m, secret, "", false)
	}
	if err != nil {
		t.Fatal(err)
	}
	var out *miekg.Msg
	err = h.Serve(t.Context(), packet, netip.MustParseAddrPort("127.0.0.1:1"), false, func(b []byte) error {
		out = new(miekg.Msg)
		return out.Unpack(b)
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPrerequisites(t *testing.T) {
	t.Parallel()
	h := newHandler(t, newMember(t))
	for _, c := range []struct {
		zone, prerequisites string
		want                int
	}{
		{"shared.test.", "www.shared.test. 0 ANY ANY", miekg.RcodeSuccess},
		{"shared.test.", "none.shared.test. 0 ANY ANY", miekg.RcodeNameError},
		{"shared.test.", "ent.shared.test. 0 ANY ANY", miekg.RcodeNameError}, // an empty non-terminal is not in use (RFC 2136 2.4.4)
		{"shared.test.", "www.shared.test. 0 NONE ANY", miekg.RcodeYXDomain},
		{"shared.test.", "none.shared.test. 0 NONE ANY", miekg.RcodeSuccess},
		{"shared.test.", "www.shared.test. 0 ANY A", miekg.RcodeSuccess},
		{"shared.test.", "www.shared.test. 0 ANY MX", miekg.RcodeNXRrset},
		{"shared.test.", "www.shared.test. 0 NONE A", miekg.RcodeYXRrset},
		{"shared.test.", "www.shared.test. 0 NONE MX", miekg.RcodeSuccess},
		{"shared.test.", "www.shared.test. 0 IN A 192.0.2.2; www.shared.test. 0 IN A 192.0.2.1", miekg.RcodeSuccess},
		{"shared.test.", "www.shared.test. 0 IN A 192.0.2.1", miekg.RcodeNXRrset},
		{"shared.test.", "www.shared.test. 0 IN A 192.0.2.2; www.shared.test. 0 IN A 192.0.2.1; www.shared.test. 0 IN A 192.0.2.3", miekg.RcodeNXRrset},
		{"shared.test.", "WWW.shared.TEST. 0 IN TXT x; alias.shared.test. 0 IN CNAME WWW.Shared.test.", miekg.RcodeSuccess},
		{"shared.test.", "none.shared.test. 0 IN A 192.0.2.1", miekg.RcodeNXRrset},
		{"shared.test.", "shared.test. 0 ANY SOA; shared.test. 0 ANY NS", miekg.RcodeSuccess},
		{"shared.test.", "shared.test. 0 IN NS n1.svc.test.; shared.test. 0 IN NS n2.svc.test.", miekg.RcodeSuccess},
		{"shared.test.", "shared.test. 0 IN SOA n1.svc.test. hostmaster.shared.test. 10 60 10 86400 1", miekg.RcodeSuccess},
		{"shared.test.", "shared.test. 0 IN SOA n1.svc.test. hostmaster.shared.test. 9 60 10 86400 1", miekg.RcodeNXRrset},
		{"svc.test.", "web.svc.test. 0 ANY A; svc.test. 0 ANY NS; web.svc.test. 0 IN A 127.0.0.1", miekg.RcodeSuccess},
		{"svc.test.", "web.svc.test. 0 NONE ANY", miekg.RcodeYXDomain},

		{"shared.test.", "www.shared.test. 1 ANY ANY", miekg.RcodeFormatError},
		{"shared.test.", "www.shared.test. 0 ANY A 192.0.2.1", miekg.RcodeFormatError},
		{"shared.test.", "www.shared.test. 0 NONE A 192.0.2.1", miekg.RcodeFormatError},
		{"shared.test.", "www.shared.test. 0 CH TXT x", miekg.RcodeFormatError},
		{"shared.test.", "www.shared.test. 0 IN ANY", miekg.RcodeFormatError},
		{"shared.test.", "www.shared.test. 0 ANY AXFR", miekg.RcodeFormatError},
		{"shared.test.", "www.shared.test. 0 IN A", miekg.RcodeFormatError},
		{"shared.test.", "www.other.test. 0 ANY ANY", miekg.RcodeNotZone},
		{"shared.test.", "www.deep.shared.test. 0 NONE ANY", miekg.RcodeNotZone},
	} {
		if r := send(t, h, msg(t, c.zone, c.prerequisites, ""), "k.test.", time.Now()); r.Rcode != c.want {
			t.Errorf("%s = %s (%v), want %s", c.prerequisites, miekg.RcodeToString[r.Rcode], r.Extra, miekg.RcodeToString[c.want])
		}
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	const www = "60 A 192.0.2.1; 60 A 192.0.2.2; 60 TXT \"x\""
	for _, c := range []struct {
		name, changes string
		want          int
		at            dns.Name
		rows          string // of at, afterwards
	}{
		{"a new name", "n.shared.test. 5 IN A 192.0.2.9", 0, "n.shared.test", "5 A 192.0.2.9"},
		{"a record more gives its set one TTL", "www.shared.test. 5 IN A 192.0.2.9", 0, "www.shared.test", "5 A 192.0.2.1; 5 A 192.0.2.2; 5 A 192.0.2.9; 60 TXT \"x\""},
		{"the same record with another TTL", "www.shared.test. 5 IN TXT x", 0, "www.shared.test", "5 TXT \"x\"; 60 A 192.0.2.1; 60 A 192.0.2.2"},
		{"a CNAME beside others is ignored", "www.shared.test. 5 IN CNAME a.test.", 0, "www.shared.test", www},
		{"others beside a CNAME are ignored", "alias.shared.test. 5 IN A 192.0.2.9", 0, "alias.shared.test", "60 CNAME www.shared.test."},
		{"a CNAME takes the place of another", "alias.shared.test. 5 IN CNAME a.test.", 0, "alias.shared.test", "5 CNAME a.test."},
		{"a DNAME takes the place of another", "tree.shared.test. 5 IN DNAME b.test.", 0, "tree.shared.test", "5 DNAME b.test."},
		{"changes see those before them", "www.shared.test. 0 ANY ANY; www.shared.test. 5 IN CNAME a.test.; www.shared.test. 5 IN A 192.0.2.9", 0, "www.shared.test", "5 CNAME a.test."},
		{"a CNAME at the apex is ignored", "shared.test. 5 IN CNAME a.test.", 0, "shared.test", "60 NS n1.svc.test.; 60 NS n2.svc.test."},
		{"an old SOA is ignored", "shared.test. 5 IN SOA a. b. 10 1 1 1 1; n.shared.test. 5 IN A 192.0.2.9", 0, "n.shared.test", "5 A 192.0.2.9"},
		{"a newer SOA is refused", "shared.test. 5 IN SOA a. b. 11 1 1 1 1; n.shared.test. 5 IN A 192.0.2.9", miekg.RcodeRefused, "n.shared.test", ""},
		{"an SOA elsewhere is ignored", "www.shared.test. 5 IN SOA a. b. 11 1 1 1 1", 0, "www.shared.test", www},

		{"a set is deleted", "www.shared.test. 0 ANY A", 0, "www.shared.test", "60 TXT \"x\""},
		{"a name is deleted", "www.shared.test. 0 ANY ANY", 0, "www.shared.test", ""},
		{"a record is deleted", "www.shared.test. 0 NONE A 192.0.2.1", 0, "www.shared.test", "60 A 192.0.2.2; 60 TXT \"x\""},
		{"nothing is deleted where nothing is", "n.shared.test. 0 ANY ANY; n.shared.test. 0 ANY A; www.shared.test. 0 NONE A 192.0.2.7", 0, "www.shared.test", www},
		{"the apex keeps its NS", "shared.test. 0 ANY NS; shared.test. 0 ANY ANY; shared.test. 0 ANY SOA", 0, "shared.test", "60 NS n1.svc.test.; 60 NS n2.svc.test."},
		{"the apex keeps its last NS", "shared.test. 0 NONE NS n1.svc.test.; shared.test. 0 NONE NS n2.svc.test.", 0, "shared.test", "60 NS n2.svc.test."},
		{"the apex loses other records alone", "shared.test. 5 IN MX 1 a.test.; shared.test. 0 ANY ANY", 0, "shared.test", "60 NS n1.svc.test.; 60 NS n2.svc.test."},
		{"a delegation is deleted", "d.shared.test. 5 IN NS a.test.; d.shared.test. 0 NONE NS a.test.", 0, "d.shared.test", ""},

		{"all or nothing", "n.shared.test. 5 IN A 192.0.2.9; other.test. 5 IN A 192.0.2.9", miekg.RcodeNotZone, "n.shared.test", ""},
		{"a name of a deeper zone", "n.deep.shared.test. 5 IN A 192.0.2.9", miekg.RcodeNotZone, "n.deep.shared.test", ""},
		{"an added type of questions", "n.shared.test. 5 IN ANY", miekg.RcodeFormatError, "n.shared.test", ""},
		{"a deleted set with a TTL", "www.shared.test. 5 ANY A", miekg.RcodeFormatError, "www.shared.test", www},
		{"a deleted set with data", "www.shared.test. 0 ANY A 192.0.2.1", miekg.RcodeFormatError, "www.shared.test", www},
		{"a deleted set of a type of questions", "www.shared.test. 0 ANY AXFR", miekg.RcodeFormatError, "www.shared.test", www},
		{"a deleted record with a TTL", "www.shared.test. 5 NONE A 192.0.2.1", miekg.RcodeFormatError, "www.shared.test", www},
		{"a deleted record of any type", "www.shared.test. 0 NONE ANY", miekg.RcodeFormatError, "www.shared.test", www},
		{"another class", "www.shared.test. 0 CH TXT x", miekg.RcodeFormatError, "www.shared.test", www},
		{"no data", "n.shared.test. 5 IN A", miekg.RcodeFormatError, "n.shared.test", ""},
		{"a TTL out of range", "n.shared.test. 2147483648 IN A 192.0.2.1", miekg.RcodeFormatError, "n.shared.test", ""},

		{"beside owned records of another type", "web.svc.test. 5 IN TXT x", 0, "web.svc.test", "5 TXT \"x\""},
		{"beside owned records of the type", "web.svc.test. 5 IN A 192.0.2.9", miekg.RcodeRefused, "web.svc.test", ""},
		{"a CNAME beside owned records", "web.svc.test. 5 IN CNAME a.test.", miekg.RcodeRefused, "web.svc.test", ""},
		{"deletes an owned record", "web.svc.test. 0 NONE A 127.0.0.1", miekg.RcodeRefused, "web.svc.test", ""},
		{"deletes an owned set", "web.svc.test. 0 ANY A", miekg.RcodeRefused, "web.svc.test", ""},
		{"deletes an owned name", "web.svc.test. 0 ANY ANY", miekg.RcodeRefused, "web.svc.test", ""},
		{"deletes nothing owned", "web.svc.test. 0 NONE A 127.0.0.9; web.svc.test. 0 ANY MX", 0, "web.svc.test", ""},
		{"an NS of the domain", "svc.test. 5 IN NS a.test.", miekg.RcodeRefused, "svc.test", ""},
		{"a deleted NS of the domain", "svc.test. 0 NONE NS n1.svc.test.", miekg.RcodeRefused, "svc.test", ""},
		{"another record of the domain", "svc.test. 5 IN MX 1 a.test.", 0, "svc.test", "5 MX 1 a.test."},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := newMember(t)
			zone := "shared.test."
			if c.at.Under("svc.test") {
				zone = "svc.test."
			}
			r := send(t, newHandler(t, m), msg(t, zone, "", c.changes), "k.test.", time.Now())
			if rows := m.rows(t, c.at); r.Rcode != c.want || rows != c.rows {
				t.Errorf("%s: %s has %q, want %s and %q", miekg.RcodeToString[r.Rcode], c.at, rows, miekg.RcodeToString[c.want], c.rows)
			}
			if ede := extended(r); c.want == miekg.RcodeRefused && ede == "" {
				t.Error("REFUSED without a reason")
			}
		})
	}
}

func extended(r *miekg.Msg) string {
	if o := r.IsEdns0(); o != nil && len(o.Option) > 0 {
		return o.Option[0].(*miekg.EDNS0_EDE).ExtraText
	}
	return ""
}

func TestWhoMayUpdateWhat(t *testing.T) {
	t.Parallel()
	h := newHandler(t, newMember(t))
	const add = "n.dyn.shared.test. 5 IN A 192.0.2.9"
	now := time.Now()
	for _, c := range []struct {
		name, zone, changes, key string
		at                       time.Time
		want, fault              int
	}{
		{"no key", "shared.test.", add, "", now, miekg.RcodeRefused, 0},
		{"a key", "shared.test.", add, "k.test.", now, 0, 0},
		{"a narrow key inside", "shared.test.", add, "narrow.test.", now, 0, 0},
		{"a narrow key outside", "shared.test.", add + "; n.shared.test. 5 IN A 192.0.2.9", "narrow.test.", now, miekg.RcodeRefused, 0},
		{"a narrow key deletes outside", "shared.test.", "www.shared.test. 0 ANY ANY", "narrow.test.", now, miekg.RcodeRefused, 0},
		{"an unknown key", "shared.test.", add, "other.test.", now, miekg.RcodeNotAuth, miekg.RcodeBadKey},
		{"a late key", "shared.test.", add, "k.test.", now.Add(-time.Hour), miekg.RcodeNotAuth, miekg.RcodeBadTime},
		{"a static zone", "static.test.", "n.static.test. 5 IN A 192.0.2.9", "k.test.", now, miekg.RcodeRefused, 0},
		{"no zone of ours", "other.test.", "n.other.test. 5 IN A 192.0.2.9", "k.test.", now, miekg.RcodeNotAuth, 0},
		{"a name that is no zone", "www.shared.test.", "www.shared.test. 5 IN A 192.0.2.9", "k.test.", now, miekg.RcodeNotAuth, 0},
	} {
		r := send(t, h, msg(t, c.zone, "", c.changes), c.key, c.at)
		fault := 0
		if ts := r.IsTsig(); ts != nil {
			fault = int(ts.Error)
		}
		if r.Rcode != c.want || fault != c.fault || (r.IsTsig() != nil) != (c.key != "") {
			t.Errorf("%s = %s, TSIG error %d, want %s, %d", c.name, miekg.RcodeToString[r.Rcode], fault, miekg.RcodeToString[c.want], c.fault)
		}
	}
}

func TestOddMessages(t *testing.T) {
	t.Parallel()
	h := newHandler(t, newMember(t))
	for name, c := range map[string]struct {
		change func(*miekg.Msg)
		want   int
	}{
		"no zone":                    {func(m *miekg.Msg) { m.Question = nil }, miekg.RcodeFormatError},
		"two zones":                  {func(m *miekg.Msg) { m.Question = append(m.Question, m.Question[0]) }, miekg.RcodeFormatError},
		"a zone that is no SOA":      {func(m *miekg.Msg) { m.Question[0].Qtype = miekg.TypeA }, miekg.RcodeFormatError},
		"a zone of another class":    {func(m *miekg.Msg) { m.Question[0].Qclass = miekg.ClassCHAOS }, miekg.RcodeNotAuth},
		"another opcode":             {func(m *miekg.Msg) { m.Opcode = miekg.OpcodeStatus }, miekg.RcodeNotImplemented},
		"another version of EDNS":    {func(m *miekg.Msg) { m.IsEdns0().SetVersion(1) }, miekg.RcodeBadVers},
		"nothing to change":          {func(*miekg.Msg) {}, miekg.RcodeSuccess},
		"records of another section": {func(m *miekg.Msg) { m.Extra = append(section(t, "x.test. 1 IN A 192.0.2.1"), m.Extra...) }, miekg.RcodeSuccess},
	} {
		m := msg(t, "shared.test.", "", "")
		c.change(m)
		if r := send(t, h, m, "k.test.", time.Now()); r.Rcode != c.want {
			t.Errorf("%s = %s, want %s", name, miekg.RcodeToString[r.Rcode], miekg.RcodeToString[c.want])
		}
	}
	answers := 0
	count := func([]byte) error { answers++; return nil }
	for _, packet := range [][]byte{nil, []byte("short"), append(make([]byte, 2), 0xa8, 0, 0, 0, 0, 0, 0, 0, 0, 0)} {
		if err := h.Serve(t.Context(), packet, netip.AddrPort{}, false, count); err != nil || answers > 0 {
			t.Errorf("%x has %d answers, %v", packet, answers, err)
		}
	}
	if err := h.Serve(t.Context(), []byte{0, 7, 0x28, 0, 0, 9, 0, 0, 0, 0, 0, 0}, netip.AddrPort{}, false, func(b []byte) error {
		if len(b) != 12 || b[1] != 7 || b[3] != miekg.RcodeFormatError {
			t.Errorf("a cut message is answered %x", b)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// TestTheLogSaysWhyAKeyWasRefused, for tools without EDNS, and nothing of strangers.
func TestTheLogSaysWhyAKeyWasRefused(t *testing.T) {
	t.Parallel()
	known, err := message.ParseKeys(keys, "keys")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	h, err := update.New(update.Config{Keys: known, Zones: newMember(t), Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	said := func(prerequisites, changes, key string) string {
		log.Reset()
		send(t, h, msg(t, "svc.test.", prerequisites, changes), key, time.Now())
		return log.String()
	}
	if text := said("", "web.svc.test. 0 ANY A", "k.test."); !strings.Contains(text, "update refused") || !strings.Contains(text, "[n1 n2]") || !strings.Contains(text, "key=k.test") {
		t.Errorf("of a refusal the log says %q", text)
	}
	if text := said("none.svc.test. 0 ANY ANY", "", "k.test."); text != "" {
		t.Errorf("of a prerequisite the log says %q", text)
	}
	for _, key := range []string{"", "other.test."} {
		if text := said("", "web.svc.test. 0 ANY A", key); text != "" {
			t.Errorf("of a stranger the log says %q", text)
		}
	}
}

// TestEveryKindOfErrorHasAnRcode walks the table.
func TestEveryKindOfErrorHasAnRcode(t *testing.T) {
	t.Parallel()
	want := map[dns.Kind]int{
		dns.Internal: miekg.RcodeServerFailure, dns.Invalid: miekg.RcodeFormatError, dns.Denied: miekg.RcodeRefused, dns.NotFound: miekg.RcodeNotAuth,
		dns.Conflict: miekg.RcodeRefused, dns.TooLarge: miekg.RcodeRefused, dns.Exhausted: miekg.RcodeServerFailure, dns.Unavailable: miekg.RcodeServerFailure,
	}
	for _, kind := range dns.Kinds() {
		m := newMember(t)
		m.fail = fmt.Errorf("change: %w", &dns.Error{Kind: kind, Detail: "for the client", Err: errors.New("for the operator")})
		r := send(t, newHandler(t, m), msg(t, "shared.test.", "", "n.shared.test. 5 IN A 192.0.2.9"), "k.test.", time.Now())
		rcode, ok := want[kind]
		text := extended(r)
		if !ok || r.Rcode != rcode || strings.Contains(text, "operator") || (text == "for the client") != (kind != dns.Internal) {
			t.Errorf("%v = %s with %q, want %s", kind, miekg.RcodeToString[r.Rcode], text, miekg.RcodeToString[rcode])
		}
	}
}

func FuzzUpdate(f *testing.F) {
	var m miekg.Msg
	m.SetUpdate("shared.test.")
	rr, _ := miekg.NewRR("n.shared.test. 5 IN A 192.0.2.9")
	m.Insert([]miekg.RR{rr})
	m.Used([]miekg.RR{rr})
	m.RemoveName([]miekg.RR{rr})
	plain, _ := m.Pack()
	f.Add(plain)
	known, _ := message.ParseKeys(keys, "keys")
	f.Fuzz(func(t *testing.T, packet []byte) {
		var in miekg.Msg
		if in.Unpack(packet) != nil {
			return
		}
		if in.IsTsig() == nil { // a key, so that more than the door is tried
			in.SetTsig("k.test.", miekg.HmacSHA256, 300, time.Now().Unix())
			signed, _, err := miekg.TsigGenerate(&in, secret, "", false)
			if err != nil {
				return
			}
			packet = signed
		}
		zones := newMember(t)
		h, err := update.New(update.Config{Keys: known, Zones: zones, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Serve(t.Context(), packet, netip.AddrPort{}, true, func(b []byte) error {
			if _, err := message.Decode(b); err != nil {
				t.Fatalf("the answer %x cannot be read: %v", b, err)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(zones.rows(t, "shared.test"), "NS") {
			t.Fatal("the apex has no NS")
		}
	})
}
