package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/kamado/kamado/dns"
)

// extra are the rows that New mounts beside the table of JSON answers.
var extra = []string{"GET zones/{zone}/file", "GET watch", "GET openapi.yaml"}

// TestOpenAPIHasEveryRoute: the document and the routes are the same rows, and
// say alike which of them need the operator.
func TestOpenAPIHasEveryRoute(t *testing.T) {
	t.Parallel()
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string                `yaml:"operationId"`
			Security    []map[string][]string `yaml:"security"`
		} `yaml:"paths"`
	}
	if err := yaml.Unmarshal(openapi, &doc); err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{} // row: needs the operator
	ids := map[string]bool{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			described[strings.ToUpper(method)+" "+strings.TrimPrefix(path, "/")] = len(op.Security) > 0
			if op.OperationID == "" || ids[op.OperationID] {
				t.Errorf("%s %s: operationId %q is empty or not its own", method, path, op.OperationID)
			}
			ids[op.OperationID] = true
		}
	}
	served := map[string]bool{}
	for _, r := range (&api{}).routes() {
		served[r.method+" "+r.path] = r.change
	}
	for _, row := range extra {
		served[row] = false
	}
	for row, change := range served {
		if operator, ok := described[row]; !ok {
			t.Errorf("openapi.yaml lacks %s", row)
		} else if operator != change {
			t.Errorf("%s: openapi.yaml says that it needs the operator: %v, the routes: %v", row, operator, change)
		}
	}
	for row := range described {
		if _, ok := served[row]; !ok {
			t.Errorf("openapi.yaml has %s, which is not served", row)
		}
	}
}

// TestEveryKindHasAStatus: an error of any kind is a problem document with its status, and an internal one tells nothing.
func TestEveryKindHasAStatus(t *testing.T) {
	t.Parallel()
	seen := map[int]dns.Kind{}
	for _, k := range dns.Kinds() {
		w := httptest.NewRecorder()
		problem(w, httptest.NewRequest("GET", "/v1/records", nil), fmt.Errorf("wrapped: %w", &dns.Error{Kind: k, Detail: "the detail"}))
		if other, twice := seen[w.Code]; twice || w.Code < 400 {
			t.Errorf("kind %v has status %d, as kind %v", k, w.Code, other)
		}
		seen[w.Code] = k
		if told := strings.Contains(w.Body.String(), "the detail"); told == (k == dns.Internal) {
			t.Errorf("kind %v: detail told: %v", k, told)
		}
	}
}

func TestRecordIDGivesItsRecordBack(t *testing.T) {
	t.Parallel()
	id := dns.RecordID{Owner: "n1", Name: "web.svc.test", Type: dns.TypeTXT, Data: "\x03a b\x00 c"}
	got, err := parseRecordID(recordID(id))
	if err != nil || got != id {
		t.Errorf("parseRecordID(recordID(%+v)) = %+v, %v", id, got, err)
	}
	for _, bad := range []string{"", "?", "bjE", recordID(id)[:9]} {
		if _, err := parseRecordID(bad); dns.KindOf(err) != dns.NotFound {
			t.Errorf("parseRecordID(%q) = %v, want not found", bad, err)
		}
	}
}

// TestBodiesAreStrict: what is misspelt, too large or more than one value is an error, never a silent default.
func TestBodiesAreStrict(t *testing.T) {
	t.Parallel()
	for text, kind := range map[string]dns.Kind{
		`{"name":"web","dta":"127.0.0.1"}`: dns.Invalid,
		`{"name":"web"} {}`:                dns.Invalid,
		`{"name":`:                         dns.Invalid,
		`{"name":"` + strings.Repeat("a", bodyBytesMax+1) + `"}`: dns.TooLarge,
	} {
		var rec Record
		err := body(httptest.NewRequest(http.MethodPost, "/", strings.NewReader(text)), &rec)
		if dns.KindOf(err) != kind {
			t.Errorf("body(%.40q) = %v, want kind %v", text, err, kind)
		}
	}
}

func TestRecordIsReadAsWritten(t *testing.T) {
	t.Parallel()
	ttl, weight := uint32(5), uint16(7)
	rec, err := Record{Name: "web", Data: "10.0.0.1", TTL: &ttl, Priority: "backup", Weight: &weight, Check: &Check{Spec: "tcp:10.0.0.1:80", Interval: "2s", Initial: "healthy"}}.record("svc.test")
	if err != nil {
		t.Fatal(err)
	}
	if rec.Name != "web.svc.test" || rec.Type != dns.TypeA || rec.TTL != 5 || rec.Tier != dns.Backup || rec.Weight != 7 || rec.Check.Interval.Seconds() != 2 || rec.Check.Initial != dns.Healthy {
		t.Errorf("got %+v", rec)
	}
	if rec, err := (Record{Name: "web", Data: "::1"}).record("svc.test"); err != nil || rec.Type != dns.TypeAAAA || rec.TTL != dns.TTLDefault || rec.Weight != dns.WeightDefault {
		t.Errorf("defaults: %+v, %v", rec, err)
	}
	for _, bad := range []Record{
		{Name: "web", Data: "10.0.0"}, {Name: "a..b", Data: "10.0.0.1"}, {Name: "web", Data: "10.0.0.1", Priority: "first"}, {Name: "web", Data: "10.0.0.1", Type: "NOPE"},
		{Name: "web", Data: "n1.", Type: "NS"}, {Name: "web", Data: "10.0.0.1", Check: &Check{Spec: "tcp:x:1", Interval: "soon"}},
	} {
		if _, err := bad.record("svc.test"); dns.KindOf(err) != dns.Invalid {
			t.Errorf("%+v: %v, want invalid", bad, err)
		}
	}
}

// TestDifferenceIsTheLeastChange: what stays is not touched, and applying it gives what is wanted.
func TestDifferenceIsTheLeastChange(t *testing.T) {
	t.Parallel()
	rr := func(name, data string, ttl uint32) dns.RR {
		return dns.RR{Name: dns.Name(name), Type: dns.TypeA, TTL: ttl, Data: []byte(data)}
	}
	have := []dns.RR{rr("a", "0001", 5), rr("a", "0002", 5), rr("b", "0001", 5)}
	want := []dns.RR{rr("a", "0001", 5), rr("b", "0001", 9), rr("c", "0001", 5)}
	var got []string
	for _, c := range difference(have, want) {
		got = append(got, fmt.Sprintf("%d %s %s %d", c.Op, c.Name, c.Data, c.TTL))
	}
	slices.Sort(got)
	if want := []string{"0 b 0001 9", "0 c 0001 5", "1 a 0002 5"}; !slices.Equal(got, want) {
		t.Errorf("difference = %q, want %q", got, want)
	}
}
