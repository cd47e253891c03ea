package nova_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/compute"
)

// names asks for a list and gives the names in it, and the query of the next page.
func names(t *testing.T, h http.Handler, token, path string) ([]string, string) {
	t.Helper()
	var v struct {
		Servers []struct{ Name string }
		Links   []struct{ Rel, Href string } `json:"servers_links"`
	}
	if err := json.Unmarshal(get(t, h, token, path).Body.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, s := range v.Servers {
		list = append(list, s.Name)
	}
	next := ""
	if len(v.Links) > 0 {
		u, err := url.Parse(v.Links[0].Href)
		if err != nil || v.Links[0].Rel != "next" {
			t.Fatal(v.Links, err)
		}
		next = "/v2.1" + strings.SplitN(u.Path, "/v2.1", 2)[1] + "?" + u.RawQuery
	}
	return list, next
}

// variedRows are thirty servers that differ in whatever lists select by.
func variedRows(tx *compute.Tx) error {
	for n := range 30 {
		row := crowdRow(n, goldenTime)
		switch n % 5 {
		case 0:
			row.VM = compute.VMStopped
		case 1:
			row.Task = compute.TaskRebooting
		case 2:
			row.VM, row.Locked = compute.VMError, true
		}
		if n%10 == 9 {
			row.Tags = []string{"a", "b"}
		}
		if n >= 25 {
			row.ProjectID = "another"
		}
		if n == 24 {
			row.VM, row.Deleted = compute.VMDeleted, goldenTime.Add(time.Hour)
		}
		if n == 3 {
			row.ImageID, row.Flavor.ID, row.KeyName = "99999999-2222-4333-8444-555555555555", "2", "other"
		}
		if err := tx.Instances.Insert(row); err != nil {
			return err
		}
	}
	return nil
}

func TestListsSelect(t *testing.T) {
	t.Parallel()
	h := plainAPI(t, still{}, variedRows)
	const all = 24 // of the project, the deleted one not among them
	for _, c := range []struct {
		token, query string
		want         int
		first        string
	}{
		{"m", "", all, "server-23"}, {"m", "limit=0", 0, ""}, {"m", "limit=3", 3, "server-23"},
		{"m", "sort_key=created_at&sort_dir=asc", all, "server-0"}, {"m", "sort_key=display_name&sort_dir=asc&limit=2", 2, "server-0"},
		{"m", "sort_key=key_name&sort_dir=desc&sort_key=created_at&sort_dir=asc&limit=2", 2, "server-3"},
		{"m", "status=SHUTOFF", 5, "server-20"}, {"m", "status=active", 9, "server-23"}, {"m", "status=REBOOT", 5, "server-21"},
		{"m", "status=error&status=shutoff", 10, "server-22"}, {"m", "status=nonsense", 0, ""},
		{"m", "name=server-2", 5, "server-23"}, {"m", "name=%5Eserver-2$", 1, "server-2"}, {"m", "name=er-1.$", 10, "server-19"}, {"m", "name=absent", 0, ""},
		{"m", "ip=10.20.0.5$", 1, "server-3"}, {"m", "ip6=fd", 0, ""},
		{"m", "image=99999999-2222-4333-8444-555555555555", 1, "server-3"}, {"m", "image=http://x/images/99999999-2222-4333-8444-555555555555", 1, "server-3"},
		{"m", "flavor=2", 1, "server-3"}, {"m", "reservation_id=r-12345678", all, "server-23"}, {"m", "key_name=other", 1, "server-3"},
		{"m", "tags=a,b", 2, "server-19"}, {"m", "tags-any=b,c", 2, "server-19"}, {"m", "not-tags=a,b", all - 2, "server-23"}, {"m", "not-tags-any=a", 0, ""},
		{"m", "locked=true", 5, "server-22"}, {"m", "changes-since=2026-01-02T03:04:20Z", 10, "server-24"}, {"m", "changes-since=2030-01-01", 0, ""},
		{"m", "changes-before=2026-01-02T03:04:07Z", 2, "server-1"}, {"m", "host=host-1", all, "server-23"}, {"m", "deleted=true", all, "server-23"},
		{"a", "host=host-1", 3, "server-21"}, {"a", "all_tenants=1", all + 5, "server-29"}, {"a", "all_tenants=1&project_id=another", 5, "server-29"},
		{"a", "deleted=true", 1, "server-24"}, {"a", "status=DELETED", 1, "server-24"}, {"a", "vm_state=error&status=ERROR", 5, "server-22"}, {"a", "vm_state=error&status=ACTIVE", 0, ""},
	} {
		list, _ := names(t, h, c.token, "/v2.1/servers/detail?"+c.query)
		first := ""
		if len(list) > 0 {
			first = list[0]
		}
		if len(list) != c.want || first != c.first {
			t.Errorf("%s ?%s = %d servers from %s on, want %d from %s on", c.token, c.query, len(list), first, c.want, c.first)
		}
	}
}

// TestListsPage follows the links of pages: each server comes once, in order.
func TestListsPage(t *testing.T) {
	t.Parallel()
	h := plainAPI(t, still{}, variedRows)
	for _, query := range []string{"limit=7", "limit=7&sort_key=display_name&sort_dir=asc", "limit=7&sort_key=key_name&sort_dir=asc",
		"limit=4&name=server", "limit=2&status=ERROR", "limit=5&sort_key=vm_state&sort_dir=asc"} {
		whole, _ := names(t, h, "m", "/v2.1/servers?"+strings.SplitN(query, "&", 2)[min(1, strings.Count(query, "&"))])
		if !strings.Contains(query, "&") {
			whole, _ = names(t, h, "m", "/v2.1/servers")
		}
		var got []string
		next := "/v2.1/servers?" + query
		for pages := 0; next != ""; pages++ {
			if pages > 20 {
				t.Fatalf("%s has no end", query)
			}
			var page []string
			page, next = names(t, h, "m", next)
			got = append(got, page...)
		}
		if fmt.Sprint(got) != fmt.Sprint(whole) {
			t.Errorf("pages of %s = %v, want %v", query, got, whole)
		}
	}
}

func TestListsRefuse(t *testing.T) {
	t.Parallel()
	h := plainAPI(t, still{}, variedRows)
	for query, want := range map[string]int{"limit=-1": 400, "limit=a": 400, "marker=none": 400, "changes-since=soon": 400, "name=(": 400, "ip=%5B": 400,
		"sort_key=host": 403, "sort_key=nonsense": 400, "sort_key=name&sort_dir=up": 400, "all_tenants=1": 403, "all_tenants=maybe": 400,
		"status=deleted": 403, "unknown=1": 400, "locked=maybe": 400, "marker=" + crowdRow(27, goldenTime).ID: 400} {
		r := httptest.NewRequest("GET", "/v2.1/servers?"+query, nil)
		r.Header.Set("X-Auth-Token", "m")
		r.Header.Set("OpenStack-API-Version", "compute 2.75")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("?%s = %d %s, want %d", query, w.Code, w.Body, want)
		}
	}
}

// TestEmptyPageOfMigrations asks for a page of none, of which nothing follows.
func TestEmptyPageOfMigrations(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.write(func(tx *compute.Tx) error {
		return tx.Migrations.Insert(&compute.Migration{ID: "1", UUID: compute.NewID(), InstanceID: compute.NewID(), Type: "resize", Created: goldenTime, Updated: goldenTime})
	})
	c.must(200, c.admin, "2.59", "GET", "/v2.1/os-migrations?limit=0", "")
}
