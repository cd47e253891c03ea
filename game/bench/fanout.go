package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"time"
)

// PeerColyseus is the peer of a fan-out, in both styles of its users: a state that is synchronised by its schema every 50 ms, and messages
// that are broadcast at once.
const PeerColyseus = "Colyseus"

// FanoutPeers are all peers of a fan-out.
var FanoutPeers = []string{PeerColyseus}

// FanoutConfig says what a fan-out is: avatars in rooms, each of which moves so often. Start from DefaultFanout.
type FanoutConfig struct {
	Target
	Over     string        // ws or tcp, for a server that is started
	Tick     []string      // more arguments of the server: how often it tells moves
	Peers    []string      // names of peers; those that cannot run here are skipped
	Cache    string        // where npm packages of peers are installed; empty: below the user's cache
	Avatars  int           // all together
	Room     int           // avatars of one room; the last room has the rest
	Rate     float64       // moves of one avatar a second
	Duration time.Duration // of moving, in all rounds together
	Rounds   int           // in each of which every subject is measured once; with more than one, a short one before them warms
}

// DefaultFanout is the measurement that the project's figures are stated in. The command is missing.
func DefaultFanout() FanoutConfig {
	return FanoutConfig{Target: Target{Timeout: time.Minute}, Over: OverWS, Peers: slices.Clone(FanoutPeers), Avatars: 300, Room: 30, Rate: 10, Duration: 20 * time.Second, Rounds: 4}
}

// Bounds of a fan-out.
const (
	avatarsMax = 100_000
	roomMax    = 1000            // as many as one copy of an area has room for
	pairsMax   = 40_000_000      // of avatars in one room: each takes 4 bytes
	runMost    = 8 * time.Minute // tokens live ten, and are not renewed here
)

// Validate complains about everything that is wrong at once.
func (c *FanoutConfig) Validate() error {
	var e complaints
	c.validate(e.complain)
	e.complain(c.Over == OverWS || c.Over == OverTCP, "%q is neither %s nor %s", c.Over, OverWS, OverTCP)
	for _, p := range c.Peers {
		e.complain(slices.Contains(FanoutPeers, p), "%q is none of %v", p, FanoutPeers)
	}
	e.complain(c.Avatars >= 2 && c.Avatars <= avatarsMax, "avatars %d is not in 2..%d", c.Avatars, avatarsMax)
	e.complain(c.Room >= 2 && c.Room <= roomMax, "room %d is not in 2..%d", c.Room, roomMax)
	e.complain(c.Avatars*min(c.Room, c.Avatars) <= pairsMax, "%d avatars in rooms of %d are more than %d pairs", c.Avatars, c.Room, pairsMax)
	e.complain(c.Rate > 0 && c.Rate <= 1000, "rate %v is not above 0, and at most 1000", c.Rate)
	e.complain(c.Rounds >= 1 && c.Rounds <= 1000, "rounds %d is not in 1..1000", c.Rounds)
	e.complain(c.Duration > 0 && c.Duration <= runMost, "duration %v is not above 0, and at most %v", c.Duration, runMost)
	if len(e.errs) == 0 {
		e.complain(c.moves() > 0, "nobody moves: %v a second, for %v in each of %d rounds", c.Rate, c.round(), c.Rounds)
	}
	return e.err()
}

func (c *FanoutConfig) round() time.Duration { return c.Duration / time.Duration(c.Rounds) }

// moves is how many moves each avatar makes in one round.
func (c *FanoutConfig) moves() int { return movesIn(c.Rate, c.round()) }

// roomSizes are the avatars of each room.
func (c *FanoutConfig) roomSizes() []int {
	var sizes []int
	for rest := c.Avatars; rest > 0; rest -= c.Room {
		sizes = append(sizes, min(rest, c.Room))
	}
	return sizes
}

// deliveriesEach is how many deliveries a second one thread of the generator takes without being late.
const deliveriesEach = 300_000

// threads is how many threads the generator gets.
func (c *FanoutConfig) threads() int {
	rate := float64(c.Avatars) * float64(c.Room-1) * c.Rate
	return min(max(1, int(math.Ceil(rate/deliveriesEach))), runtime.NumCPU(), len(c.roomSizes()))
}

// fanRun is a fan-out in work.
type fanRun struct {
	cfg    *FanoutConfig
	dir    string // for what needs one; removed at the end
	start  time.Time
	report *FanoutReport
}

// fanSubject is one server with its avatars.
type fanSubject struct {
	name     string
	pid      int // 0: not known
	fan      *fan
	all      []fanRound
	process  *process // nil: it was not started here
	profiled *server  // where profiles are read; nil: nowhere
	end      func()
}

// Fanout measures how moves come to the others in a room. An error is something that could not be measured.
func Fanout(ctx context.Context, cfg FanoutConfig) (*FanoutReport, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := enoughFiles(cfg.Avatars * 2); err != nil { // a peer has as many
		return nil, err
	}
	if cfg.Dir == "" {
		cfg.Dir = diskDir()
	}
	dir, err := os.MkdirTemp(cfg.Dir, "kamado-game-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if cfg.Profiles != "" {
		if err := os.MkdirAll(cfg.Profiles, 0o700); err != nil {
			return nil, err
		}
	}
	r := &fanRun{cfg: &cfg, dir: dir, start: time.Now(), report: newFanoutReport(&cfg)}
	ours, err := r.kamado(ctx)
	if err != nil {
		return nil, err
	}
	defer ours.end()
	subjects := []*fanSubject{ours}
	if slices.Contains(cfg.Peers, PeerColyseus) {
		peers, err := r.colyseus(ctx)
		defer func() {
			for _, p := range peers {
				p.end()
			}
		}()
		if err != nil {
			if !errors.Is(err, errMissing) {
				return nil, err
			}
			r.report.skip(PeerColyseus, err.Error())
			peers = nil
		}
		subjects = append(subjects, peers...)
	}
	if err := r.rounds(ctx, subjects); err != nil {
		return nil, err
	}
	r.report.fill(subjects)
	return r.report, nil
}

// kamado brings the avatars into our own server.
func (r *fanRun) kamado(ctx context.Context) (*fanSubject, error) {
	s, err := r.cfg.open(ctx, r.cfg.Over, r.dir+"/kamado", r.cfg.Tick...)
	if err != nil {
		return nil, err
	}
	if _, err := s.findProcess(); err != nil {
		r.report.note("processor time of the server is not in the figures: %v", err)
	}
	users, err := s.guests(ctx, r.cfg.Avatars)
	if err != nil {
		s.end()
		return nil, fmt.Errorf("make users: %w", err)
	}
	f, err := newFan(r.cfg, s.endpoint, s.target, r.start, func(i int, at seat) (walker, string) {
		return newStroller(users[i].Access, at), s.endpoint.path
	})
	if err != nil {
		s.end()
		return nil, err
	}
	subject := &fanSubject{name: subjectKamado, pid: s.pid, fan: f, process: s.server.process, profiled: s.server, end: func() { f.leave(ctx); f.close(); s.end() }}
	r.report.URL, r.report.Transport = s.endpoint.String(), s.endpoint.over
	r.cfg.talkf("%s: %d avatars come in", subject.name, r.cfg.Avatars)
	if err := f.enter(ctx, r.cfg.Timeout); err != nil {
		subject.end()
		return nil, err
	}
	r.report.TickMs = f.tick(ctx)
	return subject, nil
}

// rounds lets the avatars of all subjects move in turn.
func (r *fanRun) rounds(ctx context.Context, subjects []*fanSubject) error {
	first := 0
	if r.cfg.Rounds == 1 {
		first = 1 // nothing warms: whoever looks on sees exactly the moves that count
	}
	for round := first; round <= r.cfg.Rounds; round++ {
		for k := range subjects {
			s := subjects[(k+round)%len(subjects)]
			moves := r.cfg.moves()
			if round == 0 {
				moves = min(moves, movesIn(r.cfg.Rate, warmMax)+1)
			}
			var seen fanRound
			work := func() (err error) {
				before, own := cpuOf(s.pid), ownCPU()
				seen, err = s.fan.move(ctx, r.cfg.Rate, moves)
				seen.cpu, seen.client = cpuOf(s.pid)-before, ownCPU()-own
				return err
			}
			err := work
			if s.profiled != nil && round == 1 {
				err = func() error { return s.profiled.profile(r.cfg.Profiles, "fanout", r.cfg.round(), work) }
			}
			if err := err(); err != nil {
				return fmt.Errorf("measure %s: %w", s.name, s.process.why(err))
			}
			if round > 0 {
				s.all = append(s.all, seen)
			}
		}
		r.cfg.talkf("round %d of %d", round, r.cfg.Rounds)
	}
	return nil
}
