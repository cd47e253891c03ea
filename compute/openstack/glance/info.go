package glance

import (
	"net/http"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
)

// version is one line of the list of versions.
type version struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Links  []link `json:"links"`
}

type link struct {
	Rel  string `json:"rel"`
	Href string `json:"href"`
}

// versions are those of a Glance with one store, from the newest: 2.7 brought
// hidden images and hashes by choice, 2.9 the import that names its method.
var versions = []string{"2.9", "2.7", "2.6", "2.5", "2.4", "2.3", "2.2", "2.1", "2.0"}

func (s *service) choices(status int) func(http.ResponseWriter, *openstack.Request) error {
	return func(w http.ResponseWriter, r *openstack.Request) error {
		self := []link{{"self", s.URL(r.Request) + "/v2/"}}
		var list []version
		for i, v := range versions {
			state := "SUPPORTED"
			if i == 0 {
				state = "CURRENT"
			}
			list = append(list, version{"v" + v, state, self})
		}
		return openstack.WriteJSON(w, status, map[string]any{"versions": list})
	}
}

// infoImport says by which methods bytes are imported: from this server's
// staging directory. Fetching from an address that a client names would let them
// ask what this server can reach.
func (s *service) infoImport(w http.ResponseWriter, _ *openstack.Request) error {
	return openstack.WriteJSON(w, http.StatusOK, map[string]any{"import-methods": map[string]any{
		"description": "Import methods available.", "type": "array", "value": []string{importMethod}}})
}

// infoUsage tells a project its quotas.
func (s *service) infoUsage(w http.ResponseWriter, r *openstack.Request) error {
	type pair struct {
		Limit int `json:"limit"`
		Usage int `json:"usage"`
	}
	usage := map[compute.Resource]pair{}
	err := s.Store.Read(r.Context(), func(tx *compute.Tx) (err error) {
		for _, res := range []compute.Resource{compute.QuotaImageBytes, compute.QuotaImages} {
			var p pair
			if p.Limit, err = tx.Limit(r.Caller.ProjectID, res); err != nil {
				return err
			}
			if p.Usage, err = tx.Used(r.Caller.ProjectID, res); err != nil {
				return err
			}
			usage[res] = p
		}
		return nil
	})
	if err != nil {
		return err
	}
	return openstack.WriteJSON(w, http.StatusOK, map[string]any{"usage": usage})
}
