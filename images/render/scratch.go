package render

import (
	"container/list"
	"context"
	"sync"

	"github.com/kamado/kamado/images"
	"github.com/kamado/kamado/images/jpeg"
)

// DefaultScratch is the scratch memory for each of Config.Workspaces. Unit:
// bytes. The planes of a 12 megapixel original decoded at full size take 18 MB,
// the coefficients of a progressive one another 38 MB.
const DefaultScratch = 32 << 20

// A workspace that is looseFactor times as large as what each of the last looseMax
// pictures needed is let go: the large ones were an exception.
const (
	looseFactor = 2
	looseMax    = 32
)

// scratch hands out workspaces and bounds the memory of all of them together,
// those that wait for their next picture included. Who would exceed the bound
// waits, first come first served; a picture that needs more than the whole of
// it is made alone. Safe for concurrent use.
type scratch struct {
	limit int // bytes
	keep  int // workspaces kept at most

	mu      sync.Mutex
	used    int // bytes reserved by workspaces in use; Invariant: used <= limit
	idle    []*workspace
	waiting list.List // of *claim, first come first
}

// claim is one who waits for bytes.
type claim struct {
	bytes int
	ready chan struct{} // closed when used holds the bytes
}

// take gives a workspace that may grow to need bytes. The error is ctx's cause.
func (s *scratch) take(ctx context.Context, need int) (*workspace, error) {
	bytes := min(need, s.limit)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting.Len() > 0 || s.used+bytes > s.limit {
		if err := s.wait(ctx, bytes); err != nil {
			return nil, err
		}
	} else {
		s.used += bytes
	}
	ws := s.fitting(need)
	if more := ws.bytes() - bytes; more > 0 {
		if s.used+more > s.limit {
			ws = new(workspace)
		} else {
			s.used += more
			bytes += more
		}
	}
	ws.reserved = bytes
	if ws.loose++; ws.bytes() <= looseFactor*need {
		ws.loose = 0
	}
	s.trim()
	return ws, nil
}

// wait adds bytes to used when their turn comes. Preconditions: mu is held,
// and is again on return.
func (s *scratch) wait(ctx context.Context, bytes int) error {
	c := &claim{bytes, make(chan struct{})}
	at := s.waiting.PushBack(c)
	s.mu.Unlock()
	var err error
	select {
	case <-c.ready:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	s.mu.Lock()
	if err == nil {
		return nil
	}
	select {
	case <-c.ready: // it came in the same moment: pass it on
		s.used -= bytes
	default:
		s.waiting.Remove(at)
	}
	s.grant()
	return err
}

// fitting takes the smallest idle workspace that holds need bytes already,
// else the largest; a new one when none is idle. Preconditions: mu is held.
func (s *scratch) fitting(need int) *workspace {
	best := -1
	for i, ws := range s.idle {
		if best < 0 {
			best = i
			continue
		}
		got, had := ws.bytes(), s.idle[best].bytes()
		if had < need && got > had || got >= need && got < had {
			best = i
		}
	}
	if best < 0 {
		return new(workspace)
	}
	return s.remove(best)
}

func (s *scratch) remove(i int) *workspace {
	ws, last := s.idle[i], len(s.idle)-1
	s.idle[i], s.idle[last] = s.idle[last], nil
	s.idle = s.idle[:last]
	return ws
}

// give takes a workspace back. One that grew beyond its share, or is too large
// for what it is used for, is left to the garbage collector.
func (s *scratch) give(ws *workspace) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= ws.reserved
	ws.reserved = 0
	if len(s.idle) < s.keep && ws.bytes()*s.keep <= s.limit && ws.loose < looseMax {
		s.idle = append(s.idle, ws)
	}
	s.grant()
	s.trim()
}

// grant lets those in who wait and fit. Preconditions: mu is held.
func (s *scratch) grant() {
	for at := s.waiting.Front(); at != nil; at = s.waiting.Front() {
		c := at.Value.(*claim)
		if s.used+c.bytes > s.limit {
			return
		}
		s.used += c.bytes
		s.waiting.Remove(at)
		close(c.ready)
	}
}

// trim drops idle workspaces, the largest first, until all together are within
// the bound. Preconditions: mu is held.
func (s *scratch) trim() {
	for {
		total, largest := s.used, -1
		for i, ws := range s.idle {
			total += ws.bytes()
			if largest < 0 || ws.bytes() > s.idle[largest].bytes() {
				largest = i
			}
		}
		if total <= s.limit || largest < 0 {
			return
		}
		s.remove(largest)
	}
}

// scratchOfJPEG is about how many bytes of scratch memory a picture takes that
// is decoded at n/8 for a plan: its planes, those of the rendition, and what
// the decoder keeps of a progressive file between scans.
func scratchOfJPEG(info jpeg.Info, n int, pixels int, plan images.Plan) int {
	// Samples per pixel, in quarters: the smallest chroma that is common.
	quarters := 4
	if info.Components > 1 {
		quarters += 4 * (info.Components - 1) / max(1, info.SubX*info.SubY)
	}
	bytes := pixels * n * n / 64 * quarters / 4
	if info.Progressive {
		perBlock := 2 * n * n // int16 a coefficient
		if n > 1 {
			perBlock += 8 // a bit for each of the others
		}
		bytes += info.Width * info.Height / 64 * quarters / 4 * perBlock
	}
	return bytes + scratchOfPlan(plan)
}

// scratchOfPlan is the same for finishing and encoding alone: two pictures and
// the file.
func scratchOfPlan(plan images.Plan) int {
	return 2*(plan.Width*plan.Height+plan.CanvasWidth*plan.CanvasHeight) + 1<<20
}
