package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/credential"
	"github.com/kamado/kamado/dns/message"
)

// rows are the records of a transfer behind the SOA and the NS, as text.
func rows(t *testing.T, rrs []dns.RR) (out []string) {
	t.Helper()
	for _, rr := range rrs[1:] {
		if rr.Type == dns.TypeNS {
			continue
		}
		text, err := message.FormatRData(rr.Type, rr.Data)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s %d %v %s", rr.Name, rr.TTL, rr.Type, text))
	}
	slices.Sort(out)
	return out
}

// TestTransferIsWhatWouldBeAnswered has records of every tier, weight and view at one name, and zone records beside them.
func TestTransferIsWhatWouldBeAnswered(t *testing.T) {
	t.Parallel()
	m := newCluster().start(t, "n1", t.TempDir(), []credential.Key{credential.NewKey()})
	add := func(name, addr string, change func(*dns.Record)) {
		t.Helper()
		rec := record(name, addr)
		change(&rec)
		if _, err := m.Add(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
	}
	add("web", "192.0.2.1", func(r *dns.Record) { r.TTL = 30 })
	add("web", "192.0.2.2", func(r *dns.Record) { r.Tier = dns.Secondary; r.TTL = 20 })
	add("web", "192.0.2.3", func(r *dns.Record) { r.Tier = dns.Backup })
	add("web", "192.0.2.4", func(r *dns.Record) { r.Weight = 0 })
	add("web", "192.0.2.5", func(r *dns.Record) { r.View = "inside" })
	add("web", "192.0.2.6", func(r *dns.Record) { r.Check.Spec = "tcp:127.0.0.1:1" })
	add("web", "2001:db8::1", func(r *dns.Record) { r.Tier = dns.Backup }) // of the family of a master that lives
	add("spare", "192.0.2.7", func(r *dns.Record) { r.Tier = dns.Backup })
	add("dead", "192.0.2.8", func(r *dns.Record) { r.Check.Spec = "tcp:127.0.0.1:1" })
	zoneRR := func(name, addr string, ttl uint32) dns.Change {
		rr := record(name, addr).RR
		rr.TTL = ttl
		return dns.Change{RR: rr}
	}
	if _, err := m.Change(t.Context(), domain, []dns.Change{zoneRR("web", "192.0.2.9", 10), zoneRR("spare", "192.0.2.10", 60), zoneRR("only", "192.0.2.11", 60)}); err != nil {
		t.Fatal(err)
	}
	got, err := m.Transfer(domain)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"only.svc.test 60 A 192.0.2.11", "spare.svc.test 60 A 192.0.2.10",
		"web.svc.test 10 A 192.0.2.1", "web.svc.test 10 A 192.0.2.2", "web.svc.test 10 A 192.0.2.9",
	}
	list := slices.DeleteFunc(rows(t, got), func(row string) bool { return strings.HasPrefix(row, "n1.") }) // the origin
	if !slices.Equal(list, want) {
		t.Errorf("transfer = %q\nwant %q", list, want)
	}
	if got[0].Type != dns.TypeSOA || !slices.ContainsFunc(got, func(rr dns.RR) bool { return rr.Type == dns.TypeNS && rr.Name == domain }) {
		t.Errorf("transfer begins with %v, or has no NS", got[0])
	}
	shared := dns.Name("sub.svc.test")
	if err := m.CreateZone(t.Context(), shared); err != nil {
		t.Fatal(err)
	}
	add("x.sub", "192.0.2.12", func(*dns.Record) {})
	if got, err = m.Transfer(shared); err != nil || !slices.Equal(rows(t, got), []string{"x.sub.svc.test 5 A 192.0.2.12"}) {
		t.Errorf("transfer of a zone within = %v, %v", rows(t, got), err)
	}
	if got, err = m.Transfer(domain); err != nil || slices.ContainsFunc(got, func(rr dns.RR) bool { return rr.Name.Under(shared) }) {
		t.Errorf("transfer of the domain has names of a deeper zone, or %v", err)
	}
}

// TestJudgeFindsTheStartOfTheZone wants the SOA of this very moment, on which prerequisites of updates rely.
func TestJudgeFindsTheStartOfTheZone(t *testing.T) {
	t.Parallel()
	m := newCluster().start(t, "n1", t.TempDir(), []credential.Key{credential.NewKey()})
	stop := errors.New("seen")
	var serials []uint32
	for range 3 {
		judge := func(lookup func(dns.Name) dns.Set) ([]dns.Change, error) {
			set := lookup(domain)
			i := slices.IndexFunc(set.RRs, func(rr dns.RR) bool { return rr.Type == dns.TypeSOA })
			if i < 0 || !slices.ContainsFunc(set.RRs, func(rr dns.RR) bool { return rr.Type == dns.TypeNS }) {
				t.Errorf("the apex has %v", set.RRs)
				return nil, stop
			}
			_, serial, err := dns.ParseSOA(set.RRs[i].Data)
			serials = append(serials, serial)
			return []dns.Change{{RR: dns.RR{Name: "x.svc.test", Type: dns.TypeTXT, Data: []byte{1, byte('0' + len(serials))}}}}, err
		}
		serial, err := m.ChangeZone(context.Background(), domain, judge)
		if err != nil {
			t.Fatal(err)
		}
		if last := serials[len(serials)-1]; !dns.SerialAfter(serial, last) {
			t.Errorf("serial %d before the change, %d after it", last, serial)
		}
	}
}
