package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
)

var update = flag.Bool("update", false, "write openapi.json anew")

// TestOpenAPIIsFresh: the document that is committed is the one that is served.
func TestOpenAPIIsFresh(t *testing.T) {
	t.Parallel()
	const file = "openapi.json"
	if *update {
		if err := os.WriteFile(file, OpenAPI(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(want, OpenAPI()) {
		t.Errorf("%s is not what the rows say (%v); go test ./game/api -update writes it anew", file, err)
	}
}

// TestRowsAreWhole: every row has a handler, a summary, an id of its own, and answers that can be described.
func TestRowsAreWhole(t *testing.T) {
	t.Parallel()
	ids := map[string]string{}
	for _, r := range (&api{}).routes() {
		row := r.method + " " + r.path
		if r.do == nil || r.summary == "" {
			t.Errorf("%s has no handler or no summary", row)
		}
		if other := ids[operationID(r)]; other != "" {
			t.Errorf("%s and %s have one id, %s", row, other, operationID(r))
		}
		ids[operationID(r)] = row
	}
	for row := range query {
		if !slices.ContainsFunc((&api{}).routes(), func(r route) bool { return r.method+" "+r.path == row }) {
			t.Errorf("the query of %s is described, which is no row", row)
		}
	}
	var doc struct {
		Components struct {
			Schemas map[string]struct{ Properties map[string]json.RawMessage }
		}
	}
	if err := json.Unmarshal(OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	for name, s := range doc.Components.Schemas {
		if len(s.Properties) == 0 {
			t.Errorf("the schema %s has no properties", name)
		}
	}
}

// TestEveryKindHasAStatus: an error of any kind is a problem document with its status, and an internal one tells nothing.
func TestEveryKindHasAStatus(t *testing.T) {
	t.Parallel()
	a := &api{Deps: Deps{Log: slog.New(slog.DiscardHandler)}}
	for _, k := range game.Kinds() {
		w := httptest.NewRecorder()
		a.problem(w, httptest.NewRequest("GET", "/v1/x", nil), fmt.Errorf("wrapped: %w", &game.Error{Kind: k, Detail: "the detail", Err: game.RetryAfter(90 * time.Second)}))
		if w.Code < 400 || w.Code == http.StatusInternalServerError && k != game.Internal {
			t.Errorf("kind %v has status %d", k, w.Code)
		}
		if told := strings.Contains(w.Body.String(), "the detail"); told == (k == game.Internal) {
			t.Errorf("kind %v: detail told: %v", k, told)
		}
		if after := w.Header().Get("Retry-After"); (after == "90") != (k == game.Limited || k == game.Unavailable) {
			t.Errorf("kind %v: Retry-After %q", k, after)
		}
		if (w.Header().Get("WWW-Authenticate") != "") != (k == game.Unauthenticated) {
			t.Errorf("kind %v: WWW-Authenticate %q", k, w.Header().Get("WWW-Authenticate"))
		}
	}
}

// TestFastJSONIsJSON: what is written by hand is what encoding/json reads, and writes.
func TestFastJSONIsJSON(t *testing.T) {
	t.Parallel()
	for _, p := range []*game.Posting{
		{Seq: 1, Time: game.At(time.Date(2026, 11, 28, 1, 2, 3, 450_000, time.UTC)), Op: game.OpGrant, Tx: "sshop:k1", UID: 1001, Amount: 5, Kind: game.Paid, Balance: 5, By: "service shop"},
		{Seq: 2, Time: 1, Op: game.OpTransfer, Tx: "u7:\"<&>\\\u2028é\x01", UID: 7, To: 8, Amount: 1, Reason: "wörds \"quoted\"\n", Balance: 9007199254740991},
		{Seq: 3, Time: 1, Op: game.OpReserve, Tx: "o:x", UID: 7, Amount: 1, Hold: 3, Until: 2},
	} {
		want, err := json.Marshal(transactionOf(p, false))
		if err != nil {
			t.Fatal(err)
		}
		if got := appendTransaction(nil, p); string(got) != string(want) {
			t.Errorf("by hand  %s\nby struct %s", got, want)
		}
		want, err = json.Marshal(Reservation{ID: fmt.Sprint(p.Hold), UID: p.UID, Amount: p.Amount, State: "open", Balance: p.Balance, Expires: p.Until, Seq: fmt.Sprint(p.Seq), Time: p.Time})
		if err != nil {
			t.Fatal(err)
		}
		if got := appendReservation(nil, p, game.HoldOpen); string(got) != string(want) {
			t.Errorf("by hand  %s\nby struct %s", got, want)
		}
	}
}

// TestBodiesAreStrict: what is misspelt, too large or more than one value is an error, never a silent default.
func TestBodiesAreStrict(t *testing.T) {
	t.Parallel()
	for text, kind := range map[string]game.Kind{
		`{"uid":"1","amuont":5}`:                game.Invalid,
		`{"uid":"1","amount":5} {}`:             game.Invalid,
		`{"uid":"1","amount":`:                  game.Invalid,
		`{"uid":"1","amount":1.5}`:              game.Invalid,
		`{"uid":"1","amount":1e30}`:             game.Invalid,
		`{"uid":"x","amount":5}`:                game.Invalid,
		`{"uid":-1,"amount":5}`:                 game.Invalid,
		`{"uid":"1","amount":"5"}`:              game.Invalid,
		`[]`:                                    game.Invalid,
		`"` + strings.Repeat("a", bodyBytesMax): game.TooLarge,
	} {
		c := &call{api: &api{}, w: httptest.NewRecorder(), r: httptest.NewRequest(http.MethodPost, "/", strings.NewReader(text))}
		var in Grant
		if err := c.body(&in); game.KindOf(err) != kind {
			t.Errorf("body(%.40q) = %v, want kind %v", text, err, kind)
		}
	}
	c := &call{api: &api{}, w: httptest.NewRecorder(), r: httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"uid":1001,"amount":5}`))}
	var in Grant
	if err := c.body(&in); err != nil || in.UID != 1001 {
		t.Errorf("a uid that is a number: %+v, %v", in, err)
	}
}

// FuzzBody: no body of an order breaks the reader, and what it takes it can write.
func FuzzBody(f *testing.F) {
	f.Add([]byte(`{"uid":"1","amount":5,"kind":"paid","expires":"2027-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"uid":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var in Grant
		if decode(b, &in) != nil {
			return
		}
		if _, err := json.Marshal(in); err != nil {
			t.Errorf("%q became %+v, which has no JSON: %v", b, in, err)
		}
	})
}
