package bench

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// entityName begins the names of entities; two digits follow.
const entityName = "bench-"

// entityNames is how many entities each caller writes in turn.
const entityNames = 64

// entityCaller puts entities of a user, one after the other. The value begins with the
// id of its write, so that what is there afterwards can be checked.
type entityCaller struct {
	session
	keys *keys
	size int
	put  parts // around the value's beginning
	name int   // of the next write

	key   [keyBytes]byte
	wrote [entityNames][]byte // ids that may be there, as text one behind the other: the last acknowledged, and those in doubt since
}

// rebuild makes the parts anew, with the token that the caller has now.
func (c *entityCaller) rebuild() {
	c.put.head = fmt.Appendf(nil, "PUT %s%02d HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n",
		c.path(), 0, c.host, c.user.Access, c.size)
	c.put.tail = bytes.Repeat([]byte("e"), c.size-keyBytes)
}

// path is that of the user's entities, without a number.
func (c *entityCaller) path() string { return "/v1/entities/" + c.user.UID + "/" + entityName }

func (c *entityCaller) request(b []byte) []byte {
	if c.due() {
		return c.session.request(b)
	}
	c.key = c.keys.next()
	b = c.put.append(b, &c.key)
	at := len("PUT ") + len("/v1/entities/") + len(c.user.UID) + len("/") + len(entityName)
	b[at], b[at+1] = '0'+byte(c.name/10), '0'+byte(c.name%10)
	return b
}

func (c *entityCaller) answered(status int, body []byte) (done, good bool) {
	switch {
	case c.refreshing:
		c.session.answered(status, body)
		c.rebuild()
		return false, false
	case status >= 200 && status <= 299:
		c.wrote[c.name] = append(c.wrote[c.name][:0], c.key[:]...)
		good = true
	case status >= 500:
		c.wrote[c.name] = append(c.wrote[c.name], c.key[:]...)
	}
	c.next()
	return true, good
}

func (c *entityCaller) unanswered() {
	if c.refreshing {
		c.session.unanswered()
		return
	}
	c.wrote[c.name] = append(c.wrote[c.name], c.key[:]...)
	c.next()
}

func (c *entityCaller) next() { c.name = (c.name + 1) % entityNames }

// entities measures puts, by each number of callers.
func (r *run) entities(ctx context.Context) error {
	for _, n := range r.cfg.EntityCallers {
		if err := r.entitiesBy(ctx, n); err != nil {
			return fmt.Errorf("%d callers: %w", n, err)
		}
	}
	return nil
}

func (r *run) entitiesBy(ctx context.Context, n int) error {
	s, err := r.server(ctx)
	if err != nil {
		return err
	}
	defer s.end()
	ids := &keys{run: rand.Uint64()}
	field := make([]*entityCaller, n)
	askers := make([]caller, n)
	err = each(ctx, n, func(ctx context.Context, i int) error {
		u, err := s.api.guest(ctx, s.api.service)
		c := &entityCaller{session: session{host: s.address, user: u, granted: time.Now(), now: time.Now}, keys: ids, size: r.cfg.EntityBytes}
		c.rebuild()
		field[i], askers[i] = c, c
		return err
	})
	if err != nil {
		return err
	}
	subjects := []*subject{{name: subjectKamado, pid: s.pid, ask: func(ctx context.Context, length time.Duration) (*loaded, error) {
		return ask(ctx, s.address, askers, length, r.cfg.Rate)
	}}}
	if err := r.rounds(ctx, fmt.Sprintf("%s-%d", GroupEntities, n), s, subjects); err != nil {
		return err
	}
	rows := rowsOf(GroupEntities, fmt.Sprintf("put %d B", r.cfg.EntityBytes), n, subjects)
	rows[0].memory(s.pid)
	if err := checkEntities(ctx, s.api, field, &rows[0]); err != nil {
		return fmt.Errorf("check the entities: %w", err)
	}
	r.report.Rows = append(r.report.Rows, rows...)
	return nil
}

// checkEntities reads what was written: it must be the last write that was acknowledged, or a later one in doubt.
func checkEntities(ctx context.Context, a *api, field []*entityCaller, row *Row) error {
	values := make([][]byte, len(field)*entityNames)
	err := each(ctx, len(values), func(ctx context.Context, i int) error {
		c, name := field[i/entityNames], i%entityNames
		if len(c.wrote[name]) == 0 {
			return nil
		}
		return a.call(ctx, http.MethodGet, fmt.Sprintf("%s%02d", c.path(), name), c.user.Access, "", nil, &values[i])
	})
	if err != nil {
		return err
	}
	for i, value := range values {
		c, name := field[i/entityNames], i%entityNames
		if len(c.wrote[name]) == 0 {
			continue
		}
		row.Accounts++
		row.Doubts += len(c.wrote[name])/keyBytes - 1
		if len(value) < keyBytes || !bytes.Contains(c.wrote[name], value[:keyBytes]) {
			row.wrong("entity %s%02d holds %.32q, want one of the writes %s", c.path(), name, value, c.wrote[name])
		}
	}
	return nil
}
