package server_test

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
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/api"
	"github.com/kamado/kamado/game/server"
	"github.com/kamado/kamado/internal/operator"
)

// world is a room that serves over HTTP.
type world struct {
	t        *testing.T
	data     string
	room     *server.Server
	http     *httptest.Server
	operator string
	service  string
	stop     func()

	mu     sync.Mutex
	events []api.Event
}

// open starts a room on a data directory.
func open(t *testing.T, data string, change func(*game.Config)) *world {
	t.Helper()
	w := &world{t: t, data: data}
	token, err := operator.Load(data)
	if err != nil {
		t.Fatal(err)
	}
	cfg := game.Default()
	cfg.Identity.PasswordMemory, cfg.Identity.PasswordRounds = 64, 1 // quick
	if change != nil {
		change(&cfg)
	}
	w.operator = token.Reveal()
	w.room, err = server.New(t.Context(), server.Options{Config: cfg, Data: data, Version: "test"}, server.Deps{
		Log: slog.New(slog.DiscardHandler), Guard: operator.NewGuard(token), Audit: func(*http.Request, string, string, string, error) {}, Event: w.event,
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(data, server.ServiceTokenFile))
	if err != nil {
		t.Fatal(err)
	}
	w.service = strings.TrimSpace(string(b))
	w.http = httptest.NewServer(w.room.Handler())
	if err := w.room.Open(t.Context(), w.http.URL); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.room.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		w.http.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := w.room.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(w.stop)
	return w
}

func (w *world) event(e api.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

func (w *world) heard(kind, subject string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.events, func(e api.Event) bool { return e.Type == kind && e.Subject == subject })
}

// answer is what a server said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) into(t *testing.T, to any) {
	t.Helper()
	if err := json.Unmarshal(a.body, to); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
}

// ask makes one request. token is after "Bearer "; header is pairs.
func (w *world) ask(method, path, token, body string, header ...string) answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.http.URL+"/v1/"+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, b}
}

// want is ask that fails the test on another status.
func (w *world) want(status int, method, path, token, body string, header ...string) answer {
	w.t.Helper()
	a := w.ask(method, path, token, body, header...)
	if a.status != status {
		w.t.Fatalf("%s %s %s = %d %s, want %d", method, path, body, a.status, a.body, status)
	}
	return a
}

func (w *world) guest() (l api.Login) {
	w.t.Helper()
	w.want(201, "POST", "users", "", `{"provider":"guest"}`).into(w.t, &l)
	return l
}

func (w *world) grant(uid game.UID, amount int) {
	w.t.Helper()
	w.want(201, "POST", "points/grants", w.service, fmt.Sprintf(`{"uid":"%v","amount":%d}`, uid, amount))
}

func (w *world) account(uid game.UID) (a api.Account) {
	w.t.Helper()
	w.want(200, "GET", "points/accounts/"+uid.String(), w.service, "").into(w.t, &a)
	return a
}

func (w *world) sumIsZero() {
	w.t.Helper()
	var s api.Sum
	w.want(200, "GET", "points/sum", w.service, "").into(w.t, &s)
	if s.Sum != 0 {
		w.t.Errorf("the sum of all accounts is %d: %v", s.Sum, s.Classes)
	}
}

func TestPointsOverHTTP(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	ann, bob := w.guest(), w.guest()
	uid := ann.UID.String()
	first := w.want(201, "POST", "points/grants", w.service, `{"uid":"`+uid+`","amount":100,"reason":"welcome"}`, "Idempotency-Key", "k1")
	if again := w.want(201, "POST", "points/grants", w.service, `{"amount":100,"uid":"`+uid+`","reason":"welcome"}`, "Idempotency-Key", "k1"); !bytes.Equal(first.body, again.body) {
		t.Errorf("the same order answers %s, then %s", first.body, again.body)
	}
	for body, status := range map[string]int{
		`{"uid":"` + uid + `","amount":101}`: 409, `{"uid":"` + bob.UID.String() + `","amount":100,"reason":"welcome"}`: 409,
	} {
		w.want(status, "POST", "points/grants", w.service, body, "Idempotency-Key", "k1")
	}
	w.want(409, "POST", "points/spends", w.service, `{"uid":"`+uid+`","amount":100}`, "Idempotency-Key", "k1")
	w.want(201, "POST", "points/spends", ann.AccessToken, `{"amount":1}`, "Idempotency-Key", "k1") // another caller's keys are its own

	spend := `{"uid":"` + uid + `","amount":5}`
	w.want(403, "POST", "points/spends", bob.AccessToken, spend)
	w.want(403, "POST", "points/grants", ann.AccessToken, spend)
	w.want(401, "POST", "points/spends", "", spend)
	w.want(401, "POST", "points/spends", ann.AccessToken[:len(ann.AccessToken)-2], spend)
	w.want(403, "GET", "points/accounts/"+uid, bob.AccessToken, "")
	w.want(404, "POST", "points/grants", w.service, `{"uid":"999999","amount":5}`)
	for path, status := range map[string]int{"points/grants": 405, "nothing": 404} {
		if p := w.want(status, "GET", path, w.service, ""); p.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("GET %s is refused with %s", path, p.body)
		}
	}
	for _, bad := range []string{`{"uid":"` + uid + `","amount":0}`, `{"uid":"` + uid + `","amount":-5}`, `{"uid":"` + uid + `","amount":9007199254740992}`, `{"uid":"` + uid + `","amount":99999999999999999999}`, `{"amount":5}`} {
		w.want(400, "POST", "points/grants", w.service, bad)
	}
	if p := w.want(409, "POST", "points/spends", ann.AccessToken, `{"amount":100}`); !strings.Contains(string(p.body), `"kind":"insufficient"`) || p.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("overdraft: %s %s", p.header, p.body)
	}
	w.want(409, "POST", "points/grants", w.service, `{"uid":"`+uid+`","amount":9007199254740991}`) // it would be more than can be kept

	var r api.Reservation
	w.want(201, "POST", "points/reservations", ann.AccessToken, `{"amount":40}`).into(t, &r)
	w.want(403, "POST", "points/reservations/"+r.ID+"/confirm", bob.AccessToken, "")
	w.want(409, "POST", "points/reservations/"+r.ID+"/confirm", ann.AccessToken, `{"amount":41}`)
	confirmed := w.want(200, "POST", "points/reservations/"+r.ID+"/confirm", ann.AccessToken, "")
	if again := w.want(200, "POST", "points/reservations/"+r.ID+"/confirm", ann.AccessToken, ""); !bytes.Equal(confirmed.body, again.body) {
		t.Errorf("confirmed twice: %s, then %s", confirmed.body, again.body)
	}
	w.want(409, "POST", "points/reservations/"+r.ID+"/cancel", ann.AccessToken, "")
	w.want(404, "POST", "points/reservations/987654/cancel", ann.AccessToken, "")
	if a := w.account(ann.UID); a.Balance != 59 || a.Held != 0 {
		t.Errorf("account %+v, want a balance of 59", a)
	}
	var page api.TransactionPage
	w.want(200, "GET", "points/accounts/"+uid+"/transactions?limit=2", ann.AccessToken, "").into(t, &page)
	if len(page.Transactions) != 2 || page.Transactions[0].Op != "confirm" || page.Next == "" {
		t.Errorf("history %+v", page)
	}
	w.want(200, "GET", "points/accounts/"+uid+"/transactions?limit=2&before="+page.Next, ann.AccessToken, "").into(t, &page)
	if len(page.Transactions) != 2 || page.Transactions[1].Op != "grant" {
		t.Errorf("second page %+v", page)
	}
	w.sumIsZero()
	if !w.heard("points.spend", uid) || !w.heard("user.created", uid) {
		t.Errorf("events %+v", w.events)
	}
}

func TestParallelSpendsOfOneBalance(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	ann := w.guest()
	const points, spends = 700, 3000
	w.grant(ann.UID, points)
	var taken, refused atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range spends / 50 {
				switch a := w.ask("POST", "points/spends", ann.AccessToken, `{"amount":1}`); a.status {
				case 201:
					taken.Add(1)
				case 409:
					refused.Add(1)
				default:
					t.Errorf("%d %s", a.status, a.body)
				}
			}
		})
	}
	wg.Wait()
	if taken.Load() != points || refused.Load() != spends-points {
		t.Errorf("%d taken, %d refused of a balance of %d", taken.Load(), refused.Load(), points)
	}
	if a := w.account(ann.UID); a.Balance != 0 {
		t.Errorf("balance %d", a.Balance)
	}
	w.sumIsZero()
}

// TestEveryRowAsksForItsCredential walks the description: what it says of who may call is so.
func TestEveryRowAsksForItsCredential(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	var narrow api.ServiceSecret
	w.want(201, "POST", "services", w.operator, `{"name":"narrow","scopes":["locks"]}`).into(t, &narrow)
	var doc struct {
		Paths map[string]map[string]struct {
			Security []map[string][]string
		}
	}
	w.want(200, "GET", "openapi.json", "", "").into(t, &doc)
	for path, methods := range doc.Paths {
		for method, op := range methods {
			p := strings.NewReplacer("{uid}", "424242", "{id}", "7", "{name}", "user.424242.x", "{provider}", "guest", "{key}", "k", "{shard}", "e0", "{node}", "n").Replace(strings.TrimPrefix(path, "/"))
			may := func(who string) bool {
				return slices.ContainsFunc(op.Security, func(s map[string][]string) bool { _, ok := s[who]; return ok || len(s) == 0 })
			}
			row := strings.ToUpper(method) + " " + path
			if a := w.ask(strings.ToUpper(method), p, "", "{}"); (a.status == 401) == may("nobody") && path != "/tokens" && path != "/tokens/refresh" {
				t.Errorf("%s without a credential: %d %s", row, a.status, a.body)
			}
			ann := w.guest() // a fresh one: some rows sign out
			a := w.ask(strings.ToUpper(method), p, ann.AccessToken, "{}")
			if !may("user") && a.status != 403 {
				t.Errorf("%s with a user's token: %d %s", row, a.status, a.body)
			}
			if strings.Contains(p, "424242") && may("user") && a.status != 403 {
				t.Errorf("%s of another user: %d %s", row, a.status, a.body)
			}
			if a := w.ask(strings.ToUpper(method), p, narrow.Secret, "{}"); !may("service") && a.status != 403 || may("service") && !may("user") && !strings.HasPrefix(path, "/locks") && a.status != 403 {
				t.Errorf("%s with a service without the scope: %d %s", row, a.status, a.body)
			}
		}
	}
}

func TestGiftsAndApprovals(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), func(c *game.Config) { c.Points.GrantLimit = 1000 })
	ann := w.guest()
	uid := ann.UID.String()
	var asked api.Approval
	big := `{"uid":"` + uid + `","amount":5000}`
	w.want(202, "POST", "points/grants", w.service, big, "Idempotency-Key", "big").into(t, &asked)
	var again api.Approval
	w.want(202, "POST", "points/grants", w.service, big, "Idempotency-Key", "big").into(t, &again)
	if again.ID != asked.ID || asked.State != "open" {
		t.Errorf("asked %+v, then %+v", asked, again)
	}
	w.want(403, "POST", "points/approvals/"+asked.ID+"/approve", w.service, "")
	if a := w.account(ann.UID); a.Balance != 0 {
		t.Errorf("balance %d before the approval", a.Balance)
	}
	for range 2 {
		w.want(200, "POST", "points/approvals/"+asked.ID+"/approve", w.operator, "")
	}
	w.want(409, "POST", "points/approvals/"+asked.ID+"/refuse", w.operator, "")
	if a := w.account(ann.UID); a.Balance != 5000 {
		t.Errorf("balance %d after the approval", a.Balance)
	}

	var p api.Present
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	w.want(201, "POST", "points/presents", w.service, `{"amount":7,"reason":"sorry","until":"`+until+`"}`).into(t, &p)
	late := w.guest()
	var box api.PresentPage
	w.want(200, "GET", "points/presents", ann.AccessToken, "").into(t, &box)
	if len(box.Presents) != 1 || box.Presents[0].Reason != "sorry" {
		t.Errorf("box %+v", box)
	}
	for range 3 {
		w.want(201, "POST", "points/presents/"+p.ID+"/take", ann.AccessToken, "")
	}
	w.want(404, "POST", "points/presents/"+p.ID+"/take", late.AccessToken, "")
	w.want(200, "GET", "points/presents", ann.AccessToken, "").into(t, &box)
	if a := w.account(ann.UID); a.Balance != 5007 || len(box.Presents) != 0 {
		t.Errorf("balance %d, box %+v", a.Balance, box)
	}
	w.want(201, "POST", "points/receipts", w.service, `{"store":"app","receipt":"GPA.1","uid":"`+uid+`","amount":50}`)
	w.want(201, "POST", "points/receipts", w.service, `{"store":"app","receipt":"GPA.1","uid":"`+uid+`","amount":50}`)
	w.want(409, "POST", "points/receipts", w.service, `{"store":"app","receipt":"GPA.1","uid":"`+late.UID.String()+`","amount":50}`)
	var unspent api.Unspent
	w.want(200, "GET", "points/unspent", w.service, "").into(t, &unspent)
	if unspent.Paid != 50 || unspent.Free != 5007 {
		t.Errorf("unspent %+v", unspent)
	}
	w.want(201, "POST", "points/revocations", w.service, `{"uid":"`+uid+`","amount":50,"reason":"charge-back"}`)
	w.sumIsZero()
}

func TestEntitiesAndLocks(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	ann, bob := w.guest(), w.guest()
	avatar := "entities/" + ann.UID.String() + "/avatar"
	v1 := w.want(200, "PUT", avatar, ann.AccessToken, "hat", "If-None-Match", "*", "Content-Type", "text/x-hat").header.Get("Etag")
	w.want(409, "PUT", avatar, ann.AccessToken, "cap", "If-None-Match", "*")
	v2 := w.want(200, "PUT", avatar, ann.AccessToken, "cap", "If-Match", v1).header.Get("Etag")
	w.want(409, "PUT", avatar, ann.AccessToken, "wig", "If-Match", v1)
	w.want(403, "PUT", avatar, bob.AccessToken, "wig")
	got := w.want(200, "GET", avatar, ann.AccessToken, "")
	if string(got.body) != "cap" || got.header.Get("Etag") != v2 {
		t.Errorf("got %q, %s; want cap, %s", got.body, got.header.Get("Etag"), v2)
	}
	w.want(304, "GET", avatar, ann.AccessToken, "", "If-None-Match", v2)
	w.want(413, "PUT", avatar, ann.AccessToken, strings.Repeat("x", 300_000))

	name := "user." + ann.UID.String() + ".room"
	var first, second api.LockGrant
	w.want(201, "POST", "locks/"+name, ann.AccessToken, `{"ttl":1.5}`).into(t, &first)
	w.want(403, "POST", "locks/"+name, bob.AccessToken, `{"ttl":1}`)
	w.want(409, "POST", "locks/"+name, w.service, `{"ttl":1}`)
	w.want(201, "POST", "locks/"+name, w.service, `{"ttl":60,"wait":10}`).into(t, &second) // the first holder stood still
	if second.Token <= first.Token && len(second.Token) <= len(first.Token) {
		t.Errorf("token %s after %s", second.Token, first.Token)
	}
	room := "entities/" + ann.UID.String() + "/room"
	w.want(200, "PUT", room, w.service, "new", "Kamado-Fence", second.Token)
	w.want(409, "PUT", room, ann.AccessToken, "late", "Kamado-Fence", first.Token)
	w.want(409, "PUT", "locks/"+name, ann.AccessToken, `{"token":"`+first.Token+`","session":"`+first.Session+`"}`)
	w.want(204, "DELETE", "locks/"+name, w.service, `{"token":"`+second.Token+`","session":"`+second.Session+`"}`)

	var out api.EntityOutcomes
	w.want(200, "POST", "entities/batch", ann.AccessToken, `{"operations":[{"op":"put","name":"a","value":"eA==","base":"absent"},{"op":"get","name":"a"},{"op":"put","name":"a","value":"eQ==","base":"absent"},{"op":"delete","name":"a"},{"op":"get","name":"a"}]}`).into(t, &out)
	for i, status := range []int{200, 200, 409, 204, 404} {
		if out.Outcomes[i].Status != status {
			t.Errorf("operation %d: %+v, want %d", i, out.Outcomes[i], status)
		}
	}
	w.want(403, "POST", "entities/batch", ann.AccessToken, `{"operations":[{"op":"get","uid":"`+bob.UID.String()+`","name":"a"}]}`)
}

func TestUsersSignInMergeAndLeave(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), nil)
	var ann, again api.Login
	w.want(201, "POST", "users", "", `{"provider":"password","email":"ann@example.org","password":"correct horse"}`).into(t, &ann)
	w.want(409, "POST", "users", "", `{"provider":"password","email":"ANN@example.org","password":"another one"}`)
	w.want(401, "POST", "tokens", "", `{"provider":"password","email":"ann@example.org","password":"wrong horse"}`)
	w.want(401, "POST", "tokens", "", `{"provider":"password","email":"nobody@example.org","password":"wrong horse"}`)
	w.want(200, "POST", "tokens", "", `{"provider":"password","email":"ann@example.org","password":"correct horse"}`).into(t, &again)
	if again.UID != ann.UID {
		t.Errorf("user %v signed in as %v", ann.UID, again.UID)
	}
	var next api.Login
	w.want(200, "POST", "tokens/refresh", "", `{"refresh_token":"`+again.RefreshToken+`"}`).into(t, &next)
	if next.RefreshToken == again.RefreshToken || next.UID != ann.UID {
		t.Errorf("refreshed %+v", next)
	}
	w.want(400, "POST", "users", "", `{"provider":"nobody-knows"}`)

	guest := w.guest()
	w.grant(guest.UID, 30)
	w.want(200, "PUT", "entities/"+guest.UID.String()+"/hat", guest.AccessToken, "red")
	w.want(403, "POST", "users/"+ann.UID.String()+"/merge", ann.AccessToken, `{"guest":"`+guest.UID.String()+`"}`)
	w.want(200, "POST", "users/"+ann.UID.String()+"/merge", ann.AccessToken, `{"guest":"`+guest.UID.String()+`","access_token":"`+guest.AccessToken+`"}`)
	w.want(401, "POST", "points/spends", guest.AccessToken, `{"amount":1}`)
	if a := w.account(guest.UID); a.UID != ann.UID || a.Balance != 30 {
		t.Errorf("account %+v, want 30 points of user %v", a, ann.UID)
	}
	if got := w.want(200, "GET", "entities/"+ann.UID.String()+"/hat", ann.AccessToken, ""); string(got.body) != "red" {
		t.Errorf("hat %q", got.body)
	}
	w.want(204, "PUT", "users/"+ann.UID.String()+"/ban", w.service, `{"reason":"spam"}`)
	w.want(401, "GET", "users/"+ann.UID.String(), ann.AccessToken, "")
	w.want(204, "DELETE", "users/"+ann.UID.String()+"/ban", w.service, "")
	w.want(204, "DELETE", "users/"+ann.UID.String(), w.service, "")
	w.want(409, "POST", "points/grants", w.service, `{"uid":"`+ann.UID.String()+`","amount":1}`)
	w.sumIsZero()
}

func TestRestartKeepsEverything(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	w := open(t, data, nil)
	ann := w.guest()
	w.grant(ann.UID, 10)
	var r api.Reservation
	w.want(201, "POST", "points/reservations", ann.AccessToken, `{"amount":4}`, "Idempotency-Key", "r").into(t, &r)
	w.want(200, "PUT", "entities/"+ann.UID.String()+"/x", ann.AccessToken, "y")
	service := w.service
	w.stop()
	w = open(t, data, nil)
	if w.service != service {
		t.Error("the service's credential changed")
	}
	var again api.Reservation
	w.want(201, "POST", "points/reservations", ann.AccessToken, `{"amount":4}`, "Idempotency-Key", "r").into(t, &again)
	if again != r {
		t.Errorf("the same order after the restart: %+v, before %+v", again, r)
	}
	w.want(200, "POST", "points/reservations/"+r.ID+"/confirm", ann.AccessToken, "")
	if a := w.account(ann.UID); a.Balance != 6 {
		t.Errorf("balance %d, want 6", a.Balance)
	}
	w.want(200, "GET", "entities/"+ann.UID.String()+"/x", ann.AccessToken, "")
	if next := w.guest(); next.UID <= ann.UID {
		t.Errorf("user %v after user %v", next.UID, ann.UID)
	}
}
