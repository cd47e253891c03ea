package neutron_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/fabric"
	"github.com/kamado/kamado/compute/openstack/neutron"
	"github.com/kamado/kamado/compute/store"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

// everybody lets all tokens in as one administrator.
type everybody struct{}

func (everybody) Authenticate(context.Context, string) (compute.Caller, error) {
	return compute.Caller{UserID: "u", ProjectID: "p", Roles: []string{compute.RoleAdmin}}, nil
}

// fuzzed is a handler over a database that the first networks are in, and their
// ids by name.
func fuzzed(f *testing.F) (http.Handler, *strings.Replacer) {
	f.Helper()
	ctx := context.Background() // f.Context ends before the workers do
	db, err := sqlite.Open(ctx, filepath.Join(f.TempDir(), "db"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = db.Close() })
	st, err := store.Open(ctx, db)
	if err != nil {
		f.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	nets := fabric.New(st, fabric.DefaultConfig(), log, time.Now)
	if err := nets.Bootstrap(ctx, "p", fabric.ExternalPool{CIDR: "172.24.4.0/24"}); err != nil {
		f.Fatal(err)
	}
	if err := nets.SetQuotas(ctx, fabric.System(), "p", map[compute.Resource]int{compute.QuotaPorts: -1, compute.QuotaNetworks: -1, compute.QuotaSubnets: -1}); err != nil {
		f.Fatal(err)
	}
	var names []string
	if err := st.Read(ctx, func(tx *compute.Tx) error {
		list, err := tx.Networks.List(compute.Query{})
		for _, n := range list {
			names = append(names, "NET-"+n.Name, n.ID)
		}
		subs, err2 := tx.Subnets.List(compute.Query{})
		for _, s := range subs {
			names = append(names, "SUB-"+s.Name, s.ID)
		}
		routers, err3 := tx.Routers.List(compute.Query{})
		for _, r := range routers {
			names = append(names, "ROUTER", r.ID)
		}
		for _, e := range []error{err, err2, err3} {
			if e != nil {
				return e
			}
		}
		return nil
	}); err != nil {
		f.Fatal(err)
	}
	return neutron.New(neutron.Deps{Fabric: nets, Store: st, Auth: everybody{}, Log: log}), strings.NewReplacer(names...)
}

// FuzzBodies sends any body to any route that takes one: it is taken or refused,
// never a fault of ours.
func FuzzBodies(f *testing.F) {
	handler, ids := fuzzed(f)
	paths := []string{"POST /networks", "POST /subnets", "POST /ports", "POST /routers", "POST /floatingips", "POST /security-groups",
		"POST /security-group-rules", "POST /subnetpools", "PUT /networks/NET-default", "PUT /subnets/SUB-default-subnet", "PUT /routers/ROUTER",
		"PUT /routers/ROUTER/add_router_interface", "PUT /routers/ROUTER/add_extraroutes", "PUT /quotas/p", "PUT /networks/NET-default/tags"}
	f.Fuzz(func(t *testing.T, path uint8, body string) {
		method, target, _ := strings.Cut(paths[int(path)%len(paths)], " ")
		req := httptest.NewRequest(method, "/v2.0"+ids.Replace(target), strings.NewReader(ids.Replace(body)))
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		if w.Code >= 500 {
			t.Errorf("%s %s %q = %d %s", method, target, body, w.Code, w.Body)
		}
	})
}

// FuzzQueries sends any query to any list.
func FuzzQueries(f *testing.F) {
	handler, ids := fuzzed(f)
	kinds := []string{"networks", "subnets", "ports", "routers", "floatingips", "security-groups", "security-group-rules", "subnetpools",
		"quotas", "agents", "availability_zones", "network-ip-availabilities"}
	f.Fuzz(func(t *testing.T, kind uint8, query string) {
		req := httptest.NewRequest("GET", "/v2.0/"+kinds[int(kind)%len(kinds)], nil)
		req.URL = &url.URL{Path: req.URL.Path, RawQuery: ids.Replace(query)}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		if w.Code >= 500 {
			t.Errorf("GET %s?%q = %d %s", req.URL.Path, query, w.Code, w.Body)
		}
	})
}
