package console_test

import (
	"context"
	"encoding/json"
	"errors"
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

const (
	picturedLook = "0123456789abcdef0123456789abcdef.png"
	purchase     = `{"id":"","seq":"3","op":"confirm","uid":"7","amount":120,"kind":"free","reservation":"2","reason":"shop: straw","time":"2026-11-28T10:00:00Z","entries":[]}`
)

// living is what a house with a world says beside the usual.
var living = map[string]reply{
	"GET world":                   {200, `{"node":"n1","started":"2026-11-28T10:00:00Z","connected":3,"cut":1,"copies":1,"avatars":2,"tick_ms":50,"websocket":"ws://127.0.0.1:1/v1/socket","tcp":"127.0.0.1:7723","nodes":[{"name":"n2","websocket":"ws://127.0.0.1:2/v1/socket","draining":true},{"name":"n1","websocket":"ws://127.0.0.1:1/v1/socket"}]}`},
	"GET world/areas":             {200, `{"copies":[{"copy":"plaza.1","node":"n1","avatars":2,"capacity":100,"things":3,"rounds":9,"moves":1234567,"load":0.0312}],"plans":[{"name":"plaza","width":1600,"height":1200,"capacity":100,"view":400}]}`},
	"GET world/areas/plaza.1":     {200, `{"copy":"plaza.1","node":"n1","avatars":2,"capacity":100,"moves":12,"load":0.5,"members":[{"avatar":7,"uid":"7","name":"momo <b>","x":1599,"y":0,"session":"a"},{"avatar":3,"uid":"8","name":"yuki","x":800,"y":600,"cut":true}]}`},
	"GET world/areas/gone.1":      {404, `{"detail":"gone.1 does not run here","kind":"not_found"}`},
	"GET world/connections":       {200, `{"connections":[{"id":"a","uid":"7","address":"192.0.2.7","transport":"websocket","agent":"<i>Plaza","since":"2026-11-28T10:00:00Z","queued_bytes":2048,"rtt_ns":1500000},{"id":"b","uid":"0","node":"n2","address":"192.0.2.8","transport":"tcp"},{"id":"c","uid":"8","address":"192.0.2.9","transport":""}],"next":"c"}`},
	"GET entities/7/avatar":       {200, `{"name":"momo <b>","look":{"picture":"` + picturedLook + `"}}`},
	"GET entities/8/avatar":       {200, `{"name":"yuki","look":{}}`},
	"GET points/transactions":     {200, `{"transactions":[` + txGrant + "," + purchase + `]}`},
	"GET protocol":                {200, `{"magic":"KMD1","commands":[{"id":10,"name":"say","from_client":true,"reliable":true,"message":"Say","what":"Says <something>.","fields":[{"number":1,"name":"text","type":"string"}]},{"id":32,"name":"moves","from_server":true,"what":"Who moved.","fields":[]},{"id":4,"name":"ping","from_client":true,"from_server":true,"what":"Are you there?","fields":[]}]}`},
	"POST protocol/decode":        {200, `{"magic":true,"frames":[{"command":10,"name":"say","seq":2,"bytes":7,"body":{"text":"<b>hi"}},{"command":999,"name":"","bytes":3,"body":null}],"rest":2,"error":"a length of 0"}`},
	"GET reports":                 {200, `{"from":"2026-11-01","to":"2026-11-02","days":[{"day":"2026-11-01","active":3,"new":2,"sessions":4,"messages":70,"points_in":1000,"points_out":120},{"day":"2026-11-02","active":1,"new":0}],"retention":[{"day":"2026-11-01","users":2,"back":[1,-1,-1]}],"points":[{"op":"grant","count":2,"amount":1000},{"op":"bewitch","count":1,"amount":1}],"areas":[{"area":"plaza","visits":5,"seconds":3725,"messages":70}],"totals":{"active":3,"new":2,"sessions":4,"messages":70,"whispers":9,"points_in":1000,"points_out":120},"made":"2026-11-02T10:00:00Z"}`},
	"PUT world/maintenance":       {200, `{}`},
	"DELETE world/drain":          {200, `{}`},
	"POST world/drain":            {202, `{}`},
	"POST world/notices":          {200, `{}`},
	"DELETE world/areas/plaza.1":  {200, `{}`},
	"DELETE world/connections/7":  {200, `{}`},
	"DELETE world/connections/99": {404, `{"detail":"user 99 is not connected to this node"}`},
}

func newLivingHouse(t *testing.T) *house {
	t.Helper()
	h := newHouse(t)
	for path, r := range living {
		h.other[path] = r
	}
	return h
}

// pagesOfTheWorld are all of them.
var pagesOfTheWorld = []string{"/world", "/world/areas/plaza.1", "/reports", "/reports/file?as=json", "/protocol", "/start", "/start/picture/7/" + picturedLook + "/96"}

func TestPagesOfTheWorld(t *testing.T) {
	h := newLivingHouse(t)
	con := buildPlayers(t, h)
	account := " --api " + h.URL + " --token-file &#39;/var/lib/the kamado/operator.token&#39;"
	for _, c := range []look{
		{"the world", "/world", 200, []string{"Node n1", "Takes users", `href="/world/areas/plaza.1"`, "2 of 100", "3 %", "1\u2009234\u2009567", "Draining", "1.5 ms", "&lt;i&gt;Plaza", "2.0 kB", "Node n2", "lost", `href="/players/7"`, "/world?after=c",
			`action="/world/connections/7/kick"`, `action="/world/areas/plaza.1/close"`, `id="do-drain"`, `id="do-close"`, `href="` + h.URL + `/plaza/"`, "kamado game world drain" + account, "kamado game world notice &#39;We close in five minutes&#39; --in 5m" + account,
			"world/connections/1001"}, []string{"<i>Plaza", `id="do-undrain"`, `id="do-open"`, "connections/0/kick", "was told"}},
		{"more connections", "/world?after=c", 200, []string{`hx-get="/world?after=c"`}, nil},
		{"what was done", "/world?done=notice", 200, []string{"Everybody was told."}, nil},
		{"what nobody does", "/world?done=dance", 200, nil, []string{`class="note"`}},
		{"a copy", "/world/areas/plaza.1", 200, []string{`viewBox="0 0 1600 1200"`, `cx="800" cy="600"`, "momo &lt;b&gt;", `class="spot cut"`, `text-anchor="end"`, "2 of 100 avatars · load 50 % · 12 moves", "kamado game world area plaza.1" + account}, []string{"momo <b>"}},
		{"a copy that does not run", "/world/areas/gone.1", 404, []string{"There is nothing here"}, nil},
		{"a report", "/reports?from=2026-11-01&to=2026-11-02", 200, []string{`value="2026-11-01"`, "50.0 %", "<td class=\"num\">–</td>", "1h2m5s", "Given", "bewitch", "2026-11-01: 1\u202f000", "11-02", "70", "messages, and 9 whispers",
			"kamado game report --data &#39;/var/lib/the kamado&#39; --from 2026-11-01 --to 2026-11-02", `href="/reports/file?as=html&amp;from=2026-11-01&amp;to=2026-11-02"`, "reports?from=2026-11-01&amp;to=2026-11-02"}, nil},
		{"a report as JSON", "/reports/file?as=json", 200, []string{`"points_in": 1000`}, []string{"<html"}},
		{"a report as a page", "/reports/file?as=html", 200, []string{"<style>", "--c0: #a8401b", "<svg", "Players from 2026-11-01 to 2026-11-02"}, []string{"/static/", "<nav"}},
		{"the protocol", "/protocol", 200, []string{"KMD1", "Commands: 3", "Says &lt;something&gt;.", "from the client", "from the server", "from both", "Message Say of the schema.", "4b 4d 44 31", "\\u003cb\\u003ehi", "sequence number 2", "no command of the protocol", "Bytes at the end that are no whole frame: 2", "a length of 0"}, []string{"<something>"}},
		{"a command that is searched for", "/protocol?q=TEXT", 200, []string{`id="command-10"`, "<details open>"}, []string{`id="command-32"`}},
		{"a command by its number", "/protocol?q=32", 200, []string{`id="command-32"`}, []string{`id="command-10"`}},
		{"what servers send", "/protocol?side=server", 200, []string{`id="command-32"`, `id="command-4"`}, []string{`id="command-10"`}},
		{"no command", "/protocol?q=%3Cdance", 200, []string{"No command has “&lt;dance”."}, nil},
	} {
		got := get(con, c.target, asOperator)
		c.at(t, got)
		c.formsHaveTokens(t, got)
	}
}

func TestTheWorldIsForTheOperator(t *testing.T) {
	h := newLivingHouse(t)
	con := buildPlayers(t, h)
	for _, target := range pagesOfTheWorld {
		if got := get(con, target); got.status != http.StatusForbidden || strings.Contains(got.body, "momo") {
			t.Errorf("GET %s of a reader = %d, want 403", target, got.status)
		}
	}
	for _, target := range []string{"/world/do/drain", "/world/areas/plaza.1/close", "/world/connections/7/kick", "/protocol/decode", "/start/guest", "/start/guest/reach"} {
		if got := post(con, target, nil); got.status != http.StatusUnauthorized {
			t.Errorf("POST %s of a reader = %d, want 401", target, got.status)
		}
	}
	if asked := h.asked(); len(asked) != 0 {
		t.Errorf("a reader changed %q", asked)
	}
	for _, target := range []string{"/start/node", "/start/node/kill"} {
		if got := post(con, target, nil, asOperator); got.status != http.StatusNotFound && got.status != http.StatusMethodNotAllowed {
			t.Errorf("without a stage POST %s = %d", target, got.status)
		}
	}
}

func TestTheNodeIsSteered(t *testing.T) {
	for _, c := range []struct {
		name, target string
		form         url.Values
		next, asked  string
	}{
		{"a drain", "/world/do/drain", nil, "/world?done=drain", "POST world/drain  {}"},
		{"its end", "/world/do/undrain", nil, "/world?done=undrain", "DELETE world/drain"},
		{"maintenance", "/world/do/close", url.Values{"text": {" back soon "}}, "/world?done=close", `PUT world/maintenance  {"on":true,"text":"back soon"}`},
		{"the end of maintenance", "/world/do/open", nil, "/world?done=open", `PUT world/maintenance  {"on":false,"text":""}`},
		{"a notice", "/world/do/notice", url.Values{"text": {"hi"}}, "/world?done=notice", `POST world/notices  {"text":"hi"}`},
		{"the end of a copy", "/world/areas/plaza.1/close", nil, "/world?done=area", `DELETE world/areas/plaza.1  {"text":""}`},
		{"a kick", "/world/connections/7/kick", nil, "/world?done=kick", `DELETE world/connections/7  {"text":""}`},
	} {
		h := newLivingHouse(t)
		got := post(buildPlayers(t, h), c.target, c.form, asOperator)
		if got.status != http.StatusSeeOther || got.header.Get("Location") != c.next {
			t.Errorf("%s: %d to %q, want 303 to %q", c.name, got.status, got.header.Get("Location"), c.next)
		}
		if asked := h.asked(); !slices.Equal(asked, []string{c.asked}) {
			t.Errorf("%s: asked %q, want %q", c.name, asked, c.asked)
		}
	}
	h := newLivingHouse(t)
	con := buildPlayers(t, h)
	if post(con, "/world/do/notice", url.Values{"text": {"hi"}, "minutes": {"5"}}, asOperator); !strings.Contains(h.asked()[0], `"at":"20`) {
		t.Errorf("a notice of what comes in five minutes asked %q", h.asked())
	}
	if got := post(con, "/world/connections/99/kick", nil, asOperator); got.status != http.StatusNotFound || !strings.Contains(got.body, "user 99 is not connected") {
		t.Errorf("a kick of nobody = %d", got.status)
	}
	for _, target := range []string{"/world/do/dance", "/world/connections/x/kick"} {
		if got := post(con, target, nil, asOperator); got.status != http.StatusNotFound {
			t.Errorf("POST %s = %d, want 404", target, got.status)
		}
	}
	if got := post(con, "/protocol/decode", url.Values{"hex": {"06 0a"}}, asOperator, byHTMX); got.status != 200 || strings.Contains(got.body, "<html") || !strings.Contains(got.body, "sequence number 2") {
		t.Errorf("what was pasted = %d", got.status)
	}
	h.other["POST protocol/decode"] = reply{400, `{"detail":"hex has something else"}`}
	if got := get(con, "/protocol", asOperator); got.status != 200 || !strings.Contains(got.body, "hex has something else") {
		t.Errorf("what is no hex = %d", got.status)
	}
	h.other["GET reports"] = reply{400, `{"detail":"soon is no day"}`}
	if got := get(con, "/reports?from=soon", asOperator); got.status != 200 || !strings.Contains(got.body, "soon is no day") {
		t.Errorf("a report of no day = %d", got.status)
	}
}

func TestANodeThatIsClosedOffersToOpen(t *testing.T) {
	h := newLivingHouse(t)
	h.other["GET world"] = reply{200, `{"node":"n1","draining":true,"maintenance":"<soon>","nodes":[]}`}
	h.other["GET world/areas"] = reply{200, `{"copies":[],"plans":[]}`}
	h.other["GET world/connections"] = reply{200, `{"connections":[]}`}
	body := get(buildPlayers(t, h), "/world", asOperator).body
	for _, text := range []string{"Closed", "&lt;soon&gt;", `id="do-open"`, `id="do-undrain"`, "No area is open", "Nobody is connected.", "moves are told at once"} {
		if !strings.Contains(body, text) {
			t.Errorf("a closed node lacks %q", text)
		}
	}
}

// scene is a stage that starts nodes with a house of their own.
type scene struct {
	mu    sync.Mutex
	nodes []console.StageNode // guarded by mu
	next  console.StageNode   // what Start starts
	fail  error
	dead  func() // called by Kill
}

func (s *scene) Nodes(context.Context) ([]console.StageNode, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.nodes), nil
}

func (s *scene) Start(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return "", s.fail
	}
	s.nodes = append(s.nodes, s.next)
	return s.next.Name, nil
}

func (s *scene) Kill(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes = slices.DeleteFunc(s.nodes, func(n console.StageNode) bool { return n.Name == name })
	if s.dead != nil {
		s.dead()
	}
	return nil
}

// buildGuided is a console with a stage. Its second node has the house other.
func buildGuided(t *testing.T, h, other *house, notes ...string) (http.Handler, *scene) {
	t.Helper()
	at := func(h *house) string { return strings.Replace(h.URL, "http", "ws", 1) + "/v1/socket" }
	s := &scene{nodes: []console.StageNode{{Name: "n1", WebSocket: at(h)}}}
	if other != nil {
		s.next = console.StageNode{Name: "node-b", WebSocket: at(other), PID: 4711, Token: token}
	}
	con, err := console.New(console.Config{Images: newService(t).URL, Token: token, Guard: guard{}, Log: slog.New(slog.DiscardHandler), Game: h.URL, Stage: s, Notes: notes})
	if err != nil {
		t.Fatal(err)
	}
	return con.Handler(), s
}

func TestStepsAreDoneWhenTheyHappened(t *testing.T) {
	h := newHouse(t)
	for path, r := range living {
		h.other[path] = r
	}
	h.other["GET world/areas"] = reply{200, `{"copies":[{"copy":"plaza.1","avatars":1}]}`}
	h.other["GET entities/7/avatar"] = reply{404, `{}`}
	h.other["GET points/transactions"] = reply{200, `{"transactions":[]}`}
	con, _ := buildGuided(t, h, nil, "compute: no guests here", "dns: something else")
	before := get(con, "/start", asOperator).body
	for _, text := range []string{"0 of 4 done", "Together in one place now: 1.", "No connected player has a picture yet.", "Nothing was bought yet.", `id="start-sum">0<`, `id="button-node"`, "Off here", "no guests here"} {
		if !strings.Contains(before, text) {
			t.Errorf("at first the page lacks %q", text)
		}
	}
	if strings.Contains(before, "something else") {
		t.Error("a note of another service is the reason why no guest runs")
	}

	for path, r := range living {
		h.other[path] = r
	}
	after := get(con, "/start", asOperator).body
	for _, text := range []string{"3 of 4 done", `href="/world/areas/plaza.1"`, "momo &lt;b&gt;", `data-picture-size="/start/picture/7/` + picturedLook + `/"`, "Bought: straw, for 120 points", `href="/ledger?place=3#transactions"`} {
		if !strings.Contains(after, text) {
			t.Errorf("after it happened the page lacks %q", text)
		}
	}
	// What was seen stays done when everybody has left.
	h.other["GET world/areas"] = reply{200, `{"copies":[]}`}
	h.other["GET world/connections"] = reply{200, `{"connections":[]}`}
	if got := get(con, "/start", asOperator, byHTMX); !strings.Contains(got.body, "3 of 4 done") || strings.Contains(got.body, "<html") {
		t.Error("what was done is not done any more")
	}
	// A sum that is not zero is not what the step is about.
	h.other["GET points/sum"] = reply{200, `{"sum":0,"classes":{"issued-free":-10,"user-free":9},"last":"3"}`}
	if got := get(con, "/start", asOperator).body; !strings.Contains(got, "2 of 4 done") || !strings.Contains(got, `class="figure bad"`) {
		t.Error("a broken ledger counts as zero")
	}
	h.other["GET world/areas"] = reply{500, `{"detail":"<broken>"}`}
	if got := get(con, "/start", asOperator); got.status != 200 || !strings.Contains(got.body, "&lt;broken&gt;") {
		t.Errorf("the page without its service = %d", got.status)
	}
}

func TestALinkLeadsToTheFirstMinutes(t *testing.T) {
	h := newLivingHouse(t)
	enter := func(stage console.Stage) string {
		con, err := console.New(console.Config{Images: newService(t).URL, Token: token, Guard: entrance{}, Log: slog.New(slog.DiscardHandler), Game: h.URL, Stage: stage})
		if err != nil {
			t.Fatal(err)
		}
		return get(con.Handler(), "/login?code=1").header.Get("Location")
	}
	if to := enter(&scene{}); to != "/start" {
		t.Errorf("a link leads to %q, want /start", to)
	}
	if to := enter(nil); to != "/" {
		t.Errorf("without a stage a link leads to %q, want /", to)
	}
	guided, _ := buildGuided(t, h, nil)
	if body := get(guided, "/").body; !strings.Contains(body, `id="to-start"`) || strings.Count(body, `href="/start"`) != 2 {
		t.Error("the overview does not lead to the first minutes")
	}
	if body := get(buildPlayers(t, h), "/").body; strings.Contains(body, `href="/start"`) {
		t.Error("without a stage the overview leads to the first minutes")
	}
}

// entrance lets everybody in.
type entrance struct{ guard }

func (entrance) Login(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func TestANodeIsStartedAndKilled(t *testing.T) {
	h, other := newLivingHouse(t), newHouse(t)
	two, none := living["GET world/areas"], reply{200, `{"copies":[]}`}
	other.other["GET world/areas"] = two
	con, s := buildGuided(t, h, other)
	if got := post(con, "/start/node", nil, asOperator); got.status != http.StatusSeeOther || got.header.Get("Location") != "/start#node" {
		t.Fatalf("a start = %d to %q", got.status, got.header.Get("Location"))
	}
	if asked := h.asked(); !slices.Equal(asked, []string{"POST world/drain  {}", "DELETE world/drain"}) {
		t.Errorf("to move its users the node was asked %q", asked)
	}
	h.other["GET world/areas"] = none
	body := get(con, "/start", asOperator).body
	for _, text := range []string{"node-b is ready. Now kill it.", `id="button-kill-node-b"`, "process 4711", `<tr id="stage-node-b"><th scope="row">node-b</th><td class="num">2</td>`} {
		if !strings.Contains(body, text) {
			t.Errorf("with a second node the page lacks %q", text)
		}
	}
	if got := post(con, "/start/node/kill", url.Values{"node": {"n1"}}, asOperator); got.status != http.StatusSeeOther || !strings.Contains(get(con, "/start", asOperator).body, "That node does not run any more.") {
		t.Error("the first node can be killed")
	}
	s.dead = func() { h.other["GET world/areas"] = two } // they come back
	if got := post(con, "/start/node/kill", url.Values{"node": {"node-b"}}, asOperator); got.status != http.StatusSeeOther {
		t.Fatalf("a kill = %d", got.status)
	}
	body = get(con, "/start", asOperator).body
	for _, text := range []string{"node-b, process 4711, was killed with kill -9", "those who were there, 2, were back after ", "All done."} {
		if !strings.Contains(body, text) {
			t.Errorf("after the kill the page lacks %q", text)
		}
	}
	s.fail = errors.New("3 further nodes run already")
	post(con, "/start/node", nil, asOperator)
	if body := get(con, "/start", asOperator).body; !strings.Contains(body, "3 further nodes run already") {
		t.Error("the page does not say why no node was started")
	}
}

// TestAPictureComesFromThePicturesService, and from nowhere else, whatever the plaza says.
func TestAPictureComesFromThePicturesService(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		io.WriteString(w, "stolen")
	}))
	defer elsewhere.Close()
	images := newService(t)
	target := images.URL + "/i/signed/w:96/players/7"
	plaza := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, http.StatusFound) }))
	defer plaza.Close()
	con, err := console.New(console.Config{Images: images.URL, ImagesPublic: "https://img.example.com", Token: token, Guard: guard{}, Log: slog.New(slog.DiscardHandler), Game: plaza.URL})
	if err != nil {
		t.Fatal(err)
	}
	path := "/start/picture/7/" + picturedLook + "/96"
	got := get(con.Handler(), path, asOperator)
	if got.status != 200 || got.body != "/i/signed/w:96/players/7" || got.header.Get("X-Picture-Url") != "https://img.example.com/i/signed/w:96/players/7" || got.header.Get("Set-Cookie") != "" {
		t.Errorf("the picture = %d %q %v", got.status, got.body, got.header)
	}
	target = elsewhere.URL + "/x.png"
	if got := get(con.Handler(), path, asOperator); got.status != http.StatusNotFound || strings.Contains(got.body, "stolen") {
		t.Errorf("a picture of another origin = %d %q", got.status, got.body)
	}
	for _, bad := range []string{"/start/picture/x/" + picturedLook + "/96", "/start/picture/7/..%2Fa.png/96", "/start/picture/7/" + picturedLook + "/big"} {
		if got := get(con.Handler(), bad, asOperator); got.status != http.StatusNotFound {
			t.Errorf("GET %s = %d, want 404", bad, got.status)
		}
	}
}

func TestTheGuestIsBootedAndNamed(t *testing.T) {
	h, cl, m := newLivingHouse(t), newCloud(t), newMember(t)
	cl.says("GET /compute/v2.1/servers/detail", `{"servers":[]}`)
	con, err := console.New(console.Config{
		Images: newService(t).URL, Token: token, Guard: guard{}, Log: slog.New(slog.DiscardHandler), Game: h.URL, Compute: cl.URL, DNS: m.URL, Notes: []string{"compute: no way out"},
		ComputeMember: console.CloudAccount{User: "kamado", Password: "secret", Project: "Kitchen", Cloud: "kamado"}, ComputeAdmin: console.CloudAccount{User: "admin", Password: "more secret", Project: "admin"},
	})
	if err != nil {
		t.Fatal(err)
	}
	page := func() string { return get(con.Handler(), "/start", asOperator).body }
	if body := page(); !strings.Contains(body, `id="button-guest"`) || !strings.Contains(body, "no way out") || strings.Contains(body, "secret") {
		t.Error("no guest can be booted")
	}
	if got := post(con.Handler(), "/start/guest", nil, asOperator); got.header.Get("Location") != "/start#guest" {
		t.Errorf("a boot leads to %q", got.header.Get("Location"))
	}
	want := `POST /compute/v2.1/servers {"server":{"flavorRef":"1","imageRef":"i1","key_name":"k","name":"guest","networks":"auto"}}`
	if asked := cl.asked(); !slices.Equal(asked, []string{want}) {
		t.Errorf("the cloud was asked %q, want %q", asked, want)
	}
	guest := func(status string) string {
		return `{"servers":[{"id":"` + serverID + `","name":"guest","status":"` + status + `","addresses":{"default":[{"addr":"10.20.0.2","OS-EXT-IPS:type":"fixed"}]}}]}`
	}
	cl.says("GET /compute/v2.1/servers/detail", guest("BUILD"))
	if body := page(); strings.Contains(body, `class="card step done" id="guest"`) || !strings.Contains(body, "guest.kitchen.vm.svc.test") || !strings.Contains(body, "dig @127.0.0.1 -p 5301 &#43;short guest.kitchen.vm.svc.test") {
		t.Error("a guest that is being built is done, or has no name")
	}
	cl.says("GET /compute/v2.1/servers/detail", guest("ACTIVE"))
	if body := page(); !strings.Contains(body, `class="card step done" id="guest"`) || !strings.Contains(body, "10.0.0.1") || !strings.Contains(body, `id="button-reach"`) {
		t.Error("a guest that runs and is answered is not done")
	}
	post(con.Handler(), "/start/guest/reach", nil, asOperator)
	if asked := strings.Join(cl.asked(), "\n"); !strings.Contains(asked, "POST /network/v2.0/floatingips") || !strings.Contains(asked, "POST /network/v2.0/security-group-rules") {
		t.Errorf("to be reached the cloud was asked %s", asked)
	}
	cl.says("POST /compute/v2.1/servers", `403 {"forbidden":{"message":"Quota exceeded for instances"}}`)
	post(con.Handler(), "/start/guest", nil, asOperator)
	if body := page(); !strings.Contains(body, "quota does not allow this") {
		t.Error("the page does not say why no guest was booted")
	}
	cl.says("GET /compute/v2.1/os-hypervisors/detail", `{"hypervisors":[{"hypervisor_hostname":"vm","hypervisor_type":"fake","state":"up"}]}`)
	if body := page(); !strings.Contains(body, "Guests cannot run on this machine:") || strings.Contains(body, `id="button-guest"`) {
		t.Error("a guest can be booted where none runs")
	}
}

// TestNamesOfANodeLeave: the step is done when dns has said so, too.
func TestNamesOfANodeLeave(t *testing.T) {
	h, other := newLivingHouse(t), newLivingHouse(t)
	port := strings.TrimPrefix(other.URL, "http://")
	var mu sync.Mutex
	lives := true
	names := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.URL.Path == "/v1/names/_nodes.world.svc.test.":
			_ = json.NewEncoder(w).Encode(map[string]any{"records": []any{map[string]any{"data": "n1", "live": true, "check": map[string]string{"spec": "held:tcp:127.0.0.1:1 reopen"}}, map[string]any{"data": "b", "live": lives, "check": map[string]string{"spec": "held:tcp:" + port + " reopen"}}}})
		case r.URL.Path == "/v1/explain" && r.FormValue("name") == "node-b.world.svc.test" && lives:
			io.WriteString(w, `{"rcode":"NOERROR","answer":["node-b.world.svc.test. 1 IN A 127.0.0.9"]}`)
		default:
			io.WriteString(w, `{"rcode":"NOERROR","answer":[]}`)
		}
	}))
	defer names.Close()
	s := &scene{nodes: []console.StageNode{
		{Name: "n1", WebSocket: strings.Replace(h.URL, "http", "ws", 1), Host: "n1.world.svc.test"},
		{Name: "node-b", WebSocket: strings.Replace(other.URL, "http", "ws", 1), Host: "node-b.world.svc.test", PID: 4711, Token: token},
	}}
	s.dead = func() {
		mu.Lock()
		defer mu.Unlock()
		lives = false
		h.other["GET world/areas"] = reply{200, `{"copies":[{"copy":"plaza.1","avatars":4}]}`}
	}
	con, err := console.New(console.Config{Images: newService(t).URL, Token: token, Guard: guard{}, Log: slog.New(slog.DiscardHandler), Game: h.URL, DNS: names.URL, Stage: s})
	if err != nil {
		t.Fatal(err)
	}
	if body := get(con.Handler(), "/start", asOperator).body; !strings.Contains(body, "127.0.0.9") || !strings.Contains(body, "<code>"+port+"</code>") {
		t.Error("a node that lives is not answered")
	}
	post(con.Handler(), "/start/node/kill", url.Values{"node": {"node-b"}}, asOperator)
	body := get(con.Handler(), "/start", asOperator).body
	for _, text := range []string{"node-b.world.svc.test left the answers after ", "_nodes.world.svc.test had only the living after ", "those who were there, 2, were back after ", `class="card step done" id="node"`} {
		if !strings.Contains(body, text) {
			t.Errorf("after the kill the page lacks %q", text)
		}
	}
	if strings.Contains(body, port) {
		t.Error("a node that was killed is still among the living")
	}
}
