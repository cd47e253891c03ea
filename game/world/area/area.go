package area

import (
	"slices"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
	"google.golang.org/protobuf/proto"
)

// Outlet is where one member gets its frames: its session.
type Outlet interface {
	// Tell gives a reliable frame. The body is shared, and not changed afterwards.
	Tell(cmd wire.Command, body []byte)
	// Show gives whole frames that later ones supersede; false: nothing was taken. They are shared, and not changed afterwards.
	Show(frames []byte) bool
	// Flush has written what was told and shown.
	Flush()
}

// Config is how an area is made.
type Config struct {
	Copy game.Copy
	Plan game.AreaPlan
	Tick time.Duration // what members are told of the time between two rounds
}

// Area is one copy of an area.
type Area struct {
	cfg   Config
	ids   map[game.AvatarID]*avatar
	users map[game.UID]*avatar
	all   []*avatar // in the order of their ids
	last  game.AvatarID

	round  uint64        // the last one that was told
	moved  []*avatar     // whose pose changed since
	emotes []wire.Emoted // since
	due    bool          // the next Round has something to do
	grid   *grid         // nil: everybody follows everybody

	things       map[string][]byte
	thingsBytes  int
	thingsChange uint64 // counts changes of things
}

// avatar is one avatar and its member.
type avatar struct {
	game.Avatar
	out  Outlet
	step uint16 // of the last move that the client made

	changed uint64 // round of the last change of its pose
	inMoved bool   // it is in Area.moved
	gone    bool

	seen  uint64 // the last round that its outlet took
	cut   bool   // its connection is lost: nothing is shown
	fresh bool   // what it follows is not known: it is told all poses, and whom it does not follow
	dirty bool   // it has frames that were not flushed

	sight // within the grid
}

// New makes an area without anybody.
func New(cfg Config) *Area {
	return &Area{cfg: cfg, ids: map[game.AvatarID]*avatar{}, users: map[game.UID]*avatar{}, things: map[string][]byte{}}
}

// Entrant is who enters.
type Entrant struct {
	UID  game.UID
	Name string // checked
	Look []byte // checked
	At   *game.Pose
	Out  Outlet
}

// Enter lets somebody in, and tells everybody. Whoever is here already under the same UID leaves first.
func (a *Area) Enter(e Entrant) game.AvatarID {
	if before := a.users[e.UID]; before != nil {
		a.Leave(before.ID)
	}
	a.last++
	at := a.door(e.UID)
	if e.At != nil {
		at = a.cfg.Plan.Clamp(*e.At)
	}
	av := &avatar{Avatar: game.Avatar{ID: a.last, UID: e.UID, Name: e.Name, Look: e.Look, Pose: at}, out: e.Out, changed: a.round + 1, seen: a.round}
	body := encode(&wire.Appeared{Member: av.member()})
	for _, other := range a.all {
		other.tell(wire.CmdAppeared, body)
	}
	a.ids[av.ID], a.users[av.UID] = av, av
	a.all = append(a.all, av)
	av.tell(wire.CmdEntered, a.entered(av))
	switch {
	case a.grid != nil:
		a.grid.appear(av, a.round+1)
		av.fresh, a.due = true, true
	case a.cfg.Plan.View > 0 && len(a.all) > gridAbove:
		a.gridOn()
	}
	return av.ID
}

// door is where somebody stands who did not say where: somewhere in the middle third, the same place for the same user.
func (a *Area) door(uid game.UID) game.Pose {
	h := uint64(uid) * 0x9e3779b97f4a7c15 // spreads neighbouring numbers (Fibonacci hashing)
	w, d := uint64(a.cfg.Plan.Width), uint64(a.cfg.Plan.Height)
	return a.cfg.Plan.Clamp(game.Pose{X: uint16(w/3 + h>>40%(w/3)), Y: uint16(d/3 + h>>16&0xffffff%(d/3)), Facing: 64})
}

func (av *avatar) member() *wire.Member {
	return &wire.Member{
		Avatar: uint32(av.ID), Uid: uint64(av.UID), Name: av.Name, Look: av.Look, X: uint32(av.Pose.X), Y: uint32(av.Pose.Y),
		Facing: uint32(av.Pose.Facing), Gait: uint32(av.Pose.Gait),
	}
}

func (a *Area) entered(av *avatar) []byte {
	m := &wire.Entered{
		Area: a.cfg.Copy.Area, Copy: a.cfg.Copy.Number, Avatar: uint32(av.ID), Width: uint32(a.cfg.Plan.Width), Height: uint32(a.cfg.Plan.Height),
		TickMs:  uint32(a.cfg.Tick.Milliseconds()),
		Members: make([]*wire.Member, 0, len(a.all)), Things: a.thingList(),
	}
	for _, other := range a.all {
		m.Members = append(m.Members, other.member())
	}
	return encode(m)
}

// encode makes a body. Texts were checked to be UTF-8 when they came in, so it cannot fail.
func encode(m proto.Message) []byte {
	b, err := wire.Body(m)
	if err != nil {
		panic("a message with a text that is not UTF-8 came through the checks: " + err.Error())
	}
	return b
}

func (av *avatar) tell(cmd wire.Command, body []byte) {
	av.out.Tell(cmd, body)
	av.dirty = true
}

func (a *Area) tellAll(cmd wire.Command, body []byte) {
	for _, av := range a.all {
		av.tell(cmd, body)
	}
}

// Leave takes an avatar out, and tells the others. False: it is not here.
func (a *Area) Leave(id game.AvatarID) bool {
	av := a.ids[id]
	if av == nil {
		return false
	}
	av.gone = true
	delete(a.ids, id)
	delete(a.users, av.UID)
	at, _ := slices.BinarySearchFunc(a.all, id, func(av *avatar, id game.AvatarID) int { return int(int64(av.ID) - int64(id)) })
	a.all = slices.Delete(a.all, at, at+1)
	a.tellAll(wire.CmdGone, encode(&wire.Gone{Avatar: uint32(id), Uid: uint64(av.UID)}))
	if av.dirty {
		av.out.Flush()
	}
	if a.grid != nil {
		a.grid.remove(av)
		if len(a.all) <= gridBelow {
			a.gridOff()
		}
	}
	return true
}

// End tells everybody that the area has ended, and empties it.
func (a *Area) End(text string) {
	a.tellAll(wire.CmdAway, encode(&wire.Away{Area: a.cfg.Copy.Area, Copy: a.cfg.Copy.Number, Text: text}))
	a.Flush()
	for _, av := range a.all {
		av.gone = true
	}
	clear(a.ids)
	clear(a.users)
	a.all, a.moved, a.emotes, a.grid, a.due = nil, nil, nil, nil, false
}

// Move puts a member's avatar somewhere within the area. The last move before a round is told.
func (a *Area) Move(id game.AvatarID, m wire.Move) {
	if av := a.ids[id]; av != nil {
		av.step = m.Step
		a.place(av, m.Pose)
	}
}

// Face turns a member's avatar.
func (a *Area) Face(id game.AvatarID, f wire.Face) {
	if av := a.ids[id]; av != nil {
		at := av.Pose
		at.Facing, at.Gait, av.step = f.Facing, f.Gait, f.Step
		a.place(av, at)
	}
}

// place changes a pose, and has it told with the next round.
func (a *Area) place(av *avatar, at game.Pose) {
	av.Pose = a.cfg.Plan.Clamp(at)
	av.changed, a.due = a.round+1, true
	if !av.inMoved {
		av.inMoved = true
		a.moved = append(a.moved, av)
	}
}

// Emote shows a gesture with the next round; of one avatar's gestures the last one before it. Who is behind then misses it.
func (a *Area) Emote(id game.AvatarID, e wire.Emote) {
	if a.ids[id] == nil {
		return
	}
	row := wire.Emoted{Avatar: id, Emote: e}
	a.due = true
	for i := range a.emotes {
		if a.emotes[i].Avatar == id {
			a.emotes[i] = row
			return
		}
	}
	a.emotes = append(a.emotes, row)
}

// Say has everybody hear something, the speaker too. The text is checked and filtered. False: the speaker is not here.
func (a *Area) Say(id game.AvatarID, text string, atMs int64) bool {
	av := a.ids[id]
	if av == nil {
		return false
	}
	a.tellAll(wire.CmdSaid, encode(&wire.Said{Avatar: uint32(id), Uid: uint64(av.UID), Name: av.Name, Text: text, AtMs: atMs}))
	return true
}

// Cut remembers that a member's connection is lost: nothing is shown to it until it is back.
func (a *Area) Cut(id game.AvatarID) {
	if av := a.ids[id]; av != nil {
		av.cut = true
	}
}

// Back goes on with a member. What was shown before the cut may be lost, so it is shown all poses.
func (a *Area) Back(id game.AvatarID) {
	if av := a.ids[id]; av != nil {
		av.cut, av.fresh, a.due = false, true, true
	}
}

// Due says whether the next Round has something to do.
func (a *Area) Due() bool { return a.due }

// Len is how many avatars are here.
func (a *Area) Len() int { return len(a.all) }

// Avatar tells of one that is here.
func (a *Area) Avatar(id game.AvatarID) (game.Avatar, bool) {
	if av := a.ids[id]; av != nil {
		return av.Avatar, true
	}
	return game.Avatar{}, false
}

// Sighting is an avatar as an operator sees it.
type Sighting struct {
	game.Avatar
	Cut, Behind bool
}

// Sightings lists all avatars, in the order of their ids.
func (a *Area) Sightings() []Sighting {
	list := make([]Sighting, len(a.all))
	for i, av := range a.all {
		list[i] = Sighting{av.Avatar, av.cut, av.seen < a.round}
	}
	return list
}

// Flush has every outlet that was told or shown something write it.
func (a *Area) Flush() {
	for _, av := range a.all {
		if av.dirty {
			av.dirty = false
			av.out.Flush()
		}
	}
}
