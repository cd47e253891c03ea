package main

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/dns"
)

// ownRecords is a member's own records, in memory.
type ownRecords struct {
	mu   sync.Mutex
	list []dns.Owned
}

func (o *ownRecords) Domain() dns.Name { return "svc.test" }

func (o *ownRecords) Own() ([]dns.Owned, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.list), nil
}

func (o *ownRecords) Add(_ context.Context, rec dns.Record) (dns.Owned, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	added := dns.Owned{Record: rec, Owner: "n1"}
	o.list = append(o.list, added)
	return added, nil
}

func (o *ownRecords) Remove(_ context.Context, id dns.RecordID) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = slices.DeleteFunc(o.list, func(r dns.Owned) bool { return r.ID() == id })
	return nil
}

func (o *ownRecords) rows() (rows []string) {
	for _, r := range o.list {
		a, _ := r.Addr()
		rows = append(rows, string(r.Name)+" "+a.String())
	}
	slices.Sort(rows)
	return rows
}

// TestInstanceNamesAreExactlyThoseThatAreGiven: what is new comes, what is gone goes, and
// what is not an instance's is not touched.
func TestInstanceNamesAreExactlyThoseThatAreGiven(t *testing.T) {
	t.Parallel()
	own := &ownRecords{}
	addr := netip.MustParseAddr
	for _, name := range []dns.Name{"web.svc.test", "vm.svc.test"} {
		own.list = append(own.list, dns.Owned{Owner: "n1", Record: dns.Record{RR: dns.AddrRR(name, addr("127.0.0.1"), 5)}})
	}
	names := instanceNames{own}
	one := compute.InstanceName{ID: "1", Hostname: "One", Project: "My project", Addrs: []netip.Addr{addr("10.0.0.1"), addr("fd00::1")}}
	twin := compute.InstanceName{ID: "2", Hostname: "one", Project: "My project", Addrs: []netip.Addr{addr("10.0.0.2")}}
	for _, c := range []struct {
		list []compute.InstanceName
		want []string
	}{
		{[]compute.InstanceName{one, twin}, []string{"one.my-project.vm.svc.test 10.0.0.1", "one.my-project.vm.svc.test 10.0.0.2", "one.my-project.vm.svc.test fd00::1", "vm.svc.test 127.0.0.1", "web.svc.test 127.0.0.1"}},
		{[]compute.InstanceName{twin}, []string{"one.my-project.vm.svc.test 10.0.0.2", "vm.svc.test 127.0.0.1", "web.svc.test 127.0.0.1"}},
		{nil, []string{"vm.svc.test 127.0.0.1", "web.svc.test 127.0.0.1"}},
	} {
		if err := names.SetNames(t.Context(), c.list); err != nil {
			t.Fatal(err)
		}
		if got := own.rows(); !slices.Equal(got, c.want) {
			t.Errorf("after SetNames of %d: %q, want %q", len(c.list), got, c.want)
		}
	}
}
