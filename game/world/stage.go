package world

import (
	"errors"
	"sync"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/wire"
	"github.com/kamado/kamado/game/world/area"
)

// inboxMax bounds the commands that wait for a copy's turn. Further ones are refused as unavailable. Moves do not count: there is one place for
// the last one of each avatar. Nor do those that end something (leave, cut), of which each seat has few.
const inboxMax = 2048

// turnsTime is how long turns are done before poses are told, if that is due: also who has too much to do moves.
const turnsTime = 10 * time.Millisecond

// offerEvery is how often poses are offered to members that are behind, at most.
const offerEvery = 50 * time.Millisecond

// Without a tick a move is told at once, and then the copy rests for restTimes as long as that round took, at most restMax: what moves
// meanwhile is told together. So a copy takes at most 1/(1+restTimes) of a processor until restMax is reached. With 30 members a round
// takes about 150 microseconds, nearly all of it writes, and the rest is 4.8 ms: at 300 moves a second 2.4 moves share the
// writes of one. Two members rest for 0.3 ms.
const (
	restTimes = 32
	restMax   = 5 * time.Millisecond
)

// turn is a thing that is done within the turn of a stage.
type turn func(*stage)

// phase is what a stage is about to do. The moves are opening to open or gone, open to ending, ending to gone.
type phase uint8

const (
	opening phase = iota
	open
	ending
	gone
)

// stage is a running copy.
type stage struct {
	w     *World
	copy  game.Copy
	plan  game.AreaPlan
	claim Claim
	since time.Time
	ready chan struct{} // closed when it is open, or could not be opened
	done  chan struct{} // closed when it is gone
	fail  error         // why it could not be opened; set before ready is closed

	wake  chan struct{} // holds one
	timer *time.Timer

	mu        sync.Mutex
	phase     phase
	quit      *farewell // why it is to end; nil: it is not
	avatars   int       // seats that are taken
	idleSince time.Time // when the last one was given back
	inbox     inbox
	moved     []*seat   // whose member moved, turned or made a gesture since the last round
	alarm     time.Time // when the timer wakes the goroutine; zero: it does not
	next      time.Time // before it there is no round
	load      load
	rounds    uint64
	moves     uint64
	things    int // that have a state, as of the last turn

	// What follows is touched by its goroutine alone.
	area  *area.Area
	seats map[game.AvatarID]*seat
	over  bool // everybody was told that it has ended
	keep  keep
}

// farewell is why a stage ends.
type farewell struct {
	why  string // idle, evicted, lost, closing
	text string // for its members
}

// load measures which part of the time turns take.
type load struct {
	from time.Time // of the window
	busy time.Duration
	last float64
}

const loadWindow = time.Second

func (l *load) add(now time.Time, d time.Duration) {
	if since := now.Sub(l.from); since >= loadWindow {
		if l.last = float64(l.busy) / float64(since); since > 10*loadWindow {
			l.last = 0
		}
		l.from, l.busy = now, 0
	}
	l.busy += d
}

func (l *load) at(now time.Time) float64 {
	if since := now.Sub(l.from); since >= loadWindow {
		return min(float64(l.busy)/float64(since), 1)
	}
	return min(l.last, 1)
}

func newStage(w *World, c game.Copy, plan game.AreaPlan) *stage {
	s := &stage{
		w: w, copy: c, plan: plan, ready: make(chan struct{}), done: make(chan struct{}), wake: make(chan struct{}, 1), seats: map[game.AvatarID]*seat{},
		area: area.New(area.Config{Copy: c, Plan: plan, Tick: w.cfg.Tick}),
	}
	return s
}

// nudge wakes the goroutine.
func (s *stage) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// post has something done in the stage's turn. Unavailable: its inbox is full; NotFound: it has ended.
func (s *stage) post(t turn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != open {
		return errNowhere()
	}
	if s.inbox.len() >= inboxMax {
		return game.Errorf(game.Unavailable, "area %v has too much to do", s.copy)
	}
	s.append(t)
	return nil
}

// append has something done that has no bound of its own. Preconditions: mu is held.
func (s *stage) append(t turn) {
	s.inbox.push(t)
	s.nudge()
}

// must has something done that must not be refused. False: the stage is gone.
func (s *stage) must(t turn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != gone {
		s.append(t)
	}
	return s.phase != gone
}

// bye has the stage end. The first reason counts.
func (s *stage) bye(f farewell) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.quit == nil {
		s.quit = &f
	}
	s.nudge()
}

func errNowhere() error { return game.Errorf(game.NotFound, "you are in no area") }

// alarmAt has the goroutine wake at a time, or before it. Preconditions: mu is held.
func (s *stage) alarmAt(at time.Time) {
	if s.alarm.IsZero() || at.Before(s.alarm) {
		s.alarm = at
		s.timer.Reset(time.Until(at))
	}
}

// wantRound has a round come when it may. Preconditions: mu is held.
func (s *stage) wantRound() {
	if !s.alarm.IsZero() && !s.next.Before(s.alarm) {
		return // the timer wakes it early enough
	}
	if time.Now().Before(s.next) {
		s.alarmAt(s.next)
		return
	}
	s.nudge()
}

// run is the goroutine of the stage.
func (s *stage) run() {
	for !s.ended() {
		select {
		case <-s.wake:
		case <-s.timer.C:
		case <-s.claim.Lost:
			s.lose()
		}
		s.work()
	}
	s.finish()
}

// work is one turn: what the inbox holds, and a round if it is time.
func (s *stage) work() {
	began := time.Now()
	s.mu.Lock()
	s.alarm = time.Time{}
	s.mu.Unlock()
	did := s.turns(began)

	s.mu.Lock()
	told := !time.Now().Before(s.next) || s.w.cfg.Tick == 0 && did // without a tick poses go along with what is written anyway
	if told {
		s.takeMoves()
	}
	s.mu.Unlock()
	var shown area.Shown
	if told = told && s.area.Due(); told {
		shown = s.area.Round()
	}
	s.area.Flush()
	s.keepThings(began)
	s.settle(began, told, shown)
}

// turns does what waits in the inbox, for turnsTime. False: nothing waited.
func (s *stage) turns(began time.Time) (did bool) {
	for {
		s.mu.Lock()
		t := s.inbox.pop()
		s.mu.Unlock()
		if t == nil {
			return did
		}
		t(s)
		did = true
		if time.Since(began) > turnsTime {
			s.nudge()
			return did
		}
	}
}

// takeMoves gives the area what members did last. Preconditions: mu is held.
func (s *stage) takeMoves() {
	for i, at := range s.moved {
		at.take(s.area)
		s.moved[i] = nil
	}
	s.moved = s.moved[:0]
}

// settle counts a turn, and looks when the next one is to be.
func (s *stage) settle(began time.Time, told bool, shown area.Shown) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load.add(now, now.Sub(began))
	s.things = s.area.ThingsLen()
	if told {
		if s.next = began.Add(s.w.cfg.Tick); s.w.cfg.Tick == 0 {
			s.next = now.Add(min(restTimes*now.Sub(began), restMax))
		}
		s.rounds++
		s.moves += uint64(shown.Moves)
		s.count(now.Sub(began), shown)
	}
	if s.area.Due() {
		at := s.next
		if told { // somebody is behind
			at = began.Add(max(s.w.cfg.Tick, offerEvery))
		}
		s.alarmAt(at)
	}
	if len(s.moved) > 0 {
		s.wantRound()
	}
	if at, ok := s.keep.next(s.area); ok {
		s.alarmAt(at)
	}
	if s.avatars == 0 && s.phase == open {
		s.alarmAt(s.idleSince.Add(s.w.cfg.IdleTerm))
	}
}

func (s *stage) count(took time.Duration, shown area.Shown) {
	m := s.w.m
	m.rounds.Inc()
	m.roundSeconds.Observe(took.Seconds())
	m.moves.Add(float64(shown.Moves))
	m.deliveries.Add(float64(shown.Deliveries))
	if shown.Refused > 0 {
		m.refusedShows.Add(float64(shown.Refused))
	}
	if shown.Own > 0 {
		m.own.Add(float64(shown.Own))
	}
}

// ended says whether the stage is to end now, and tells its members so.
func (s *stage) ended() bool {
	s.mu.Lock()
	if s.quit == nil && s.avatars == 0 && s.phase == open && s.inbox.len() == 0 && time.Since(s.idleSince) >= s.w.cfg.IdleTerm {
		s.quit = &farewell{why: "idle"}
	}
	quit := s.quit
	if quit != nil {
		s.phase = ending
	}
	s.mu.Unlock()
	if quit == nil {
		return false
	}
	s.over = true
	s.area.End(quit.text)
	for _, at := range s.seats {
		at.dismissed()
	}
	clear(s.seats)
	s.w.m.away.WithLabelValues(quit.why).Inc()
	return true
}

// seat is the place of a player on a stage.
type seat struct {
	stage   *stage
	player  *player
	entrant game.Avatar // as it enters; its ID counts for the goroutine of the stage alone, once it has entered
	asked   string      // the name that its player asked for, before anybody changed it
	at      *game.Pose  // where it wants to enter; nil: anywhere
	entered time.Time

	// guarded by stage.mu
	left    bool
	pending pending
}

// pending is what a member did since the last round.
type pending struct {
	moved, faced, gestured bool
	move                   wire.Move
	face                   wire.Face
	gesture                wire.Emote
}

// errEnding: nobody enters the stage any more. Who waits until it is gone may open it anew.
var errEnding = errors.New("the copy is about to close")

// reserve takes a seat. Exhausted: the copy is full; Unavailable: it has too much to do; errEnding.
// again: the player has a seat here already, which it will give back.
func (s *stage) reserve(again bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.phase != open || s.quit != nil:
		return errEnding
	case s.avatars >= s.plan.Capacity && !again:
		return game.Errorf(game.Exhausted, "copy %v is full: %d are in it", s.copy, s.avatars)
	case s.inbox.len() >= inboxMax:
		return game.Errorf(game.Unavailable, "area %v has too much to do", s.copy)
	}
	s.avatars++
	return nil
}

// enter brings a reserved seat onto the stage.
func (at *seat) enter() {
	s := at.stage
	there := s.must(func(s *stage) {
		s.mu.Lock()
		left := at.left
		s.mu.Unlock()
		switch {
		case left:
		case s.over:
			at.tooLate()
		default:
			at.entered = time.Now()
			e := at.entrant
			at.entrant.ID = s.area.Enter(area.Entrant{UID: e.UID, Name: e.Name, Look: e.Look, At: at.at, Out: at.player.m})
			s.seats[at.entrant.ID] = at
			s.w.entered(at)
		}
	})
	if !there {
		at.tooLate()
		return
	}
	s.told()
}

// tooLate tells a player that the stage ended before it came in.
func (at *seat) tooLate() {
	at.player.tell(wire.CmdAway, encode(&wire.Away{Area: at.stage.copy.Area, Copy: at.stage.copy.Number}))
	at.dismissed()
}

// told has the others know how full the stage is.
func (s *stage) told() {
	s.mu.Lock()
	n := s.avatars
	s.mu.Unlock()
	s.w.deps.Places.Population(s.copy, n, s.plan.Capacity)
}

// leave gives the seat back. It may be called again. When left is closed the area tells this member nothing any more: whoever goes on to another
// area waits for that, or frames of both would mix.
func (at *seat) leave() (left <-chan struct{}) {
	s := at.stage
	done := make(chan struct{})
	if !at.free() || !s.must(func(s *stage) {
		if id := at.entrant.ID; id != 0 && s.area.Leave(id) {
			delete(s.seats, id)
			s.w.gone(at)
		}
		close(done)
	}) {
		close(done)
	}
	s.told()
	return done
}

// free marks the seat as given back. False: it was.
func (at *seat) free() bool {
	s := at.stage
	s.mu.Lock()
	defer s.mu.Unlock()
	if at.left {
		return false
	}
	at.left = true
	if s.avatars--; s.avatars == 0 {
		s.idleSince = time.Now()
		s.nudge()
	}
	return true
}

// dismissed takes a player off a stage that has ended.
func (at *seat) dismissed() {
	if at.free() {
		if at.player.seat.CompareAndSwap(at, nil) {
			at.player.here()
		}
		if !at.entered.IsZero() {
			at.stage.w.gone(at)
		}
	}
}

func (at *seat) cut(cut bool) {
	at.stage.must(func(s *stage) {
		switch {
		case at.entrant.ID == 0:
		case cut:
			s.area.Cut(at.entrant.ID)
		default:
			s.area.Back(at.entrant.ID)
		}
	})
}

// touch notes that the member did something that the next round tells. Preconditions: stage.mu is held.
func (at *seat) touch() {
	if p := &at.pending; !p.moved && !p.faced && !p.gestured {
		at.stage.moved = append(at.stage.moved, at)
		at.stage.wantRound()
	}
}

func (at *seat) move(m wire.Move) {
	s := at.stage
	s.mu.Lock()
	if !at.left {
		at.touch()
		at.pending.moved, at.pending.faced, at.pending.move = true, false, m
	}
	s.mu.Unlock()
}

func (at *seat) face(f wire.Face) {
	s := at.stage
	s.mu.Lock()
	if !at.left {
		at.touch()
		at.pending.faced, at.pending.face = true, f
	}
	s.mu.Unlock()
}

func (at *seat) gesture(e wire.Emote) {
	s := at.stage
	s.mu.Lock()
	if !at.left {
		at.touch()
		at.pending.gestured, at.pending.gesture = true, e
	}
	s.mu.Unlock()
}

// take gives the area what is pending. Preconditions: stage.mu is held.
func (at *seat) take(a *area.Area) {
	p := &at.pending
	if p.moved {
		a.Move(at.entrant.ID, p.move)
	}
	if p.faced {
		a.Face(at.entrant.ID, p.face)
	}
	if p.gestured {
		a.Emote(at.entrant.ID, p.gesture)
	}
	*p = pending{}
}
