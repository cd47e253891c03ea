package console_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kamado/kamado/console"
)

// cloud is a cloud as far as its public APIs go: recorded answers by path, and
// what it was asked to change.
type cloud struct {
	*httptest.Server
	mu      sync.Mutex
	changes []string          // guarded by mu: method, path, body
	answers map[string]string // guarded by mu: by method and path; a leading number is the status
	logins  int               // guarded by mu
	token   string            // guarded by mu
}

const serverID = "a235652d-28b1-46f4-b8a8-cd87e4c7b077"

// recorded is what a running cloud answered, shortened to what is looked at.
var recorded = map[string]string{
	"GET /compute/v2.1/servers/detail": `{"servers":[{"id":"` + serverID + `","name":"one & only","status":"ACTIVE","tenant_id":"p1","OS-EXT-STS:task_state":null,"OS-EXT-SRV-ATTR:host":"vm",
		"created":"2026-11-22T22:48:13Z","key_name":"k","flavor":{"original_name":"m1.tiny","vcpus":1,"ram":512,"disk":1},"image":{"id":"i1"},
		"addresses":{"default":[{"addr":"10.20.0.2","OS-EXT-IPS:type":"fixed"},{"addr":"172.24.4.3","OS-EXT-IPS:type":"floating"}]}},
		{"id":"b1","name":"broken","status":"ERROR","image":"","flavor":{"original_name":"m1.large"},"addresses":{}}],"servers_links":[{"rel":"next"}]}`,
	"GET /compute/v2.1/servers/" + serverID: `{"server":{"id":"` + serverID + `","name":"one & only","status":"ACTIVE","tenant_id":"p1","OS-EXT-STS:task_state":null,"OS-EXT-SRV-ATTR:host":"vm",
		"created":"2026-11-22T22:48:13Z","key_name":"k","flavor":{"original_name":"m1.tiny","vcpus":1,"ram":512,"disk":1},"image":{"id":"i1"},
		"addresses":{"default":[{"addr":"10.20.0.2","OS-EXT-IPS:type":"fixed"},{"addr":"172.24.4.3","OS-EXT-IPS:type":"floating"}]}}}`,
	"GET /compute/v2.1/servers/b1":                                   `{"server":{"id":"b1","name":"broken","status":"ERROR","tenant_id":"p1","image":"","flavor":{"original_name":"m1.large","ram":65536},"addresses":{},"fault":{"message":"No valid host was found. "}}}`,
	"GET /compute/v2.1/servers":                                      `{"servers":[{"id":"` + serverID + `","name":"one & only"}]}`,
	"POST /compute/v2.1/servers/" + serverID + "/action":             `{"output":"\u001b[32mbooting\u001b[0m\r\none login: "}`,
	"POST /compute/v2.1/servers/" + serverID + "/remote-consoles":    `{"remote_console":{"url":"http://cloud.example:7704/console/vnc_lite.html?path=x"}}`,
	"GET /compute/v2.1/servers/" + serverID + "/os-instance-actions": `{"instanceActions":[{"action":"create","message":null,"start_time":"2026-11-22T22:48:13.399459"}]}`,
	"GET /compute/v2.1/servers/" + serverID + "/os-interface":        `{"interfaceAttachments":[{"port_id":"port1"}]}`,
	"GET /compute/v2.1/servers/" + serverID + "/diagnostics":         `{"cpu_details":[{"time":1000}]}`,
	"GET /compute/v2.1/flavors/detail":                               `{"flavors":[{"id":"1","name":"m1.tiny","ram":512,"vcpus":1,"disk":1},{"id":"4","name":"m1.large","ram":8192,"vcpus":4,"disk":80}]}`,
	"GET /compute/v2.1/os-keypairs":                                  `{"keypairs":[{"keypair":{"name":"k"}}]}`,
	"POST /compute/v2.1/os-keypairs":                                 `{"keypair":{"name":"fresh","private_key":"-----BEGIN KEY-----\nabc\n","fingerprint":"aa:bb"}}`,
	"POST /compute/v2.1/servers":                                     `202 {"server":{"id":"` + serverID + `"}}`,
	"GET /compute/v2.1/limits":                                       `{"limits":{"absolute":{"maxTotalInstances":10,"totalInstancesUsed":3}}}`,
	"GET /compute/v2.1/os-hypervisors/statistics":                    `{"hypervisor_statistics":{"count":2,"running_vms":4,"vcpus":65536,"vcpus_used":5,"memory_mb":67108864,"memory_mb_used":1536}}`,
	"GET /compute/v2.1/os-hypervisors/detail":                        `{"hypervisors":[{"hypervisor_hostname":"vm","hypervisor_type":"QEMU","state":"up","status":"enabled","vcpus":2,"vcpus_used":1,"memory_mb":8192,"memory_mb_used":1536,"local_gb":100,"local_gb_used":1,"running_vms":1},{"hypervisor_hostname":"far","state":"down","status":"disabled"}]}`,
	"GET /compute/v2.1/os-services":                                  `{"services":[{"binary":"nova-compute","host":"vm","zone":"nova","updated_at":"2026-11-22T22:51:00.230483"}]}`,
	"GET /compute/v2.1/os-quota-sets/p1/detail":                      `{"quota_set":{"id":"p1","instances":{"limit":10,"in_use":3},"cores":{"limit":-1,"in_use":3},"ram":{"limit":51200,"in_use":1536}}}`,
	"GET /image/v2/images":                                           `{"images":[{"id":"s1","name":"copy","status":"active","disk_format":"qcow2","image_type":"snapshot","size":1000000,"visibility":"private"},{"id":"i1","name":"tiny","status":"active","disk_format":"raw","size":25165824,"visibility":"public"},{"id":"k1","name":"tiny-kernel","status":"active","disk_format":"aki","visibility":"public","protected":true}],"next":"/v2/images?marker=k1"}`,
	"GET /image/v2/images/i1":                                        `{"id":"i1","name":"tiny","os_admin_user":"cook"}`,
	"POST /image/v2/images":                                          `201 {"id":"new"}`,
	"PUT /image/v2/images/new/file":                                  `204 `,
	"GET /identity/v3/projects/p1":                                   `{"project":{"id":"p1","name":"kamado"}}`,
	"GET /identity/v3/projects":                                      `{"projects":[{"id":"p1","name":"kamado","description":"The first project","enabled":true}]}`,
	"GET /identity/v3/role_assignments":                              `{"role_assignments":[{"user":{"name":"kamado"},"role":{"name":"reader"},"scope":{"project":{"id":"p1"}}},{"user":{"name":"kamado"},"role":{"name":"member"},"scope":{"project":{"id":"p1"}}}]}`,
	"GET /network/v2.0/networks":                                     `{"networks":[{"id":"n1","name":"default","shared":true,"mtu":1500},{"id":"x1","name":"public","router:external":true,"mtu":1500}]}`,
	"GET /network/v2.0/subnets":                                      `{"subnets":[{"id":"sn1","name":"default-subnet","network_id":"n1","cidr":"10.20.0.0/20","gateway_ip":"10.20.0.1","enable_dhcp":true,"allocation_pools":[{"start":"10.20.0.2","end":"10.20.15.254"}]},{"id":"sn2","name":"six","network_id":"n1","cidr":"fd00::/64"}]}`,
	"GET /network/v2.0/routers":                                      `{"routers":[{"id":"r1","name":"default-router"}]}`,
	"GET /network/v2.0/floatingips":                                  `{"floatingips":[{"id":"f1","port_id":"port1"}]}`,
	"GET /network/v2.0/security-groups/g1":                           `{"security_group":{"id":"g1","name":"default","security_group_rules":[{"direction":"ingress","ethertype":"IPv4","protocol":"tcp","port_range_min":80,"port_range_max":80}]}}`,
	"GET /network/v2.0/quotas/p1/details":                            `{"quota":{"port":{"limit":500,"used":1,"reserved":0}}}`,
	"GET /network/v2.0/ports": `{"ports":[{"id":"port0","network_id":"n9","device_owner":"compute:nova","device_id":"` + serverID + `","project_id":"p9","fixed_ips":[{"ip_address":"10.9.0.2","subnet_id":"sn9"}]},
		{"id":"port1","network_id":"n1","device_owner":"compute:nova","device_id":"` + serverID + `","project_id":"p1","security_groups":["g1"],"fixed_ips":[{"ip_address":"10.20.0.2","subnet_id":"sn1"}]},
		{"id":"port2","network_id":"n1","device_owner":"network:router_interface","device_id":"r1","fixed_ips":[{"ip_address":"10.20.0.1","subnet_id":"sn1"}]}]}`,
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{answers: map[string]string{}}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

// says replaces an answer.
func (c *cloud) says(request, answer string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers[request] = answer
}

func (c *cloud) asked() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.changes)
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path == "/identity/v3/auth/tokens" {
		c.logins++
		c.token = "token-" + string(rune('a'+c.logins))
		w.Header().Set("X-Subject-Token", c.token)
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"token":{"expires_at":"2099-01-01T00:00:00.000000Z","project":{"id":"p1"}}}`)
		return
	}
	if r.Header.Get("X-Auth-Token") == "" || c.answers["revoked"] == r.Header.Get("X-Auth-Token") {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.Method != http.MethodGet && !strings.Contains(string(body), "os-getConsoleOutput") {
		c.changes = append(c.changes, r.Method+" "+r.URL.Path+" "+string(body))
	}
	request := r.Method + " " + r.URL.Path
	answer, ok := c.answers[request]
	if !ok {
		answer, ok = recorded[request]
	}
	if !ok && r.Method == http.MethodDelete {
		answer, ok = "204 ", true
	}
	if !ok && r.Method == http.MethodPost {
		answer, ok = "202 {}", true
	}
	status := http.StatusOK
	if number, rest, found := strings.Cut(answer, " "); found && len(number) == 3 {
		status, answer = int(number[0]-'0')*100+int(number[1]-'0')*10+int(number[2]-'0'), rest
	}
	if !ok {
		status, answer = http.StatusNotFound, `{"itemNotFound":{"message":"Instance could not be found."}}`
	}
	w.WriteHeader(status)
	io.WriteString(w, answer)
}

// buildCloud is a console of a cloud.
func buildCloud(t *testing.T, c *cloud) http.Handler {
	t.Helper()
	con, err := console.New(console.Config{
		Images: newService(t).URL, Token: token, Guard: guard{}, Log: slog.New(slog.DiscardHandler),
		Compute: c.URL, ComputePublic: "http://cloud.example:7704", ComputeClouds: "/var/lib/the kamado/clouds.yaml",
		ComputeMember: console.CloudAccount{User: "kamado", Password: "member-password", Project: "kamado", Cloud: "kamado"},
		ComputeAdmin:  console.CloudAccount{User: "admin", Password: "admin-password", Project: "admin", Cloud: "kamado-admin"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return con.Handler()
}

func TestPagesOfMachines(t *testing.T) {
	h := buildCloud(t, newCloud(t))
	for _, c := range []struct {
		name, target string
		status       int
		has, hasNot  []string
	}{
		{"the overview counts machines", "/", 200, []string{"of 10 instances of this project", ">4</span>", "1.5 GiB", "of 64 TiB of memory", "--image tiny --flavor m1.tiny --wait one"}, nil},
		{"instances are listed", "/machines", 200, []string{"one &amp; only", "10.20.0.2", "172.24.4.3", "ACTIVE", "m1.tiny", `href="/machines?after=b1"`, `hx-get="/machines"`}, nil},
		{"a page of a list asks for itself again", "/machines?all=1&name=o&after=x", 200, []string{`hx-get="/machines?after=x&amp;all=1&amp;name=o"`, "Of all projects"}, nil},
		{"the form begins with an image that is no copy", "/machines", 200, []string{`<option value="i1" selected>tiny`, "m1.tiny: 1 CPU, 512 MiB, 1 GiB disk", "<option selected>k</option>",
			"export OS_CLIENT_CONFIG_FILE=&#39;/var/lib/the kamado/clouds.yaml&#39; OS_CLOUD=kamado"}, []string{"tiny-kernel", ">public<"}},
		{"the form begins with the image of an address", "/machines?image=s1", 200, []string{`<option value="s1" selected>copy`, `id="launch" open`}, nil},
		{"an instance", "/machines/" + serverID, 200, []string{"one &amp; only", "booting\none login:", "Delete one &amp; only?", "create", "2026-11-22 22:48:13 UTC", "copy", `href="/machines?image=s1#launch"`, "Let SSH in", "172.24.4.3",
			"openstack server create --image i1 --flavor m1.tiny --network n1 --key-name k --wait &#39;one &amp; only&#39;",
			"http://cloud.example:7704/compute/v2.1/servers", "&#34;flavorRef&#34;:&#34;1&#34;"}, []string{"\x1b", "[32m", "ssh cook@"}},
		{"an instance that found no host", "/machines/b1", 200, []string{"No host has room for this", "No valid host was found.", "do-delete"}, []string{"do-stop"}},
		{"an instance that is gone", "/machines/gone", 404, []string{"There is nothing here"}, nil},
		{"machine images", "/machines/images", 200, []string{"tiny-kernel", "25.2 MB", "snapshot", `href="/machines?image=i1#launch"`, "/machines/images?after=k1"}, []string{"delete-k1"}},
		{"networks with who has which address", "/machines/networks", 200, []string{"10.20.0.0/20", "2 of 4\u2009096 addresses taken", `title="10.20.0.2: one &amp; only"`, "Joined by default-router", "2^64", "external"}, nil},
		{"hosts", "/machines/hosts", 200, []string{"1.5 GiB of 8 GiB", "nova", "heartbeat", "down, disabled"}, nil},
		{"projects", "/machines/projects", 200, []string{"kamado (member, reader)", "3 of 10", "1.5 GiB of 50 GiB", "3, without a limit", "1 of 500"}, nil},
		{"the line of a launch", "/machines/launch-line?name=it%27s+me&image=i1&flavor=1&network=n1&key=k&count=2", 200, []string{`--network n1 --key-name k --min 2 --max 2 --wait &#39;it&#39;\&#39;&#39;s me&#39;`}, nil},
	} {
		got := get(h, c.target, asOperator)
		if got.status != c.status {
			t.Errorf("%s: GET %s = %d, want %d", c.name, c.target, got.status, c.status)
		}
		for _, text := range c.has {
			if !strings.Contains(got.body, text) {
				t.Errorf("%s: GET %s lacks %q", c.name, c.target, text)
			}
		}
		for _, text := range append(c.hasNot, "member-password", "admin-password", "token-", "ZgotmplZ", "<no value>") {
			if strings.Contains(got.body, text) {
				t.Errorf("%s: GET %s has %q", c.name, c.target, text)
			}
		}
		policy := got.header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || !strings.Contains(policy, "form-action 'self' ") || !strings.Contains(policy, " http://cloud.example:7704;") {
			t.Errorf("%s: its policy is %q", c.name, policy)
		}
	}
}

func TestMachinesAreReadOnlyWithoutLogin(t *testing.T) {
	c := newCloud(t)
	h := buildCloud(t, c)
	for _, target := range []string{"/machines", "/machines/" + serverID, "/machines/images"} {
		if got := get(h, target); got.status != 200 || strings.Contains(got.body, "<form method=\"post\"") || !strings.Contains(got.body, "login link") {
			t.Errorf("GET %s of a reader = %d with a form, want it without", target, got.status)
		}
	}
	for _, target := range []string{"/machines", "/machines/keypairs", "/machines/" + serverID + "/do/delete", "/machines/" + serverID + "/open/vnc", "/machines/images/delete", "/machines/images/upload"} {
		if got := post(h, target, nil); got.status != http.StatusUnauthorized {
			t.Errorf("POST %s of a reader = %d, want 401", target, got.status)
		}
	}
	if asked := c.asked(); len(asked) != 0 {
		t.Errorf("a reader changed %q", asked)
	}
}

func TestFragmentsOfMachines(t *testing.T) {
	h := buildCloud(t, newCloud(t))
	for _, target := range []string{"/machines", "/machines/" + serverID, "/machines/images", "/machines/networks", "/machines/hosts", "/machines/projects", "/machines/summary"} {
		if got := get(h, target, byHTMX); got.status != 200 || strings.Contains(got.body, "<html") || len(got.body) < 100 {
			t.Errorf("the fragment of %s = %d, want a part of a page", target, got.status)
		}
	}
	// 286 makes htmx ask no more.
	if got := get(h, "/machines/gone", byHTMX); got.status != 286 || !strings.Contains(got.body, "This instance was deleted.") {
		t.Errorf("the fragment of an instance that is gone = %d %s", got.status, got.body)
	}
}

func post(h http.Handler, target string, form url.Values, change ...func(*http.Request)) answer {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

func TestChangesAskTheCloud(t *testing.T) {
	for _, c := range []struct {
		name, target string
		form         url.Values
		next         string
		asked        []string
	}{
		{"a launch", "/machines", url.Values{"name": {" web "}, "image": {"i1"}, "flavor": {"1"}, "key": {"k"}, "user_data": {"#!/bin/sh\r\n"}}, "/machines/" + serverID,
			[]string{`POST /compute/v2.1/servers {"server":{"flavorRef":"1","imageRef":"i1","key_name":"k","name":"web","networks":"auto","user_data":"IyEvYmluL3NoCg=="}}`}},
		{"a launch of several with a pasted key", "/machines", url.Values{"name": {"web"}, "image": {"i1"}, "flavor": {"1"}, "network": {"n1"}, "count": {"3"}, "public_key": {"ssh-ed25519 AAAA me@home"}}, "/machines",
			[]string{`POST /compute/v2.1/os-keypairs {"keypair":{"name":"me@home","public_key":"ssh-ed25519 AAAA me@home","type":"ssh"}}`,
				`POST /compute/v2.1/servers {"server":{"flavorRef":"1","imageRef":"i1","key_name":"me@home","max_count":3,"min_count":3,"name":"web","networks":[{"uuid":"n1"}]}}`}},
		{"a stop", "/machines/" + serverID + "/do/stop", nil, "/machines/" + serverID, []string{"POST /compute/v2.1/servers/" + serverID + `/action {"os-stop":null}`}},
		{"a snapshot", "/machines/" + serverID + "/do/snapshot", url.Values{"name": {"copy"}}, "/machines/" + serverID + "#snapshots", []string{"POST /compute/v2.1/servers/" + serverID + `/action {"createImage":{"name":"copy"}}`}},
		{"a deletion", "/machines/" + serverID + "/do/delete", nil, "/machines", []string{"DELETE /compute/v2.1/servers/" + serverID + " "}},
		{"a floating address", "/machines/" + serverID + "/do/float", nil, "/machines/" + serverID,
			[]string{`POST /network/v2.0/floatingips {"floatingip":{"fixed_ip_address":"10.20.0.2","floating_network_id":"n1","port_id":"port1","project_id":"p1"}}`}},
		{"its release", "/machines/" + serverID + "/do/unfloat", url.Values{"address": {"172.24.4.3"}}, "/machines/" + serverID, []string{"DELETE /network/v2.0/floatingips/f1 "}},
		{"a rule for ssh", "/machines/" + serverID + "/do/ssh", nil, "/machines/" + serverID,
			[]string{`POST /network/v2.0/security-group-rules {"security_group_rule":{"direction":"ingress","ethertype":"IPv4","port_range_max":22,"port_range_min":22,"project_id":"p1","protocol":"tcp","remote_ip_prefix":"0.0.0.0/0","security_group_id":"g1"}}`}},
		{"a display", "/machines/" + serverID + "/open/vnc", nil, "http://cloud.example:7704/console/vnc_lite.html?path=x", []string{"POST /compute/v2.1/servers/" + serverID + `/remote-consoles {"remote_console":{"protocol":"vnc","type":"novnc"}}`}},
		{"a machine image's deletion", "/machines/images/delete", url.Values{"id": {"s1"}}, "/machines/images", []string{"DELETE /image/v2/images/s1 "}},
	} {
		cl := newCloud(t)
		got := post(buildCloud(t, cl), c.target, c.form, asOperator)
		if got.status != http.StatusSeeOther || got.header.Get("Location") != c.next {
			t.Errorf("%s: POST %s = %d to %s, want 303 to %s", c.name, c.target, got.status, got.header.Get("Location"), c.next)
		}
		if asked := cl.asked(); !slices.Equal(asked, c.asked) {
			t.Errorf("%s asked\n%q, want\n%q", c.name, asked, c.asked)
		}
	}
}

func TestRefusalsInAPersonsWords(t *testing.T) {
	const action = "POST /compute/v2.1/servers/" + serverID + "/action"
	launch := url.Values{"name": {"kept"}, "image": {"s1"}, "flavor": {"4"}, "count": {"7"}, "user_data": {"kept too"}}
	for _, c := range []struct {
		name, target, request, says string
		form                        url.Values
		status                      int
		has                         []string
	}{
		{"a quota", "/machines", "POST /compute/v2.1/servers", `403 {"forbidden":{"message":"Quota exceeded for instances: Requested 7, but already used 4 of 10 instances","code":403}}`, launch, 403,
			[]string{"quota does not allow this", "already used 4 of 10", `value="kept"`, `<option value="s1" selected>`, `<option value="4" selected>`, `value="7"`, "kept too</textarea>", `id="launch" open`}},
		{"a pasted key that is none", "/machines", "POST /compute/v2.1/os-keypairs", `400 {"badRequest":{"message":"Keypair data is invalid: failed to generate fingerprint"}}`, url.Values{"name": {"kept"}, "public_key": {"nonsense"}}, 400,
			[]string{"does not take this as it was filled in", "failed to generate fingerprint", "nonsense</textarea>"}},
		{"a state", "/machines/" + serverID + "/do/stop", action, `409 {"conflictingRequest":{"message":"Cannot 'stop' instance while it is in vm_state stopped"}}`, nil, 409,
			[]string{"not possible in its present state", "vm_state stopped", "one &amp; only"}},
		{"a machine image in use", "/machines/images/delete", "DELETE /image/v2/images/s1", "409 <html><head><title>409 Conflict</title></head><body><h1>409 Conflict</h1>Image s1 is in &quot;use&quot;.<br /><br /></body></html>", url.Values{"id": {"s1"}}, 409,
			[]string{"not possible in its present state", "Image s1 is in &#34;use&#34;.", "tiny-kernel"}},
		{"an action that is none", "/machines/" + serverID + "/do/explode", "", "", nil, 404, []string{"There is nothing here"}},
		{"a cloud that fails", "/machines/" + serverID + "/do/stop", action, `500 {"computeFault":{"message":"oops"}}`, nil, 502, []string{"The service refused", "oops"}},
	} {
		cl := newCloud(t)
		h := buildCloud(t, cl)
		cl.says(c.request, c.says)
		got := post(h, c.target, c.form, asOperator)
		if got.status != c.status {
			t.Errorf("%s: POST %s = %d, want %d", c.name, c.target, got.status, c.status)
		}
		for _, text := range c.has {
			if !strings.Contains(got.body, text) {
				t.Errorf("%s: POST %s lacks %q", c.name, c.target, text)
			}
		}
	}
}

func TestPrivateKeyIsShownOnce(t *testing.T) {
	cl := newCloud(t)
	got := post(buildCloud(t, cl), "/machines/keypairs", url.Values{"new_key": {"fresh"}}, asOperator)
	for _, text := range []string{"-----BEGIN KEY-----", `download="fresh.pem"`, "data:application/x-pem-file;base64,LS0tLS1CRUdJTiBLRVktLS0tLQphYmMK", "/machines?key=fresh#launch"} {
		if got.status != 200 || !strings.Contains(got.body, text) {
			t.Errorf("a new keypair = %d, lacks %q", got.status, text)
		}
	}
	if got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("a private key may be kept: %q", got.header.Get("Cache-Control"))
	}
}

func TestUploadPassesThrough(t *testing.T) {
	cl := newCloud(t)
	h := buildCloud(t, cl)
	upload := func(size int) (int, map[string]string) {
		r := httptest.NewRequest(http.MethodPost, "/machines/images/upload?name=disk&format=raw", strings.NewReader(strings.Repeat("x", size)))
		asOperator(r)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var out map[string]string
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
		return w.Code, out
	}
	const size = 3 << 20 // more than a form may have
	if status, out := upload(size); status != http.StatusCreated || out["id"] != "new" {
		t.Errorf("an upload = %d %v, want it made", status, out)
	}
	asked := cl.asked()
	if len(asked) != 2 || asked[0] != `POST /image/v2/images {"container_format":"bare","disk_format":"raw","name":"disk"}` || len(asked[1]) != len("PUT /image/v2/images/new/file ")+size {
		t.Errorf("an upload asked %.200q", asked)
	}

	cl.says("PUT /image/v2/images/new/file", `400 {"error":{"message":"the file says that it has a backing file"}}`)
	if status, out := upload(10); status != http.StatusBadRequest || out["problem"] == "" || !strings.Contains(out["detail"], "backing file") {
		t.Errorf("an upload that is refused = %d %v, want the reason", status, out)
	}
	if asked := cl.asked(); asked[len(asked)-1] != "DELETE /image/v2/images/new " {
		t.Errorf("after a refusal the last request was %.100q, want the image's deletion", asked[len(asked)-1])
	}
}

func TestFormsAreBounded(t *testing.T) {
	cl := newCloud(t)
	got := post(buildCloud(t, cl), "/machines", url.Values{"name": {"web"}, "user_data": {strings.Repeat("x", 2<<20)}}, asOperator)
	if got.status < 400 && len(cl.asked()) > 0 && strings.Contains(cl.asked()[0], "xxx") {
		t.Errorf("a form of 2 MiB was taken: %d", got.status)
	}
}

func TestRevokedTokenIsReplaced(t *testing.T) {
	cl := newCloud(t)
	h := buildCloud(t, cl)
	if got := get(h, "/machines/hosts"); got.status != 200 {
		t.Fatalf("hosts = %d", got.status)
	}
	cl.says("revoked", cl.token)
	if got := get(h, "/machines/hosts"); got.status != 200 || cl.logins != 2 {
		t.Errorf("with a revoked token hosts = %d after %d logins, want 200 after 2", got.status, cl.logins)
	}
}

func TestCloudIsDown(t *testing.T) {
	cl := newCloud(t)
	h := buildCloud(t, cl)
	cl.Close()
	if got := get(h, "/machines"); got.status != http.StatusBadGateway || !strings.Contains(got.body, "does not answer") {
		t.Errorf("instances of a cloud that is down = %d, want 502 and a page that says so", got.status)
	}
	if got := get(h, "/"); got.status != 200 || !strings.Contains(got.body, "does not answer") {
		t.Errorf("the overview of a cloud that is down = %d, want it with a word on it", got.status)
	}
}
