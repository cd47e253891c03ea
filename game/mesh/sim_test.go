package mesh

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/internal/lock"
	"github.com/kamado/kamado/internal/lock/locktest"
)

// The simulation is one goroutine in virtual time, so a seed always gives the same story. Locks are real ones over a place
// in memory, one registry for each node, since the age of leases is what a node has seen itself.
const (
	simStep  = 10 * time.Millisecond
	simUsers = 30
)

var simCopies = []game.Copy{{Area: "plaza", Number: 1}, {Area: "plaza", Number: 2}, {Area: "garden", Number: 1}}

// sim is many nodes, a bad network, and users.
type sim struct {
	t      *testing.T
	r      *rand.Rand
	began  time.Time
	place  *locktest.Memory
	nodes  []*simNode
	conns  []*conn
	cut    map[[2]int]bool // ways on which nothing goes
	fences map[game.Copy]lock.Fence
	deaf   bool // the control: who was replaced does not hear it
	proud  bool // another control: a node believes in its claims for longer than it may
	wild   bool // faults happen

	breaches []string
	refused  int // late writes that a fence refused
	took     int // claims that passed from one node to another
	replaced int
	last     map[game.Copy]int
}

// simNode is a node, with a world that does as the core says.
type simNode struct {
	i         int
	name      string
	alive     bool
	paused    time.Duration // until then it stands still
	core      *core
	registry  *lock.Registry
	registrar *LockRegistrar
	claims    *claimSet
	text      string
	announce  time.Duration // next time
	sessions  map[game.UID]game.Copy
	closing   map[game.UID]time.Duration // replaced sessions, and when they are gone
	wants     map[game.Copy]*want
	stale     map[game.Copy]uint64 // tokens of claims that it had before it stood still
	links     map[uint64]*conn
}

type want struct {
	p     patience
	until time.Duration
	next  time.Duration
}

func (s *sim) now() time.Duration { return time.Since(s.began) }

func newSim(t *testing.T, seed uint64, nodes int) *sim {
	s := &sim{
		t: t, r: rand.New(rand.NewPCG(seed, 1)), began: time.Now(), place: &locktest.Memory{}, cut: map[[2]int]bool{},
		fences: map[game.Copy]lock.Fence{}, last: map[game.Copy]int{}, wild: true,
	}
	for i := range nodes {
		s.nodes = append(s.nodes, &simNode{i: i, name: fmt.Sprintf("n%d", i)})
		s.start(s.nodes[i])
	}
	return s
}

func (s *sim) start(n *simNode) {
	self := game.Node{Name: n.name, WebSocket: "ws://" + n.name}
	run := runID(s.r.Uint64() | 1)
	registry, err := lock.NewRegistry(s.place, lock.Default(), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := holderText(self, run)
	if err != nil {
		s.t.Fatal(err)
	}
	i := n.i
	*n = simNode{
		i: i, name: n.name, alive: true, core: newCore(Default(), self, run), registry: registry, registrar: NewLockRegistrar(registry), claims: newClaimSet(Default()),
		text: text, sessions: map[game.UID]game.Copy{}, closing: map[game.UID]time.Duration{}, wants: map[game.Copy]*want{},
		stale: map[game.Copy]uint64{}, links: map[uint64]*conn{},
	}
}

func (s *sim) breach(format string, args ...any) {
	s.breaches = append(s.breaches, fmt.Sprintf("%v: ", s.now())+fmt.Sprintf(format, args...))
}

// chance is true once in n.
func (s *sim) chance(n int) bool { return s.r.IntN(n) == 0 }

func (s *sim) ms(most int) time.Duration { return time.Duration(s.r.IntN(most)+1) * time.Millisecond }

// faults makes trouble.
func (s *sim) faults() {
	n := s.nodes[s.r.IntN(len(s.nodes))]
	switch {
	case s.chance(400):
		if n.alive {
			s.kill(n)
		} else {
			s.start(n)
		}
	case s.chance(400) && n.alive:
		n.paused = s.now() + s.ms(4000)
		for at, c := range n.claims.of {
			n.stale[at] = c.token
		}
	case s.chance(300):
		way := [2]int{s.r.IntN(len(s.nodes)), s.r.IntN(len(s.nodes))}
		s.cut[way] = !s.cut[way]
	case s.chance(300) && len(s.conns) > 0:
		s.snap(s.conns[s.r.IntN(len(s.conns))], s.ms(3000), s.ms(3000))
	case s.chance(300) && len(s.conns) > 0:
		c := s.conns[s.r.IntN(len(s.conns))]
		c.slow = !c.slow
	}
}

// kill ends a process: its connections end soon for the others, or, when its machine died, in silence.
func (s *sim) kill(n *simNode) {
	n.alive = false
	silent := s.chance(2)
	for _, c := range s.conns {
		if c.core == n.core {
			c.bytes = nil
			c.ended = s.now()
			if !silent {
				s.snap(c, s.ms(20), 1)
			}
		}
		if c.into == n.core && !silent {
			s.snap(c, 1, s.ms(20))
		}
	}
}

// snap ends a connection: the receiver and the sender hear it after a while.
func (s *sim) snap(c *conn, in, out time.Duration) {
	if c.hungup == 0 {
		c.hungup = s.now() + in
	}
	if c.ended == 0 {
		c.ended = s.now() + out
	}
}

// users come, go, walk, and come in elsewhere.
func (s *sim) users() {
	if !s.chance(3) {
		return
	}
	n := s.nodes[s.r.IntN(len(s.nodes))]
	if !n.up(s.now()) {
		return
	}
	uid := game.UID(2000 + s.r.IntN(simUsers))
	_, in := n.sessions[uid]
	_, closing := n.closing[uid]
	ms := uint64(time.Now().UnixMilli()) + uint64(n.i*50) // clocks differ
	switch {
	case closing:
	case !in:
		n.sessions[uid] = game.Copy{}
		n.core.here(ms, uid, true, game.Copy{})
	case s.chance(3):
		delete(n.sessions, uid)
		n.core.here(ms, uid, false, game.Copy{})
	default:
		at := game.Copy{}
		for _, c := range simCopies {
			if n.claims.of[c] != nil && s.chance(2) {
				at = c
			}
		}
		n.sessions[uid] = at
		n.core.here(ms, uid, true, at)
	}
}

func (n *simNode) up(now time.Duration) bool { return n.alive && now >= n.paused }

// run lets a node work.
func (s *sim) run(n *simNode) {
	now := s.now()
	if !n.up(now) {
		return
	}
	for _, at := range simCopies { // what it still had in its hands when it stood still is written first
		if token := n.stale[at]; token != 0 {
			s.write(n, at, token, false)
		}
	}
	clear(n.stale)
	if now >= n.announce {
		n.announce = now + registerEvery
		if err := n.registrar.Announce(s.t.Context(), n.core.self); err == nil {
			if nodes, err := n.registrar.Nodes(s.t.Context()); err == nil {
				n.core.list(now, nodes)
			}
		} else if !errors.Is(err, ErrNameTaken) {
			s.breach("announce %s: %v", n.name, err)
		}
	}
	for uid, at := range n.closing {
		if now >= at {
			delete(n.closing, uid)
			delete(n.sessions, uid)
			n.core.here(0, uid, false, game.Copy{})
		} else if s.chance(20) {
			n.core.here(0, uid, true, simCopies[0]) // a belated word
		}
	}
	s.runClaims(n, now)
	n.core.tick(now)
	s.effects(n)
}

// runClaims renews, asks for more, and gives some back.
func (s *sim) runClaims(n *simNode, now time.Duration) {
	due, lost, _ := n.claims.step(now)
	for _, c := range lost {
		n.core.claimed(c.copy, false)
	}
	for _, c := range n.claims.of {
		if s.proud {
			c.until = now + time.Minute
		}
	}
	for _, c := range due {
		h, err := n.registry.Renew(s.t.Context(), claimPrefix+c.copy.String(), c.token, c.session)
		if s.proud && err != nil {
			err = lock.ErrAway
		}
		if n.claims.renewed(now, now, c, h, err) {
			n.core.claimed(c.copy, false)
		}
	}
	for _, at := range simCopies {
		switch c := n.claims.of[at]; {
		case c != nil:
			s.write(n, at, c.token, true)
			n.core.population(at, fill{n.in(at), 50})
			if s.wild && s.chance(500) {
				n.claims.remove(at)
				n.core.claimed(at, false)
				if err := n.registry.Release(s.t.Context(), claimPrefix+at.String(), c.token, c.session); err != nil {
					s.breach("release: %v", err)
				}
			}
		case n.wants[at] != nil:
			s.ask(n, now, at)
		case s.wild && s.chance(100):
			n.wants[at] = &want{until: now + 3*time.Second}
		}
	}
}

func (n *simNode) in(at game.Copy) (count int) {
	for uid, where := range n.sessions {
		if _, closing := n.closing[uid]; where == at && !closing {
			count++
		}
	}
	return count
}

// ask is a turn of Claim.
func (s *sim) ask(n *simNode, now time.Duration, at game.Copy) {
	w := n.wants[at]
	if now < w.next {
		return
	}
	if now >= w.until {
		delete(n.wants, at)
		return
	}
	w.next = now + askEveryMax
	h, err := n.registry.Acquire(s.t.Context(), claimPrefix+at.String(), n.text, n.claims.cfg.ClaimTerm)
	var held *lock.HeldError
	switch {
	case err == nil:
		n.claims.add(now, now, at, h)
		n.core.claimed(at, true)
		delete(n.wants, at)
		if s.last[at] != n.i {
			s.took++
		}
		s.last[at] = n.i
	case errors.As(err, &held):
		if n.core.runner(now, held.Holder, w.p.moved(held.Wait, now, now)) != nil {
			delete(n.wants, at)
		}
	default:
		s.breach("acquire: %v", err)
	}
}

// write is a write under a claim. Who believes is alone, and is never refused.
func (s *sim) write(n *simNode, at game.Copy, token uint64, believes bool) {
	for _, other := range s.nodes {
		if c := other.claims.of[at]; believes && other != n && other.up(s.now()) && c != nil && s.now() < c.until {
			s.breach("%s and %s believe in %v", n.name, other.name, at)
		}
	}
	fence, err := s.fences[at].Admit(token)
	switch {
	case err != nil && believes:
		s.breach("%s believes in %v and is refused: %v", n.name, at, err)
	case err != nil:
		s.refused++
	}
	s.fences[at] = fence
}

// effects does what a core says.
func (s *sim) effects(n *simNode) {
	now := s.now()
	out := n.core.take()
	for _, id := range out.drop {
		for _, c := range s.conns {
			if c.into == n.core && c.arrival == id {
				s.snap(c, 1, s.ms(50))
			}
		}
	}
	for _, id := range out.hangup {
		if c := n.links[id]; c != nil {
			s.snap(c, s.ms(50), 1)
		}
	}
	for _, d := range out.dial {
		to := slices.IndexFunc(s.nodes, func(o *simNode) bool { return o.name == d.node.Name })
		c := &conn{from: n.i, to: to, link: d.link, core: n.core, upAt: now + s.ms(30)}
		s.conns, n.links[d.link] = append(s.conns, c), c
	}
	for _, at := range out.look {
		if _, err := n.registry.Look(s.t.Context(), claimPrefix+at.String()); err != nil {
			s.breach("look: %v", err)
		}
	}
	for _, h := range out.happens {
		if h.word == nil && h.change.Replaces {
			s.replaced++
			if _, in := n.sessions[h.change.UID]; in && !s.deaf {
				n.closing[h.change.UID] = now + s.ms(100)
			}
		}
	}
}

func (s *sim) step() {
	time.Sleep(simStep)
	if s.wild {
		s.faults()
		s.users()
	}
	s.network()
	for _, n := range s.nodes {
		s.run(n)
	}
}

// quiet ends all trouble, and gives everybody the time to agree.
func (s *sim) quiet() {
	s.wild = false
	clear(s.cut)
	for _, n := range s.nodes {
		n.paused = 0
	}
	for _, c := range s.conns {
		c.slow = false
	}
	for end := s.now() + 12*time.Second; s.now() < end; {
		s.step()
	}
}

// agree checks what holds when all is quiet.
func (s *sim) agree() {
	for uid := game.UID(2000); uid < 2000+simUsers; uid++ {
		var at []int
		for _, n := range s.nodes {
			if _, in := n.sessions[uid]; in && n.alive {
				at = append(at, n.i)
			}
		}
		if len(at) > 1 {
			s.breach("user %v is online on nodes %v", uid, at)
			continue
		}
		for _, n := range s.nodes {
			if !n.alive {
				continue
			}
			where, ok := n.core.where(uid)
			if want := len(at) == 1 && at[0] != n.i; ok != want {
				s.breach("%s says of user %v: %v, %v; the sessions are on %v", n.name, uid, where, ok, at)
			} else if ok && (where.Node != s.nodes[at[0]].name || where.Copy != s.nodes[at[0]].sessions[uid]) {
				s.breach("%s says that user %v is at %v: want %s, %v", n.name, uid, where, s.nodes[at[0]].name, s.nodes[at[0]].sessions[uid])
			}
		}
	}
	s.agreeCopies()
}

func (s *sim) agreeCopies() {
	for _, n := range s.nodes {
		if !n.alive {
			continue
		}
		got := map[string]bool{}
		for _, area := range []string{"plaza", "garden"} {
			for _, c := range n.core.elsewhere(area) {
				got[fmt.Sprint(c.Copy, c.Place.Node, c.Avatars)] = true
			}
		}
		want := 0
		for _, o := range s.nodes {
			for at := range o.claims.of {
				if o != n && o.alive {
					want++
					if key := fmt.Sprint(at, o.name, o.in(at)); !got[key] {
						s.breach("%s does not know of %s; it knows %v", n.name, key, got)
					}
				}
			}
		}
		if len(got) != want {
			s.breach("%s knows copies %v, want %d", n.name, got, want)
		}
	}
}

func TestSimulation(t *testing.T) {
	t.Parallel()
	seeds := 4
	if os.Getenv("KAMADO_TEST_ALL") != "" {
		seeds = 300
	}
	refused, took, replaced := 0, 0, 0
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			s := newSim(t, uint64(seed), 3+seed%4)
			for s.now() < 60*time.Second && len(s.breaches) == 0 {
				s.step()
			}
			s.quiet()
			s.agree()
			for _, b := range s.breaches {
				t.Errorf("seed %d: %s", seed, b)
			}
			refused, took, replaced = refused+s.refused, took+s.took, replaced+s.replaced
		})
	}
	t.Logf("%d late writes were refused, %d copies passed on, %d users were replaced", refused, took, replaced)
	if refused == 0 || took < 10*seeds || replaced < 10*seeds {
		t.Errorf("the stories are too quiet: %d late writes, %d copies passed on, %d replaced", refused, took, replaced)
	}
}

// TestSimulationSeesFaults runs worlds that are broken on purpose: the simulation must notice.
func TestSimulationSeesFaults(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*sim){
		"who is replaced does not hear it":       func(s *sim) { s.deaf = true },
		"who stood still believes in its claims": func(s *sim) { s.proud = true },
	} {
		found := false
		for seed := uint64(0); seed < 8 && !found; seed++ {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(t, seed, 4)
				fault(s)
				for s.now() < 60*time.Second && len(s.breaches) == 0 {
					s.step()
				}
				if len(s.breaches) == 0 {
					s.quiet()
					s.agree()
				}
				found = found || len(s.breaches) > 0
			})
		}
		if !found {
			t.Errorf("%s: nothing was noticed", name)
		}
	}
}
