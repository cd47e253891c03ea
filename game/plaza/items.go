package plaza

import "github.com/kamado/kamado/game"

// Kind says where an item is worn.
type Kind string

// The kinds of item.
const (
	Hat  Kind = "hat"
	Coat Kind = "coat"
)

// Item is a thing that the shop sells. What it is called stands in src/text, under "item." and its id.
type Item struct {
	ID    string      `json:"id"`
	Kind  Kind        `json:"kind"`
	Price game.Amount `json:"price"`
}

// items are all of them, in the order of the shop's shelves. An id never gets another meaning: wardrobes have it.
var items = []Item{
	{"straw", Hat, 120},
	{"beret", Hat, 150},
	{"flower", Hat, 180},
	{"cat", Hat, 200},
	{"chef", Hat, 240},
	{"phones", Hat, 260},
	{"wizard", Hat, 320},
	{"crown", Hat, 900},
	{"stripes", Coat, 160},
	{"sakura", Coat, 220},
	{"night", Coat, 400},
	{"gold", Coat, 700},
}

// welcomePoints is what a user gets once, at the first visit. It buys two or three hats.
const welcomePoints game.Amount = 500

// Items lists what the shop sells.
func Items() []Item { return items }

func itemOf(id string) (Item, bool) {
	for _, i := range items {
		if i.ID == id {
			return i, true
		}
	}
	return Item{}, false
}
