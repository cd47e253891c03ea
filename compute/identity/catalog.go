package identity

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/kamado/kamado/compute"
)

// CreateRegion adds a region to the catalog, under the id that it has, else one
// of its own.
func (s *Service) CreateRegion(ctx context.Context, r *compute.Region) error {
	if r.ID == "" {
		r.ID = compute.NewHexID()
	}
	if len(r.ID) > nameMax {
		return compute.Errorf(compute.Invalid, "Invalid input for field 'id': it is too long.")
	}
	r.Created = s.now()
	return s.write(ctx, func(tx *compute.Tx) error {
		if err := checkParentRegion(tx, r); err != nil {
			return err
		}
		err := tx.Regions.Insert(r)
		if compute.IsKind(err, compute.Conflict) {
			return compute.Errorf(compute.Conflict, "Conflict occurred attempting to store region - Duplicate ID, %s.", r.ID)
		}
		return err
	})
}

func checkParentRegion(tx *compute.Tx, r *compute.Region) error {
	for parent, depth := r.ParentID, 0; parent != ""; depth++ {
		if parent == r.ID || depth > depthMax {
			return compute.Errorf(compute.Invalid, "The region would be its own parent, or lie too deep.")
		}
		p, err := found(tx.Regions.Get(parent))("region", parent)
		if err != nil {
			return err
		}
		parent = p.ParentID
	}
	return nil
}

// UpdateRegion changes a region by fn.
func (s *Service) UpdateRegion(ctx context.Context, id string, fn func(*compute.Region) error) (*compute.Region, error) {
	var r *compute.Region
	err := s.write(ctx, func(tx *compute.Tx) (err error) {
		if r, err = found(tx.Regions.Get(id))("region", id); err != nil {
			return err
		}
		if err := fn(r); err != nil {
			return err
		}
		if err := checkParentRegion(tx, r); err != nil {
			return err
		}
		return tx.Regions.Update(r)
	})
	return r, err
}

// DeleteRegion removes a region that no endpoint and no other region is in.
func (s *Service) DeleteRegion(ctx context.Context, id string) error {
	return s.write(ctx, func(tx *compute.Tx) error {
		if _, err := found(tx.Regions.Get(id))("region", id); err != nil {
			return err
		}
		endpoints, err := tx.Endpoints.List(compute.Query{})
		if err != nil {
			return err
		}
		regions, err := tx.Regions.List(compute.Query{})
		if err != nil {
			return err
		}
		if slices.ContainsFunc(endpoints, func(e *compute.Endpoint) bool { return e.RegionID == id }) ||
			slices.ContainsFunc(regions, func(r *compute.Region) bool { return r.ParentID == id }) {
			return compute.Errorf(compute.Denied, "Unable to delete region %s because it or its child regions have associated endpoints.", id)
		}
		return tx.Regions.Delete(id)
	})
}

// CreateCatalogService adds a service to the catalog. Its ID is set.
func (s *Service) CreateCatalogService(ctx context.Context, c *compute.CatalogService) error {
	c.ID, c.Created = compute.NewHexID(), s.now()
	if err := checkCatalogService(c); err != nil {
		return err
	}
	return s.write(ctx, func(tx *compute.Tx) error { return tx.CatalogServices.Insert(c) })
}

func checkCatalogService(c *compute.CatalogService) error {
	if c.Type == "" || len(c.Type) > nameMax || len(c.Name) > nameMax {
		return compute.Errorf(compute.Invalid, "Invalid input for field 'type': it must have from 1 to %d characters.", nameMax)
	}
	return nil
}

// UpdateCatalogService changes a service by fn.
func (s *Service) UpdateCatalogService(ctx context.Context, id string, fn func(*compute.CatalogService) error) (*compute.CatalogService, error) {
	var c *compute.CatalogService
	err := s.write(ctx, func(tx *compute.Tx) (err error) {
		if c, err = found(tx.CatalogServices.Get(id))("service", id); err != nil {
			return err
		}
		if err := fn(c); err != nil {
			return err
		}
		if err := checkCatalogService(c); err != nil {
			return err
		}
		return tx.CatalogServices.Update(c)
	})
	return c, err
}

// DeleteCatalogService removes a service with its endpoints.
func (s *Service) DeleteCatalogService(ctx context.Context, id string) error {
	return s.write(ctx, func(tx *compute.Tx) error {
		if _, err := found(tx.CatalogServices.Get(id))("service", id); err != nil {
			return err
		}
		if err := deleteWhere(tx.Endpoints, compute.Where{"service_id": id}, func(e *compute.Endpoint) string { return e.ID }); err != nil {
			return err
		}
		return tx.CatalogServices.Delete(id)
	})
}

// CreateEndpoint adds an address of a service; a region that is not there is
// made. Its ID is set.
func (s *Service) CreateEndpoint(ctx context.Context, e *compute.Endpoint) error {
	e.ID, e.Created = compute.NewHexID(), s.now()
	return s.write(ctx, func(tx *compute.Tx) error {
		if err := s.checkEndpoint(tx, e); err != nil {
			return err
		}
		return tx.Endpoints.Insert(e)
	})
}

func (s *Service) checkEndpoint(tx *compute.Tx, e *compute.Endpoint) error {
	if !slices.Contains([]string{"public", "internal", "admin"}, e.Interface) {
		return compute.Errorf(compute.Invalid, "Invalid input for field 'interface': it is one of 'public', 'internal' and 'admin'.")
	}
	if u, err := url.Parse(strings.ReplaceAll(e.URL, "%(", "$(")); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return compute.Errorf(compute.Invalid, "Invalid input for field 'url': it is no URL.")
	}
	if _, err := found(tx.CatalogServices.Get(e.ServiceID))("service", e.ServiceID); err != nil {
		return compute.Errorf(compute.Invalid, "Could not find service: %s.", e.ServiceID)
	}
	if e.RegionID == "" {
		return nil
	}
	return ensure(tx.Regions, e.RegionID, &compute.Region{ID: e.RegionID, Created: s.now()})
}

// UpdateEndpoint changes an endpoint by fn.
func (s *Service) UpdateEndpoint(ctx context.Context, id string, fn func(*compute.Endpoint) error) (*compute.Endpoint, error) {
	var e *compute.Endpoint
	err := s.write(ctx, func(tx *compute.Tx) (err error) {
		if e, err = found(tx.Endpoints.Get(id))("endpoint", id); err != nil {
			return err
		}
		if err := fn(e); err != nil {
			return err
		}
		if err := s.checkEndpoint(tx, e); err != nil {
			return err
		}
		return tx.Endpoints.Update(e)
	})
	return e, err
}

// DeleteEndpoint removes an endpoint.
func (s *Service) DeleteEndpoint(ctx context.Context, id string) error {
	return s.write(ctx, func(tx *compute.Tx) error {
		if _, err := found(tx.Endpoints.Get(id))("endpoint", id); err != nil {
			return err
		}
		return tx.Endpoints.Delete(id)
	})
}
