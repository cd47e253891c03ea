package area

import (
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// ThingsBytesMax bounds the names and values of all things of a copy together: they are one entity, and lie in one frame of
// Entered beside all avatars.
const ThingsBytesMax = 256 << 10

// SetThing changes the state of an object, and tells everybody; nil or nothing forgets it. by is an avatar; 0: a rule. The error is
// Invalid or Exhausted.
func (a *Area) SetThing(by game.AvatarID, name string, value []byte) error {
	if name == "" || len(name) > game.ObjectNameBytesMax || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return game.Errorf(game.Invalid, "%.70q is no name of a thing: want 1 to %d bytes of text", name, game.ObjectNameBytesMax)
	}
	if len(value) > game.ObjectBytesMax {
		return game.Errorf(game.Invalid, "a thing of %d bytes: at most %d", len(value), game.ObjectBytesMax)
	}
	before, there := a.things[name]
	if len(value) == 0 {
		if there {
			delete(a.things, name)
			a.thingsBytes -= len(name) + len(before)
			a.changed(by, name, nil)
		}
		return nil
	}
	if !there && len(a.things) >= game.ObjectsMax {
		return game.Errorf(game.Exhausted, "the area has %d things, and keeps no more", len(a.things))
	}
	grows := len(value) - len(before)
	if !there {
		grows += len(name)
	}
	if grows > 0 && a.thingsBytes+grows > ThingsBytesMax {
		return game.Errorf(game.Exhausted, "the things of the area have %d bytes, and at most %d are kept", a.thingsBytes, ThingsBytesMax)
	}
	a.thingsBytes += grows
	a.things[name] = slices.Clone(value)
	a.changed(by, name, a.things[name])
	return nil
}

func (a *Area) changed(by game.AvatarID, name string, value []byte) {
	a.thingsChange++
	a.tellAll(wire.CmdThingChanged, encode(&wire.ThingChanged{Thing: &wire.Thing{Name: name, Value: value}, By: uint32(by)}))
}

func (a *Area) thingList() []*wire.Thing {
	list := make([]*wire.Thing, 0, len(a.things))
	for _, name := range slices.Sorted(maps.Keys(a.things)) {
		list = append(list, &wire.Thing{Name: name, Value: a.things[name]})
	}
	return list
}

// ThingsChange grows with each change of a thing.
func (a *Area) ThingsChange() uint64 { return a.thingsChange }

// ThingsLen is how many things have a state.
func (a *Area) ThingsLen() int { return len(a.things) }

// Things is the state of all things, in a form that Load reads.
func (a *Area) Things() []byte { return encode(&wire.Entered{Things: a.thingList()}) }

// Load takes things that were kept. Call it before anybody enters. What breaks a bound is not taken; the error says so.
func (a *Area) Load(kept []byte) error {
	var m wire.Entered
	if err := wire.Parse(kept, &m); err != nil {
		return &game.Error{Op: "load things", Kind: game.Internal, Err: err}
	}
	for _, t := range m.Things {
		if err := a.SetThing(0, t.GetName(), t.GetValue()); err != nil {
			return err
		}
	}
	a.thingsChange = 0
	return nil
}
