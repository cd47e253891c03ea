package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// keys makes transaction ids that nobody else makes: 16 hexadecimal digits of the
// run, and 16 that count.
type keys struct{ run, count uint64 }

// keyBytes is the length of an id.
const keyBytes = 32

func (k *keys) next() (key [keyBytes]byte) {
	k.count++
	const hex = "0123456789abcdef"
	for i := range 16 {
		key[i] = hex[k.run>>(60-4*i)&15]
		key[16+i] = hex[k.count>>(60-4*i)&15]
	}
	return key
}

// doubtsMax bounds the operations of one caller whose outcome is asked for after a
// load. A caller with more has a server that does not work.
const doubtsMax = 1000

// step is what a caller has under way.
type step uint8

const (
	stepWhole   step = iota // a request that is the operation
	stepConfirm             // the second one of a reservation
)

// doubt is an operation whose outcome is not known.
type doubt struct {
	op   operation
	step step
	key  [keyBytes]byte
	id   string // of the reservation that was to be confirmed
}

// pointCaller moves his own points, one operation after the other. Requests are built
// from parts that stay the same.
type pointCaller struct {
	session
	service string
	own     bool // transfers are asked for with the user's own token
	keys    *keys
	number  uint64       // the user's uid, where it is needed as a number
	to      *pointCaller // who gets what this one transfers
	pattern []operation
	at      int // in pattern

	parts   [operationCount]parts
	confirm parts // around the id of the reservation

	step step
	key  [keyBytes]byte
	id   []byte

	want   int64 // what the account must hold by what was acknowledged
	doubts []doubt
	beyond int // doubts above doubtsMax
}

// parts are the bytes before and behind a transaction id, which is the last field of the head.
type parts struct{ head, tail []byte }

// rebuild makes the parts anew, with the token that the caller has now.
func (c *pointCaller) rebuild() {
	own, service := c.user.Access, c.service
	mine := fmt.Sprintf(`{"uid":%q,"amount":1}`, c.user.UID)
	c.parts[opSpend] = c.post("/v1/points/spends", own, mine)
	c.parts[opGrant] = c.post("/v1/points/grants", service, mine)
	c.parts[opReserve] = c.post("/v1/points/reservations", own, mine)
	c.parts[opTransfer] = c.post("/v1/points/transfers", service, fmt.Sprintf(`{"from":%q,"to":%q,"amount":1}`, c.user.UID, c.to.user.UID))
	c.confirm = c.post("/v1/points/reservations/", own, "")
	c.confirm.head = c.confirm.head[bytes.IndexByte(c.confirm.head, ' ')+1:]
	c.confirm.head = c.confirm.head[bytes.IndexByte(c.confirm.head, ' '):] // from behind the path
}

func (c *pointCaller) post(path, token, body string) parts {
	return parts{
		head: fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nIdempotency-Key: ", path, c.host, token, len(body)),
		tail: []byte("\r\n\r\n" + body),
	}
}

// confirmLine begins a request that confirms.
const confirmLine = "POST /v1/points/reservations/"

func (c *pointCaller) request(b []byte) []byte {
	if c.step == stepConfirm {
		c.key = c.keys.next()
		b = append(b, confirmLine...)
		b = append(b, c.id...)
		b = append(b, "/confirm"...)
		return c.confirm.append(b, &c.key)
	}
	if c.due() {
		return c.session.request(b)
	}
	c.step, c.key = stepWhole, c.keys.next()
	return c.parts[c.pattern[c.at]].append(b, &c.key)
}

func (p *parts) append(b []byte, key *[keyBytes]byte) []byte {
	b = append(b, p.head...)
	b = append(b, key[:]...)
	return append(b, p.tail...)
}

func (c *pointCaller) answered(status int, body []byte) (done, good bool) {
	ok := status >= 200 && status <= 299
	op := c.pattern[c.at]
	switch {
	case c.refreshing:
		c.session.answered(status, body)
		c.rebuild()
		return false, false
	case status >= 500:
		c.doubt(op)
		return true, false
	case !ok:
		c.end()
		return true, false
	case c.step == stepWhole && op == opReserve:
		id := idOf(body)
		if id == nil {
			c.end()
			return true, false
		}
		c.step, c.id = stepConfirm, append(c.id[:0], id...)
		return false, false
	}
	c.moved(op)
	c.end()
	return true, true
}

// moved books an acknowledged operation.
func (c *pointCaller) moved(op operation) {
	switch op {
	case opGrant:
		c.want++
	case opTransfer:
		c.want--
		c.to.want++
	default:
		c.want--
	}
}

// end goes on in the pattern.
func (c *pointCaller) end() {
	c.step = stepWhole
	if c.at++; c.at == len(c.pattern) {
		c.at = 0
	}
}

func (c *pointCaller) unanswered() {
	if c.refreshing {
		c.session.unanswered()
		return
	}
	c.doubt(c.pattern[c.at])
}

func (c *pointCaller) doubt(op operation) {
	if len(c.doubts) < doubtsMax {
		c.doubts = append(c.doubts, doubt{op: op, step: c.step, key: c.key, id: string(c.id)})
	} else {
		c.beyond++
	}
	c.end()
}

// idOf finds the id in the answer to a reservation, without reading all of it.
func idOf(body []byte) []byte {
	_, rest, ok := bytes.Cut(body, idName)
	if !ok {
		return nil
	}
	rest = bytes.TrimLeft(rest, " :")
	if len(rest) == 0 || rest[0] != '"' {
		return nil
	}
	id, _, ok := bytes.Cut(rest[1:], quote)
	if !ok || len(id) == 0 {
		return nil
	}
	return id
}

var (
	idName = []byte(`"id"`)
	quote  = []byte(`"`)
)

// How often, and how soon, an operation in doubt is asked for again.
const (
	resolveTries = 20
	resolveRest  = 50 * time.Millisecond
)

// resolve asks again for everything in doubt, with the same ids, until each has an outcome.
func (c *pointCaller) resolve(ctx context.Context, a *api) error {
	for i := range c.doubts {
		d := &c.doubts[i]
		good, err := c.again(ctx, a, d)
		for try := 1; err != nil && try < resolveTries; try++ {
			if err := rest(ctx, resolveRest); err != nil {
				return err
			}
			good, err = c.again(ctx, a, d)
		}
		if err != nil {
			return fmt.Errorf("ask again for %s %s of user %s: %w", d.op, d.key, c.user.UID, err)
		}
		if good {
			c.moved(d.op)
		}
	}
	c.doubts = c.doubts[:0]
	return nil
}

// again sends an operation in doubt once more, with the same credential. A reservation
// that is there is one whose confirmation is in doubt.
func (c *pointCaller) again(ctx context.Context, a *api, d *doubt) (bool, error) {
	if d.step == stepWhole {
		path := map[operation]string{opSpend: "spends", opGrant: "grants", opReserve: "reservations", opTransfer: "transfers"}[d.op]
		_, body, _ := bytes.Cut(c.parts[d.op].tail, crlf2)
		var answer []byte
		good, err := outcome(a.call(ctx, http.MethodPost, "/v1/points/"+path, c.tokenFor(d.op), string(d.key[:]), body, &answer))
		if !good || d.op != opReserve {
			return good, err
		}
		d.step, d.id, d.key = stepConfirm, string(idOf(answer)), c.keys.next()
	}
	return outcome(a.call(ctx, http.MethodPost, "/v1/points/reservations/"+d.id+"/confirm", c.user.Access, string(d.key[:]), nil, nil))
}

// tokenFor is the credential that an operation was asked with.
func (c *pointCaller) tokenFor(op operation) string {
	if op == opGrant || op == opTransfer && !c.own {
		return c.service
	}
	return c.user.Access
}

// outcome says whether something was done. A refusal of what is asked is an outcome; no answer, and a refusal of
// who asks or when, is none.
func outcome(err error) (bool, error) {
	var e *apiError
	if !errors.As(err, &e) {
		return err == nil, err
	}
	switch e.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false, err
	}
	if e.status >= 500 {
		return false, err
	}
	return false, nil
}
