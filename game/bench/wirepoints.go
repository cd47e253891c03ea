package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/kamado/kamado/game/wire"
)

// OverHTTP is the way to points that is no connection of the game's protocol.
const OverHTTP = "http"

// Overs are all ways to points.
var Overs = []string{OverHTTP, OverTCP, OverWS}

// overNames are the subjects that are asked so.
var overNames = map[string]string{OverHTTP: subjectKamado, OverTCP: subjectKamado + " tcp", OverWS: subjectKamado + " ws"}

// wireMethods are the calls of what callers can do over the game's protocol.
var wireMethods = map[operation]string{opSpend: "points.spend", opTransfer: "points.transfer"}

// wireCaller moves his own points over a connection of the game's protocol, one call after the other. What it owes and is
// owed stands in its pointCaller.
type wireCaller struct {
	player
	*pointCaller
	gate *gate
	path string  // of the upgrade
	link *link   // nil: not in
	away bool    // no connection is there, or on its way
	load *asking // nil: none is under way
	call uint64  // id of the last call
	due  int64   // when it was due; < 0: it is answered
	out  []byte
	body []byte
}

func (c *wireCaller) welcomed(l *link, _ *wire.Welcome) {
	c.link, c.due = l, -1
	now := l.crowd.now()
	c.gate.entered(now)
	if c.load != nil {
		c.load.free(c, now)
	}
}

// The fields of the messages that are built and read by hand, wire.proto.
const (
	callID, callMethod, callBody                = 1, 2, 3
	answerID, answerFault                       = 1, 3
	spendKey, spendAmount                       = 1, 3
	transferKey, transferTo, transferAmount     = 1, 3, 4
	moved                                   int = 1 // points of each order
)

// ask sends the next call, which was due at a time.
func (c *wireCaller) ask(due int64) {
	op := c.pattern[c.at]
	c.key = c.keys.next()
	c.call, c.due = c.call+1, due
	b := c.body[:0]
	b = protowire.AppendTag(b, spendKey, protowire.BytesType)
	b = protowire.AppendBytes(b, c.key[:])
	amount := protowire.Number(spendAmount)
	if op == opTransfer {
		b = protowire.AppendTag(b, transferTo, protowire.VarintType)
		b = protowire.AppendVarint(b, c.to.number)
		amount = transferAmount
	}
	b = protowire.AppendTag(b, amount, protowire.VarintType)
	c.body = protowire.AppendVarint(b, uint64(moved))
	c.sent++
	c.out = c.appendCall(c.out[:0], wireMethods[op])
	c.link.send(c.out)
}

// appendCall appends the frame of a call with the body that was made.
func (c *wireCaller) appendCall(b []byte, method string) []byte {
	n := wire.VarintBytes(c.sent) + 1 + wire.VarintBytes(c.call) + 1 + protowire.SizeBytes(len(method)) + 1 + protowire.SizeBytes(len(c.body))
	b = wire.AppendHead(b, wire.CmdCall, n)
	b = protowire.AppendVarint(b, c.sent)
	b = protowire.AppendVarint(protowire.AppendTag(b, callID, protowire.VarintType), c.call)
	b = protowire.AppendString(protowire.AppendTag(b, callMethod, protowire.BytesType), method)
	return protowire.AppendBytes(protowire.AppendTag(b, callBody, protowire.BytesType), c.body)
}

// parseAnswer finds the id of an answer, and its fault, where it has one.
func parseAnswer(b []byte) (id uint64, fault []byte, err error) {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return 0, nil, protowire.ParseError(n)
		}
		b = b[n:]
		switch {
		case number == answerID && kind == protowire.VarintType:
			id, n = protowire.ConsumeVarint(b)
		case number == answerFault && kind == protowire.BytesType:
			fault, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return 0, nil, protowire.ParseError(n)
		}
		b = b[n:]
	}
	return id, fault, nil
}

func (c *wireCaller) frame(_ *link, cmd wire.Command, body []byte, now int64) error {
	switch cmd {
	case wire.CmdAnswer:
		id, fault, err := parseAnswer(body)
		if err != nil {
			return fmt.Errorf("read an answer: %w", err)
		}
		if id != c.call || c.due < 0 {
			return fmt.Errorf("%w: to call %d, when %d is under way", errAnswer, id, c.call)
		}
		return c.answeredBy(fault, now)
	case wire.CmdRefused:
		var m wire.Refused
		if err := wire.Parse(body, &m); err != nil {
			return err
		}
		if m.GetCommand() == uint32(wire.CmdCall) && c.due >= 0 {
			c.fault(m.GetFault(), now)
		}
	}
	return nil
}

func (c *wireCaller) answeredBy(fault []byte, now int64) error {
	if fault == nil {
		c.moved(c.pattern[c.at])
		c.end()
		c.over(now, true)
		return nil
	}
	var f wire.Fault
	if err := wire.Parse(fault, &f); err != nil {
		return err
	}
	c.fault(&f, now)
	return nil
}

// fault books an order that was not done, or of which that is not known.
func (c *wireCaller) fault(f *wire.Fault, now int64) {
	if c.load != nil {
		c.load.faults[f.GetKind()]++
	}
	if f.GetDoubt() {
		c.doubt(c.pattern[c.at])
	} else {
		c.end()
	}
	c.over(now, false)
}

// over ends the call under way.
func (c *wireCaller) over(now int64, good bool) {
	due := c.due
	c.due = -1
	if c.load != nil {
		c.load.answered(c, due, now, good)
	}
}

// ended takes what was under way for lost, and makes another connection when there was one. A server that takes none ends the caller.
func (c *wireCaller) ended(l *link, err error) {
	wasIn := c.link != nil
	c.gate.ended(wasIn, l.crowd.now(), err)
	c.link = nil
	if c.load != nil {
		c.load.idle = slices.DeleteFunc(c.load.idle, func(o *wireCaller) bool { return o == c })
	}
	if c.due >= 0 && c.load != nil {
		c.load.seen.lost++
		c.doubt(c.pattern[c.at])
		c.over(l.crowd.now(), false)
	}
	if c.away = !wasIn; wasIn {
		c.connect(l.crowd)
	}
}

// connect begins a connection.
func (c *wireCaller) connect(w *crowd) {
	c.player = player{part: c, token: c.user.Access}
	w.dial(c, c.path)
}

// asking is the errand of one load: a closed loop, or an open one of so many calls a second.
type asking struct {
	callers  []*wireCaller
	length   time.Duration
	rate     float64
	begun    bool
	begin    int64
	end      int64
	interval float64
	next     float64 // when the next call of an open loop is due
	idle     []*wireCaller
	under    int
	faults   map[string]int
	seen     loaded
}

// errNobody are callers whose connections have all ended.
var errNobody = errors.New("all connections have ended")

func (a *asking) turn(now int64) (next int64, done bool, err error) {
	if !a.begun {
		a.start(now)
	}
	for n := 0; a.waits() && a.next <= float64(now) && len(a.idle) > 0; n++ {
		if n == sendsMax {
			return now, false, nil
		}
		c := a.idle[len(a.idle)-1]
		a.idle = a.idle[:len(a.idle)-1]
		due := int64(a.next)
		a.next += a.interval
		a.under++
		c.ask(due)
	}
	switch {
	case a.under == 0 && now < a.end && !slices.ContainsFunc(a.callers, func(c *wireCaller) bool { return !c.away }):
		return 0, false, errNobody
	case a.under == 0 && now >= a.end && !a.waits():
		a.finish(now)
		return now, true, nil
	case now > a.end+int64(patience):
		for _, c := range a.callers {
			if c.due >= 0 {
				a.seen.lost++
				c.doubt(c.pattern[c.at])
				c.due = -1
			}
		}
		if a.waits() {
			a.seen.behind = int((float64(a.end) - a.next) / a.interval)
		}
		a.finish(now)
		return now, true, nil
	}
	if a.waits() && len(a.idle) > 0 {
		return int64(a.next), false, nil
	}
	return now + int64(graceRest), false, nil
}

// waits says whether a call of an open loop was due in time and is not begun.
func (a *asking) waits() bool { return a.interval > 0 && a.next < float64(a.end) }

func (a *asking) start(now int64) {
	a.begun, a.begin, a.end, a.next = true, now, now+int64(a.length), float64(now)
	a.faults = map[string]int{}
	if a.rate > 0 {
		a.interval = 1e9 / a.rate
	}
	for _, c := range a.callers {
		if c.load = a; c.link != nil {
			a.free(c, now)
		}
	}
}

// free has a caller who is free ask again: at once in a closed loop, while it is time, or when something is due.
func (a *asking) free(c *wireCaller, now int64) {
	switch {
	case a.interval > 0:
		a.idle = append(a.idle, c)
	case now < a.end:
		a.under++
		c.ask(now)
	}
}

// answered ends a call.
func (a *asking) answered(c *wireCaller, due, now int64, good bool) {
	a.under--
	if good {
		a.seen.times.add(now - due)
	}
	if c.link != nil {
		a.free(c, now)
	}
}

func (a *asking) finish(now int64) {
	a.seen.took = time.Duration(now - a.begin)
	a.seen.faults = a.faults
	for _, c := range a.callers {
		c.load = nil
	}
}

// wireField are callers with their accounts and connections.
type wireField struct {
	points  *pointField
	crowd   *crowd
	callers []*wireCaller
	gate    gate
}

// newWireField makes users with points, and brings them in.
func newWireField(ctx context.Context, s *server, e endpoint, n int, pattern []operation, timeout time.Duration) (*wireField, error) {
	points, err := newPointField(ctx, s, n, pattern)
	if err != nil {
		return nil, err
	}
	target, err := e.address(ctx)
	if err != nil {
		return nil, err
	}
	f := &wireField{points: points}
	for _, p := range points.callers {
		p.own = true
		if p.number, err = strconv.ParseUint(p.user.UID, 10, 64); err != nil {
			return nil, fmt.Errorf("the uid %q: %w", p.user.UID, err)
		}
	}
	for _, p := range points.callers[:n] {
		f.callers = append(f.callers, &wireCaller{pointCaller: p, gate: &f.gate, path: e.path, due: -1})
	}
	if f.crowd, err = newCrowd(target, e.host, time.Now()); err != nil {
		return nil, err
	}
	err = f.crowd.do(ctx, &entering{gate: &f.gate, n: n, patience: timeout, dial: func(i int) { f.callers[i].connect(f.crowd) }})
	var g gate
	if err == nil {
		err = f.crowd.do(ctx, once(func(int64) { g = f.gate }))
	}
	if out := g.failed + g.lost; err == nil && out > 0 {
		err = fmt.Errorf("%w: %d of %d: %w", errEntering, out, n, g.why())
	}
	if err != nil {
		f.crowd.close()
		return nil, err
	}
	return f, nil
}

// ask loads the server for a time.
func (f *wireField) ask(ctx context.Context, length time.Duration, rate float64) (*loaded, error) {
	a := &asking{callers: f.callers, length: length, rate: rate}
	before := ownCPU()
	if err := f.crowd.do(ctx, a); err != nil {
		return nil, err
	}
	a.seen.client = ownCPU() - before
	return &a.seen, nil
}

// check compares the accounts with what was acknowledged, and asks the ledger for its sum.
func (f *wireField) check(ctx context.Context, a *api, row *Row) error {
	f.crowd.close() // what is under way has ended: nothing moves any more
	if err := f.points.check(ctx, a, row); err != nil {
		return err
	}
	var answer struct {
		Sum *int64 `json:"sum"`
	}
	if err := a.call(ctx, http.MethodGet, "/v1/points/sum", a.service, "", nil, &answer); err != nil {
		return fmt.Errorf("ask for the sum of all accounts: %w", err)
	}
	if answer.Sum == nil || *answer.Sum != 0 {
		row.wrong("the sum of all accounts is %v, want 0", answer.Sum)
	}
	row.Sum = answer.Sum
	return nil
}
