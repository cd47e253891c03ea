package area

import (
	"fmt"
	"iter"
	"runtime/debug"
	"slices"
	"unicode/utf8"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// PanicError is a rule that panicked. What it did until then has happened, and the area goes on.
type PanicError struct {
	Value any
	Stack []byte
}

func (p *PanicError) Error() string { return fmt.Sprintf("the rule panicked: %v", p.Value) }

// Rule has a rule of the application answer in this turn. The avatar of the act is filled in; NotFound: its member is not
// here. The error may be a *PanicError.
func (a *Area) Rule(id game.AvatarID, act *game.Act, rule game.AreaRule) (answer []byte, err error) {
	av := a.ids[id]
	if av == nil {
		return nil, game.Errorf(game.NotFound, "you are in no area")
	}
	act.Avatar, act.Copy = av.Avatar, a.cfg.Copy
	defer func() {
		if v := recover(); v != nil {
			answer, err = nil, &PanicError{v, debug.Stack()}
		}
	}()
	return rule(scene{a}, act)
}

// scene is the area as a rule sees it.
type scene struct{ a *Area }

func (s scene) Copy() game.Copy { return s.a.cfg.Copy }

func (s scene) Plan() game.AreaPlan { return s.a.cfg.Plan }

func (s scene) Avatars() iter.Seq[game.Avatar] {
	return func(yield func(game.Avatar) bool) {
		for _, av := range s.a.all {
			if !yield(av.Avatar) {
				return
			}
		}
	}
}

func (s scene) Avatar(uid game.UID) (game.Avatar, bool) {
	if av := s.a.users[uid]; av != nil {
		return av.Avatar, true
	}
	return game.Avatar{}, false
}

func (s scene) Place(id game.AvatarID, at game.Pose) bool {
	av := s.a.ids[id]
	if av != nil {
		s.a.place(av, at)
	}
	return av != nil
}

func (s scene) Dress(id game.AvatarID, name string, look []byte) bool {
	av := s.a.ids[id]
	if av == nil {
		return false
	}
	name, err := game.CheckAvatarName(name)
	if err != nil || len(look) > game.LookBytesMax {
		panic(fmt.Sprintf("Dress with a name of %d and a look of %d bytes: %v", len(name), len(look), err))
	}
	s.a.dress(av, name, slices.Clone(look))
	return true
}

// dress changes how an avatar is called and looks.
func (a *Area) dress(av *avatar, name string, look []byte) {
	av.Name, av.Look = name, look
	a.tellAll(wire.CmdAppeared, encode(&wire.Appeared{Member: av.member()}))
	if a.grid != nil {
		a.grid.appear(av, a.round+1)
		a.due = true
	}
}

func (s scene) Object(name string) []byte { return s.a.things[name] }

func (s scene) SetObject(name string, value []byte) error { return s.a.SetThing(0, name, value) }

func (s scene) Tell(event string, body []byte) { s.a.tellAll(wire.CmdEvent, eventBody(event, body)) }

func (s scene) TellOne(uid game.UID, event string, body []byte) bool {
	av := s.a.users[uid]
	if av != nil {
		av.tell(wire.CmdEvent, eventBody(event, body))
	}
	return av != nil
}

// eventBody makes the body of an event. One that breaks the bounds is a mistake of the rule.
func eventBody(event string, body []byte) []byte {
	if event == "" || len(event) > game.EventNameBytesMax || !utf8.ValidString(event) || len(body) > game.EventBytesMax {
		panic(fmt.Sprintf("event %.70q of %d bytes: want a name of 1 to %d and a body of at most %d", event, len(body), game.EventNameBytesMax, game.EventBytesMax))
	}
	return encode(&wire.Event{Name: event, Body: body})
}
