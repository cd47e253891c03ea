package api

import (
	"math"
	"strconv"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/core"
	"github.com/kamado/kamado/internal/lock"
)

// lockRoutes are the rows about locks.
func (a *api) lockRoutes() []route {
	const s = game.ScopeLocks
	return []route{
		{"GET", "locks", byScope, s, "List locks by name", nil, LockPage{}, (*call).listLocks},
		{"GET", "locks/{name}", known, s, "Say who has a lock", nil, Lock{}, (*call).lookLock},
		{"POST", "locks/{name}", known, s, "Ask for a lock, and wait for it for a while if it is held", LockRequest{}, LockGrant{}, (*call).acquireLock},
		{"PUT", "locks/{name}", known, s, "Renew a grant to its term from now", LockProof{}, LockGrant{}, (*call).renewLock},
		{"DELETE", "locks/{name}", known, s, "Give a lock back", LockProof{}, nil, (*call).releaseLock},
	}
}

// Lock is what is known of a lock.
type Lock struct {
	Name   string  `json:"name"`
	Held   bool    `json:"held"`
	Holder string  `json:"holder,omitempty"`
	Token  string  `json:"token" doc:"of the last grant; 0: there was none"`
	Term   float64 `json:"term,omitempty" doc:"seconds of the last grant"`
	Wait   float64 `json:"wait,omitempty" doc:"seconds that it may last at least, if the holder is dead, as far as this server saw"`
}

// LockPage is a page of locks.
type LockPage struct {
	Locks []Lock `json:"locks"`
	Next  string `json:"next,omitempty" doc:"after of the next page"`
}

// LockRequest asks for a lock.
type LockRequest struct {
	Holder string  `json:"holder,omitempty" doc:"who asks, for people; by default the credential's name"`
	TTL    float64 `json:"ttl" doc:"seconds that the grant lasts without a renewal, 0.1 to 86400"`
	Wait   float64 `json:"wait,omitempty" doc:"seconds to wait for a lock that is held, at most 60"`
}

// LockGrant is the right to a lock: from the moment before the request was sent, and waited, for ttl.
type LockGrant struct {
	Name    string  `json:"name"`
	Holder  string  `json:"holder"`
	Token   string  `json:"token" doc:"grows with each grant of the name: give it to the stores that the lock guards"`
	Session string  `json:"session" doc:"secret of this grant: renews it and gives it back, at any server"`
	TTL     float64 `json:"ttl" doc:"seconds that it lasts, from before the request was sent, and waited"`
	Waited  float64 `json:"waited,omitempty" doc:"seconds after the request at which the grant begins"`
}

// LockProof proves a grant.
type LockProof struct {
	Token   string `json:"token"`
	Session string `json:"session"`
}

// lockName gives the lock of the path, if the caller may touch it: users those that begin with "user.<uid>."
func (c *call) lockName() (string, error) {
	name := c.r.PathValue("name")
	return name, c.who.MayLock(name)
}

func lockOf(s lock.Status) Lock {
	return Lock{Name: s.Name, Held: s.Held, Holder: s.Holder, Token: strconv.FormatUint(s.Token, 10), Term: s.Term.Seconds(), Wait: s.Wait.Seconds()}
}

func grantOf(h lock.Held) LockGrant {
	return LockGrant{Name: h.Name, Holder: h.Holder, Token: strconv.FormatUint(h.Token, 10), Session: h.Session, TTL: h.Term.Seconds(), Waited: h.Waited.Seconds()}
}

func (c *call) listLocks() (any, error) {
	limit, err := c.limit()
	if err != nil {
		return nil, err
	}
	q := c.r.URL.Query()
	limit = min(limit, lock.ListMax)
	list, err := c.Locks.List(c.ctx(), q.Get("prefix"), q.Get("after"), limit)
	if err != nil {
		return nil, core.LockTold(err)
	}
	page := LockPage{Locks: make([]Lock, 0, len(list))}
	for _, s := range list {
		page.Locks = append(page.Locks, lockOf(s))
	}
	if len(list) == limit {
		page.Next = list[limit-1].Name
	}
	return page, nil
}

func (c *call) lookLock() (any, error) {
	name, err := c.lockName()
	if err != nil {
		return nil, err
	}
	s, err := c.Locks.Look(c.ctx(), name)
	if err != nil {
		return nil, core.LockTold(err)
	}
	s.Name = name
	return lockOf(s), nil
}

func (c *call) acquireLock() (any, error) {
	name, err := c.lockName()
	if err != nil {
		return nil, err
	}
	var in LockRequest
	if err := c.body(&in); err != nil {
		return nil, err
	}
	if in.Holder == "" {
		in.Holder = c.who.Name()
	}
	term, err := seconds("ttl", in.TTL, lock.TermMin, lock.TermMax)
	if err != nil {
		return nil, err
	}
	wait, err := seconds("wait", in.Wait, 0, lockWaitMax)
	if err != nil {
		return nil, err
	}
	if err := core.LockQuota(c.ctx(), c.Locks, &c.who, name); err != nil {
		return nil, err
	}
	var h lock.Held
	if wait == 0 {
		h, err = c.Locks.Acquire(c.ctx(), name, in.Holder, term)
	} else {
		h, err = c.Locks.AcquireWait(c.ctx(), name, in.Holder, term, wait)
	}
	if err != nil {
		return nil, core.LockTold(err)
	}
	return created(grantOf(h)), nil
}

// lockWaitMax bounds the wait of one request; it is below every proxy's patience.
const lockWaitMax = 55 * time.Second

func seconds(name string, v float64, least, most time.Duration) (time.Duration, error) {
	d := time.Duration(math.Round(v * float64(time.Second)))
	if v != v || v < 0 || v > most.Seconds() || d < least {
		return 0, game.Errorf(game.Invalid, "%s is %v: want %v to %v seconds", name, v, least.Seconds(), most.Seconds())
	}
	return d, nil
}

// proof reads the grant that a request is about.
func (c *call) proof() (token uint64, session string, err error) {
	var in LockProof
	if err := c.body(&in); err != nil {
		return 0, "", err
	}
	if token, err = strconv.ParseUint(in.Token, 10, 63); err != nil || in.Session == "" || len(in.Session) > 128 {
		return 0, "", game.Errorf(game.Invalid, "token and session: want those that the grant was answered with")
	}
	return token, in.Session, nil
}

func (c *call) renewLock() (any, error) {
	name, err := c.lockName()
	if err != nil {
		return nil, err
	}
	token, session, err := c.proof()
	if err != nil {
		return nil, err
	}
	h, err := c.Locks.Renew(c.ctx(), name, token, session)
	if err != nil {
		return nil, core.LockTold(err)
	}
	return grantOf(h), nil
}

func (c *call) releaseLock() (any, error) {
	name, err := c.lockName()
	if err != nil {
		return nil, err
	}
	token, session, err := c.proof()
	if err != nil {
		return nil, err
	}
	if err := c.Locks.Release(c.ctx(), name, token, session); err != nil {
		return nil, core.LockTold(err)
	}
	return nothing(), nil
}
