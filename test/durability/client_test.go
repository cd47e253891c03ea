package durability

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// request is something that a client asks for, once: its key makes it so.
type request struct {
	key  string
	path string
	body string
	// What it does to users when it is done.
	uid           int
	balance, held int64
}

// answer is what a client was told. Fields that tell how things stand now, and not
// what was done, are left out.
type answer struct {
	ID     string    `json:"id"`
	Seq    string    `json:"seq"`
	UID    string    `json:"uid"`
	Amount int64     `json:"amount"`
	Time   time.Time `json:"time"`
}

// told is a request with its answer.
type told struct {
	request
	answer
}

// asker sends requests to wherever the server is.
type asker struct {
	url, token string
	http       *http.Client
}

func newAsker(url, token string) *asker {
	return &asker{url, token, &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// ask sends a request. done is false when nobody knows what became of it, and
// refused says that nothing was moved.
func (a *asker) ask(ctx context.Context, r request) (got answer, done, refused bool, err error) {
	status, body, err := a.send(ctx, http.MethodPost, r.path, r.key, r.body)
	switch {
	case err != nil || status >= 500:
		return got, false, false, nil
	case status == http.StatusConflict && bytes.Contains(body, []byte(`"insufficient"`)):
		return got, true, true, nil
	case status != http.StatusOK && status != http.StatusCreated:
		return got, true, true, fmt.Errorf("%s %s with key %s: status %d: %s", r.path, r.body, r.key, status, body)
	}
	if err := json.Unmarshal(body, &got); err != nil {
		return got, true, true, fmt.Errorf("%s with key %s: %w: %s", r.path, r.key, err, body)
	}
	got.Time = got.Time.UTC()
	return got, true, false, nil
}

func (a *asker) send(ctx context.Context, method, path, key, body string) (int, []byte, error) {
	q, err := http.NewRequestWithContext(ctx, method, a.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, nil, err
	}
	q.Header.Set("Authorization", "Bearer "+a.token)
	q.Header.Set("Content-Type", "application/json")
	if key != "" {
		q.Header.Set("Idempotency-Key", key)
	}
	res, err := a.http.Do(q)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, b, err
}

// get reads something.
func (a *asker) get(ctx context.Context, path string, into any) error {
	status, body, err := a.send(ctx, http.MethodGet, path, "", "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d: %s", status, body)
	}
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	return nil
}

// book is what all clients asked for and were told.
type book struct {
	users []string

	mu      sync.Mutex
	told    []told
	wrong   []string // broken promises
	unknown int      // requests whose end nobody knows yet
}

func (b *book) note(r request, a answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told = append(b.told, told{r, a})
}

func (b *book) complain(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.wrong) < 50 {
		b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
	}
}

// client is one caller. What it does not know the end of it asks again, before anything else.
type client struct {
	book    *book
	name    string
	rand    *rand.Rand
	n       int
	pending *request
	hold    *told // an open reservation, which is ended next
}

// run asks until ctx ends.
func (c *client) run(ctx context.Context, a *asker) {
	for ctx.Err() == nil {
		r := c.pending
		if r == nil {
			next := c.next()
			r = &next
			c.book.mu.Lock()
			c.book.unknown++
			c.book.mu.Unlock()
		}
		c.pending = r
		got, done, refused, err := c.once(ctx, a, *r)
		if err != nil {
			c.book.complain("%v", err)
		}
		if !done {
			time.Sleep(time.Millisecond) // as a client would
			continue
		}
		c.finish(*r, got, refused)
	}
}

func (c *client) finish(r request, got answer, refused bool) {
	c.pending, c.hold = nil, nil
	c.book.mu.Lock()
	c.book.unknown--
	c.book.mu.Unlock()
	if refused {
		return
	}
	c.book.note(r, got)
	if r.path == "/v1/points/reservations" {
		c.hold = &told{r, got}
	}
}

// once asks; sometimes twice at the same time, which must make no difference.
func (c *client) once(ctx context.Context, a *asker, r request) (got answer, done, refused bool, err error) {
	if c.rand.IntN(10) > 0 {
		return a.ask(ctx, r)
	}
	var wg sync.WaitGroup
	var other answer
	var otherDone, otherRefused bool
	wg.Go(func() { other, otherDone, otherRefused, _ = a.ask(ctx, r) })
	got, done, refused, err = a.ask(ctx, r)
	wg.Wait()
	switch {
	case done && otherDone && !refused && !otherRefused && got != other:
		c.book.complain("key %s was answered at once as %+v and as %+v", r.key, got, other)
	case otherDone && !otherRefused: // one of the two may have come before a grant of somebody else
		return other, true, false, err
	case !done:
		return got, false, false, err
	case refused && !otherDone:
		return got, false, false, err // the other one may still be carried out
	}
	return got, done, refused, err
}

// next chooses what to ask for.
func (c *client) next() request {
	c.n++
	r := request{key: fmt.Sprint(c.name, "-", c.n), uid: c.rand.IntN(len(c.book.users))}
	amount := int64(1 + c.rand.IntN(20))
	if h := c.hold; h != nil {
		r.uid, r.path, r.body = h.uid, "/v1/points/reservations/"+h.ID, "{}"
		switch c.rand.IntN(3) {
		case 0:
			r.path, r.balance, r.held = r.path+"/cancel", h.Amount, -h.Amount
		case 1:
			r.path, r.held = r.path+"/confirm", -h.Amount
		default:
			part := 1 + c.rand.Int64N(h.Amount)
			r.path, r.body, r.balance, r.held = r.path+"/confirm", fmt.Sprintf(`{"amount":%d}`, part), h.Amount-part, -h.Amount
		}
		return r
	}
	switch n := c.rand.IntN(10); {
	case n < 4:
		r.path, r.balance = "/v1/points/grants", amount
	case n < 7:
		r.path, r.balance = "/v1/points/spends", -amount
	default:
		r.path, r.balance, r.held = "/v1/points/reservations", -amount, amount
	}
	r.body = fmt.Sprintf(`{"uid":%q,"amount":%d}`, c.book.users[r.uid], amount)
	return r
}
