package server

import (
	"context"
	"net/http"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
	"github.com/kamado/kamado/compute/openstack/audit"
	"github.com/kamado/kamado/compute/openstack/glance"
	"github.com/kamado/kamado/compute/openstack/keystone"
	"github.com/kamado/kamado/compute/openstack/neutron"
	"github.com/kamado/kamado/compute/openstack/nova"
)

// The paths of the dialects on the one address.
const (
	computePrefix = "/compute"
	imagePrefix   = "/image"
)

// catalog is what this program serves, for clients at a scheme and host.
func (s *Server) catalog(base string) []keystone.CatalogEntry {
	list := []keystone.CatalogEntry{
		{Type: "identity", Name: "keystone", Region: s.cfg.Region, URL: base + keystone.Prefix},
		{Type: "compute", Name: "nova", Region: s.cfg.Region, URL: base + computePrefix + "/v2.1"},
		{Type: "image", Name: "glance", Region: s.cfg.Region, URL: base + imagePrefix},
		{Type: "network", Name: "neutron", Region: s.cfg.Region, URL: base + neutron.Prefix},
	}
	if s.deps.Trail != nil {
		list = append(list, keystone.CatalogEntry{Type: audit.Type, Name: "kamado-audit", Region: s.cfg.Region, URL: base + audit.Prefix})
	}
	return list
}

func (s *Server) openHandler(context.Context) error {
	log, public := s.deps.Log, s.cfg.PublicURL
	told := func(_ context.Context, e compute.AuditEvent) { s.deps.Audit(e) }
	mux := http.NewServeMux()
	mount := func(prefix string, h http.Handler) {
		h = http.StripPrefix(prefix, h)
		mux.Handle(prefix, rooted(h))
		mux.Handle(prefix+"/", h)
	}
	mount(keystone.Prefix, keystone.New(keystone.Deps{Identity: s.identity, Store: s.store, Catalog: s.catalog, Log: log, Audit: told, Public: public}))
	mount(computePrefix, nova.New(nova.Deps{
		Store: s.store, Control: s.control, Images: s.images, Networks: s.fabric, Auth: s.identity, Log: log, Audit: told, Public: public, Prefix: computePrefix,
		Consoles: consoleURLs{s.gate},
	}))
	mount(imagePrefix, glance.New(glance.Deps{Registry: s.images, Store: s.store, Auth: s.identity, Log: log, Audit: told, Public: public}))
	mount(neutron.Prefix, neutron.New(neutron.Deps{Fabric: s.fabric, Zone: s.cfg.Zone, HostUp: s.control.HostUp, Store: s.store, Auth: s.identity, Log: log, Audit: told, Public: public}))
	if s.deps.Trail != nil {
		mount(audit.Prefix, audit.New(audit.Deps{Trail: s.deps.Trail, Auth: s.identity, Log: log, Public: public}))
	}
	mount(consolePrefix, s.gate.Handler())
	mux.HandleFunc("GET /{$}", s.front)
	s.handler = mux
	return nil
}

// rooted serves a mount point that is asked for without its slash.
func rooted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r2 := r.Clone(r.Context())
		r2.URL.Path += "/"
		h.ServeHTTP(w, r2)
	})
}

// front says what is here to whoever opens the bare address.
func (s *Server) front(w http.ResponseWriter, r *http.Request) {
	base := openstack.Origin(r, s.cfg.PublicURL)
	services := map[string]string{}
	for _, e := range s.catalog(base) {
		services[e.Type] = e.URL
	}
	services["identity"] += "/v3"
	_ = openstack.WriteJSON(w, http.StatusOK, map[string]any{"program": "kamado compute", "services": services}) // two maps of texts
}
