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

// Bootstrap makes, at the first start, the external network "public", the shared
// network "default" with its subnet, and "default-router" joined to both, owned
// by a project. Later calls change nothing, even when an administrator removed
// some of it.
func (s *Service) Bootstrap(ctx context.Context, tenantProjectID string, ext ExternalPool) error {
	return s.write(ctx, System(), "make the first networks", func(w *work) error {
		return w.bootstrap(tenantProjectID, ext)
	})
}

func (w *work) bootstrap(project string, ext ExternalPool) error {
	return compute.Errorf(compute.Unavailable, "networks are not there yet")
}
