package glance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack/glance"
	"github.com/kamado/kamado/compute/registry"
	"github.com/kamado/kamado/compute/store"
	"github.com/kamado/kamado/internal/blob/fs"
	"github.com/kamado/kamado/internal/sqldb/sqlite"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// callers are an Authenticator: the token is the key.
type callers map[string]compute.Caller

func (c callers) Authenticate(_ context.Context, token string) (compute.Caller, error) {
	who, ok := c[token]
	if !ok {
		return who, compute.Errorf(compute.Unauthorized, "The request you have made requires authentication.")
	}
	return who, nil
}

var people = callers{
	"admin":  {UserID: "u0", ProjectID: "p0", Roles: []string{compute.RoleAdmin}},
	"alice":  {UserID: "u1", ProjectID: "p1", Roles: []string{compute.RoleMember}},
	"reader": {UserID: "u2", ProjectID: "p1", Roles: []string{compute.RoleReader}},
	"nobody": {UserID: "u3", ProjectID: "p1"},
	"bob":    {UserID: "u4", ProjectID: "p2", Roles: []string{compute.RoleMember}},
}

// server is the dialect over a real store, with a fake of who calls.
type server struct {
	*httptest.Server
	t        testing.TB
	store    *store.Store
	registry *registry.Service
}

func start(t testing.TB) *server {
	t.Helper()
	dir := t.TempDir()
	st, reg := room(t, dir)
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	mux := http.NewServeMux()
	mux.Handle("/image/", http.StripPrefix("/image", glance.New(glance.Deps{Registry: reg, Store: st, Auth: people, Log: log})))
	s := &server{httptest.NewServer(mux), t, st, reg}
	t.Cleanup(s.Close)
	return s
}

// room gives a store and the images in it.
func room(t testing.TB, dir string) (*store.Store, *registry.Service) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Join(dir, "images"), 0o700))
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, "db", "db"))
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	st, err := store.Open(t.Context(), db)
	must(t, err)
	blobs, err := fs.Open(filepath.Join(dir, "images"))
	must(t, err)
	t.Cleanup(func() { must(t, blobs.Close()) })
	return st, registry.New(st, blobs, filepath.Join(dir, "registry"), registry.Default(), slog.New(slog.DiscardHandler))
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// get is a field of a JSON body.
func (a answer) get(name string) any {
	var m map[string]any
	_ = json.Unmarshal(a.body, &m)
	return m[name]
}

func (a answer) text(name string) string { s, _ := a.get(name).(string); return s }

// names gives the names of a list of images, in order.
func (a answer) names() string {
	var l struct{ Images []struct{ Name string } }
	_ = json.Unmarshal(a.body, &l)
	var names []string
	for _, m := range l.Images {
		names = append(names, m.Name)
	}
	return strings.Join(names, " ")
}

// do sends a request: body is nil, a text, or anything else as JSON. header is
// pairs.
func (s *server) do(token, method, path string, body any, header ...string) answer {
	s.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		must(s.t, err)
		r = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+"/image"+path, r)
	must(s.t, err)
	req.Header.Set("X-Auth-Token", token)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.Client().Do(req)
	must(s.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(s.t, err)
	return answer{resp.StatusCode, resp.Header, text}
}

// want is do with the status that must come.
func (s *server) want(status int, token, method, path string, body any, header ...string) answer {
	s.t.Helper()
	a := s.do(token, method, path, body, header...)
	if a.status != status {
		s.t.Fatalf("%s %s by %s = %d %s, want %d", method, path, token, a.status, a.body, status)
	}
	return a
}

type fields = map[string]any

// make adds an image and gives its path.
func (s *server) make(token string, f fields) string {
	s.t.Helper()
	return "/v2/images/" + s.want(201, token, "POST", "/v2/images", f).text("id")
}

func (s *server) fill(token, image, data string) {
	s.t.Helper()
	s.want(204, token, "PUT", image+"/file", data, "Content-Type", "application/octet-stream")
}

func TestVersions(t *testing.T) {
	s := start(t)
	for path, status := range map[string]int{"/": 300, "/versions": 200} {
		a := s.want(status, "", "GET", path, nil)
		var v struct {
			Versions []struct {
				ID, Status string
				Links      []struct{ Rel, Href string }
			}
		}
		must(t, json.Unmarshal(a.body, &v))
		if first := v.Versions[0]; first.ID != "v2.9" || first.Status != "CURRENT" || first.Links[0].Href != s.URL+"/image/v2/" {
			t.Errorf("GET %s begins with %+v", path, first)
		}
		for _, more := range v.Versions[1:] {
			if more.Status != "SUPPORTED" {
				t.Errorf("two versions are current: %+v", more)
			}
		}
	}
}

func TestLifeOfAnImage(t *testing.T) {
	s := start(t)
	a := s.want(201, "alice", "POST", "/v2/images", fields{"name": "x", "disk_format": "raw", "container_format": "bare", "tags": []string{"b", "a"},
		"min_disk": 1, "min_ram": 64, "protected": false, "os_hidden": false, "hw_rng_model": "virtio", "kernel_id": nil})
	id := a.text("id")
	if loc := a.header.Get("Location"); loc != s.URL+"/image/v2/images/"+id {
		t.Errorf("Location = %q", loc)
	}
	for k, v := range map[string]any{"status": "queued", "visibility": "shared", "owner": "p1", "size": nil, "checksum": nil, "virtual_size": nil, "min_disk": 1.0,
		"hw_rng_model": "virtio", "self": "/v2/images/" + id, "file": "/v2/images/" + id + "/file", "schema": "/v2/schemas/image"} {
		if got := a.get(k); got != v {
			t.Errorf("%s = %v, want %v", k, got, v)
		}
	}
	image := "/v2/images/" + id
	if got := s.want(204, "alice", "GET", image+"/file", nil); len(got.body) != 0 {
		t.Errorf("a queued image has the bytes %q", got.body)
	}
	s.want(415, "alice", "PUT", image+"/file", "data", "Content-Type", "text/plain")
	s.fill("alice", image, "0123456789")
	s.want(409, "alice", "PUT", image+"/file", "data", "Content-Type", "application/octet-stream")
	a = s.want(200, "alice", "GET", image, nil)
	if a.text("status") != "active" || a.get("size") != 10.0 || a.text("checksum") != "781e5e245d69b566979b86e28d23f2c7" || a.text("os_hash_algo") != "sha512" {
		t.Errorf("an active image: %s", a.body)
	}
	s.checkRanges(image)

	s.want(204, "alice", "POST", image+"/actions/deactivate", nil)
	s.want(403, "alice", "GET", image+"/file", nil)
	s.want(200, "admin", "GET", image+"/file", nil)
	s.want(204, "alice", "POST", image+"/actions/reactivate", nil)
	s.want(200, "reader", "GET", image+"/file", nil)

	s.want(204, "alice", "PUT", image+"/tags/c", nil)
	s.want(204, "alice", "DELETE", image+"/tags/a", nil)
	s.want(404, "alice", "DELETE", image+"/tags/a", nil)
	if got := fmt.Sprint(s.want(200, "alice", "GET", image, nil).get("tags")); got != "[b c]" {
		t.Errorf("tags = %s", got)
	}
	s.want(204, "alice", "DELETE", image, nil)
	s.want(404, "alice", "GET", image, nil)
	s.want(404, "alice", "DELETE", image, nil)
	s.want(404, "alice", "GET", "/v2/images/", nil)
	s.want(404, "alice", "DELETE", "/v2/images/", nil)
	s.want(405, "alice", "DELETE", "/v2/images", nil)
}

func (s *server) checkRanges(image string) {
	s.t.Helper()
	for header, want := range map[string]string{"": "0123456789", "bytes=0-3": "0123", "bytes=4-": "456789", "bytes=-3": "789", "bytes=8-99": "89", "bytes=0-0": "0", "bytes=1-2,4-5": "0123456789", "lines=1-2": "0123456789"} {
		a := s.do("alice", "GET", image+"/file", nil, "Range", header)
		partial := strings.HasPrefix(header, "bytes=") && !strings.Contains(header, ",")
		if string(a.body) != want || (a.status == 206) != partial || partial && !strings.HasSuffix(a.header.Get("Content-Range"), "/10") {
			s.t.Errorf("Range %q = %d %q %q, want %q", header, a.status, a.header.Get("Content-Range"), a.body, want)
		}
		if !partial && a.header.Get("Content-Md5") != "781e5e245d69b566979b86e28d23f2c7" {
			s.t.Errorf("Content-MD5 = %q", a.header.Get("Content-Md5"))
		}
	}
	for _, header := range []string{"bytes=10-", "bytes=5-4", "bytes=-0", "bytes=x-", "bytes=-", "bytes=", "bytes=99999999999999999999-"} {
		if a := s.do("alice", "GET", image+"/file", nil, "Range", header); a.status != 416 || a.header.Get("Content-Range") != "bytes */10" {
			s.t.Errorf("Range %q = %d %q, want 416", header, a.status, a.header.Get("Content-Range"))
		}
	}
}

func TestCreateRefusals(t *testing.T) {
	s := start(t)
	for _, c := range []struct {
		status int
		body   any
	}{
		{400, "{"}, {400, "[]"}, {400, "null"}, {400, `{"name":1}`}, {400, `{"name":"` + strings.Repeat("x", 256) + `"}`}, {400, fields{"disk_format": "vhd"}},
		{400, fields{"disk_format": "wrong", "container_format": "bare"}}, {400, fields{"container_format": "wrong"}}, {400, fields{"visibility": "everybody"}},
		{400, fields{"min_disk": -1}}, {400, fields{"min_ram": "1"}}, {400, fields{"min_ram": 1.5}}, {400, fields{"min_ram": 1 << 40}}, {400, fields{"protected": "yes"}},
		{400, fields{"tags": "x"}}, {400, fields{"tags": []int{1}}}, {400, fields{"x": 1}}, {400, fields{"x": nil}}, {400, fields{"x": []string{}}}, {400, fields{"id": "x"}}, {400, fields{"id": 7}},
		{403, fields{"status": "active"}}, {403, fields{"size": 1}}, {403, fields{"checksum": "x"}}, {403, fields{"created_at": "x"}}, {403, fields{"locations": []string{}}},
		{403, fields{"os_glance_foo": "bar"}}, {403, fields{"visibility": "public"}}, {403, fields{"owner": "p2"}}, {403, fields{"deleted": true}},
	} {
		s.want(c.status, "alice", "POST", "/v2/images", c.body)
	}
	s.want(413, "alice", "POST", "/v2/images", `{"x":"`+strings.Repeat("x", 2<<20)+`"}`)
	id := compute.NewID()
	s.want(201, "alice", "POST", "/v2/images", fields{"id": id})
	s.want(409, "bob", "POST", "/v2/images", fields{"id": id})
	if a := s.want(201, "admin", "POST", "/v2/images", fields{"owner": "p2", "visibility": "public"}); a.text("owner") != "p2" {
		t.Errorf("an administrator's image for another project: %s", a.body)
	}
}

func TestPatch(t *testing.T) {
	s := start(t)
	const v21, v20 = "application/openstack-images-v2.1-json-patch", "application/openstack-images-v2.0-json-patch"
	image := s.make("alice", fields{"name": "x", "disk_format": "raw", "container_format": "bare", "p": "1"})
	patch := func(status int, token, kind, body string) answer {
		t.Helper()
		return s.want(status, token, "PATCH", image, body, "Content-Type", kind)
	}
	patch(415, "alice", "application/json", `[]`)
	patch(415, "alice", "", `[]`)
	for _, c := range []struct {
		status     int
		kind, body string
	}{
		{200, v21, `[]`},
		{200, v21, `[{"op":"replace","path":"/name","value":"y"},{"op":"add","path":"/q","value":"2"},{"op":"remove","path":"/p"}]`},
		{200, v20, `[{"replace":"/name","value":"z"},{"add":"/p","value":"3"}]`},
		{409, v20, `[{"add":"/p","value":"4"}]`},
		{200, v21, `[{"op":"add","path":"/p","value":"4"}]`},
		{200, v21, `[{"op":"replace","path":"/tags","value":["t"]},{"op":"replace","path":"/min_ram","value":5},{"op":"replace","path":"/disk_format","value":"qcow2"}]`},
		{200, v21, `[{"op":"add","path":"/a~1b~0c","value":"x"}]`},
		{409, v21, `[{"op":"remove","path":"/none"}]`}, {409, v21, `[{"op":"replace","path":"/none","value":"x"}]`},
		{403, v21, `[{"op":"remove","path":"/name"}]`}, {403, v21, `[{"op":"replace","path":"/status","value":"active"}]`},
		{403, v21, `[{"op":"replace","path":"/visibility","value":"public"}]`}, {403, v21, `[{"op":"replace","path":"/owner","value":"p2"}]`},
		{403, v21, `[{"op":"add","path":"/locations/-","value":{"url":"file:///etc/passwd"}}]`}, {403, v21, `[{"op":"replace","path":"/locations","value":[]}]`},
		{403, v20, `[{"add":"/os_glance_foo","value":"bar"}]`},
		{400, v21, `{}`}, {400, v21, `[1]`}, {400, v21, `[{"op":"move","path":"/name","value":"x"}]`}, {400, v21, `[{"op":"add","path":"/name"}]`},
		{400, v21, `[{"op":"add","path":"name","value":"x"}]`}, {400, v21, `[{"op":"add","path":"/a/b","value":"x"}]`}, {400, v21, `[{"op":"add","path":"/","value":"x"}]`},
		{400, v21, `[{"op":"add","path":"/n","value":1}]`}, {400, v20, `[{"add":"/n","replace":"/n","value":"1"}]`}, {400, v21, `[{"op":"replace","path":"/min_disk","value":-1}]`},
	} {
		patch(c.status, "alice", c.kind, c.body)
	}
	a := s.want(200, "alice", "GET", image, nil)
	for k, v := range map[string]any{"name": "z", "p": "4", "q": "2", "a/b~c": "x", "min_ram": 5.0, "disk_format": "qcow2"} {
		if a.get(k) != v {
			t.Errorf("%s = %v, want %v", k, a.get(k), v)
		}
	}
	patch(403, "reader", v21, `[{"op":"replace","path":"/name","value":"y"}]`)
	patch(404, "bob", v21, `[{"op":"replace","path":"/name","value":"y"}]`)
	patch(200, "admin", v21, `[{"op":"replace","path":"/visibility","value":"public"},{"op":"replace","path":"/disk_format","value":"raw"}]`)
	patch(403, "bob", v21, `[{"op":"replace","path":"/name","value":"y"}]`)
	s.fill("alice", image, "bytes")
	patch(403, "alice", v21, `[{"op":"replace","path":"/disk_format","value":"qcow2"}]`)
}

func TestMembers(t *testing.T) {
	s := start(t)
	image := s.make("alice", fields{"name": "x"})
	s.want(400, "alice", "POST", image+"/members", fields{"member": ""})
	s.want(404, "bob", "POST", image+"/members", fields{"member": "p2"})
	a := s.want(200, "alice", "POST", image+"/members", fields{"member": "p2"})
	if a.text("member_id") != "p2" || a.text("status") != "pending" || "/v2/images/"+a.text("image_id") != image || a.text("schema") != "/v2/schemas/member" {
		t.Errorf("a member: %s", a.body)
	}
	s.want(409, "alice", "POST", image+"/members", fields{"member": "p2"})
	s.want(200, "bob", "GET", image, nil)
	s.want(403, "bob", "DELETE", image, nil)
	if got := s.want(200, "bob", "GET", "/v2/images", nil).names(); got != "" {
		t.Errorf("a pending image is in the list: %q", got)
	}
	for query, want := range map[string]string{"member_status=pending": "x", "member_status=all": "x", "visibility=shared&member_status=pending": "x", "member_status=rejected": ""} {
		if got := s.want(200, "bob", "GET", "/v2/images?"+query, nil).names(); got != want {
			t.Errorf("%s lists %q, want %q", query, got, want)
		}
	}
	s.want(403, "alice", "PUT", image+"/members/p2", fields{"status": "accepted"})
	s.want(400, "bob", "PUT", image+"/members/p2", fields{"status": "x"})
	s.want(200, "bob", "PUT", image+"/members/p2", fields{"status": "accepted"})
	if got := s.want(200, "bob", "GET", "/v2/images", nil).names(); got != "x" {
		t.Errorf("an accepted image is not in the list: %q", got)
	}
	s.want(200, "alice", "POST", image+"/members", fields{"member": "p3"})
	if a := s.want(200, "bob", "GET", image+"/members", nil); strings.Contains(string(a.body), "p3") {
		t.Errorf("a member sees the others: %s", a.body)
	}
	s.want(404, "bob", "GET", image+"/members/p3", nil)
	s.want(404, "alice", "GET", image+"/members/p9", nil)
	s.want(403, "bob", "DELETE", image+"/members/p2", nil)
	s.want(204, "alice", "DELETE", image+"/members/p2", nil)
	s.want(404, "bob", "GET", image, nil)
	private := s.make("alice", fields{"visibility": "private"})
	s.want(403, "alice", "POST", private+"/members", fields{"member": "p2"})
	s.want(403, "alice", "GET", private+"/members", nil)
}

func TestStageAndImport(t *testing.T) {
	s := start(t)
	image := s.make("alice", fields{"disk_format": "raw", "container_format": "bare"})
	direct := fields{"method": fields{"name": "glance-direct"}}
	s.want(409, "alice", "POST", image+"/import", direct)
	s.want(415, "alice", "PUT", image+"/stage", "x")
	s.want(204, "alice", "PUT", image+"/stage", "bytes", "Content-Type", "application/octet-stream")
	if a := s.want(200, "alice", "GET", image, nil); a.text("status") != "uploading" || a.get("size") != nil {
		t.Errorf("a staged image: %s", a.body)
	}
	s.want(400, "alice", "POST", image+"/import", fields{"method": fields{"name": "web-download", "uri": "http://169.254.169.254/"}})
	s.want(404, "bob", "POST", image+"/import", direct)
	s.want(202, "alice", "POST", image+"/import", direct)
	if a := s.want(200, "alice", "GET", image+"/file", nil); string(a.body) != "bytes" {
		t.Errorf("an imported image has the bytes %q", a.body)
	}
	if a := s.want(200, "alice", "GET", "/v2/info/import", nil); !strings.Contains(string(a.body), `"value":["glance-direct"]`) {
		t.Errorf("info/import: %s", a.body)
	}
	s.want(404, "alice", "GET", "/v2/info/stores", nil)
	if a := s.want(200, "alice", "GET", "/v2/info/usage", nil); !strings.Contains(string(a.body), `"image_count_total":{"limit":1000,"usage":1}`) {
		t.Errorf("info/usage: %s", a.body)
	}
}

// TestErrorBodies holds the two forms that clients read.
func TestErrorBodies(t *testing.T) {
	s := start(t)
	id := compute.NewID()
	a := s.want(404, "alice", "GET", "/v2/images/"+id, nil, "Accept", "*/*")
	want := "<html>\n <head>\n  <title>404 Not Found</title>\n </head>\n <body>\n  <h1>404 Not Found</h1>\n  No image found with ID " + id + "<br /><br />\n\n\n </body>\n</html>"
	if string(a.body) != want || a.header.Get("Content-Type") != "text/html; charset=UTF-8" {
		t.Errorf("an error is %q", a.body)
	}
	a = s.want(404, "alice", "GET", "/v2/images/"+id, nil, "Accept", "application/json")
	if a.text("code") != "404 Not Found" || a.text("title") != "Not Found" || !strings.HasPrefix(a.text("message"), "No image found with ID "+id) {
		t.Errorf("an error in JSON is %s", a.body)
	}
	a = s.want(400, "alice", "POST", "/v2/images", fields{"disk_format": "<script>"})
	if bytes.Contains(a.body, []byte("<script>")) {
		t.Errorf("an error repeats markup: %s", a.body)
	}
	if a = s.want(401, "x", "GET", "/v2/images", nil); a.header.Get("Www-Authenticate") != `Keystone uri="`+s.URL+`/identity"` {
		t.Errorf("WWW-Authenticate = %q", a.header.Get("Www-Authenticate"))
	}
	if !strings.HasPrefix(a.header.Get("X-Openstack-Request-Id"), "req-") {
		t.Errorf("the request's id is %q", a.header.Get("X-Openstack-Request-Id"))
	}
}

// TestEveryRouteWithEveryRole: a route answers a foreign id as an absent one, and
// a role below its rule with 403.
func TestEveryRouteWithEveryRole(t *testing.T) {
	s := start(t)
	image := s.make("alice", fields{"name": "secret", "disk_format": "raw", "container_format": "bare"})
	s.fill("alice", image, "secret bytes")
	s.want(204, "alice", "PUT", image+"/tags/t", nil)
	s.want(200, "alice", "POST", image+"/members", fields{"member": "p9"})
	absent := "/v2/images/" + compute.NewID()
	octets, patch := []string{"Content-Type", "application/octet-stream"}, []string{"Content-Type", "application/openstack-images-v2.1-json-patch"}
	for _, c := range []struct {
		method, path string
		body         any
		header       []string
		reads        bool
	}{
		{"GET", "", nil, nil, true}, {"PATCH", "", `[{"op":"replace","path":"/name","value":"x"}]`, patch, false}, {"DELETE", "", nil, nil, false},
		{"GET", "/file", nil, nil, true}, {"PUT", "/file", "x", octets, false}, {"PUT", "/stage", "x", octets, false},
		{"POST", "/import", fields{"method": fields{"name": "glance-direct"}}, nil, false}, {"POST", "/actions/deactivate", nil, nil, false}, {"POST", "/actions/reactivate", nil, nil, false},
		{"PUT", "/tags/x", nil, nil, false}, {"DELETE", "/tags/t", nil, nil, false},
		{"GET", "/members", nil, nil, true}, {"POST", "/members", fields{"member": "p2"}, nil, false}, {"GET", "/members/p9", nil, nil, true},
		{"PUT", "/members/p9", fields{"status": "accepted"}, nil, false}, {"DELETE", "/members/p9", nil, nil, false},
	} {
		name := c.method + " " + c.path
		s.want(401, "", c.method, image+c.path, c.body, c.header...)
		s.want(403, "nobody", c.method, image+c.path, c.body, c.header...)
		if !c.reads {
			s.want(403, "reader", c.method, image+c.path, c.body, c.header...)
		} else {
			s.want(200, "reader", c.method, image+c.path, c.body, c.header...)
		}
		foreign := s.want(404, "bob", c.method, image+c.path, c.body, c.header...)
		none := s.want(404, "bob", c.method, absent+c.path, c.body, c.header...)
		if got, want := strings.ReplaceAll(string(foreign.body), image[11:], "ID"), strings.ReplaceAll(string(none.body), absent[11:], "ID"); got != want {
			t.Errorf("%s tells a foreign image from an absent one: %q and %q", name, got, want)
		}
		for _, id := range []string{"x", "..%2f..%2fetc%2fpasswd", "%00", strings.Repeat("a", 5000)} {
			if a := s.do("alice", c.method, "/v2/images/"+id+c.path, c.body, c.header...); a.status != 404 {
				t.Errorf("%s of the image %.20q = %d %s", name, id, a.status, a.body)
			}
		}
	}
	if a := s.want(200, "alice", "GET", image, nil); a.text("name") != "secret" || a.text("status") != "active" {
		t.Errorf("after that the image is %s", a.body)
	}
	for _, path := range []string{"/v2/images", "/v2/info/usage", "/v2/schemas/image"} {
		s.want(401, "", "GET", path, nil)
	}
	s.want(403, "nobody", "GET", "/v2/images", nil)
	s.want(403, "reader", "POST", "/v2/images", fields{})
}

func TestSchemas(t *testing.T) {
	s := start(t)
	for _, name := range []string{"image", "images", "member", "members"} {
		if a := s.want(200, "alice", "GET", "/v2/schemas/"+name, nil); a.text("name") != name {
			t.Errorf("the schema %s: %s", name, a.body)
		}
	}
	s.want(404, "alice", "GET", "/v2/schemas/tasks", nil)
	// Each attribute of an image is in the schema.
	var schema struct{ Properties map[string]any }
	must(t, json.Unmarshal(s.want(200, "alice", "GET", "/v2/schemas/image", nil).body, &schema))
	var image map[string]any
	must(t, json.Unmarshal(s.want(201, "alice", "POST", "/v2/images", fields{}).body, &image))
	for k := range image {
		if schema.Properties[k] == nil {
			t.Errorf("the schema lacks %s", k)
		}
	}
}
