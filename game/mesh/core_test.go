package mesh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world"
	"github.com/kamado/kamado/internal/lock"
	"github.com/kamado/kamado/internal/lock/locktest"
)

var plaza1 = game.Copy{Area: "plaza", Number: 1}

// pen writes the messages of one link of node b.
type pen struct {
	t       *testing.T
	c       *core
	arrival uint64
	seq     uint64
}

func testCore(change func(*Config)) *core {
	cfg := Default()
	if change != nil {
		change(&cfg)
	}
	return newCore(cfg, game.Node{Name: "a", WebSocket: "ws://a"}, 1)
}

// arrive begins a link of b.
func arrive(t *testing.T, c *core, now time.Duration, run runID, link uint64) *pen {
	t.Helper()
	p := &pen{t: t, c: c, arrival: c.accept()}
	p.must(now, message{cmd: CmdBegin, run: run, link: link, node: game.Node{Name: "b", WebSocket: "ws://b"}})
	return p
}

func (p *pen) say(now time.Duration, m message) error {
	p.seq++
	m.seq = p.seq
	read, err := parse(m.cmd, m.body())
	if err != nil {
		p.t.Fatal(err)
	}
	return p.c.receive(now, p.arrival, read)
}

func (p *pen) must(now time.Duration, m message) {
	p.t.Helper()
	if err := p.say(now, m); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pen) users(now time.Duration, rows ...userRow) {
	p.t.Helper()
	p.must(now, message{cmd: CmdUsers, users: rows})
}

func (p *pen) end(now time.Duration) {
	p.t.Helper()
	p.must(now, message{cmd: CmdEnd})
}

// changes are what was to be called back, as text.
func changes(c *core) (list []string) {
	for _, h := range c.take().happens {
		if h.word != nil {
			list = append(list, fmt.Sprintf("word %v %s", h.word.uid, h.word.body))
			continue
		}
		list = append(list, fmt.Sprintf("%v %v %v %v", h.change.UID, h.change.Online, h.change.Copy, h.change.Replaces))
	}
	return list
}

func wants(t *testing.T, c *core, want ...string) {
	t.Helper()
	if got := changes(c); !slices.Equal(got, want) {
		t.Errorf("changes %q, want %q", got, want)
	}
}

func in(at game.Copy, uid game.UID, stamp uint64) userRow {
	return userRow{uid: uid, stamp: stamp, copy: at}
}

func TestSnapshotReplacesWhatWasKnown(t *testing.T) {
	t.Parallel()
	c := testCore(nil)
	b := arrive(t, c, 0, 5, 1)
	b.users(0, in(plaza1, 7, 100), in(plaza1, 8, 100))
	wants(t, c, "7 true plaza.1 false", "8 true plaza.1 false")
	b.end(0)
	wants(t, c)
	b.users(0, in(game.Copy{}, 7, 100))
	wants(t, c, "7 true .0 false")
	c.departed(time.Second, b.arrival)
	wants(t, c)
	again := arrive(t, c, time.Second, 5, 2)
	again.users(time.Second, in(game.Copy{}, 7, 100), in(plaza1, 9, 100))
	again.users(time.Second, userRow{uid: 9, gone: true})
	again.users(time.Second, in(plaza1, 10, 100))
	wants(t, c, "9 true plaza.1 false", "9 false .0 false", "10 true plaza.1 false")
	if w, ok := c.where(8); !ok || w.Copy != plaza1 {
		t.Errorf("user 8 is at %v, %v before the new link has told all", w, ok)
	}
	again.end(time.Second)
	wants(t, c, "8 false .0 false")
}

func TestLateAndRepeatedMessages(t *testing.T) {
	t.Parallel()
	c := testCore(nil)
	b := arrive(t, c, 0, 5, 2)
	b.users(0, in(plaza1, 7, 100))
	b.end(0)
	c.take()
	b.seq-- // the same number again
	b.users(0, in(game.Copy{}, 7, 100))
	wants(t, c)
	b.seq++ // one is missing
	if err := b.say(0, message{cmd: CmdUsers, users: []userRow{in(game.Copy{}, 7, 100)}}); !errors.Is(err, errMessage) {
		t.Errorf("a gap = %v", err)
	}
	for name, m := range map[string]message{
		"the same link": {run: 5, link: 2}, "an older link": {run: 5, link: 1},
	} {
		late := &pen{t: t, c: c, arrival: c.accept()}
		m.cmd, m.node = CmdBegin, game.Node{Name: "b", WebSocket: "ws://b"}
		if err := late.say(0, m); !errors.Is(err, errMessage) {
			t.Errorf("%s = %v", name, err)
		}
	}
	arrive(t, c, 0, 6, 1) // b was started again
	if drop := c.take().drop; !slices.Equal(drop, []uint64{b.arrival}) {
		t.Errorf("dropped %v, want the older arrival %d", drop, b.arrival)
	}
	if err := b.say(0, message{cmd: CmdBeat}); !errors.Is(err, errMessage) {
		t.Errorf("a message of the older link = %v", err)
	}
	old := &pen{t: t, c: c, arrival: c.accept()}
	if err := old.say(0, message{cmd: CmdBegin, run: 5, link: 9, node: game.Node{Name: "b"}}); !errors.Is(err, errMessage) {
		t.Errorf("a run that another has followed = %v", err)
	}
	self := &pen{t: t, c: c, arrival: c.accept()}
	if err := self.say(0, message{cmd: CmdBegin, run: 5, link: 9, node: game.Node{Name: "a"}}); !errors.Is(err, errMessage) {
		t.Errorf("a node of our own name = %v", err)
	}
}

func TestMessagesOfLaterVersionsCount(t *testing.T) {
	t.Parallel()
	c := testCore(nil)
	b := arrive(t, c, 0, 5, 1)
	later := message{cmd: CmdBeat, seq: 2}
	m, err := parse(CommandMax, later.body())
	if !errors.Is(err, errUnknown) {
		t.Fatalf("parse = %v", err)
	}
	if err := c.unknown(0, b.arrival, m); err != nil {
		t.Fatal(err)
	}
	b.seq = 2
	b.end(0)
}

func TestSilentNode(t *testing.T) {
	t.Parallel()
	c := testCore(nil)
	b := arrive(t, c, 0, 5, 1)
	b.users(0, in(plaza1, 7, 100))
	b.must(0, message{cmd: CmdCopies, copies: []copyRow{{copy: plaza1, fill: fill{1, 50}}, {copy: game.Copy{Area: "garden", Number: 3}, fill: fill{0, 50}}}})
	b.end(0)
	c.take()
	if c.standing(quietMax, "b", 5) != standsLiving || c.standing(0, "b", 4) != standsUnknown || c.standing(0, "c", 5) != standsUnknown {
		t.Error("who lives is judged wrongly")
	}
	c.tick(quietMax + 1)
	out := c.take()
	if !slices.Equal(out.look, []game.Copy{plaza1, {Area: "garden", Number: 3}}) || c.standing(quietMax+1, "b", 5) != standsUnknown {
		t.Errorf("a quiet node's locks: %v, want those with users first", out.look)
	}
	c.tick(quietMax + 2)
	if look := c.take().look; look != nil {
		t.Errorf("they are looked at again: %v", look)
	}
	c.tick(game.NodeTerm)
	if out = c.take(); !slices.Equal(out.drop, []uint64{b.arrival}) || len(c.elsewhere("plaza")) != 0 {
		t.Errorf("a silent node: dropped %v, copies %v", out.drop, c.elsewhere("plaza"))
	}
	c.tick(2*game.NodeTerm - 1)
	wants(t, c)
	c.tick(2 * game.NodeTerm)
	wants(t, c, "7 false .0 false")
	if len(c.peers) != 0 {
		t.Errorf("a node that is not listed and not heard of is kept: %v", c.peers)
	}
}

// TestManyUsersLeaveByAndBy, so that no step takes long.
func TestManyUsersLeaveByAndBy(t *testing.T) {
	t.Parallel()
	c := testCore(nil)
	c.list(0, []game.Node{{Name: "b", WebSocket: "ws://b"}})
	b := arrive(t, c, 0, 5, 1)
	const users = 2*leaveMax + 10
	for uid := game.UID(1); uid <= users; uid++ {
		b.users(0, in(plaza1, uid, 100))
	}
	b.end(0)
	c.departed(0, b.arrival)
	c.take()
	c.tick(game.NodeTerm)
	again := arrive(t, c, game.NodeTerm, 5, 2)
	again.users(game.NodeTerm, in(plaza1, users, 100)) // which is told before its turn to leave
	again.end(game.NodeTerm)
	left := len(changes(c))
	for now := game.NodeTerm; len(c.peers["b"].users) > 1; now += tickEvery {
		c.tick(now)
		again.must(now, message{cmd: CmdBeat})
		n := len(changes(c))
		if left += n; n > 2*leaveMax || n == 0 {
			t.Fatalf("%d users leave at once", n)
		}
	}
	if _, ok := c.where(users); !ok || left != users-1 {
		t.Errorf("%d of %d users left; the last one is there: %v", left, users, ok)
	}
}

// TestLostNodeThatIsListed keeps its users for a while, and no longer.
func TestLostNodeThatIsListed(t *testing.T) {
	t.Parallel()
	c := testCore(nil)
	c.list(0, []game.Node{{Name: "b", WebSocket: "ws://b"}})
	b := arrive(t, c, 0, 5, 1)
	b.users(0, in(plaza1, 7, 100))
	b.end(0)
	c.take()
	c.departed(time.Second, b.arrival)
	if _, ok := c.where(7); !ok {
		t.Error("the users of a node whose link was lost are away at once")
	}
	again := arrive(t, c, time.Second+game.NodeTerm-1, 5, 2) // which does not come to its end
	c.tick(time.Second + game.NodeTerm - 1)
	wants(t, c)
	c.tick(time.Second + game.NodeTerm)
	wants(t, c, "7 false .0 false")
	again.users(time.Second+game.NodeTerm, in(plaza1, 7, 100))
	again.end(time.Second + game.NodeTerm)
	wants(t, c, "7 true plaza.1 false")
	if len(c.peers) != 1 {
		t.Error("a node that is listed is forgotten")
	}
}

func TestLogins(t *testing.T) {
	t.Parallel()
	c := testCore(nil)
	b := arrive(t, c, 0, 5, 1)
	b.end(0)
	b.users(0, in(plaza1, 7, 1000))
	c.take()
	c.here(500, 7, true, game.Copy{}) // our clock is behind, but it is later
	if c.users[7].stamp != 1001 {
		t.Errorf("stamp %d, want one after that of b", c.users[7].stamp)
	}
	b.users(0, in(game.Copy{}, 7, 1000)) // b has not heard of it
	wants(t, c)
	b.users(0, userRow{uid: 7, gone: true})
	wants(t, c) // the session here is the user's
	b.users(0, in(game.Copy{}, 7, 1001))
	wants(t, c, "7 true .0 true") // of equal stamps the greater name wins
	c.here(500, 7, true, plaza1)  // late words of the session that is on its way out
	if !c.users[7].replaced {
		t.Error("a late word is taken for a login")
	}
	b.users(0, in(plaza1, 7, 1001))
	wants(t, c, "7 true plaza.1 false")
	b.users(0, in(plaza1, 7, 1001))
	wants(t, c, "7 true plaza.1 false") // it is told again, as the world there wanted
	c.here(500, 7, false, game.Copy{})
	c.here(500, 7, true, plaza1)
	if c.users[7] != nil {
		t.Error("a late word of a session that has ended is taken for a login")
	}
	// On three nodes the latest counts, and its end brings back the one before.
	third := &pen{t: t, c: c, arrival: c.accept()}
	third.must(0, message{cmd: CmdBegin, run: 5, link: 1, node: game.Node{Name: "c", WebSocket: "ws://c"}})
	third.end(0)
	third.users(0, in(game.Copy{}, 7, 1002))
	b.users(0, in(game.Copy{}, 7, 1001))
	wants(t, c, "7 true .0 false")
	if w, _ := c.where(7); w.Node != "c" {
		t.Errorf("user 7 is on %s, want c", w.Node)
	}
	third.users(0, userRow{uid: 7, gone: true})
	if w, _ := c.where(7); w.Node != "b" {
		t.Errorf("user 7 is on %s, want b", w.Node)
	}
}

// TestBounds reaches each bound of a core.
func TestBounds(t *testing.T) {
	t.Parallel()
	c := testCore(func(cfg *Config) { cfg.NodesMax, cfg.UsersMax, cfg.CopiesMax, cfg.WordsMax = 2, 3, 2, 4 })
	c.list(0, []game.Node{{Name: "a", WebSocket: "ws://a"}, {Name: "b", WebSocket: "ws://b"}, {Name: "c", WebSocket: "ws://c"}, {Name: "bad name", WebSocket: "ws://d"}})
	out := c.take()
	if len(out.dial) != 1 || out.dial[0].node.Name != "b" || len(c.peers) != 1 || !slices.Contains(out.notes, note{noteTooMany, "c", 2}) {
		t.Fatalf("links %v, notes %v", out.dial, out.notes)
	}
	b := arrive(t, c, 0, 5, 1)
	b.end(0)
	for uid := game.UID(1); uid < 6; uid++ {
		b.users(0, in(plaza1, uid, 1))
	}
	for n := uint32(1); n < 6; n++ {
		b.must(0, message{cmd: CmdCopies, copies: []copyRow{{copy: game.Copy{Area: "plaza", Number: n}, fill: fill{1, 2}}}})
	}
	if p := c.peers["b"]; len(p.users) != 3 || len(c.elsewhere("plaza")) != 2 {
		t.Errorf("%d users and %d copies are kept, want 3 and 2", len(p.users), len(c.elsewhere("plaza")))
	}
	if notes := c.take().notes; !slices.Contains(notes, note{noteRefused, "b", 1}) {
		t.Errorf("notes %v: want that rows were refused", notes)
	}
	link := out.dial[0].link
	c.linked(0, link)
	for i := range 4 {
		if !c.tell(0, word{uid: 1, cmd: wire.CmdNotice, body: []byte{byte(i)}}) {
			t.Fatal("a word is not taken")
		}
	}
	if c.tell(0, word{uid: 1, cmd: wire.CmdNotice}) {
		t.Error("more words are taken than WordsMax")
	}
	out = c.take()
	if !slices.Equal(out.hangup, []uint64{link}) || c.tell(0, word{uid: 1}) {
		t.Errorf("hung up %v, want the slow link, and no words until there is another one", out.hangup)
	}
	c.users[9] = &user{stamp: 1, copy: plaza1}
	c.tick(redialMax)
	next := c.take().dial
	if len(next) != 1 || next[0].link == link {
		t.Fatalf("links %v, want a new one", next)
	}
	c.linked(redialMax, next[0].link)
	var told []wire.Command
	for list := c.pull(next[0].link, nil); len(list) > 0; list = c.pull(next[0].link, nil) {
		for _, m := range list {
			told = append(told, m.cmd)
		}
	}
	if !slices.Equal(told, []wire.Command{CmdBegin, CmdUsers, CmdEnd}) {
		t.Errorf("the new link tells %v, want all that is here", told)
	}
}

// TestWordBytesAreBounded, whatever the number of words is.
func TestWordBytesAreBounded(t *testing.T) {
	t.Parallel()
	c := testCore(func(cfg *Config) { cfg.WordBytesMax = 100 })
	c.list(0, []game.Node{{Name: "b", WebSocket: "ws://b"}})
	c.linked(0, c.take().dial[0].link)
	b := arrive(t, c, 0, 5, 1)
	b.users(0, in(plaza1, 1, 1))
	b.end(0)
	for _, n := range []int{60, 40} {
		if !c.tell(0, word{uid: 1, cmd: wire.CmdNotice, body: make([]byte, n)}) {
			t.Fatalf("a word of %d bytes is not taken", n)
		}
	}
	if c.tell(0, word{uid: 1, cmd: wire.CmdNotice, body: []byte{1}}) {
		t.Error("more bytes are taken than WordBytesMax")
	}
	if notes := c.take().notes; !slices.Contains(notes, note{noteSlow, "b", 2}) {
		t.Errorf("notes %v", notes)
	}
}

// TestWhatChangesOftenIsToldOnce: what waits for a slow node does not grow with time.
func TestWhatChangesOftenIsToldOnce(t *testing.T) {
	t.Parallel()
	c := testCore(nil)
	c.list(0, []game.Node{{Name: "b", WebSocket: "ws://b"}})
	link := c.take().dial[0].link
	c.linked(0, link)
	for range 2 {
		c.pull(link, nil)
	}
	c.take()
	c.claimed(plaza1, true)
	for i := range 1000 {
		c.here(1, 7, true, game.Copy{})
		c.here(1, 7, i%2 == 0, game.Copy{})
		c.population(plaza1, fill{i, 1000})
	}
	list := c.pull(link, nil)
	if len(list) != 2 || len(list[0].users) != 1 || !list[0].users[0].gone || len(list[1].copies) != 1 || list[1].copies[0].avatars != 999 {
		t.Errorf("told %+v", list)
	}
	if wake := c.take().wake; !slices.Equal(wake, []uint64{link}) {
		t.Errorf("woken %v, want once", wake)
	}
	if list = c.pull(link, nil); len(list) != 0 {
		t.Errorf("told %+v again", list)
	}
	c.claimed(plaza1, false)
	if list = c.pull(link, nil); len(list) != 1 || !list[0].copies[0].gone {
		t.Errorf("told %+v, want that the copy ended", list)
	}
}

func TestRedialsBecomeRarer(t *testing.T) {
	t.Parallel()
	c := testCore(nil)
	c.list(0, []game.Node{{Name: "b", WebSocket: "ws://b"}})
	dials := 0
	for now := time.Duration(0); now < 10*time.Second; now += 10 * time.Millisecond {
		c.tick(now)
		for _, d := range c.take().dial {
			dials++
			c.linked(now, d.link) // it is welcomed, and ends at once
			c.unlinked(now, d.link, false)
		}
	}
	if dials < 10 || dials > 20 {
		t.Errorf("%d attempts in 10 s, want about one in %v", dials, redialMax)
	}
}

func TestRunner(t *testing.T) {
	t.Parallel()
	c := testCore(nil)
	b := arrive(t, c, 0, 5, 1)
	b.end(0)
	text := func(node string, run runID) string {
		s, err := holderText(game.Node{Name: node, WebSocket: "ws://" + node}, run)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for name, want := range map[string]struct {
		text    string
		renewed bool
		place   string
	}{
		"a node that is heard of":                         {text("b", 5), false, "b"},
		"an earlier run of it":                            {text("b", 4), false, ""},
		"an earlier run of it, which renews":              {text("b", 4), true, "b"},
		"a node that is not known":                        {text("c", 5), false, ""},
		"a node that is not known, and renews":            {text("c", 5), true, "c"},
		"our own grant, whose answer was lost":            {text("a", 1), true, ""},
		"another node of our name":                        {text("a", 2), true, "a"},
		"a lock that somebody else made under this name":  {"somebody", true, ""},
		"a lock of somebody who writes half of the truth": {`{"run":"7"}`, true, ""},
	} {
		place := c.runner(0, want.text, want.renewed)
		if place.GetNode() != want.place || place != nil && place.Websocket != "ws://"+want.place {
			t.Errorf("%s: runs on %v, want %q", name, place, want.place)
		}
	}
	b.must(0, message{cmd: CmdBeat, draining: true})
	if place := c.runner(0, text("b", 5), true); place != nil {
		t.Errorf("a node that is emptied: %v, want to wait for it", place)
	}
	if _, err := holderText(game.Node{Name: "b", WebSocket: string(make([]byte, 300))}, 1); game.KindOf(err) != game.Invalid {
		t.Errorf("addresses that are too long: %v", err)
	}
}

func TestPatience(t *testing.T) {
	t.Parallel()
	const s = time.Second
	for name, c := range map[string]struct {
		waits []time.Duration // one every 100 ms
		want  bool            // whether the last one shows a renewal
	}{
		"a lease that stands still":          {[]time.Duration{s, 900 * time.Millisecond, 800 * time.Millisecond}, false},
		"a lease that was renewed":           {[]time.Duration{s, 900 * time.Millisecond, s}, true},
		"a lease that is renewed each time":  {[]time.Duration{s, s}, true},
		"a first look tells nothing":         {[]time.Duration{s}, false},
		"what is not known tells nothing":    {[]time.Duration{s, 0}, false},
		"what was not known is passed over":  {[]time.Duration{s, 0, 800 * time.Millisecond}, false},
		"a lease about to end, then renewed": {[]time.Duration{10 * time.Millisecond, s}, true},
	} {
		var p patience
		got := false
		for i, wait := range c.waits {
			at := time.Duration(i) * 100 * time.Millisecond
			got = p.moved(wait, at, at)
		}
		if got != c.want {
			t.Errorf("%s: moved = %v", name, got)
		}
	}
}

func TestDirectoryIsOfOtherNodes(t *testing.T) {
	t.Parallel()
	c := testCore(nil)
	b := arrive(t, c, 0, 5, 1)
	b.must(0, message{cmd: CmdCopies, copies: []copyRow{{copy: plaza1, fill: fill{3, 50}}, {copy: game.Copy{Area: "plaza", Number: 2}, fill: fill{1, 50}}}})
	b.end(0)
	b.must(0, message{cmd: CmdCopies, copies: []copyRow{{copy: game.Copy{Area: "plaza", Number: 2}, gone: true}, {copy: game.Copy{Area: "shop", Number: 1}, gone: true}}})
	want := []world.CopyAt{{Copy: plaza1, Place: c.peers["b"].place, Avatars: 3, Capacity: 50}}
	if got := c.elsewhere("plaza"); !slices.Equal(got, want) {
		t.Errorf("elsewhere = %v, want %v", got, want)
	}
	if c.peers["b"].count != 1 || len(c.elsewhere("shop")) != 0 {
		t.Errorf("%d copies are counted", c.peers["b"].count)
	}
}

// TestRenewalsDoNotStarve: locks that take long for each batch still renew all claims in time, since the most urgent go first.
func TestRenewalsDoNotStarve(t *testing.T) {
	t.Parallel()
	const copies, each = 600, 90 * time.Millisecond // of 64 renewals: a round of all takes most of what a claim lasts
	s := newClaimSet(Default())
	term := s.cfg.ClaimTerm
	for i := range copies {
		s.add(0, 0, game.Copy{Area: "plaza", Number: uint32(i + 1)}, lock.Held{Token: 1, Term: term})
	}
	renewals := 0
	for now := time.Duration(0); now < 20*term; {
		due, lost, next := s.step(now)
		if len(lost) > 0 || len(due) > s.cfg.AtOnce {
			t.Fatalf("at %v %d claims are lost, %d renewed at once", now, len(lost), len(due))
		}
		if more, _, _ := s.step(now); len(more) > s.cfg.AtOnce-len(due) {
			t.Fatalf("%d and %d are renewed at once", len(due), len(more))
		} else {
			due = append(due, more...)
		}
		asked := now
		now = max(next, now+time.Millisecond)
		if len(due) > 0 {
			now = asked + each
		}
		for i, c := range due {
			renewals++
			var err error
			if i%50 == 7 {
				err = lock.ErrAway // it is tried again soon
			}
			s.renewed(now, asked, c, lock.Held{Token: 1, Term: term}, err)
		}
	}
	if s.busy != 0 || len(s.of) != copies || renewals < 20*copies {
		t.Errorf("%d under way, %d claims, %d renewals", s.busy, len(s.of), renewals)
	}
}

func TestClaimEnds(t *testing.T) {
	t.Parallel()
	s := newClaimSet(Default())
	term := s.cfg.ClaimTerm
	if s.add(term, 0, plaza1, lock.Held{Token: 1, Term: term}) != nil {
		t.Error("a grant whose answer came too late is believed in")
	}
	c := s.add(0, 0, plaza1, lock.Held{Token: 1, Term: term})
	end := term - term/lock.DriftMax
	if _, lost, next := s.step(end - 1); len(lost) != 0 || next > end {
		t.Errorf("%d claims are lost too early; the next step is at %v", len(lost), next)
	}
	if s.renewed(end-1, 0, c, lock.Held{}, lock.ErrAway) {
		t.Error("a renewal without answer ends the claim")
	}
	_, lost, _ := s.step(end)
	if len(lost) != 1 || !c.over {
		t.Errorf("%d claims are lost a tenth of the term before its end, want 1", len(lost))
	}
	<-c.lost
	if s.renewed(end, 0, c, lock.Held{Term: term}, nil); len(s.of) != 0 {
		t.Error("a late renewal brings a claim back")
	}
	next := s.add(end, end, plaza1, lock.Held{Token: 2, Term: term})
	s.step(end)
	if !s.renewed(end, end, next, lock.Held{}, lock.ErrLost) {
		t.Error("a renewal that is refused does not end the claim")
	}
	<-next.lost
}

// TestLooksAreBounded: what does not fit is left to whoever wants the copy, and nobody waits.
func TestLooksAreBounded(t *testing.T) {
	t.Parallel()
	cfg := Default()
	cfg.LooksMax = 3
	r, err := lock.NewRegistry(&locktest.Memory{}, lock.Default(), nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(cfg, Deps{
		Log: slog.New(slog.DiscardHandler), Node: game.Node{Name: "a", WebSocket: "ws://a"}, Registrar: NewLockRegistrar(r), Locks: r,
		Credential: func(context.Context) (string, error) { return "", nil }, Deliver: func(game.UID, wire.Command, []byte) bool { return false },
	})
	if err != nil {
		t.Fatal(err)
	}
	m.do(func(k *core, _ time.Duration) { k.out.look = slices.Repeat([]game.Copy{plaza1}, 10) })
	if n := len(m.looks); n != cfg.LooksMax {
		t.Errorf("%d looks wait, want %d", n, cfg.LooksMax)
	}
}
