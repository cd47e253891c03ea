package fabric_test

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
)

// clients is how many ask at the same time.
const clients = 64

// storm runs fn from many clients at once and gives their errors.
func storm(n int, fn func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = fn(i) })
	}
	wg.Wait()
	return errs
}

func granted(w *world, errs []error, kind compute.Kind) int {
	w.Helper()
	n := 0
	for _, err := range errs {
		switch {
		case err == nil:
			n++
		case !compute.IsKind(err, kind):
			w.Errorf("error = %v, want kind %s", err, kind)
		}
	}
	return n
}

// distinctAddresses checks that no address was given twice and gives how many are
// taken.
func distinctAddresses(w *world, subnetID string) int {
	w.Helper()
	seen := map[string]bool{}
	w.read(func(tx *compute.Tx) error {
		ports, err := tx.Ports.List(compute.Query{})
		for _, p := range ports {
			for _, f := range p.FixedIPs {
				if f.SubnetID != subnetID {
					continue
				}
				if seen[f.IP] {
					w.Errorf("address %s was given twice", f.IP)
				}
				seen[f.IP] = true
			}
		}
		return err
	})
	return len(seen)
}

func TestSmallSubnetIsGivenOutExactlyOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n, sub := w.network(member, "10.1.0.0/28")
	errs := storm(clients, func(int) error {
		_, err := w.CreatePorts(w.ctx, member, []fabric.PortAttrs{{NetworkID: fabric.Some(n.ID)}})
		return err
	})
	const room = 16 - 2 - 1 // less the network's own, the broadcast address and the gateway
	if got := granted(w, errs, compute.Exhausted); got != room {
		t.Errorf("%d ports were made, want %d", got, room)
	}
	if got := distinctAddresses(w, sub.ID); got != room {
		t.Errorf("%d addresses are taken, want %d", got, room)
	}
	if got := w.used(member.ProjectID, compute.QuotaPorts); got != room {
		t.Errorf("quota counts %d ports, want %d", got, room)
	}
}

func TestQuotaHoldsUnderManyClients(t *testing.T) {
	t.Parallel()
	w := started(t)
	limits := map[compute.Resource]int{compute.QuotaPorts: 9, compute.QuotaFloatingIPs: 7, compute.QuotaNetworks: 5, compute.QuotaSecurityGroups: 4}
	n, _ := w.network(member, "10.1.0.0/24")
	w.must(w.SetQuotas(w.ctx, admin, member.ProjectID, limits))
	public := w.first(fabric.PublicNetwork)
	ask := map[compute.Resource]func() error{
		compute.QuotaPorts: func() error {
			_, err := w.CreatePorts(w.ctx, member, []fabric.PortAttrs{{NetworkID: fabric.Some(n.ID)}})
			return err
		},
		compute.QuotaFloatingIPs: func() error {
			_, err := w.CreateFloatingIPs(w.ctx, member, []fabric.FloatingAttrs{{NetworkID: fabric.Some(public.ID)}})
			return err
		},
		compute.QuotaNetworks: func() error {
			_, err := w.CreateNetworks(w.ctx, member, []fabric.NetworkAttrs{{Name: fabric.Some("x")}})
			return err
		},
		compute.QuotaSecurityGroups: func() error {
			_, err := w.CreateGroups(w.ctx, member, []fabric.GroupAttrs{{Name: fabric.Some("x")}})
			return err
		},
	}
	for r, fn := range ask {
		before := w.used(member.ProjectID, r)
		got := granted(w, storm(clients, func(int) error { return fn() }), compute.OverQuota)
		if want := limits[r] - before; got != want {
			t.Errorf("%d of %s were granted, want %d", got, r, want)
		}
		if used := w.used(member.ProjectID, r); used != limits[r] {
			t.Errorf("%d of %s are used, want %d", used, r, limits[r])
		}
	}
}

func TestOneFloatingAddressForAFixedOneUnderManyClients(t *testing.T) {
	t.Parallel()
	w := started(t)
	port := w.port(member, fabric.PortAttrs{NetworkID: fabric.Some(w.first(fabric.DefaultNet).ID)})
	public := w.first(fabric.PublicNetwork).ID
	fips := make([]*compute.FloatingIP, 16)
	for i := range fips {
		made, err := w.CreateFloatingIPs(w.ctx, member, []fabric.FloatingAttrs{{NetworkID: fabric.Some(public)}})
		w.must(err)
		fips[i] = made[0]
	}
	errs := storm(len(fips), func(i int) error {
		_, err := w.UpdateFloatingIP(w.ctx, member, fips[i].ID, fabric.FloatingAttrs{PortID: fabric.Some(port.ID)})
		return err
	})
	if got := granted(w, errs, compute.Conflict); got != 1 {
		t.Errorf("%d floating addresses lead to one fixed address, want 1", got)
	}
}

// TestAllocationAgainstAModel makes and deletes ports at random and compares with
// a set of addresses.
func TestAllocationAgainstAModel(t *testing.T) {
	t.Parallel()
	const seed = 20110526
	random := rand.New(rand.NewPCG(seed, seed))
	w := newWorld(t)
	n, sub := w.network(member, "10.9.0.0/27", func(a *fabric.SubnetAttrs) {
		a.Pools = fabric.Some([]compute.AddressRange{{Start: "10.9.0.4", End: "10.9.0.9"}, {Start: "10.9.0.20", End: "10.9.0.23"}})
	})
	const room = 6 + 4
	in := func(ip string) bool {
		a := netip.MustParseAddr(ip)
		for _, p := range sub.Pools {
			if netip.MustParseAddr(p.Start).Compare(a) <= 0 && a.Compare(netip.MustParseAddr(p.End)) <= 0 {
				return true
			}
		}
		return false
	}
	have := map[string]*compute.Port{}
	for step := range 300 {
		if random.IntN(100) < 55 {
			made, err := w.CreatePorts(w.ctx, member, []fabric.PortAttrs{{NetworkID: fabric.Some(n.ID)}})
			if full := len(have) == room; full != (err != nil) {
				t.Fatalf("seed %d step %d: with %d of %d taken, error = %v", seed, step, len(have), room, err)
			}
			if err == nil {
				ip := made[0].FixedIPs[0].IP
				if have[ip] != nil || !in(ip) {
					t.Fatalf("seed %d step %d: %s is taken or outside of the pools", seed, step, ip)
				}
				have[ip] = made[0]
			}
			continue
		}
		for ip, p := range have {
			w.must(w.DeletePort(w.ctx, member, p.ID))
			delete(have, ip)
			break
		}
	}
	if got := distinctAddresses(w, sub.ID); got != len(have) {
		t.Errorf("seed %d: %d addresses are taken, want %d", seed, got, len(have))
	}
}
