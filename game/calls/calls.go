// Package calls answers calls by name over the protocol of the world that are about points, entities and
// locks: points.spend, entities.get, locks.acquire and so on. Bodies are messages of wire.proto, and a Calls works on
// a core, local or remote.
//
// Vocabulary. A method is the name of a call. Who calls is a principal: a user or a service.
//
// Invariants. A caller may do what it may do over HTTP, by the same rules (package game and core), and a transaction id is the
// same through both: a spend that was asked for over HTTP is answered, not done again, when its key comes over the
// wire. What was answered is durable. No body makes it panic, and an answer is bounded. Do waits for the core, so it is not for
// the turn of an area.
package calls

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/core"
	"github.com/kamado/kamado/internal/unit"
)

// Config is how calls are answered.
type Config struct {
	// Points are the settings of points: how long a reservation holds, and which grants need an approval.
	Points game.PointsConfig
	// AnswerBytesMax bounds the values of one page of entities; the first one of a page always goes. At least 4 KiB.
	AnswerBytesMax unit.Bytes
	// Posted hears of each posting that a call made, once; nil: nobody does. It must not wait.
	Posted func(who game.Principal, p *game.Posting)
	// Registerer gets the metrics; nil: nobody does.
	Registerer prometheus.Registerer
}

// Default is a Config without a hook.
func Default() Config {
	return Config{Points: game.Default().Points, AnswerBytesMax: 512 * unit.KiB}
}

// Calls answers. Its methods may be called concurrently.
type Calls struct {
	core.Core
	cfg     Config
	methods map[string]*method
}

// method is a row of the table of methods.
type method struct {
	do      func(c *Calls, ctx context.Context, who game.Principal, body []byte) ([]byte, error)
	seconds prometheus.Histogram
	kinds   []prometheus.Counter // by game.Kind; the last one: it was done
}

// table is every method.
var table = map[string]func(*Calls, context.Context, game.Principal, []byte) ([]byte, error){
	"points.account":  (*Calls).account,
	"points.grant":    (*Calls).grant,
	"points.spend":    (*Calls).spend,
	"points.transfer": (*Calls).transfer,
	"points.reserve":  (*Calls).reserve,
	"points.confirm":  (*Calls).confirm,
	"points.cancel":   (*Calls).cancel,
	"entities.get":    (*Calls).getEntity,
	"entities.put":    (*Calls).putEntity,
	"entities.list":   (*Calls).listEntities,
	"locks.acquire":   (*Calls).acquireLock,
	"locks.renew":     (*Calls).renewLock,
	"locks.release":   (*Calls).releaseLock,
}

// New makes the calls of a core.
func New(co core.Core, cfg Config) *Calls {
	c := &Calls{Core: co, cfg: cfg, methods: make(map[string]*method, len(table))}
	m := newMetrics(cfg.Registerer)
	for name, do := range table {
		c.methods[name] = m.method(name, do)
	}
	return c
}

// Methods lists the names of all methods, in no order.
func (c *Calls) Methods() []string {
	list := make([]string, 0, len(c.methods))
	for name := range c.methods {
		list = append(list, name)
	}
	return list
}

// Do answers a call; found is false, and nothing was done, when there is no such method. The body is not used after it
// returns. The error is a *game.Error for the caller, of kind Internal when its cause is for the operator alone; with Doubt
// the change may have happened, and the same call again tells.
func (c *Calls) Do(ctx context.Context, who game.Principal, name string, body []byte) (answer []byte, found bool, err error) {
	m := c.methods[name]
	if m == nil {
		return nil, false, nil
	}
	began := time.Now()
	answer, err = m.do(c, ctx, who, body)
	m.seconds.Observe(time.Since(began).Seconds())
	if err != nil {
		err = told(name, err)
		m.kinds[game.KindOf(err)].Inc()
		return nil, true, err
	}
	m.kinds[len(m.kinds)-1].Inc()
	return answer, true, nil
}

// told makes a *game.Error of any error.
func told(name string, err error) error {
	var known *game.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &game.Error{Op: name, Kind: game.Unavailable, Detail: "the call took too long", Err: err, Doubt: true}
	}
	return &game.Error{Op: name, Kind: game.Internal, Err: err}
}

// tx gives the transaction id of a caller's key; without one, an id that nobody has.
func tx(who game.Principal, key string) (string, error) {
	if key == "" {
		key = rand.Text()
	}
	return who.Tx(key)
}
