package replica

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/kamado/kamado/dns"
	"github.com/kamado/kamado/dns/field"
)

// A change goes straight to every live peer, in datagrams that may be lost. Two
// things mend that within a fraction of a second, long before a digest would: the
// datagram is said again a few times while there is budget for it, and each one
// carries the head of its member's stream, so that a peer whose stream is not
// equal a moment later asks for the rest.

// Times of saying a datagram again, after the first time. The first four come so
// soon that, of 1,000 peers behind a network that loses a tenth, only one change in a hundred
// has a peer left that heard none of five; the others outlast a burst of loss.
var sayAgainAfter = [...]time.Duration{
	2 * time.Millisecond, 4 * time.Millisecond, 6 * time.Millisecond, 9 * time.Millisecond, 40 * time.Millisecond, 110 * time.Millisecond,
}

// Numbers of the push.
const (
	// Bytes that may be said again: at once, and a second, to all peers together. A change of
	// 300 bytes with 100 peers costs 180 kB.
	againBurst  = 2 << 20
	againRefill = 1 << 20
	itemsMax    = 16
	// Own entries of one step that go by datagrams; a step with more goes over streams.
	datagramsMax = 32

	pullAfter = 25 * time.Millisecond // between hearing a head and asking, doubled each time
	pullsMax  = 6
)

// pusher says own changes.
type pusher struct {
	rng    *rand.Rand
	items  []pushItem
	budget float64 // bytes
	filled time.Time
	// headAt is when the head alone is said again, for what there was no budget for.
	headAt    time.Time
	headTries int
}

type pushItem struct {
	bytes []byte
	begun time.Time
	tries int
}

// sendOwn pushes what this member said in the step.
func (r *Replica) sendOwn(st *step) {
	if len(st.own) == 0 || r.begun.IsZero() || len(r.peers) == 0 {
		return
	}
	total := 0
	for _, e := range st.own {
		total += len(e.raw)
	}
	limit := datagramMax
	if total > datagramsMax*datagramMax {
		limit = chunkMax
	}
	head := field.Append(nil, fieldHead, appendHead(nil, r.self.node, r.self.head()))
	b := []byte{formatNow, msgPush}
	flush := func() {
		if len(b) > 2 {
			b = append(b, head...)
			r.sendPush(st, b)
			b = []byte{formatNow, msgPush}
		}
	}
	for _, e := range st.own {
		if len(b)+len(e.raw)+4+len(head) > limit {
			flush()
		}
		b = field.Append(b, fieldEntry, e.raw)
	}
	flush()
}

func (r *Replica) sendPush(st *step, b []byte) {
	m := Message{Bytes: b, Reliable: len(b) > datagramMax}
	st.out.Send = append(st.out.Send, m)
	p := &r.push
	if m.Reliable || len(p.items) >= itemsMax {
		p.headAt, p.headTries = r.now.Add(sayAgainAfter[0]), 0
		return
	}
	p.items = append(p.items, pushItem{bytes: b, begun: r.now})
}

// tickPush says again what is due.
func (r *Replica) tickPush(st *step) {
	p := &r.push
	p.budget = min(againBurst, p.budget+againRefill*r.now.Sub(p.filled).Seconds())
	p.filled = r.now
	p.items = slices.DeleteFunc(p.items, func(it pushItem) bool { return it.tries >= len(sayAgainAfter) })
	for i := range p.items {
		it := &p.items[i]
		if r.now.Before(it.begun.Add(sayAgainAfter[it.tries])) {
			continue
		}
		it.tries++
		cost := float64(len(it.bytes) * len(r.peers))
		if cost > p.budget {
			it.tries = len(sayAgainAfter)
			if p.headAt.IsZero() {
				p.headAt, p.headTries = r.now, 0
			}
			continue
		}
		p.budget -= cost
		st.out.Send = append(st.out.Send, Message{Bytes: it.bytes})
	}
	if !p.headAt.IsZero() && !r.now.Before(p.headAt) {
		b := field.Append([]byte{formatNow, msgPush}, fieldHead, appendHead(nil, r.self.node, r.self.head()))
		st.out.Send = append(st.out.Send, Message{Bytes: b})
		if p.headTries++; p.headTries >= len(sayAgainAfter) {
			p.headAt = time.Time{}
		} else {
			p.headAt = r.now.Add(sayAgainAfter[p.headTries])
		}
	}
}

// hear takes what a member says of its own stream, and plans to ask when that is not what is here.
func (r *Replica) hear(from string, b []byte) {
	node, h, _, ok := takeHead(b)
	s := r.streams[node]
	if !ok || s == nil || s == r.self || !s.up || node != from {
		return
	}
	if h.max < s.heard.max && r.now.Before(s.heardAt.Add(time.Second)) {
		return // it was overtaken
	}
	s.heardAt = r.now
	if h != s.heard {
		s.heard = h
		s.pull = pull{}
	} else if s.pull.tries > 0 {
		return
	}
	if !r.behind(s) {
		s.pull = pull{}
	} else if s.pull.at.IsZero() {
		s.pull.at = r.now.Add(pullAfter)
		r.pulls = append(r.pulls, s)
	}
}

// behind says whether what a member said of its stream is not what is here.
func (r *Replica) behind(s *stream) bool { return s.heard.max >= s.max && !s.heard.same(s.head()) }

// tickPulls asks members for what is missing of their own streams.
func (r *Replica) tickPulls(st *step) {
	r.pulls = slices.DeleteFunc(r.pulls, func(s *stream) bool {
		switch {
		case s.pull.at.IsZero():
			return true
		case r.now.Before(s.pull.at):
			return false
		case !r.behind(s) || !s.up:
			s.pull = pull{}
			return true
		case r.asked(s, pullAfter<<s.pull.tries):
			s.pull.at = s.asked.Add(pullAfter << s.pull.tries)
			return false
		}
		r.sendHave(st, s.node, []string{s.node})
		if s.pull.tries++; s.pull.tries >= pullsMax {
			s.pull.at = time.Time{} // digests go on
			return true
		}
		s.pull.at = r.now.Add(r.repair.jitter(pullAfter << s.pull.tries))
		return false
	})
}

// Receive takes a message of a peer. Bytes that cannot be read are an error, and
// change nothing; what cannot be believed is in Out.Rejected.
func (r *Replica) Receive(now time.Time, from string, msg []byte) (Out, error) {
	st := r.at(now)
	st.from = from
	switch {
	case r.begun.IsZero():
		return Out{}, nil // a peer was faster than the journal; it will say it again
	case len(msg) > messageMax:
		st.reject("", TooMuch, "a message of %d bytes", len(msg))
	case len(msg) < 2 || field.Check(msg[2:]) != nil:
		st.reject("", BadMessage, "a message of %d bytes", len(msg))
	case msg[0] < formatNow:
		st.reject("", BadVersion, "a message of format %d", msg[0])
	default:
		r.dispatch(st, msg[1], msg[2:])
		return st.finish(false), nil
	}
	return st.out, &dns.Error{Op: "receive", Kind: dns.Invalid, Detail: st.out.Rejected[0].Detail}
}

func (r *Replica) dispatch(st *step, kind byte, body []byte) {
	switch kind {
	case msgPush, msgEntries:
		r.receiveEntries(st, kind, body)
	case msgDigest:
		r.receiveDigest(st, body)
	case msgVector:
		r.receiveVector(st, body)
	case msgHave:
		r.receiveHave(st, body)
	case msgWant:
		r.receiveWant(st, body)
	}
}

// receiveEntries judges entries one by one.
func (r *Replica) receiveEntries(st *step, kind byte, body []byte) {
	var more []string
	for tag, v := range field.All(body) {
		switch tag {
		case fieldEntry:
			e, err := parseEntry(v, r.cfg.EntryBytesMax)
			if err != nil {
				why := BadMessage
				if len(v) > 0 && v[0] < formatNow {
					why = BadVersion
				} else if len(v) > r.cfg.EntryBytesMax {
					why = TooMuch
				}
				st.reject("", why, "%v", err)
				continue
			}
			r.accept(st, &e)
			if kind == msgEntries && e.stream != nil {
				e.stream.asked = r.now
			}
		case fieldHead:
			r.hear(st.from, v)
		case fieldMore:
			if s := r.streams[string(v)]; s != nil && len(more) < rangesMax {
				more = append(more, s.node)
			}
		}
	}
	if kind == msgEntries && st.took > 0 {
		r.stats.Repairs += int64(st.took)
		r.repair.hurry(r.now, 2, urgentEvery)
		r.sendHave(st, st.from, more)
	}
}

// Tick does what is due. Call it at Wake, or a little later.
func (r *Replica) Tick(now time.Time) Out {
	st := r.at(now)
	if r.begun.IsZero() {
		return Out{}
	}
	if !r.now.Before(r.judged.Add(judgeEvery)) || r.judged.After(r.now) {
		r.judged = r.now
		for _, s := range r.streams {
			r.judge(st, s)
		}
	}
	r.ripen(st)
	r.sweep(st)
	r.tickPush(st)
	r.tickPulls(st)
	r.tickRepair(st)
	return st.finish(false)
}

// judgeEvery is how often is looked for what only time changes: certificates that
// expire, lives that end. It is also the longest time between two ticks.
const judgeEvery = time.Second

// Wake is when Tick is next needed. It may move nearer with every step.
func (r *Replica) Wake() time.Time {
	next := r.judged.Add(judgeEvery)
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	sooner(r.repair.next)
	sooner(r.push.headAt)
	for _, it := range r.push.items {
		if it.tries < len(sayAgainAfter) {
			sooner(it.begun.Add(sayAgainAfter[it.tries]))
		}
	}
	for _, s := range r.pulls {
		sooner(s.pull.at)
	}
	return r.heard.Add(max(next.Sub(r.now), 0))
}
