package browser

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// ask asks the API of players with a credential of the data directory, and reads what is wanted of the answer.
func (w world) ask(t *testing.T, credential, method, path string, body any, into any) {
	t.Helper()
	secret, err := os.ReadFile(filepath.Join(w.data, credential))
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, w.game+"/v1/"+path, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(secret)))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		t.Fatalf("%s %s = %d %s %v", method, path, res.StatusCode, answer, err)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPlayers looks after a player who has points, and sees the ledger add up.
func TestPlayers(t *testing.T) {
	w := start(t)
	var ann struct{ UID string }
	const service, op = "service.token", "operator.token"
	w.ask(t, service, "POST", "users", map[string]string{"provider": "password", "email": "ann@example.org", "password": "correct horse battery"}, &ann)
	w.ask(t, service, "POST", "points/grants", map[string]any{"uid": ann.UID, "amount": 1500, "kind": "paid", "reason": "<b>receipt</b> 4711"}, nil)
	w.ask(t, service, "POST", "points/spends", map[string]any{"uid": ann.UID, "amount": 420}, nil)
	w.ask(t, service, "POST", "points/reservations", map[string]any{"uid": ann.UID, "amount": 80}, nil)
	w.ask(t, service, "PUT", "entities/"+ann.UID+"/avatar", map[string]string{"hat": "toque"}, nil)
	w.ask(t, service, "POST", "locks/area.1", map[string]any{"holder": "area server", "ttl": 600}, nil)

	res, err := http.Get(w.console + "/players/" + ann.UID)
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || res.StatusCode != http.StatusForbidden || strings.Contains(string(page), "ann@") {
		t.Errorf("who is not signed in is answered %d: %v", res.StatusCode, err)
	}
	p := open(t, w.link, 1360, 900, false)
	p.visit(w.console + "/players")
	p.keys("/")
	p.wait("the search to have the focus", "document.activeElement.name === 'q'")
	p.fill("[name=q]", "ann@")
	p.keys(kb.Enter)
	p.wait("the one who is found", "location.search.includes('ann') && document.querySelectorAll('#player-rows tbody tr').length === 1")
	p.follow("#player-rows a")
	if heading := p.text("h1"); heading != "Player "+ann.UID {
		t.Errorf("the page is of %q", heading)
	}

	// Points are given by the form; a ban is typed while the page refreshes.
	p.fill("#order-form [name=amount]", "25")
	p.fill("#order-form [name=reason]", "sorry")
	// Sent twice, as by a double click, it counts once.
	if status := eval[int](p, `(() => { const f = document.getElementById("order-form"); return fetch(f.action, { method: "POST", body: new URLSearchParams(new FormData(f)) }).then((r) => r.status); })()`); status != http.StatusOK {
		t.Errorf("the form that is sent first leads to %d", status)
	}
	p.follow("#order-button")
	if text := p.text(".note"); !strings.Contains(text, "transaction 4 of the ledger") {
		t.Errorf("after points were given the page says %q", text)
	}
	p.click("#details-ban summary")
	p.fill("#do-ban [name=reason]", "bots")
	w.ask(t, service, "POST", "points/spends", map[string]any{"uid": ann.UID, "amount": 1}, nil)
	p.wait("the spend on the page", "document.getElementById('balance').textContent.replace(/\\D/g, '') === '1024' && !!document.getElementById('tx-5')")
	if got := eval[string](p, "document.activeElement.name + '=' + document.activeElement.value"); got != "reason=bots" {
		t.Errorf("after a refresh the focused field holds %q, want reason=bots", got)
	}
	p.click("#button-ban")
	p.wait("the question", "document.querySelector('dialog').open")
	p.follow("#confirm-yes")
	if text := p.text("#player-live [role=status]"); !strings.HasPrefix(text, "banned without an end · bots") {
		t.Errorf("after the ban the page says %q", text)
	}
	p.follow("#button-unban")
	p.follow("#to-entities")
	p.click("summary")
	if text := p.text("main pre"); text != `{"hat":"toque"}` {
		t.Errorf("the entity is shown as %q", text)
	}

	p.visit(w.console + "/ledger")
	sum := func() string { return p.text("#sum-state") + ": " + p.text("#sum-of-all") }
	if got := sum(); got != "In order: the sum is zero: 0" {
		t.Errorf("the sum check says %q", got)
	}
	w.ask(t, op, "POST", "points/grants", map[string]any{"uid": ann.UID, "amount": 7}, nil)
	p.wait("the grant in the ledger", "!!document.getElementById('tx-6')")
	if got := sum(); got != "In order: the sum is zero: 0" {
		t.Errorf("after one more grant the sum check says %q", got)
	}
	p.visit(w.console + "/ledger?day=2999-01-01")
	if text := p.text("#unspent-found"); !strings.HasPrefix(text, "1"+" "+"080 paid, unspent 31 free, unspent") {
		t.Errorf("unspent is %q", text)
	}
	p.do(chromedp.EmulateViewport(1360, 1060))
	p.picture("ledger.png")
	p.visit(w.console + "/locks")
	if text := p.text("#lock-rows tbody"); !strings.HasPrefix(text, "area.1 held area server1") {
		t.Errorf("the locks are %q", text)
	}
	p.visit(w.console + "/shards")
	if text := p.text("#shards-live"); !strings.Contains(text, "pebble") {
		t.Errorf("the shards are %q", text)
	}

	// They fit everybody, too.
	if rules, err := os.ReadFile("../../.cache/browser/node_modules/axe-core/axe.min.js"); err == nil {
		p.do(chromedp.EmulateViewport(420, 900))
		for _, path := range []string{"/players", "/players/" + ann.UID, fmt.Sprintf("/players/%s/entities", ann.UID), "/ledger?day=2026-09-30", "/ledger/approvals", "/ledger/presents", "/locks", "/shards"} {
			p.fits(w, path, string(rules))
		}
	}
	p.quiet()
}
