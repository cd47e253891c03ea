package keystone

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/identity"
	"github.com/kamado/kamado/compute/openstack"
)

// regionDefault is the region of what this program serves.
const regionDefault = "RegionOne"

// interfaces are the ones that this program's own services have.
var interfaces = []string{"public", "internal", "admin"}

// builtID makes the id of something of the catalog that this program serves by
// itself: the same at every start and on every server.
func builtID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "/")))
	return hex.EncodeToString(sum[:16])
}

// built gives the services and endpoints that this program serves by itself.
// They can be read, not changed.
func (a *api) built(r *openstack.Request) ([]*compute.CatalogService, []*compute.Endpoint) {
	var services []*compute.CatalogService
	var endpoints []*compute.Endpoint
	for _, e := range a.Catalog(openstack.Origin(r.Request, a.Public)) {
		region := e.Region
		if region == "" {
			region = regionDefault
		}
		s := &compute.CatalogService{ID: builtID("service", e.Type), Name: e.Name, Type: e.Type, Enabled: true}
		services = append(services, s)
		for _, i := range interfaces {
			endpoints = append(endpoints, &compute.Endpoint{ID: builtID("endpoint", e.Type, i), ServiceID: s.ID, Interface: i, RegionID: region, URL: e.URL, Enabled: true})
		}
	}
	return services, endpoints
}

// entries gives all services and endpoints: this program's own first.
func (a *api) entries(tx *compute.Tx, r *openstack.Request) ([]*compute.CatalogService, []*compute.Endpoint, error) {
	services, endpoints := a.built(r)
	more, err := tx.CatalogServices.List(compute.Query{Order: "type"})
	if err != nil {
		return nil, nil, err
	}
	others, err := tx.Endpoints.List(compute.Query{})
	return append(services, more...), append(endpoints, others...), err
}

// catalog is the catalog of a token: enabled services with enabled endpoints.
func (a *api) catalog(r *openstack.Request, s *identity.Session) ([]view, error) {
	list := []view{}
	err := a.Store.Read(r.Context(), func(tx *compute.Tx) error {
		list = list[:0]
		services, endpoints, err := a.entries(tx, r)
		if err != nil {
			return err
		}
		project := ""
		if s.Project != nil {
			project = s.Project.ID
		}
		fill := strings.NewReplacer("$(project_id)s", project, "%(project_id)s", project, "$(tenant_id)s", project, "%(tenant_id)s", project,
			"$(user_id)s", s.User.ID, "%(user_id)s", s.User.ID)
		for _, service := range services {
			at := []view{}
			for _, e := range endpoints {
				if e.ServiceID == service.ID && e.Enabled && (project != "" || fill.Replace(e.URL) == e.URL) {
					at = append(at, view{"id": e.ID, "interface": e.Interface, "region": orNull(e.RegionID), "region_id": orNull(e.RegionID), "url": fill.Replace(e.URL)})
				}
			}
			if service.Enabled && len(at) > 0 {
				list = append(list, view{"id": service.ID, "type": service.Type, "name": service.Name, "endpoints": at})
			}
		}
		return nil
	})
	return list, err
}

// builtIn refuses changes to what this program serves by itself.
func (a *api) refuseBuilt(r *openstack.Request, id string) error {
	services, endpoints := a.built(r)
	if slices.ContainsFunc(services, func(s *compute.CatalogService) bool { return s.ID == id }) ||
		slices.ContainsFunc(endpoints, func(e *compute.Endpoint) bool { return e.ID == id }) {
		return compute.Errorf(compute.Denied, "%s is of this server's own catalog: it cannot be changed.", id)
	}
	return nil
}

func (a *api) regionView(r *openstack.Request, region *compute.Region) view {
	return view{"id": region.ID, "description": region.Description, "parent_region_id": orNull(region.ParentID), "links": a.self(r, "/regions/%s", region.ID)}
}

func readRegion(at *attrs, region *compute.Region) error {
	at.text("description", &region.Description)
	at.text("parent_region_id", &region.ParentID)
	return at.err
}

// regions gives all regions, this program's own among them.
func regions(tx *compute.Tx) ([]*compute.Region, error) {
	list, err := tx.Regions.List(compute.Query{})
	if err == nil && !slices.ContainsFunc(list, func(r *compute.Region) bool { return r.ID == regionDefault }) {
		list = append([]*compute.Region{{ID: regionDefault}}, list...)
	}
	return list, err
}

func (a *api) listRegions(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		f := filter{r}
		list, err := regions(tx)
		list = slices.DeleteFunc(list, func(region *compute.Region) bool { return !f.text("parent_region_id", region.ParentID) })
		return listed(a, r, "regions", list, func(region *compute.Region) view { return a.regionView(r, region) }), err
	})
}

// createRegion takes the id from the path (PUT), else from the body.
func (a *api) createRegion(w http.ResponseWriter, r *openstack.Request) error {
	var body struct {
		Region struct {
			ID string `json:"id"`
		} `json:"region"`
	}
	raw, err := r.ReadBody()
	if err != nil {
		return err
	}
	if err := decode(raw, &body); err != nil {
		return err
	}
	at, err := attrsOf(raw, "region")
	if err != nil {
		return err
	}
	region := &compute.Region{ID: body.Region.ID}
	if id := r.PathValue("region"); id != "" {
		if region.ID != "" && region.ID != id {
			return compute.Errorf(compute.Invalid, "Cannot change the ID of a region.")
		}
		region.ID = id
	}
	if err := readRegion(at, region); err != nil {
		return err
	}
	if err := a.Identity.CreateRegion(r.Context(), region); err != nil {
		return err
	}
	r.Note("regions", region.ID)
	return openstack.WriteJSON(w, http.StatusCreated, view{"region": a.regionView(r, region)})
}

func (a *api) showRegion(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		list, err := regions(tx)
		if err != nil {
			return nil, err
		}
		for _, region := range list {
			if region.ID == r.PathValue("region") {
				return view{"region": a.regionView(r, region)}, nil
			}
		}
		return nil, identity.Absent("region", r.PathValue("region"))
	})
}

func (a *api) serviceView(r *openstack.Request, s *compute.CatalogService) view {
	v := view{"id": s.ID, "type": s.Type, "enabled": s.Enabled, "name": s.Name, "links": a.self(r, "/services/%s", s.ID)}
	if s.Description != "" {
		v["description"] = s.Description
	}
	return v.with(s.Extra)
}

func readService(at *attrs, s *compute.CatalogService) error {
	at.text("name", &s.Name)
	at.text("type", &s.Type)
	at.text("description", &s.Description)
	at.boolean("enabled", &s.Enabled)
	at.extra(&s.Extra)
	return at.err
}

func (a *api) listServices(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		f := filter{r}
		list, _, err := a.entries(tx, r)
		list = slices.DeleteFunc(list, func(s *compute.CatalogService) bool { return !f.text("type", s.Type) || !f.text("name", s.Name) })
		return listed(a, r, "services", list, func(s *compute.CatalogService) view { return a.serviceView(r, s) }), err
	})
}

func (a *api) showService(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		list, _, err := a.entries(tx, r)
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			if s.ID == r.PathValue("service") {
				return view{"service": a.serviceView(r, s)}, nil
			}
		}
		return nil, identity.Absent("service", r.PathValue("service"))
	})
}

func (a *api) updateService(w http.ResponseWriter, r *openstack.Request) error {
	at, err := readAttrs(r, "service")
	if err != nil {
		return err
	}
	if err := a.refuseBuilt(r, r.PathValue("service")); err != nil {
		return err
	}
	s, err := a.Identity.UpdateCatalogService(r.Context(), r.PathValue("service"), func(s *compute.CatalogService) error { return readService(at.again(), s) })
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, view{"service": a.serviceView(r, s)})
}

func (a *api) deleteService(w http.ResponseWriter, r *openstack.Request) error {
	if err := a.refuseBuilt(r, r.PathValue("service")); err != nil {
		return err
	}
	if err := a.Identity.DeleteCatalogService(r.Context(), r.PathValue("service")); err != nil {
		return err
	}
	return noContent(w)
}

func (a *api) endpointView(r *openstack.Request, e *compute.Endpoint) view {
	return view{"id": e.ID, "service_id": e.ServiceID, "interface": e.Interface, "region": orNull(e.RegionID), "region_id": orNull(e.RegionID), "url": e.URL,
		"enabled": e.Enabled, "name": e.Name, "links": a.self(r, "/endpoints/%s", e.ID)}
}

func readEndpoint(at *attrs, e *compute.Endpoint) error {
	at.text("service_id", &e.ServiceID)
	at.text("interface", &e.Interface)
	at.text("region", &e.RegionID)
	at.text("region_id", &e.RegionID)
	at.text("url", &e.URL)
	at.text("name", &e.Name)
	at.boolean("enabled", &e.Enabled)
	return at.err
}

func (a *api) listEndpoints(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		f := filter{r}
		_, list, err := a.entries(tx, r)
		list = slices.DeleteFunc(list, func(e *compute.Endpoint) bool {
			return !f.text("service_id", e.ServiceID) || !f.text("interface", e.Interface) || !f.text("region_id", e.RegionID)
		})
		return listed(a, r, "endpoints", list, func(e *compute.Endpoint) view { return a.endpointView(r, e) }), err
	})
}

func (a *api) createEndpoint(w http.ResponseWriter, r *openstack.Request) error {
	at, err := readAttrs(r, "endpoint")
	if err != nil {
		return err
	}
	e := &compute.Endpoint{Enabled: true}
	at.need("service_id", &e.ServiceID)
	at.need("interface", &e.Interface)
	at.need("url", &e.URL)
	if err := readEndpoint(at, e); err != nil {
		return err
	}
	if err := a.refuseBuilt(r, e.ServiceID); err != nil {
		return err
	}
	if err := a.Identity.CreateEndpoint(r.Context(), e); err != nil {
		return err
	}
	r.Note("endpoints", e.ID)
	return openstack.WriteJSON(w, http.StatusCreated, view{"endpoint": a.endpointView(r, e)})
}

func (a *api) showEndpoint(w http.ResponseWriter, r *openstack.Request) error {
	return a.read(w, r, func(tx *compute.Tx) (view, error) {
		_, list, err := a.entries(tx, r)
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			if e.ID == r.PathValue("endpoint") {
				return view{"endpoint": a.endpointView(r, e)}, nil
			}
		}
		return nil, identity.Absent("endpoint", r.PathValue("endpoint"))
	})
}

func (a *api) updateEndpoint(w http.ResponseWriter, r *openstack.Request) error {
	at, err := readAttrs(r, "endpoint")
	if err != nil {
		return err
	}
	if err := a.refuseBuilt(r, r.PathValue("endpoint")); err != nil {
		return err
	}
	e, err := a.Identity.UpdateEndpoint(r.Context(), r.PathValue("endpoint"), func(e *compute.Endpoint) error { return readEndpoint(at.again(), e) })
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, view{"endpoint": a.endpointView(r, e)})
}

func (a *api) deleteEndpoint(w http.ResponseWriter, r *openstack.Request) error {
	if err := a.refuseBuilt(r, r.PathValue("endpoint")); err != nil {
		return err
	}
	if err := a.Identity.DeleteEndpoint(r.Context(), r.PathValue("endpoint")); err != nil {
		return err
	}
	return noContent(w)
}
