package fabric

import (
	"context"
	"math/big"
	"net/netip"
	"slices"
	"strconv"

	"github.com/kamado/kamado/compute"
)

// SubnetPoolAttrs is what a request says of a subnet pool.
type SubnetPoolAttrs struct {
	Name, Description, ProjectID        Opt[string]
	Prefixes                            Opt[[]string]
	MinPrefix, MaxPrefix, DefaultPrefix Opt[int]
	DefaultQuota                        Opt[int] // addresses of IPv4, /64 of IPv6; 0: none
	Shared, IsDefault                   Opt[bool]
}

// CreateSubnetPools makes subnet pools, all or none.
func (s *Service) CreateSubnetPools(ctx context.Context, who compute.Caller, list []SubnetPoolAttrs) ([]*compute.SubnetPool, error) {
	return createAll(ctx, s, who, "create subnet pool", list, (*work).createPool)
}

func (w *work) createPool(a SubnetPoolAttrs) (*compute.SubnetPool, error) {
	project, err := w.project(a.ProjectID)
	if err != nil {
		return nil, err
	}
	if err := w.charge(project, compute.QuotaSubnetPools, 1); err != nil {
		return nil, err
	}
	p := &compute.SubnetPool{ID: compute.NewID(), ProjectID: project, Created: w.at, Updated: w.at}
	if err := w.applyPool(p, a); err != nil {
		return nil, err
	}
	return p, w.tx.SubnetPools.Insert(p)
}

// applyPool changes what a request says.
func (w *work) applyPool(p *compute.SubnetPool, a SubnetPoolAttrs) error {
	a.Name.to(&p.Name)
	a.Description.to(&p.Description)
	a.DefaultQuota.to(&p.DefaultQuota)
	a.Shared.to(&p.Shared)
	a.IsDefault.to(&p.IsDefault)
	if p.DefaultQuota < 0 {
		return invalid("default_quota must not be negative")
	}
	if a.Prefixes.Set {
		prefixes, err := poolPrefixes(a.Prefixes.Value)
		if err != nil {
			return err
		}
		if !covers(prefixes, p.Prefixes) {
			return fail(compute.Invalid, "IllegalSubnetPoolPrefixUpdate",
				"Illegal update to prefixes: Existing prefixes must be a subset of the new prefixes.")
		}
		p.Prefixes, p.IPVersion = texts(prefixes), 6
		if prefixes[0].Addr().Is4() {
			p.IPVersion = 4
		}
	}
	if p.IPVersion == 0 {
		return fail(compute.Invalid, "EmptySubnetPoolPrefixList", "Empty subnet pool prefix list.")
	}
	if err := setLengths(p, a); err != nil {
		return err
	}
	return w.oneDefaultPool(p)
}

// setLengths sets the lengths of prefixes that a pool gives.
func setLengths(p *compute.SubnetPool, a SubnetPoolAttrs) error {
	if p.MaxPrefix == 0 {
		p.MinPrefix, p.MaxPrefix = 64, 128
		if p.IPVersion == 4 {
			p.MinPrefix, p.MaxPrefix = 8, 32
		}
		p.DefaultPrefix = a.MinPrefix.Or(p.MinPrefix)
	}
	a.MinPrefix.to(&p.MinPrefix)
	a.MaxPrefix.to(&p.MaxPrefix)
	a.DefaultPrefix.to(&p.DefaultPrefix)
	bits := 128
	if p.IPVersion == 4 {
		bits = 32
	}
	bad := func(what string, value, bound int) error {
		return fail(compute.Invalid, "IllegalSubnetPoolPrefixBounds", "Illegal prefix bounds: %s=%d, bound=%d.", what, value, bound)
	}
	switch {
	case p.MinPrefix < 1 || p.MinPrefix > p.MaxPrefix:
		return bad("min_prefixlen", p.MinPrefix, p.MaxPrefix)
	case p.MaxPrefix > bits:
		return bad("max_prefixlen", p.MaxPrefix, bits)
	case p.DefaultPrefix < p.MinPrefix:
		return bad("default_prefixlen", p.DefaultPrefix, p.MinPrefix)
	case p.DefaultPrefix > p.MaxPrefix:
		return bad("default_prefixlen", p.DefaultPrefix, p.MaxPrefix)
	}
	return nil
}

// poolPrefixes reads the prefixes of a pool, in order, without those that lie in
// another.
func poolPrefixes(list []string) ([]netip.Prefix, error) {
	if len(list) == 0 {
		return nil, fail(compute.Invalid, "EmptySubnetPoolPrefixList", "Empty subnet pool prefix list.")
	}
	if len(list) > prefixesMax {
		return nil, invalid("at most %d prefixes are kept", prefixesMax)
	}
	var all []netip.Prefix
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil || p.Bits() == 0 {
			return nil, fail(compute.Invalid, "HTTPBadRequest", "Invalid input for prefixes. Reason: '%s' is not a valid IP subnet.", s)
		}
		if len(all) > 0 && p.Addr().Is4() != all[0].Addr().Is4() {
			return nil, fail(compute.Invalid, "PrefixVersionMismatch", "Cannot mix IPv4 and IPv6 prefixes in a subnet pool.")
		}
		all = append(all, p.Masked())
	}
	slices.SortFunc(all, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	return merge(all), nil
}

// merge joins sorted prefixes that are one inside the other, or halves of one.
func merge(all []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range all {
		if len(out) > 0 && out[len(out)-1].Contains(p.Addr()) {
			continue
		}
		out = append(out, p)
		for len(out) > 1 {
			a, b := out[len(out)-2], out[len(out)-1]
			parent := netip.PrefixFrom(a.Addr(), a.Bits()-1).Masked()
			if a.Bits() != b.Bits() || a.Bits() == 1 || parent.Addr() != a.Addr() || !parent.Contains(b.Addr()) {
				break
			}
			out = append(out[:len(out)-2], parent)
		}
	}
	return out
}

func texts(list []netip.Prefix) []string {
	out := make([]string, 0, len(list))
	for _, p := range list {
		out = append(out, p.String())
	}
	return out
}

// covers says whether each old prefix lies in a new one.
func covers(prefixes []netip.Prefix, old []string) bool {
	for _, s := range old {
		o, err := netip.ParsePrefix(s)
		if err != nil || !slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Bits() <= o.Bits() && p.Contains(o.Addr()) }) {
			return false
		}
	}
	return true
}

// oneDefaultPool refuses a second default pool of an IP version.
func (w *work) oneDefaultPool(p *compute.SubnetPool) error {
	if !p.IsDefault {
		return nil
	}
	id, err := w.defaultPool(p.IPVersion)
	if err == nil && id != p.ID {
		return invalid("A default subnetpool for this IP family has already been set. Only one default may exist per IP family")
	}
	if compute.IsKind(err, compute.NotFound) {
		return nil
	}
	return err
}

// defaultPool gives the id of the default pool of an IP version.
func (w *work) defaultPool(version int) (string, error) {
	all, err := w.tx.SubnetPools.List(compute.Query{})
	if err != nil {
		return "", err
	}
	for _, p := range all {
		if p.IsDefault && p.IPVersion == version {
			return p.ID, nil
		}
	}
	return "", fail(compute.NotFound, "NoDefaultSubnetpool", "No default subnetpool found for IPv%d.", version)
}

// poolAbsent is the answer for a pool that is not there for the caller.
func poolAbsent(id string) error {
	return fail(compute.NotFound, "SubnetPoolNotFound", "Subnet pool %s could not be found.", id)
}

// pool gives a subnet pool that the caller sees.
func (w *work) pool(id string) (*compute.SubnetPool, error) {
	p, err := w.tx.SubnetPools.Get(id)
	if err != nil {
		return nil, absent(err, poolAbsent(id))
	}
	if !w.who.Owns(p.ProjectID) && !p.Shared {
		return nil, poolAbsent(id)
	}
	return p, nil
}

func (w *work) ownPool(id, rule string) (*compute.SubnetPool, error) {
	p, err := w.pool(id)
	if err == nil && !w.who.Owns(p.ProjectID) {
		return nil, denied(rule)
	}
	return p, err
}

// UpdateSubnetPool changes a subnet pool.
func (s *Service) UpdateSubnetPool(ctx context.Context, who compute.Caller, id string, a SubnetPoolAttrs) (*compute.SubnetPool, error) {
	var p *compute.SubnetPool
	err := s.write(ctx, who, "update subnet pool", func(w *work) (err error) {
		if p, err = w.ownPool(id, "update_subnetpool"); err != nil {
			return err
		}
		if err := w.applyPool(p, a); err != nil {
			return err
		}
		p.Revision++
		p.Updated = w.at
		return w.tx.SubnetPools.Update(p)
	})
	return p, err
}

// DeleteSubnetPool removes a pool that no subnet is from.
func (s *Service) DeleteSubnetPool(ctx context.Context, who compute.Caller, id string) error {
	return s.write(ctx, who, "delete subnet pool", func(w *work) error {
		p, err := w.ownPool(id, "delete_subnetpool")
		if err != nil {
			return err
		}
		if n, err := w.tx.Subnets.Count(compute.Query{Where: compute.Where{"subnet_pool_id": id}}); err != nil {
			return err
		} else if n > 0 {
			return fail(compute.Conflict, "SubnetPoolDeleteError", "Unable to delete subnet pool: Subnet pool has existing allocations.")
		}
		if err := w.refund(p.ProjectID, compute.QuotaSubnetPools, 1); err != nil {
			return err
		}
		return w.tx.SubnetPools.Delete(id)
	})
}

// given are the prefixes that subnets of a pool have.
type given struct {
	prefixes []netip.Prefix
	mine     *big.Int // what the project has, in units of the pool's quota
}

func (w *work) givenOf(p *compute.SubnetPool, project string) (given, error) {
	g := given{mine: new(big.Int)}
	subnets, err := w.tx.Subnets.List(compute.Query{Where: compute.Where{"subnet_pool_id": p.ID}})
	if err != nil {
		return g, err
	}
	for _, sub := range subnets {
		prefix := prefixOf(sub)
		g.prefixes = append(g.prefixes, prefix)
		if sub.ProjectID == project {
			g.mine.Add(g.mine, quotaUnits(prefix))
		}
	}
	return g, nil
}

// quotaUnits is how much of a pool's quota a prefix is: addresses in IPv4, /64 in
// IPv6 (a part counts whole).
func quotaUnits(p netip.Prefix) *big.Int {
	bits := 32
	if p.Addr().Is6() {
		bits = 64
	}
	return new(big.Int).Lsh(big.NewInt(1), uint(max(bits-p.Bits(), 0)))
}

// noPrefix is why a pool gives none.
func noPrefix(reason string) error {
	return fail(compute.Invalid, "SubnetAllocationError", "Failed to allocate subnet: %s.", reason)
}

// checkShare checks the length of a prefix and the project's share of the pool.
func checkShare(p *compute.SubnetPool, g given, prefix netip.Prefix) error {
	if prefix.Bits() < p.MinPrefix {
		return fail(compute.Invalid, "MinPrefixSubnetAllocationError",
			"Unable to allocate subnet with prefix length %d, minimum allowed prefix is %d.", prefix.Bits(), p.MinPrefix)
	}
	if prefix.Bits() > p.MaxPrefix {
		return fail(compute.Invalid, "MaxPrefixSubnetAllocationError",
			"Unable to allocate subnet with prefix length %d, maximum allowed prefix is %d.", prefix.Bits(), p.MaxPrefix)
	}
	sum := new(big.Int).Add(g.mine, quotaUnits(prefix))
	if p.DefaultQuota > 0 && sum.Cmp(big.NewInt(int64(p.DefaultQuota))) > 0 {
		return fail(compute.OverQuota, "SubnetPoolQuotaExceeded", "Per-tenant subnet pool prefix quota exceeded.")
	}
	return nil
}

// allocatePrefix gives the first free prefix of a pool.
func (w *work) allocatePrefix(id string, version int, asked Opt[int], project string) (netip.Prefix, error) {
	none := netip.Prefix{}
	p, err := w.pool(id)
	if err != nil {
		return none, err
	}
	if p.IPVersion != version {
		return none, fail(compute.Invalid, "PrefixVersionMismatch", "Cannot allocate IPv%d subnet from IPv%d subnet pool.", version, p.IPVersion)
	}
	g, err := w.givenOf(p, project)
	if err != nil {
		return none, err
	}
	bits := asked.Or(p.DefaultPrefix)
	if bits < 1 || bits > 128 || version == 4 && bits > 32 {
		return none, invalid("prefixlen %d is not of IPv%d", bits, version)
	}
	for _, text := range p.Prefixes {
		whole, err := netip.ParsePrefix(text)
		if err != nil || whole.Bits() > bits {
			continue
		}
		if free := firstFree(whole, bits, g.prefixes); free.IsValid() {
			return free, checkShare(p, g, free)
		}
	}
	if err := checkShare(p, g, netip.PrefixFrom(netip.MustParsePrefix(p.Prefixes[0]).Addr(), bits)); err != nil {
		return none, err
	}
	return none, noPrefix("Insufficient prefix space to allocate subnet size /" + strconv.Itoa(bits))
}

// firstFree finds the first prefix of a length in whole that overlaps with none
// that is taken. It steps over what is taken, so it looks at no more than one
// place for each.
func firstFree(whole netip.Prefix, bits int, taken []netip.Prefix) netip.Prefix {
	p := netip.PrefixFrom(whole.Addr(), bits)
	for p.IsValid() && whole.Contains(p.Addr()) {
		i := slices.IndexFunc(taken, func(t netip.Prefix) bool { return t.Overlaps(p) })
		if i < 0 {
			return p
		}
		behind := p
		if taken[i].Bits() < bits {
			behind = taken[i]
		}
		p = nextPrefix(behind, bits)
	}
	return netip.Prefix{}
}

// takePrefix checks that a prefix of a pool is free.
func (w *work) takePrefix(id string, prefix netip.Prefix, project string) error {
	p, err := w.pool(id)
	if err != nil {
		return err
	}
	g, err := w.givenOf(p, project)
	if err != nil {
		return err
	}
	inside := slices.ContainsFunc(p.Prefixes, func(s string) bool {
		whole, err := netip.ParsePrefix(s)
		return err == nil && whole.Bits() <= prefix.Bits() && whole.Contains(prefix.Addr())
	})
	if !inside || slices.ContainsFunc(g.prefixes, prefix.Overlaps) {
		return noPrefix("Cannot allocate requested subnet from the available set of prefixes")
	}
	return checkShare(p, g, prefix)
}
