package nova

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/kamado/kamado/compute"
	"github.com/kamado/kamado/compute/openstack"
)

// nothing is a store without rows.
type nothing struct{}

func (nothing) Read(context.Context, func(*compute.Tx) error) error  { return nil }
func (nothing) Write(context.Context, func(*compute.Tx) error) error { return nil }

func fuzzCall(method, query, body string, v minor, roles ...string) *call {
	r := httptest.NewRequest(method, "/v2.1/servers", strings.NewReader(body))
	r.URL.RawQuery = query
	api := newAPI(Deps{Store: nothing{}})
	return &call{Request: &openstack.Request{Request: r, Caller: compute.Caller{ProjectID: "p", UserID: "u", Roles: roles}},
		w: httptest.NewRecorder(), api: api, v: v}
}

// refused says that an error is one that a client may be told.
func refused(t *testing.T, err error) {
	t.Helper()
	switch compute.KindOf(err) {
	case compute.Invalid, compute.Denied, compute.OverQuota, compute.TooLarge:
	default:
		t.Fatalf("error of kind %v: %v", compute.KindOf(err), err)
	}
}

// FuzzCreate feeds bodies of requests for servers to every check behind them.
func FuzzCreate(f *testing.F) {
	const image, net = "11111111-2222-4333-8444-555555555555", "66666666-2222-4333-8444-555555555555"
	for _, body := range []string{
		`{"server":{"name":"a","imageRef":"` + image + `","flavorRef":"1","networks":[{"uuid":"` + net + `","fixed_ip":"10.0.0.1","tag":"t"}]}}`,
		`{"server":{"name":"a","imageRef":"","flavorRef":1,"networks":"auto","block_device_mapping_v2":[{"source_type":"image","destination_type":"local","uuid":"` + image + `","boot_index":0}]}}`,
		`{"server":{"name":"a","imageRef":"http://x/` + image + `","flavorRef":"http://x/1","min_count":"2","max_count":3,"availability_zone":"z:h:n","user_data":"YQ==","personality":[{"path":"/a","contents":"YQ=="}]},"os:scheduler_hints":{"group":"` + net + `","same_host":["` + net + `"]}}`,
		`{"server":{"name":"\u0000","flavorRef":{},"metadata":{"":1}}}`, `{"server":null}`, `[]`, `{"server":{"networks":[{"port":null}]}}`,
	} {
		f.Add(body, uint8(1))
		f.Add(body, uint8(95))
	}
	f.Fuzz(func(t *testing.T, body string, version uint8) {
		v := min(max(minor(version), minorMin), minorMax)
		c := fuzzCall(http.MethodPost, "", body, v, compute.RoleMember)
		m, err := c.body(c.createSchema())
		if err != nil {
			refused(t, err)
			return
		}
		q, err := c.createRequest(m)
		if err != nil {
			refused(t, err)
			return
		}
		if q.Name == "" || q.FlavorID == "" || !compute.IsID(q.ImageID) || q.Host != "" || len(q.Tags) > tagsMax || len(q.UserData) > userDataMax {
			t.Fatalf("%s gave %+v", body, q)
		}
	})
}

// FuzzAction feeds bodies of actions to the checks of every action.
func FuzzAction(f *testing.F) {
	for _, word := range sortedKeys(actions) {
		f.Add(`{"`+word+`":null}`, uint8(95))
	}
	f.Add(`{"rebuild":{"imageRef":"11111111-2222-4333-8444-555555555555","metadata":{},"user_data":null,"trusted_image_certificates":["a"]}}`, uint8(70))
	f.Add(`{"os-getConsoleOutput":{"length":"-1"}}`, uint8(1))
	f.Fuzz(func(t *testing.T, body string, version uint8) {
		v := min(max(minor(version), minorMin), minorMax)
		c := fuzzCall(http.MethodPost, "", body, v, compute.RoleMember)
		m, err := c.body(nil)
		if err != nil {
			refused(t, err)
			return
		}
		for _, word := range sortedKeys(m) {
			k := actions[word].check
			if k == nil {
				continue
			}
			if err := k(c)(word, m[word]); err != nil {
				refused(t, err)
			}
		}
	})
}

// FuzzSelection feeds queries of lists to the reader of filters and orders.
func FuzzSelection(f *testing.F) {
	for _, q := range []string{"limit=10&marker=x", "status=ACTIVE&status=error&name=%5Ea.*b$", "ip=10%5C.&ip6=fd&tags=a,b&not-tags-any=c",
		"changes-since=2026-01-01T00:00:00Z&changes-before=2027-01-01", "sort_key=created_at&sort_dir=asc&sort_key=name&sort_dir=desc",
		"all_tenants=1&host=a&deleted=true&vm_state=active&status=SHUTOFF&task_state=None", "name=(&limit=-1", "locked=maybe&config_drive=x"} {
		f.Add(q, uint8(1), true)
		f.Add(q, uint8(95), false)
	}
	row := &compute.Instance{Name: "a", VM: compute.VMActive, Addresses: []compute.InstanceAddress{{IP: "10.0.0.1", Version: 4}}}
	f.Fuzz(func(t *testing.T, query string, version uint8, admin bool) {
		if _, err := url.ParseQuery(query); err != nil {
			return
		}
		role := compute.RoleMember
		if admin {
			role = compute.RoleAdmin
		}
		c := fuzzCall(http.MethodGet, query, "", min(max(minor(version), minorMin), minorMax), role)
		if p, err := c.page(); err != nil {
			refused(t, err)
		} else if p.limit < 0 || p.limit > LimitMax {
			t.Fatalf("%s gave a page of %d", query, p.limit)
		}
		s, err := c.selection()
		if err != nil {
			refused(t, err)
			return
		}
		if !admin && s.where["project_id"] != "p" {
			t.Fatalf("%s shows a member more than their project: %v", query, s.where)
		}
		s.keeps(row)
		s.compare(row, row)
	})
}

// FuzzNegotiate feeds headers to the reader of microversions.
func FuzzNegotiate(f *testing.F) {
	for _, s := range []string{"compute 2.1", "compute latest", "volume 3.1, compute 2.90", "compute 3.0", "compute 2.01", "compute 2.99999999999999999999"} {
		f.Add(s, "2.5")
	}
	f.Fuzz(func(t *testing.T, header, legacy string) {
		v, err := negotiate(http.Header{http.CanonicalHeaderKey(headerVersion): {header}, http.CanonicalHeaderKey(headerLegacyVersion): {legacy}})
		if err != nil {
			refused(t, err)
		} else if v < minorMin || v > minorMax {
			t.Fatalf("%q gave %v", header, v)
		}
	})
}

func TestNegotiate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		header, legacy string
		want           minor
		status         int
	}{
		{"", "", 1, 200}, {"compute 2.53", "", 53, 200}, {"compute latest", "", 95, 200}, {"volume 3.1", "", 1, 200},
		{"volume 3.1, compute 2.10", "2.5", 10, 200}, {"", "2.5", 5, 200}, {"Compute 2.10", "", 10, 200},
		{"compute 2.0", "", 0, 406}, {"compute 2.96", "", 0, 406}, {"compute 3.1", "", 0, 406}, {"compute 2.999999999999999999999", "", 0, 406},
		{"compute 2", "", 0, 400}, {"compute x", "", 0, 400}, {"compute 2.01", "", 0, 400}, {"", "2.5.1", 0, 400},
	} {
		h := http.Header{}
		if c.header != "" {
			h.Set(headerVersion, c.header)
		}
		if c.legacy != "" {
			h.Set(headerLegacyVersion, c.legacy)
		}
		v, err := negotiate(h)
		status := 200
		if err != nil {
			w := httptest.NewRecorder()
			fault(w, httptest.NewRequest("GET", "/", nil), err.(*compute.Error))
			status = w.Code
		}
		if status != c.status || status == 200 && v != c.want {
			t.Errorf("negotiate(%q, %q) = %v, %d; want %v, %d", c.header, c.legacy, v, status, c.want, c.status)
		}
	}
}

// TestEveryKindHasAFault walks all kinds of errors.
func TestEveryKindHasAFault(t *testing.T) {
	t.Parallel()
	for _, k := range compute.Kinds() {
		s, known := status[k]
		if !known {
			t.Errorf("no status for %v", k)
			continue
		}
		w := httptest.NewRecorder()
		fault(w, httptest.NewRequest("GET", "/", nil), compute.Errorf(k, "text"))
		if w.Code != s.code || !strings.Contains(w.Body.String(), `"`+s.name+`":{`) {
			t.Errorf("%v = %d %s", k, w.Code, w.Body)
		}
	}
}
