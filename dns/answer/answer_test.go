package answer

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"github.com/kamado/kamado/dns"
)

// rr reads a record in the form of a master file.
func rr(t testing.TB, text string) dns.RR {
	t.Helper()
	m, err := miekg.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	end, err := miekg.PackRR(m, buf, 0, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	start := end - int(m.Header().Rdlength)
	if m.Header().Rdlength == 0 { // a record made from text has no length yet
		start = skipName(buf, 0) + 10
	}
	return dns.RR{Name: dns.MustName(m.Header().Name), Type: dns.Type(m.Header().Rrtype), TTL: m.Header().Ttl, Data: append([]byte(nil), buf[start:end]...)}
}

func rrs(t testing.TB, text string) (list []dns.RR) {
	t.Helper()
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			list = append(list, rr(t, line))
		}
	}
	return list
}

// owned makes a living master from "owner RR".
func owned(t testing.TB, text string, change ...func(*dns.Owned)) dns.Owned {
	t.Helper()
	owner, record, _ := strings.Cut(text, " ")
	o := dns.Owned{Record: dns.Record{RR: rr(t, record), Weight: dns.WeightDefault}, Owner: owner, Alive: true}
	for _, f := range change {
		f(&o)
	}
	return o
}

func tier(tier dns.Tier) func(*dns.Owned) { return func(o *dns.Owned) { o.Tier = tier } }
func weight(w uint16) func(*dns.Owned)    { return func(o *dns.Owned) { o.Weight = w } }
func view(v string) func(*dns.Owned)      { return func(o *dns.Owned) { o.View = v } }
func dead(o *dns.Owned)                   { o.Alive = false }
func sick(o *dns.Owned) {
	o.Check.Spec, o.Health = "tcp:127.0.0.1:1", dns.Health{State: dns.Unhealthy, Output: "connection refused"}
}

func set(name string, list ...dns.Owned) dns.Set {
	return dns.Set{Name: dns.MustName(name), Owned: list}
}

// domain is a table with the domain zone svc.test.
func domain(t testing.TB, config Config, sets ...dns.Set) *Table {
	t.Helper()
	table, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	table.PutZone(dns.Zone{Apex: "svc.test", Kind: dns.DomainZone, SOA: dns.DefaultSOA("svc.test", "n1.svc.test", time.Second), Serial: 7}, []dns.Name{"n1.svc.test", "n2.svc.test"})
	for _, s := range sets {
		if !table.Put(s) {
			t.Fatalf("Put(%s) found no zone", s.Name)
		}
	}
	return table
}

const staticZone = `
static.test. 600 IN SOA ns1.static.test. admin.static.test. 1 60 10 86400 300
static.test. 600 IN NS ns1.static.test.
static.test. 600 IN NS ns.elsewhere.example.
static.test. 600 IN MX 10 mail.static.test.
ns1.static.test. 600 IN A 192.0.2.1
mail.static.test. 600 IN A 192.0.2.2
mail.static.test. 600 IN AAAA 2001:db8::2
a.deep.ent.static.test. 60 IN TXT "deep"
*.wild.static.test. 60 IN A 192.0.2.9
*.wild.static.test. 60 IN MX 5 mail.static.test.
real.wild.static.test. 60 IN TXT "real"
x.sub.wild.static.test. 60 IN TXT "x"
alias.static.test. 60 IN CNAME mail.static.test.
alias2.static.test. 60 IN CNAME alias.static.test.
loop1.static.test. 60 IN CNAME loop2.static.test.
loop2.static.test. 60 IN CNAME loop1.static.test.
out.static.test. 60 IN CNAME www.example.com.
tosvc.static.test. 60 IN CNAME web.svc.test.
gone.static.test. 60 IN CNAME nothing.static.test.
*.star.static.test. 60 IN CNAME mail.static.test.
child.static.test. 60 IN NS ns.child.static.test.
child.static.test. 60 IN NS ns1.static.test.
ns.child.static.test. 60 IN A 192.0.2.53
indeleg.static.test. 60 IN CNAME host.child.static.test.
_sip._tcp.static.test. 60 IN SRV 0 5 5060 mail.static.test.
old.static.test. 60 IN DNAME new.static.test.
host.new.static.test. 60 IN A 192.0.2.77
big.static.test. 60 IN TXT "` + bigText + `" "` + bigText + `" "` + bigText + `" "` + bigText + `" "` + bigText + `" "` + bigText + `"
`

const bigText = "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789" +
	"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789" +
	"01234567890123456789012345678901234567890123456789"

func withStatic(t testing.TB, table *Table) *Table {
	t.Helper()
	if err := table.PutStatic("static.test", rrs(t, staticZone)); err != nil {
		t.Fatal(err)
	}
	return table
}

var localClient = netip.MustParseAddrPort("127.0.0.1:4000")

// query packs a question.
func query(t testing.TB, name, typ string, change ...func(*miekg.Msg)) []byte {
	t.Helper()
	m := new(miekg.Msg).SetQuestion(miekg.Fqdn(name), miekg.StringToType[typ])
	m.RecursionDesired = false
	m.Id = 4242
	for _, f := range change {
		f(m)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func edns(size uint16) func(*miekg.Msg) { return func(m *miekg.Msg) { m.SetEdns0(size, false) } }

// ask answers a packet and reads the response.
func ask(t testing.TB, table *Table, q Query) *miekg.Msg {
	t.Helper()
	if !q.Client.IsValid() {
		q.Client = localClient
	}
	out, v := table.Answer(q, nil)
	if v > Proven {
		t.Fatalf("verdict %v", v)
	}
	m := new(miekg.Msg)
	if err := m.Unpack(out); err != nil {
		t.Fatalf("the response does not parse: %v: %x", err, out)
	}
	return m
}

// text is a response in a form to compare: rcode and flags, then the sections.
func text(m *miekg.Msg) string {
	lines := []string{miekg.RcodeToString[m.Rcode]}
	if m.Authoritative {
		lines[0] += " aa"
	}
	if m.Truncated {
		lines[0] += " tc"
	}
	for _, s := range []struct {
		name string
		list []miekg.RR
	}{{"an", m.Answer}, {"ns", m.Ns}, {"ar", m.Extra}} {
		var part []string
		for _, r := range s.list {
			if opt, ok := r.(*miekg.OPT); ok {
				for _, o := range opt.Option {
					if ede, ok := o.(*miekg.EDNS0_EDE); ok {
						part = append(part, fmt.Sprintf("ede %d", ede.InfoCode))
					}
				}
				continue
			}
			part = append(part, s.name+" "+strings.ReplaceAll(strings.TrimSuffix(strings.ReplaceAll(r.String(), "\t", " "), "."), " IN ", " "))
		}
		slices.Sort(part)
		lines = append(lines, part...)
	}
	return strings.Join(lines, "\n")
}

func TestAnswersOfStaticZone(t *testing.T) {
	table := withStatic(t, domain(t, Config{}, set("web.svc.test", owned(t, "n1 web.svc.test. 5 IN A 127.0.0.9"))))
	const soa = "ns static.test. 300 SOA ns1.static.test. admin.static.test. 1 60 10 86400 300"
	for _, c := range []struct{ why, name, typ, want string }{
		{"an exact name", "mail.static.test", "A", "NOERROR aa\nan mail.static.test. 600 A 192.0.2.2"},
		{"a type that is not there", "mail.static.test", "TXT", "NOERROR aa\n" + soa},
		{"a name that is not there", "nothing.static.test", "A", "NXDOMAIN aa\n" + soa},
		{"an empty non-terminal", "ent.static.test", "A", "NOERROR aa\n" + soa},
		{"an empty non-terminal one deeper", "deep.ent.static.test", "A", "NOERROR aa\n" + soa},
		{"below an empty non-terminal", "b.deep.ent.static.test", "A", "NXDOMAIN aa\n" + soa},
		{"a wildcard", "foo.wild.static.test", "A", "NOERROR aa\nan foo.wild.static.test. 60 A 192.0.2.9"},
		{"a wildcard, several labels", "a.b.c.wild.static.test", "A", "NOERROR aa\nan a.b.c.wild.static.test. 60 A 192.0.2.9"},
		{"a wildcard has no such type", "foo.wild.static.test", "TXT", "NOERROR aa\n" + soa},
		{"the wildcard itself", "*.wild.static.test", "A", "NOERROR aa\nan *.wild.static.test. 60 A 192.0.2.9"},
		{"a name hides the wildcard", "real.wild.static.test", "A", "NOERROR aa\n" + soa},
		{"below a name that hides the wildcard", "x.real.wild.static.test", "A", "NXDOMAIN aa\n" + soa},
		{"below an empty non-terminal that hides the wildcard", "y.sub.wild.static.test", "A", "NXDOMAIN aa\n" + soa},
		{"a wildcard brings addresses along", "foo.wild.static.test", "MX", "NOERROR aa\nan foo.wild.static.test. 60 MX 5 mail.static.test\nar mail.static.test. 600 A 192.0.2.2\nar mail.static.test. 600 AAAA 2001:db8::2"},
		{"an alias", "alias.static.test", "A", "NOERROR aa\nan alias.static.test. 60 CNAME mail.static.test\nan mail.static.test. 600 A 192.0.2.2"},
		{"an alias of an alias", "alias2.static.test", "AAAA", "NOERROR aa\nan alias.static.test. 60 CNAME mail.static.test\nan alias2.static.test. 60 CNAME alias.static.test\nan mail.static.test. 600 AAAA 2001:db8::2"},
		{"the alias itself", "alias.static.test", "CNAME", "NOERROR aa\nan alias.static.test. 60 CNAME mail.static.test"},
		{"an alias to a missing type", "alias.static.test", "TXT", "NOERROR aa\nan alias.static.test. 60 CNAME mail.static.test\n" + soa},
		{"an alias to a missing name", "gone.static.test", "A", "NXDOMAIN aa\nan gone.static.test. 60 CNAME nothing.static.test\n" + soa},
		{"an alias to others", "out.static.test", "A", "NOERROR aa\nan out.static.test. 60 CNAME www.example.com"},
		{"an alias into another zone of ours", "tosvc.static.test", "A", "NOERROR aa\nan tosvc.static.test. 60 CNAME web.svc.test\nan web.svc.test. 5 A 127.0.0.9"},
		{"aliases in a loop", "loop1.static.test", "A", "NOERROR aa\nan loop1.static.test. 60 CNAME loop2.static.test\nan loop2.static.test. 60 CNAME loop1.static.test"},
		{"a wildcard alias", "z.star.static.test", "A", "NOERROR aa\nan mail.static.test. 600 A 192.0.2.2\nan z.star.static.test. 60 CNAME mail.static.test"},
		{"a delegation", "host.child.static.test", "A", "NOERROR\nns child.static.test. 60 NS ns.child.static.test\nns child.static.test. 60 NS ns1.static.test\nar ns.child.static.test. 60 A 192.0.2.53\nar ns1.static.test. 600 A 192.0.2.1"},
		{"a delegation's own name", "child.static.test", "NS", "NOERROR\nns child.static.test. 60 NS ns.child.static.test\nns child.static.test. 60 NS ns1.static.test\nar ns.child.static.test. 60 A 192.0.2.53\nar ns1.static.test. 600 A 192.0.2.1"},
		{"glue is not answered with authority", "ns.child.static.test", "A", "NOERROR\nns child.static.test. 60 NS ns.child.static.test\nns child.static.test. 60 NS ns1.static.test\nar ns.child.static.test. 60 A 192.0.2.53\nar ns1.static.test. 600 A 192.0.2.1"},
		{"DS belongs to the parent", "child.static.test", "DS", "NOERROR aa\n" + soa},
		{"an alias below a delegation", "indeleg.static.test", "A", "NOERROR aa\nan indeleg.static.test. 60 CNAME host.child.static.test\nns child.static.test. 60 NS ns.child.static.test\nns child.static.test. 60 NS ns1.static.test\nar ns.child.static.test. 60 A 192.0.2.53\nar ns1.static.test. 600 A 192.0.2.1"},
		{"SRV brings addresses along", "_sip._tcp.static.test", "SRV", "NOERROR aa\nan _sip._tcp.static.test. 60 SRV 0 5 5060 mail.static.test\nar mail.static.test. 600 A 192.0.2.2\nar mail.static.test. 600 AAAA 2001:db8::2"},
		{"DNAME makes an alias", "host.old.static.test", "A", "NOERROR aa\nan host.new.static.test. 60 A 192.0.2.77\nan host.old.static.test. 60 CNAME host.new.static.test\nan old.static.test. 60 DNAME new.static.test"},
		{"DNAME does not concern its own name", "old.static.test", "A", "NOERROR aa\n" + soa},
		{"DNAME itself", "old.static.test", "DNAME", "NOERROR aa\nan old.static.test. 60 DNAME new.static.test"},
		{"DNAME that makes too long a name", strings.Repeat("a23456789.", 23) + "ab.old.static.test", "A", "YXDOMAIN aa\nan old.static.test. 60 DNAME newer-and-longer.static.test"},
		{"the SOA", "static.test", "SOA", "NOERROR aa\nan static.test. 600 SOA ns1.static.test. admin.static.test. 1 60 10 86400 300"},
		{"the servers", "static.test", "NS", "NOERROR aa\nan static.test. 600 NS ns.elsewhere.example\nan static.test. 600 NS ns1.static.test\nar ns1.static.test. 600 A 192.0.2.1"},
		{"the apex without the type", "static.test", "A", "NOERROR aa\n" + soa},
		{"too large for UDP", "big.static.test", "TXT", "NOERROR aa tc"},
		{"not ours", "www.example.com", "A", "REFUSED"},
		{"above ours", "test", "A", "REFUSED"},
		{"the root", ".", "NS", "REFUSED"},
	} {
		t.Run(c.why, func(t *testing.T) {
			if strings.HasPrefix(c.why, "DNAME that makes") {
				longer := strings.ReplaceAll(staticZone, "DNAME new.static.test", "DNAME newer-and-longer.static.test")
				if err := table.PutStatic("static.test", rrs(t, longer)); err != nil {
					t.Fatal(err)
				}
				defer withStatic(t, table)
			}
			got := text(ask(t, table, Query{Packet: query(t, c.name, c.typ)}))
			if got != c.want {
				t.Errorf("%s %s:\n%s\nwant:\n%s", c.name, c.typ, got, c.want)
			}
		})
	}
}

func TestAnswersOfOwnedRecords(t *testing.T) {
	a := func(n, ip string, change ...func(*dns.Owned)) dns.Owned {
		return owned(t, n+" web.svc.test. 5 IN A "+ip, change...)
	}
	with := func(p dns.Policy, list ...dns.Owned) dns.Set {
		s := set("web.svc.test", list...)
		s.Policy = p
		return s
	}
	const soa = "\nns svc.test. 1 SOA n1.svc.test. hostmaster.svc.test. 7 60 10 86400 1"
	zoned := set("web.svc.test", a("n1", "10.0.0.1", sick))
	zoned.RRs = rrs(t, "web.svc.test. 3 IN A 10.0.0.7\nweb.svc.test. 9 IN TXT \"zone\"")
	for _, c := range []struct {
		why  string
		set  dns.Set
		typ  string
		want string
	}{
		{"masters all", with(dns.Policy{}, a("n1", "10.0.0.1"), a("n2", "10.0.0.2")), "A", "NOERROR aa\nan web.svc.test. 5 A 10.0.0.1\nan web.svc.test. 5 A 10.0.0.2"},
		{"the least TTL", with(dns.Policy{}, a("n1", "10.0.0.1"), a("n2", "10.0.0.2", func(o *dns.Owned) { o.TTL = 2 })), "A", "NOERROR aa\nan web.svc.test. 2 A 10.0.0.1\nan web.svc.test. 2 A 10.0.0.2"},
		{"the dead leave", with(dns.Policy{}, a("n1", "10.0.0.1", dead), a("n2", "10.0.0.2"), a("n3", "10.0.0.3", sick)), "A", "NOERROR aa\nan web.svc.test. 5 A 10.0.0.2"},
		{"secondaries behind masters", with(dns.Policy{Max: 1}, a("n1", "10.0.0.1", tier(dns.Secondary)), a("n2", "10.0.0.2")), "A", "NOERROR aa\nan web.svc.test. 5 A 10.0.0.2"},
		{"secondaries when no master lives", with(dns.Policy{}, a("n1", "10.0.0.1", tier(dns.Secondary)), a("n2", "10.0.0.2", sick), a("n3", "10.0.0.3", tier(dns.Backup))), "A", "NOERROR aa\nan web.svc.test. 5 A 10.0.0.1"},
		{"backups when nothing else lives", with(dns.Policy{}, a("n1", "10.0.0.1", tier(dns.Secondary), dead), a("n2", "10.0.0.2", sick), a("n3", "10.0.0.3", tier(dns.Backup))), "A", "NOERROR aa\nan web.svc.test. 5 A 10.0.0.3"},
		{"an origin ranks as a master", with(dns.Policy{}, a("n1", "10.0.0.1", tier(dns.Origin)), a("n3", "10.0.0.3", tier(dns.Backup))), "A", "NOERROR aa\nan web.svc.test. 5 A 10.0.0.1"},
		{"a backup's AAAA waits for a master's A", with(dns.Policy{}, a("n1", "10.0.0.1"), owned(t, "n3 web.svc.test. 5 IN AAAA ::3", tier(dns.Backup))), "AAAA", "NOERROR aa" + soa},
		{"nobody lives: none", with(dns.Policy{}, a("n1", "10.0.0.1", sick)), "A", "NOERROR aa" + soa + "\nede 14"},
		{"nobody lives: all", with(dns.Policy{Fallback: dns.FallbackAll}, a("n1", "10.0.0.1", sick), a("n2", "10.0.0.2", dead)), "A", "NOERROR aa\nan web.svc.test. 5 A 10.0.0.1\nan web.svc.test. 5 A 10.0.0.2\nede 3"},
		{"nobody lives: backup", with(dns.Policy{Fallback: dns.FallbackBackup}, a("n1", "10.0.0.1", sick), a("n2", "10.0.0.2", dead, tier(dns.Backup))), "A", "NOERROR aa\nan web.svc.test. 5 A 10.0.0.2\nede 3"},
		{"nobody lives and there is no backup", with(dns.Policy{Fallback: dns.FallbackBackup}, a("n1", "10.0.0.1", sick)), "A", "NOERROR aa" + soa + "\nede 14"},
		{"another type of a name that lives", with(dns.Policy{}, a("n1", "10.0.0.1")), "TXT", "NOERROR aa" + soa},
		{"weight 0 waits", with(dns.Policy{}, a("n1", "10.0.0.1", weight(0)), a("n2", "10.0.0.2")), "A", "NOERROR aa\nan web.svc.test. 5 A 10.0.0.2"},
		{"weight 0 alone", with(dns.Policy{}, a("n1", "10.0.0.1", weight(0)), a("n2", "10.0.0.2", dead)), "A", "NOERROR aa\nan web.svc.test. 5 A 10.0.0.1"},
		{"two members, one address", with(dns.Policy{}, a("n1", "10.0.0.1"), a("n2", "10.0.0.1")), "A", "NOERROR aa\nan web.svc.test. 5 A 10.0.0.1"},
		{"a zone record is a living master", zoned, "A", "NOERROR aa\nan web.svc.test. 3 A 10.0.0.7"},
		{"a zone record of another type", zoned, "TXT", "NOERROR aa\nan web.svc.test. 9 TXT \"zone\""},
		{"one alias of several", with(dns.Policy{Balance: dns.FixedFirst}, owned(t, "n1 web.svc.test. 5 IN CNAME a.example."), owned(t, "n2 web.svc.test. 5 IN CNAME b.example.")), "A", "NOERROR aa\nan web.svc.test. 5 CNAME a.example"},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			table := domain(t, Config{}, c.set)
			got := text(ask(t, table, Query{Packet: query(t, "web.svc.test", c.typ, edns(1232))}))
			if got != c.want {
				t.Errorf("\n%s\nwant:\n%s", got, c.want)
			}
		})
	}
}

func TestDomainApex(t *testing.T) {
	table := domain(t, Config{}, set("n1.svc.test", owned(t, "n1 n1.svc.test. 60 IN A 10.1.0.1", tier(dns.Origin))))
	got := text(ask(t, table, Query{Packet: query(t, "SVC.test", "NS")}))
	want := "NOERROR aa\nan SVC.test. 60 NS n1.SVC.test\nan SVC.test. 60 NS n2.SVC.test\nar n1.SVC.test. 60 A 10.1.0.1"
	if got != want {
		t.Errorf("NS:\n%s\nwant:\n%s", got, want)
	}
	table.PutZone(dns.Zone{Apex: "svc.test", SOA: dns.DefaultSOA("svc.test", "n1.svc.test", time.Second), Serial: 8}, nil)
	if got := text(ask(t, table, Query{Packet: query(t, "svc.test", "SOA")})); !strings.Contains(got, " 8 60 10 86400 1") {
		t.Errorf("SOA after a change: %s", got)
	}
	if got := text(ask(t, table, Query{Packet: query(t, "n1.svc.test", "A")})); !strings.Contains(got, "10.1.0.1") {
		t.Errorf("a change of the SOA lost a name: %s", got)
	}
}

// TestViews wants records with a view to be as if they were not there for others.
func TestViews(t *testing.T) {
	table := domain(t, Config{Views: map[string][]netip.Prefix{
		"inside": {netip.MustParsePrefix("10.0.0.0/8")},
		"lab":    {netip.MustParsePrefix("10.9.0.0/16"), netip.MustParsePrefix("2001:db8::/32")},
	}},
		set("both.svc.test", owned(t, "n1 both.svc.test. 5 IN A 192.0.2.1"), owned(t, "n1 both.svc.test. 5 IN A 10.0.0.1", view("inside"))),
		set("hidden.svc.test", owned(t, "n1 hidden.svc.test. 5 IN A 10.0.0.2", view("inside"))),
		set("a.ent.svc.test", owned(t, "n1 a.ent.svc.test. 5 IN A 10.0.0.3", view("lab"))),
		set("backup.svc.test", owned(t, "n1 backup.svc.test. 5 IN A 10.0.0.4", view("inside")), owned(t, "n1 backup.svc.test. 5 IN A 192.0.2.4", tier(dns.Backup))),
		set("nowhere.svc.test", owned(t, "n1 nowhere.svc.test. 5 IN A 10.0.0.5", view("unheard"))),
		set("*.w.svc.test", owned(t, "n1 *.w.svc.test. 5 IN A 10.0.0.6", view("inside"))),
	)
	for _, c := range []struct{ client, name, want string }{
		{"192.0.2.200", "both.svc.test", "NOERROR 192.0.2.1"},
		{"10.1.1.1", "both.svc.test", "NOERROR 10.0.0.1 192.0.2.1"},
		{"10.9.1.1", "both.svc.test", "NOERROR 10.0.0.1 192.0.2.1"},
		{"192.0.2.200", "hidden.svc.test", "NXDOMAIN"},
		{"10.1.1.1", "hidden.svc.test", "NOERROR 10.0.0.2"},
		{"10.1.1.1", "a.ent.svc.test", "NXDOMAIN"},
		{"10.1.1.1", "ent.svc.test", "NXDOMAIN"},
		{"10.9.1.1", "ent.svc.test", "NOERROR"},
		{"2001:db8::1", "a.ent.svc.test", "NOERROR 10.0.0.3"},
		{"10.1.1.1", "backup.svc.test", "NOERROR 10.0.0.4"},
		{"192.0.2.200", "backup.svc.test", "NOERROR 192.0.2.4"},
		{"10.1.1.1", "nowhere.svc.test", "NXDOMAIN"},
		{"10.1.1.1", "x.w.svc.test", "NOERROR 10.0.0.6"},
		{"192.0.2.200", "x.w.svc.test", "NXDOMAIN"},
		{"192.0.2.200", "w.svc.test", "NXDOMAIN"},
	} {
		m := ask(t, table, Query{Packet: query(t, c.name, "A"), Client: netip.AddrPortFrom(netip.MustParseAddr(c.client), 9)})
		got := []string{miekg.RcodeToString[m.Rcode]}
		for _, r := range m.Answer {
			got = append(got, r.(*miekg.A).A.String())
		}
		slices.Sort(got[1:])
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s from %s: %s, want %s", c.name, c.client, s, c.want)
		}
	}
}

// TestRemoval wants names to go without a trace, with what is above them.
func TestRemoval(t *testing.T) {
	table := domain(t, Config{}, set("a.b.c.svc.test", owned(t, "n1 a.b.c.svc.test. 5 IN A 10.0.0.1")), set("b.c.svc.test", owned(t, "n1 b.c.svc.test. 5 IN A 10.0.0.2")))
	rcode := func(name string) string {
		m := ask(t, table, Query{Packet: query(t, name, "A")})
		return fmt.Sprintf("%s %d", miekg.RcodeToString[m.Rcode], len(m.Answer))
	}
	for _, c := range []struct{ remove, name, want string }{
		{"", "c.svc.test", "NOERROR 0"},
		{"b.c.svc.test", "b.c.svc.test", "NOERROR 0"},
		{"", "a.b.c.svc.test", "NOERROR 1"},
		{"a.b.c.svc.test", "a.b.c.svc.test", "NXDOMAIN 0"},
		{"", "b.c.svc.test", "NXDOMAIN 0"},
		{"", "c.svc.test", "NXDOMAIN 0"},
		{"", "svc.test", "NOERROR 0"},
	} {
		if c.remove != "" {
			table.Put(set(c.remove))
		}
		if got := rcode(c.name); got != c.want {
			t.Errorf("%s after the removal of %q: %s, want %s", c.name, c.remove, got, c.want)
		}
	}
	if n := table.zone(dns.Name("svc.test").AppendWire(nil)).names.live; n != 1 {
		t.Errorf("%d names are left, want the apex alone", n)
	}
}

// TestZonesWithinZones wants the deepest zone to answer.
func TestZonesWithinZones(t *testing.T) {
	table := domain(t, Config{}, set("x.in.svc.test", owned(t, "n1 x.in.svc.test. 5 IN A 10.0.0.1")))
	table.PutZone(dns.Zone{Apex: "in.svc.test", Kind: dns.SharedZone, SOA: dns.DefaultSOA("in.svc.test", "n1.svc.test", time.Second)}, []dns.Name{"n1.svc.test"})
	if m := ask(t, table, Query{Packet: query(t, "x.in.svc.test", "A")}); m.Rcode != miekg.RcodeNameError || m.Ns[0].Header().Name != "in.svc.test." {
		t.Errorf("the zone in between does not answer: %v", m)
	}
	if m := ask(t, table, Query{Packet: query(t, "in.svc.test", "DS")}); m.Ns[0].Header().Name != "svc.test." {
		t.Errorf("DS is not the parent's: %v", m)
	}
	table.RemoveZone("in.svc.test")
	if m := ask(t, table, Query{Packet: query(t, "x.in.svc.test", "A")}); m.Rcode != miekg.RcodeNameError || m.Ns[0].Header().Name != "svc.test." {
		t.Errorf("after its removal: %v", m)
	}
	if table.Put(set("x.example", owned(t, "n1 x.example. 5 IN A 10.0.0.1"))) {
		t.Error("Put of a foreign name said that it was held")
	}
	if got := fmt.Sprint(table.Zones()); got != "[svc.test]" {
		t.Errorf("Zones() = %s", got)
	}
	if z, ok := table.ZoneOf("a.b.svc.test"); z != "svc.test" || !ok {
		t.Errorf("ZoneOf = %q, %t", z, ok)
	}
	if err := table.PutStatic("bad.test", rrs(t, "bad.test. 1 IN NS n.bad.test.")); dns.KindOf(err) != dns.Invalid {
		t.Errorf("a static zone without SOA: %v", err)
	}
}
