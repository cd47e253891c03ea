package neutron

import (
	"net/http"
	"slices"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/openstack"
)

// quotaRoutes are the limits of projects. Everybody sees those of their own.
func (a *api) quotaRoutes() []openstack.Route {
	all, one := root+"/quotas", root+"/quotas/{id}"
	return []openstack.Route{
		{Method: "GET", Pattern: all, Rule: openstack.AsAdmin, Handle: a.quotaList},
		{Method: "GET", Pattern: all + "/tenant", Rule: openstack.AsReader, Handle: a.quotaOwner},
		{Method: "GET", Pattern: all + "/project", Rule: openstack.AsReader, Handle: a.quotaOwner},
		{Method: "GET", Pattern: one, Rule: openstack.AsReader, Handle: a.quotaShow},
		{Method: "GET", Pattern: one + "/default", Rule: openstack.AsReader, Handle: a.quotaDefault},
		{Method: "GET", Pattern: one + "/details", Rule: openstack.AsReader, Handle: a.quotaDetails},
		{Method: "PUT", Pattern: one, Rule: openstack.AsAdmin, Handle: a.quotaSet},
		{Method: "DELETE", Pattern: one, Rule: openstack.AsAdmin, Handle: a.quotaReset},
	}
}

// quotas answers with a value for each resource.
func (a *api) quotas(w http.ResponseWriter, r *openstack.Request, value func(*compute.Tx, compute.Resource) (any, error)) error {
	if id := r.PathValue("id"); !r.Caller.Owns(id) {
		return &compute.Error{Kind: compute.Denied, Name: "AdminRequired", Detail: "User does not have admin privileges: Only admin is authorized to access quotas for another tenant."}
	}
	out := view{}
	err := a.Store.Read(r.Context(), func(tx *compute.Tx) error {
		for _, resource := range fabric.Quotas {
			v, err := value(tx, resource)
			if err != nil {
				return err
			}
			out[string(resource)] = v
		}
		return nil
	})
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, map[string]any{"quota": out})
}

func (a *api) quotaShow(w http.ResponseWriter, r *openstack.Request) error {
	return a.quotas(w, r, func(tx *compute.Tx, q compute.Resource) (any, error) { return tx.Limit(r.PathValue("id"), q) })
}

func (a *api) quotaDefault(w http.ResponseWriter, r *openstack.Request) error {
	return a.quotas(w, r, func(tx *compute.Tx, q compute.Resource) (any, error) { return fabric.DefaultLimit(tx, q) })
}

func (a *api) quotaDetails(w http.ResponseWriter, r *openstack.Request) error {
	return a.quotas(w, r, func(tx *compute.Tx, q compute.Resource) (any, error) {
		limit, err := tx.Limit(r.PathValue("id"), q)
		if err != nil {
			return nil, err
		}
		used, err := tx.Used(r.PathValue("id"), q)
		return view{"limit": limit, "used": used, "reserved": 0}, err
	})
}

// quotaOwner says whose quotas the caller's are.
func (a *api) quotaOwner(w http.ResponseWriter, r *openstack.Request) error {
	id := r.Caller.ProjectID
	return openstack.WriteJSON(w, http.StatusOK, map[string]any{"tenant": view{"tenant_id": id, "project_id": id}})
}

// quotaList lists the projects that have limits of their own.
func (a *api) quotaList(w http.ResponseWriter, r *openstack.Request) error {
	out := []view{}
	err := a.Store.Read(r.Context(), func(tx *compute.Tx) error {
		rows, err := tx.Quotas.List(compute.Query{Order: "project_id"})
		if err != nil {
			return err
		}
		seen := map[string]bool{"class:default": true}
		for _, q := range rows {
			if seen[q.ProjectID] || !slices.Contains(fabric.Quotas, q.Resource) {
				continue
			}
			seen[q.ProjectID] = true
			one := view{"project_id": q.ProjectID, "tenant_id": q.ProjectID}
			for _, resource := range fabric.Quotas {
				if one[string(resource)], err = tx.Limit(q.ProjectID, resource); err != nil {
					return err
				}
			}
			out = append(out, one)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, map[string]any{"quotas": out})
}

func (a *api) quotaSet(w http.ResponseWriter, r *openstack.Request) error {
	bodies, _, err := readBodies(r, "quota", "")
	if err != nil {
		return err
	}
	limits := map[compute.Resource]int{}
	for name, v := range bodies[0] {
		switch {
		case name == "project_id" || name == "tenant_id" || name == "force" || name == "check_limit":
			continue
		case !slices.Contains(fabric.Quotas, compute.Resource(name)):
			return bad("Unrecognized attribute(s) '%s'", plainly(name))
		}
		n, err := toNumber(name, v)
		if err != nil {
			return err
		}
		if n < compute.Unlimited {
			return badValue(name, "%d is less than -1", n)
		}
		limits[compute.Resource(name)] = n
	}
	if err := a.Fabric.SetQuotas(r.Context(), r.Caller, r.PathValue("id"), limits); err != nil {
		return err
	}
	return a.quotaShow(w, r)
}

func (a *api) quotaReset(w http.ResponseWriter, r *openstack.Request) error {
	if err := a.Fabric.ResetQuotas(r.Context(), r.Caller, r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
