package fabric_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
)

func TestDefaultPoolsLeaveOutWhatIsNotForPorts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n, _ := w.network(member, "10.1.0.0/24")
	for _, c := range []struct{ cidr, gateway, want string }{
		{"10.2.0.0/24", "", "10.2.0.1 10.2.0.2-10.2.0.254"},
		{"10.3.0.0/24", "10.3.0.254", "10.3.0.254 10.3.0.1-10.3.0.253"},
		{"10.4.0.0/24", "10.4.0.100", "10.4.0.100 10.4.0.1-10.4.0.99 10.4.0.101-10.4.0.254"},
		{"10.5.0.0/24", "none", " 10.5.0.1-10.5.0.254"},
		{"10.6.0.0/30", "", "10.6.0.1 10.6.0.2-10.6.0.2"},
		{"fd00:1::/64", "", "fd00:1::1 fd00:1::2-fd00:1::ffff:ffff:ffff:ffff"},
	} {
		sub := w.subnet(member, n.ID, c.cidr, func(a *fabric.SubnetAttrs) {
			switch c.gateway {
			case "":
			case "none":
				a.Gateway = fabric.Some("")
			default:
				a.Gateway = fabric.Some(c.gateway)
			}
		})
		got := sub.Gateway
		for _, p := range sub.Pools {
			got += " " + p.Start + "-" + p.End
		}
		if got != c.want {
			t.Errorf("gateway and pools of %s with gateway %q = %q, want %q", c.cidr, c.gateway, got, c.want)
		}
	}
}

// TestCardsMakeTheirOwnAddresses uses the example of RFC 4291 appendix A with a
// locally administered MAC.
func TestCardsMakeTheirOwnAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n, _ := w.network(member, "10.1.0.0/24")
	before := w.port(member, fabric.PortAttrs{NetworkID: fabric.Some(n.ID), MAC: fabric.Some("FA:16:3E:34:56:78")})
	slaac := func(a *fabric.SubnetAttrs) { a.RAMode, a.AddressMode = fabric.Some("slaac"), fabric.Some("slaac") }
	sub := w.subnet(member, n.ID, "fd00:2::/64", slaac)
	after := w.port(member, fabric.PortAttrs{NetworkID: fabric.Some(n.ID), MAC: fabric.Some("fa:16:3e:00:00:01")})
	w.read(func(tx *compute.Tx) error {
		for id, want := range map[string]string{before.ID: "fd00:2::f816:3eff:fe34:5678", after.ID: "fd00:2::f816:3eff:fe00:1"} {
			p, err := tx.Ports.Get(id)
			if err != nil {
				return err
			}
			if !slices.Contains(p.FixedIPs, compute.FixedIP{SubnetID: sub.ID, IP: want}) {
				t.Errorf("addresses %v lack %s", p.FixedIPs, want)
			}
		}
		return nil
	})
	w.must(w.DeleteSubnet(w.ctx, member, sub.ID))
	w.read(func(tx *compute.Tx) error {
		p, err := tx.Ports.Get(before.ID)
		if err == nil && len(p.FixedIPs) != 1 {
			t.Errorf("after its subnet is gone, the port has %v", p.FixedIPs)
		}
		return err
	})
}

// TestPrefixesOfAPoolNeverOverlap takes and gives back prefixes of random lengths.
func TestPrefixesOfAPoolNeverOverlap(t *testing.T) {
	t.Parallel()
	const seed = 8
	random := rand.New(rand.NewPCG(seed, seed))
	w := newWorld(t)
	w.must(w.SetQuotas(w.ctx, admin, member.ProjectID, map[compute.Resource]int{compute.QuotaSubnets: compute.Unlimited, compute.QuotaNetworks: compute.Unlimited}))
	pools, err := w.CreateSubnetPools(w.ctx, member, []fabric.SubnetPoolAttrs{{Name: fabric.Some("p"), DefaultPrefix: fabric.Some(26), MinPrefix: fabric.Some(24),
		Prefixes: fabric.Some([]string{"10.8.1.0/24", "10.8.0.0/24", "10.9.0.0/24"})}})
	w.must(err)
	if want := []string{"10.8.0.0/23", "10.9.0.0/24"}; !slices.Equal(pools[0].Prefixes, want) {
		t.Fatalf("prefixes = %v, want %v", pools[0].Prefixes, want)
	}
	whole := []netip.Prefix{netip.MustParsePrefix("10.8.0.0/23"), netip.MustParsePrefix("10.9.0.0/24")}
	const room = 3 * 256
	taken := map[string]netip.Prefix{}
	for step := range 150 {
		if random.IntN(3) == 0 {
			for id := range taken {
				w.must(w.DeleteSubnet(w.ctx, member, id))
				delete(taken, id)
				break
			}
			continue
		}
		n, err := w.CreateNetworks(w.ctx, member, []fabric.NetworkAttrs{{}})
		w.must(err)
		bits := 24 + random.IntN(7)
		subs, err := w.CreateSubnets(w.ctx, member, []fabric.SubnetAttrs{{NetworkID: fabric.Some(n[0].ID), SubnetPoolID: fabric.Some(pools[0].ID), PrefixLen: fabric.Some(bits)}})
		if err != nil {
			used := 0
			for _, p := range taken {
				used += 1 << (32 - p.Bits())
			}
			w.wants(err, compute.Invalid, "SubnetAllocationError")
			if used == 0 || bits == 30 && used < room/2 {
				t.Fatalf("seed %d step %d: no /%d with %d of %d addresses taken", seed, step, bits, used, room)
			}
			continue
		}
		got := netip.MustParsePrefix(subs[0].CIDR)
		if got.Bits() != bits || !slices.ContainsFunc(whole, func(p netip.Prefix) bool { return p.Contains(got.Addr()) }) {
			t.Fatalf("seed %d step %d: %s for a /%d", seed, step, got, bits)
		}
		for _, p := range taken {
			if p.Overlaps(got) {
				t.Fatalf("seed %d step %d: %s overlaps with %s", seed, step, got, p)
			}
		}
		taken[subs[0].ID] = got
	}
}
