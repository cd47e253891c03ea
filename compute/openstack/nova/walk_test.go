package nova_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
	"github.com/kamado/kamado/compute/openstack/nova"
)

// things are the ids that patterns are filled with.
type things struct{ server, group, keypair, flavor, aggregate string }

// pathOf fills a pattern.
func pathOf(pattern string, t things) string {
	id := t.server
	switch {
	case strings.Contains(pattern, "/flavors/"):
		id = t.flavor
	case strings.Contains(pattern, "server-groups"):
		id = t.group
	case strings.Contains(pattern, "aggregates"):
		id = t.aggregate
	}
	name := "one"
	if strings.Contains(pattern, "keypairs") {
		name = t.keypair
	}
	r := strings.NewReplacer("{$}", "", "{id}", id, "{name}", name, "{project}", "p", "{what}", "x", "{alias}", "servers",
		"{key}", "k", "{tag}", "t", "{group}", compute.NewID(), "{sgrule}", compute.NewID(), "{fip}", compute.NewID(), "{before}", "2026-01-01%2000:00:00", "{network}", "default", "{request}", "req-1", "{port}", compute.NewID(), "{volume}", compute.NewID())
	return r.Replace(pattern)
}

func (c *cloud) things() things {
	t := things{server: c.server(c.member, "walked"), keypair: "kp", flavor: "private", aggregate: "1"}
	r := c.must(200, c.member, "", "POST", "/v2.1/os-server-groups", `{"server_group":{"name":"g","policies":["affinity"]}}`)
	t.group = r.at("server_group", "id").(string)
	c.must(200, c.member, "", "POST", "/v2.1/os-keypairs", `{"keypair":{"name":"kp"}}`)
	c.must(200, c.admin, "", "POST", "/v2.1/flavors", `{"flavor":{"name":"private","id":"private","ram":64,"vcpus":1,"disk":1,"os-flavor-access:is_public":false}}`)
	c.must(200, c.admin, "", "POST", "/v2.1/os-aggregates", `{"aggregate":{"name":"a"}}`)
	return t
}

// absent are ids of nothing.
var absent = things{server: "11111111-2222-4333-8444-555555555555", group: "11111111-2222-4333-8444-555555555555", keypair: "none", flavor: "none", aggregate: "99"}

// readsOnly says whether a call changes nothing, so that walks may go on.
func readsOnly(method string) bool { return method == "GET" }

// TestEveryRouteAsksForItsRole walks all routes as everybody.
func TestEveryRouteAsksForItsRole(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	own := c.things()
	nobody := who{name: "nobody", token: "nobody's"}
	for _, rt := range nova.Routes() {
		path := pathOf(rt.Pattern, own)
		for _, w := range []who{nobody, c.reader, c.member, c.admin} {
			if !readsOnly(rt.Method) && rt.Rule.Allows(w.caller) && w.name != "nobody" {
				continue // would change things: stories do that
			}
			r := c.ask(w, rt.Version, rt.Method, path, "{}")
			want := 0
			switch {
			case rt.Rule == openstack.Open:
				want = http.StatusOK
			case w.name == "nobody":
				want = http.StatusUnauthorized
			case !rt.Rule.Allows(w.caller):
				want = http.StatusForbidden
			}
			if want != 0 && r.status != want || want == 0 && (r.status == 401 || r.status >= 500) && r.status != 501 {
				t.Errorf("%s %s %s as %s = %d %s, want %d", rt.Version, rt.Method, path, w.name, r.status, r.text, want)
			}
		}
	}
}

var anyID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}|"(none|private)"|\b(none|private|kp|99|1)\b`)

// TestForeignIsAbsent walks what belongs to one project as another: the answer is
// the one for what is not there.
func TestForeignIsAbsent(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	own := c.things()
	walked := 0
	same := func(rt nova.RouteLine, body string) {
		t.Helper()
		walked++
		theirs := c.ask(c.foreign, rt.Version, rt.Method, pathOf(rt.Pattern, own), body)
		none := c.ask(c.foreign, rt.Version, rt.Method, pathOf(rt.Pattern, absent), body)
		if theirs.status != none.status || anyID.ReplaceAllString(theirs.text, "ID") != anyID.ReplaceAllString(none.text, "ID") {
			t.Errorf("%s %s %s: foreign = %d %s, absent = %d %s", rt.Method, rt.Pattern, body, theirs.status, theirs.text, none.status, none.text)
		}
		if body == "" && theirs.status < 400 {
			t.Errorf("%s %s of somebody else = %d %s", rt.Method, rt.Pattern, theirs.status, theirs.text)
		}
	}
	for _, rt := range nova.Routes() {
		private := strings.Contains(rt.Pattern, "/servers/{id}") || strings.Contains(rt.Pattern, "server-groups/{id}") ||
			strings.Contains(rt.Pattern, "keypairs/{name}") || strings.Contains(rt.Pattern, "/flavors/{id}")
		if !private || !rt.Rule.Allows(c.foreign.caller) {
			continue
		}
		same(rt, "")
		same(rt, "{}")
		if strings.HasSuffix(rt.Pattern, "/servers/{id}/action") {
			for _, word := range nova.ActionWords() {
				same(rt, `{"`+word+`":null}`)
				same(rt, `{"`+word+`":{"type":"SOFT","imageRef":"`+c.image+`","flavorRef":"1","name":"n","adminPass":"p","state":"error"}}`)
			}
			for _, body := range []string{`{"reboot":{"type":"HARD"}}`, `{"rebuild":{"imageRef":"` + c.image + `"}}`, `{"resize":{"flavorRef":"84"}}`,
				`{"createImage":{"name":"n"}}`, `{"changePassword":{"adminPass":"p"}}`, `{"addSecurityGroup":{"name":"default"}}`,
				`{"os-getConsoleOutput":{}}`, `{"os-getVNCConsole":{"type":"novnc"}}`, `{"createBackup":{"name":"n","backup_type":"d","rotation":1}}`} {
				same(rt, body)
			}
		}
		if strings.HasSuffix(rt.Pattern, "/servers/{id}") && rt.Method == "PUT" {
			same(rt, `{"server":{"name":"stolen"}}`)
		}
		if strings.HasSuffix(rt.Pattern, "/metadata") && rt.Method != "GET" {
			same(rt, `{"metadata":{"a":"b"}}`)
		}
	}
	if walked < 100 {
		t.Errorf("walked %d calls only", walked)
	}
	if r := c.must(200, c.member, "2.19", "GET", "/v2.1/servers/"+own.server, ""); r.at("server", "name") != "walked" || r.at("server", "status") != "ACTIVE" {
		t.Errorf("the walk changed the server: %s", r.text)
	}
	for _, path := range []string{"/v2.1/servers", "/v2.1/servers/detail", "/v2.1/servers?name=walked", "/v2.1/os-server-groups", "/v2.1/os-keypairs",
		"/v2.1/servers?project_id=" + c.member.project, "/v2.1/servers?tenant_id=" + c.member.project} {
		if r := c.must(200, c.foreign, "", "GET", path, ""); strings.Contains(r.text, own.server) || strings.Contains(r.text, own.group) || strings.Contains(r.text, `"kp"`) {
			t.Errorf("GET %s shows what is another project's: %s", path, r.text)
		}
	}
	c.must(403, c.foreign, "", "GET", "/v2.1/servers?all_tenants=1", "")
	c.must(400, c.foreign, "", "GET", "/v2.1/servers?marker="+own.server, "")
}

// TestAdministratorsFieldsAreTheirs looks for the names of hosts in what others see.
func TestAdministratorsFieldsAreTheirs(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	id := c.server(c.member, "hidden")
	for _, v := range []string{"2.1", "2.3", "2.16", "2.53", "2.75", "2.90", "2.95"} {
		for _, path := range []string{"/v2.1/servers/" + id, "/v2.1/servers/detail"} {
			for _, w := range []who{c.reader, c.member} {
				r := c.must(200, w, v, "GET", path, "")
				for _, secret := range []string{"SRV-ATTR:host\"", "hypervisor_hostname", "instance_name", "user_data", "host_status", "reservation_id"} {
					if strings.Contains(r.text, secret) {
						t.Errorf("%s GET %s as %s shows %s", v, path, w.name, secret)
					}
				}
			}
		}
		r := c.must(200, c.admin, v, "GET", "/v2.1/servers/"+id, "")
		if r.at("server", "OS-EXT-SRV-ATTR:host") != "one" {
			t.Errorf("%s as admin: %s", v, r.text)
		}
	}
	for body, code := range map[string]int{`"availability_zone":"nova:one"`: 403, `"availability_zone":"nowhere"`: 400} {
		r := c.ask(c.member, "", "POST", "/v2.1/servers", `{"server":{"name":"f","imageRef":"`+c.image+`","flavorRef":"42",`+body+`}}`)
		if r.status != code {
			t.Errorf("create with %s = %d %s, want %d", body, r.status, r.text, code)
		}
	}
}
