package world

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/kamado/kamado/game"
	"github.com/kamado/kamado/game/entity"
	"github.com/kamado/kamado/game/wire"
)

const (
	// friendsMax bounds the friends of one user.
	friendsMax = 500
	// friendsName is the entity in which a user's friends lie: a JSON list of UIDs.
	friendsName = game.OwnedPrefix + "friends"
	friendsType = "application/json"
	// socialMax bounds the users whose friends are to be told where they are. Of each only the latest state is told; what does not fit is not told.
	socialMax   = 64 << 10
	socialLanes = 4
	// friendsTurns bounds the tries of a change of one's friends against other changes.
	friendsTurns = 8
	// friendsReads is how many lists of friends one call reads at once.
	friendsReads  = 16
	socialTimeout = 5 * time.Second
)

// social tells friends of each other. Presence is told only between users who both added the other: so it keeps the lists of the
// users of this node, and reads that of the other one when it matters.
type social struct {
	w     *World
	lanes [socialLanes]lane

	mu       sync.RWMutex
	lists    map[game.UID][]game.UID            // of the users of this node, once they are read
	watchers map[game.UID]map[game.UID]struct{} // by a user: the users of this node who have it in their list
}

// lane is a queue of users, of each of which the latest counts.
type lane struct {
	mu    sync.Mutex
	queue []game.UID
	want  map[game.UID]errand
	wake  chan struct{}
}

// errand is what is to be done about a user.
type errand struct{ load, tell bool }

func newSocial(w *World) *social {
	s := &social{w: w, lists: map[game.UID][]game.UID{}, watchers: map[game.UID]map[game.UID]struct{}{}}
	for i := range s.lanes {
		s.lanes[i].want = map[game.UID]errand{}
		s.lanes[i].wake = make(chan struct{}, 1)
	}
	return s
}

func (s *social) waiting() int {
	n := 0
	for i := range s.lanes {
		l := &s.lanes[i]
		l.mu.Lock()
		n += len(l.want)
		l.mu.Unlock()
	}
	return n
}

// came reads the list of a user who has come, and tells friends.
func (s *social) came(uid game.UID) { s.want(uid, errand{load: true, tell: true}) }

// changed tells friends of a user who may be on another node.
func (s *social) changed(uid game.UID) {
	s.mu.RLock()
	watched := len(s.watchers[uid]) > 0
	s.mu.RUnlock()
	if watched {
		s.want(uid, errand{tell: true})
	}
}

// went forgets the list of a user who has gone, and tells friends.
func (s *social) went(uid game.UID) {
	s.set(uid, nil, false)
	s.changed(uid)
}

func (s *social) want(uid game.UID, e errand) {
	l := &s.lanes[uid%socialLanes]
	l.mu.Lock()
	before, queued := l.want[uid]
	if !queued && len(l.want) >= socialMax/socialLanes {
		l.mu.Unlock()
		s.w.m.presence.WithLabelValues("dropped").Inc()
		return
	}
	l.want[uid] = errand{before.load || e.load, before.tell || e.tell}
	if !queued {
		l.queue = append(l.queue, uid)
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *lane) next() (uid game.UID, e errand, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return 0, e, false
	}
	uid = l.queue[0]
	l.queue = l.queue[1:]
	e = l.want[uid]
	delete(l.want, uid)
	return uid, e, true
}

// run does errands until ctx ends.
func (s *social) run(ctx context.Context, l *lane) {
	for {
		uid, e, ok := l.next()
		if !ok {
			select {
			case <-l.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		if e.load {
			s.load(ctx, uid)
		}
		if e.tell {
			s.tell(ctx, uid)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// load takes up the list of a user of this node.
func (s *social) load(ctx context.Context, uid game.UID) {
	ctx, cancel := context.WithTimeout(ctx, socialTimeout)
	defer cancel()
	list, _, err := s.read(ctx, uid)
	if err != nil {
		s.w.m.presence.WithLabelValues("error").Inc()
		return
	}
	if s.w.player(uid) == nil {
		return
	}
	s.set(uid, list, true)
	if s.w.player(uid) == nil { // went in between
		s.set(uid, nil, false)
	}
}

// set replaces what is known of a user's list.
func (s *social) set(uid game.UID, list []game.UID, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, friend := range s.lists[uid] {
		delete(s.watchers[friend], uid)
		if len(s.watchers[friend]) == 0 {
			delete(s.watchers, friend)
		}
	}
	delete(s.lists, uid)
	if !known {
		return
	}
	s.lists[uid] = list
	for _, friend := range list {
		if s.watchers[friend] == nil {
			s.watchers[friend] = map[game.UID]struct{}{}
		}
		s.watchers[friend][uid] = struct{}{}
	}
}

// tell tells the friends of a user, who are on this node, where it is.
func (s *social) tell(ctx context.Context, uid game.UID) {
	s.mu.RLock()
	watchers := make([]game.UID, 0, len(s.watchers[uid]))
	for friend := range s.watchers[uid] {
		watchers = append(watchers, friend)
	}
	s.mu.RUnlock()
	if len(watchers) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, socialTimeout)
	defer cancel()
	list, err := s.listOf(ctx, uid)
	if err != nil {
		s.w.m.presence.WithLabelValues("error").Inc()
		return
	}
	online, at := s.w.whereIs(uid)
	body := encode(&wire.Presence{Uid: uint64(uid), Online: online, Area: at.Area, Copy: at.Number})
	for _, friend := range watchers {
		if p := s.w.player(friend); p != nil && slices.Contains(list, friend) {
			p.tell(wire.CmdPresence, body)
			s.w.m.presence.WithLabelValues("told").Inc()
		}
	}
}

// whereIs says whether a user is online on any node, and in which copy.
func (w *World) whereIs(uid game.UID) (bool, game.Copy) {
	if p := w.player(uid); p != nil {
		if at := p.seat.Load(); at != nil {
			return true, at.stage.copy
		}
		return true, game.Copy{}
	}
	there, online := w.deps.Places.Where(uid)
	return online, there.Copy
}

// listOf gives the friends of a user of any node.
func (s *social) listOf(ctx context.Context, uid game.UID) ([]game.UID, error) {
	s.mu.RLock()
	list, known := s.lists[uid]
	s.mu.RUnlock()
	if known {
		return list, nil
	}
	list, _, err := s.read(ctx, uid)
	return list, err
}

// read gives the list as it is kept, and its version; 0: there is none.
func (s *social) read(ctx context.Context, uid game.UID) ([]game.UID, uint64, error) {
	e, err := s.w.deps.Entities.Get(ctx, uid, friendsName)
	if game.KindOf(err) == game.NotFound {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	var list []game.UID
	if err := json.Unmarshal(e.Value, &list); err != nil {
		return nil, 0, &game.Error{Op: "read friends", Kind: game.Internal, Detail: "friends of user " + uid.String(), Err: err}
	}
	return list[:min(len(list), friendsMax)], e.Version, nil
}

// change changes a user's list, against whoever else does.
func (s *social) change(ctx context.Context, uid game.UID, do func([]game.UID) ([]game.UID, error)) error {
	for range friendsTurns {
		list, version, err := s.read(ctx, uid)
		if err != nil {
			return err
		}
		next, err := do(slices.Clone(list))
		if err != nil {
			return err
		}
		if slices.Equal(list, next) {
			s.set(uid, next, true)
			return nil
		}
		value, err := json.Marshal(next)
		if err != nil {
			return err
		}
		_, err = s.w.deps.Entities.Put(ctx, entity.Write{
			UID: uid, Name: friendsName, Value: value, Type: friendsType, Base: entity.Base{Version: version},
		})
		if game.KindOf(err) != game.Conflict {
			if err == nil {
				s.set(uid, next, true)
			}
			return err
		}
	}
	return game.Errorf(game.Conflict, "your friends are changed elsewhere all the time")
}

func friendOf(p *player, body []byte) (game.UID, error) {
	var m wire.FriendChange
	if err := wire.Parse(body, &m); err != nil {
		return 0, game.Errorf(game.Invalid, "the body is no FriendChange")
	}
	friend := game.UID(m.Uid)
	switch {
	case p.uid == 0:
		return 0, game.Errorf(game.Denied, "a service has no friends")
	case friend == 0 || friend > game.UIDMax || friend == p.uid:
		return 0, game.Errorf(game.Invalid, "user %d cannot be your friend", m.Uid)
	}
	return friend, nil
}

// friendsAdd answers friends.add: with the friend as it is now.
func (w *World) friendsAdd(ctx context.Context, p *player, body []byte) ([]byte, error) {
	friend, err := friendOf(p, body)
	if err != nil {
		return nil, err
	}
	added := false
	err = w.social.change(ctx, p.uid, func(list []game.UID) ([]game.UID, error) {
		if added = !slices.Contains(list, friend); !added {
			return list, nil
		}
		if len(list) >= friendsMax {
			return nil, game.Errorf(game.Exhausted, "you have %d friends, and no more are kept", len(list))
		}
		return append(list, friend), nil
	})
	if err != nil {
		return nil, err
	}
	if added { // the new friend is told where this user is; other nodes do that if it is there
		p.here()
	}
	f, err := w.friend(ctx, p.uid, friend)
	if err != nil {
		return nil, err
	}
	return encode(f), nil
}

// friendsRemove answers friends.remove, also when the other one was no friend.
func (w *World) friendsRemove(ctx context.Context, p *player, body []byte) ([]byte, error) {
	friend, err := friendOf(p, body)
	if err != nil {
		return nil, err
	}
	return nil, w.social.change(ctx, p.uid, func(list []game.UID) ([]game.UID, error) {
		return slices.DeleteFunc(list, func(uid game.UID) bool { return uid == friend }), nil
	})
}

// friend tells of one friend of a user.
func (w *World) friend(ctx context.Context, uid, friend game.UID) (*wire.Friend, error) {
	f := &wire.Friend{Uid: uint64(friend)}
	list, err := w.social.listOf(ctx, friend)
	if err != nil {
		return nil, err
	}
	if f.Mutual = slices.Contains(list, uid); f.Mutual {
		online, at := w.whereIs(friend)
		f.Online, f.Area, f.Copy = online, at.Area, at.Number
	}
	return f, nil
}

// friendsList answers friends.list.
func (w *World) friendsList(ctx context.Context, p *player, _ []byte) ([]byte, error) {
	if p.uid == 0 {
		return nil, game.Errorf(game.Denied, "a service has no friends")
	}
	list, _, err := w.social.read(ctx, p.uid)
	if err != nil {
		return nil, err
	}
	answer := &wire.Friends{Friends: make([]*wire.Friend, len(list))}
	errs := make([]error, len(list))
	slots := make(chan struct{}, friendsReads)
	var reads sync.WaitGroup
	for i, friend := range list {
		slots <- struct{}{}
		reads.Go(func() {
			answer.Friends[i], errs[i] = w.friend(ctx, p.uid, friend)
			<-slots
		})
	}
	reads.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return encode(answer), nil
}
