package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// api is the plain client for what is not measured: users, grants, checks.
type api struct {
	base    string // scheme and host
	service string // credential of a service
	http    *http.Client
}

// apiTimeout bounds one request that is not measured.
const apiTimeout = 30 * time.Second

// setupCallers is how many requests that are not measured are under way at once.
const setupCallers = 16

func newAPI(base, service string) *api {
	t := &http.Transport{MaxIdleConnsPerHost: setupCallers, MaxConnsPerHost: 2 * setupCallers}
	return &api{base: strings.TrimSuffix(base, "/"), service: service, http: &http.Client{Transport: t, Timeout: apiTimeout}}
}

func (a *api) close() { a.http.CloseIdleConnections() }

// user is somebody with an account.
type user struct {
	UID     string `json:"uid"`
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

// apiError is an answer that is no success.
type apiError struct {
	what   string
	status int
	text   string
	retry  time.Duration // after which to try again, when the answer says so
}

func (e *apiError) Error() string { return fmt.Sprintf("%s: status %d: %s", e.what, e.status, e.text) }

// call sends one request. token and key may be empty; into may be nil.
func (a *api) call(ctx context.Context, method, path, token, key string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := a.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, bodyBytesMax))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After")) // a date is not used by servers of the game
		return &apiError{what: method + " " + path, status: res.StatusCode, text: string(text), retry: time.Duration(seconds) * time.Second}
	}
	switch into := into.(type) {
	case nil:
	case *[]byte:
		*into = text
	default:
		if err := json.Unmarshal(text, into); err != nil {
			return fmt.Errorf("%s %s: the answer %.60q: %w", method, path, text, err)
		}
	}
	return nil
}

// guest makes a user, as somebody new does. A service's credential lets it be many: those who come by themselves are
// limited by their address.
func (a *api) guest(ctx context.Context, token string) (user, error) {
	var u user
	err := a.call(ctx, http.MethodPost, "/v1/users", token, "", []byte(`{"provider":"guest"}`), &u)
	if err == nil && (u.UID == "" || u.Access == "") {
		err = errors.New("POST /v1/users gave no uid or no access_token")
	}
	return u, err
}

// grant gives points.
func (a *api) grant(ctx context.Context, uid string, amount int64, key string) error {
	return a.call(ctx, http.MethodPost, "/v1/points/grants", a.service, key, fmt.Appendf(nil, `{"uid":%q,"amount":%d}`, uid, amount), nil)
}

// balance is what an account holds.
func (a *api) balance(ctx context.Context, uid string) (int64, error) {
	var account struct {
		Balance *int64 `json:"balance"`
	}
	path := "/v1/points/accounts/" + uid
	if err := a.call(ctx, http.MethodGet, path, a.service, "", nil, &account); err != nil {
		return 0, err
	}
	if account.Balance == nil {
		return 0, fmt.Errorf("GET %s gave no balance", path)
	}
	return *account.Balance, nil
}

// each does something for 0 to n-1, some at once, and gives the first error.
func each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var all sync.WaitGroup
	for range min(n, setupCallers) {
		all.Go(func() {
			for i := range next {
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
feed:
	for i := range n {
		select {
		case next <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	all.Wait()
	return context.Cause(ctx)
}
