package durability

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kamado/kamado/game/points/audit"
)

const (
	clients = 16
	users   = 8
)

// trial is a server, its clients, and what is known of both.
type trial struct {
	server  *server
	book    *book
	clients []*client
	rand    *rand.Rand
	checked int // answers that were asked for again
	// before stands in front of the server; nil: nobody does. It is the place of the control.
	before func(server *asker) http.Handler
}

func newTrial(t *testing.T, seed uint64) *trial {
	t.Helper()
	r := &trial{server: newServer(t), book: &book{}, rand: rand.New(rand.NewPCG(seed, 5))}
	a := newAsker(r.server.url, r.server.token)
	for range users {
		status, body, err := a.send(t.Context(), http.MethodPost, "/v1/users", "", `{"provider":"guest"}`)
		_, after, found := strings.Cut(string(body), `"uid":"`)
		uid, _, _ := strings.Cut(after, `"`)
		if err != nil || status != http.StatusCreated || !found {
			t.Fatalf("make a user: status %d, %v: %s", status, err, body)
		}
		r.book.users = append(r.book.users, uid)
	}
	for n := range clients {
		r.clients = append(r.clients, &client{book: r.book, name: fmt.Sprint("client", n), rand: rand.New(rand.NewPCG(seed, uint64(n)))})
	}
	return r
}

// round lets the clients ask for a while, kills the server, starts it again and looks.
func (r *trial) round(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r.load(ctx, func() {
		time.Sleep(time.Duration(20+r.rand.IntN(300)) * time.Millisecond) // how long is what is random about the moment
		r.server.kill()
		stop()
	})
	r.server.start(t)
	r.look(t)
}

// load runs all clients until end has returned and its context is over.
func (r *trial) load(ctx context.Context, end func()) {
	url := r.server.url
	if r.before != nil {
		front := httptest.NewServer(r.before(newAsker(url, r.server.token)))
		defer front.Close()
		url = front.URL
	}
	a := newAsker(url, r.server.token)
	defer a.http.CloseIdleConnections()
	var wg sync.WaitGroup
	for _, c := range r.clients {
		wg.Go(func() { c.run(ctx, a) })
	}
	end()
	wg.Wait()
}

// sums is what the server says of everything.
type sums struct {
	Sum          int64 `json:"sum"`
	Transactions int   `json:"transactions"`
}

// look compares what the clients were told with what the server has after a start.
func (r *trial) look(t *testing.T) {
	t.Helper()
	a := newAsker(r.server.url, r.server.token)
	defer a.http.CloseIdleConnections()
	var s sums
	if err := a.get(t.Context(), "/v1/points/sum", &s); err != nil {
		t.Fatalf("%v\n%s", err, r.server.out)
	}
	if s.Sum != 0 {
		r.book.complain("the sum of all accounts is %d", s.Sum)
	}
	if told := len(r.book.told); s.Transactions < told {
		r.book.complain("%d of %d answered orders are lost", told-s.Transactions, told)
	} else if s.Transactions > told+r.book.unknown {
		r.book.complain("%d orders were answered and the end of %d is not known, but %d were carried out", told, r.book.unknown, s.Transactions)
	}
	if r.before != nil {
		return // the control's answers have no fields that could agree, and asking again would mend what was lost
	}
	r.again(t, a, r.book.told[r.checked:])
	if n := len(r.book.told); n > 100 { // and some of long ago
		var old []told
		for range 100 {
			old = append(old, r.book.told[r.rand.IntN(n)])
		}
		r.again(t, a, old)
	}
	r.checked = len(r.book.told)
}

// again asks for orders that were answered: each must give its answer.
func (r *trial) again(t *testing.T, a *asker, list []told) {
	t.Helper()
	work := make(chan told)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for o := range work {
				got, done, refused, err := a.ask(t.Context(), o.request)
				if !done || refused || err != nil || got != o.answer {
					r.book.complain("key %s of %s was answered with %+v, and later with %+v (done %v, refused %v, %v)", o.key, o.path, o.answer, got, done, refused, err)
				}
			}
		})
	}
	for _, o := range list {
		work <- o
	}
	close(work)
	wg.Wait()
}

// settle lets each client find out about its last order, and judges the books.
func (r *trial) settle(t *testing.T) {
	t.Helper()
	a := newAsker(r.server.url, r.server.token)
	defer a.http.CloseIdleConnections()
	for _, c := range r.clients {
		for deadline := time.Now().Add(20 * time.Second); c.pending != nil; {
			got, done, refused, err := a.ask(t.Context(), *c.pending)
			if err != nil {
				r.book.complain("%v", err)
			}
			if done {
				c.finish(*c.pending, got, refused)
			} else if time.Now().After(deadline) {
				t.Fatalf("the server does not answer key %s", c.pending.key)
			}
		}
	}
	balance, held := make([]int64, users), make([]int64, users)
	for _, o := range r.book.told {
		balance[o.uid] += o.balance
		held[o.uid] += o.held
	}
	for i, uid := range r.book.users {
		var account struct{ Balance, Held int64 }
		if err := a.get(t.Context(), "/v1/points/accounts/"+uid, &account); err != nil {
			t.Fatal(err)
		}
		if account.Balance != balance[i] || account.Held != held[i] || balance[i] < 0 {
			r.book.complain("user %s has %d and %d held, by what clients were told %d and %d", uid, account.Balance, account.Held, balance[i], held[i])
		}
	}
	var s sums
	if err := a.get(t.Context(), "/v1/points/sum", &s); err != nil {
		t.Fatal(err)
	}
	if s.Sum != 0 || s.Transactions != len(r.book.told) {
		r.book.complain("%d orders were answered, the server has %d with sum %d", len(r.book.told), s.Transactions, s.Sum)
	}
	r.server.kill()
	r.audit(t, len(r.book.told))
}

// audit reads the files of the dead server by themselves. postings is how many there must be; below 0: any.
func (r *trial) audit(t *testing.T, postings int) {
	t.Helper()
	report, err := audit.Verify(t.Context(), filepath.Join(r.server.dir, "game", "ledger"), audit.VerifyConfig{Temp: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Problems {
		r.book.complain("the ledger's files: %v", p)
	}
	if postings >= 0 && report.Postings != uint64(postings) {
		r.book.complain("the ledger's files have %d postings, %d were answered", report.Postings, postings)
	}
}

// seed is another one each time, and printed.
func seed(t *testing.T) uint64 {
	n := uint64(time.Now().UnixNano())
	if text := os.Getenv("KAMADO_TEST_SEED"); text != "" {
		if _, err := fmt.Sscan(text, &n); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("KAMADO_TEST_SEED=%d", n)
	return n
}

// TestNothingThatWasAnsweredIsLost kills the server again and again.
func TestNothingThatWasAnsweredIsLost(t *testing.T) {
	rounds := 20
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		rounds = 1000
	}
	r := newTrial(t, seed(t))
	for n := range rounds {
		r.round(t)
		if len(r.book.wrong) > 0 {
			break
		}
		if n%100 == 10 {
			r.server.kill()
			r.audit(t, -1)
			r.server.start(t)
		}
	}
	r.settle(t)
	for _, w := range r.book.wrong {
		t.Error(w)
	}
	t.Logf("%d kills, %d answered orders, 0 may be lost: %d complaints", rounds, len(r.book.told), len(r.book.wrong))
}

// early is the control: it answers grants before it passes them on.
func early(server *asker) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		key, path := q.Header.Get("Idempotency-Key"), q.URL.Path
		if path == "/v1/points/grants" {
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, `{"id":%q}`, key)
			go func() {
				time.Sleep(5 * time.Millisecond)                                                                // in which the server may die
				server.send(context.WithoutCancel(q.Context()), q.Method, path, key, string(bytes.Clone(body))) //nolint:errcheck // that is the point
			}()
			return
		}
		status, answer, err := server.send(q.Context(), q.Method, path, key, string(body))
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(status)
		w.Write(answer) //nolint:errcheck // the client may be gone
	})
}

// TestAnAnswerThatComesTooEarlyIsNoticed is the control: with answers before the
// truth, orders must be found lost.
func TestAnAnswerThatComesTooEarlyIsNoticed(t *testing.T) {
	r := newTrial(t, seed(t))
	r.before = early
	for range 20 {
		r.round(t)
		for _, w := range r.book.wrong {
			if strings.Contains(w, "answered orders are lost") {
				t.Logf("noticed: %s", w)
				return
			}
		}
	}
	t.Error("a server that answers too early passed 20 rounds")
}
