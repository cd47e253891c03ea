package area_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world/area"
	"github.com/kamado/kamado/game/world/worldtest"
)

// sim plays with an area, and knows by itself what each member must know in the end.
type sim struct {
	rand      *rand.Rand
	plan      game.AreaPlan
	area      *area.Area
	members   []*simMember
	next      game.UID
	things    map[string]string
	forgetful bool
	grid      bool // as the rule of the boundary says
	rounds    int
	behind    int
	gridded   int
}

type simMember struct {
	session *worldtest.Session
	id      game.AvatarID
	pose    game.Pose
	step    uint16
	name    string
	heard   []string
	cut     bool
}

func newSim(seed uint64, view int) *sim {
	plan := game.AreaPlan{Name: "sim", Width: 1000, Height: 700, Capacity: 200, View: view}
	return &sim{
		rand: rand.New(rand.NewPCG(seed, 1)), plan: plan, things: map[string]string{}, next: 1000,
		area: area.New(area.Config{Copy: game.Copy{Area: "sim", Number: 1}, Plan: plan, Tick: 50 * time.Millisecond}),
	}
}

func (s *sim) all(f func(m *simMember)) {
	for _, m := range s.members {
		f(m)
	}
}

// step does one thing. people is about how many shall be there.
func (s *sim) step(people int) {
	n := s.rand.IntN(1000)
	if len(s.members) == 0 || n < 40 && len(s.members) < people || n > 900 && len(s.members) < people-5 {
		s.enter()
		return
	}
	i := s.rand.IntN(len(s.members))
	m := s.members[i]
	switch {
	case n < 40 && len(s.members) > people, n < 50:
		s.leave(i)
	case n < 500:
		s.move(m)
	case n < 540:
		f := wire.Face{Facing: uint8(s.rand.Uint32()), Gait: uint8(s.rand.Uint32N(4)), Step: uint16(s.rand.Uint32())}
		s.area.Face(m.id, f)
		m.pose.Facing, m.pose.Gait, m.step = f.Facing, f.Gait, f.Step
	case n < 560:
		s.area.Emote(m.id, wire.Emote{Emote: 1})
	case n < 590:
		text := fmt.Sprintf("words %d", s.rand.Uint32())
		s.area.Say(m.id, text, 1)
		s.all(func(o *simMember) { o.heard = append(o.heard, fmt.Sprintf("%d says %s", m.session.UID(), text)) })
	case n < 610:
		name, value := fmt.Sprintf("thing%d", s.rand.IntN(5)), fmt.Sprint(s.rand.IntN(3))
		if value == "0" {
			value = ""
		}
		if err := s.area.SetThing(m.id, name, []byte(value)); err != nil {
			panic(err)
		}
		if s.things[name] = value; value == "" {
			delete(s.things, name)
		}
	case n < 625:
		s.rule(m)
	case n < 640:
		m.cut = true
		m.session.Cut()
		s.area.Cut(m.id)
	case n < 665:
		s.resume(m)
	case n < 700:
		m.session.Refuse(s.rand.IntN(2) == 0)
	case n < 850:
		if !m.cut {
			m.session.Read()
		}
	default:
		s.round()
	}
}

func (s *sim) enter() {
	m := &simMember{session: worldtest.User(s.next)}
	s.next++
	m.session.QueueMax, m.session.Forgetful = 12, s.forgetful
	at := game.Pose{X: uint16(s.rand.IntN(1200)), Y: uint16(s.rand.IntN(900)), Facing: 3}
	m.pose, m.name = s.plan.Clamp(at), "guest "+m.session.UID().String()
	m.id = s.area.Enter(area.Entrant{UID: m.session.UID(), Name: m.name, At: &at, Out: m.session})
	s.members = append(s.members, m)
	s.boundary()
}

func (s *sim) leave(i int) {
	s.area.Leave(s.members[i].id)
	s.members = slices.Delete(s.members, i, i+1)
	s.boundary()
}

func (s *sim) boundary() {
	switch n := len(s.members); {
	case s.plan.View > 0 && n > 50:
		s.grid = true
	case n <= 40:
		s.grid = false
	}
}

func (s *sim) move(m *simMember) {
	at := game.Pose{X: m.pose.X + uint16(s.rand.IntN(40)), Y: m.pose.Y + uint16(s.rand.IntN(40)), Facing: uint8(s.rand.Uint32()), Gait: game.GaitWalk}
	at.X, at.Y = at.X-min(at.X, 20), at.Y-min(at.Y, 20)
	if s.rand.IntN(20) == 0 {
		at.X, at.Y = uint16(s.rand.IntN(65536)), uint16(s.rand.IntN(65536))
	}
	m.step++
	m.pose = s.plan.Clamp(at)
	s.area.Move(m.id, wire.Move{Pose: at, Step: m.step})
}

// rule has a rule do one of the things that rules do.
func (s *sim) rule(m *simMember) {
	to := s.members[s.rand.IntN(len(s.members))]
	kind := s.rand.IntN(4)
	_, err := s.area.Rule(m.id, &game.Act{Method: "sim.rule"}, func(scene game.Scene, act *game.Act) ([]byte, error) {
		switch kind {
		case 0:
			at := game.Pose{X: uint16(s.rand.IntN(1000)), Y: 5}
			scene.Place(to.id, at)
			to.pose = s.plan.Clamp(at)
		case 1:
			to.name = fmt.Sprintf("name %d", s.rand.IntN(100))
			scene.Dress(to.id, to.name, []byte{1})
		case 2:
			scene.Tell("sim", []byte("all"))
			s.all(func(o *simMember) { o.heard = append(o.heard, "event sim all") })
		case 3:
			scene.TellOne(to.session.UID(), "sim", []byte("one"))
			to.heard = append(to.heard, "event sim one")
		}
		return nil, nil
	})
	if err != nil {
		panic(err)
	}
}

func (s *sim) resume(m *simMember) {
	if m.cut {
		m.cut = false
		m.session.Resume()
		s.area.Back(m.id)
	}
}

func (s *sim) round() {
	shown := s.area.Round()
	s.area.Flush()
	s.rounds++
	s.behind += shown.Refused
	if s.grid {
		s.gridded++
	}
}

// quiet ends cuts and refusals, and has everybody read.
func (s *sim) quiet() error {
	s.all(func(m *simMember) {
		m.session.Refuse(false)
		s.resume(m)
	})
	for range 5 {
		s.all(func(m *simMember) { m.session.Read() })
		s.round()
	}
	s.all(func(m *simMember) { m.session.Read() })
	if s.area.Due() {
		return fmt.Errorf("the area has something to tell after everybody took everything")
	}
	return nil
}

// check compares what each member knows with what it must know.
func (s *sim) check() error {
	for _, m := range s.members {
		v := m.session.Read()
		if len(v.Faults) > 0 {
			return fmt.Errorf("member %d: %s", m.id, v.Faults[0])
		}
		if !slices.Equal(v.Heard, m.heard) {
			return fmt.Errorf("member %d heard %q\nwant %q", m.id, v.Heard, m.heard)
		}
		if fmt.Sprint(v.Things) != fmt.Sprint(s.things) {
			return fmt.Errorf("member %d: things %v, want %v", m.id, v.Things, s.things)
		}
		if len(v.Avatars) != len(s.members) {
			return fmt.Errorf("member %d knows %d avatars, want %d", m.id, len(v.Avatars), len(s.members))
		}
		for _, o := range s.members {
			if err := s.checkSight(m, o, v.Avatars[o.id]); err != nil {
				return fmt.Errorf("member %d, avatar %d: %w", m.id, o.id, err)
			}
		}
	}
	return nil
}

func (s *sim) checkSight(m, o *simMember, seen *worldtest.Seen) error {
	if seen == nil {
		return fmt.Errorf("not known")
	}
	if seen.Name != o.name {
		return fmt.Errorf("is called %q, want %q", seen.Name, o.name)
	}
	far := false
	if s.grid {
		cell := func(n uint16) int { return int(n) / s.plan.View }
		dx, dy := cell(m.pose.X)-cell(o.pose.X), cell(m.pose.Y)-cell(o.pose.Y)
		far = max(dx, -dx, dy, -dy) > 1
	}
	if seen.Far != far {
		return fmt.Errorf("far %v, want %v: %v from %v", seen.Far, far, o.pose, m.pose)
	}
	if !far && seen.Pose != o.pose {
		return fmt.Errorf("is at %v, want %v", seen.Pose, o.pose)
	}
	if m == o && m.step != 0 && seen.Step != m.step {
		return fmt.Errorf("step %d, want %d", seen.Step, m.step)
	}
	return nil
}

// play does some thousand things, and looks in between.
func (s *sim) play(steps int) error {
	people := 8
	for i := range steps {
		if i%800 == 0 {
			people = []int{8, 30, 45, 54, 54, 90}[s.rand.IntN(6)]
		}
		s.step(people)
		if i%997 == 996 {
			if err := s.quiet(); err != nil {
				return err
			}
			if err := s.check(); err != nil {
				return err
			}
		}
	}
	return nil
}

func TestEverybodyKnowsEverythingInTheEnd(t *testing.T) {
	t.Parallel()
	seeds, steps := 3, 3500
	if worldtest.Long() {
		seeds, steps = 60, 10_000
	}
	for _, view := range []int{0, 100, 450} {
		behind, gridded := 0, 0
		for range seeds {
			seed := rand.Uint64()
			s := newSim(seed, view)
			if err := s.play(steps); err != nil {
				t.Fatalf("seed %d, view %d: %v", seed, view, err)
			}
			behind += s.behind
			gridded += s.gridded
		}
		if behind == 0 || view > 0 && gridded == 0 {
			t.Errorf("view %d: %d refusals, %d rounds with the grid: the simulation is too tame", view, behind, gridded)
		}
	}
}

// TestForgettingWhoIsBehindIsCaught is the control: members that seem to take what they do not.
func TestForgettingWhoIsBehindIsCaught(t *testing.T) {
	t.Parallel()
	for _, view := range []int{0, 100} {
		caught := 0
		for seed := range uint64(5) {
			s := newSim(seed, view)
			s.forgetful = true
			if s.play(4000) != nil {
				caught++
			}
		}
		if caught == 0 {
			t.Errorf("view %d: no simulation noticed that frames were lost", view)
		}
	}
}
