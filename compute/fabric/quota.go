package fabric

import (
	"context"

	"github.com/kamado/kamado/compute"
)

// Quotas are the resources that this package counts, in the order of their names.
var Quotas = []compute.Resource{compute.QuotaFloatingIPs, compute.QuotaNetworks, compute.QuotaPorts, compute.QuotaRouters,
	compute.QuotaSecurityGroups, compute.QuotaSecurityRules, compute.QuotaSubnets, compute.QuotaSubnetPools}

// SetQuotas changes limits of a project.
func (s *Service) SetQuotas(ctx context.Context, who compute.Caller, project string, limits map[compute.Resource]int) error {
	return s.write(ctx, who, "set quotas", func(w *work) error {
		for r, limit := range limits {
			q := &compute.Quota{ID: compute.QuotaID(project, r), ProjectID: project, Resource: r, Limit: limit}
			err := w.tx.Quotas.Update(q)
			if compute.IsKind(err, compute.NotFound) {
				err = w.tx.Quotas.Insert(q)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// ResetQuotas gives a project the default limits again.
func (s *Service) ResetQuotas(ctx context.Context, who compute.Caller, project string) error {
	return s.write(ctx, who, "reset quotas", func(w *work) error {
		for _, r := range Quotas {
			err := w.tx.Quotas.Delete(compute.QuotaID(project, r))
			if err != nil && !compute.IsKind(err, compute.NotFound) {
				return err
			}
		}
		return nil
	})
}

// DefaultLimit gives the limit of projects that have none of their own.
func DefaultLimit(tx *compute.Tx, r compute.Resource) (int, error) {
	return tx.Limit("", r)
}
