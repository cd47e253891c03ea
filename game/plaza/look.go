package plaza

import (
	"bytes"
	"encoding/json"
	"regexp"

	"github.com/kamado/kamado/game"
)

// How many there are of what everybody may choose. src/look.ts draws as many.
const (
	colours     = 10 // of coats
	skins       = 6
	hairs       = 6 // styles
	hairColours = 8
)

// Look is what an avatar wears.
type Look struct {
	Colour     int    `json:"colour"`            // of the coat, from 0
	Skin       int    `json:"skin"`              // from 0
	Hair       int    `json:"hair"`              // style, from 0; 0: none
	HairColour int    `json:"hairColour"`        // from 0
	Hat        string `json:"hat,omitempty"`     // id of an item
	Coat       string `json:"coat,omitempty"`    // id of an item; empty: plain
	Picture    string `json:"picture,omitempty"` // name of the profile picture: "0c9a….jpg"
}

// pictureName is what takePicture makes: 16 bytes of the picture's hash, and its type.
var pictureName = regexp.MustCompile(`^[0-9a-f]{32}\.(jpg|png|webp)$`)

// ParseLook reads a look. Fields that it does not know it passes over.
func ParseLook(b []byte) (Look, error) {
	var l Look
	if len(b) > game.LookBytesMax {
		return l, game.Errorf(game.Invalid, "a look of %d bytes: at most %d", len(b), game.LookBytesMax)
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return Look{}, game.Errorf(game.Invalid, "the look is no JSON of a look")
	}
	if !l.valid() {
		return Look{}, game.Errorf(game.Invalid, "the look has a choice that does not exist")
	}
	return l, nil
}

func (l *Look) valid() bool {
	within := func(v, n int) bool { return v >= 0 && v < n }
	worn := func(id string, k Kind) bool {
		item, ok := itemOf(id)
		return id == "" || ok && item.Kind == k
	}
	return within(l.Colour, colours) && within(l.Skin, skins) && within(l.Hair, hairs) && within(l.HairColour, hairColours) &&
		worn(l.Hat, Hat) && worn(l.Coat, Coat) && (l.Picture == "" || pictureName.MatchString(l.Picture))
}

// Bytes is the look as others get it.
func (l Look) Bytes() []byte {
	b, err := json.Marshal(l)
	if err != nil {
		panic("plaza: a look that is no JSON: " + err.Error()) // it has only numbers and checked texts
	}
	return b
}

// without takes off what is not owned.
func (l Look) without(owned func(id string) bool) Look {
	if l.Hat != "" && !owned(l.Hat) {
		l.Hat = ""
	}
	if l.Coat != "" && !owned(l.Coat) {
		l.Coat = ""
	}
	return l
}

// LookOf is what a user wears who has chosen nothing: always the same for one user.
func LookOf(uid game.UID) Look {
	n := uint64(uid) * 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio: neighbours get other looks
	return Look{Colour: int(n >> 8 % colours), Skin: int(n >> 16 % skins), Hair: 1 + int(n>>24%(hairs-1)), HairColour: int(n >> 32 % hairColours)}
}

// Avatar is the entity "avatar": how a user is called and looks.
type Avatar struct {
	Name string `json:"name"`
	Look Look   `json:"look"`
}

// EntityName is its name under its user.
func (*Avatar) EntityName() string { return "avatar" }

// MarshalBinary gives its JSON.
func (a *Avatar) MarshalBinary() ([]byte, error) { return json.Marshal(a) }

// UnmarshalBinary reads it. Whatever a client wrote there that is no look becomes the plainest one.
func (a *Avatar) UnmarshalBinary(b []byte) error {
	var raw struct {
		Name string          `json:"name"`
		Look json.RawMessage `json:"look"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return game.Errorf(game.Invalid, "the entity avatar is no JSON")
	}
	*a = Avatar{}
	if name, err := game.CheckAvatarName(raw.Name); err == nil {
		a.Name = name
	}
	if l, err := ParseLook(bytes.TrimSpace(raw.Look)); err == nil {
		a.Look = l
	}
	return nil
}
