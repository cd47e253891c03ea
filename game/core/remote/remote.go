// Package remote is a core in another process: the users, points, entities and locks of a game server, asked over its
// HTTP interface with the credential of an admin service. A server that keeps connections and runs areas needs no disk with it.
//
// Vocabulary. The core is the server that is asked. Its credential is what proves this server to it; a bearer is the
// credential of somebody who is connected here, and is asked about in batches.
//
// Invariants. Orders go to the core with the transaction id that they have here, so an order means the same through every
// way, and who repeats one is answered the same. A change whose answer did not come is in doubt, unless no byte of it
// was sent. What is wrong with this server's own credential is Unavailable to everybody else. A
// bearer that counted is believed for Config.TokenTerm; one that did not is asked about each time. Requests in work,
// those that wait, connections, and what is remembered are bounded.
package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/client"
	"github.com/kamado/kamado/game/core"
)

// Config is where the core is, and what is asked of it at once.
type Config struct {
	// URL of the core, scheme and host.
	URL string
	// TokenFile holds the credential, a service's of scope admin. It is read again when the core does not take the credential any more.
	TokenFile string
	// Token is the credential when there is no TokenFile.
	Token string
	// Timeout is how long one request may take. 100 ms to 1 minute.
	Timeout time.Duration
	// TokenTerm is how long a bearer counts before it is asked about again: after a ban or a sign-out it counts so much
	// longer. Up to 1 minute; 0: it is asked about each time.
	TokenTerm time.Duration
	// TokensMax is how many bearers are remembered, twice. 1 to 10,000,000.
	TokensMax int
	// Connections to the core at once; further requests wait. 1 to 10,000.
	Connections int
	// RequestsMax is how many requests are in work or wait at once; further ones are refused. It is at least Connections, and at most 1,000,000.
	RequestsMax int

	Log        *slog.Logger          // nil: nothing is said
	Registerer prometheus.Registerer // nil: no metrics
}

// Default is a Config for a server of some ten thousand connections; URL and the credential are missing.
func Default() Config {
	return Config{Timeout: 10 * time.Second, TokenTerm: time.Second, TokensMax: 100_000, Connections: 128, RequestsMax: 16_384}
}

// Validate gives all complaints at once.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Token != "" || c.TokenFile != "", "no credential for the core: want that of a service with the scope admin (game.core_token_file)")
	check(c.Timeout >= 100*time.Millisecond && c.Timeout <= time.Minute, "Timeout is %v: want 100ms to 1m", c.Timeout)
	check(c.TokenTerm >= 0 && c.TokenTerm <= time.Minute, "TokenTerm is %v: want 0 to 1m", c.TokenTerm)
	check(c.TokensMax >= 1 && c.TokensMax <= 10_000_000, "TokensMax is %d: want 1 to 10000000", c.TokensMax)
	check(c.Connections >= 1 && c.Connections <= 10_000, "Connections is %d: want 1 to 10000", c.Connections)
	check(c.RequestsMax >= c.Connections && c.RequestsMax <= 1_000_000, "RequestsMax is %d: want Connections to 1000000", c.RequestsMax)
	return errors.Join(errs...)
}

// dialTimeout bounds the wait for a connection: a core that is away is told of soon.
const dialTimeout = 3 * time.Second

// Open makes a core of another server. It asks nothing yet, so that server may come later.
func Open(cfg Config) (core.Core, error) {
	if err := cfg.Validate(); err != nil {
		return core.Core{}, fmt.Errorf("configure the core: %w", err)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	a := &asker{cfg: cfg, http: &http.Client{
		Transport: &http.Transport{
			DialContext:     (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
			MaxConnsPerHost: cfg.Connections, MaxIdleConnsPerHost: cfg.Connections, MaxIdleConns: cfg.Connections,
			IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: dialTimeout, DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the credential goes nowhere else
	}}
	token := cfg.Token
	if cfg.TokenFile != "" {
		var err error
		if token, err = readToken(cfg.TokenFile); err != nil {
			return core.Core{}, err
		}
	}
	if err := a.use(token); err != nil {
		return core.Core{}, err
	}
	id := newIdentity(a)
	a.metrics = newMetrics(a, id)
	return core.Core{Identity: id, Points: &ledger{asker: a}, Entities: entities{a}, Locks: locks{a}}, nil
}

func readToken(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the credential for the core: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" {
		return "", fmt.Errorf("%s holds no credential for the core", path)
	}
	return token, nil
}

// asker makes requests.
type asker struct {
	cfg     Config
	http    *http.Client
	metrics *metrics
	now     atomic.Pointer[spoken]
	inWork  atomic.Int64
	refused atomic.Bool // the core does not take the credential; said once
	reread  atomic.Int64
}

// spoken is a client with the credential that it speaks with.
type spoken struct {
	*client.Client
	token string
}

func (a *asker) use(token string) error {
	c, err := client.New(a.cfg.URL, token, a.http)
	if err != nil {
		return err
	}
	a.now.Store(&spoken{c, token})
	return nil
}

// request is one request to the core.
type request struct {
	op           string // for metrics
	method, path string
	header       http.Header
	in, out      any
	change       bool // something may have happened when no answer comes
}

// do makes a request. The error is a *game.Error.
func (a *asker) do(ctx context.Context, r *request) (err error) {
	began := time.Now()
	defer func() { a.metrics.asked(r.op, time.Since(began), err) }()
	defer a.inWork.Add(-1)
	if a.inWork.Add(1) > int64(a.cfg.RequestsMax) {
		return game.Errorf(game.Unavailable, "%d requests to the core are in work, which is the most", a.cfg.RequestsMax)
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Timeout)
	defer cancel()
	c := a.now.Load()
	err = c.DoWith(ctx, r.method, r.path, r.header, r.in, r.out)
	if game.KindOf(err) == game.Unauthenticated && a.reload(c.token) { // nothing was done yet
		err = a.now.Load().DoWith(ctx, r.method, r.path, r.header, r.in, r.out)
	}
	return a.told(r, err)
}

// told gives an error its meaning here.
func (a *asker) told(r *request, err error) error {
	if err == nil {
		a.taken()
		return nil
	}
	var e *game.Error
	if !errors.As(err, &e) { // the answer came in parts, or is none of ours
		return &game.Error{Op: r.op, Kind: game.Unavailable, Detail: "the answer of the core is not whole", Err: err, Doubt: r.change}
	}
	var after game.RetryAfter
	switch {
	case e.Kind == game.Unauthenticated, e.Kind == game.Denied:
		if a.refused.CompareAndSwap(false, true) {
			a.cfg.Log.Error("the core does not take the credential of this server", "url", a.cfg.URL, "error", e.Detail)
		}
		return &game.Error{Op: r.op, Kind: game.Unavailable, Detail: "the servers behind this one do not take its credential", Err: err}
	case e.Kind == game.Unavailable && e.Err != nil && !errors.As(e.Err, &after): // no server answered
		return &game.Error{Op: r.op, Kind: game.Unavailable, Detail: "the servers behind this one do not answer", Err: e.Err, Doubt: r.change && sent(e.Err)}
	}
	a.taken()
	e.Op = r.op
	return e
}

// sent says whether a request may have reached the core: only one for which there was no connection has surely not.
func sent(err error) bool {
	var op *net.OpError
	return !errors.As(err, &op) || op.Op != "dial"
}

// taken notes that the core takes the credential.
func (a *asker) taken() {
	if a.refused.Load() && a.refused.CompareAndSwap(true, false) {
		a.cfg.Log.Info("the core takes the credential of this server again", "url", a.cfg.URL)
	}
}

// rereadEvery is how often the file of the credential is read at most.
const rereadEvery = time.Second

// reload reads the credential again that was refused, and says whether there is another one.
func (a *asker) reload(refused string) bool {
	if a.now.Load().token != refused {
		return true // somebody else has
	}
	last, now := a.reread.Load(), time.Now().UnixNano()
	if a.cfg.TokenFile == "" || now-last < int64(rereadEvery) || !a.reread.CompareAndSwap(last, now) {
		return false
	}
	token, err := readToken(a.cfg.TokenFile)
	return err == nil && token != refused && a.use(token) == nil
}
