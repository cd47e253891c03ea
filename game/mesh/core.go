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

// Times of links.
const (
	beatEvery   = 300 * time.Millisecond // between two signs of life
	quietMax    = game.NodeTerm / 2      // after it a node that was not heard of is not called living, and not yet lost
	redialFirst = 50 * time.Millisecond  // after the first attempt; it doubles
	redialMax   = 800 * time.Millisecond
)

// runsKept are the earlier runs of a node that do not come back.
const runsKept = 8

// core decides what this node knows and tells. It is a step function: its methods are inputs, now is the time since some
// beginning, and take gives what is to be done. It is used by one goroutine at a time.
type core struct {
	cfg  Config
	self game.Node
	run  runID

	peers    map[string]*peer
	arrivals map[uint64]*peer // by number; the node that said that it is it
	arrived  uint64           // number of the last arrival
	links    uint64           // number of the last link
	users    map[game.UID]*user
	copies   map[game.Copy]fill // that this node has the right to run
	out      effects
}

// user is one whose session is here.
type user struct {
	stamp uint64
	copy  game.Copy
	// replaced: the user has come in elsewhere later, and the session here is about to end. The others count it as gone.
	replaced bool
}

// effects are what the shell does, in this order.
type effects struct {
	drop    []uint64    // arrivals to close
	hangup  []uint64    // links to close
	dial    []dial      // links to open
	wake    []uint64    // links that have something to tell
	look    []game.Copy // of a node that may be dead: the age of their locks counts from a first look
	happens []happening // to be called back in order
	notes   []note
}

// dial asks for a link.
type dial struct {
	node game.Node
	link uint64
}

// happening is a change of a user elsewhere, or a word for a user here.
type happening struct {
	change world.Change
	word   *word
}

// note is something that an operator may want to know.
type note struct {
	what   noteKind
	node   string
	number int
}

type noteKind uint8

const (
	noteFound   noteKind = iota // a node was listed, or has come
	noteMet                     // it has told all that is there; number of its users
	noteGone                    // a node is neither listed nor heard of any more
	noteLost                    // an arrival ended: its node may be dead
	noteAway                    // the users of a lost node count as away; number of them
	noteTooMany                 // more nodes than NodesMax
	noteRefused                 // rows above UsersMax or CopiesMax; number of them
	noteSlow                    // a node does not take its words in time
)

func newCore(cfg Config, self game.Node, run runID) *core {
	return &core{
		cfg: cfg, self: self, run: run,
		peers: map[string]*peer{}, arrivals: map[uint64]*peer{}, users: map[game.UID]*user{}, copies: map[game.Copy]fill{},
	}
}

// take gives what is to be done, once.
func (c *core) take() effects {
	out := c.out
	c.out = effects{}
	return out
}

func (c *core) note(what noteKind, node string, number int) {
	c.out.notes = append(c.out.notes, note{what, node, number})
}

// sorted gives the peers by name: what comes of a step does not depend on chance.
func (c *core) sorted() []*peer {
	list := make([]*peer, 0, len(c.peers))
	for _, p := range c.peers {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *peer) int { return strings.Compare(a.node.Name, b.node.Name) })
	return list
}

// list takes the nodes that the registrar knows.
func (c *core) list(now time.Duration, nodes []game.Node) {
	for _, p := range c.peers {
		p.listed = false
	}
	for _, n := range nodes {
		if n.Name == c.self.Name || checkName(n.Name) != nil {
			continue
		}
		p := c.peer(now, n)
		if p == nil {
			continue
		}
		p.listed = true
		p.address(n)
		if !p.complete { // what it tells itself is newer
			p.draining = n.Draining
		}
	}
	c.tick(now)
}

// peer finds a node, or gets to know it; nil: there are too many.
func (c *core) peer(now time.Duration, n game.Node) *peer {
	if p := c.peers[n.Name]; p != nil {
		return p
	}
	if len(c.peers) >= c.cfg.NodesMax-1 {
		c.note(noteTooMany, n.Name, c.cfg.NodesMax)
		return nil
	}
	p := newPeer(n, now)
	c.peers[n.Name] = p
	c.note(noteFound, n.Name, 0)
	return p
}

// tick lets time pass.
func (c *core) tick(now time.Duration) {
	for _, p := range c.sorted() {
		c.tickArrival(now, p)
		c.tickLink(now, p)
		if !p.listed && p.arrival == 0 && p.out != linkUp && p.away && len(p.users) == 0 {
			if p.out != linkNone {
				c.out.hangup = append(c.out.hangup, p.link)
			}
			delete(c.peers, p.node.Name)
			c.note(noteGone, p.node.Name, 0)
		}
	}
}

// here takes that a user came (online, no copy), changed the area, or went. ms is the time in milliseconds since 1970.
func (c *core) here(ms uint64, uid game.UID, online bool, at game.Copy) {
	u := c.users[uid]
	switch {
	case !online && u == nil, online && at != game.Copy{} && (u == nil || u.replaced):
		return // a late word of a session that has ended, or was replaced and is on its way out
	case !online:
		delete(c.users, uid)
		if u.replaced {
			return // the others know
		}
	case u == nil || u.replaced:
		u = &user{stamp: ms, copy: at}
		if _, row, ok := c.seen(uid); ok {
			u.stamp = max(u.stamp, row.stamp+1)
		}
		c.users[uid] = u
	default:
		u.copy = at
	}
	c.changedUser(uid)
}

// claimed takes that this node may run a copy, or may not any more.
func (c *core) claimed(at game.Copy, yes bool) {
	if _, have := c.copies[at]; have == yes {
		return
	}
	if yes {
		c.copies[at] = fill{}
	} else {
		delete(c.copies, at)
	}
	c.changedCopy(at)
}

// population takes how full a copy of this node is.
func (c *core) population(at game.Copy, f fill) {
	if have, ok := c.copies[at]; !ok || have == f {
		return
	}
	c.copies[at] = f
	c.changedCopy(at)
}

// drain takes whether this node is being emptied.
func (c *core) drain(yes bool) {
	if c.self.Draining == yes {
		return
	}
	c.self.Draining = yes
	for _, p := range c.sorted() {
		p.beatDue = true
		c.wake(p)
	}
}

// tell queues a word for a user on another node; false: no other node has the user, or its link takes no more.
func (c *core) tell(now time.Duration, w word) bool {
	p, _, ok := c.seen(w.uid)
	if !ok || p.out != linkUp {
		return false
	}
	if len(p.words) >= c.cfg.WordsMax || p.wordBytes+len(w.body) > c.cfg.WordBytesMax {
		c.note(noteSlow, p.node.Name, len(p.words))
		c.out.hangup = append(c.out.hangup, p.link)
		c.unlinked(now, p.link, false)
		return false
	}
	p.words, p.wordBytes = append(p.words, w), p.wordBytes+len(w.body)
	c.wake(p)
	return true
}

// seen is where a user is elsewhere: of several logins the latest.
func (c *core) seen(uid game.UID) (best *peer, at row, ok bool) {
	for _, p := range c.peers {
		if r, have := p.users[uid]; have && (!ok || later(r.stamp, p.node.Name, at.stamp, best.node.Name)) {
			best, at, ok = p, r, true
		}
	}
	return best, at, ok
}

// later says whether the login a comes after b.
func later(stampA uint64, nodeA string, stampB uint64, nodeB string) bool {
	return cmp.Or(cmp.Compare(stampA, stampB), strings.Compare(nodeA, nodeB)) > 0
}

// where says on which other node a user is.
func (c *core) where(uid game.UID) (world.Whereabouts, bool) {
	p, r, ok := c.seen(uid)
	if !ok {
		return world.Whereabouts{}, false
	}
	return world.Whereabouts{Node: p.node.Name, Copy: r.copy}, true
}

// elsewhere lists the copies of an area on other nodes that live. Those of a node that is being emptied have no room.
func (c *core) elsewhere(area string) (list []world.CopyAt) {
	for _, p := range c.peers {
		if !p.complete || p.place == nil {
			continue
		}
		for number, f := range p.copies[area] {
			at := world.CopyAt{Copy: game.Copy{Area: area, Number: number}, Place: p.place, Avatars: f.avatars, Capacity: f.capacity}
			if p.draining {
				at.Capacity = at.Avatars
			}
			list = append(list, at)
		}
	}
	slices.SortFunc(list, func(a, b world.CopyAt) int { return cmp.Compare(a.Copy.Number, b.Copy.Number) })
	return list
}

// standing is what is known of a run of another node.
type standing uint8

const (
	standsUnknown  standing = iota // it may live or not
	standsLiving                   // it was heard of just now
	standsDraining                 // so too, and it is being emptied
)

// standing judges a run of another node.
func (c *core) standing(now time.Duration, node string, run runID) standing {
	p := c.peers[node]
	switch {
	case p == nil || !p.complete || p.run != run || now-p.heard > quietMax:
		return standsUnknown
	case p.draining:
		return standsDraining
	}
	return standsLiving
}

// living lists the other nodes that take clients, those with the fewest users first.
func (c *core) living(now time.Duration) []game.Node {
	var all []*peer
	for _, p := range c.sorted() {
		if p.complete && !p.draining && p.place != nil && now-p.heard <= game.NodeTerm {
			all = append(all, p)
		}
	}
	slices.SortStableFunc(all, func(a, b *peer) int { return cmp.Compare(len(a.users), len(b.users)) })
	nodes := make([]game.Node, len(all))
	for i, p := range all {
		nodes[i] = p.node
	}
	return nodes
}

// changedUser has it told to all what became of a user here.
func (c *core) changedUser(uid game.UID) {
	for _, p := range c.peers {
		if p.out == linkUp {
			p.dirtyUsers[uid] = struct{}{}
			c.wake(p)
		}
	}
}

func (c *core) changedCopy(at game.Copy) {
	for _, p := range c.peers {
		if p.out == linkUp {
			p.dirtyCopies[at] = struct{}{}
			c.wake(p)
		}
	}
}

func (c *core) wake(p *peer) {
	if p.out == linkUp && !p.awake {
		p.awake = true
		c.out.wake = append(c.out.wake, p.link)
	}
}

// placeOf is how clients are told of a node.
func placeOf(n game.Node) *wire.Place {
	return &wire.Place{Node: n.Name, Websocket: n.WebSocket, Tcp: n.TCP}
}
