package area_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world/area"
	"github.com/kamado/kamado/game/world/worldtest"
)

func newArea(view int) *area.Area {
	return area.New(area.Config{
		Copy: game.Copy{Area: "hall", Number: 3}, Plan: game.AreaPlan{Name: "hall", Width: 1000, Height: 1000, Capacity: 1000, View: view},
		Tick: 50 * time.Millisecond,
	})
}

func enter(a *area.Area, uid game.UID, x, y uint16) (*worldtest.Session, game.AvatarID) {
	s := worldtest.User(uid)
	return s, a.Enter(area.Entrant{UID: uid, Name: "guest " + uid.String(), At: &game.Pose{X: x, Y: y}, Out: s})
}

func round(a *area.Area) area.Shown {
	s := a.Round()
	a.Flush()
	return s
}

func at(x, y uint16) wire.Move { return wire.Move{Pose: game.Pose{X: x, Y: y}} }

func TestOneFrameIsSharedByAll(t *testing.T) {
	t.Parallel()
	a := newArea(0)
	var outs []*recorder
	for uid := range game.UID(30) {
		r := &recorder{}
		outs = append(outs, r)
		a.Enter(area.Entrant{UID: uid + 1, Name: "x", Out: r})
	}
	for id := range game.AvatarID(15) {
		a.Move(id+1, at(5, 5))
		a.Move(id+1, at(uint16(id), 7))
	}
	s := round(a)
	if want := (area.Shown{Moves: 15, Deliveries: 15 * 29}); s != want {
		t.Errorf("Round = %+v, want %+v", s, want)
	}
	for _, r := range outs {
		if len(r.shown) != 1 || &r.shown[0][0] != &outs[0].shown[0][0] {
			t.Fatalf("a member got %d frames, or one that is not shared", len(r.shown))
		}
	}
	f, rest, _, err := wire.Cut(outs[0].shown[0], wire.LimitServer)
	rows, ok := wire.ParseMoves(nil, f.Body)
	if err != nil || len(rest) != 0 || !ok || len(rows) != 15 || rows[3].Pose.X != 3 || rows[3].Pose.Y != 7 {
		t.Errorf("the frame is %v %v: the last move counts", rows, err)
	}
}

// recorder keeps what is shown.
type recorder struct {
	shown [][]byte
	no    bool
}

func (*recorder) Tell(wire.Command, []byte) {}
func (*recorder) Flush()                    {}
func (r *recorder) Show(frames []byte) bool {
	if !r.no {
		r.shown = append(r.shown, frames)
	}
	return !r.no
}

func TestWhoIsBehindIsOfferedAgain(t *testing.T) {
	t.Parallel()
	a := newArea(0)
	s, _ := enter(a, 1, 1, 1)
	_, other := enter(a, 2, 2, 2)
	_, third := enter(a, 3, 3, 3)
	s.Read()
	s.Refuse(true)
	a.Move(other, at(20, 20))
	if shown := round(a); shown.Refused != 1 || !a.Due() {
		t.Fatalf("a member that does not take: %+v, due %v", shown, a.Due())
	}
	a.Move(third, at(30, 30))
	a.Move(other, at(21, 21))
	round(a)
	s.Refuse(false)
	if shown := round(a); shown.Own != 1 || shown.Deliveries != 2 || a.Due() {
		t.Errorf("a member that takes again: %+v, due %v", shown, a.Due())
	}
	if v := s.Read(); v.Avatars[other].Pose.X != 21 || v.Avatars[third].Pose.X != 30 || v.Changes != 2 {
		t.Errorf("it knows %+v, %+v after %d changes", v.Avatars[other], v.Avatars[third], v.Changes)
	}
	s.Refuse(true)
	a.Move(other, at(1, 1))
	round(a)
	s.Cut()
	a.Cut(1)
	if round(a); a.Due() {
		t.Errorf("a member that is cut keeps the area busy")
	}
}

func TestFarAvatarsAreNotFollowed(t *testing.T) {
	t.Parallel()
	a := newArea(100)
	all := map[game.AvatarID]*worldtest.Session{}
	for uid := range game.UID(51) {
		x := uint16(50)
		if uid > 25 {
			x = 950
		}
		s, id := enter(a, uid+1, x, 50)
		all[id] = s
		if uid < 50 && round(a).Own > 0 {
			t.Fatalf("the grid is on with %d avatars", uid+1)
		}
	}
	if s := round(a); s.Own != 51 {
		t.Fatalf("when the grid goes on: %+v", s)
	}
	far := func(id game.AvatarID) (n int) {
		v := all[id].Read()
		for _, seen := range v.Avatars {
			if seen.Far {
				n++
			}
		}
		return n
	}
	if far(1) != 25 || far(51) != 26 {
		t.Errorf("%d and %d are far", far(1), far(51))
	}
	before := all[51].Read().Changes
	a.Move(1, at(60, 60))
	if s := round(a); s.Deliveries != 25 || s.Own != 0 {
		t.Errorf("a move that half of them see: %+v", s)
	}
	if all[51].Read().Changes != before {
		t.Errorf("a far avatar was shown")
	}
	a.Emote(1, wire.Emote{Emote: 4})
	round(a)
	if len(all[2].Read().Emotes) != 1 || len(all[51].Read().Emotes) != 0 {
		t.Errorf("a gesture is seen by %v and %v", all[2].Read().Emotes, all[51].Read().Emotes)
	}
	a.Move(1, at(940, 60))
	round(a)
	if !all[2].Read().Avatars[1].Far || all[51].Read().Avatars[1].Far || all[51].Read().Avatars[1].Pose.X != 940 || far(1) != 25 {
		t.Errorf("after it went over: far for its old neighbours %v, for the new ones %v, and %d far for it", all[2].Read().Avatars[1].Far, all[51].Read().Avatars[1].Far, far(1))
	}
	for id := game.AvatarID(51); id > 41; id-- { // 41 are left
		a.Leave(id)
		if round(a).Own > 0 {
			t.Fatalf("the grid goes off before %d avatars", 40)
		}
	}
	a.Leave(41)
	if round(a); far(2) != 0 {
		t.Errorf("the grid is off, and %d are far", far(2))
	}
}

func TestThingsHaveBounds(t *testing.T) {
	t.Parallel()
	a := newArea(0)
	s, id := enter(a, 1, 1, 1)
	for _, c := range []struct {
		name, thing string
		bytes       int
		kind        game.Kind
	}{
		{"no name", "", 1, game.Invalid},
		{"a long name", strings.Repeat("n", game.ObjectNameBytesMax+1), 1, game.Invalid},
		{"a name that is no text", "\xff", 1, game.Invalid},
		{"a name with a line break", "a\nb", 1, game.Invalid},
		{"a large value", "x", game.ObjectBytesMax + 1, game.Invalid},
	} {
		if err := a.SetThing(id, c.thing, make([]byte, c.bytes)); game.KindOf(err) != c.kind {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	set := 0
	for ; ; set++ {
		if err := a.SetThing(id, fmt.Sprintf("large%03d", set), make([]byte, game.ObjectBytesMax)); err != nil {
			if game.KindOf(err) != game.Exhausted || set != area.ThingsBytesMax/(game.ObjectBytesMax+8) {
				t.Errorf("thing %d: %v", set, err)
			}
			break
		}
	}
	for i := range set {
		if err := a.SetThing(id, fmt.Sprintf("large%03d", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	for i := range game.ObjectsMax + 1 {
		if err := a.SetThing(id, fmt.Sprint(i), []byte{1}); (game.KindOf(err) == game.Exhausted) != (i == game.ObjectsMax && err != nil) {
			t.Errorf("thing %d: %v", i, err)
		}
	}
	if n := len(s.Read().Things); n != game.ObjectsMax || a.ThingsLen() != n {
		t.Errorf("%d things are known, %d are there", n, a.ThingsLen())
	}
	again := newArea(0)
	if err := again.Load(a.Things()); err != nil || again.ThingsLen() != game.ObjectsMax || again.ThingsChange() != 0 {
		t.Errorf("loaded %d things, %v", again.ThingsLen(), err)
	}
	if err := again.Load([]byte{0xff}); err == nil {
		t.Errorf("bytes that are no things were loaded")
	}
}

func TestOneAvatarAUser(t *testing.T) {
	t.Parallel()
	a := newArea(0)
	first, _ := enter(a, 1, 1, 1)
	other, _ := enter(a, 2, 1, 1)
	enter(a, 1, 5, 5)
	if v := other.Read(); len(v.Avatars) != 2 || v.Avatars[1] != nil || v.Avatars[3].Pose.X != 5 || len(v.Faults) > 0 {
		t.Errorf("the other one knows %v, %v", v.Avatars, v.Faults)
	}
	a.End("over")
	if a.Len() != 0 || first.Read().Area == "" || other.Read().Area != "" {
		t.Errorf("after the end %d are here", a.Len())
	}
	a.Move(2, at(1, 1))
	if a.Say(2, "x", 0) || a.Leave(2) || a.Due() {
		t.Errorf("somebody acts after the end")
	}
}

func TestRulesThatBreakBoundsPanicAndAreCaught(t *testing.T) {
	t.Parallel()
	a := newArea(0)
	_, id := enter(a, 1, 1, 1)
	for name, do := range map[string]func(game.Scene){
		"an event without a name": func(s game.Scene) { s.Tell("", nil) },
		"an event that is large":  func(s game.Scene) { s.TellOne(1, "x", make([]byte, game.EventBytesMax+1)) },
		"a name that is none":     func(s game.Scene) { s.Dress(id, "", nil) },
	} {
		_, err := a.Rule(id, &game.Act{}, func(s game.Scene, _ *game.Act) ([]byte, error) { do(s); return nil, nil })
		var p *area.PanicError
		if !errors.As(err, &p) || len(p.Stack) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := a.Rule(id, &game.Act{}, func(s game.Scene, act *game.Act) ([]byte, error) {
		n := 0
		for range s.Avatars() {
			n++
		}
		_, found := s.Avatar(1)
		_, lost := s.Avatar(2)
		if n != 1 || !found || lost || act.Copy.Number != 3 || s.Plan().Width != 1000 || s.Object("x") != nil || s.Place(9, game.Pose{}) || s.Dress(9, "x", nil) || s.TellOne(9, "x", nil) {
			t.Errorf("the scene is odd")
		}
		return nil, nil
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := a.Rule(9, &game.Act{}, nil); game.KindOf(err) != game.NotFound {
		t.Errorf("a rule for nobody: %v", err)
	}
}

func TestARoundAllocatesItsFrameAlone(t *testing.T) {
	a := newArea(0)
	for uid := range game.UID(30) {
		a.Enter(area.Entrant{UID: uid + 1, Name: "x", Out: nothing{}})
	}
	round(a)
	if n := testing.AllocsPerRun(100, func() {
		for id := range game.AvatarID(15) {
			a.Move(id+1, at(uint16(id), 7))
		}
		round(a)
	}); n > 1 {
		t.Errorf("a round of 30 members allocates %v times, want once", n)
	}
	if n := testing.AllocsPerRun(100, func() { round(a) }); n > 0 {
		t.Errorf("a round in which nothing moved allocates %v times", n)
	}
}

// nothing takes everything.
type nothing struct{}

func (nothing) Tell(wire.Command, []byte) {}
func (nothing) Show([]byte) bool          { return true }
func (nothing) Flush()                    {}

// BenchmarkRound is a round of an area in which half of the avatars moved: a tick of 50 ms with ten moves a second each.
func BenchmarkRound(b *testing.B) {
	for _, c := range []struct{ people, view int }{{30, 0}, {200, 0}, {200, 100}, {1000, 100}} {
		b.Run(fmt.Sprintf("people=%d/view=%d", c.people, c.view), func(b *testing.B) {
			a := newArea(c.view)
			for uid := range game.UID(c.people) {
				a.Enter(area.Entrant{UID: uid + 1, Name: "x", At: &game.Pose{X: uint16(uid * 37 % 1000), Y: uint16(uid * 91 % 1000)}, Out: nothing{}})
			}
			round(a)
			b.ReportAllocs()
			deliveries, n := 0, 0
			for b.Loop() {
				for id := 1 + n%2; id <= c.people; id += 2 {
					a.Move(game.AvatarID(id), at(uint16(id*37%1000+n%9), uint16(id*91%1000)))
				}
				n++
				deliveries += round(a).Deliveries
			}
			b.ReportMetric(float64(deliveries)/b.Elapsed().Seconds(), "deliveries/s")
		})
	}
}
