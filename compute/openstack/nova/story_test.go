package nova_test

import (
	"strings"
	"testing"
)

func TestServerLivesThroughEveryVerb(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	id := c.server(c.member, "oven")
	m := c.member
	c.act(m, "", id, `{"os-stop":null}`, 202, "SHUTOFF")
	// A log that ends with a line feed: the empty piece behind it counts, as Nova counts.
	if r := c.act(m, "", id, `{"os-getConsoleOutput":{"length":3}}`, 200, ""); strings.Count(r.at("output").(string), "\n") != 2 {
		t.Errorf("console of three lines, off = %s", r.text)
	}
	if r := c.ask(m, "", "POST", "/v2.1/servers/"+id+"/action", `{"os-stop":null}`); r.status != 409 || !strings.Contains(r.text, "Cannot 'stop' instance "+id+" while it is in vm_state stopped") {
		t.Errorf("stop twice = %d %s", r.status, r.text)
	}
	c.act(m, "", id, `{"os-start":null}`, 202, "ACTIVE")
	c.act(m, "", id, `{"reboot":{"type":"HARD"}}`, 202, "ACTIVE")
	c.act(m, "", id, `{"reboot":{"type":"soft"}}`, 202, "ACTIVE")
	c.act(m, "", id, `{"pause":null}`, 202, "PAUSED")
	c.act(m, "", id, `{"unpause":null}`, 202, "ACTIVE")
	c.act(m, "", id, `{"suspend":null}`, 202, "SUSPENDED")
	c.act(m, "", id, `{"resume":null}`, 202, "ACTIVE")
	if r := c.act(m, "", id, `{"rescue":{"adminPass":"pw"}}`, 200, "RESCUE"); r.at("adminPass") != "pw" {
		t.Errorf("rescue = %s", r.text)
	}
	c.act(m, "", id, `{"unrescue":null}`, 202, "ACTIVE")
	r := c.act(m, "", id, `{"rebuild":{"imageRef":"`+c.image+`","name":"kiln","metadata":{"a":"b"}}}`, 202, "ACTIVE")
	if r.at("server", "name") != "kiln" || r.at("server", "metadata", "a") != "b" || r.at("server", "adminPass") == "" {
		t.Errorf("rebuild = %s", r.text)
	}
	c.act(m, "", id, `{"resize":{"flavorRef":"84"}}`, 202, "VERIFY_RESIZE")
	c.act(m, "", id, `{"revertResize":null}`, 202, "ACTIVE")
	c.act(m, "", id, `{"resize":{"flavorRef":"84"}}`, 202, "VERIFY_RESIZE")
	c.act(m, "", id, `{"confirmResize":null}`, 204, "ACTIVE")
	c.act(m, "2.73", id, `{"lock":{"locked_reason":"hot"}}`, 202, "")
	if r := c.must(200, m, "2.73", "GET", "/v2.1/servers/"+id, ""); r.at("server", "locked_reason") != "hot" || r.at("server", "flavor", "original_name") != "m1.micro" {
		t.Errorf("locked = %s", r.text)
	}
	c.must(409, m, "", "POST", "/v2.1/servers/"+id+"/action", `{"os-stop":null}`)
	c.act(m, "", id, `{"unlock":null}`, 202, "")
	if r := c.act(m, "", id, `{"createImage":{"name":"loaf","metadata":{"k":"v"}}}`, 202, "ACTIVE"); !strings.Contains(r.header.Get("Location"), "/image/images/") {
		t.Errorf("createImage's Location = %q", r.header.Get("Location"))
	}
	r = c.act(m, "2.45", id, `{"createBackup":{"name":"b","backup_type":"daily","rotation":1}}`, 202, "ACTIVE")
	if s, _ := r.at("image_id").(string); len(s) != 36 {
		t.Errorf("createBackup = %s", r.text)
	}
	if r := c.act(m, "", id, `{"os-getConsoleOutput":{"length":3}}`, 200, ""); strings.Count(r.at("output").(string), "\n") != 2 {
		t.Errorf("console of three lines = %s", r.text)
	}
	if r := c.act(m, "", id, `{"os-getVNCConsole":{"type":"novnc"}}`, 200, ""); !strings.HasPrefix(r.at("console", "url").(string), c.url+"/console/") {
		t.Errorf("console = %s", r.text)
	}
	c.must(200, m, "2.6", "POST", "/v2.1/servers/"+id+"/remote-consoles", `{"remote_console":{"protocol":"vnc","type":"novnc"}}`)
	c.must(400, m, "2.6", "POST", "/v2.1/servers/"+id+"/remote-consoles", `{"remote_console":{"protocol":"spice","type":"spice-html5"}}`)
	c.act(c.admin, "", id, `{"os-resetState":{"state":"error"}}`, 202, "")
	c.must(403, m, "", "POST", "/v2.1/servers/"+id+"/action", `{"os-resetState":{"state":"active"}}`)
	c.act(c.admin, "", id, `{"os-resetState":{"state":"active"}}`, 202, "ACTIVE")
	c.must(204, m, "", "DELETE", "/v2.1/servers/"+id, "")
	poll(t, "server is gone", func() bool { return c.ask(m, "", "GET", "/v2.1/servers/"+id, "").status == 404 })
	c.must(404, m, "2.1", "GET", "/v2.1/servers/"+id+"/os-instance-actions", "")
	if r := c.must(200, m, "2.58", "GET", "/v2.1/servers/"+id+"/os-instance-actions", ""); len(r.at("instanceActions").([]any)) < 15 {
		t.Errorf("actions = %s", r.text)
	}
}

// TestUsagePagesEnd walks pages of usages as clients do: until one is empty.
func TestUsagePagesEnd(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	ids := map[string]bool{c.server(c.member, "a"): true, c.server(c.member, "b"): true}
	for _, path := range []string{"/v2.1/os-simple-tenant-usage?detailed=1&limit=1", "/v2.1/os-simple-tenant-usage/" + c.member.project + "?limit=1"} {
		seen, marker := 0, ""
		for range 4 {
			r := c.must(200, c.admin, "2.40", "GET", path+marker, "")
			u, _ := r.at("tenant_usage").(map[string]any)
			if l, ok := r.at("tenant_usages").([]any); ok && len(l) > 0 {
				u = l[0].(map[string]any)
			}
			rows, _ := u["server_usages"].([]any)
			if len(rows) == 0 {
				break
			}
			id := rows[0].(map[string]any)["instance_id"].(string)
			if seen++; len(rows) != 1 || !ids[id] {
				t.Errorf("page %d of %s = %s", seen, path, r.text)
			}
			marker = "&marker=" + id
		}
		if seen != 2 {
			t.Errorf("%s had %d pages, want 2", path, seen)
		}
	}
}

// TestOldNetworkCalls walks security groups and floating addresses as clients of
// old ask Nova for them.
func TestOldNetworkCalls(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	m, id := c.member, c.server(c.member, "old")
	r := c.must(200, m, "", "POST", "/v2.1/os-security-groups", `{"security_group":{"name":"web","description":"d"}}`)
	group := r.at("security_group", "id").(string)
	rule := `{"security_group_rule":{"parent_group_id":"` + group + `","ip_protocol":"tcp","from_port":"80","to_port":80,"cidr":"10.0.0.0/8"}}`
	r = c.must(200, m, "", "POST", "/v2.1/os-security-group-rules", rule)
	if r.at("security_group_rule", "from_port") != 80.0 || r.at("security_group_rule", "ip_range", "cidr") != "10.0.0.0/8" {
		t.Errorf("rule = %s", r.text)
	}
	ruleID := r.at("security_group_rule", "id").(string)
	c.must(400, m, "", "POST", "/v2.1/os-security-group-rules", rule)
	c.must(404, c.foreign, "", "GET", "/v2.1/os-security-groups/"+group, "")
	c.must(404, c.foreign, "", "DELETE", "/v2.1/os-security-groups/"+group, "")
	c.act(m, "", id, `{"addSecurityGroup":{"name":"web"}}`, 202, "")
	if r := c.must(200, m, "", "GET", "/v2.1/servers/"+id+"/os-security-groups", ""); !strings.Contains(r.text, group) {
		t.Errorf("groups of the server = %s", r.text)
	}
	c.act(m, "", id, `{"removeSecurityGroup":{"name":"web"}}`, 202, "")
	c.must(202, m, "", "DELETE", "/v2.1/os-security-group-rules/"+ruleID, "")
	c.must(202, m, "", "DELETE", "/v2.1/os-security-groups/"+group, "")
	c.must(404, m, "2.36", "GET", "/v2.1/os-security-groups", "")
	r = c.must(200, m, "", "POST", "/v2.1/os-floating-ips", `{"pool":"public"}`)
	ip, fip := r.at("floating_ip", "ip").(string), r.at("floating_ip", "id").(string)
	c.act(m, "", id, `{"addFloatingIp":{"address":"`+ip+`"}}`, 202, "")
	if r := c.must(200, m, "", "GET", "/v2.1/os-floating-ips/"+fip, ""); r.at("floating_ip", "instance_id") != id {
		t.Errorf("floating IP = %s", r.text)
	}
	if r := c.must(200, m, "", "GET", "/v2.1/servers/"+id, ""); !strings.Contains(r.text, ip) {
		t.Errorf("server without its floating IP: %s", r.text)
	}
	c.must(404, c.foreign, "", "GET", "/v2.1/os-floating-ips/"+fip, "")
	c.act(m, "", id, `{"removeFloatingIp":{"address":"`+ip+`"}}`, 202, "")
	c.must(202, m, "", "DELETE", "/v2.1/os-floating-ips/"+fip, "")
}
