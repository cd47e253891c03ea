package keystone

import (
	"net/http"

	"github.com/kamado/kamado/compute/openstack"
)

// The version that is spoken: v3.14, that of the releases Rocky to Zed and on.
const (
	versionID      = "v3.14"
	versionUpdated = "2020-04-07T00:00:00Z"
	mediaType      = "application/vnd.openstack.identity-v3+json"
)

func (a *api) versionRoutes() []openstack.Route {
	return []openstack.Route{
		{Method: "GET", Pattern: "/{$}", Rule: openstack.Open, Handle: a.listVersions},
		{Method: "GET", Pattern: "/v3", Rule: openstack.Open, Handle: a.showVersion},
	}
}

func (a *api) version(r *openstack.Request) view {
	return view{
		"id": versionID, "status": "stable", "updated": versionUpdated,
		"links":       []view{{"rel": "self", "href": a.service.URL(r.Request) + "/v3/"}},
		"media-types": []view{{"base": "application/json", "type": mediaType}},
	}
}

// listVersions answers 300, as Keystone does: the client chooses.
func (a *api) listVersions(w http.ResponseWriter, r *openstack.Request) error {
	w.Header().Set("Location", a.service.URL(r.Request)+"/v3/")
	return openstack.WriteJSON(w, http.StatusMultipleChoices, view{"versions": view{"values": []view{a.version(r)}}})
}

func (a *api) showVersion(w http.ResponseWriter, r *openstack.Request) error {
	return openstack.WriteJSON(w, http.StatusOK, view{"version": a.version(r)})
}

// limitRoutes tell that no limits are kept here: each service has its quotas.
func (a *api) limitRoutes() []openstack.Route {
	empty := func(key string) handler {
		return func(w http.ResponseWriter, r *openstack.Request) error {
			return openstack.WriteJSON(w, http.StatusOK, listed(a, r, key, nil, func(v view) view { return v }))
		}
	}
	return []openstack.Route{
		{Method: "GET", Pattern: "/v3/limits", Rule: openstack.AnyToken, Handle: empty("limits")},
		{Method: "GET", Pattern: "/v3/registered_limits", Rule: openstack.AnyToken, Handle: empty("registered_limits")},
		{Method: "GET", Pattern: "/v3/limits/model", Rule: openstack.AnyToken, Handle: func(w http.ResponseWriter, _ *openstack.Request) error {
			return openstack.WriteJSON(w, http.StatusOK, view{"model": view{"name": "flat",
				"description": "Limit enforcement and validation does not take project hierarchy into consideration."}})
		}},
	}
}
