package console_test

import (
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

// house is the HTTP interface of players, as far as the console asks it.
type house struct {
	*httptest.Server

	mu    sync.Mutex
	calls []string // changes that were asked for, with their transaction id
	// What it answers otherwise than usual, by method and path; a status of 0 breaks the connection.
	other map[string]reply
}

type reply struct {
	status int
	body   string
}

const (
	userAnn     = `{"uid":"7","created":"2026-11-28T10:00:00Z","identities":[{"provider":"password","subject":"ann@example.org","linked":"2026-11-28T10:00:00Z"},{"provider":"corp","subject":"<b>ann</b>","linked":"2026-11-28T11:00:00Z"}]}`
	userBanned  = `{"uid":"8","created":"2026-11-28T10:00:00Z","identities":[{"provider":"guest","subject":"abc","linked":"2026-11-28T10:00:00Z"}],"ban":{"until":"2999-01-02T03:04:05Z","reason":"bots <i>"},"mute":{"reason":"insults"}}`
	userFreed   = `{"uid":"9","created":"2026-11-28T10:00:00Z","identities":[],"ban":{"until":"2001-01-01T00:00:00Z","reason":"old"}}`
	userMerged  = `{"uid":"10","created":"2026-11-28T10:00:00Z","identities":[],"merged_into":"7"}`
	userDeleted = `{"uid":"11","created":"2026-11-28T10:00:00Z","identities":null,"deleted":"2026-11-28T12:00:00Z"}`
	annSessions = `{"sessions":[{"id":"s-1","uid":"7","created":"2026-11-28T10:00:00Z","used":"2026-11-28T10:00:00Z","expires":"2026-12-28T10:00:00Z","client":{"address":"192.0.2.7","agent":"Game/3 <b>"}}]}`
	annAccount  = `{"uid":"7","balance":1234567,"free":234567,"paid":1000000,"held":250,"debt":0,"lots":[{"kind":"paid","amount":1000000,"expires":null},{"kind":"free","amount":234567,"expires":"2027-01-01T00:00:00Z"}],"reservations":[{"id":"6","uid":"7","amount":250,"state":"open","expires":"2026-11-28T18:00:00Z"}],"seq":"6"}`
	txGrant     = `{"id":"k1","seq":"1","op":"grant","uid":"7","amount":1500,"kind":"paid","balance":1500,"reason":"<script>alert(1)</script>","by":"operator","time":"2026-11-28T10:00:00Z","entries":[{"from":"issued-paid","to":"user-paid","to_uid":"7","amount":1500,"expires":null}]}`
	txMove      = `{"id":"k2","seq":"2","op":"transfer","uid":"7","to":"8","amount":600,"kind":"free","balance":900,"time":"2026-11-28T10:00:01Z","entries":[{"from":"user-free","from_uid":"7","to":"user-free","to_uid":"8","amount":100},{"from":"user-free","from_uid":"7","to":"user-free","to_uid":"8","amount":101},{"from":"user-free","from_uid":"7","to":"user-free","to_uid":"8","amount":102},{"from":"user-free","from_uid":"7","to":"user-free","to_uid":"8","amount":103},{"from":"user-free","from_uid":"7","to":"user-free","to_uid":"8","amount":194}]}`
	txNew       = `{"id":"k3","seq":"3","op":"bewitch","uid":"8","amount":1,"kind":"free","balance":1,"time":"2026-11-28T10:00:02Z","entries":[{"from":"cauldron","to":"user-free","to_uid":"8","amount":1}]}`
	soundSum    = `{"sum":0,"classes":{"issued-free":-21500,"issued-paid":-5500,"user-free":20265,"user-paid":1330,"held-free":80,"held-paid":170,"user-debt":-60,"spent-free":1155,"spent-paid":3960,"expired-free":0,"expired-paid":0,"revoked":100},"transactions":46,"accounts":8,"last":"3"}`
	grantOpen   = `{"id":"A1","state":"open","uid":"8","amount":70000,"kind":"paid","reason":"campaign <b>","asked_by":"service shop","asked":"2026-11-28T10:00:00Z"}`
	grantOwn    = `{"id":"A2","state":"open","uid":"7","amount":50000,"kind":"free","reason":"outage","asked_by":"operator","asked":"2026-11-28T10:00:00Z"}`
	grantDone   = `{"id":"A3","state":"approved","uid":"7","amount":11,"kind":"free","asked_by":"service shop","asked":"2026-11-28T10:00:00Z","decided_by":"operator","decided":"2026-11-28T11:00:00Z"}`
)

// usual is what a house with some players says.
var usual = map[string]string{
	"users":                          `{"users":[` + userAnn + "," + userBanned + "," + userFreed + "," + userMerged + "," + userDeleted + `],"next":"11"}`,
	"users/7":                        userAnn,
	"users/8":                        userBanned,
	"users/9":                        userFreed,
	"users/10":                       userMerged,
	"users/11":                       userDeleted,
	"users/7/sessions":               annSessions,
	"users/8/sessions":               `{"sessions":[]}`,
	"users/9/sessions":               `{"sessions":[]}`,
	"points/accounts/7":              annAccount,
	"points/accounts/8":              `{"uid":"8","balance":0,"debt":60,"lots":[],"reservations":[],"seq":"0"}`,
	"points/accounts/9":              `{"uid":"9","lots":[],"reservations":[],"seq":"0"}`,
	"points/accounts/7/transactions": `{"transactions":[` + txMove + "," + txGrant + `],"next":"1"}`,
	"points/accounts/8/transactions": `{"transactions":[]}`,
	"points/accounts/9/transactions": `{"transactions":[]}`,
	"points/sum":                     soundSum,
	"points/transactions":            `{"transactions":[` + txGrant + "," + txMove + "," + txNew + `]}`,
	"points/unspent":                 `{"at":"2026-09-30T14:59:59.999999Z","paid":1500,"free":20345,"debt":60,"transactions":46}`,
	"points/approvals":               `{"approvals":[` + grantOpen + "," + grantOwn + "," + grantDone + `]}`,
	"points/approvals?state=open":    `{"approvals":[` + grantOpen + "," + grantOwn + `]}`,
	"points/presents":                `{"presents":[{"id":"P1","amount":100,"kind":"free","reason":"Sorry <3","until":"2999-01-01T00:00:00Z","expires":null,"made":"2026-11-28T10:00:00Z"},{"id":"P2","amount":5,"kind":"paid","reason":"past","until":"2001-01-01T00:00:00Z","made":"2000-11-28T10:00:00Z"}]}`,
	"entities/7":                     `{"entities":[{"name":"avatar","value":"eyJoYXQiOiI8Yj4ifQ==","type":"application/json","version":"17","fence":"4"},{"name":"floor","value":"AAECAwQ=","version":"18"},{"name":"nothing","value":"","version":"19"}],"next":"nothing"}`,
	"entities/8":                     `{"entities":[]}`,
	"locks":                          `{"locks":[{"name":"area.1","held":true,"holder":"server <3>","token":"12","term":3600,"wait":59.4},{"name":"season","held":false,"holder":"gone","token":"3","term":60}],"next":"season"}`,
	"status":                         `{"node":"n1","version":"1.2.3","started":"2026-11-28T10:00:00Z","database":"postgres","points":"postgres","entities":"jetstream","cache":"memcached","locks":"zookeeper","staleness":"up to 20 s","ledger_now":"2026-11-28T10:00:00Z"}`,
	"shards":                         `{"engine":"jetstream","movable":true,"shards":[{"name":"e0","leader":"n1","replicas":[{"node":"n2","lag":3,"seen":0.25,"ready":true},{"node":"n1","leader":true,"lag":0,"ready":true},{"node":"n3","lag":-1,"seen":40,"away":true}],"keys":1234567,"bytes":5000000,"warnings":["n3 is <away>"]},{"name":"e1","leader":"","replicas":[{"node":"n2","lag":900,"seen":1}],"keys":-1,"bytes":-1,"warnings":[]}]}`,
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{other: map[string]reply{}}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		path := strings.TrimPrefix(r.URL.EscapedPath(), "/v1/")
		if r.Method != http.MethodGet {
			body, _ := io.ReadAll(r.Body)
			h.mu.Lock()
			h.calls = append(h.calls, strings.TrimSpace(r.Method+" "+path+" "+r.Header.Get("Idempotency-Key")+" "+string(body)))
			h.mu.Unlock()
		}
		if o, ok := h.other[r.Method+" "+path]; ok {
			if o.status == 0 {
				panic(http.ErrAbortHandler)
			}
			w.WriteHeader(o.status)
			io.WriteString(w, o.body)
			return
		}
		if r.Method != http.MethodGet {
			io.WriteString(w, txMove)
			return
		}
		answer, ok := usual[path+"?"+r.URL.RawQuery]
		if !ok {
			answer, ok = usual[path]
		}
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			answer = `{"detail":"there is none","kind":"not_found"}`
		}
		io.WriteString(w, answer)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *house) asked() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.calls)
}

func buildPlayers(t *testing.T, h *house) http.Handler {
	t.Helper()
	con, err := console.New(console.Config{
		Images: newService(t).URL, Token: token, Guard: guard{}, Log: slog.New(slog.DiscardHandler), Game: h.URL, TokenFile: "/var/lib/the kamado/operator.token",
	})
	if err != nil {
		t.Fatal(err)
	}
	return con.Handler()
}

// pagesOfPlayers are all of them.
var pagesOfPlayers = []string{"/players", "/players/7", "/players/7/entities", "/ledger", "/ledger/approvals", "/ledger/presents", "/locks", "/shards"}

func TestPagesOfPlayers(t *testing.T) {
	h := newHouse(t)
	con := buildPlayers(t, h)
	account := " --api " + h.URL + " --token-file &#39;/var/lib/the kamado/operator.token&#39;"
	for _, c := range []look{
		{"players", "/players", 200, []string{`href="/players/7"`, "ann@example.org", "&lt;b&gt;ann&lt;/b&gt;", "active", "banned", "merged", "deleted", "/players?after=11", "kamado game users list" + account}, []string{"<b>ann"}},
		{"players of a provider", "/players?provider=corp&q=an", 200, []string{`hx-get="/players?provider=corp&amp;q=an"`, `value="corp"`, "--provider corp --subject an", "limit=100&amp;prefix=true&amp;provider=corp&amp;subject=an"}, nil},
		{"one player", "/players/7", 200, []string{"Player 7", "ann@example.org", "since 2026-11-28 11:00:00 UTC", "1\u202f234\u202f567", "2027-01-01 00:00:00 UTC", ">never<", "192.0.2.7", "Game/3 &lt;b&gt;", "&lt;script&gt;alert(1)&lt;/script&gt;",
			"issued, paid", "1 more", `href="/players/8"`, "/players/7?before=1#history", `name="key" value="console-`, `id="do-ban"`, "kamado game points show 7" + account, `id="session-s-1"`}, []string{"<script>alert", "do-unban", "The newest"}},
		{"older transactions of a player", "/players/7?before=9", 200, []string{`hx-get="/players/7?before=9"`, "The newest"}, nil},
		{"what was just done", "/players/7?posted=46", 200, []string{"it is transaction 46 of the ledger"}, nil},
		{"what nobody did", "/players/7?posted=%3Cb%3E", 200, nil, []string{"of the ledger."}},
		{"a banned and muted one", "/players/8", 200, []string{"until 2999-01-02 03:04:05 UTC", "bots &lt;i&gt;", "without an end", "insults", `id="do-unban"`, `id="do-unmute"`, "No points.", "Nothing is held.", "No transactions yet.", "Not signed in anywhere.", "debt after a charge-back"}, []string{`id="do-ban"`}},
		{"one whose ban is over", "/players/9", 200, []string{"active", `id="do-ban"`}, []string{"do-unban"}},
		{"a merged one", "/players/10", 200, []string{"has become player", `href="/players/7"`}, []string{"<form method=\"post\" action=\"/players", "History of the points"}},
		{"a deleted one", "/players/11", 200, []string{"2026-11-28 12:00:00 UTC"}, []string{"<form method=\"post\" action=\"/players", "History of the points"}},
		{"nobody", "/players/404", 404, []string{"There is nothing here"}, nil},
		{"what is no UID", "/players/..%2Fstatus", 404, []string{"There is nothing here"}, nil},
		{"the ledger", "/ledger", 200, []string{"In order: the sum is zero", "\u221221\u202f500", "20\u202f265", "1\u202f155", `id="sum-of-all">0<`, "Transactions: 46. Accounts of players: 8. Place of the last transaction: 3.", "bewitch", "cauldron", "Transferred", "campaign &lt;b&gt;", `id="approve-A1"`, `id="refuse-A2"`,
			"another credential must approve", "kamado game points sum" + account}, []string{"The sum is not zero", "approve-A2", "unspent-found", "Older ones"}},
		{"a place of the ledger", "/ledger?place=2", 200, []string{"Transactions up to place 2", "Transferred", `hx-get="/ledger?place=2"`}, []string{"bewitch"}},
		{"unspent points", "/ledger?day=2026-09-30&zone=%2B09:00", 200, []string{"1\u202f500", "paid, unspent", "kamado game points unspent --at &#39;2026-09-30T23:59:59.999999&#43;09:00&#39;", `<option value="&#43;09:00" selected>`}, []string{"not over"}},
		{"unspent points of a day to come", "/ledger?day=2999-09-30", 200, []string{"This day is not over"}, nil},
		{"unspent points of no day", "/ledger?day=soon", 200, []string{"The day must be a date"}, []string{"unspent-found"}},
		{"approvals", "/ledger/approvals", 200, []string{"campaign &lt;b&gt;", `id="approve-A1"`, "kamado game points approvals" + account}, []string{"approve-A2", "approved"}},
		{"all approvals", "/ledger/approvals?all=1", 200, []string{"approved", "2026-11-28 11:00:00 UTC", `hx-get="/ledger/approvals?all=1"`}, []string{"approve-A3"}},
		{"presents", "/ledger/presents", 200, []string{"Sorry &lt;3", "over", "kamado game points presents" + account}, nil},
		{"entities", "/players/7/entities", 200, []string{"{&#34;hat&#34;:&#34;&lt;b&gt;&#34;}", "application/json", "00000000  00 01 02 03 04", "It is empty.", "/players/7/entities?after=nothing", "kamado game entities list 7" + account}, []string{"<b>\""}},
		{"no entities", "/players/8/entities", 200, []string{"keeps nothing for this player"}, nil},
		{"entities of what is no UID", "/players/x/entities", 404, nil, nil},
		{"locks", "/locks?q=a", 200, []string{"area.1", "server &lt;3&gt;", ">12<", "1h0m0s", "59s", "/locks?after=season&amp;q=a", "kamado game locks list" + account, "prefix=a"}, []string{">gone<"}},
		{"shards", "/shards", 200, []string{"Shard e0", "n3 is &lt;away&gt;", "look at it", "takes no writes", "leads", "ready to lead", "away", "behind", "250ms", "1\u2009234\u2009567 keys", "5.0 MB", "up to 20 s", `id="step-down-e0"`, `id="move-e1"`, "kamado game shards" + account}, nil},
	} {
		got := get(con, c.target, asOperator)
		c.at(t, got)
		c.formsHaveTokens(t, got)
	}
}

// TestReplicasStayInTheirPlaces, whoever leads.
func TestReplicasStayInTheirPlaces(t *testing.T) {
	body := get(buildPlayers(t, newHouse(t)), "/shards", asOperator).body
	if i, j := strings.Index(body, "replica-e0-n1"), strings.Index(body, "replica-e0-n2"); i < 0 || j < i {
		t.Error("the replicas are not in the order of their nodes")
	}
}

// TestPlayersAreForTheOperator: not even this machine reads of people and money without a login.
func TestPlayersAreForTheOperator(t *testing.T) {
	h := newHouse(t)
	con := buildPlayers(t, h)
	for _, target := range pagesOfPlayers {
		if got := get(con, target); got.status != http.StatusForbidden || !strings.Contains(got.body, "kamado console link") || strings.Contains(got.body, "ann@example.org") {
			t.Errorf("GET %s of a reader = %d, want 403 and how to log in", target, got.status)
		}
	}
	for _, target := range []string{"/players/7/do/ban", "/players/7/points", "/ledger/approvals/A1/approve", "/shards/e0/move"} {
		if got := post(con, target, nil); got.status != http.StatusUnauthorized {
			t.Errorf("POST %s of a reader = %d, want 401", target, got.status)
		}
	}
	if asked := h.asked(); len(asked) != 0 {
		t.Errorf("a reader changed %q", asked)
	}
	without := build(t, newService(t))
	if got := get(without, "/players", asOperator); got.status != http.StatusNotFound || strings.Contains(get(without, "/").body, `href="/players"`) {
		t.Errorf("without players GET /players = %d", got.status)
	}
}

func TestFragmentsOfPlayers(t *testing.T) {
	h := newHouse(t)
	con := buildPlayers(t, h)
	for _, target := range pagesOfPlayers {
		if target == "/players/7/entities" {
			continue // it does not refresh
		}
		if got := get(con, target, byHTMX, asOperator); got.status != 200 || strings.Contains(got.body, "<html") || len(got.body) < 100 {
			t.Errorf("the fragment of %s = %d, want a part of a page", target, got.status)
		}
	}
	h.other["GET points/unspent"] = reply{500, ""} // is dear, and asked for by nobody who only refreshes
	if got := get(con, "/ledger?day=2026-09-30", byHTMX, asOperator); strings.Contains(got.body, "cannot be shown") {
		t.Error("a refresh of the ledger adds up all entries")
	}
}

func TestWhatIsEmpty(t *testing.T) {
	h := newHouse(t)
	con := buildPlayers(t, h)
	for path, body := range map[string]string{
		"users": `{"users":[]}`, "points/sum": `{"sum":0,"classes":{},"transactions":0,"last":"0"}`, "points/transactions": `{"transactions":[]}`, "points/approvals": `{"approvals":[]}`,
		"points/presents": `{"presents":[]}`, "locks": `{"locks":[]}`, "shards": `{"engine":"pebble","movable":false,"shards":[]}`,
	} {
		h.other["GET "+path] = reply{200, body}
	}
	for target, text := range map[string]string{
		"/players": "No players yet", "/players?q=zz": "No player has such a UID or subject", "/ledger": "No transactions yet.", "/ledger/approvals": "Nothing waits.", "/ledger/approvals?all=1": "There was none yet",
		"/ledger/presents": "No presents.", "/locks": "No lock was ever asked for.", "/locks?q=a%3C": "No lock begins with “a&lt;”.", "/shards": "The engine pebble keeps all entities in one place.",
	} {
		if got := get(con, target, asOperator); got.status != 200 || !strings.Contains(got.body, text) {
			t.Errorf("GET %s of nothing = %d, want %q", target, got.status, text)
		}
	}
	// Digits may be a UID.
	if got := get(con, "/players?q=7", asOperator); !strings.Contains(got.body, `href="/players/7"`) {
		t.Error("a UID finds nobody")
	}
}

func TestABrokenSumIsSaidLoudly(t *testing.T) {
	for name, body := range map[string]string{
		"by the service":              `{"sum":5,"classes":{"issued-free":-10,"user-free":10},"last":"0"}`,
		"by what is added up":         `{"sum":0,"classes":{"issued-free":-10,"user-free":9},"last":"0"}`,
		"by a class that is not told": `{"sum":0,"classes":{"issued-free":-10,"user-free":10,"hidden":-1},"last":"0"}`,
	} {
		h := newHouse(t)
		h.other["GET points/sum"] = reply{200, body}
		got := get(buildPlayers(t, h), "/ledger", asOperator)
		if !strings.Contains(got.body, "The sum is not zero") || !strings.Contains(got.body, `role="alert"`) || strings.Contains(got.body, "In order") {
			t.Errorf("%s: a sum that is not zero looks fine", name)
		}
	}
}

func TestChangesAskTheHouse(t *testing.T) {
	for _, c := range []struct {
		name, target string
		form         url.Values
		next         string
		asked        string
	}{
		{"a ban", "/players/7/do/ban", url.Values{"reason": {" bots "}}, "/players/7", `PUT users/7/ban  {"reason":"bots"}`},
		{"the end of a ban", "/players/7/do/unban", nil, "/players/7", "DELETE users/7/ban"},
		{"the end of a mute", "/players/7/do/unmute", nil, "/players/7", "DELETE users/7/mute"},
		{"a sign-out", "/players/7/do/sign-out", nil, "/players/7", "DELETE users/7/sessions"},
		{"the end of a session", "/players/7/do/end-session", url.Values{"session": {"a/b"}}, "/players/7", "DELETE users/7/sessions/a%2Fb"},
		{"a grant", "/players/7/points", url.Values{"op": {"grant"}, "amount": {"500"}, "kind": {"paid"}, "last": {"2027-03-31"}, "reason": {"<b>"}, "key": {"console-1"}}, "/players/7?posted=2",
			`POST points/grants console-1 {"amount":500,"expires":"2027-04-01T00:00:00Z","kind":"paid","reason":"\u003cb\u003e","uid":"7"}`},
		{"a spend", "/players/7/points", url.Values{"op": {"spend"}, "amount": {"5"}, "kind": {"free"}, "reason": {"r"}, "key": {"console-2"}}, "/players/7?posted=2", `POST points/spends console-2 {"amount":5,"reason":"r","uid":"7"}`},
		{"an approval", "/ledger/approvals/A1/approve", nil, "/ledger/approvals?all=1", "POST points/approvals/A1/approve"},
		{"a refusal", "/ledger/approvals/A1/refuse", nil, "/ledger/approvals?all=1", "POST points/approvals/A1/refuse"},
		{"a leader", "/shards/e0/step-down", url.Values{"node": {"n2"}}, "/shards", `POST shards/e0/step-down  {"to":"n2"}`},
		{"any leader", "/shards/e0/step-down", url.Values{"node": {""}}, "/shards", `POST shards/e0/step-down  {}`},
		{"a move", "/shards/e0/move", url.Values{"node": {"n3"}}, "/shards", `POST shards/e0/move  {"from":"n3"}`},
	} {
		h := newHouse(t)
		got := post(buildPlayers(t, h), c.target, c.form, asOperator)
		if got.status != http.StatusSeeOther || got.header.Get("Location") != c.next {
			t.Errorf("%s: %d to %q, want 303 to %q", c.name, got.status, got.header.Get("Location"), c.next)
		}
		if asked := h.asked(); !slices.Equal(asked, []string{c.asked}) {
			t.Errorf("%s: asked %q, want %q", c.name, asked, c.asked)
		}
	}
	h := newHouse(t)
	con := buildPlayers(t, h)
	if got := post(con, "/players/7/do/mute", url.Values{"reason": {"x"}, "days": {"3"}}, asOperator); got.status != http.StatusSeeOther || !strings.Contains(h.asked()[0], `"until":"20`) {
		t.Errorf("a mute of three days asked %q", h.asked())
	}
	h.other["DELETE users/7/sessions/s-1"] = reply{404, `{}`}
	if got := post(con, "/players/7/do/end-session", url.Values{"session": {"s-1"}}, asOperator); got.status != http.StatusSeeOther {
		t.Errorf("the end of a session that is over = %d, want the player's page", got.status)
	}
	h.other["POST points/grants"] = reply{202, grantOpen}
	if got := post(con, "/players/7/points", url.Values{"op": {"grant"}, "amount": {"5000"}, "reason": {"r"}, "key": {"console-3"}}, asOperator); got.header.Get("Location") != "/ledger/approvals" {
		t.Errorf("a grant above the limit leads to %q", got.header.Get("Location"))
	}
	for _, target := range []string{"/players/7/do/dance", "/players/x/do/ban", "/ledger/approvals/A1/eat", "/shards/e0/eat"} {
		if got := post(con, target, nil, asOperator); got.status != http.StatusNotFound {
			t.Errorf("POST %s = %d, want 404", target, got.status)
		}
	}
}

// TestTheSameFormCountsOnce: a form that is sent again, by a double click or after an answer that was lost, is the same transaction.
func TestTheSameFormCountsOnce(t *testing.T) {
	h := newHouse(t)
	con := buildPlayers(t, h)
	keyOf := func(body string) string {
		_, rest, _ := strings.Cut(body, `name="key" value="`)
		key, _, _ := strings.Cut(rest, `"`)
		return key
	}
	first, second := keyOf(get(con, "/players/7", asOperator).body), keyOf(get(con, "/players/7", asOperator).body)
	if len(first) < 30 || first == second {
		t.Errorf("two forms have the transaction ids %q and %q", first, second)
	}
	form := url.Values{"op": {"grant"}, "amount": {"500"}, "kind": {"paid"}, "reason": {"gift"}, "last": {"2027-03-31"}, "key": {first}}
	for _, o := range []reply{{0, ""}, {503, `{"detail":"the request took too long","doubt":true}`}} {
		h.other["POST points/grants"] = o
		got := post(con, "/players/7/points", form, asOperator)
		if got.status != http.StatusBadGateway || !strings.Contains(got.body, "the same form counts once") {
			t.Errorf("an answer that was lost: %d", got.status)
		}
		if keyOf(got.body) != first || !strings.Contains(got.body, `value="500"`) || !strings.Contains(got.body, `value="2027-03-31"`) || !strings.Contains(got.body, `<option value="paid" selected>`) {
			t.Errorf("the form that is sent again is not the same: its key is %q, want %q", keyOf(got.body), first)
		}
	}
	delete(h.other, "POST points/grants")
	post(con, "/players/7/points", form, asOperator)
	asked := h.asked()
	for _, a := range asked {
		if a != asked[0] {
			t.Errorf("asked %q, then %q", asked[0], a)
		}
	}
}

func TestRefusalsOfTheHouse(t *testing.T) {
	order := func(change ...string) url.Values {
		v := url.Values{"op": {"grant"}, "amount": {"5"}, "kind": {"free"}, "reason": {"r"}, "key": {"console-1"}}
		for i := 0; i < len(change); i += 2 {
			v.Set(change[i], change[i+1])
		}
		return v
	}
	for _, c := range []struct {
		name, target string
		form         url.Values
		refused      string // request that is
		with         reply
		status       int
		has          []string
	}{
		{"too little", "/players/7/points", order("op", "spend", "amount", "77"), "POST points/spends", reply{409, `{"detail":"user 7 has 5 <points>"}`}, 409, []string{"not possible as things are", "user 7 has 5 &lt;points&gt;", `value="77"`, `value="console-1"`, `<option value="spend" selected>`}},
		{"an amount that is none", "/players/7/points", order("amount", "1e3"), "", reply{}, 400, []string{"a whole number from 1 on", `value="1e3"`}},
		{"a negative amount", "/players/7/points", order("amount", "-1"), "", reply{}, 400, []string{"a whole number from 1 on"}},
		{"no reason", "/players/7/points", order("reason", " "), "", reply{}, 400, []string{"Say why"}},
		{"no key", "/players/7/points", order("key", ""), "", reply{}, 400, []string{"Load the page again"}},
		{"no operation", "/players/7/points", order("op", "steal"), "", reply{}, 400, []string{"given or taken"}},
		{"an end of what is taken", "/players/7/points", order("op", "spend", "last", "2027-01-01"), "", reply{}, 400, []string{"for points that are given"}},
		{"an end that is none", "/players/7/points", order("last", "tomorrow"), "", reply{}, 400, []string{"must be a date"}},
		{"a ban of no days", "/players/7/do/ban", url.Values{"reason": {"x"}, "days": {"0"}}, "", reply{}, 400, []string{"Days must be a whole number"}},
		{"a ban that is refused", "/players/7/do/ban", url.Values{"reason": {"x"}}, "PUT users/7/ban", reply{400, `{"detail":"too long"}`}, 400, []string{"does not take this", "too long", "Player 7"}},
		{"a ban that is not answered", "/players/7/do/ban", url.Values{"reason": {"x"}}, "PUT users/7/ban", reply{0, ""}, 502, []string{"did not say that this was done"}},
		{"one's own grant", "/ledger/approvals/A2/approve", nil, "POST points/approvals/A2/approve", reply{403, `{"detail":"operator asked for it: somebody else has to approve"}`}, 403, []string{"may not do that", "somebody else has to approve", "campaign"}},
		{"an approval that is not answered", "/ledger/approvals/A1/approve", nil, "POST points/approvals/A1/approve", reply{0, ""}, 502, []string{"not known whether this was done"}},
		{"a move that cannot be", "/shards/e0/move", url.Values{"node": {"n1"}}, "POST shards/e0/move", reply{503, `{"detail":"no node is free"}`}, 502, []string{"no node is free", "Shard e0"}},
		{"a move without a place", "/shards/e0/move", url.Values{"node": {"n1"}}, "POST shards/e0/move", reply{400, `{"detail":"peer remap failed"}`}, 400, []string{"let one join the cluster first", "peer remap failed"}},
	} {
		h := newHouse(t)
		if c.refused != "" {
			h.other[c.refused] = c.with
		}
		got := post(buildPlayers(t, h), c.target, c.form, asOperator)
		if got.status != c.status {
			t.Errorf("%s: POST %s = %d, want %d", c.name, c.target, got.status, c.status)
		}
		for _, text := range append(c.has, `role="alert"`) {
			if !strings.Contains(got.body, text) {
				t.Errorf("%s: POST %s lacks %q", c.name, c.target, text)
			}
		}
		if asked := h.asked(); c.refused == "" && len(asked) != 0 {
			t.Errorf("%s: asked %q for a form that is wrong", c.name, asked)
		}
	}
}

// TestPartsOfPagesFailAlone: who must be banned can be, also while the ledger is stopped.
func TestPartsOfPagesFailAlone(t *testing.T) {
	h := newHouse(t)
	con := buildPlayers(t, h)
	stopped := reply{503, `{"detail":"the ledger is <stopped>","kind":"unavailable"}`}
	for _, path := range []string{"points/accounts/7", "users/7/sessions", "points/approvals", "points/transactions", "points/unspent", "shards"} {
		h.other["GET "+path] = stopped
	}
	for target, want := range map[string][]string{
		"/players/7":             {"ann@example.org", `id="do-ban"`, "the ledger is &lt;stopped&gt;"},
		"/ledger?day=2026-09-30": {"In order", "the ledger is &lt;stopped&gt;"},
		"/shards":                {"zookeeper", "the ledger is &lt;stopped&gt;"},
	} {
		got := get(con, target, asOperator)
		for _, text := range append(want, "cannot be shown at the moment") {
			if got.status != 200 || !strings.Contains(got.body, text) {
				t.Errorf("GET %s without a part = %d, lacks %q", target, got.status, text)
			}
		}
	}
	for target, path := range map[string]string{"/players?provider=%25": "users", "/locks?q=%25": "locks"} {
		h.other["GET "+path] = reply{400, `{"detail":"that is no name"}`}
		if got := get(con, target, asOperator); got.status != 200 || !strings.Contains(got.body, "that is no name") {
			t.Errorf("GET %s that is refused = %d", target, got.status)
		}
	}
	h.Close()
	for _, target := range pagesOfPlayers {
		if got := get(con, target, asOperator); got.status != http.StatusBadGateway || !strings.Contains(got.body, "does not answer") {
			t.Errorf("GET %s without the service = %d", target, got.status)
		}
	}
}

// TestPlacesOfTheLedger asks for the newest transactions by their places.
func TestPlacesOfTheLedger(t *testing.T) {
	h := newHouse(t)
	var asked []string
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/points/sum" {
			fmt.Fprint(w, `{"sum":0,"classes":{},"last":"100"}`)
			return
		}
		if r.URL.Path == "/v1/points/transactions" {
			asked = append(asked, r.URL.RawQuery)
			fmt.Fprintf(w, `{"transactions":[{"seq":"71","op":"spend"},{"seq":"100","op":"spend"},{"seq":"101","op":"spend"}]}`)
			return
		}
		h.Config.Handler.ServeHTTP(w, r)
	}))
	defer front.Close()
	con := buildPlayers(t, &house{Server: front})
	got := get(con, "/ledger", asOperator).body
	if i, j := strings.Index(got, `id="tx-100"`), strings.Index(got, `id="tx-71"`); i < 0 || j < i || strings.Contains(got, "tx-101") || !strings.Contains(got, "/ledger?place=70#transactions") {
		t.Error("the newest transactions do not come first, up to the place of the sum")
	}
	get(con, "/ledger?place=40", asOperator)
	get(con, "/ledger?place=7", asOperator)
	get(con, "/ledger?place=9999", asOperator)
	if want := []string{"after=70&limit=30", "after=10&limit=30", "after=0&limit=30", "after=70&limit=30"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
}
