package glance_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestMetadefs is the life of a namespace with everything in it.
func TestMetadefs(t *testing.T) {
	s := start(t)
	const base = "/v2/metadefs/namespaces"
	a := s.want(201, "admin", "POST", base, fields{"namespace": "OS::X", "display_name": "X", "visibility": "public", "protected": true,
		"resource_type_associations": []fields{{"name": "OS::Nova::Flavor", "prefix": "x:"}}})
	if loc := a.header.Get("Location"); loc != s.URL+"/image"+base+"/OS::X" || a.text("namespace") != "OS::X" || a.text("owner") != "p0" {
		t.Errorf("a namespace: %q %s", loc, a.body)
	}
	s.want(409, "admin", "POST", base, fields{"namespace": "OS::X"})
	s.want(400, "admin", "POST", base, fields{"display_name": "without a name"})
	s.want(400, "admin", "POST", base, fields{"namespace": strings.Repeat("x", 81)})
	s.want(201, "admin", "POST", base, fields{"namespace": "hidden"})
	one := base + "/OS::X"
	for _, c := range []struct {
		plural string
		item   fields
	}{{"objects", fields{"name": "o", "required": []string{"p"}}}, {"properties", fields{"name": "o", "title": "P", "type": "string"}}, {"tags", fields{"name": "o"}}} {
		s.want(201, "admin", "POST", one+"/"+c.plural, c.item)
		s.want(409, "admin", "POST", one+"/"+c.plural, c.item)
		s.want(400, "admin", "POST", one+"/"+c.plural, fields{"x": 1})
		if a := s.want(200, "reader", "GET", one+"/"+c.plural+"/o", nil); a.text("name") != "o" {
			t.Errorf("one of %s: %s", c.plural, a.body)
		}
		c.item["name"] = "n"
		if a := s.want(200, "admin", "PUT", one+"/"+c.plural+"/o", c.item); a.text("name") != "n" {
			t.Errorf("a changed one of %s: %s", c.plural, a.body)
		}
		if a := s.want(200, "alice", "GET", one+"/"+c.plural, nil); !strings.Contains(string(a.body), `"name":"n"`) {
			t.Errorf("%s: %s", c.plural, a.body)
		}
		s.want(404, "reader", "GET", one+"/"+c.plural+"/o", nil)
	}
	whole := s.want(200, "reader", "GET", one, nil)
	for _, name := range []string{"objects", "properties", "tags", "resource_type_associations"} {
		if whole.get(name) == nil {
			t.Errorf("a namespace lacks its %s: %s", name, whole.body)
		}
	}
	for query, want := range map[string]string{"": "OS::X", "?resource_types=OS::Nova::Flavor": "OS::X", "?resource_types=OS::Cinder::Volume": "", "?visibility=private": ""} {
		a := s.want(200, "alice", "GET", base+query, nil)
		if got := strings.Count(string(a.body), `"namespace":"`); fmt.Sprint(got) != map[bool]string{true: "0", false: "1"}[want == ""] {
			t.Errorf("namespaces%s: %s", query, a.body)
		}
	}
	s.want(404, "alice", "GET", base+"/hidden", nil)
	s.want(200, "admin", "GET", base+"/hidden", nil)

	s.want(201, "admin", "POST", one+"/resource_types", fields{"name": "OS::New"})
	s.want(409, "admin", "POST", one+"/resource_types", fields{"name": "OS::New"})
	if a := s.want(200, "reader", "GET", "/v2/metadefs/resource_types", nil); !strings.Contains(string(a.body), "OS::New") {
		t.Errorf("resource types: %s", a.body)
	}
	s.want(204, "admin", "DELETE", one+"/resource_types/OS::New", nil)
	s.want(404, "admin", "DELETE", one+"/resource_types/OS::New", nil)
	s.want(403, "admin", "DELETE", one, nil)
	s.want(200, "admin", "PUT", one, fields{"namespace": "renamed", "protected": false, "visibility": "private"})
	s.want(404, "admin", "GET", one, nil)
	s.want(204, "admin", "DELETE", base+"/renamed", nil)
	for _, token := range []string{"alice", "reader", "bob"} {
		s.want(403, token, "POST", base, fields{"namespace": "mine"})
		s.want(403, token, "PUT", base+"/hidden", fields{"namespace": "mine"})
		s.want(403, token, "DELETE", base+"/hidden", nil)
		s.want(403, token, "POST", base+"/hidden/tags/x", nil)
	}
}
