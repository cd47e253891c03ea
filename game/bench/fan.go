package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// fan is the avatars of one subject, in their rooms, on their connections.
type fan struct {
	start   time.Time
	lanes   []*lane
	avatars int
	base    int // steps that each avatar has made
}

// lane is what one crowd has of a fan. Only errands of the crowd touch it.
type lane struct {
	crowd   *crowd
	gate    gate
	rooms   []*gathering
	walkers []walker // in the order of their turns
	paths   []string // of their upgrades
}

// newFan lays the rooms out. seats gives the walker of a seat, and the path of its upgrade.
func newFan(cfg *FanoutConfig, at endpoint, target netip.AddrPort, start time.Time, seats func(i int, at seat) (walker, string)) (*fan, error) {
	f := &fan{start: start, avatars: cfg.Avatars}
	for range cfg.threads() {
		w, err := newCrowd(target, at.host, start)
		if err != nil {
			f.close()
			return nil, err
		}
		f.lanes = append(f.lanes, &lane{crowd: w})
	}
	var rooms []*gathering
	for k, n := range cfg.roomSizes() {
		g := &gathering{tally: newTally(n), name: fmt.Sprintf("bench-%d", k+1), first: k * cfg.Room, ids: map[uint32]int{}}
		rooms = append(rooms, g)
		l := f.lanes[k%len(f.lanes)]
		l.rooms = append(l.rooms, g)
	}
	turn := 0
	for n := range cfg.Room { // those of one room are spread over the interval
		for k, g := range rooms {
			if n >= g.tally.n {
				continue
			}
			g.tally.turns[n] = turn
			turn++
			l := f.lanes[k%len(f.lanes)]
			w, path := seats(g.first+n, seat{room: g, n: n, gate: &l.gate})
			l.walkers, l.paths = append(l.walkers, w), append(l.paths, path)
		}
	}
	return f, nil
}

// each hands every crowd an errand and waits for all.
func (f *fan) each(ctx context.Context, work func(l *lane) errand) error {
	errs := make([]error, len(f.lanes))
	var all sync.WaitGroup
	for i, l := range f.lanes {
		e := work(l)
		all.Go(func() { errs[i] = l.crowd.do(ctx, e) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// once is an errand that is done in one go.
type once func(now int64)

func (o once) turn(now int64) (next int64, done bool, err error) {
	o(now)
	return now, true, nil
}

// oneByOne does something in each crowd, one after the other.
func (f *fan) oneByOne(ctx context.Context, do func(l *lane)) error {
	var errs []error
	for _, l := range f.lanes {
		errs = append(errs, l.crowd.do(ctx, once(func(int64) { do(l) })))
	}
	return errors.Join(errs...)
}

// enter brings all in. Some may fail; when all do, that is an error.
func (f *fan) enter(ctx context.Context, patience time.Duration) error {
	err := f.each(ctx, func(l *lane) errand {
		return &entering{gate: &l.gate, n: len(l.walkers), patience: patience, dial: func(i int) { l.crowd.dial(l.walkers[i], l.paths[i]) }}
	})
	if err != nil {
		return err
	}
	g, err := f.gate(ctx)
	if err == nil && g.in == g.lost {
		err = fmt.Errorf("%w: none of %d: %w", errEntering, f.avatars, errors.Join(g.first, g.lostWhy))
	}
	return err
}

// gate is that of all crowds together.
func (f *fan) gate(ctx context.Context) (sum gate, err error) {
	err = f.oneByOne(ctx, func(l *lane) { sum.merge(&l.gate) })
	return sum, err
}

// tick is what the server says of the time between two rounds of moves, in milliseconds.
func (f *fan) tick(ctx context.Context) (tick int) {
	_ = f.oneByOne(ctx, func(l *lane) { // without it, it is not told
		for _, w := range l.walkers {
			if s, ok := w.(*stroller); ok {
				tick = max(tick, int(s.tick))
			}
		}
	})
	return tick
}

// fanRound is what one round of one subject was like.
type fanRound struct {
	counted
	sending
	gate     gate
	expected int
	bytes    int64         // that came
	took     time.Duration // until the last delivery, or the end of patience
	cpu      time.Duration // of the subject
	client   time.Duration // of the generator
}

// Times around a round.
const (
	leadTerm  = 50 * time.Millisecond // from the order to move until the first move
	graceTerm = 2 * time.Second       // for the last deliveries
	graceRest = 5 * time.Millisecond
)

// move lets all avatars move so often.
func (f *fan) move(ctx context.Context, rate float64, moves int) (fanRound, error) {
	begin := int64(time.Since(f.start) + leadTerm)
	w := &walk{avatars: f.avatars, begin: begin, interval: 1e9 / rate, moves: moves, base: f.base}
	f.base += moves
	parts := make([]*moving, 0, len(f.lanes))
	err := f.each(ctx, func(l *lane) errand {
		parts = append(parts, &moving{walk: w, lane: l})
		return parts[len(parts)-1]
	})
	if err != nil {
		return fanRound{}, err
	}
	sum := fanRound{}
	for _, m := range parts {
		sum.counted.merge(&m.seen.counted)
		sum.sending.merge(&m.seen.sending)
		sum.expected += m.seen.expected
		sum.bytes += m.seen.bytes
		sum.took = max(sum.took, m.seen.took)
	}
	sum.gate, err = f.gate(ctx)
	return sum, err
}

// leave takes all avatars out of their rooms.
func (f *fan) leave(ctx context.Context) {
	_ = f.oneByOne(ctx, func(l *lane) { // who does not leave is taken out when the connection ends
		for _, w := range l.walkers {
			if s := w.seated(); s.link != nil {
				w.leave(s.link)
			}
		}
	})
}

// close ends all connections.
func (f *fan) close() {
	for _, l := range f.lanes {
		l.crowd.close()
	}
}
