package fabric

import (
	"context"

	"github.com/kamado/kamado/compute"
)

// ExternalPool is the addresses of the network "public", which members see and
// take floating addresses from.
type ExternalPool struct {
	CIDR    string // "172.24.4.0/24"
	Gateway string // the host's end: "172.24.4.1"; empty: the first address
	// Start and End bound the pool; empty: all of CIDR but Gateway.
	Start, End string
}

// The names of what Bootstrap makes.
const (
	PublicNetwork = "public"
	PublicSubnet  = "public-subnet"
	DefaultNet    = "default"
	DefaultSubnet = "default-subnet"
	DefaultRouter = "default-router"
)

// bootstrapped names the setting that says that the first networks were made.
const bootstrapped = "fabric.bootstrapped"

// Bootstrap makes, at the first start, the external network "public", the shared
// network "default" with its subnet, and "default-router" joined to both, owned
// by a project. Later calls change nothing, even when an administrator removed
// some of it.
func (s *Service) Bootstrap(ctx context.Context, tenantProjectID string, ext ExternalPool) error {
	done := false
	err := s.store.Read(ctx, func(tx *compute.Tx) error {
		_, err := tx.Settings.Get(bootstrapped)
		done = err == nil
		if compute.IsKind(err, compute.NotFound) {
			return nil
		}
		return err
	})
	if err != nil || done {
		return err
	}
	return s.write(ctx, System(), "make the first networks", func(w *work) error { return w.bootstrap(tenantProjectID, ext) })
}

func (w *work) bootstrap(project string, ext ExternalPool) error {
	if _, err := w.tx.Settings.Get(bootstrapped); err == nil {
		return nil
	}
	public, err := w.createNetwork(NetworkAttrs{Name: Some(PublicNetwork), ProjectID: Some(project), External: Some(true), IsDefault: Some(true)})
	if err != nil {
		return err
	}
	outer := SubnetAttrs{Name: Some(PublicSubnet), ProjectID: Some(project), NetworkID: Some(public.ID), CIDR: Some(ext.CIDR), DHCP: Some(false)}
	if ext.Gateway != "" {
		outer.Gateway = Some(ext.Gateway)
	}
	if ext.Start != "" {
		outer.Pools = Some([]compute.AddressRange{{Start: ext.Start, End: ext.End}})
	}
	if _, err := w.createSubnet(outer); err != nil {
		return err
	}
	inside, err := w.createNetwork(NetworkAttrs{Name: Some(DefaultNet), ProjectID: Some(project), Shared: Some(true)})
	if err != nil {
		return err
	}
	sub, err := w.createSubnet(SubnetAttrs{Name: Some(DefaultSubnet), ProjectID: Some(project), NetworkID: Some(inside.ID),
		CIDR: Some(w.cfg.FixedRange), DHCP: Some(w.cfg.DHCP), DNS: Some(w.cfg.DNS)})
	if err != nil {
		return err
	}
	r, err := w.createRouter(RouterAttrs{Name: Some(DefaultRouter), ProjectID: Some(project),
		Gateway: Some(&Gateway{NetworkID: public.ID, SNAT: Some(true)})})
	if err != nil {
		return err
	}
	if _, err := w.joinSubnet(r, sub.ID); err != nil {
		return err
	}
	return w.tx.Settings.Insert(&compute.Setting{ID: bootstrapped, Value: public.ID})
}
