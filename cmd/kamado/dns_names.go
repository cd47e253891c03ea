package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/dns"
)

// instancesUnder is the label below the domain under which instances have their names: HOSTNAME.PROJECT.vm.DOMAIN. A tenant who
// names an instance can therefore not take the name of a service.
const instancesUnder = "vm"

// instanceTTL is the TTL of instances' names, in seconds: an address is given out again soon.
const instanceTTL = 5

// namesAtOnce bounds the changes that are asked for at once; they share a sync of the disk.
const namesAtOnce = 64

// ownNames is what the names of instances need of a member.
type ownNames interface {
	Domain() dns.Name
	Own() ([]dns.Owned, <-chan struct{})
	Add(ctx context.Context, rec dns.Record) (dns.Owned, error)
	Remove(ctx context.Context, id dns.RecordID) error
}

// instanceNames gives instances of the cloud names at a member: it satisfies compute.NameRegistrar.
type instanceNames struct{ member ownNames }

// nameKey is one address of one name.
type nameKey struct {
	name dns.Name
	addr netip.Addr
}

// SetNames makes the records below vm.DOMAIN those of the instances.
func (i instanceNames) SetNames(ctx context.Context, list []compute.InstanceName) error {
	under, err := dns.Name(instancesUnder).Join(i.member.Domain())
	if err != nil {
		return err
	}
	want := map[nameKey]bool{}
	for _, n := range list {
		name, err := instanceName(n, under)
		if err != nil {
			return err
		}
		for _, a := range n.Addrs {
			want[nameKey{name, a.Unmap()}] = true
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(namesAtOnce)
	own, _ := i.member.Own()
	for _, o := range own {
		addr, ok := o.Addr()
		switch key := (nameKey{o.Name, addr}); {
		case !ok || o.Name == under || !o.Name.Under(under):
		case want[key]:
			delete(want, key)
		default:
			g.Go(func() error { return i.member.Remove(ctx, o.ID()) })
		}
	}
	for key := range want {
		rec := dns.Record{RR: dns.AddrRR(key.name, key.addr, instanceTTL), Weight: dns.WeightDefault}
		g.Go(func() error {
			_, err := i.member.Add(ctx, rec)
			return err
		})
	}
	return g.Wait()
}

// instanceName is the name of an instance below under.
func instanceName(n compute.InstanceName, under dns.Name) (dns.Name, error) {
	project := compute.Hostname(n.Project, "")
	name, err := dns.ParseName(strings.ToLower(n.Hostname) + "." + project)
	if err != nil {
		return "", fmt.Errorf("name the instance %s: %w", n.ID, err)
	}
	return name.Join(under)
}
