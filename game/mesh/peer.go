package mesh

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world"
)

// linkState is how far the link to a node has come.
type linkState uint8

const (
	linkNone    linkState = iota // it is opened at dialAt
	linkDialing                  // it is being opened
	linkUp                       // what is here is told on it
)

// peer is another node.
type peer struct {
	node   game.Node
	place  *wire.Place // nil: its addresses are not known
	listed bool

	// The link to it.
	out         linkState
	link        uint64 // number of the current or last one
	dialAt      time.Duration
	upAt        time.Duration // since when the link is up
	failures    int           // in a row: a link that did not last is one too
	begun       bool          // Begin was told
	ended       bool          // End was told
	seq         uint64        // of the last message
	first       []game.UID    // still to be told before End
	firstCopies []game.Copy
	dirtyUsers  map[game.UID]struct{} // what was told of them is not so any more
	dirtyCopies map[game.Copy]struct{}
	words       []word
	wordBytes   int
	beatAt      time.Duration // of the next sign of life
	beatDue     bool
	awake       bool // the shell was told that there is something, and has not come for all of it

	// What comes in from it.
	arrival  uint64 // 0: none that has begun
	run      runID
	past     []runID // earlier runs, the latest last
	inLink   uint64  // number of its link, within its run
	inSeq    uint64
	heard    time.Duration
	complete bool          // it has told all that is there, and is heard of
	lostAt   time.Duration // since when it is not complete
	away     bool          // it was lost for so long that its users are away
	quiet    bool          // it was looked at because it is not heard of
	draining bool
	users    map[game.UID]row
	since    uint64     // arrival from which on a user must have been told, or it has gone
	leaving  []game.UID // that have gone so: some of them leave with each tick
	copies   map[string]map[uint32]fill
	count    int // copies
	// What it tells of copies between Begin and End; nil: nothing is being begun. Until then what it told before counts.
	newCopies map[string]map[uint32]fill
	newCount  int
}

// row is where a user is, as its node told.
type row struct {
	stamp uint64
	copy  game.Copy
	from  uint64 // arrival on which it was told last
}

// leaveMax is how many users leave at once: a step takes some milliseconds at most.
const leaveMax = 4096

func newPeer(n game.Node, now time.Duration) *peer {
	p := &peer{node: game.Node{Name: n.Name}, lostAt: now, dialAt: now, users: map[game.UID]row{}, copies: map[string]map[uint32]fill{}}
	p.address(n)
	return p
}

// address takes where the node is reached.
func (p *peer) address(n game.Node) {
	if n.WebSocket == "" || p.node.WebSocket == n.WebSocket && p.node.TCP == n.TCP {
		return
	}
	p.node.WebSocket, p.node.TCP = n.WebSocket, n.TCP
	p.place = placeOf(p.node)
	p.failures, p.dialAt = 0, 0
}

// tickLink opens the link when it is time, and gives a sign of life.
func (c *core) tickLink(now time.Duration, p *peer) {
	switch {
	case p.out == linkNone && (p.listed || p.arrival != 0) && p.node.WebSocket != "" && now >= p.dialAt:
		c.links++
		p.out, p.link = linkDialing, c.links
		c.out.dial = append(c.out.dial, dial{p.node, p.link})
	case p.out == linkUp && now >= p.beatAt:
		p.beatAt, p.beatDue = now+beatEvery, true
		c.wake(p)
	}
}

// byLink finds the node of a link; nil: the link is not the current one.
func (c *core) byLink(link uint64) *peer {
	for _, p := range c.peers {
		if p.link == link && p.out != linkNone {
			return p
		}
	}
	return nil
}

// linked takes that a link is open.
func (c *core) linked(now time.Duration, link uint64) {
	p := c.byLink(link)
	if p == nil || p.out != linkDialing {
		return
	}
	p.out, p.upAt, p.begun, p.ended, p.seq, p.awake = linkUp, now, false, false, 0, false
	p.first, p.firstCopies = make([]game.UID, 0, len(c.users)), make([]game.Copy, 0, len(c.copies))
	for uid, u := range c.users {
		if !u.replaced {
			p.first = append(p.first, uid)
		}
	}
	for at := range c.copies {
		p.firstCopies = append(p.firstCopies, at)
	}
	slices.Sort(p.first)
	slices.SortFunc(p.firstCopies, compareCopies)
	p.dirtyUsers, p.dirtyCopies = map[game.UID]struct{}{}, map[game.Copy]struct{}{}
	p.words, p.wordBytes, p.beatAt, p.beatDue = nil, 0, now+beatEvery, false
	c.wake(p)
}

// unlinked takes that a link is over, or could not be opened. refused: nobody listens there.
func (c *core) unlinked(now time.Duration, link uint64, refused bool) {
	p := c.byLink(link)
	if p == nil {
		return
	}
	if p.out == linkUp && now-p.upAt >= game.NodeTerm {
		p.failures = 0
	}
	p.out = linkNone
	p.first, p.firstCopies, p.dirtyUsers, p.dirtyCopies, p.words, p.wordBytes = nil, nil, nil, nil, nil, 0
	p.dialAt = now + min(redialMax, redialFirst<<min(p.failures, 6))
	p.failures++
	if refused && p.arrival == 0 {
		c.suspect(p)
	}
}

// accept takes that a link comes in from a node that says it has this name. It gives the arrival's number.
func (c *core) accept() uint64 {
	c.arrived++
	c.arrivals[c.arrived] = nil
	return c.arrived
}

// departed takes that an arrival has ended.
func (c *core) departed(now time.Duration, arrival uint64) {
	p := c.arrivals[arrival]
	delete(c.arrivals, arrival)
	if p != nil && p.arrival == arrival {
		c.lose(now, p)
	}
}

// lose: what came from a node is not complete any more.
func (c *core) lose(now time.Duration, p *peer) {
	p.arrival, p.newCopies = 0, nil
	if p.complete {
		c.note(noteLost, p.node.Name, 0)
	}
	if p.complete || p.away { // else what was there before has been lost for longer
		p.complete, p.away, p.lostAt = false, false, now
	}
	c.suspect(p)
}

// suspect has the locks of a node's copies looked at, so that they pass on soon if it is dead.
func (c *core) suspect(p *peer) {
	if p.quiet {
		return
	}
	p.quiet = true
	at := make([]game.Copy, 0, p.count)
	for area, numbers := range p.copies {
		for number := range numbers {
			at = append(at, game.Copy{Area: area, Number: number})
		}
	}
	slices.SortFunc(at, func(a, b game.Copy) int { // those with users first
		fa, fb := p.copies[a.Area][a.Number], p.copies[b.Area][b.Number]
		if fa.avatars != fb.avatars {
			return fb.avatars - fa.avatars
		}
		return compareCopies(a, b)
	})
	c.out.look = append(c.out.look, at...)
}

// tickArrival ends an arrival that is silent, and forgets who was at a node that is lost for long.
func (c *core) tickArrival(now time.Duration, p *peer) {
	if p.arrival != 0 {
		switch silent := now - p.heard; {
		case silent >= game.NodeTerm:
			c.out.drop = append(c.out.drop, p.arrival)
			c.arrivals[p.arrival] = nil
			c.lose(now, p)
		case silent > quietMax:
			c.suspect(p)
		}
	}
	if !p.complete && !p.away && now-p.lostAt >= game.NodeTerm {
		p.away, p.copies, p.count = true, map[string]map[uint32]fill{}, 0
		if len(p.users) > 0 {
			c.note(noteAway, p.node.Name, len(p.users))
		}
		if p.arrival != 0 { // what it has told there counts
			c.leave(p, p.arrival)
		} else {
			c.leave(p, c.arrived+1)
		}
	}
	c.goOn(p)
}

// leave: users that were not told since an arrival have gone.
func (c *core) leave(p *peer, since uint64) {
	p.since, p.leaving = since, nil
	for uid, at := range p.users {
		if at.from < since {
			p.leaving = append(p.leaving, uid)
		}
	}
	slices.Sort(p.leaving)
	c.goOn(p)
}

// goOn lets some of those leave who have gone.
func (c *core) goOn(p *peer) {
	n := min(len(p.leaving), leaveMax)
	for _, uid := range p.leaving[:n] {
		if at, have := p.users[uid]; have && at.from < p.since {
			c.remove(p, uid)
		}
	}
	if p.leaving = p.leaving[n:]; len(p.leaving) == 0 {
		p.leaving = nil
	}
}

func compareCopies(a, b game.Copy) int {
	return cmp.Or(strings.Compare(a.Area, b.Area), cmp.Compare(a.Number, b.Number))
}

// hear takes that an arrival is not silent, but not read.
func (c *core) hear(now time.Duration, arrival uint64) {
	if p := c.arrivals[arrival]; p != nil && p.arrival == arrival {
		p.heard = now
	}
}

// receive takes a message of an arrival. After an error the arrival is to be closed; it counts as ended.
func (c *core) receive(now time.Duration, arrival uint64, m message) error {
	p, known := c.arrivals[arrival]
	switch {
	case !known:
		return broken("the link was ended")
	case m.cmd == CmdBegin:
		return c.begin(now, arrival, p, m)
	case p == nil || p.arrival != arrival:
		return broken("it does not begin with begin, or a newer link has come")
	case m.seq <= p.inSeq:
		return nil // known
	case m.seq != p.inSeq+1:
		return broken("message %d after %d", m.seq, p.inSeq)
	}
	p.inSeq, p.heard, p.quiet = m.seq, now, false
	switch m.cmd {
	case CmdUsers:
		c.takeUsers(p, m.users)
	case CmdCopies:
		c.takeCopies(p, m.copies)
	case CmdEnd:
		c.settle(p)
	case CmdBeat:
		p.draining = m.draining
	case CmdWord:
		w := m.word
		c.out.happens = append(c.out.happens, happening{word: &w})
	}
	return nil
}

// unknown takes a message that came with a later version: only its number counts.
func (c *core) unknown(now time.Duration, arrival uint64, m message) error {
	m.cmd = 0
	return c.receive(now, arrival, m)
}

// begin takes the first message of an arrival.
func (c *core) begin(now time.Duration, arrival uint64, p *peer, m message) error {
	switch {
	case p != nil:
		return broken("it begins twice")
	case m.seq != 1:
		return broken("it begins with message %d", m.seq)
	case m.node.Name == c.self.Name:
		return broken("a node of our own name")
	}
	if p = c.peer(now, m.node); p == nil {
		return broken("more than %d nodes", c.cfg.NodesMax)
	}
	if slices.Contains(p.past, m.run) || m.run == p.run && m.link <= p.inLink {
		return broken("it is older than a link that has come")
	}
	if p.arrival != 0 {
		c.out.drop = append(c.out.drop, p.arrival)
		c.arrivals[p.arrival] = nil
	}
	if p.complete {
		p.complete, p.lostAt = false, now
	}
	if p.run != 0 && p.run != m.run {
		p.past = append(p.past, p.run)
		p.past = p.past[max(0, len(p.past)-runsKept):]
	}
	c.arrivals[arrival] = p
	p.arrival, p.run, p.inLink, p.inSeq, p.heard, p.quiet, p.draining = arrival, m.run, m.link, 1, now, false, m.draining
	p.newCopies, p.newCount = map[string]map[uint32]fill{}, 0
	p.address(m.node)
	return nil
}

func (c *core) takeUsers(p *peer, rows []userRow) {
	refused, most := 0, c.cfg.UsersMax
	if !p.complete { // those of before are still there
		most *= 2
	}
	for _, u := range rows {
		_, have := p.users[u.uid]
		switch {
		case u.gone:
			c.remove(p, u.uid)
		case !have && len(p.users) >= most:
			refused++
		default:
			c.put(p, u.uid, row{u.stamp, u.copy, p.arrival})
		}
	}
	if refused > 0 {
		c.note(noteRefused, p.node.Name, refused)
	}
}

func (c *core) takeCopies(p *peer, rows []copyRow) {
	copies, count := p.copies, &p.count
	if p.newCopies != nil {
		copies, count = p.newCopies, &p.newCount
	}
	refused := 0
	for _, r := range rows {
		numbers := copies[r.copy.Area]
		_, have := numbers[r.copy.Number]
		switch {
		case r.gone && have:
			*count--
			if delete(numbers, r.copy.Number); len(numbers) == 0 {
				delete(copies, r.copy.Area)
			}
		case r.gone:
		case !have && *count >= c.cfg.CopiesMax:
			refused++
		default:
			if numbers == nil {
				numbers = map[uint32]fill{}
				copies[r.copy.Area] = numbers
			}
			if !have {
				*count++
			}
			numbers[r.copy.Number] = r.fill
		}
	}
	if refused > 0 {
		c.note(noteRefused, p.node.Name, refused)
	}
}

// settle ends what was told before Begin and not since.
func (c *core) settle(p *peer) {
	if p.newCopies == nil {
		return
	}
	p.copies, p.count, p.newCopies, p.newCount, p.complete, p.away = p.newCopies, p.newCount, nil, 0, true, false
	c.leave(p, p.arrival)
	c.note(noteMet, p.node.Name, len(p.users)-len(p.leaving))
}

func (c *core) put(p *peer, uid game.UID, at row) {
	before, was, ok := c.seen(uid)
	again := p.complete && p == before && was.from == at.from
	p.users[uid] = at
	c.compare(uid, before, was, ok, again)
}

func (c *core) remove(p *peer, uid game.UID) {
	before, was, ok := c.seen(uid)
	delete(p.users, uid)
	c.compare(uid, before, was, ok, false)
}

// compare tells what changed for a user elsewhere. again: its node said so on a link that had told all before, so that it is called
// back even when nothing changed: the world there wanted it told.
func (c *core) compare(uid game.UID, before *peer, was row, wasThere, again bool) {
	p, at, there := c.seen(uid)
	if there == wasThere && p == before && at.stamp == was.stamp && at.copy == was.copy && !again {
		return
	}
	u := c.users[uid]
	change := world.Change{UID: uid, Online: there, Copy: at.copy}
	if u != nil && !u.replaced {
		if !there || !later(at.stamp, p.node.Name, u.stamp, c.self.Name) {
			return // the session here is the user's
		}
		u.replaced, change.Replaces = true, true
		c.changedUser(uid)
	}
	c.out.happens = append(c.out.happens, happening{change: change})
}

// pull appends messages that a link has to tell, up to about a message's length in all; none: there is nothing more, and wake
// comes when there is.
func (c *core) pull(link uint64, list []message) []message {
	p := c.byLink(link)
	if p == nil || p.out != linkUp {
		return list
	}
	n := len(list)
	if !p.begun {
		p.begun = true
		list = append(list, message{cmd: CmdBegin, run: c.run, link: p.link, node: c.self, draining: c.self.Draining})
	}
	list = c.pullUsers(p, list)
	list = c.pullCopies(p, list)
	if !p.ended && len(p.first)+len(p.firstCopies) == 0 {
		p.ended = true
		list = append(list, message{cmd: CmdEnd})
	}
	for taken := 0; len(p.words) > 0 && taken < messageBytes; {
		taken += len(p.words[0].body) + 1
		p.wordBytes -= len(p.words[0].body)
		list = append(list, message{cmd: CmdWord, word: p.words[0]})
		p.words = p.words[1:]
	}
	if p.beatDue {
		p.beatDue = false
		list = append(list, message{cmd: CmdBeat, draining: c.self.Draining})
	}
	for i := n; i < len(list); i++ {
		p.seq++
		list[i].seq = p.seq
	}
	if len(list) == n {
		p.awake, p.words = false, nil
	}
	return list
}

// pullUsers tells of a message's worth of users.
func (c *core) pullUsers(p *peer, list []message) []message {
	m := message{cmd: CmdUsers}
	for len(p.first) > 0 && len(m.users) < RowsMax {
		uid := p.first[0]
		p.first = p.first[1:]
		if u := c.users[uid]; u != nil && !u.replaced {
			delete(p.dirtyUsers, uid)
			m.users = append(m.users, userRow{uid: uid, stamp: u.stamp, copy: u.copy})
		}
	}
	for uid := range p.dirtyUsers {
		if len(m.users) == RowsMax {
			break
		}
		delete(p.dirtyUsers, uid)
		if u := c.users[uid]; u != nil && !u.replaced {
			m.users = append(m.users, userRow{uid: uid, stamp: u.stamp, copy: u.copy})
		} else {
			m.users = append(m.users, userRow{uid: uid, gone: true})
		}
	}
	if len(m.users) > 0 {
		slices.SortFunc(m.users, func(a, b userRow) int { return cmp.Compare(a.uid, b.uid) })
		list = append(list, m)
	}
	return list
}

func (c *core) pullCopies(p *peer, list []message) []message {
	m := message{cmd: CmdCopies}
	for len(p.firstCopies) > 0 && len(m.copies) < RowsMax {
		at := p.firstCopies[0]
		p.firstCopies = p.firstCopies[1:]
		if f, have := c.copies[at]; have {
			delete(p.dirtyCopies, at)
			m.copies = append(m.copies, copyRow{copy: at, fill: f})
		}
	}
	for at := range p.dirtyCopies {
		if len(m.copies) == RowsMax {
			break
		}
		delete(p.dirtyCopies, at)
		f, have := c.copies[at]
		m.copies = append(m.copies, copyRow{copy: at, fill: f, gone: !have})
	}
	if len(m.copies) > 0 {
		slices.SortFunc(m.copies, func(a, b copyRow) int { return compareCopies(a.copy, b.copy) })
		list = append(list, m)
	}
	return list
}
