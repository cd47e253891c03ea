package console_test

import (
	"bufio"
	"encoding/json"
	"fmt"
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

// member is the HTTP interface of a member, as far as the console asks it.
type member struct {
	*httptest.Server
	news chan string // lines for watchers

	mu    sync.Mutex
	calls []string // changes that were asked for
	gone  bool     // the name web has no records
}

const (
	recordWeb  = `{"id":"cjE","name":"web.svc.test","type":"A","data":"10.0.0.1","ttl":5,"priority":"master","weight":100,"owner":"n1","owner_alive":true,"live":true,"check":{"spec":"tcp:10.0.0.1:80"},"health":{"state":"healthy","since":"2026-11-28T10:00:00Z","output":"connected <b>"}}`
	recordSick = `{"id":"cjI","name":"web.svc.test","type":"A","data":"10.0.0.2","ttl":5,"priority":"backup","weight":1,"location":"rack 2","view":"inside","owner":"n2","owner_alive":true,"live":false,"check":{"spec":"tcp:10.0.0.2:80"},"health":{"state":"unhealthy","since":"2026-11-28T10:00:00Z","output":"connection refused"}}`
	recordAway = `{"id":"cjM","name":"n3.svc.test","type":"A","data":"10.0.0.3","ttl":60,"priority":"origin","weight":100,"owner":"n3","owner_alive":false,"live":false}`
	someEvents = `{"events":[{"seq":4,"time":"2026-11-28T10:00:03.250Z","kind":"health","name":"web.svc.test","type":"A","data":"10.0.0.2","owner":"n2","state":"unhealthy","before":"healthy","text":"connection refused"},
		{"seq":3,"time":"2026-11-28T10:00:02Z","kind":"member","owner":"n3","state":"dead","before":"alive"},
		{"seq":2,"time":"2026-11-28T10:00:01Z","kind":"policy","name":"web.svc.test","text":"weighted"},
		{"seq":1,"time":"2026-11-28T10:00:00Z","kind":"record","name":"web.svc.test","type":"A","data":"10.0.0.1","owner":"n1"}]}`
)

func newMember(t *testing.T) *member {
	t.Helper()
	m := &member{news: make(chan string)}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if r.Method != http.MethodGet {
			m.change(w, r)
			return
		}
		m.read(w, r)
	}))
	t.Cleanup(m.Close)
	return m
}

func (m *member) read(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/v1/status":
		io.WriteString(w, `{"node":"n1","domain":"svc.test","dns":["127.0.0.1:5301"],"members_alive":2,"names":2,"records":3}`)
	case "/v1/records":
		switch {
		case r.FormValue("name") == "..":
			w.WriteHeader(http.StatusBadRequest)
		case r.FormValue("name") == "none":
			io.WriteString(w, `{"records":[]}`)
		case r.FormValue("state") == "unhealthy":
			fmt.Fprintf(w, `{"records":[%s]}`, recordSick)
		default:
			fmt.Fprintf(w, `{"records":[%s,%s,%s],"next":"cjM"}`, recordWeb, recordSick, recordAway)
		}
	case "/v1/names/web.svc.test.":
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.gone {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprintf(w, `{"name":"web.svc.test","policy":{"balance":"nearest","fallback":"backup","max":3},"records":[%s,%s],"zone_records":[{"name":"web.svc.test","type":"TXT","ttl":9,"data":"\"hello\""}]}`, recordWeb, recordSick)
	case "/v1/history":
		io.WriteString(w, someEvents)
	case "/v1/members":
		io.WriteString(w, `{"members":[{"node":"n1","self":true,"state":"alive","dns":["127.0.0.1:5301"],"gossip":"127.0.0.1:7301","http":"127.0.0.1:8301","version":"1.2.3","records":2,"names":["*"],"ranges":["0.0.0.0/0"],"zones":true,"admin":true},
			{"node":"n3","state":"dead","since":"2026-11-28T10:00:02Z","rtt_ms":0.25,"records":1,"names":["web.svc.test"],"certificate_expires":"2027-01-02T00:00:00Z"}]}`)
	case "/v1/explain":
		if r.FormValue("client") == "nobody" {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"detail":"client \"nobody\" is no address"}`)
			return
		}
		fmt.Fprintf(w, `{"name":"web.svc.test","type":%q,"client":"127.0.0.1","zone":"svc.test","rcode":"NOERROR","rule":"masters, weighted","policy":{"balance":"weighted"},"answer":["web.svc.test. 5 IN A 10.0.0.1"],"choices":[{"record":%s,"picked":true,"why":"master, healthy"},{"record":%s,"why":"a backup, and a master lives"}]}`, r.FormValue("type"), recordWeb, recordSick)
	case "/v1/watch":
		w.Header().Set("Content-Type", "text/event-stream")
		http.NewResponseController(w).Flush()
		for {
			select {
			case line := <-m.news:
				io.WriteString(w, line)
				http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (m *member) change(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	m.mu.Lock()
	m.calls = append(m.calls, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+string(body)))
	m.mu.Unlock()
	if strings.Contains(string(body), "10.9.9.9") || strings.HasSuffix(r.URL.Path, "/foreign") {
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"detail":"the certificate of n1 does not cover the address 10.9.9.9"}`)
		return
	}
	if r.Method == http.MethodPost {
		w.WriteHeader(http.StatusCreated)
	}
	io.WriteString(w, recordWeb)
}

func (m *member) asked() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.calls)
}

func buildNames(t *testing.T, m *member) http.Handler {
	t.Helper()
	con, err := console.New(console.Config{
		Images: newService(t).URL, Token: token, Guard: guard{}, Log: slog.New(slog.DiscardHandler), DNS: m.URL, TokenFile: "/var/lib/the kamado/operator.token",
	})
	if err != nil {
		t.Fatal(err)
	}
	return con.Handler()
}

func TestPagesOfNames(t *testing.T) {
	m := newMember(t)
	h := buildNames(t, m)
	for _, c := range []look{
		{"records with their health", "/names", 200, []string{"Names under svc.test, as the member n1", "10.0.0.1", "connected &lt;b&gt;", "unhealthy", "connection refused", "its owner is away", "/names?after=cjM", `href="/names/web.svc.test"`,
			"kamado dns add web 192.0.2.1 --api " + m.URL + " --token-file &#39;/var/lib/the kamado/operator.token&#39;"}, []string{"<b>"}},
		{"the unhealthy ones", "/names?state=unhealthy", 200, []string{"10.0.0.2", `hx-get="/names?state=unhealthy"`}, []string{"10.0.0.1<"}},
		{"a name without records", "/names?name=none", 200, []string{"No member has a record of “none”."}, nil},
		{"what is no name", "/names?name=..", 200, []string{"No member has a record of “..”."}, nil},
		{"one name", "/names/web.svc.test", 200, []string{"tcp:10.0.0.1:80", "rack 2", "view inside", "web.svc.test. 9 TXT &#34;hello&#34;", `<option value="nearest" selected>`, `value="3"`, "delete-cjE", "10:00:03.250", "was healthy",
			"kamado dns policy web.svc.test. --balance nearest --fallback backup --max 3 --api", "/v1/names/web.svc.test./policy", "/names/look-up?name=web.svc.test."}, []string{"delete-cjI"}},
		{"a name that is gone", "/names/gone.svc.test", 404, []string{"There is nothing here"}, nil},
		{"members", "/names/members", 200, []string{"this one", "alive", "dead", "0.25 ms", "everything, also members and keys", "until 2027-01-02", "/names?owner=n3"}, nil},
		{"the timeline", "/names/timeline", 200, []string{"connection refused", "10:00:03.250", "was alive", "<rect class=\"bad\"", "<rect class=\"good\"", "10:00:00 to "}, []string{">policy<"}},
		{"the timeline of everything", "/names/timeline?all=1", 200, []string{">policy<", ">record<", `hx-get="/names/timeline?all=1"`}, nil},
		{"the look-up box", "/names/look-up", 200, []string{`id="look-up"`}, []string{"look-up-found"}},
		{"an answer and why", "/names/look-up?name=web&type=A", 200, []string{"masters, weighted", "web.svc.test. 5 IN A 10.0.0.1", "a backup, and a master lives", "of the zone svc.test",
			"dig @127.0.0.1 -p 5301 web.svc.test A", "kamado dns explain web.svc.test. A --api", "weighted at random"}, nil},
		{"a question that is wrong", "/names/look-up?name=web&client=nobody", 200, []string{"The member does not take this.", "is no address"}, nil},
		{"the line of a record", "/names/line?name=it%27s&data=10.0.0.1&check=tcp:a:1&priority=backup&weight=7&ttl=9&type=A", 200,
			[]string{`kamado dns add &#39;it&#39;\&#39;&#39;s&#39; 10.0.0.1 --type A --ttl 9 --priority backup --weight 7 --check tcp:a:1`, "&#34;check&#34;:{&#34;spec&#34;:&#34;tcp:a:1&#34;}"}, nil},
	} {
		got := get(h, c.target, asOperator)
		c.at(t, got)
	}
}

func TestNamesAreReadOnlyWithoutLogin(t *testing.T) {
	m := newMember(t)
	h := buildNames(t, m)
	for _, target := range []string{"/names", "/names/web.svc.test"} {
		if got := get(h, target); got.status != 200 || strings.Contains(got.body, `method="post"`) {
			t.Errorf("GET %s of a reader = %d with a form, want it without", target, got.status)
		}
	}
	for _, target := range []string{"/names", "/names/web.svc.test/delete", "/names/web.svc.test/policy"} {
		if got := post(h, target, nil); got.status != http.StatusUnauthorized {
			t.Errorf("POST %s of a reader = %d, want 401", target, got.status)
		}
	}
	if asked := m.asked(); len(asked) != 0 {
		t.Errorf("a reader changed %q", asked)
	}
	without := build(t, newService(t))
	if got := get(without, "/names"); got.status != http.StatusNotFound || strings.Contains(get(without, "/").body, `href="/names"`) {
		t.Errorf("without names GET /names = %d", got.status)
	}
}

func TestFragmentsOfNames(t *testing.T) {
	m := newMember(t)
	h := buildNames(t, m)
	for _, target := range []string{"/names", "/names/web.svc.test", "/names/members", "/names/timeline", "/names/look-up?name=web", "/names/line"} {
		if got := get(h, target, byHTMX); got.status != 200 || strings.Contains(got.body, "<html") || len(got.body) < 100 {
			t.Errorf("the fragment of %s = %d, want a part of a page", target, got.status)
		}
	}
	m.gone = true
	if got := get(h, "/names/web.svc.test", byHTMX); got.status != 286 || !strings.Contains(got.body, "has no records any more") {
		t.Errorf("the fragment of a name that is gone = %d %s", got.status, got.body)
	}
}

func TestChangesAskTheMember(t *testing.T) {
	for _, c := range []struct {
		name, target string
		form         url.Values
		next         string
		asked        string
	}{
		{"a record", "/names", url.Values{"name": {" web "}, "data": {"10.0.0.1"}, "priority": {"backup"}, "weight": {"7"}, "ttl": {"9"}, "check": {"tcp:10.0.0.1:80"}}, "/names/web.svc.test",
			`POST /v1/records {"check":{"spec":"tcp:10.0.0.1:80"},"data":"10.0.0.1","name":"web","priority":"backup","ttl":9,"weight":7}`},
		{"a record with a type alone", "/names", url.Values{"name": {"web"}, "data": {"x"}, "type": {"TXT"}}, "/names/web.svc.test",
			`POST /v1/records {"data":"x","name":"web","priority":"master","ttl":60,"type":"TXT","weight":100}`},
		{"a deletion", "/names/web.svc.test/delete", url.Values{"id": {"cjE"}}, "/names/web.svc.test", "DELETE /v1/records/cjE"},
		{"the deletion of the last one", "/names/gone.svc.test/delete", url.Values{"id": {"cjE"}}, "/names", "DELETE /v1/records/cjE"},
		{"a policy", "/names/web.svc.test/policy", url.Values{"balance": {"nearest"}, "fallback": {"all"}, "max": {"3"}, "sources": {" app "}}, "/names/web.svc.test",
			`PUT /v1/names/web.svc.test./policy {"balance":"nearest","fallback":"all","max":3,"sources":"app"}`},
	} {
		m := newMember(t)
		got := post(buildNames(t, m), c.target, c.form, asOperator)
		if got.status != http.StatusSeeOther || got.header.Get("Location") != c.next {
			t.Errorf("%s: %d to %q, want 303 to %q", c.name, got.status, got.header.Get("Location"), c.next)
		}
		if asked := m.asked(); !slices.Equal(asked, []string{c.asked}) {
			t.Errorf("%s: asked %q, want %q", c.name, asked, c.asked)
		}
	}
}

func TestRefusalsOfAMember(t *testing.T) {
	h := buildNames(t, newMember(t))
	got := post(h, "/names", url.Values{"name": {"web"}, "data": {"10.9.9.9"}, "weight": {"7"}}, asOperator)
	if got.status != http.StatusForbidden || !strings.Contains(got.body, "does not cover the address") || !strings.Contains(got.body, `value="10.9.9.9"`) || !strings.Contains(got.body, `id="add" open`) {
		t.Errorf("a record that is refused: %d, want the form as it was filled in", got.status)
	}
	got = post(h, "/names/web.svc.test/delete", url.Values{"id": {"foreign"}}, asOperator)
	if got.status != http.StatusForbidden || !strings.Contains(got.body, "does not cover") || !strings.Contains(got.body, "<h1>web.svc.test</h1>") {
		t.Errorf("a deletion that is refused: %d", got.status)
	}
	down := newMember(t)
	h = buildNames(t, down)
	down.Close()
	for _, target := range []string{"/names", "/names/web.svc.test", "/names/members", "/names/timeline", "/names/look-up?name=web"} {
		if got := get(h, target, asOperator); got.status != http.StatusBadGateway || !strings.Contains(got.body, "does not answer") {
			t.Errorf("GET %s without the member = %d", target, got.status)
		}
	}
}

// TestFeedOfNames tells of changes once, and ends with the client.
func TestFeedOfNames(t *testing.T) {
	m := newMember(t)
	s := httptest.NewServer(buildNames(t, m))
	defer s.Close()
	res, err := http.Get(s.URL + "/names/live")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	next := func() string {
		for lines.Scan() {
			if event, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				return event
			}
		}
		return "nothing"
	}
	if got := []string{next(), next()}; !slices.Equal(got, []string{"still", "changed"}) { // what was shown may be old
		t.Errorf("the feed begins with %q", got)
	}
	event, _ := json.Marshal(map[string]string{"kind": "health"})
	for range 5 { // they come while the first is told
		m.news <- "id: 1\nevent: health\ndata: " + string(event) + "\n\n"
	}
	if got := next(); got != "changed" {
		t.Errorf("a change is told as %q", got)
	}
}
