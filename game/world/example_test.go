package world_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
)

// Dice is a whole game: who calls dice.roll rolls two dice, and everybody in the area is told.
func dice(roll func() int) *game.Handlers {
	var rules game.Handlers
	rules.HandleInArea("dice.roll", func(area game.Scene, act *game.Act) ([]byte, error) {
		if len(act.Body) > 0 {
			return nil, game.Errorf(game.Invalid, "dice.roll takes no body")
		}
		sum := fmt.Sprint(roll() + roll())
		area.Tell("dice.rolled", []byte(act.Avatar.Name+" rolls "+sum)) // everybody hears it, in order
		if sum == "12" {
			return []byte(sum), area.SetObject("champion", []byte(act.Avatar.Name)) // it is kept, and who comes later sees it
		}
		return []byte(sum), nil // the caller's answer
	})
	return &rules
}

// Example shows what is handed to the server: kamado's own main does the same with the plaza's rules.
func Example() {
	rules := dice(func() int { return 1 + rand.IntN(6) })
	fmt.Println(rules.InArea("dice.roll") != nil)
	// Output: true
}

func TestDice(t *testing.T) {
	t.Parallel()
	inWorld(t, rules(dice(func() int { return 6 })), func(t *testing.T, r *rig) {
		a, b := r.user(1001), r.user(1002)
		r.do(a, wire.CmdJoin, &wire.Join{Area: "plaza", Name: "Aki"})
		r.join(b, "plaza", 0)
		if answer := r.call(a, "dice.roll", nil); string(answer.Body) != "12" {
			t.Errorf("dice.roll = %v", answer)
		}
		v := b.Read()
		if len(v.Heard) != 1 || v.Heard[0] != "event dice.rolled Aki rolls 12" || v.Things["champion"] != "Aki" {
			t.Errorf("the other one hears %q and sees %q", v.Heard, v.Things)
		}
		r.asks(a, "dice.roll", "", "invalid")
	})
}
